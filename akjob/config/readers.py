"""Reading values of ``etc/akjob.toml``: what is right is returned, what is wrong is noted."""

from collections.abc import Callable, Mapping
from typing import Any

from akjob.toml.faults import PathProblems, dotted
from akjob.units import format_duration, parse_duration

Reader = Callable[[Any, tuple[str, ...], PathProblems], Any]


def read_table_keys(
    table: object, path: tuple[str, ...], out: PathProblems, members: Mapping[str, tuple[str, Reader]]
) -> dict[str, Any]:
    """Return field to value of what is right in a table; note the rest."""
    found: dict[str, Any] = {}
    if type(table) is not dict:
        out.wrong_type(path, "a table", table, f"write [{dotted(path)}] on a line of its own")
        return found
    for name, value in table.items():
        if name not in members:
            out.unknown_key((*path, name), members)
            continue
        field, reader = members[name]
        read_value = reader(value, (*path, name), out)
        if read_value is not None:
            found[field] = read_value
    return found


def read_string(value: object, path: tuple[str, ...], out: PathProblems) -> str | None:
    """Return a string that says something."""
    if type(value) is str and value.strip():
        return value
    if type(value) is str:
        out.bad(path, "empty-text", f"`{dotted(path)}` is empty", "write something, or remove the key")
    else:
        out.wrong_type(path, "a string", value)
    return None


def read_strings(value: object, path: tuple[str, ...], out: PathProblems) -> tuple[str, ...] | None:
    """Return strings that say something."""
    if type(value) is not list or not all(type(item) is str and item.strip() for item in value):
        out.wrong_type(path, "an array of strings", value, 'write ["…"]')
        return None
    return tuple(value)


def read_flag(value: object, path: tuple[str, ...], out: PathProblems) -> bool | None:
    """Return true or false."""
    if type(value) is bool:
        return value
    out.wrong_type(path, "true or false", value)
    return None


def read_duration(value: object, path: tuple[str, ...], out: PathProblems, low_us: int) -> int | None:
    """Return a duration of at least ``low_us`` as microseconds."""
    least = format_duration(low_us)
    if type(value) is not str:
        hint = f'write "{value}s", or m, h, d, w' if type(value) is int else f'write it as "{least}"'
        out.wrong_type(path, "a duration in quotes", value, hint)
        return None
    try:
        duration_us = parse_duration(value)
    except ValueError as error:
        out.bad(path, "bad-duration", f"`{dotted(path)}`: {error}", str(error).partition("; ")[2] or "write less")
        return None
    if duration_us < low_us:
        message = f'`{dotted(path)}` is "{value}"; it must be at least {least}'
        out.bad(path, "out-of-range", message, f'write "{least}" or more')
        return None
    return duration_us


def read_count(value: object, path: tuple[str, ...], out: PathProblems) -> int | None:
    """Return an integer from 1 up."""
    if type(value) is not int:
        out.wrong_type(path, "an integer", value)
        return None
    if value < 1:
        out.bad(
            path, "out-of-range", f"`{dotted(path)}` is {value}; it must be 1 or more", "remove the key for no limit"
        )
        return None
    return value
