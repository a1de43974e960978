"""``akjob resume``: end a pause."""

import click

from akjob.cli.choosing import choose, for_each, jobs_arguments
from akjob.cli.common import examples, find_paths
from akjob.cli.control import ask
from akjob.control.requests import ResumeJob
from akjob.query.names import user_name


@click.command(name="resume", epilog=examples("akjob resume reports/nightly", "akjob resume --tag billing --yes"))
@jobs_arguments
def command(names: tuple[str, ...], tags: tuple[str, ...], *, yes: bool) -> None:
    """End the pause of jobs: the next slot of each starts. Slots that were skipped meanwhile stay skipped."""
    paths = find_paths()

    def resume(name: str) -> None:
        ask(paths, ResumeJob(job=name, by=user_name()))
        click.echo(f"{name} is resumed.")

    for_each(choose(paths, names, tags, yes=yes, what="resume"), resume)
