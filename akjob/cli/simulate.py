"""``akjob simulate``: what would become of the jobs, with downtimes and failures that are only pretended."""

from collections.abc import Mapping

import click

from akjob.cli import complain
from akjob.cli.common import examples, find_paths, json_option, now_us, say, say_json, settings
from akjob.cli.history import table_of
from akjob.config import Paths
from akjob.ledger import open_reader
from akjob.query.jobs import load
from akjob.query.plan import SAMPLES
from akjob.query.runs import from_row
from akjob.query.scenarios import Wish, read
from akjob.query.simulation import simulate
from akjob.schedule import get_zone
from akjob.spec.model import JobSpec

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
@click.option("--machines", type=click.IntRange(1, 1000), metavar="N", help="So many machines share the runs.")
@click.option("--rev", metavar="REV", help="The jobs of this commit, branch or tag; `.`: as their files are now.")
@click.option("--seed", type=int, metavar="N", help="Draw how long runs take from the last ones, not the median.")
@json_option
def command(  # noqa: PLR0913, PLR0917 - the options of a command
    since: str | None,
    until: str | None,
    downs: tuple[str, ...],
    failures: tuple[str, ...],
    takes: tuple[str, ...],
    machines: int | None,
    rev: str | None,
    seed: int | None,
    *,
    as_json: bool,
) -> None:
    """Show what would become of every slot of the jobs: akjobd's own decisions, ahead of time.

    Nothing is run, and akjobd is not needed. A run takes the median of its job's last runs unless --takes says
    how long. The same call gives the same rows. A job that is due by files or by akjobd's start is not due here,
    but after --down. --machines bounds the runs at once: max_running or [cluster] slots, so many times. Times are as
    for `akjob plan`.
    """
    paths = find_paths()
    config = settings(paths)
    now = now_us()
    snapshot = load(paths, config, now)
    jobs = snapshot.jobset.jobs if rev is None else _at_revision(paths, rev)
    names = snapshot.names() if rev is None else sorted(jobs)
    wish = Wish(since=since, until=until, downs=downs, failures=failures, takes=takes, seed=seed, machines=machines)
    scenario = read(wish, names, now, get_zone(config.timezone))
    durations = open_reader(paths.ledger_url).durations(names, SAMPLES)
    rows = simulate(snapshot, config, durations, scenario, jobs)
    if as_json:
        say_json(*rows)
    elif not rows:
        click.echo("No slot is due in this time.", err=True)
    else:
        say(table_of([from_row(row) for row in rows], now))


def _at_revision(paths: Paths, rev: str) -> Mapping[str, JobSpec]:
    """Return the jobs of a revision; ``.`` is the work tree."""
    from akjob.diff.side import of_revision

    side = of_revision(paths, rev)
    for name in sorted(side.refused):
        complain(f"{name} is broken at {rev}, and left out")
    return side.jobs
