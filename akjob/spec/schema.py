"""The JSON Schema of the job file, for editors, made from the tables of keys that the parser uses."""

from typing import Any

from akjob.keys.schemas import table_schema
from akjob.spec.instances import MOST
from akjob.spec.job import CODE, TOP


def json_schema() -> dict[str, Any]:
    """Return the schema of a job file, draft-07, which all TOML language servers know.

    It says less than the parser (no zone names, no cron expressions, nothing about more than one key but which code
    to run), and nothing that the parser does not say.
    """
    one = table_schema(TOP)
    instance = {"$ref": "#/definitions/instance"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "akjob job file",
        "description": "One scheduled job, or several. Exactly one of callable, dill and command names what to run.",
        **one,
        "properties": {**one["properties"], "instances": _instances(instance)},
        "oneOf": [{"required": [key]} for key in CODE] + [_in_instances()],
        "definitions": {"instance": {**one, "description": "Keys of one instance, over those of the file."}},
    }


def _instances(instance: dict[str, Any]) -> dict[str, Any]:
    name = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
    return {
        "description": "The file gives one job for each of these, NAME@INSTANCE, and none of its own name.",
        "anyOf": [
            {"type": "array", "minItems": 1, "maxItems": MOST, "items": {"type": "string", "pattern": name}},
            {
                "type": "object",
                "minProperties": 1,
                "maxProperties": MOST,
                "propertyNames": {"pattern": name},
                "additionalProperties": instance,
            },
        ],
    }


def _in_instances() -> dict[str, Any]:
    """Return the schema of a file whose instances say what to run."""
    return {"required": ["instances"], "not": {"anyOf": [{"required": [key]} for key in CODE]}}
