"""``akjob new``: a commented skeleton of a job file."""

import os

import click

from akjob.cli.common import examples, find_paths
from akjob.errors import AkjobError, UsageError
from akjob.jobset.scan import name_problem
from akjob.query.names import name_of_file
from akjob.spec.canonical import value_text

_SKELETON = """\
#:schema {schema}
description = ""
# enabled = false
# tags = ["nightly"]

# What to run: exactly one of callable, command, dill.
{code}
# args   = ["emea"]
# kwargs = {{ dry_run = false }}

# When: the union of all triggers given. Without any it runs by hand only: akjob run {name}
[schedule]
# timezone = "Europe/Berlin"
# daily    = 02:30:00
# weekly   = {{ days = ["mon", "thu"], at = 09:30:00 }}
# monthly  = {{ days = [1, -1, "first mon"], at = 06:00:00 }}
# every    = "15m"
# cron     = "*/5 8-18 * * mon-fri"
# at       = 2030-01-01T00:00:00

# When it may run although it is due: all must allow it.
# [limits]
# hours    = {{ from = 06:00:00, until = 22:00:00 }}
# weekdays = ["mon", "tue", "wed", "thu", "fri"]
# runs     = 10

# [run]
# timeout = "1h"
# overlap = "skip"      # or "queue", "replace", "allow"
# missed  = "latest"    # or "skip", "all"
# retry   = {{ attempts = 3, delay = "30s" }}
# env     = {{ TOKEN = {{ file = "/run/secrets/token" }} }}
"""


@click.command(
    name="new",
    epilog=examples(
        "akjob new reports/nightly --callable reports.sales:send", "akjob new cleanup --command 'rm -rf tmp/*'"
    ),
)
@click.argument("job", metavar="JOB")
@click.option("--callable", "dotted", metavar="PKG.MOD:NAME", help="The Python callable that it runs.")
@click.option("--command", "shell", metavar="TEXT", help="The shell command that it runs.")
def command(job: str, dotted: str | None, shell: str | None) -> None:
    """Write a commented skeleton of a job to jobs.d/JOB.toml. Never overwrites. It has no schedule yet."""
    if dotted is not None and shell is not None:
        raise click.UsageError("Give one of --callable and --command.")
    paths = find_paths()
    name = name_of_file(job)
    problem = name_problem(f"{name}.toml", f"jobs.d/{name}.toml")
    if problem is not None:
        raise UsageError(problem.message, hint=problem.hint)
    path = paths.jobs_d / f"{name}.toml"
    schema = os.path.relpath(paths.etc / "job.schema.json", path.parent)
    code = (
        f"callable = {value_text(dotted)}" if dotted is not None else f"command = {value_text(shell or 'echo hello')}"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_SKELETON.format(schema=schema, code=code, name=name))
    except FileExistsError:
        message = f"{path.relative_to(paths.root)} is there already"
        raise AkjobError(message, hint="Choose another name, or edit that file.") from None
    click.echo(f"wrote {path.relative_to(paths.root)}")
