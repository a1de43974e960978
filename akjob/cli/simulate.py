"""``akjob simulate``: what would become of the jobs, with downtimes and failures that are only pretended."""

from datetime import tzinfo

import click

from akjob.cli.common import examples, find_paths, json_option, moment, now_us, say, say_json, settings
from akjob.cli.history import table_of
from akjob.errors import UsageError
from akjob.ledger import open_reader
from akjob.query.jobs import Snapshot, load
from akjob.query.names import unknown_job
from akjob.query.plan import DEFAULT_US, SAMPLES, check_order
from akjob.query.runs import from_row
from akjob.query.simulation import Scenario, simulate
from akjob.schedule import get_zone
from akjob.units import parse_duration

_EXAMPLES = examples(
    "akjob simulate --until 7d",
    "akjob simulate --down 2026-03-29T01:00..2026-03-29T04:00 --json",
    "akjob simulate --fail etl/load@2026-03-29T02:30 --takes reports/nightly=2h",
)


@click.command(name="simulate", epilog=_EXAMPLES)
@click.option("--from", "since", metavar="T", help="From this time on. Default: now.")
@click.option("--until", metavar="T", help="Up to this time, not included, or for this long. Default: one day.")
@click.option("--down", "downs", metavar="A..B", multiple=True, help="akjobd is down from A until B. Repeatable.")
@click.option(
    "--fail", "failures", metavar="JOB[@SLOT]", multiple=True, help="The runs of a job fail, or only those of one slot."
)
@click.option("--takes", metavar="JOB=DURATION", multiple=True, help="How long each run of a job takes.")
@click.option("--seed", type=int, metavar="N", help="Draw how long runs take from the last ones, not the median.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - the options of a command
    since: str | None,
    until: str | None,
    downs: tuple[str, ...],
    failures: tuple[str, ...],
    takes: tuple[str, ...],
    seed: int | None,
    *,
    as_json: bool,
) -> None:
    """Show what would become of every slot of the jobs: akjobd's own decisions, ahead of time.

    Nothing is run, and akjobd is not needed. A run takes the median of its job's last runs unless --takes says
    how long. The same call gives the same rows. A job that is due by files or by akjobd's start is not due here,
    but after --down. Times are as for `akjob plan`.
    """
    paths = find_paths()
    config = settings(paths)
    now = now_us()
    snapshot = load(paths, config, now)
    zone = get_zone(config.timezone)
    from_us = now if since is None else moment(since, "--from", now, zone, past=False)
    until_us = from_us + DEFAULT_US if until is None else moment(until, "--until", from_us, zone, past=False)
    check_order(from_us, until_us)
    scenario = Scenario(
        from_us=from_us,
        until_us=until_us,
        downs=tuple(_down(one, from_us, zone) for one in downs),
        failures=tuple(_failure(snapshot, one, from_us, zone) for one in failures),
        takes=dict(_duration(snapshot, one) for one in takes),
        seed=seed,
    )
    durations = open_reader(paths.ledger_url).durations(snapshot.names(), SAMPLES)
    rows = simulate(snapshot, config, durations, scenario)
    if as_json:
        say_json(*rows)
    elif not rows:
        click.echo("No slot is due in this time.", err=True)
    else:
        say(table_of([from_row(row) for row in rows], now))


def _down(text: str, from_us: int, zone: tzinfo) -> tuple[int, int]:
    """Read ``A..B``."""
    first, dots, last = text.partition("..")
    if not dots:
        raise UsageError(f"--down {text}: this is not A..B", hint="Write --down 2026-03-29T01:00..2026-03-29T04:00.")
    start_us = moment(first, "--down", from_us, zone, past=False)
    end_us = moment(last, "--down", start_us, zone, past=False)
    if end_us <= start_us:
        raise UsageError(f"--down {text}: it ends before it begins", hint="The later time comes second.")
    return start_us, end_us


def _failure(snapshot: Snapshot, text: str, from_us: int, zone: tzinfo) -> tuple[str, int | None]:
    """Read ``JOB`` or ``JOB@SLOT``; an instance has an @ in its own name."""
    names = set(snapshot.names())
    if text in names:
        return text, None
    job, _, slot = text.rpartition("@")
    if job not in names:
        raise unknown_job(job or text, sorted(names))
    return job, moment(slot, "--fail", from_us, zone, past=False)


def _duration(snapshot: Snapshot, text: str) -> tuple[str, int]:
    """Read ``JOB=DURATION``."""
    job, _, duration = text.partition("=")
    names = snapshot.names()
    if job not in names:
        raise unknown_job(job, names)
    try:
        return job, parse_duration(duration)
    except ValueError as error:
        raise UsageError(f"--takes {text}: {error}", hint=f"Write --takes {job}=90s.") from None
