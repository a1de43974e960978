"""What akjob-web asks of akjobd, over its socket, in a thread."""

from akjob.config import Paths
from akjob.control.client import Client
from akjob.control.requests import A, GetRunning, Request
from akjob.errors import AkjobError
from akjob.ledger import open_reader


def ask(paths: Paths, request: Request[A]) -> A:
    """Send akjobd a request and return its answer. Raises UnreachableError, or the AkjobError that akjobd names."""
    with Client(paths) as client:
        return client.call(request)


def missing(paths: Paths) -> str | None:
    """Return what is not there of what the page needs; None while ledger and akjobd answer."""
    try:
        if paths.ledger_url.startswith("sqlite:") and not paths.db.exists():
            return "there is no ledger yet"
        open_reader(paths.ledger_url).find_run("")
    except AkjobError:
        return "the ledger cannot be read"
    try:
        ask(paths, GetRunning())
    except AkjobError:
        return "akjobd does not answer"
    return None
