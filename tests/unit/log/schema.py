"""The schema of the log's lines, for tests that look at lines."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

DOCS = Path(__file__).parents[3] / "docs" / "reference"
SCHEMA: dict[str, Any] = json.loads((DOCS / "events.schema.json").read_text())
_VALIDATOR = Draft202012Validator(SCHEMA)


def fields_of(event: str) -> set[str]:
    """Return the documented fields of an event that is not a job's own."""
    for rule in SCHEMA["allOf"]:
        if rule["if"]["properties"].get("event") == {"const": event} and "not" in rule["if"]["properties"]["source"]:
            return set(rule["then"]["properties"]) | set(SCHEMA["properties"])
    raise KeyError(event)


def problems(line: dict[str, Any]) -> list[str]:
    """Return what is wrong with a line: what the schema says, and fields that are not documented."""
    found = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in _VALIDATOR.iter_errors(line)]
    if not found and line["source"] != "job":
        found += [f"{line['event']}: field {key} is not documented" for key in set(line) - fields_of(line["event"])]
    return found
