"""What a job's process sends, made a line of the log: checked, and given the four keys that only akjob sets.

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

from _json import make_scanner

_LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})
_RESERVED = ("source", "job", "run", "seq")
_STAMP = 42
"""Bytes of ``{"timestamp":"2026-03-29T01:00:00.000000Z"``."""


def wrap(message: bytes, prefix: bytes) -> bytes | None:
    """Return a message as a finished line with its newline, or None if it is not one.

    ``prefix`` is ``"source":"job","job":"…","run":"…","seq":N``; it is behind the timestamp. A message is one
    JSON object on one line, valid UTF-8, with texts as ``timestamp`` (as the log writes them), ``level`` (one of the
    five) and ``event``, and without the keys of the prefix. The caller logs anything else as output.
    """
    if not message.startswith(b'{"timestamp":"') or message[_STAMP : _STAMP + 1] != b"," or b"\n" in message:
        return None
    try:
        text = message.decode("utf-8")
        fields, end = _scan(text, 0)
    except (ValueError, StopIteration, RecursionError):
        return None
    if end != len(text) or type(fields) is not dict or not _is_message(fields):
        return None
    if b"\\ud" in message.lower() and not _is_text(fields):
        return None
    return b"%b,%b%b\n" % (message[:_STAMP], prefix, message[_STAMP:])


def _is_message(fields: dict[str, object]) -> bool:
    for key in _RESERVED:
        if key in fields:
            return False
    stamp = fields["timestamp"]
    if type(stamp) is not str or stamp[10:11] != "T" or stamp[19:20] != "." or stamp[-1:] != "Z":
        return False
    return fields.get("level") in _LEVELS and type(fields.get("event")) is str


def _is_text(value: object) -> bool:
    """Return whether no string in it holds half a surrogate pair, which JSON can write and UTF-8 cannot."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return False
        return True
    if isinstance(value, dict):
        return all(_is_text(key) and _is_text(item) for key, item in value.items())
    return not isinstance(value, list) or all(_is_text(item) for item in value)


def _no_constant(name: str) -> object:
    raise ValueError(name)  # NaN and the infinities are not JSON


class _Settings:
    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_no_constant)


_scan = make_scanner(_Settings())  # type: ignore[arg-type]
