"""Several jobs at once: those that were ticked, or all that fit a search. What would be done is shown first."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, get_args

from msgspec import Struct
from starlette.responses import Response

from akjob.control.requests import PauseJob, Request, ResumeJob, RunJob, StopRuns
from akjob.errors import AkjobError
from akjob.instants import DAY, to_text
from akjob.query.dropped import dropped_by_pause
from akjob.query.jobs import JobView
from akjob.query.sight import Sight
from akjob.query.text import plural
from akjob.web.acting import Action, ask
from akjob.web.api.actions import reason_of
from akjob.web.api.lists import choice_of, text_of
from akjob.web.pages.actions import Form, once_a_form, until_of
from akjob.web.pages.rendering import render
from akjob.web.pages.searching import filter_of
from akjob.web.pages.summary import summarize
from akjob.web.problems import ProblemError
from akjob.web.site import Call

Deed = Literal["run", "pause", "resume", "stop"]

MOST = 1000
"""So many jobs are taken at once."""

_TICKED = 100
_NAMED = 5
_UNTIL_US = DAY  # a pause without an end is counted so far

_APPLIES: Mapping[str, Callable[[JobView], bool]] = {
    "run": lambda job: job.spec is not None,
    "pause": lambda job: job.spec is not None and job.pause is None,
    "resume": lambda job: job.pause is not None,
    "stop": lambda job: bool(job.running),
}


class Chosen(Struct, frozen=True, kw_only=True):
    """The jobs that something is done with: those named, or where there are none all that fit a search."""

    names: tuple[str, ...]
    q: str
    state: str
    folder: str

    def views(self, sight: Sight, deed: str) -> list[JobView]:
        """Return the jobs that the deed means something for. Raises ProblemError for too many."""
        if self.names:
            found = [job for name in self.names if (job := sight.job(name)) is not None]
        else:
            found = sight.views(sight.find(filter_of(self.q, self.state, self.folder)))
        wanted = [job for job in found if _APPLIES[deed](job)]
        if len(wanted) > MOST:
            raise ProblemError("bad-body", f"{len(wanted)} jobs are too many at once", f"Narrow it to {MOST}.")
        return wanted


async def show_bulk(call: Call) -> Response:
    """Show what would be done with which jobs, and ask for a reason."""
    deed = choice_of(call, "do", get_args(Deed)) or "pause"
    ticked = call.request.query_params.getlist("job") or (call.query("names") or "").split()
    names = tuple(ticked[:_TICKED])
    is_all = text_of(call, "all") is not None
    if not names and not is_all:
        raise ProblemError("bad-parameter", "no job is ticked", "Tick some in the list, or take all that fit.")
    chosen = Chosen(
        names=() if is_all else names,
        q=text_of(call, "q") or "",
        state=text_of(call, "state") or "",
        folder=text_of(call, "folder") or "",
    )
    until = text_of(call, "until") or ""
    until_us = until_of(until.strip(), call.now_us) if deed == "pause" else None
    sight = await call.sight()

    def look() -> dict[str, Any]:
        views = chosen.views(sight, deed)
        return {
            "summary": summarize(sight),
            "first": views[:_NAMED],
            "count": len(views),
            "running": sight.running({job.name for job in views}),
            "dropped": dropped_by_pause(views, until_us or call.now_us + _UNTIL_US, _NAMED)
            if deed == "pause"
            else None,
        }

    values = await call.site.read(look)
    return render(call, "bulk.html", **values, deed=deed, chosen=chosen, until=until, named=_NAMED, live=False)


async def do_bulk(call: Call, form: Form) -> str:
    """Do it with each of the jobs; those that are refused are named afterwards."""
    deed, reason = form.get("do", ""), reason_of(form.get("reason"))
    if deed not in get_args(Deed):
        raise ProblemError("bad-body", "there is nothing to do", "Use the page's own buttons.")
    if reason is None:
        raise ProblemError("bad-body", "the reason is empty", "Give a reason for those who wonder.")
    names = tuple(form.get("names", "").split())
    chosen = Chosen(names=names, q=form.get("q", ""), state=form.get("state", ""), folder=form.get("folder", ""))
    sight = await call.sight()
    jobs = [job.name for job in await call.site.read(lambda: chosen.views(sight, deed))]
    if str(len(jobs)) != form.get("count"):
        said = f"it is {plural(len(jobs), 'job')} now, not {form.get('count', '')[:10]}"
        raise ProblemError("refused", said, "Look at the list again, and choose again.")
    until_us = until_of(form.get("until", "").strip(), call.now_us) if deed == "pause" else None
    until = None if until_us is None else to_text(until_us)
    by = call.principal.name

    def request(name: str) -> Request[Any]:
        match deed:
            case "run":
                return RunJob(job=name, by=by, reason=reason)
            case "pause":
                return PauseJob(job=name, until=until, reason=reason, by=by)
            case "resume":
                return ResumeJob(job=name, by=by)
        return StopRuns(target=name, by=by, reason=reason)

    async def work() -> str:
        refused = await _each(call, jobs, request)
        if refused:
            said = f"{plural(len(refused), 'job')} of {len(jobs)} refused, the others are done: {refused[0]}"
            raise ProblemError("refused", said, "The pages of the jobs say more.")
        return "/"

    action = Action(name=f"jobs.{deed}", target=_summary(jobs), reason=reason)
    return await once_a_form(call, form, action, (jobs, until, reason), work, "/")


async def _each(call: Call, jobs: Iterable[str], request: Callable[[str], Request[Any]]) -> list[str]:
    """Ask akjobd for each job, one after the other; return what was said of those that it refused."""
    refused = []
    for name in jobs:
        try:
            await ask(call, request(name))
        except AkjobError as error:
            refused.append(f"{name}: {error.message}")
    return refused


def _summary(jobs: list[str]) -> str:
    more = f" and {len(jobs) - _NAMED} more" if len(jobs) > _NAMED else ""
    return f"{plural(len(jobs), 'job')}: {', '.join(jobs[:_NAMED])}{more}"
