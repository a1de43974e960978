"""Values of a job as JSON, whatever they are. Runs in the job's process, so it imports next to nothing."""

from __future__ import annotations

from _json import encode_basestring

from akjob.log.line.head import head

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_MESSAGE = 192 * 1024
"""Bytes of the longest message: one datagram to the shim, so that no other process can cut into it."""

RESERVED = frozenset({"source", "job", "run", "seq", "timestamp", "level", "event", "logger"})
"""Keys that a job's fields cannot set; a field of that name gets an underscore behind it."""

LEVELS = ("debug", "info", "warning", "error", "critical")

_DEEPEST = 20
_CUT = 4096
_CUT_ITEMS = 100


def text(value: str) -> str:
    """Return a JSON string. Half surrogate pairs, as ``os.fsdecode`` makes them, are written as backslash escapes."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        value = value.encode("utf-8", "backslashreplace").decode("utf-8")
    return encode_basestring(value)


def encode(value: object, depth: int = 0, cut: int = 0) -> str:  # noqa: C901 - one case a type
    """Return a value as JSON; what JSON has no word for by its ``repr``.

    With ``cut``, texts longer than that and lists longer than a hundred are cut.
    """
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    try:
        if isinstance(value, str):
            return text(value[:cut] + "…" if cut and len(value) > cut else value)
        if isinstance(value, int):
            return int.__repr__(value)
        if isinstance(value, float):
            return float.__repr__(value) if value - value == 0 else text(float.__repr__(value))
        if depth < _DEEPEST:
            if isinstance(value, dict):
                pairs = list(value.items())[: _CUT_ITEMS if cut else None]
                return "{" + ",".join([f"{text(_key(k))}:{encode(v, depth + 1, cut)}" for k, v in pairs]) + "}"
            if isinstance(value, (list, tuple)):
                items = value[: _CUT_ITEMS if cut else None]
                return "[" + ",".join([encode(item, depth + 1, cut) for item in items]) + "]"
        shown = repr(value)
        return text(shown[:cut] + "…" if cut and len(shown) > cut else shown)
    except Exception as error:  # noqa: BLE001 - a value that cannot even be shown must not cost the line
        return text(f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>")


def _key(key: object) -> str:
    return key if isinstance(key, str) else repr(key)


def message(stamp: str, level: str, event: object, logger: str | None, fields: Mapping[str, object]) -> bytes:
    """Return one message for the shim: a JSON object, its reserved keys first, at most MAX_MESSAGE bytes.

    What is longer is cut, and has ``"truncated": true``.
    """
    for cut in (0, _CUT, _CUT // 16):
        data = _message(stamp, level, event, logger, fields, cut)
        if len(data) <= MAX_MESSAGE:
            return data
    return _message(stamp, level, event, logger, {}, _CUT)


def _message(  # noqa: PLR0913, PLR0917 - what a message has
    stamp: str, level: str, event: object, logger: str | None, fields: Mapping[str, object], cut: int
) -> bytes:
    what = event if isinstance(event, str) else _shown(event)
    parts = [head(stamp, level, encode(what, 0, cut))]
    if logger:
        parts.append(f'"logger":{encode(logger, 0, cut or _CUT)}')
    seen = {*RESERVED, "truncated"} if cut else set(RESERVED)
    for key, value in fields.items():
        name = _key(key)
        while name in seen:
            name += "_"
        seen.add(name)
        parts.append(f"{text(name)}:{encode(value, 1, cut)}")
    if cut:
        parts.append('"truncated":true')
    return (",".join(parts) + "}").encode("utf-8")


def _shown(event: object) -> str:
    try:
        return str(event)
    except Exception as error:  # noqa: BLE001 - as in encode
        return f"<{type(event).__name__} that cannot be shown: {type(error).__name__}>"
