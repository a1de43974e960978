"""``akjob why``: what became of an instant of a job, or what will, and why."""

import shutil
import sys
import textwrap

import click

from akjob.cli.common import colours, examples, find_paths, json_option, now_us, say, say_json, settings
from akjob.cli.text import paint
from akjob.errors import escape_control
from akjob.instants import from_text
from akjob.ledger import open_reader
from akjob.query.jobs import load
from akjob.query.moments import moment
from akjob.query.runs import Run, from_row
from akjob.query.text import relative, stamp
from akjob.query.why import Why, ask, came_of
from akjob.schedule import get_zone

_LABEL, _KIND = 10, 12
_COLOURS = {
    "ran": "green",
    "running": "blue",
    "queued": "cyan",
    "skipped": "bright_black",
    "missed": "yellow",
    "will_run": "green",
    "will_skip": "yellow",
    "unknown": "yellow",
}


@click.command(
    name="why",
    epilog=examples(
        "akjob why reports/nightly",
        "akjob why reports/nightly --at 2026-03-29T02:30:00",
        "akjob why reports/nightly --at 2026-12-25T09:30:00+01:00 --json | jq -r .verdict",
    ),
)
@click.argument("job", metavar="JOB")
@click.option("--at", metavar="TIME", help="The instant: a time, or for how long back. Default: now.")
@json_option
def command(job: str, at: str | None, *, as_json: bool) -> None:
    """Show what became of an instant of a job, past or future, and why.

    The verdict is one of ran, running, queued, skipped, missed, will_run, will_skip, no_slot (the job is not due then;
    the nearest slot is shown) and unknown. TIME is 2026-03-29T02:30:00+01:00, without an offset in the job's time zone,
    or a duration such as 2h30m. Without --at a run that is under way is explained.
    """
    paths = find_paths()
    snapshot = load(paths, settings(paths), now_us())
    found = snapshot.find(job)
    zone = None if found.spec is None else get_zone(found.spec.schedule.zone)
    at_us = None if at is None else moment(at, "--at", snapshot.now_us, zone, past=True)
    reader = open_reader(paths.ledger_url)
    answer = ask(reader, snapshot, found, at_us)
    if as_json:
        say_json(answer)
        return
    zone_name = "UTC" if found.spec is None else found.spec.schedule.zone
    row = None if answer.run is None else reader.find_run(answer.run)
    run = None if row is None else from_row(row)
    say(_lines(answer, run, zone_name, snapshot.now_us, colour=colours()))


def _lines(answer: Why, run: Run | None, zone_name: str, now: int, *, colour: bool) -> list[str]:
    zone = get_zone(zone_name)
    failed = answer.verdict == "ran" and run is not None and run.state != "succeeded"
    verdict = paint(came_of(answer, run), "red" if failed else _COLOURS.get(answer.verdict), on=colour)
    name = paint(escape_control(answer.job), "bold", on=colour)
    lines = [f"{name} at {stamp(from_text(answer.at), zone)}: {verdict}"]
    if answer.slot is not None:
        slot_us = from_text(answer.slot)
        near = "nearest slot" if answer.verdict == "no_slot" else "slot"
        lines.append(f"  {near:<{_LABEL}}  {stamp(slot_us, zone)}  {relative(slot_us, now)}")
    if answer.run is not None:
        lines.append(f"  {'run':<{_LABEL}}  {answer.run}")
    if answer.run is not None and answer.reason:
        lines += _wrapped(f"  {'reason':<{_LABEL}}  ", answer.reason)
    for number, because in enumerate(answer.because):
        label = "because" if number == 0 else ""
        lines += _wrapped(f"  {label:<{_LABEL}}  {because.kind:<{_KIND}}", because.message)
    return lines


def _wrapped(head: str, text: str) -> list[str]:
    """Return a label and its text, folded on a terminal."""
    text = escape_control(text)
    if not sys.stdout.isatty():
        return [head + text]
    columns = max(60, shutil.get_terminal_size().columns)
    return textwrap.wrap(text, columns, initial_indent=head, subsequent_indent=" " * len(head))
