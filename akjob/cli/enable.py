"""``akjob enable``: set ``enabled = true`` in a job's file."""

import click

from akjob.cli.common import examples
from akjob.cli.editing import set_enabled


@click.command(name="enable", epilog=examples("akjob enable reports/nightly"))
@click.argument("job", metavar="JOB")
def command(job: str) -> None:
    """Set enabled = true in a job's file. Comments and order stay; akjobd sees it within a second."""
    set_enabled(job, value=True)
