"""A log line as a person reads it: time, job, level, what happened; tracebacks as Python shows them."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any

import msgspec

from akjob.errors import escape_control
from akjob.log.reading.failure_text import failure_text

_RESET, _DIM, _BOLD = "\x1b[0m", "\x1b[2m", "\x1b[1m"
_COLOURS = {
    "debug": _DIM,
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[1;31m",
}
_HEAD = frozenset({"timestamp", "level", "event", "source", "job", "run", "seq", "logger", "exception"})


def is_output(line: Mapping[str, object]) -> bool:
    """Return whether a line is what a run printed: a job may log what it likes, with this name for an event too."""
    return line.get("event") == "run.output" and line.get("source") == "run"


def render(line: dict[str, Any], colour: bool, zone: tzinfo | None = None) -> str:
    """Return lines of text without a newline at the end. Times are in ``zone``, by default the machine's.

    Control characters of what a job said are written out; ``--raw`` and ``--json`` give them as they are.
    """
    level = str(line.get("level", "info"))
    when = _time(str(line.get("timestamp", "")), zone)
    who = str(line.get("job") or line.get("source") or "")
    if is_output(line):
        text = _output(line)
        bar = "|" if line.get("stream") != "stderr" else "!"
        if colour:
            tint = "\x1b[31m" if bar == "!" else _DIM
            return f"{_DIM}{when}{_RESET} \x1b[36m{who}{_RESET} {tint}{bar}{_RESET} {text}"
        return f"{when} {who} {bar} {text}"
    what, rest = escape_control(str(line.get("event", ""))), _fields(line)
    if colour:
        head = (
            f"{_DIM}{when}{_RESET} \x1b[36m{who}{_RESET} {_COLOURS.get(level, '')}{level}{_RESET} {_BOLD}{what}{_RESET}"
        )
    else:
        head = f"{when} {who} {level} {what}"
    text = f"{head} {rest}" if rest else head
    failure = line.get("exception")
    return f"{text}\n{_visible_lines(_failure(failure))}" if isinstance(failure, dict) else text


def _failure(failure: dict[str, Any]) -> str:
    try:
        return failure_text(failure)
    except (AttributeError, IndexError, TypeError):  # a field of a job's own, of another shape
        return f"exception={_value(failure)}"


def _time(stamp: str, zone: tzinfo | None) -> str:
    try:
        moment = datetime.fromisoformat(stamp).astimezone(UTC if zone is None else zone)
    except ValueError:
        return stamp
    if zone is None:
        moment = moment.astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def _output(line: dict[str, Any]) -> str:
    if "base64" in line:
        return escape_control(base64.b64decode(line["base64"]).decode("utf-8", "backslashreplace"))
    return escape_control(str(line.get("line", "")).removesuffix("\r"))


def _fields(line: dict[str, Any]) -> str:
    event = str(line.get("event", ""))
    parts = []
    if line.get("logger"):
        parts.append(f"[{escape_control(str(line['logger']))}]")
    if line.get("run") and (event.startswith(("run.", "collector.")) and line.get("source") != "job"):
        parts.append(f"run={line['run']}")
    parts += [
        f"{escape_control(key)}={_value(value)}"
        for key, value in line.items()
        if key not in _HEAD and value is not None
    ]
    if line.get("exception") is not None and not isinstance(line["exception"], dict):
        parts.append(f"exception={_value(line['exception'])}")
    return " ".join(parts)


def _value(value: object) -> str:
    if isinstance(value, str):
        text = escape_control(value)
        return text if text and not any(c in text for c in ' "=') else msgspec.json.encode(value).decode()
    return escape_control(msgspec.json.encode(value).decode())


def _visible_lines(text: str) -> str:
    return "\n".join([escape_control(line) for line in text.split("\n")])
