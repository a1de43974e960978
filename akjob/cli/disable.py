"""``akjob disable``: set ``enabled = false`` in a job's file."""

import click

from akjob.cli.common import examples
from akjob.cli.editing import set_enabled


@click.command(name="disable", epilog=examples("akjob disable reports/nightly"))
@click.argument("job", metavar="JOB")
def command(job: str) -> None:
    """Set enabled = false in a job's file. Comments and order stay; akjobd sees it within a second."""
    set_enabled(job, value=False)
