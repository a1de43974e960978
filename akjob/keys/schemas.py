"""Schemas of values, for the JSON Schema of a job file."""

from collections.abc import Iterable, Mapping
from typing import Any

from akjob.keys.key import Key

DURATION = {
    "type": "string",
    "pattern": "^((?=[0-9])([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m(?!s))?([0-9]+s)?([0-9]+ms)?"
    "|P(?=[0-9T])([0-9]+W)?([0-9]+D)?(T(?=[0-9])([0-9]+H)?([0-9]+M)?([0-9]+(\\.[0-9]+)?S)?)?)$",
}
SIZE = {"type": "string", "pattern": "^[0-9]+(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"}
# TOML's own times and dates reach a JSON Schema as texts; editors know them by these formats.
TIME = {"type": "string", "format": "partial-time"}
DATE = {"type": "string", "format": "date"}
DATE_TIME = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "partial-date-time"}],
}
WORD = {"type": "string", "minLength": 1}


def some(schema: Mapping[str, object]) -> dict[str, Any]:
    """Return the schema of a non-empty array."""
    return {"type": "array", "items": schema, "minItems": 1}


def one_or_some(schema: Mapping[str, object]) -> dict[str, Any]:
    """Return the schema of one value or a non-empty array."""
    return {"anyOf": [schema, some(schema)]}


def any_case(names: Mapping[str, int]) -> dict[str, Any]:
    """Return the schema of these words in any case."""
    return {"anyOf": [{"enum": list(names)}, {"type": "string", "pattern": f"^({spelled(names)})$"}]}


def spelled(names: Iterable[str]) -> str:
    """Return the pattern of these words in any case."""
    return "|".join("".join(f"[{sign}{sign.upper()}]" for sign in name) for name in names)


def table_schema(members: Mapping[str, Key], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of a table with these keys and no others."""
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key.name: _property(key) for key in members.values()},
    }
    if required:
        schema["required"] = list(required)
    return schema


def _property(key: Key) -> dict[str, Any]:
    schema = {"description": key.doc, **key.schema}
    if key.default is not None:
        schema["default"] = key.default
    return schema
