"""The jobs, fifty a page, and one of them."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from statistics import median_high
from typing import Any

from markupsafe import Markup
from msgspec import Struct
from starlette.responses import Response

from akjob.errors import AkjobError
from akjob.instants import SECOND, from_text
from akjob.ledger import RunFilter
from akjob.query.jobs import JobView, Pause
from akjob.query.runs import Run, explain, took_us
from akjob.query.sight import Sight
from akjob.query.strips import StripSlot
from akjob.query.text import span
from akjob.schedule import describe
from akjob.web.api.jobs import found_job
from akjob.web.pages.drawing import strip, usual_s
from akjob.web.pages.rendering import render
from akjob.web.pages.searching import STATES, WORDS, Search, search_of
from akjob.web.pages.source import excerpt
from akjob.web.pages.summary import FAILED, summarize
from akjob.web.site import Call

ON_A_PAGE = 50
_ROWS = 50
_COMING = 5
_SLOTS = 30
_WORTH_A_LOOK_S = 1.0
_MUCH_LONGER = 2
_SLOTS_OF_ONE = 120


class JobLine(Struct, frozen=True, kw_only=True):
    """One line of the table of jobs."""

    name: str
    shown_state: str
    tags: tuple[str, ...]
    strip: Markup
    schedule: str
    zone: str
    next_us: int | None
    pause: Pause | None
    last: tuple[str, int] | None
    last_run: str | None
    took: str
    times_usual: int | None
    """How many times as long as usual the last run took; None unless that is worth a look."""


class SlotRow(Struct, frozen=True, kw_only=True):
    """One slot that has passed, as tables show it."""

    id: str
    job: str
    slot_us: int
    state: str
    attempt: int
    count: int
    trigger: str
    why: str
    late: str
    took: str
    git_commit: str | None
    git_dirty: bool | None
    node: str | None = None
    changed: bool = False


class JobHead(Struct, frozen=True, kw_only=True):
    """What is at the top of a job's page."""

    name: str
    shown_state: str
    description: str
    file: str
    zone: str
    running: int
    pause: Pause | None
    owner: str | None
    runbook: str | None


class Durations(Struct, frozen=True, kw_only=True):
    """How long the last runs took, in words."""

    count: int
    p50: str
    p95: str
    p95_over_gap: bool


async def show_jobs(call: Call) -> Response:
    """Show the jobs that fit, fifty a page."""
    search, sight = search_of(call), await call.sight()
    values = await call.site.read(lambda: _jobs(sight, search))
    return render(call, "jobs.html", **values)


def _jobs(sight: Sight, search: Search) -> dict[str, Any]:
    summary = summarize(sight)
    names = _sorted(sight, list(sight.find(search.wanted)), search.sort)
    shown = sight.views(names[(search.page - 1) * ON_A_PAGE : search.page * ON_A_PAGE])
    strips = sight.strips([view.name for view in shown])
    chips = [(state, _counted(summary.states, state)) for state in STATES if _counted(summary.states, state)]
    return {
        "summary": summary,
        "total": summary.total,
        "found": len(names),
        "rows": [_row(view, strips.get(view.name, ())) for view in shown],
        "chips": chips,
        "search_words": WORDS,
        "q": search.q,
        "chosen": search.state,
        "sort": search.sort,
        "page": search.page,
    }


def _counted(states: dict[str, int], state: str) -> int:
    return sum(states.get(one, 0) for one in FAILED) if state == "failed" else states.get(state, 0)


def _sorted(sight: Sight, names: list[str], by: str) -> list[str]:
    """Return names in another order than by name, as far as ``by`` is one."""
    if by not in _KEYS:
        return names
    return [view.name for view in sorted(sight.views(names), key=_KEYS[by])]


def _worst_first(view: JobView) -> int:
    return STATES.index("failed" if view.shown_state in FAILED else view.shown_state)


def _soonest_first(view: JobView) -> int:
    return (1 << 62) if view.next_start_us is None else view.next_start_us


def _newest_first(view: JobView) -> int:
    return 0 if view.last is None else -view.last[1]


_KEYS: Mapping[str, Callable[[JobView], int]] = {
    "state": _worst_first,
    "next": _soonest_first,
    "last": _newest_first,
}


def _row(view: JobView, slots: Sequence[StripSlot]) -> JobLine:
    spec = view.spec
    last = next((one.duration_s for one in reversed(slots) if one.duration_s is not None), None)
    times = 0 if last is None or last < _WORTH_A_LOOK_S else last / (usual_s(slots) or last)
    return JobLine(
        name=view.name,
        shown_state=view.shown_state,
        tags=() if spec is None else spec.tags,
        strip=strip(slots, _SLOTS),
        schedule="" if spec is None else "; ".join(describe(spec.schedule, view.now_us)),
        zone="UTC" if spec is None else spec.schedule.zone,
        next_us=view.next_start_us,
        pause=view.pause,
        last=view.last,
        last_run=None if view.row is None else view.row["last_run"],
        took="" if last is None else span(round(last * SECOND)),
        times_usual=round(times) if times >= _MUCH_LONGER else None,
    )


async def show_job(call: Call) -> Response:
    """Show one job: its state, its slots past and coming, what may be done."""
    sight = await call.sight()
    view = found_job(sight, call.path("name"))
    values = await call.site.read(lambda: _job(call, sight, view))
    return render(call, "job.html", **values)


def _job(call: Call, sight: Sight, view: JobView) -> dict[str, Any]:
    spec, refusal = view.spec, view.refusal
    runs = sight.runs(RunFilter(job=view.name), _ROWS).runs
    coming = sight.coming(view, call.now_us, _COMING)
    slots = sight.strips([view.name], _SLOTS_OF_ONE).get(view.name, ())
    found = parameters_of(view)
    arguments = "".join(f" --arg {one.name}:={one.value}" for one in found)
    return {
        "summary": summarize(sight),
        "job": _head(view),
        "refusal": refusal,
        "excerpt": "" if refusal is None else excerpt(call.site.paths, refusal.file, refusal.line, refusal.column),
        "strip": strip(slots, max(1, len(slots))),
        "durations": _durations(runs, coming),
        "schedule": [] if spec is None else describe(spec.schedule, view.now_us),
        "upstreams": sight.upstreams(view),
        "downstreams": sight.downstreams(view),
        "coming": coming,
        "coming_why": _coming_why(view),
        "rows": slot_rows(runs, call.now_us),
        "parameters": found,
        "command_line": f"akjob run {view.name}{arguments}",
        "definition": None if spec is None else spec.definition,
    }


def _head(view: JobView) -> JobHead:
    spec = view.spec
    return JobHead(
        name=view.name,
        shown_state=view.shown_state,
        description="" if spec is None else spec.description,
        file=view.file,
        zone="UTC" if spec is None else spec.schedule.zone,
        running=view.running,
        pause=view.pause,
        owner=None if spec is None else spec.owner,
        runbook=None if spec is None else spec.runbook,
    )


def _coming_why(view: JobView) -> str:
    if view.state == "disabled":
        return "the job is disabled: it will not run"
    if view.pause is not None:
        return "the job is paused"
    return ""


def _durations(runs: Sequence[Run], coming: Sequence[int]) -> Durations | None:
    took = sorted(
        (from_text(run.ended_at) - from_text(run.started_at)) / SECOND
        for run in runs
        if run.state == "succeeded" and run.started_at and run.ended_at
    )
    if not took:
        return None
    p95 = took[min(len(took) - 1, round(0.95 * (len(took) - 1)))]
    gap = (coming[1] - coming[0]) / SECOND if len(coming) > 1 else None
    return Durations(
        count=len(took),
        p50=span(round(median_high(took) * SECOND)),
        p95=span(round(p95 * SECOND)),
        p95_over_gap=gap is not None and p95 > gap,
    )


def slot_rows(runs: Sequence[Run], now_us: int) -> list[SlotRow]:
    """Return rows of the ledger as tables show them."""
    found = []
    for index, run in enumerate(runs):
        before = next((one for one in runs[index + 1 :] if one.job == run.job and one.definition_sha256), None)
        took, slot_us = took_us(run, now_us), from_text(run.slot)
        late_us = None if run.started_at is None else from_text(run.started_at) - slot_us
        found.append(
            SlotRow(
                id=run.id,
                job=run.job,
                slot_us=slot_us,
                state=run.state,
                attempt=run.attempt,
                count=run.count,
                trigger=run.trigger,
                why=explain(run)[:300],
                late="" if late_us is None or run.trigger == "manual" else f"+{span(max(0, late_us))}",
                took="" if took is None else span(took),
                git_commit=run.git_commit,
                git_dirty=run.git_dirty,
                node=run.node,
                changed=before is not None and before.definition_sha256 != run.definition_sha256,
            )
        )
    return found


class ArgumentField(Struct, frozen=True, kw_only=True):
    """One argument of the form: ``value`` is TOML, ``choices`` are offered where the values are known."""

    name: str
    value: str
    about: str = ""
    choices: tuple[str, ...] = ()


def parameters_of(view: JobView) -> list[ArgumentField]:
    """Return the keyword arguments that the job's file gives; the code itself is never looked at here."""
    from akjob.spec.canonical import value_text  # noqa: PLC0415 - only for jobs with arguments

    if view.spec is None or not view.spec.kwargs:
        return []
    found = []
    for name, value in view.spec.kwargs.items():
        choices = ("true", "false") if isinstance(value, bool) else ()
        try:
            found.append(ArgumentField(name=name, value=value_text(value), about=_kind(value), choices=choices))
        except (AkjobError, KeyError):
            continue  # a value of a kind that one line of TOML cannot say
    return found


def _kind(value: Any) -> str:
    return re.sub(r"[^a-z]", "", type(value).__name__) if not inspect.isclass(value) else ""
