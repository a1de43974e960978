"""The smaller pages: broken files, the system, messages, why, and the screen on the wall."""

import os
import shutil
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from msgspec import UNSET, Struct
from starlette.responses import Response

from akjob.config import Paths
from akjob.control.requests import GetStatus
from akjob.control.status import Status
from akjob.errors import AkjobError
from akjob.instants import DAY, from_text, to_text
from akjob.jobset import git
from akjob.jobset.git import Provenance
from akjob.ledger import RunFilter, open_reader
from akjob.notify.gathering import paces_of, quiet_until_us
from akjob.notify.model import Incident
from akjob.notify.outbox import Delivery, Outbox, with_messages
from akjob.query.broken import Mistake, mistakes
from akjob.query.sight import JobFilter, Sight
from akjob.query.text import WEEK, plural, relative, size
from akjob.query.why import came_of
from akjob.web import asking
from akjob.web.api.jobs import found_job
from akjob.web.api.lists import text_of
from akjob.web.api.times import instant_of
from akjob.web.pages.nodes import cluster_of
from akjob.web.pages.rendering import render
from akjob.web.pages.source import excerpt
from akjob.web.pages.summary import FAILED, Summary, summarize
from akjob.web.problems import ProblemError
from akjob.web.site import Call

_MESSAGES = 100
_AUDIT = 50
_SHOWN_WAITING = 50
_MOST_RUNS = 10_000
_COUNTED_JOBS = 20
_FAR_DAYS = 3650
_MOST_RUNNING = 200
_LOG_TAIL = 2**20


class ShownMistake(Struct, frozen=True, kw_only=True):
    """One mistake with the lines around it, who made the commit that it is from, and what ran since it is there.

    ``last_good`` is the hash of the definition that runs on, where it is one job's.
    """

    mistake: Mistake
    excerpt: str
    author: str
    subject: str
    last_good: str
    runs_since: int


async def show_broken(call: Call) -> Response:
    """Show every mistake once: where, what to do, since when, which jobs it costs."""
    sight = await call.sight()

    def ask() -> dict[str, Any]:
        summary = summarize(sight)
        found = [_shown(call, sight, one) for one in mistakes(sight.broken())]
        commit = Provenance(call.site.paths).refresh_now().commit
        return {"summary": summary, "mistakes": found, "total": summary.total, "commit": commit}

    return render(call, "broken.html", **await call.site.read(ask))


def _shown(call: Call, sight: Sight, one: Mistake) -> ShownMistake:
    file, line, column = one.place.rsplit(":", 2)
    author, subject = _made_by(str(call.site.paths.root), one.git_commit) if one.git_commit else ("", "")
    since = to_text(one.since_us)
    counts = (sight.count(RunFilter(job=job, since=since), _MOST_RUNS) for job in one.jobs[:_COUNTED_JOBS])
    view = sight.job(one.jobs[0]) if len(one.jobs) == 1 else None
    return ShownMistake(
        mistake=one,
        excerpt=excerpt(call.site.paths, file, int(line), int(column)),
        author=author,
        subject=subject,
        last_good="" if view is None or view.spec is None else view.spec.sha256,
        runs_since=sum(count.rows for count in counts if count is not None),
    )


@lru_cache(maxsize=100)
def _made_by(root: str, commit: str) -> tuple[str, str]:
    """Return who made a commit, and its first line; empty texts where git does not tell. A commit never changes."""
    try:
        text = git.run(["show", "--no-patch", "--format=%an%x00%s", commit], root).decode("utf-8", "replace")
    except AkjobError:
        return "", ""
    author, _, subject = text.strip().partition("\0")
    return author, subject


async def show_system(call: Call) -> Response:
    """Show the programs, sizes, what waits, and to those who may know everything also who did what."""
    sight = await call.sight()
    status, unreachable = await _status(call, sight)
    summary = await call.site.read(lambda: summarize(sight))
    facts = await call.site.read(lambda: _facts(call, sight, status, summary))
    waiting = await call.site.read(lambda: _waiting(sight))
    cluster = await call.site.read(lambda: cluster_of(call, sight))
    running = await call.site.read(lambda: _running(status, sight, everywhere=cluster is not None))
    is_admin = call.principal.scope == "admin" and call.principal.jobs is None
    return render(
        call,
        "system.html",
        summary,
        unreachable=unreachable,
        programs=[] if status is None else list(status.programs.items()),
        restarts={} if status is None else await call.site.read(lambda: restarts_of(call.site.paths, status.programs)),
        running=running,
        facts=facts,
        waiting=waiting,
        cluster=cluster,
        audit=call.site.store.audit_rows(_AUDIT) if is_admin else None,
        tokens=call.site.store.tokens() if is_admin else [],
    )


def restarts_of(paths: Paths, programs: Iterable[str]) -> dict[str, int]:
    """Return how often supervisord started each program again since it began itself, as far as its log goes back.

    A program that it never started is not among them: something else keeps it alive.
    """
    try:
        with open(paths.log_dir / "supervisord.log", "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_TAIL))
            text = file.read().rpartition(b"supervisord started with pid")[2]
    except OSError:
        return {}
    counts = {name: text.count(b" INFO spawned: '%s' " % name.encode()) for name in programs}
    return {name: max(0, count - 1) for name, count in counts.items() if count}


class UnderWay(Struct, frozen=True, kw_only=True):
    """A run under way, and the node of a cluster that it is on."""

    job: str
    run: str
    node: str | None = None


def _running(status: Status | None, sight: Sight, *, everywhere: bool) -> list[UnderWay]:
    """Return what runs: as akjobd says, or, in a cluster, as the ledger has it of all nodes."""
    if everywhere:
        rows = sight.runs(RunFilter(state="running"), _MOST_RUNNING).runs
        return [UnderWay(job=row.job, run=row.id, node=row.node) for row in rows]
    return [UnderWay(job=one.job, run=one.run) for one in (() if status is None else status.running)]


async def _status(call: Call, sight: Sight) -> tuple[Status | None, str]:
    try:
        found = await call.site.act(lambda: asking.ask(call.site.paths, GetStatus()).status)
    except AkjobError as error:
        return None, error.message
    found = await call.site.read(lambda: with_messages(found, call.site.paths.notify_db, call.now_us))
    return sight.status(found), ""


def _facts(call: Call, sight: Sight, status: Status | None, summary: Summary) -> list[tuple[str, str]]:
    paths = call.site.paths
    free = shutil.disk_usage(paths.var).free if paths.var.exists() else 0
    facts = [
        ("Jobs", f"{summary.total}, {summary.broken} broken"),
        ("Ledger", size(open_reader(paths.ledger_url).size_bytes())),
        ("Log", size(_log_bytes(paths.log_dir))),
        ("Free on the disk", f"{size(free)}{_days_left(paths.log_dir, free, call.now_us)}"),
        ("akjobd started", _starts(sight, call.now_us)),
    ]
    if status is not None:
        commit = status.revision.git_commit
        facts.append(
            (
                "Commit",
                "none"
                if commit is None
                else commit + (" with uncommitted changes" if status.revision.git_dirty else ""),
            )
        )
        if status.accounted_until is not UNSET:
            facts.append(("Accounted for until", str(status.accounted_until)[:19].replace("T", " ") + " UTC"))
        if status.queued is not UNSET and status.queued:
            facts.append(("Waiting", ", ".join(f"{count} for {what}" for what, count in status.queued.items())))
        if status.messages is not UNSET:
            counts = status.messages
            waiting = f"{counts.pending} pending, {counts.held} held, {counts.dead} given up within a week"
            facts.append(("Messages", waiting))
        if status.draining is True:
            facts.append(("Being stopped", "no more runs are started"))
    return facts


class WaitingRun(Struct, frozen=True, kw_only=True):
    """A run that waits, since when, and for what."""

    job: str
    run: str
    since_us: int
    why: str


def _waiting(sight: Sight) -> list[WaitingRun]:
    """Return the runs that wait, the one that waits longest first, and for whom."""
    queued = sight.runs(RunFilter(state="queued"), _SHOWN_WAITING).runs
    found = [(run, sight.job(run.job)) for run in reversed(queued)]
    return [
        WaitingRun(
            job=run.job,
            run=run.id,
            since_us=from_text(run.queued_at),
            why="" if view is None else "; ".join(one.message for one in sight.why(view, from_text(run.slot)).because),
        )
        for run, view in found
    ]


def _starts(sight: Sight, now_us: int) -> str:
    """Return when akjobd started last, and how often within the week."""
    starts = sight.starts()
    if not starts:
        return "not yet"
    recent = sum(now_us - at_us < WEEK for at_us in starts)
    return f"{relative(starts[-1], now_us)}, {plural(recent, 'time')} within the week"


def _days_left(folder: os.PathLike[str], free: int, now_us: int) -> str:
    """Return for how long the disk has room if the log goes on to grow as within the last day; little says nothing."""
    grown, oldest_us = 0, now_us
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.stat(os.path.join(where, name))
            except OSError:
                continue  # rotated away in this moment
            if now_us - status.st_mtime_ns // 1000 < DAY:
                grown, oldest_us = grown + status.st_size, min(oldest_us, status.st_ctime_ns // 1000)
    if not grown:
        return ""
    a_day = grown * DAY // max(DAY, now_us - oldest_us)
    days = free // max(1, a_day)
    return f", {days:,} days at {size(a_day)} of log a day" if days < _FAR_DAYS else ""


def _log_bytes(folder: os.PathLike[str]) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(where, name)).st_size
            except OSError:
                continue  # rotated away in this moment
    return total


class ShownChannel(Struct, frozen=True, kw_only=True):
    """A channel and what came of its last message; never its secrets."""

    name: str
    kind: str
    last: str


async def show_messages(call: Call) -> Response:
    """Show channels, open incidents and the outbox."""
    sight = await call.sight()

    def ask() -> dict[str, Any]:
        incidents, deliveries = _outbox(call)
        seen = [one for one in incidents if sight.sees(one.job)]
        shown = [one for one in deliveries if all(sight.sees(job) for job in one.jobs)]
        return {
            "summary": summarize(sight),
            "channels": [_channel(name, one.kind, shown) for name, one in call.site.config.channels.items()],
            "silences": [*_quiet_channels(call), *_paused_jobs(sight)],
            "incidents": seen,
            "deliveries": shown,
        }

    return render(call, "messages.html", **await call.site.read(ask))


def _outbox(call: Call) -> tuple[list[Incident], list[Delivery]]:
    path = call.site.paths.notify_db
    if not path.exists():
        return [], []
    outbox = Outbox(path)
    try:
        return outbox.incidents(), outbox.deliveries(_MESSAGES)
    finally:
        outbox.close()


class Silence(Struct, frozen=True, kw_only=True):
    """Whom nothing is sent to, or of what, for now: a channel in its quiet hours, or a job that is paused."""

    channel: str | None = None
    job: str | None = None
    why: str
    until_us: int | None


def _quiet_channels(call: Call) -> Iterator[Silence]:
    for name, pace in paces_of(call.site.config).items():
        until_us = None if pace.quiet is None else quiet_until_us(pace.quiet, pace.timezone, call.now_us)
        if until_us is not None:
            yield Silence(channel=name, why="quiet hours", until_us=until_us)


def _paused_jobs(sight: Sight) -> Iterator[Silence]:
    for view in sight.jobs(JobFilter()):
        pause = view.pause
        if pause is not None:
            why = "paused" + (f" by {pause.by}" if pause.by else "") + (f": {pause.reason}" if pause.reason else "")
            yield Silence(job=view.name, why=why, until_us=pause.until_us)


def _channel(name: str, kind: str, deliveries: list[Delivery]) -> ShownChannel:
    last = next((one for one in deliveries if one.channel == name), None)
    said = "no message yet" if last is None else f"{last.state} {last.opened_at[:19].replace('T', ' ')} UTC"
    if last is not None and last.error:
        said += f": {last.error}"
    return ShownChannel(name=name, kind=kind, last=said)


async def show_why(call: Call) -> Response:
    """Answer why an instant of a job became, or will become, what it did."""
    sight = await call.sight()
    job, at = text_of(call, "job") or "", text_of(call, "at") or ""
    at_us = instant_of(call, "at") if at else None
    summary = await call.site.read(lambda: summarize(sight))
    answer, said, state, zone = None, "", "", "UTC"
    if job:
        view = found_job(sight, job)
        answer = await call.site.read(lambda: sight.why(view, at_us))
        run_id = answer.run
        run = None if run_id is None else await call.site.read(lambda: sight.run(run_id))
        zone = "UTC" if view.spec is None else view.spec.schedule.zone
        said, state = came_of(answer, run), "succeeded" if run is None else run.state
    values: dict[str, Any] = {"job": job, "at": at, "answer": answer, "said": said, "state": state, "zone": zone}
    return render(call, "why.html", summary, **values, live=False)


async def show_tv(call: Call) -> Response:
    """Show four numbers and what fails, for a screen on the wall."""
    sight = await call.sight()

    def ask() -> dict[str, Any]:
        summary = summarize(sight)
        failed = sum(summary.states.get(state, 0) for state in FAILED)
        failing = sight.jobs(JobFilter(shown=FAILED))
        tiles = [
            ("jobs", summary.total, "ready"),
            ("running", summary.running, "running"),
            ("failed", failed, "failed" if failed else "ready"),
            ("broken files", summary.broken, "broken" if summary.broken else "ready"),
        ]
        return {
            "summary": summary,
            "tiles": tiles,
            "failing": sorted(failing, key=lambda view: -(view.last or ("", 0))[1]),
        }

    return render(call, "tv.html", **await call.site.read(ask))


def check_jobs(sight: Sight, incident: Incident | None, number: int) -> Incident:
    """Return an incident that the principal may know of. Raises ProblemError for any other."""
    if incident is None or not sight.sees(incident.job):
        raise ProblemError("not-found", f"there is no open incident {number}", "The page lists them.")
    return incident
