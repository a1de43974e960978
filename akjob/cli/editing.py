"""What the commands that change a job's file share."""

from pathlib import Path

import click

from akjob.cli.common import find_paths
from akjob.config import Paths
from akjob.jobset.names import INSTANCE, file_of
from akjob.jobset.scan import is_job_path
from akjob.query.names import has_file, names_meant, unknown_job


def job_file(paths: Paths, wanted: str) -> tuple[Path, str]:
    """Return the file of a job, be it broken, and the instance in it that is meant, or an empty string.

    Raises AkjobError (exit code 2) where there is no such file.
    """
    for name in names_meant(paths, wanted):
        if has_file(paths, name):
            return paths.jobs_d / file_of(name), name.partition(INSTANCE)[2]
    names = sorted(str(path.relative_to(paths.jobs_d))[: -len(".toml")] for path in paths.jobs_d.rglob("*.toml"))
    raise unknown_job(wanted, [name for name in names if is_job_path(f"{name}.toml")])


def set_enabled(wanted: str, *, value: bool) -> None:
    """Set ``enabled`` in a job's file; comments and order stay. Says what was done."""
    from akjob.spec import edit_file, edit_instance

    paths = find_paths()
    path, instance = job_file(paths, wanted)
    if instance:
        edit_instance(path, instance, {"enabled": value})
    else:
        edit_file(path, {"enabled": value})
    where = f"[instances.{instance}] " if instance else ""
    click.echo(f"{path.relative_to(paths.root)}: {where}enabled = {'true' if value else 'false'}")
