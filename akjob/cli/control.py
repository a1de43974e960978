"""What the commands that ask akjobd for something share."""

from typing import Any

from akjob.config import Paths
from akjob.control.server import Client
from akjob.query.names import known_job, name_of_file


def ask(paths: Paths, operation: str, **arguments: Any) -> dict[str, Any]:
    """Ask akjobd and return its answer. Raises AkjobError: exit code 3 when it cannot be reached, else as it says."""
    with Client(paths) as client:
        answer: dict[str, Any] = client.call(operation, **arguments)
    return answer


def job_name(paths: Paths, wanted: str) -> str:
    """Return the job that an argument means, for people complete file names; akjobd says what is none."""
    if not wanted.endswith(".toml"):
        return wanted
    return known_job(paths, wanted) or name_of_file(wanted)
