"""``akjob delete``: remove a job's file."""

import click

from akjob.cli.common import examples, find_paths
from akjob.cli.editing import job_file


@click.command(name="delete", epilog=examples("akjob delete reports/nightly"))
@click.argument("job", metavar="JOB")
def command(job: str) -> None:
    """Remove a job's file. A run that is under way goes on to its end; the ledger keeps the job's history."""
    paths = find_paths()
    path = job_file(paths, job)
    path.unlink()
    click.echo(f"removed {path.relative_to(paths.root)}")
    dills = [file for file in (path.with_suffix(".dill"), path.with_suffix(".dill.json")) if file.is_file()]
    for file in dills:
        click.echo(f"  {file.relative_to(paths.root)} is left; remove it if no other job uses it", err=True)
