"""``akjob pause``: let slots pass by, outside git."""

import click

from akjob.cli.common import examples, find_paths, moment, now_us
from akjob.cli.control import ask, job_name
from akjob.control.requests import PauseJob
from akjob.errors import UsageError
from akjob.instants import to_text
from akjob.query.names import user_name
from akjob.query.text import stamp


@click.command(
    name="pause",
    epilog=examples(
        'akjob pause reports/nightly --until 2h --reason "the database moves"',
        "akjob pause reports/nightly --until 2026-03-30",
    ),
)
@click.argument("job", metavar="JOB")
@click.option("--until", metavar="T", help="Until this time, or for this long. Default: until `akjob resume`.")
@click.option("--reason", metavar="TEXT", default="", help="Why, for those who wonder.")
def command(job: str, until: str | None, reason: str) -> None:
    """Let a job's slots pass by: they are skipped, and the ledger says so. What runs goes on.

    T is a time (2026-03-29T02:00:00+01:00; without offset in this machine's time zone) or a duration (2h30m).
    The pause is kept in the ledger, not in the job's file.
    """
    now = now_us()
    until_us = None if until is None else moment(until, "--until", now, None, past=False)
    if until_us is not None and until_us <= now:
        message = f"--until: {stamp(until_us)} is over"
        raise UsageError(message, hint="Give a time to come, or a duration.")
    paths = find_paths()
    name = job_name(paths, job)
    text = None if until_us is None else to_text(until_us)
    ask(paths, PauseJob(job=name, until=text, reason=reason or None, by=user_name()))
    end = f"`akjob resume {name}`" if until_us is None else stamp(until_us)
    click.echo(f"{name} is paused until {end}.")
