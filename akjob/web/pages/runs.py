"""One run: what became of it and why, what changed, its steps, its log."""

from collections.abc import Sequence
from datetime import UTC
from itertools import islice
from signal import Signals
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from akjob.errors import AkjobError
from akjob.instants import HOUR, SECOND, from_text, to_datetime
from akjob.ledger import RunFilter
from akjob.log.reading.read import Line
from akjob.query.changes import Changes
from akjob.query.distant import AwayError, LinesOfRun, run_log
from akjob.query.runs import Run, explain, took_us
from akjob.query.sight import Sight
from akjob.query.steps import WORTH_NAMING_US, Step, steps_of
from akjob.query.text import size, span, stamp
from akjob.schedule import get_zone
from akjob.spec.model import DottedCallable, JobSpec
from akjob.web.api.runs import found_run
from akjob.web.api.times import instant_of
from akjob.web.pages.logs import (
    LEVELS,
    SHOWN,
    LogShown,
    LogWanted,
    copied,
    first_error,
    log_line,
    number_of,
    opened,
    shown_log,
    wanted_of,
)
from akjob.web.pages.rendering import render
from akjob.web.pages.summary import FAILED, summarize
from akjob.web.pages.tracebacks import TracePart, trace_parts
from akjob.web.site import Call

_ROWS = 100
_STDERR = 20
_SHORT = 8
_OPEN = frozenset({"queued", "running"})


async def show_run(call: Call) -> Response:
    """Show one run: why it ended so, what changed, its steps, its log."""
    sight = await call.sight()
    run = await call.site.read(lambda: found_run(sight, call.path("id")))
    wanted = wanted_of(call)
    log = run_log(call.site.paths, call.site.config, run.node, run.id)
    found = await call.site.read_log(log, lambda: _log(log, wanted, ended_badly=run.state in FAILED, at_us=call.now_us))
    values = await call.site.read(lambda: _run(call, sight, run, found))
    return render(call, "run.html", **values, wanted=wanted, levels=LEVELS)


async def copy_lines(call: Call) -> Response:
    """Answer with a stretch of a run's log as plain text: what a reader has chosen may be more than a page shows."""
    sight = await call.sight()
    run = await call.site.read(lambda: found_run(sight, call.path("id")))
    begin, end = number_of(call, "from") or 1, number_of(call, "to")
    log = run_log(call.site.paths, call.site.config, run.node, run.id)
    text = await call.site.read_log(log, lambda: copied(log, begin, begin if end is None else end))
    return Response(text, media_type="text/plain")


class LogOfRun(Struct, frozen=True, kw_only=True):
    """What is shown of a log; of a run that failed, its first error, some lines from there on, and the last ones."""

    shown: LogShown
    error: int | None = None
    first: Sequence[Line] = ()
    last: Sequence[Line] = ()


def _log(log: LinesOfRun, wanted: LogWanted, *, ended_badly: bool, at_us: int) -> LogOfRun:
    """Return the log of a run. A traceback is often the first error, and the end of the log long after it."""
    try:
        if not ended_badly:
            return LogOfRun(shown=shown_log(log, wanted))
        error, last = first_error(log), log.last(SHOWN)
        return LogOfRun(
            shown=shown_log(log, opened(wanted, error), last=last),
            error=error,
            first=() if error is None else list(islice(log.lines(error - 1), _STDERR)),
            last=last,
        )
    except AwayError as away:
        return LogOfRun(shown=LogShown(lines=[], away=f"The {away.said(UTC, at_us)} UTC.", why=away.why))


def _run(call: Call, sight: Sight, run: Run, log: LogOfRun) -> dict[str, Any]:
    view = sight.job(run.job)
    spec = None if view is None else view.spec
    rows = sight.runs(RunFilter(job=run.job), _ROWS).runs
    failed = run.state in FAILED
    older, newer = _neighbours(rows, run)
    attempts = _attempts(run, spec, rows)
    return {
        "summary": summarize(sight),
        "run": run,
        "is_open": run.state in _OPEN,
        "failed": failed,
        "sentence": sentence(run, rows, call.now_us),
        "traceback": _traceback([*log.first, *log.last], str(call.site.paths.root)),
        "stderr": [one.text for line in log.last if (one := log_line(line)).kind == "stderr"][-_STDERR:],
        "changes": _changes(sight, run) if failed else None,
        "likeness": sight.likeness(run, rows) if failed else None,
        "took": took_us(run, call.now_us),
        "fall": _waterfall(sight, run, spec, rows, call.now_us),
        "zone": "UTC" if spec is None else spec.schedule.zone,
        "kill_after": span(10 * SECOND if spec is None else spec.run.kill_after_us),
        "stopping": _stopping(call, run, spec),
        "other_definition": spec is not None and run.definition_sha256 not in {None, spec.sha256},
        "error_line": log.error,
        "log": log.shown,
        "facts": _facts(run, "UTC" if spec is None else spec.schedule.zone, log),
        "attempts": attempts if len(attempts) > 1 else [],
        "asked_with": spec is not None
        and isinstance(spec.code, DottedCallable)
        and any(one.trigger == "manual" for one in attempts),
        "most_attempts": 1 if spec is None else spec.run.retry.attempts,
        "definition": sight.definition(run),
        "older": older,
        "newer": newer,
        "next_failure": next((one.id for one in rows if one.state in FAILED and one.slot < run.slot), None),
    }


class Stopping(Struct, frozen=True, kw_only=True):
    """When a run was asked to stop, and when it is killed."""

    asked_us: int
    kill_us: int


def _stopping(call: Call, run: Run, spec: JobSpec | None) -> Stopping | None:
    """Return how the stop that the page has asked for goes on; None without one, and when it is over."""
    asked_us = instant_of(call, "stopped")
    if asked_us is None or run.state not in _OPEN or not 0 <= call.now_us - asked_us < HOUR:
        return None
    return Stopping(asked_us=asked_us, kill_us=asked_us + (10 * SECOND if spec is None else spec.run.kill_after_us))


class Waterfall(Struct, frozen=True, kw_only=True):
    """The steps of a run, each with how long after the slot and where in percent, and what the lateness is made of."""

    steps: list[tuple[Step, str, str, str]]
    late: str


def _waterfall(sight: Sight, run: Run, spec: JobSpec | None, rows: Sequence[Run], now_us: int) -> Waterfall:
    if run.started_at is None and run.state not in _OPEN:
        return Waterfall(steps=[], late="")  # it never ran: the reason says why
    former = next((one for one in rows if one.slot == run.slot and one.attempt == run.attempt - 1), None)
    waits_us = (now_us if run.started_at is None else from_text(run.started_at)) - from_text(run.slot)
    held = sight.held(run, spec) if waits_us >= WORTH_NAMING_US else []
    steps = steps_of(run, spec, former, held, now_us)
    if not steps:
        return Waterfall(steps=[], late="")
    begin_us, length_us = steps[0].begin_us, max(1, steps[-1].end_us - steps[0].begin_us)
    places = [
        (
            one,
            f"+{span(one.begin_us - begin_us)}",
            f"{(one.begin_us - begin_us) / length_us:.2%}",
            f"{max(0.003, one.took_us / length_us):.2%}",
        )
        for one in steps
    ]
    late = [one for one in steps if one.is_late]
    parts = " + ".join(f"{span(one.took_us)} {one.name}" for one in late)
    total = sum(one.took_us for one in late)
    return Waterfall(steps=places, late=f"{span(total)} after the slot: {parts}" if late and run.started_at else "")


def sentence(run: Run, rows: Sequence[Run], now_us: int) -> str:
    """Return in one sentence what became of a run, which in a row it is that failed, and what the last success was."""
    took = took_us(run, now_us)
    after = "" if took is None else f" {span(took)} after its start"
    why = explain(run)
    if run.state == "running":
        return f"Running for {span(took or 0)}."
    if run.state == "queued":
        return f"Queued{': ' + why if why else ''}."
    words = {"timed_out": "Timed out", "lost": "Lost"}.get(run.state, run.state.capitalize())
    if run.state == "succeeded" and took is not None:
        after = f" after {span(took)}"
    said = f"{words}{after}{': ' + why if why else ''}"
    return f"{said}{_history_of(run, rows)}." if run.state in FAILED else f"{said}."


def _history_of(run: Run, rows: Sequence[Run]) -> str:
    """Return which failure in a row a run is, and what the last success before it was."""
    in_a_row = _failures_in_a_row(run, rows)
    said = f", {ordinal(in_a_row)} failure in a row" if in_a_row > 1 else ""
    good = next((one for one in rows if one.state == "succeeded" and one.slot < run.slot), None)
    if good is None:
        return f"{said}, no success is known"
    commit = f" on {good.git_commit[:_SHORT]}" if good.git_commit else ""
    return f"{said}, last success {good.slot[:16].replace('T', ' ')} UTC{commit}"


def ordinal(number: int) -> str:
    """Return ``second``, ``third``, ``11th``, ``21st``."""
    words = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}
    tens, ones = divmod(number, 10)
    ending = {1: "st", 2: "nd", 3: "rd"}.get(ones if tens % 10 != 1 else 0, "th")
    return words.get(number, f"{number}{ending}")


def _failures_in_a_row(run: Run, rows: Sequence[Run]) -> int:
    if run.state not in FAILED:
        return 0
    slots: list[str] = []
    for one in rows:
        if one.slot > run.slot or one.slot in slots:
            continue
        if one.state == "succeeded":
            break
        if one.state in FAILED:
            slots.append(one.slot)
    return len(slots)


def _neighbours(rows: Sequence[Run], run: Run) -> tuple[str | None, str | None]:
    ids = [one.id for one in rows]
    if run.id not in ids:
        return None, None
    at = ids.index(run.id)
    return (ids[at + 1] if at + 1 < len(ids) else None), (ids[at - 1] if at else None)


def _changes(sight: Sight, run: Run) -> Changes | None:
    try:
        return sight.changes(run)
    except AkjobError:  # git cannot be asked: the page has the rest
        return None


def _attempts(run: Run, spec: JobSpec | None, rows: Sequence[Run]) -> list[Run]:
    """Return the attempts at the slot of a run, itself among them, the first one first.

    Each may have a trigger of its own. Where every node runs the slots for itself, they are those of one node.
    """
    of_each_node = spec is not None and spec.run.where == "every"
    found = [
        one for one in rows if one.slot == run.slot and one.id != run.id and (not of_each_node or one.node == run.node)
    ]
    return sorted((run, *found), key=lambda one: one.attempt)


def _slot(run: Run, zone: str) -> str:
    """Return the slot on the job's clock and in UTC."""
    slot_us = from_text(run.slot)
    utc = stamp(slot_us, UTC, fine=True).replace("+00:00", "UTC")
    local = to_datetime(slot_us).astimezone(get_zone(zone))
    return utc if zone == "UTC" else f"{local:%Y-%m-%d %H:%M:%S %Z} ({utc})"


def _signal(number: int) -> str:
    names = [one.name for one in Signals if one == number]
    return f"{number} ({names[0]})" if names else str(number)


def _lines(log: LogOfRun) -> int | None:
    """Return how many lines the log of a run has: they are numbered from 1. None where its end was not read."""
    if log.last:
        return int(log.last[-1].get("seq") or 0) or None
    return log.shown.lines[-1].seq if log.shown.lines and log.shown.is_end else None


def _facts(run: Run, zone: str, log: LogOfRun) -> list[tuple[str, str]]:
    lines = _lines(log)
    facts = [
        ("Run", run.id),
        ("Slot", _slot(run, zone)),
        ("Trigger", run.trigger),
        ("Asked for by", run.by),
        ("Cause", run.cause),
        (
            "Commit",
            None if run.git_commit is None else run.git_commit + (" with uncommitted changes" if run.git_dirty else ""),
        ),
        ("Definition", run.definition_sha256),
        ("Host", run.host),
        ("Node", run.node),
        ("Process", run.pid),
        ("Exit code", run.exit_code),
        ("Signal", None if run.signal is None else _signal(run.signal)),
        ("CPU", None if run.user_cpu_s is None else f"{run.user_cpu_s + (run.system_cpu_s or 0):.3f} s"),
        ("Peak memory", None if run.max_rss_bytes is None else size(run.max_rss_bytes)),
        ("Lines of its log", None if lines is None else f"{lines:,}"),
        ("Result", run.result),
    ]
    return [(name, str(value)) for name, value in facts if isinstance(value, (str, int))]


def _traceback(lines: Sequence[dict[str, Any]], root: str) -> list[TracePart]:
    for line in reversed(lines):
        failure = line.get("exception")
        if isinstance(failure, dict):
            return trace_parts(failure, root)
    return []
