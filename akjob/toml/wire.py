"""TOML's values as JSON carries them: what JSON lacks is ``{"$toml": text}``.

A table that looks like such a mark is marked itself, ``{"$toml": table}``, so that any value comes back as it was.
"""

import tomllib
from collections.abc import Mapping
from datetime import date, time
from math import isfinite
from typing import Any

_MARK = "$toml"


def to_json(value: object) -> Any:
    """Write dates, times, infinities and NaN as a mark."""
    if isinstance(value, Mapping):
        table = {key: to_json(item) for key, item in value.items()}
        return {_MARK: table} if table.keys() == {_MARK} else table
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, (date, time)):  # a datetime is a date
        return {_MARK: value.isoformat()}
    if isinstance(value, float) and not isfinite(value):
        return {_MARK: str(value)}
    return value


def from_json(value: object) -> Any:
    """Undo :func:`to_json`. Raises ValueError for an unknown mark."""
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    marked = value.get(_MARK) if len(value) == 1 else None
    if isinstance(marked, str):
        return tomllib.loads(f"value = {marked}")["value"]
    return {key: from_json(item) for key, item in (marked if isinstance(marked, dict) else value).items()}
