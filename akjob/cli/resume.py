"""``akjob resume``: lift a pause."""

import click

from akjob.cli.common import examples, find_paths
from akjob.cli.control import ask, job_name
from akjob.control.requests import ResumeJob
from akjob.query.names import user_name


@click.command(name="resume", epilog=examples("akjob resume reports/nightly"))
@click.argument("job", metavar="JOB")
def command(job: str) -> None:
    """Lift a pause: the job's next slot starts. Slots that passed by meanwhile stay skipped."""
    paths = find_paths()
    name = job_name(paths, job)
    ask(paths, ResumeJob(job=name, by=user_name()))
    click.echo(f"{name} is resumed.")
