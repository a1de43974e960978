"""``akjob stop``: end runs."""

import click

from akjob.cli.common import examples, find_paths
from akjob.cli.control import ask, job_name
from akjob.control.requests import StopRuns
from akjob.query.names import user_name


@click.command(name="stop", epilog=examples("akjob stop reports/nightly"))
@click.argument("target", metavar="JOB|RUN")
def command(target: str) -> None:
    """End a run, or all runs of a job: its stop signal first, SIGKILL after kill_after. They become cancelled."""
    paths = find_paths()
    stopped = ask(paths, StopRuns(target=job_name(paths, target), by=user_name())).stopped
    for run in stopped:
        click.echo(f"stopping {run}")
    if not stopped:
        click.echo(f"Nothing of {target} runs.", err=True)
