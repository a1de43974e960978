"""One run: what became of it and why, what changed, its steps, its log."""

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from starlette.responses import Response

from akjob.errors import AkjobError
from akjob.instants import from_text
from akjob.ledger import RunFilter
from akjob.log.reading.failure_text import failure_text
from akjob.log.reading.read import Line
from akjob.query.changes import Changes
from akjob.query.distant import AwayError, LinesOfRun, run_log
from akjob.query.runs import Run, explain, took_us
from akjob.query.sight import Sight
from akjob.query.text import plural, size, span, stamp
from akjob.units import format_duration
from akjob.web.api.runs import found_run
from akjob.web.pages.logs import AROUND, COUNTS, LEVELS, LogShown, LogWanted, log_line, shown_log, wanted_of
from akjob.web.pages.rendering import render
from akjob.web.pages.summary import FAILED, summarize
from akjob.web.site import Call

_ROWS = 100
_STDERR = 20
_OPEN = frozenset({"queued", "running"})


async def show_run(call: Call) -> Response:
    """Show one run: why it ended so, what changed, its steps, its log."""
    sight = await call.sight()
    run = await call.site.read(lambda: found_run(sight, call.path("id")))
    wanted = wanted_of(call)
    log = run_log(call.site.paths, call.site.config, run.node, run.id)
    shown, end = await call.site.read_log(
        log, lambda: _log(log, wanted, ended_badly=run.state in FAILED, at_us=call.now_us)
    )
    values = await call.site.read(lambda: _run(call, sight, run, end))
    return render(call, "run.html", **values, log=shown, wanted=wanted, levels=LEVELS, counts=COUNTS, around=AROUND)


def _log(log: LinesOfRun, wanted: LogWanted, *, ended_badly: bool, at_us: int) -> tuple[LogShown, Sequence[Line]]:
    """Return what is shown of a log, and the last lines of a run that failed."""
    try:
        return shown_log(log, wanted), log.last(COUNTS[0]) if ended_badly else ()
    except AwayError as error:
        return LogShown(lines=[], away=f"The {error.said(UTC, at_us)} UTC.", why=error.why), ()


def _run(call: Call, sight: Sight, run: Run, end: Sequence[Line]) -> dict[str, Any]:
    view = sight.job(run.job)
    spec = None if view is None else view.spec
    rows = sight.runs(RunFilter(job=run.job), _ROWS).runs
    failed = run.state in FAILED
    older, newer = _neighbours(rows, run)
    return {
        "summary": summarize(sight),
        "run": run,
        "is_open": run.state in _OPEN,
        "failed": failed,
        "sentence": sentence(run, rows, call.now_us),
        "traceback": _traceback(end),
        "stderr": [one.text for line in end if (one := log_line(line)).kind == "stderr"][-_STDERR:],
        "changes": _changes(sight, run) if failed else None,
        "steps": _steps(run),
        "zone": "UTC" if spec is None else spec.schedule.zone,
        "kill_after": "10s" if spec is None else format_duration(spec.run.kill_after_us),
        "facts": _facts(run),
        "definition": sight.definition(run),
        "older": older,
        "newer": newer,
        "next_failure": next((one.id for one in rows if one.state in FAILED and one.slot < run.slot), None),
    }


def sentence(run: Run, rows: Sequence[Run], now_us: int) -> str:
    """Return in one sentence what became of a run, and how often in a row."""
    took = took_us(run, now_us)
    after = "" if took is None else f" after {span(took)}"
    why = explain(run)
    if run.state == "running":
        return f"Running for {span(took or 0)}."
    if run.state == "queued":
        return f"Queued{': ' + why if why else ''}."
    words = {"timed_out": "Timed out", "lost": "Lost"}.get(run.state, run.state.capitalize())
    in_a_row = _failures_in_a_row(run, rows)
    again = f" {plural(in_a_row, 'slot')} in a row failed." if in_a_row > 1 else ""
    return f"{words}{after}{': ' + why if why else ''}.{again}"


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


def _steps(run: Run) -> list[tuple[str, int, str]]:
    slot_us = from_text(run.slot)
    times = [("due", run.slot), ("claimed", run.queued_at), ("started", run.started_at), ("ended", run.ended_at)]
    found = [(name, from_text(text)) for name, text in times if text]
    return [(name, at_us, _offset(at_us - slot_us)) for name, at_us in sorted(found, key=lambda pair: pair[1])]


def _offset(distance_us: int) -> str:
    return f"{'-' if distance_us < 0 else '+'}{span(abs(distance_us))}"


def _facts(run: Run) -> list[tuple[str, str]]:
    facts = [
        ("Run", run.id),
        ("Slot", stamp(from_text(run.slot), fine=True)),
        ("Trigger", run.trigger),
        ("Asked for by", run.by),
        ("Cause", run.cause),
        ("Attempt", str(run.attempt)),
        ("Commit", None if run.git_commit is None else run.git_commit + (" with changes" if run.git_dirty else "")),
        ("Definition", run.definition_sha256),
        ("Host", run.host),
        ("Node", run.node),
        ("Process", run.pid),
        ("Exit code", run.exit_code),
        ("Signal", run.signal),
        ("CPU", None if run.user_cpu_s is None else f"{run.user_cpu_s + (run.system_cpu_s or 0):.3f} s"),
        ("Peak memory", None if run.max_rss_bytes is None else size(run.max_rss_bytes)),
        ("Result", run.result),
    ]
    return [(name, str(value)) for name, value in facts if isinstance(value, (str, int))]


def _traceback(lines: Sequence[dict[str, Any]]) -> str:
    for line in reversed(lines):
        failure = line.get("exception")
        if isinstance(failure, dict):
            return "\n".join(failure_text(failure))
    return ""
