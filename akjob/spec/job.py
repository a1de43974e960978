"""The keys of a job file at its top: what to run, and the tables that say when and how."""

from typing import Any

from akjob.keys import values
from akjob.keys.key import Key, fields, keys, register_home
from akjob.keys.schemas import some, table_schema
from akjob.keys.values import Reading
from akjob.schedule.cron import ALIASES
from akjob.spec import expect
from akjob.spec.model import Command, DillFile, DottedCallable
from akjob.spec.notify import NOTIFY, url
from akjob.spec.policy import RUN
from akjob.spec.when import LIMITS, SCHEDULE
from akjob.toml.scan import Path

_CRON_FIELDS = 5

CODE = ("callable", "dill", "command")


def _callable(value: object, path: Path, out: Reading) -> DottedCallable | None:
    name = values.target(value, path, out)
    return None if name is None else DottedCallable(name)


def _command(value: object, path: Path, out: Reading) -> Command | None:
    found = values.argv(value, path, out)
    return None if found is None else Command(*found)


def _dill(value: Any, path: Path, out: Reading) -> DillFile | None:
    if not values.table(value, path, out, 'write { file = "x.dill", sha256 = "…", python = "3.11" }'):
        return None
    errors = out.errors
    found = fields(value, path, out, DILL)
    values.check_required(value, path, out, DILL)
    return DillFile(**found) if errors == out.errors else None


def section(value: Any, path: Path, out: Reading) -> dict[str, Any] | None:
    """Read one of the tables, as it is: its keys are read when all defaults are known."""
    hint = f"write [{path[-1]}] on a line of its own"
    if type(value) is str and path == ("schedule",):
        is_cron = value.startswith("@") or len(value.split()) >= _CRON_FIELDS
        alias = f"@{value.lower()}"
        hint += f", and {'cron' if is_cron or alias in ALIASES else 'every'} = "
        hint += f'"{alias if alias in ALIASES else value}" below it'
    return value if values.table(value, path, out, hint) else None


DILL = keys(
    Key(
        "file", values.beside, "file", "The dill file, next to the TOML file.", {"type": "string", "pattern": "^[^/]+$"}
    ),
    Key(
        "sha256",
        values.sha256,
        "sha256",
        "The file's SHA-256, checked before it is loaded.",
        {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"},
    ),
    Key(
        "python",
        values.python_version,
        "python",
        "The minor version of Python that wrote the file.",
        {"type": "string", "pattern": "^3\\.[0-9]{1,2}$", "examples": ["3.11"]},
    ),
)
_TARGET_SCHEMA = {
    "type": "string",
    "pattern": "^[^\\s:.()/-]+(\\.[^\\s:.()/-]+)*(:[^\\s:.()/-]+(\\.[^\\s:.()/-]+)*)?$",
    "examples": ["reports.sales:send"],
}
TOP = keys(
    Key("description", values.any_text, "description", "What the job is for.", {"type": "string"}, ""),
    Key("enabled", values.boolean, "enabled", "False: the schedule is ignored.", {"type": "boolean"}, True),
    Key(
        "tags",
        values.tags,
        "tags",
        "Words for filters.",
        {"type": "array", "items": {"type": "string", "minLength": 1}},
        [],
    ),
    Key("owner", values.text, "owner", "Who is asked about the job.", {"type": "string", "minLength": 1}),
    Key(
        "runbook",
        url,
        "runbook",
        "A page that explains what to do when the job fails.",
        {"type": "string", "format": "uri", "pattern": "^https?://"},
    ),
    Key(
        "callable",
        _callable,
        "code",
        "`pkg.module:name.attr` or `pkg.module.name`, called with args and kwargs.",
        _TARGET_SCHEMA,
    ),
    Key(
        "dill",
        _dill,
        "code",
        "A pickled object with run(), or a callable, made by `akjob pack`.",
        table_schema(DILL, tuple(DILL)),
    ),
    Key(
        "command",
        _command,
        "code",
        "An argv, or a string for /bin/sh -c.",
        {"anyOf": [{"type": "string", "pattern": "\\S"}, some({"type": "string"})]},
    ),
    Key("args", values.any_array, "args", "Positional arguments of the callable.", {"type": "array"}, []),
    Key(
        "kwargs",
        values.any_table,
        "kwargs",
        "Named arguments of the callable.",
        {"type": "object", "additionalProperties": True},
        {},
    ),
    Key("expect", expect.read, "expect", "What the author means by the schedule: checked by validate.", expect.SCHEMA),
    Key("schedule", section, "schedule", "When the job runs: the union of all triggers given.", table_schema(SCHEDULE)),
    Key("limits", section, "limits", "When it may run: all given limits must allow it.", table_schema(LIMITS)),
    Key("run", section, "run", "How it runs.", table_schema(RUN)),
    Key("notify", section, "notify", "Which messages are sent about it, and where.", table_schema(NOTIFY)),
)
register_home("the top", TOP)
SECTIONS = {"schedule": SCHEDULE, "limits": LIMITS, "run": RUN, "notify": NOTIFY}
