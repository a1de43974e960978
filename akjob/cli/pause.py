"""``akjob pause``: skip slots for a while, outside git."""

import click

from akjob.cli.choosing import choose, for_each, jobs_arguments
from akjob.cli.common import examples, find_paths, now_us
from akjob.cli.control import ask
from akjob.control.requests import PauseJob
from akjob.errors import UsageError
from akjob.instants import to_text
from akjob.query.moments import moment
from akjob.query.names import user_name
from akjob.query.text import stamp


@click.command(
    name="pause",
    epilog=examples(
        'akjob pause reports/nightly --until 2h --reason "the database moves"',
        "akjob pause reports/nightly --until 2026-03-30",
        "akjob pause 'reports/*' '*@emea' --yes",
        "akjob pause --tag billing",
    ),
)
@jobs_arguments
@click.option("--until", metavar="T", help="Until this time, or for this long. Default: until `akjob resume`.")
@click.option("--reason", metavar="TEXT", default="", help="Why. It is shown with the job and in the ledger.")
def command(names: tuple[str, ...], tags: tuple[str, ...], until: str | None, reason: str, *, yes: bool) -> None:
    """Skip the slots of jobs; the ledger has a row for each. Runs under way go on.

    T is a time (2026-03-29T02:00:00+01:00; without an offset in this machine's time zone) or a duration (2h30m). In a
    PATTERN * stands for any characters. The pause is kept in the ledger, not in the job's file.
    """
    now = now_us()
    until_us = None if until is None else moment(until, "--until", now, None, past=False)
    if until_us is not None and until_us <= now:
        raise UsageError(f"--until: {stamp(until_us)} has passed", hint="Give a time to come, or a duration.")
    paths = find_paths()
    text = None if until_us is None else to_text(until_us)

    def pause(name: str) -> None:
        ask(paths, PauseJob(job=name, until=text, reason=reason or None, by=user_name()))
        end = f"`akjob resume {name}`" if until_us is None else stamp(until_us)
        click.echo(f"{name} is paused until {end}.")

    for_each(choose(paths, names, tags, yes=yes, what="pause"), pause)
