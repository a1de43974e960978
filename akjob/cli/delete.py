"""``akjob delete``: remove a job's file."""

import click

from akjob.cli.common import examples, find_paths
from akjob.cli.editing import job_file
from akjob.spec import delete_instance


@click.command(name="delete", epilog=examples("akjob delete reports/nightly"))
@click.argument("job", metavar="JOB")
def command(job: str) -> None:
    """Remove a job's file, or an instance from its file.

    A run that is under way goes on to its end; the ledger keeps the job's history.
    """
    paths = find_paths()
    path, instance = job_file(paths, job)
    if instance:
        delete_instance(path, instance)
        click.echo(f"removed {instance} from the instances of {path.relative_to(paths.root)}")
        return
    path.unlink()
    click.echo(f"removed {path.relative_to(paths.root)}")
    dills = [file for file in (path.with_suffix(".dill"), path.with_suffix(".dill.json")) if file.is_file()]
    for file in dills:
        click.echo(f"  {file.relative_to(paths.root)} is left; remove it if no other job uses it", err=True)
