"""``akjob disable``: set ``enabled = false`` in a job's file."""

import click

from akjob.cli.choosing import choose, for_each, jobs_arguments
from akjob.cli.common import examples, find_paths
from akjob.cli.editing import set_enabled


@click.command(name="disable", epilog=examples("akjob disable reports/nightly", "akjob disable '*@emea' --yes"))
@jobs_arguments
def command(names: tuple[str, ...], tags: tuple[str, ...], *, yes: bool) -> None:
    """Set enabled = false in the files of jobs. Comments and order stay; akjobd takes it over within a second.

    For an instance (JOB@NAME) it is set in the table of the instance.
    """
    paths = find_paths()
    chosen = choose(paths, names, tags, yes=yes, what="disable")
    for_each(chosen, lambda name: set_enabled(name, value=False))
