"""What a file may hold at most: nothing that it says may make a program that reads it slow, or fail.

Tables and arrays lie within each other 64 deep at most, and integers have 64 bits, as TOML asks for.
"""

import re
from typing import Any

from msgspec import Struct

MOST_LEVELS = 64
MOST_DIGITS = 4_300  # of which Python makes an integer

_BRACKETS = re.compile(r"[\[{\]}]")
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+"""
_DOTTED = re.compile(rf"(?:{_PART}\.[ \t]*+){{{MOST_LEVELS}}}")
_DIGITS = re.compile(rf"[0-9_]{{{MOST_DIGITS},}}+")


class Excess(Struct, frozen=True):
    """A value that is too large or too deep: where, and the message."""

    path: tuple[str | int, ...]
    code: str
    message: str
    hint: str


def may_nest_too_deeply(text: str) -> bool:
    """Return True if a text has as many brackets within each other as no file may have; strings count too."""
    if text.count("[") + text.count("{") <= MOST_LEVELS:
        return False
    depth = 0
    for match in _BRACKETS.finditer(text):
        depth = depth + 1 if match.group() in "[{" else max(0, depth - 1)
        if depth > MOST_LEVELS:
            return True
    return False


def may_have_long_keys(text: str) -> bool:
    """Return True if a text has as many dots in a row as no key may have; strings count too."""
    return _DOTTED.search(text) is not None


def long_number(text: str) -> int | None:
    """Return where a number begins of which Python makes no integer; None where there is none."""
    match = _DIGITS.search(text)
    return None if match is None else match.start()


def excess(table: dict[str, Any]) -> Excess | None:
    """Return the first value that is too deep or too large, or None. Takes no stack, however deep it is."""
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), table)]
    while waiting:
        path, value = waiting.pop()
        if type(value) is dict:
            inner: Any = value.items()
        elif type(value) is list:
            inner = enumerate(value)
        else:
            if type(value) is int and not -(2**63) <= value < 2**63:
                return _too_large(path, value)
            continue
        if len(path) > MOST_LEVELS:
            return Excess(path[:MOST_LEVELS], "too-deep", *too_deep())
        waiting += [((*path, key), item) for key, item in inner]
    return None


def too_deep() -> tuple[str, str]:
    """Return message and hint for what is nested too deeply."""
    message = f"tables and arrays are nested more than {MOST_LEVELS} deep"
    return message, "a job file needs few levels: keep data in a file of its own"


def _too_large(path: tuple[str | int, ...], value: int) -> Excess:
    bits = (value if value >= 0 else ~value).bit_length() + 1  # one for the sign
    message = f"this integer needs {bits} bits; TOML's integers have 64"
    return Excess(path, "out-of-range", message, "write it in quotes, as a string")
