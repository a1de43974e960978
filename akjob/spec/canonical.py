"""The resolved definition as TOML text: equal definitions have equal text, whatever the order of their keys.

Keys are in the order of the tables of keys, those of free tables (``kwargs``, ``env``) in that of the alphabet, each
value on one line. Only what is given is written, in the file or by its defaults; built-in defaults are not.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from json.encoder import encode_basestring as quoted_as_json
from typing import Any

from akjob.schedule.daysets import unpack
from akjob.schedule.events import EVENTS
from akjob.schedule.model import DaySet
from akjob.spec.job import DILL, SECTIONS, TOP
from akjob.spec.notify import PING
from akjob.spec.policy import ENV_FILE, RESOURCES, RETRY, SECRET
from akjob.spec.when import DATES, HOURS, MONTHLY, WEEKLY


def canonical_text(table: Mapping[str, Any]) -> str:
    """Write a merged, valid definition."""
    writers = _WRITERS
    lines = []
    for name in _TOP:
        if name in table:
            value = table[name]
            lines.append(f"{name} = {writers[type(value)](value)}\n")
    for section in _SECTIONS:
        members = table.get(section)
        if members:
            lines += _section_lines(section, members)
    return _without_del("".join(lines))


def section_text(section: str, members: Mapping[str, object]) -> str | None:
    """Write one table of a definition; None if not all of it can be written, for it is not valid."""
    if not members:
        return ""
    try:
        lines = _section_lines(section, members)
    except KeyError:
        return None
    return "".join(lines) if len(lines) == len(members) + 1 else None


def _section_lines(section: str, members: Mapping[str, object]) -> list[str]:
    writers = _WRITERS
    header, names = _SECTIONS[section]
    values = [(name, members[name]) for name in names if name in members]
    return [header, *[f"{name} = {writers[type(value)](value)}\n" for name, value in values]]


CALENDARS_BEGIN = "\n[calendars."


def calendars_text(calendars: Iterable[DaySet]) -> str:
    """Write the calendars that a definition needs, so that it means the same when ``etc/akjob.toml`` has changed.

    Days are written one by one, also where they came from a file; a country stays a country.
    """
    lines = []
    for calendar in sorted(calendars, key=lambda one: one.name):
        lines.append(f"{CALENDARS_BEGIN}{key_text(calendar.name)}]\n")
        if calendar.dates or not calendar.country:
            lines.append(f"dates = {_array(unpack(calendar.dates))}\n")
        if calendar.country:
            lines.append(f"country = {value_text(calendar.country)}\n")
        if calendar.subdivision:
            lines.append(f"subdivision = {value_text(calendar.subdivision)}\n")
    return "".join(lines)


def value_text(value: object) -> str:
    """Write one value as TOML, on one line."""
    return _without_del(_WRITERS[type(value)](value))


def key_text(key: str) -> str:
    """Write a key, in quotes if it needs them."""
    return key if _BARE_KEY.fullmatch(key) else value_text(key)


_TOP = tuple(name for name in TOP if name not in SECTIONS and name != "expect")  # which is not part of the job
_SECTIONS = {section: (f"\n[{section}]\n", tuple(members)) for section, members in SECTIONS.items()}
_EVENT_TABLES = tuple(event.table for event in EVENTS.values())
_TABLES = (WEEKLY, MONTHLY, *_EVENT_TABLES, HOURS, DATES, RETRY, RESOURCES, SECRET, ENV_FILE, DILL, PING)
_BARE = frozenset(name for members in _TABLES for name in members)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def _without_del(text: str) -> str:
    """Escape DEL, the one character that JSON's quoting leaves and TOML forbids."""
    return text.replace("\x7f", "\\u007f") if "\x7f" in text else text


def _float(value: float) -> str:
    if math.isfinite(value):
        text = repr(value)
        return text if "e" not in text or "." in text else text.replace("e", ".0e")
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _array(value: list[Any] | tuple[object, ...]) -> str:
    return f"[{', '.join([_WRITERS[type(item)](item) for item in value])}]"


def _table(value: Mapping[str, object]) -> str:
    if not value:
        return "{}"
    writers, bare = _WRITERS, _BARE
    pairs = []
    for key in sorted(value):
        item = value[key]
        pairs.append(f"{key if key in bare else key_text(key)} = {writers[type(item)](item)}")
    return f"{{ {', '.join(pairs)} }}"


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: quoted_as_json,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _float,
    list: _array,
    tuple: _array,
    dict: _table,
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
}
