"""What a job is: TOML text to a frozen JobSpec or to all its Problems, and back."""

from akjob.spec.model import JobSpec
from akjob.spec.parse import (
    Defaults,
    ParseResult,
    Rest,
    config_problems,
    load_definition,
    parse_defaults,
    parse_job,
    parse_jobs,
    parse_rest,
)
from akjob.spec.schema import json_schema
from akjob.spec.table import definition_table, job_table
from akjob.spec.write import delete_instance, edit_file, edit_instance, to_toml, write_file
from akjob.toml.scan import Positions, locate

__all__ = [
    "Defaults",
    "JobSpec",
    "ParseResult",
    "Positions",
    "Rest",
    "config_problems",
    "definition_table",
    "delete_instance",
    "edit_file",
    "edit_instance",
    "job_table",
    "json_schema",
    "load_definition",
    "locate",
    "parse_defaults",
    "parse_job",
    "parse_jobs",
    "parse_rest",
    "to_toml",
    "write_file",
]
