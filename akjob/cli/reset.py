"""``akjob reset``: clear a job's count of runs."""

import click

from akjob.cli.choosing import choose, for_each, jobs_arguments
from akjob.cli.common import examples, find_paths
from akjob.cli.control import ask
from akjob.control.requests import ResetJob
from akjob.query.names import user_name


@click.command(name="reset", epilog=examples("akjob reset campaign/spring", "akjob reset 'campaign/*' --yes"))
@jobs_arguments
def command(names: tuple[str, ...], tags: tuple[str, ...], *, yes: bool) -> None:
    """Clear the count of runs of jobs: `runs` in their [limits] counts from zero again."""
    paths = find_paths()

    def reset(name: str) -> None:
        ask(paths, ResetJob(job=name, by=user_name()))
        click.echo(f"The count of runs of {name} starts again at zero.")

    for_each(choose(paths, names, tags, yes=yes, what="reset"), reset)
