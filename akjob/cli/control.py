"""What the commands that ask akjobd for something share."""

from akjob.config import Paths
from akjob.control.client import Client
from akjob.control.requests import A, Request
from akjob.query.names import known_job, name_of_file


def ask(paths: Paths, request: Request[A]) -> A:
    """Send akjobd a request and return its answer. Raises UnreachableError, or the AkjobError that akjobd names."""
    with Client(paths) as client:
        return client.call(request)


def job_name(paths: Paths, wanted: str) -> str:
    """Return the job that an argument means: people complete file names. akjobd refuses an unknown name."""
    if not wanted.endswith(".toml"):
        return wanted
    return known_job(paths, wanted) or name_of_file(wanted)
