"""Tables of TOML: what differs between two, and one with changes made."""

from collections.abc import Mapping
from typing import Any

SECTIONS = ("schedule", "limits", "run", "notify")


def given(**values: object) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to set in ``old`` to make it ``new``: tables key by key, None for a key to remove.

    A section is never removed as a whole, for a file may say more in it.
    """
    changes: dict[str, Any] = {}
    for key in {**old, **new}:
        before, value = old.get(key), new.get(key)
        if isinstance(before, dict) and (isinstance(value, dict) or key in SECTIONS):
            inner = differences(before, value or {})
            if inner:
                changes[key] = inner
        elif value != before or type(value) is not type(before):
            changes[key] = value
    return changes


def without_empty(table: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, Any]:
    """Return the changes to a table, and the removal of the sections that they leave empty."""
    after = merged(table, changes)
    return {**changes, **{name: None for name in SECTIONS if name in changes and not after.get(name)}}


def merged(table: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, Any]:
    """Return a table with changes made, as :func:`differences` gives them."""
    after = dict(table)
    for key, value in changes.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, dict):
            before = after.get(key)
            after[key] = merged(before if isinstance(before, dict) else {}, value)
        else:
            after[key] = value
    return after
