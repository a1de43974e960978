"""What akjob-web asks of akjobd, over its socket, in a thread."""

from typing import Any

from akjob.config import Paths
from akjob.control.server import Client
from akjob.errors import AkjobError
from akjob.ledger import open_reader


def ask(paths: Paths, operation: str, **values: Any) -> dict[str, Any]:
    """Ask akjobd and return its answer. Raises AkjobError: exit code 3 when it cannot be reached, else as it says."""
    with Client(paths) as client:
        return client.call(operation, **values)


def missing(paths: Paths) -> str | None:
    """Return what is not there of what the page needs; None while ledger and akjobd answer."""
    try:
        if not paths.db.exists():
            return "there is no ledger yet"
        open_reader(paths.ledger_url).find_run("")
    except AkjobError:
        return "the ledger cannot be read"
    try:
        ask(paths, "running")
    except AkjobError:
        return "akjobd does not answer"
    return None
