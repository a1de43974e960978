"""The keys of ``[notify]``: which messages about a job are sent, and where."""

from typing import Any
from urllib.parse import urlsplit

from akjob.config.secrets import SecretFile
from akjob.keys import values
from akjob.keys.key import Key, fields, keys
from akjob.keys.schemas import DURATION, some, table_schema
from akjob.keys.values import Reading
from akjob.spec.model import TOLD, Notify, Ping
from akjob.spec.policy import SECRET
from akjob.toml.faults import dotted
from akjob.toml.near import did_you_mean
from akjob.toml.scan import Path

KINDS = ("failed", "timed_out", "lost", "recovered", "missed", "late", "long", "broken", "skipped", "cancelled",
         "succeeded", "repaired")  # fmt: skip
"""What ``on`` may hold."""


def url(value: object, path: Path, out: Reading) -> str | None:
    """Read an http or https URL."""
    found = values.text(value, path, out)
    if found is None or _is_url(found):
        return found
    out.bad(path, "bad-value", f'`{dotted(path)}` is "{found}", which is not a URL', 'write "https://…"')
    return None


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and " " not in text
    except ValueError:
        return False


def _kinds(value: object, path: Path, out: Reading) -> frozenset[str] | None:
    found = values.tags(value, path, out)
    for index, kind in enumerate(found or ()):
        if type(kind) is str and kind not in KINDS:
            where = (*path, index)
            listed = ", ".join(f'"{name}"' for name in KINDS)
            guess = did_you_mean(kind, KINDS, '"')
            out.bad(where, "bad-value", f'`{dotted(where)}` cannot be "{kind}"{guess}', f"one of {listed}")
    return None if found is None else frozenset(found)


def _long_after(value: object, path: Path, out: Reading) -> int | None:
    return None if value == "auto" and type(value) is str else _AT_LEAST_A_SECOND(value, path, out)


def _ping(value: Any, path: Path, out: Reading) -> Ping | None:
    if type(value) is str:
        found = url(value, path, out)
        return None if found is None else Ping(url=found)
    if not values.table(value, path, out, 'write "https://…" or { url = { file = "…" } }'):
        return None
    errors = out.errors
    read = fields(value, path, out, PING)
    values.check_required(value, path, out, ("url",))
    return Ping(**read) if errors == out.errors else None


def _ping_url(value: object, path: Path, out: Reading) -> str | SecretFile | None:
    if type(value) is not dict:
        return url(value, path, out)
    found = fields(value, path, out, SECRET)
    values.check_required(value, path, out, ("file",))
    return SecretFile(found["file"]) if found.get("file") else None


_AT_LEAST_A_SECOND = values.duration(1_000_000)
_URL = {"type": "string", "format": "uri", "pattern": "^https?://"}
_COUNT = {"type": "integer", "minimum": 1}
_URL_OR_FILE = {"anyOf": [_URL, table_schema(SECRET, ("file",))]}
PING = keys(
    Key("url", _ping_url, "url", "The check's address, or the file that holds it.", _URL_OR_FILE),
    Key(
        "style",
        values.choice("healthchecks", "cronitor", "url"),
        "style",
        "How start, success and failure are reported.",
        {"enum": ["healthchecks", "cronitor", "url"]},
        "healthchecks",
    ),
)
NOTIFY = keys(
    Key(
        "channels",
        values.tags,
        "channels",
        "Names of [channels] in etc/akjob.toml that get messages; an empty array: none.",
        {"type": "array", "items": {"type": "string", "minLength": 1}},
        [],
    ),
    Key(
        "on",
        _kinds,
        "on",
        "Which events are sent. `failed` covers `timed_out` and `lost` where these are not named.",
        some({"enum": list(KINDS)}) | {"minItems": 0},
        ["failed", "recovered", "missed", "late", "long", "broken"],
    ),
    Key("after", values.integer(1, 10**6), "after", "Send a message after this many failed slots in a row.", _COUNT, 1),
    Key(
        "late_after",
        values.duration(1_000_000),
        "late_after_us",
        "Send a message when a due run has not started for this long.",
        DURATION,
        "1m",
    ),
    Key(
        "long_after",
        _long_after,
        "long_after_us",
        'Send a message when a run takes longer than this; "auto" is three times the 95th percentile of its last runs.',
        {"anyOf": [{"const": "auto"}, DURATION]},
        "auto",
    ),
    Key(
        "repeat",
        values.duration_or_none,
        "repeat_us",
        'Send a reminder while the trouble lasts, this long after the last message; "none": send one only.',
        {"anyOf": [DURATION, {"const": "none"}]},
        "24h",
    ),
    Key(
        "lines",
        values.integer(0, 1000),
        "lines",
        "So many of the last lines of output are in a message.",
        {"type": "integer", "minimum": 0, "maximum": 1000},
        30,
    ),
    Key(
        "ping",
        _ping,
        "ping",
        "A service that gets each start and each end of a run.",
        {"anyOf": [_URL, table_schema(PING, ("url",))]},
    ),
)


def notify_table(notify: Notify) -> dict[str, Any]:
    """Return the table that reads back as ``notify``, without what says the same as its default."""
    from akjob.units import format_duration  # noqa: PLC0415 - only for files that are written

    default, table = Notify(), dict[str, Any]()
    write: dict[str, Any] = {
        "channels": list(notify.channels),
        "on": [kind for kind in KINDS if kind in notify.on],
        "after": notify.after,
        "late_after": format_duration(notify.late_after_us),
        "long_after": "auto" if notify.long_after_us is None else format_duration(notify.long_after_us),
        "repeat": "none" if notify.repeat_us is None else format_duration(notify.repeat_us),
        "lines": notify.lines,
        "ping": None if notify.ping is None else _ping_table(notify.ping),
    }
    for key in NOTIFY.values():
        if getattr(notify, key.field) != getattr(default, key.field):
            table[key.name] = write[key.name]
    return table


def _ping_table(ping: Ping) -> Any:
    address = {"file": ping.url.file} if isinstance(ping.url, SecretFile) else ping.url
    if ping.style == "healthchecks" and isinstance(address, str):
        return address
    return {"url": address} | ({} if ping.style == "healthchecks" else {"style": ping.style})


assert frozenset(KINDS) >= TOLD  # noqa: S101 - the default is one of what may be given
