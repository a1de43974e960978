"""``akjob reset``: clear a job's count of runs."""

import click

from akjob.cli.common import examples, find_paths
from akjob.cli.control import ask, job_name
from akjob.control.requests import ResetJob
from akjob.query.names import user_name


@click.command(name="reset", epilog=examples("akjob reset campaign/spring"))
@click.argument("job", metavar="JOB")
def command(job: str) -> None:
    """Clear a job's count of runs, so that `runs` in its [limits] counts from nothing again."""
    paths = find_paths()
    name = job_name(paths, job)
    ask(paths, ResetJob(job=name, by=user_name()))
    click.echo(f"The count of {name} begins anew.")
