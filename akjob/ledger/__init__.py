"""The ledger ``var/akjob.db``: one row for every slot that ran, was skipped or was missed. Written by akjobd alone."""

from akjob.ledger.model import Definition, JobRow, OpenRun, RunRow, State, Trigger, Wait, Writes
from akjob.ledger.reader import Reader
from akjob.ledger.store import Ledger, LedgerBusyError, LedgerFullError, checkpoint

__all__ = [
    "Definition",
    "JobRow",
    "Ledger",
    "LedgerBusyError",
    "LedgerFullError",
    "OpenRun",
    "Reader",
    "RunRow",
    "State",
    "Trigger",
    "Wait",
    "Writes",
    "checkpoint",
]
