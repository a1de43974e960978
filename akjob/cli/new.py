"""``akjob new``: a commented skeleton of a job file."""

import os

import click

from akjob.cli.common import examples, find_paths
from akjob.errors import AkjobError, UsageError
from akjob.jobset.scan import has_original, leftover, name_problem
from akjob.query.names import name_of_file
from akjob.schedule.events import EVENTS
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
@click.option("--full", is_flag=True, help="Write every key, as a comment with its meaning.")
def command(job: str, dotted: str | None, shell: str | None, *, full: bool) -> None:
    """Write a commented skeleton of a job to jobs.d/JOB.toml. Never overwrites. It has no schedule yet."""
    if dotted is not None and shell is not None:
        raise click.UsageError("Give one of --callable and --command.")
    paths = find_paths()
    name = name_of_file(job)
    problem = name_problem(f"{name}.toml", f"jobs.d/{name}.toml")
    if problem is not None:
        raise UsageError(problem.message, hint=problem.hint)
    path = paths.jobs_d / f"{name}.toml"
    if has_original(str(path)):
        problem = leftover(str(path), f"jobs.d/{name}.toml")
        raise UsageError(f"{problem.file} would not be a job: {problem.message}", hint="Choose another name.")
    schema = os.path.relpath(paths.etc / "job.schema.json", path.parent)
    code = (
        f"callable = {value_text(dotted)}" if dotted is not None else f"command = {value_text(shell or 'echo hello')}"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(full_text(schema, code) if full else _SKELETON.format(schema=schema, code=code, name=name))
    except FileExistsError:
        message = f"{path.relative_to(paths.root)} already exists"
        raise AkjobError(message, hint="Choose another name, or edit that file.") from None
    click.echo(f"wrote {path.relative_to(paths.root)}")


def full_text(schema: str, code: str) -> str:
    """Return a job file with every key, commented but for the code to run."""
    from akjob.query.reference import entries
    from akjob.spec.job import CODE, SECTIONS

    lines = [f"#:schema {schema}", "# Every key, with its meaning. `akjob help KEY` shows more.", "", code, ""]
    for entry in entries():
        above, _, name = entry.name.rpartition(".")
        if entry.kind != "key" or above not in {"", *SECTIONS} or name in CODE or name in _OWN_TABLES:
            continue
        if name in SECTIONS and not above:
            lines += [f"[{name}]  # {entry.summary}", ""]
            continue
        lines += [f"# {entry.summary}", f"# {name} = {_EXAMPLES[entry.name]}", ""]
    return "\n".join([*lines, *_TABLES]) + "\n"


_EXAMPLES = {
    "description": '"Mail the EMEA sales report"',
    "enabled": "false",
    "tags": '["billing"]',
    "owner": '"team-sales"',
    "runbook": '"https://example.org/runbooks/sales"',
    "args": '["emea"]',
    "kwargs": "{ dry_run = false }",
    "schedule.timezone": '"Europe/Berlin"',
    "schedule.at": "2030-01-01T00:00:00",
    "schedule.every": '"15m"',
    "schedule.anchor": "2030-01-01T00:05:00",
    "schedule.again_after": '"2h"',
    "schedule.daily": "02:30:00",
    "schedule.weekly": '{ days = ["mon", "thu"], at = 09:30:00 }',
    "schedule.monthly": '{ days = [1, -1, "first mon"], at = 06:00:00 }',
    "schedule.cron": '"*/5 8-18 * * mon-fri"',
    "schedule.workdays": '"holidays"',
    **{f"schedule.{event.key}": event.example for event in EVENTS.values()},
    "schedule.jitter": '"5m"',
    "limits.hours": "{ from = 06:00:00, until = 22:00:00 }",
    "limits.weekdays": '["mon-fri"]',
    "limits.month_days": "[1, -1]",
    "limits.months": '["jan", 2]',
    "limits.dates": "{ first = 2030-01-01, last = 2030-12-31 }",
    "limits.except_dates": "[2030-12-24]",
    "limits.not_on": '["holidays"]',
    "limits.only_on": '["workdays"]',
    "limits.runs": "10",
    "limits.when_done": '"delete"',
    "run.timeout": '"1h"',
    "run.stop_signal": '"TERM"',
    "run.kill_after": '"10s"',
    "run.stop_at": "06:00:00",
    "run.overlap": '"queue"',
    "run.lock": '"db"',
    "run.pool": '"db"',
    "run.missed": '"latest"',
    "run.missed_within": '"1h"',
    "run.retry": '{ attempts = 3, delay = "30s", factor = 2.0, codes = [75] }',
    "run.success_codes": "[0, 3]",
    "run.user": '"backup"',
    "run.group": '"backup"',
    "run.umask": '"0022"',
    "run.nice": "10",
    "run.ionice": '"best-effort:7"',
    "run.cwd": '"work"',
    "run.env": '{ LANG = "C.UTF-8", TOKEN = { file = "/run/secrets/token" } }',
    "run.env_file": '["etc/job.env", { file = "local.env", optional = true }]',
    "run.path": '["bin"]',
    "run.resources": '{ memory = "512MiB", cpu = "10m", open_files = 1024, file_size = "1GB", processes = 50 }',
    "run.interpreter": '"venv/bin/python"',
    "run.setup": '["django:setup"]',
    "run.lead": '"2s"',
    "run.output_limit": '"100MiB"',
    "run.where": '"any"',
    "run.needs": '["gpu"]',
    "run.on_partition": '"stop"',
    "notify.channels": '["ops"]',
    "notify.on": '["failed", "recovered", "missed"]',
    "notify.after": "2",
    "notify.late_after": '"1m"',
    "notify.long_after": '"auto"',
    "notify.repeat": '"24h"',
    "notify.lines": "30",
    "notify.ping": '"https://hc.example.org/UUID"',
}
_OWN_TABLES = ("expect", "instances")
_TABLES = (
    "# What the author means by the schedule; `akjob validate` and akjobd check it.",
    "# [[expect]]",
    "# fires = 2030-01-07T09:30:00",
    '# never_on = ["sat", "sun"]',
    "",
    "# One job for each table, JOB@NAME; it may have any key.",
    "# [instances.emea]",
    '# kwargs = { region = "emea" }',
)
