"""Strips: what became of the newest slots of a job, oldest first, each slot once."""

from collections.abc import Iterable

from msgspec import Struct

from akjob.instants import SECOND, from_text
from akjob.ledger import SlotColumns, Trigger

LENGTH = 30


class StripSlot(Struct, frozen=True, kw_only=True):
    """One slot of a strip. ``count`` > 1 stands for a stretch; ``duration_s`` is null for what has not ended."""

    slot: str
    state: str
    run: str
    duration_s: float | None
    count: int


class DrawnSlot(StripSlot, frozen=True, kw_only=True):
    """The same with what made it due, which a drawing marks."""

    trigger: Trigger


def drawn_strip(rows: Iterable[SlotColumns], length: int = LENGTH) -> tuple[DrawnSlot, ...]:
    """Return the strip of a job's rows as it is drawn."""
    return tuple(reversed([_drawn(row) for row in _newest(rows, length)]))


def strip(rows: Iterable[SlotColumns], length: int = LENGTH) -> tuple[StripSlot, ...]:
    """Return the strip of a job's rows, which come newest first. A slot that was retried has its last attempt."""
    return tuple(reversed([_slot(row) for row in _newest(rows, length)]))


def _newest(rows: Iterable[SlotColumns], length: int) -> list[SlotColumns]:
    found: dict[str, SlotColumns] = {}
    for row in rows:
        if row.slot not in found:
            if len(found) == length:
                break
            found[row.slot] = row
    return list(found.values())


def _slot(row: SlotColumns) -> StripSlot:
    return StripSlot(slot=row.slot, state=row.state, run=row.id, duration_s=_took_s(row), count=row.count)


def _drawn(row: SlotColumns) -> DrawnSlot:
    return DrawnSlot(
        slot=row.slot, state=row.state, run=row.id, duration_s=_took_s(row), count=row.count, trigger=row.trigger
    )


def _took_s(row: SlotColumns) -> float | None:
    if row.started_at is None or row.ended_at is None:
        return None
    return max(0, from_text(row.ended_at) - from_text(row.started_at)) / SECOND
