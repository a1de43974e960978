"""``akjob logs``: the log read back, of one run without reading the whole stream."""

import re
import sys
from collections import deque
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from akjob.cli import complain
from akjob.cli.common import (
    colours,
    examples,
    find_paths,
    json_option,
    log_elsewhere,
    now_us,
    on_terminal,
    settings,
)
from akjob.cli.log_lines import shortened
from akjob.config import Config, Paths
from akjob.config.cluster import ClusterConfig
from akjob.errors import AkjobError, UsageError
from akjob.ledger import SeveralRunsError, open_reader
from akjob.log.reading import read
from akjob.log.reading.render import render
from akjob.query.distant import MOST_LAST, AwayError, DistantLog, LocalLog, run_log
from akjob.query.moments import moment
from akjob.query.names import known_job, unknown_job

_TAIL = 10  # so many lines of the past are shown before what is added, where nothing says since when
_EXAMPLES = examples(
    "akjob logs reports/nightly --since 2h",
    "akjob logs 01m85ajwkd1sc8zp --raw > output",
    "akjob logs -f --level warning",
    "akjob logs --json --grep timeout | jq -r .run",
)


@click.command(name="logs", epilog=_EXAMPLES)
@click.argument("target", metavar="[JOB|RUN]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added; Ctrl-C ends it.")
@click.option("--since", metavar="T", help="From this time on, or this long ago: 2026-03-29T02:00:00+01:00, 2h30m.")
@click.option("--level", type=click.Choice(list(read.LEVELS)), help="Only lines of this level and above.")
@click.option("--grep", metavar="REGEX", help="Only lines that match this regular expression.")
@click.option("-n", "--count", type=click.IntRange(min=1), metavar="N", help="Only the last N lines.")
@click.option("--raw", is_flag=True, help="What a run printed, byte for byte.")
@click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="With --raw: only what it printed there.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - the options of a command
    target: str | None,
    since: str | None,
    level: str | None,
    grep: str | None,
    count: int | None,
    stream: str | None,
    *,
    follow: bool,
    raw: bool,
    as_json: bool,
) -> None:
    """Show the log of a job, of one run, or all of it; each line once. Times are this machine's.

    In a cluster it is the log of all nodes, in the order of time; those that do not answer are named on standard error.
    RUN is a run's id as `akjob history` shows it; the beginning is enough. Without JOB and RUN, -f begins with the last
    few lines. On a terminal the start and the end of a run are a short line each; a pipe gets all fields.
    """
    if grep is not None:
        _check_pattern(grep)
    paths = find_paths()
    job, run = (None, None) if target is None else job_or_run(paths, target)
    config = settings(paths)
    log = None if run is None else log_of(paths, config, run)
    elsewhere = log_elsewhere(paths, config) if not isinstance(log, DistantLog) else None
    if elsewhere is not None:
        if follow:
            raise elsewhere
        complain(f"{elsewhere.message}, but for what was logged before", elsewhere.hint)
    if raw:
        _raw(log, stream)
        return
    since_us = None if since is None else moment(since, "--since", now_us(), None, past=True)
    wanted: read.LineFilter = {"job": job, "run": run, "since_us": since_us, "level": level, "grep": grep}
    if follow and count is None and target is None and since is None:
        count = _TAIL
    distant = log if isinstance(log, DistantLog) else None
    if follow and distant is None and not paths.log_dir.is_dir():
        hint = "Start akjobd with `akjob up`."
        raise AkjobError(f"{paths.log_dir} is not there: nothing was ever logged", hint=hint)
    colour, short = colours(), on_terminal()
    if distant is not None:
        lines = distant_lines(distant, wanted, count, follow=follow)
    else:
        lines = _lines(paths, wanted, count, None if log is not None else config.cluster, follow=follow)
    for line in lines:
        shown = shortened(line) if short and not as_json else line
        text = msgspec.json.encode(line).decode() if as_json else render(shown, colour)
        sys.stdout.write(text + "\n")
        if follow:
            sys.stdout.flush()


def _lines(
    paths: Paths, wanted: read.LineFilter, count: int | None, cluster: ClusterConfig | None, *, follow: bool
) -> Iterator[dict[str, Any]]:
    """Yield what is wanted of this node or of all: all of it, or the last ``count`` lines, and then what is added."""
    if cluster is not None:
        from akjob.query.everywhere import Everywhere

        everywhere = Everywhere(paths, cluster.name, wanted, _tell)
        yield from everywhere.follow(count) if follow else everywhere.lines(count)
    elif follow:
        yield from read.follow(paths, newest=count, **wanted)
    elif count is not None:
        yield from read.last(paths, count, **wanted)
    else:
        yield from read.lines(paths, **wanted)


def _tell(error: AkjobError) -> None:
    """Print which lines are missing, and why."""
    if isinstance(error, AwayError):
        complain(f"the lines of node {error.node} are missing: {error.seen(None, now_us())}", error.why)
    else:
        complain(f"the lines of other nodes are missing: {error.message}", error.hint)


def log_of(paths: Paths, config: Config, run: str) -> LocalLog | DistantLog:
    """Return the log of a run: on this machine, or on the node that the ledger names."""
    if config.cluster is None:
        return LocalLog(paths, run)
    row = open_reader(paths.ledger_url).find_run(run)
    return run_log(paths, config, None if row is None else row["node"], run)


def distant_lines(
    log: DistantLog, wanted: read.LineFilter, count: int | None, *, follow: bool
) -> Iterator[dict[str, Any]]:
    """Yield what is wanted of another node's lines, all of it or the last ``count``, and what is added.

    Raises AkjobError, with the time of this machine, where the node does not answer.
    """
    rest = {key: value for key, value in wanted.items() if key in {"since_us", "level", "grep"} and value is not None}
    try:
        if follow:
            yield from read.choose(log.follow(count), **wanted)
        elif count is not None and not rest and count <= MOST_LAST:
            yield from log.last(count)
        elif count is not None:
            yield from deque(read.choose(log.lines(), **wanted), maxlen=count)
        else:
            yield from read.choose(log.lines(), **wanted)
    except AwayError as error:
        raise AkjobError(error.said(None, now_us()), hint=error.why) from error


def job_or_run(paths: Paths, target: str) -> tuple[str | None, str | None]:
    """Return (job, None) or (None, run) for what a person names. Raises AkjobError (exit code 2) for neither."""
    name = known_job(paths, target)
    if name is not None:
        return name, None
    reader = open_reader(paths.ledger_url)
    try:
        return None, str(reader.run(target)["id"])
    except SeveralRunsError:
        raise
    except AkjobError:  # the log may know what the ledger has pruned
        is_logged = next(read.lines(paths, run=target), None) is not None
    if is_logged:
        return None, target
    nearest = unknown_job(target, sorted(reader.jobs()))
    hint = f"{nearest.hint} `akjob history` shows the runs."
    raise UsageError(f"there is no job and no run {target!r}", hint=hint)


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        message = f"--grep: {pattern!r} is not a regular expression: {error}"
        raise UsageError(message, hint="Put a \\ before characters that mean themselves.") from None


def _raw(log: LocalLog | DistantLog | None, stream: str | None) -> None:
    if log is None:
        raise click.UsageError("--raw needs a RUN: its output is what one run printed.")
    out = sys.stdout.buffer
    lines = distant_lines(log, {}, None, follow=False) if isinstance(log, DistantLog) else log.lines()
    for piece in read.printed(lines, stream):
        out.write(piece)
    out.flush()
