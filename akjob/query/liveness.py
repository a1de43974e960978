"""Return whether akjobd does its work: it answers, and every slot up to a moment ago has its row."""

from msgspec import UNSET

from akjob.config import Paths
from akjob.control.client import Client
from akjob.control.requests import UPGRADED, GetStatus
from akjob.errors import AkjobError
from akjob.instants import from_text


def accounted_until_us(paths: Paths) -> int:
    """Return the instant before which every slot has its row. Raises UnreachableError if akjobd is down."""
    with Client(paths) as client:
        until = client.call(GetStatus()).status.accounted_until
    if until is UNSET:
        raise AkjobError("akjobd does not report up to which instant every slot has a row", hint=UPGRADED)
    return from_text(until)
