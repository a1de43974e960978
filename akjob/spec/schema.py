"""The JSON Schema of the job file, for editors, made from the tables of keys that the parser uses."""

from typing import Any

from akjob.spec.job import CODE, TOP
from akjob.spec.when import table_schema


def json_schema() -> dict[str, Any]:
    """Return the schema of a job file, draft-07, which all TOML language servers know.

    It says less than the parser (no zone names, no cron expressions, nothing about more than one key but which code
    to run), and nothing that the parser does not say.
    """
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "akjob job file",
        "description": "One scheduled job. Exactly one of callable, dill and command says what to run.",
        **table_schema(TOP),
        "oneOf": [{"required": [key]} for key in CODE],
    }
