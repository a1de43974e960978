"""Strips: what became of the newest slots of a job, oldest first, each slot once."""

from collections.abc import Iterable

from msgspec import Struct

from akjob.instants import SECOND, from_text
from akjob.ledger import SlotColumns

LENGTH = 30


class StripSlot(Struct, frozen=True, kw_only=True):
    """One slot of a strip. ``count`` > 1 stands for a stretch; ``duration_s`` is null for what has not ended."""

    slot: str
    state: str
    run: str
    duration_s: float | None
    count: int


def strip(rows: Iterable[SlotColumns], length: int = LENGTH) -> tuple[StripSlot, ...]:
    """Return the strip of a job's rows, which come newest first. A slot that was retried has its last attempt."""
    found: dict[str, StripSlot] = {}
    for row in rows:
        if row.slot not in found:
            if len(found) == length:
                break
            found[row.slot] = _slot(row)
    return tuple(reversed(found.values()))


def _slot(row: SlotColumns) -> StripSlot:
    duration_s = None
    if row.started_at is not None and row.ended_at is not None:
        duration_s = max(0, from_text(row.ended_at) - from_text(row.started_at)) / SECOND
    return StripSlot(slot=row.slot, state=row.state, run=row.id, duration_s=duration_s, count=row.count)
