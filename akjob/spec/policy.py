"""The keys of ``[run]``, and how they become a :class:`~akjob.spec.model.RunPolicy`."""

import re
from typing import Any

from akjob.config.secrets import SecretFile
from akjob.keys import values
from akjob.keys.key import Key, fields, keys, register_home
from akjob.keys.schemas import DURATION, SIZE, TIME, one_or_some, some, table_schema
from akjob.keys.values import Reading
from akjob.spec.model import EnvFile, Resources, Retry
from akjob.toml.faults import dotted
from akjob.toml.near import did_you_mean
from akjob.toml.scan import Path

_SECOND_US = 1_000_000
_VARIABLE_IN = re.compile(r"\$[A-Z_][A-Z0-9_]*\b|\$\{[A-Za-z_]")
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# akjob sets these itself, so a job that set them would see two values.
RESERVED = frozenset(
    f"AKJOB_{name}"
    for name in (
        *("JOB", "RUN", "SLOT", "ATTEMPT", "ROOT", "TRIGGER", "SLOT_LOCAL", "PREVIOUS_SLOT", "INSTANCE"),
        *("AFTER_JOB", "AFTER_RUN", "CHANGED_FILE"),
    )
)


def _retry(value: Any, path: Path, out: Reading) -> Retry | None:
    if type(value) is int:
        out.wrong_type(path, "a table", value, f"write {{ attempts = {value + 1} }}: {value} more after the first")
        return None
    if not values.table(value, path, out, 'write { attempts = 3, delay = "30s" }'):
        return None
    errors = out.errors
    found = fields(value, path, out, RETRY)
    if errors != out.errors:
        return None
    if value and found.get("attempts", 1) == 1:
        message = f"`{dotted(path)}` has one attempt in all, so nothing is tried again"
        if len(value) > 1 or "attempts" not in value:
            out.bad(path, "no-effect", message, "write attempts = 2 or more", severity="warning")
    return Retry(**found)


def _codes(value: object, path: Path, out: Reading) -> tuple[int, ...] | None:
    read = values.integer(0, 255)
    if type(value) is not list:
        out.wrong_type(path, "an array of exit codes", value, f"write [{values.shown(value)}]")
        return None
    if not value:
        out.bad(path, "empty-list", f"`{dotted(path)}` is an empty array", "write [0], or remove the key")
        return None
    found = [read(item, (*path, index), out) for index, item in enumerate(value)]
    values.once(value, path, out)
    return None if None in found else tuple(dict.fromkeys(code for code in found if code is not None))


def _env_files(value: object, path: Path, out: Reading) -> tuple[EnvFile, ...] | None:
    """Read one file of variables, or an array of them; each a string or a table."""
    if type(value) is not list:
        one = _env_file(value, path, out)
        return None if one is None else (one,)
    if not value:
        out.bad(path, "empty-list", f"`{dotted(path)}` is an empty array", "fill it, or remove the key")
        return None
    found = [_env_file(item, (*path, index), out) for index, item in enumerate(value)]
    values.once(value, path, out)
    return None if None in found else tuple(file for file in found if file is not None)


def _env_file(value: object, path: Path, out: Reading) -> EnvFile | None:
    if type(value) is dict:
        errors = out.errors
        found = fields(value, path, out, ENV_FILE)
        values.check_required(value, path, out, ("file",))
        return EnvFile(**found) if errors == out.errors else None
    if type(value) is str:
        file = values.place(value, path, out)
        return None if file is None else EnvFile(file)
    out.wrong_type(path, "a string or { file = …, optional = true }", value, 'write "etc/NAME.env"')
    return None


_IONICE = ("idle", *(f"best-effort:{level}" for level in range(8)))


def _ionice(value: object, path: Path, out: Reading) -> str | None:
    if type(value) is not str:
        out.wrong_type(path, '"idle" or "best-effort:N"', value, 'write "idle", or "best-effort:0" to "best-effort:7"')
        return None
    if value in _IONICE:
        return value
    hint = 'write "idle", or "best-effort:0" (first) to "best-effort:7" (last)'
    out.bad(path, "bad-value", f'`{dotted(path)}` cannot be "{value}"', hint)
    return None


def _where(value: object, path: Path, out: Reading) -> str | None:
    if type(value) is not str:
        out.wrong_type(path, 'one of "any", "every", "node:NAME"', value)
        return None
    if value in {"any", "every"} or (value.startswith("node:") and _NODE.fullmatch(value[5:])):
        return value
    guess = did_you_mean(value, ("any", "every"), '"')
    hint = 'one of "any", "every", "node:NAME"' + (f': write "node:{value}"' if not guess else "")
    out.bad(path, "bad-value", f'`{dotted(path)}` cannot be "{value}"{guess}', hint)
    return None


def _folders(value: object, path: Path, out: Reading) -> tuple[str, ...] | None:
    """Read folders for PATH."""
    if type(value) is str:
        parts = ", ".join(f'"{part}"' for part in value.split(":") if part and part != "$PATH")
        out.wrong_type(path, "an array of folders", value, f"write [{parts}]; they are put in front of PATH")
        return None
    found = values.texts(value, path, out)
    for index, folder in enumerate(found or ()):
        if type(folder) is str and (":" in folder or "$" in folder or folder.startswith("~")):
            what = "a folder with a colon cannot be in PATH" if ":" in folder else "nothing is expanded in it"
            hint = "write each folder as a string of its own" if ":" in folder else "write the folder's full path"
            out.bad((*path, index), "bad-value", f'`{dotted((*path, index))}` is "{folder}": {what}', hint)
    return found


def _env(value: Any, path: Path, out: Reading) -> dict[str, str | SecretFile] | None:
    if not values.table(value, path, out, 'write { NAME = "value" }'):
        return None
    found: dict[str, str | SecretFile] = {}
    for name, item in value.items():
        if not _VARIABLE.fullmatch(name):
            meant = re.sub(r"[^A-Za-z0-9_]", "_", name)
            hint = f"write {meant}" if _VARIABLE.fullmatch(meant) else "letters, digits and _, no digit first"
            out.bad((*path, name), "bad-env", f"`{name}` cannot be the name of a variable", hint, at_key=True)
        elif name in RESERVED:
            out.bad((*path, name), "reserved-env", f"`{name}` is set by akjob itself", "remove it", at_key=True)
        elif name.startswith("SUPERVISOR_"):
            message = f"`{name}` tells a program that supervisord runs it, which a job is not"
            out.bad((*path, name), "reserved-env", message, "remove it", severity="warning", at_key=True)
        found[name] = _variable(item, (*path, name), out)  # type: ignore[assignment]
    return found


def _variable(value: object, path: Path, out: Reading) -> str | SecretFile | None:
    """Read the value of one variable: a string, or the file that holds it."""
    if type(value) is str:
        if "\0" not in value:
            _check_literal(value, path, out)
            return value
        out.bad(path, "bad-env", f"`{dotted(path)}` has a NUL character in it", "remove it")
    elif type(value) is dict:
        found = fields(value, path, out, SECRET)
        values.check_required(value, path, out, ("file",))
        return SecretFile(found["file"]) if found.get("file") else None
    else:
        hint = f'write "{values.shown(value)}"' if type(value) in {int, float, bool} else ""
        out.wrong_type(path, "a string or { file = … }", value, hint)
    return None


def _check_literal(value: str, path: Path, out: Reading) -> None:
    """Warn of a value that looks as if a shell would expand it: here nothing does."""
    if _VARIABLE_IN.search(value) is None:
        return
    message = f"`{dotted(path)}` is taken literally: nothing is expanded in it"
    hint = "write the value in full"
    if path[-1] == "PATH":
        folders = [f'"{part}"' for part in value.split(":") if part and "$" not in part]
        hint = f"write path = [{', '.join(folders)}] below [run]: folders that are put in front of PATH"
    out.bad(path, "literal-variable", message, hint, severity="warning")


def _resources(value: Any, path: Path, out: Reading) -> Resources | None:
    if not values.table(value, path, out, 'write { memory = "512MiB" }'):
        return None
    errors = out.errors
    found = fields(value, path, out, RESOURCES)
    return Resources(**found) if errors == out.errors else None


_TEXT = {"type": "string", "minLength": 1}
_ACCOUNT = {"anyOf": [_TEXT, {"type": "integer", "minimum": 0}]}
_COUNT = {"type": "integer", "minimum": 1}
_CODES_SCHEMA = some({"type": "integer", "minimum": 0, "maximum": 255})

RETRY = keys(
    Key("attempts", values.integer(1, 10**6), "attempts", "Attempts in all, the first one included.", _COUNT, 1),
    Key("delay", values.duration(), "delay_us", "Wait this long before the second attempt.", DURATION, "0s"),
    Key(
        "factor",
        values.number(1.0),
        "factor",
        "Each later wait is this many times the one before.",
        {"type": "number", "minimum": 1},
        1.0,
    ),
    Key("max_delay", values.duration(), "max_delay_us", "No wait is longer than this.", DURATION),
    Key("codes", _codes, "codes", "Try a failed run again only after one of these exit codes.", _CODES_SCHEMA),
)
RESOURCES = keys(
    Key("memory", values.size(1), "memory", "Memory of the run, all its processes together where cgroups allow.", SIZE),
    Key("cpu", values.duration(_SECOND_US), "cpu_us", "CPU time, at least 1s.", DURATION),
    Key("open_files", values.integer(1, 2**31 - 1), "open_files", "Open files.", _COUNT),
    Key("file_size", values.size(), "file_size", "Size of a file that it writes.", SIZE),
    Key("processes", values.integer(1, 2**31 - 1), "processes", "Processes and threads.", _COUNT),
)
SECRET = keys(
    Key("file", values.place, "file", "Read at the run's start; one newline at its end is cut.", _TEXT),
)
ENV_FILE = keys(
    Key("file", values.place, "file", "The file, relative to the root.", _TEXT),
    Key("optional", values.boolean, "optional", "The file may be missing.", {"type": "boolean"}, False),
)
RUN = keys(
    Key(
        "timeout",
        values.duration_or_none,
        "timeout_us",
        'After this long the run is ended; "none" for no limit.',
        {"anyOf": [DURATION, {"const": "none"}]},
        "1h",
    ),
    Key(
        "stop_signal",
        values.signal_name,
        "stop_signal",
        "The signal that asks a run to end.",
        {"type": "string", "pattern": "^(SIG)?[A-Z][A-Z0-9]*$", "examples": ["TERM", "INT"]},
        "TERM",
    ),
    Key("kill_after", values.duration(), "kill_after_us", "Time from that signal to SIGKILL.", DURATION, "10s"),
    Key("stop_at", values.time_of_day, "stop_at", "A run that is still going at this local time is ended.", TIME),
    Key(
        "overlap",
        values.choice("skip", "queue", "replace", "allow"),
        "overlap",
        "A slot while the last run still runs: skip it, queue one, replace the run, or allow both.",
        {"enum": ["skip", "queue", "replace", "allow"]},
        "skip",
    ),
    Key("lock", values.text, "lock", "Of all jobs with this lock one runs at a time.", _TEXT),
    Key(
        "pool", values.text, "pool", "The pool of etc/akjob.toml that limits how many of its jobs run at a time.", _TEXT
    ),
    Key(
        "missed",
        values.choice("skip", "latest", "all"),
        "missed",
        "Slots that passed while akjobd was down or asleep: skip them, run the latest, or all (at most 100).",
        {"enum": ["skip", "latest", "all"]},
        "latest",
    ),
    Key(
        "missed_within",
        values.duration(),
        "missed_within_us",
        "Slots older than this are missed for good.",
        DURATION,
        "1h",
    ),
    Key(
        "retry",
        _retry,
        "retry",
        "Try again when a run failed, timed out or was lost.",
        table_schema(RETRY),
        {"attempts": 1},
    ),
    Key(
        "success_codes",
        _codes,
        "success_codes",
        "Exit codes of a command that mean success.",
        _CODES_SCHEMA,
        [0],
    ),
    Key("user", values.account, "user", "Run as this user, with its groups; only root may say so.", _ACCOUNT),
    Key("group", values.account, "group", "Run with this group.", _ACCOUNT),
    Key(
        "umask",
        values.umask,
        "umask",
        "The umask, octal.",
        {"type": "string", "pattern": "^0?[0-7]{3}$"},
        "0022",
    ),
    Key(
        "nice",
        values.integer(-20, 19),
        "nice",
        "The nice value, -20 to 19.",
        {"type": "integer", "minimum": -20, "maximum": 19},
    ),
    Key(
        "ionice",
        _ionice,
        "ionice",
        "The class of disk access: idle, or best-effort with a level.",
        {"enum": list(_IONICE)},
    ),
    Key("cwd", values.place, "cwd", "The working folder, relative to the root; else the root.", _TEXT),
    Key(
        "env",
        _env,
        "env",
        "Variables of the environment; a value may be { file = … }.",
        {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": {"anyOf": [{"type": "string"}, table_schema(SECRET, ("file",))]},
        },
    ),
    Key(
        "env_file",
        _env_files,
        "env_files",
        "Files of variables, in systemd's form; later ones win, and env wins over all.",
        one_or_some({"anyOf": [_TEXT, table_schema(ENV_FILE, ("file",))]}),
    ),
    Key("path", _folders, "path", "Folders that are put in front of PATH.", some(_TEXT)),
    Key("resources", _resources, "resources", "Limits of one run.", table_schema(RESOURCES)),
    Key(
        "interpreter",
        values.place,
        "interpreter",
        "Another Python for `callable` and `dill`, such as another project's venv.",
        _TEXT,
    ),
    Key(
        "setup",
        values.targets,
        "setup",
        'Dotted callables that are called first, such as "django:setup".',
        some(_TEXT),
    ),
    Key(
        "lead",
        values.duration(),
        "lead_us",
        "Fork this much ahead, import the code, then wait for the slot.",
        DURATION,
    ),
    Key(
        "output_limit",
        values.size(),
        "output_limit",
        "A run's output beyond this is counted and not kept.",
        SIZE,
        "100MiB",
    ),
    Key(
        "where",
        _where,
        "where",
        "On one node of a cluster, on every node, or on this one.",
        {"anyOf": [{"enum": ["any", "every"]}, {"type": "string", "pattern": "^node:.+"}]},
        "any",
    ),
    Key("needs", values.texts, "needs", "Tags that the node must have.", some(_TEXT)),
    Key(
        "on_partition",
        values.choice("stop", "continue"),
        "on_partition",
        "A node that is cut off from the others: end the run before another node may start it, or let it go on.",
        {"enum": ["stop", "continue"]},
        "stop",
    ),
)
register_home("[run]", RUN)
