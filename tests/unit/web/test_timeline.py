"""Where runs stand on the timeline."""

from typing import Any

import pytest

from akjob.instants import HOUR, MINUTE
from akjob.ledger import MemoryStore, RunRow, Writes
from akjob.query.runs import from_row
from akjob.web.pages.timeline import begin_of


@pytest.mark.parametrize(
    ("values", "begin_us"),
    [
        ({"state": "succeeded", "started_us": HOUR + 7}, HOUR + 7),
        ({"state": "missed"}, HOUR),
        ({"state": "queued"}, 5 * HOUR),  # a backfill: the slot is over for long, and nothing ran since
        ({"state": "queued", "slot_us": 5 * HOUR + MINUTE}, 5 * HOUR + MINUTE),  # prepared ahead of its slot
    ],
)
def test_where_a_row_begins(values: dict[str, Any], begin_us: int) -> None:
    """At its start, else at its slot; what waits is drawn from when it began to."""
    fields: dict[str, Any] = {"id": "r", "job": "a", "slot_us": HOUR, "queued_us": 5 * HOUR, **values}
    store = MemoryStore()
    store.commit(Writes(claims=[RunRow(**{"slot_last_us": fields["slot_us"], **fields})]))
    assert begin_of(from_row(store.reader().history()[0])) == begin_us
