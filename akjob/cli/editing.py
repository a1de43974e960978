"""What the commands that change a job's file share."""

from pathlib import Path

import click

from akjob.cli.common import find_paths
from akjob.config import Paths
from akjob.jobset.scan import is_job_path
from akjob.query.names import has_file, names_meant, unknown_job


def job_file(paths: Paths, wanted: str) -> Path:
    """Return the file of a job, be it broken. Raises AkjobError (exit code 2) where there is none."""
    for name in names_meant(paths, wanted):
        if has_file(paths, name):
            return paths.jobs_d / f"{name}.toml"
    names = sorted(str(path.relative_to(paths.jobs_d))[: -len(".toml")] for path in paths.jobs_d.rglob("*.toml"))
    raise unknown_job(wanted, [name for name in names if is_job_path(f"{name}.toml")])


def set_enabled(wanted: str, *, value: bool) -> None:
    """Set ``enabled`` in a job's file; comments and order stay. Says what was done."""
    from akjob.spec import edit_file

    paths = find_paths()
    path = job_file(paths, wanted)
    edit_file(path, {"enabled": value})
    click.echo(f"{path.relative_to(paths.root)}: enabled = {'true' if value else 'false'}")
