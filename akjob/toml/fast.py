"""A reader for the TOML that job files are mostly made of, several times as fast as ``tomllib``.

It knows lines of the form ``key = value`` and ``[table]`` with bare keys, plain texts, small numbers, booleans, dates,
times, and arrays and inline tables of these on one line. At the first thing that it does not know, right or wrong, it
gives up and returns None, and ``tomllib`` decides. What it does return equals what ``tomllib`` returns; tests compare.
"""

import re
from datetime import date, time
from typing import Any

_PLAIN = r'"([^"\\\t]*+)"'
_INTEGER = r"(0|-?[1-9][0-9]{0,17})"
_TIME = r"([0-9]{2}:[0-9]{2}:[0-9]{2})"
_DATE = r"([0-9]{4}-[0-9]{2}-[0-9]{2})"

# Possessive quantifiers, and no control characters to look out for: no line, however long, is looked at twice.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LINE = re.compile(
    rf"[ \t]*+(?:([A-Za-z0-9_-]++)[ \t]*+=[ \t]*+(?:{_PLAIN}|(true|false)|{_INTEGER}|{_TIME}|([\[{{].*[\]}}]))"
    r"|\[([A-Za-z0-9_-]++)\])?[ \t]*+(?:#.*)?"
)
_KEY, _TEXT, _BOOLEAN, _NUMBER, _CLOCK, _NESTED, _HEADER = range(1, 8)

_TEXTS = re.compile(r'\[[ \t]*+"[^"\\\t]*+"(?:[ \t]*+,[ \t]*+"[^"\\\t]*+")*+[ \t]*+\]')
_ONE_TEXT = re.compile(_PLAIN)
_ITEM = re.compile(
    rf"[ \t]*+(?:{_PLAIN}"
    rf"|(true|false)(?=[ \t,\]}}])|{_INTEGER}(?=[ \t,\]}}])|{_TIME}(?=[ \t,\]}}])|{_DATE}(?=[ \t]*[,\]}}])"
    r"|([\[\]{}]))[ \t]*+"
)
_ITEM_DATE, _ITEM_SIGN = 5, 6
_NAME = re.compile(r"[ \t]*+([A-Za-z0-9_-]++)[ \t]*+=")


class _GiveUpError(Exception):
    """Something that this reader does not know."""


def read_simple(text: str) -> dict[str, Any] | None:
    """Return the table of a text whose lines end in LF; None when ``tomllib`` must look at it."""
    if _CONTROL.search(text):
        return None
    root: dict[str, Any] = {}
    table = root
    match_line = _LINE.fullmatch
    try:
        for line in text.split("\n"):
            match = match_line(line)
            if match is None:
                return None
            kind = match.lastindex
            if kind is None:
                continue
            if kind == _HEADER:
                name = match[_HEADER]
                if name in root:
                    return None
                table = root[name] = {}
                continue
            name = match[_KEY]
            if name in table:
                return None
            table[name] = match[_TEXT] if kind == _TEXT else _value(kind, match[kind])
    except (_GiveUpError, ValueError, RecursionError):
        return None
    return root


def _value(kind: int, text: str) -> Any:
    """Return the value of one line. Raises ValueError for a time that does not exist."""
    if kind == _BOOLEAN:
        return text == "true"
    if kind == _NUMBER:
        return int(text)
    if kind == _CLOCK:
        return time.fromisoformat(text)
    if _TEXTS.fullmatch(text):
        return _ONE_TEXT.findall(text)
    value, end = _item(text, 0)
    if end != len(text):
        raise _GiveUpError
    return value


def _item(text: str, at: int) -> tuple[Any, int]:
    """Read one value within an array or inline table; return it and where it ends, blanks after it included."""
    match = _ITEM.match(text, at)
    if match is None:
        raise _GiveUpError
    kind = match.lastindex
    found = match[kind or 0]
    end = match.end()
    if kind == 1:
        return found, end
    if kind == _ITEM_SIGN:
        if found == "[":
            return _array(text, end)
        if found == "{":
            return _inline_table(text, end)
        raise _GiveUpError
    if kind == _ITEM_DATE:
        return date.fromisoformat(found), end
    return _value((kind or 0) + 1, found), end  # the same kinds as those of a line, without the key before them


def _array(text: str, at: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    while True:
        if text[at : at + 1] == "]":
            return items, _after_blanks(text, at + 1)
        value, at = _item(text, at)
        items.append(value)
        sign = text[at : at + 1]
        if sign == ",":
            at = _after_blanks(text, at + 1)
        elif sign != "]":
            raise _GiveUpError


def _inline_table(text: str, at: int) -> tuple[dict[str, Any], int]:
    table: dict[str, Any] = {}
    if text[at : at + 1] == "}":
        return table, _after_blanks(text, at + 1)
    while True:
        match = _NAME.match(text, at)
        if match is None or match[1] in table:
            raise _GiveUpError
        table[match[1]], at = _item(text, match.end())
        sign = text[at : at + 1]
        at += 1
        if sign == "}":
            return table, _after_blanks(text, at)
        if sign != ",":
            raise _GiveUpError


def _after_blanks(text: str, at: int) -> int:
    while text[at : at + 1] in {" ", "\t"}:
        at += 1
    return at
