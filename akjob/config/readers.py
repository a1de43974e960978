"""Reading values of ``etc/akjob.toml``: what is right is returned, what is wrong is noted."""

from collections.abc import Callable, Mapping
from typing import Any

from akjob.toml.faults import Faults, dotted

Reader = Callable[[Any, tuple[str, ...], Faults], Any]


def read_table_keys(
    table: Any, path: tuple[str, ...], out: Faults, members: Mapping[str, tuple[str, Reader]]
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


def read_string(value: Any, path: tuple[str, ...], out: Faults) -> str | None:
    """Return a string that says something."""
    if type(value) is str and value.strip():
        return value
    if type(value) is str:
        out.bad(path, "empty-text", f"`{dotted(path)}` is empty", "write something, or take the key away")
    else:
        out.wrong_type(path, "a text", value)
    return None


def read_strings(value: Any, path: tuple[str, ...], out: Faults) -> tuple[str, ...] | None:
    """Return strings that say something."""
    if type(value) is not list or not all(type(item) is str and item.strip() for item in value):
        out.wrong_type(path, "an array of texts", value, 'write ["…"]')
        return None
    return tuple(value)


def read_flag(value: Any, path: tuple[str, ...], out: Faults) -> bool | None:
    """Return true or false."""
    if type(value) is bool:
        return value
    out.wrong_type(path, "true or false", value)
    return None


def read_count(value: Any, path: tuple[str, ...], out: Faults) -> int | None:
    """Return an integer from 1 up."""
    if type(value) is not int:
        out.wrong_type(path, "an integer", value)
        return None
    if value < 1:
        out.bad(
            path, "out-of-range", f"`{dotted(path)}` is {value}; it must be 1 or more", "take the key away for no limit"
        )
        return None
    return value
