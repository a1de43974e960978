"""``akjob list``: all jobs at a glance."""

from fnmatch import fnmatchcase

import click

from akjob.cli import complain
from akjob.cli.broken import lines as broken_lines
from akjob.cli.choosing import has_tags
from akjob.cli.common import colours, examples, find_paths, json_option, now_us, say, say_json, settings
from akjob.cli.text import Cell, state_cell, table
from akjob.query.jobs import JobView, load
from akjob.query.loaded import LoadedDifference, difference
from akjob.query.text import plural, relative, stamp

_NAMED = 5
_COLOURS = {"broken": "red", "disabled": "bright_black", "paused": "yellow", "done": "bright_black"}


@click.command(
    name="list",
    epilog=examples(
        "akjob list", "akjob list 'reports/*' --tag billing", "akjob list --json | jq -r 'select(.broken) | .file'"
    ),
)
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1)
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only jobs with this tag. Repeat to require several.")
@json_option
def command(patterns: tuple[str, ...], tags: tuple[str, ...], *, as_json: bool) -> None:
    """List the jobs with their state, next slot and last outcome.

    PATTERN is a job's name, in which * stands for any characters. Times are in this machine's time zone.
    """
    paths = find_paths()
    snapshot = load(paths, settings(paths), now_us())
    jobs = [job for job in snapshot.jobs() if _wanted(job, patterns, tags)]
    if as_json:
        say_json(*(job.listed() for job in jobs))
        return
    if not jobs:
        click.echo("No jobs." if not (patterns or tags) else "No job matches.", err=True)
        return
    say(table(("JOB", "STATE", "NEXT", "", "LAST", ""), map(_row, jobs), colour=colours()))
    broken = [job.refusal for job in jobs if job.refusal is not None]
    if broken:
        say(["", *broken_lines(broken, snapshot.now_us, colour=colours())])
        click.echo(f"\n{plural(len(broken), 'job')} broken: `akjob validate` says why.", err=True)
    other = difference(snapshot)
    if other is not None:
        complain(*words_of(other, str(paths.root)))


def words_of(other: LoadedDifference, root: str) -> tuple[str, str]:
    """Return what to say of jobs that akjobd has in another version, and where it has them from."""
    more = f" and {len(other.jobs) - _NAMED} more" if len(other.jobs) > _NAMED else ""
    message = f"akjobd has another version of {', '.join(other.jobs[:_NAMED])}{more} than this folder has"
    if other.root != root:
        return message, f"it reads {other.root}: ask with --root {other.root}, or make that the same folder"
    return message, "it usually takes a change over within a second: `akjob logs` shows what prevents that"


def _wanted(job: JobView, patterns: tuple[str, ...], tags: tuple[str, ...]) -> bool:
    fits = not patterns or any(fnmatchcase(job.name, pattern) for pattern in patterns)
    return fits and has_tags(job, tags)


def _row(job: JobView) -> tuple[str | Cell, ...]:
    upcoming, last = job.next_start_us, job.last
    return (
        job.name,
        state_of(job),
        "" if upcoming is None else stamp(upcoming),
        "" if upcoming is None else relative(upcoming, job.now_us),
        "" if last is None else state_cell(last[0]),
        "" if last is None else relative(last[1], job.now_us),
    )


def state_of(job: JobView) -> Cell:
    """Return a job's state in a word or two, what needs a person first."""
    state = job.state
    colour = _COLOURS.get(state)
    if job.broken is not None and job.broken.running_last_good:
        state = "broken, last good runs"
    if job.running:
        running = "running" if job.running == 1 else f"running ({job.running})"
        return Cell(running if state == "ready" else f"{state}, {running}", colour or "blue")
    return Cell(state, colour)
