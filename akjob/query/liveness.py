"""Whether akjobd does its work: it answers, and every slot up to a moment ago has its row."""

from typing import Any

from akjob.config import Paths
from akjob.control.server import Client
from akjob.instants import from_text


def accounted_until_us(paths: Paths) -> int:
    """Return the instant before which every slot has its row. Raises AkjobError (exit code 3) if akjobd is down."""
    with Client(paths) as client:
        status: dict[str, Any] = client.call("status")
    return from_text(status["accounted_until"])
