"""``akjob status``: the programs, the job set, what is broken and what runs."""

from collections.abc import Mapping, Sequence

import click
from msgspec import UNSET

from akjob.cli import broken, complain
from akjob.cli.common import colours, examples, find_paths, json_option, now_us, say, say_json, settings
from akjob.cli.control import ask
from akjob.cli.text import Cell, paint, table
from akjob.control.requests import GetStatus
from akjob.control.status import LoadedRevision, MessageCounts, ProgramState, RunningRun, Status
from akjob.errors import AkjobError, UnreachableError
from akjob.instants import from_text
from akjob.ledger import open_reader
from akjob.query.status import without_akjobd
from akjob.query.text import plural, relative, stamp

_EXAMPLES = examples("akjob status", "akjob status --json | jq .broken", "akjob status > /dev/null || notify-someone")


@click.command(name="status", epilog=_EXAMPLES)
@json_option
def command(*, as_json: bool) -> None:
    """Show the programs, the job set and its commit, the broken files, and the runs under way.

    Exits with 1 when a file is broken, or a program does not run or cannot do its work (akjob-web whose port another
    program has), and with 3 when akjobd is down; then it shows what the folder and the ledger have.
    """
    paths = find_paths()
    now = now_us()
    down: AkjobError | None = None
    try:
        status = ask(paths, GetStatus()).status
    except UnreachableError as error:
        down = error
        degraded = without_akjobd(paths, settings(paths), now)
        status = degraded.status
        if degraded.error is not None:
            complain(degraded.error.message, degraded.error.hint)
    if paths.notify_db.exists():
        from akjob.notify.outbox import with_messages

        status = with_messages(status, paths.notify_db, now)
    config = settings(paths) if down is None else None
    if config is not None and config.cluster is not None:
        from akjob.query.placing import with_waiting

        status = with_waiting(status, open_reader(paths.ledger_url))
    if as_json:
        say_json(status)
    else:
        say(_lines(status, now, colour=colours()))
    if down is not None:
        complain(down.message, down.hint)
        raise SystemExit(down.exit_code)
    if status.broken or not all(program.is_well for program in status.programs.values()):
        raise SystemExit(1)


def _lines(status: Status, now: int, *, colour: bool) -> list[str]:
    lines = [f"root      {status.root}", f"revision  {_revision(status.revision, now)}"]
    jobs = status.jobs
    bad = f", {paint(f'{jobs.broken} broken', 'red', on=colour)}" if jobs.broken else ""
    lines.append(f"jobs      {jobs.loaded} loaded{bad}")
    if status.control_groups is not UNSET:
        lines.append(f"runs      {_ending(status.control_groups)}")
    if status.held is not UNSET:
        lines.append(f"node      {paint('starts nothing', 'yellow', on=colour)}: {status.held}")
    if status.messages is not UNSET:
        lines.append(f"messages  {_messages(status.messages, colour=colour)}")
    lines.append("")
    lines += table(("PROGRAM", "STATE", "PID", "SINCE", ""), _programs(status.programs, now), colour=colour)
    troubles = [f"{name}: {one.trouble}" for name, one in status.programs.items() if one.trouble is not UNSET]
    lines += ["", *troubles] if troubles else []
    if status.broken:
        lines += ["", *broken.lines(status.broken, now, colour=colour)]
    if status.waiting is not UNSET:
        lines += ["", f"{plural(len(status.waiting), 'run')} that no node takes:"]
        lines += table(("JOB", "RUN", ""), [(one.job, one.run, one.reason) for one in status.waiting], colour=colour)
    lines.append("")
    if not status.running:
        return [*lines, "No run is under way."]
    lines.append(f"{plural(len(status.running), 'run')}:")
    return lines + _running(status.running, now, colour=colour)


def _ending(groups: Sequence[str] | None) -> str:
    """Return by what means a run is bounded and ended."""
    if groups is None:
        return "ended by their process trees, limited by rlimits: no control group is delegated to akjobd"
    counted = f"; {' and '.join(groups)} counted for each run as a whole" if groups else ""
    return f"ended by control group{counted}"


def _messages(counts: MessageCounts, *, colour: bool) -> str:
    """Return how many messages wait, and how many were given up."""
    found = [f"{counts.pending} pending"]
    found += [f"{counts.held} held"] if counts.held else []
    if counts.dead:
        dead = paint(f"{counts.dead} given up within a week", "red", on=colour)
        found.append(f"{dead}: `akjob notify list` says why")
    return ", ".join(found)


def _revision(revision: LoadedRevision, now: int) -> str:
    text = "no git commit" if revision.git_commit is None else revision.git_commit[:12]
    text += " with uncommitted changes" if revision.git_dirty else ""
    if revision.loaded_at is None:
        return text
    loaded_us = from_text(revision.loaded_at)
    return f"{text}, loaded {stamp(loaded_us)} ({relative(loaded_us, now)})"


def _programs(programs: Mapping[str, ProgramState], now: int) -> list[tuple[str | Cell, ...]]:
    return [
        (name, _state(program), "" if program.pid is None else str(program.pid), *_when(program.since, now))
        for name, program in programs.items()
    ]


def _state(program: ProgramState) -> Cell:
    return Cell(program.state, "green" if program.is_well else "red")


def _when(since: str | None, now: int) -> tuple[str, str]:
    return ("", "") if since is None else (stamp(from_text(since)), relative(from_text(since), now))


def _running(runs: Sequence[RunningRun], now: int, *, colour: bool) -> list[str]:
    """Return the runs, in a cluster with their nodes."""
    in_cluster = any(run.node is not UNSET for run in runs)
    rows = []
    for run in runs:
        node = () if not in_cluster else ("" if run.node is UNSET else run.node,)
        rows.append((run.job, run.run, *node, "" if run.pid is None else str(run.pid), *_when(run.started_at, now)))
    return table(("JOB", "RUN", *(("NODE",) if in_cluster else ()), "PID", "STARTED", ""), rows, colour=colour)
