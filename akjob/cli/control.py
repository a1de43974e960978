"""What the commands that ask akjobd for something share."""

from typing import Any

from akjob.cli.view import name_of_file
from akjob.config import Paths
from akjob.control import Client


def ask(paths: Paths, operation: str, **arguments: Any) -> dict[str, Any]:
    """Ask akjobd and return its answer. Raises AkjobError: exit code 3 when it cannot be reached, else as it says."""
    with Client(paths) as client:
        answer: dict[str, Any] = client.call(operation, **arguments)
    return answer


def job_name(wanted: str) -> str:
    """Return the job that an argument means: people complete file names."""
    return name_of_file(wanted)
