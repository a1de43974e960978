"""``akjob status``: whether all is well."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from akjob.cli import broken, complain
from akjob.cli.common import NO_DAEMON, colours, examples, find_paths, json_option, now_us, say, say_json, settings
from akjob.cli.control import ask
from akjob.cli.text import Cell, paint, plural, relative, stamp, table
from akjob.config import Paths
from akjob.errors import AkjobError
from akjob.instants import from_text, to_text
from akjob.jobset.git import Provenance
from akjob.ledger import Reader
from akjob.processes import lock_holder, started_us
from akjob.query.jobs import load

_EXAMPLES = examples("akjob status", "akjob status --json | jq .broken", "akjob status > /dev/null || notify-someone")


@click.command(name="status", epilog=_EXAMPLES)
@json_option
def command(*, as_json: bool) -> None:
    """Show the programs, the job set and the commit it is of, broken files, and what runs now.

    Exits with 1 when a file is broken, with 3 when akjobd is down; then it shows what the folder and the ledger tell.
    """
    paths = find_paths()
    now = now_us()
    down: AkjobError | None = None
    try:
        status = {key: value for key, value in ask(paths, "status").items() if key != "ok"}
    except AkjobError as error:
        if error.exit_code != NO_DAEMON:
            raise
        down = error
        status = without_akjobd(paths, now)
    if as_json:
        say_json(status)
    else:
        say(_lines(status, now, colour=colours()))
    if down is not None:
        complain(down.message, down.hint)
        raise SystemExit(NO_DAEMON)
    if status["broken"]:
        raise SystemExit(1)


def without_akjobd(paths: Paths, now: int) -> dict[str, Any]:
    """Return the status as far as it is known without akjobd: what would be loaded, and what ran when it went away."""
    config = settings(paths)
    try:
        reader = Reader(paths.db)
        view = load(paths, config, now, reader)
        runs = [_as_akjobd_tells(row) for row in reader.open_runs() if row["state"] == "running"]
    except AkjobError as error:
        from akjob.cli import orphans

        complain(error.message, error.hint)
        view = load(paths, config, now, Reader(Path(os.devnull)))  # as where there is no ledger yet
        runs = orphans.runs(paths)
    jobset = view.jobset
    revision = Provenance(paths).refresh_now()
    dirty = None if revision.commit is None else bool(revision.dirty)
    gone = {"pid": None, "since": None, "state": "stopped"}
    return {
        "root": str(paths.root),
        "programs": {
            "akjobd": gone,
            "zygote": gone,
            "akjob-collector": _collector(paths, now),
        },
        "jobs": {"loaded": len(jobset.jobs), "broken": len(jobset.broken)},
        "revision": {"git_commit": revision.commit, "git_dirty": dirty, "loaded_at": None},
        "broken": [view.job(name).refusal for name in sorted(jobset.broken)],
        "running": runs,
    }


def _as_akjobd_tells(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"job": row["job"], "run": row["id"], "pid": row["pid"], "shim_pid": None, "started_at": row["started_at"]}


def _ending(groups: Sequence[str] | None) -> str:
    """Say by what means a run is bounded and ended."""
    if groups is None:
        return "ended by their process trees, limited by rlimits: no control group is delegated to akjobd"
    counted = f"; {' and '.join(groups)} counted for each run as a whole" if groups else ""
    return f"ended by control group{counted}"


def _collector(paths: Paths, now: int) -> dict[str, Any]:
    pid = lock_holder(paths.run_dir / "collector.lock")
    since = started_us(pid, now) if pid else None
    if since is None:
        return {"pid": None, "since": None, "state": "stopped"}
    return {"pid": pid, "since": to_text(since), "state": "running"}


def _lines(status: Mapping[str, Any], now: int, *, colour: bool) -> list[str]:
    lines = [f"root      {status['root']}", f"revision  {_revision(status['revision'], now)}"]
    jobs = status["jobs"]
    bad = f", {paint(str(jobs['broken']) + ' broken', 'red', on=colour)}" if jobs["broken"] else ""
    lines.append(f"jobs      {jobs['loaded']} loaded{bad}")
    if "control_groups" in status:
        lines.append(f"runs      {_ending(status['control_groups'])}")
    lines.append("")
    lines += table(("PROGRAM", "STATE", "PID", "SINCE", ""), map(_program, *_programs(status, now)), colour=colour)
    if status["broken"]:
        lines += ["", *broken.lines(status["broken"], now, colour=colour)]
    lines.append("")
    if not status["running"]:
        return [*lines, "Nothing runs."]
    lines.append(f"{plural(len(status['running']), 'run')}:")
    rows = [_run(run, now) for run in status["running"]]
    return lines + table(("JOB", "RUN", "PID", "STARTED", ""), rows, colour=colour)


def _revision(revision: Mapping[str, Any], now: int) -> str:
    commit = revision["git_commit"]
    text = "no git commit" if commit is None else commit[:12]
    text += " with changes that are not committed" if revision["git_dirty"] else ""
    loaded = revision["loaded_at"]
    return text if loaded is None else f"{text}, loaded {stamp(from_text(loaded))} ({relative(from_text(loaded), now)})"


def _programs(status: Mapping[str, Any], now: int) -> tuple[list[str], list[Mapping[str, Any]], list[int]]:
    programs = status["programs"]
    return list(programs), list(programs.values()), [now] * len(programs)


def _program(name: str, program: Mapping[str, Any], now: int) -> tuple[str | Cell, ...]:
    since = program["since"]
    state = Cell(program["state"], "green" if program["state"] == "running" else "red")
    pid = "" if program["pid"] is None else str(program["pid"])
    when = ("", "") if since is None else (stamp(from_text(since)), relative(from_text(since), now))
    return (name, state, pid, *when)


def _run(run: Mapping[str, Any], now: int) -> tuple[str, ...]:
    started = run["started_at"]
    when = ("", "") if started is None else (stamp(from_text(started)), relative(from_text(started), now))
    return (run["job"], run["run"], "" if run["pid"] is None else str(run["pid"]), *when)
