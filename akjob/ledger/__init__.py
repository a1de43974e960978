"""The ledger: one row for every slot that ran, was skipped or was missed. Written by akjobd alone, opened by URL."""

from akjob.ledger.asking import SeveralRunsError
from akjob.ledger.columns import BackfillColumns, JobColumns, RunColumns, RunFilter, RunKey, RunPage, SlotColumns
from akjob.ledger.memory import MemoryReader, MemoryStore
from akjob.ledger.model import (
    STATES,
    Committed,
    Counter,
    Definition,
    Detail,
    JobCounters,
    JobRow,
    Occurrence,
    OpenRun,
    Outcome,
    RunRow,
    State,
    Transition,
    Trigger,
    Wait,
    Writes,
)
from akjob.ledger.opening import open_reader, open_store
from akjob.ledger.store import LedgerBusyError, LedgerFullError, Reader, Store

__all__ = [
    "STATES",
    "BackfillColumns",
    "Committed",
    "Counter",
    "Definition",
    "Detail",
    "JobColumns",
    "JobCounters",
    "JobRow",
    "LedgerBusyError",
    "LedgerFullError",
    "MemoryReader",
    "MemoryStore",
    "Occurrence",
    "OpenRun",
    "Outcome",
    "Reader",
    "RunColumns",
    "RunFilter",
    "RunKey",
    "RunPage",
    "RunRow",
    "SeveralRunsError",
    "SlotColumns",
    "State",
    "Store",
    "Transition",
    "Trigger",
    "Wait",
    "Writes",
    "open_reader",
    "open_store",
]
