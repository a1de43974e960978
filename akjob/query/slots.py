"""The coming slots of a definition, given what the ledger has of the job."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from akjob.instants import from_text
from akjob.schedule import Memory, compile_schedule, describe, next_slots, slots_between
from akjob.schedule.model import Limits, Schedule
from akjob.schedule.plan import schedule_parts
from akjob.spec.model import JobSpec

NEVER = "never"
"""What there is to say of a job whose slots are over."""
_KEPT = 256
_MORE = 4  # a stretch is looked at a quarter longer than it was asked for: the next question is for a little later


def slots_of(spec: JobSpec, row: Mapping[str, object] | None, after_us: int, count: int) -> list[int]:
    """Return the next ``count`` slots strictly after ``after_us``, pauses and ``enabled`` aside, as ``runs`` allows.

    ``again_after`` counts as if each run ended at once, from the last end in the ledger's ``row`` of the job.
    """
    left = runs_left(spec, row)
    count = count if left is None else min(count, left)
    if count < 1:
        return []
    from_us = _last_end_us(spec, row, after_us)
    memory = Memory(loaded_us=from_us, last_end_us=from_us)
    return next_slots(compile_schedule(spec.schedule), after_us, count, memory)


def without_slots(spec: JobSpec, row: Mapping[str, object] | None, now_us: int) -> str:
    """Return what makes a job due that has no coming slot: its events in words, ``by hand only``, or ``never``."""
    schedule = spec.schedule
    if runs_left(spec, row) == 0:
        return NEVER
    events = replace(schedule, at=(), every=None, again_after_us=None, daily=None, weekly=(), monthly=(), cron=())
    events = replace(events, limits=Limits(), jitter_us=0)
    is_by_hand = events == Schedule(zone=schedule.zone, workdays=schedule.workdays)
    return NEVER if is_by_hand and any(schedule_parts(schedule)) else "; ".join(describe(events, now_us))


def runs_left(spec: JobSpec, row: Mapping[str, Any] | None) -> int | None:
    """Return how many slots ``runs`` still allows; None for a job without that limit."""
    if spec.runs is None:
        return None
    started = 0 if row is None else int(row["runs_started"])
    return max(0, spec.runs - started)


def _last_end_us(spec: JobSpec, row: Mapping[str, Any] | None, after_us: int) -> int:
    """Return the end that ``again_after`` counts from: the last one up to ``after_us``, had each run ended at once."""
    again_us = spec.schedule.again_after_us
    if again_us is None or row is None:
        return after_us
    from_us, mark_us = from_text(row["again_from"] or row["first_loaded_at"]), from_text(row["mark"])
    if from_us + again_us <= mark_us:  # that slot came to no run: akjobd counts from it
        from_us = mark_us
    return from_us + max(0, (after_us - from_us) // again_us) * again_us


class _KnownSlots(Struct, frozen=True):
    """All slots in (after, until] that a schedule has, by the calendar alone."""

    after_us: int
    until_us: int
    slots: list[int]


class ComingSlots:
    """The coming slots of schedules, kept: a page that is shown again asks for nearly the same stretch.

    A schedule's slots follow from the calendar alone, unless it has ``again_after``; those are asked for each time.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Schedule, _KnownSlots] = OrderedDict()
        self._lock = Lock()

    def between(
        self, spec: JobSpec, row: Mapping[str, object] | None, after_us: int, until_us: int, most: int
    ) -> list[int]:
        """Return the first ``most`` slots of a job with ``after_us`` < slot <= ``until_us``, as :func:`slots_of`."""
        if spec.runs is not None or spec.schedule.again_after_us is not None:
            return [slot for slot in slots_of(spec, row, after_us, most) if slot <= until_us]
        with self._lock:
            kept = self._kept.get(spec.schedule)
        if kept is None or not kept.after_us <= after_us <= until_us <= kept.until_us:
            kept = self._look(spec.schedule, after_us, until_us, most)
        first, last = bisect_right(kept.slots, after_us), bisect_right(kept.slots, until_us)
        return kept.slots[first : min(last, first + most)]

    def _look(self, schedule: Schedule, after_us: int, until_us: int, most: int) -> _KnownSlots:
        further_us = until_us + (until_us - after_us) // _MORE
        found = slots_between(compile_schedule(schedule), after_us, further_us, 2 * most)
        # Where there are more, the stretch ends with the last that was found, and what is asked for with it.
        kept = _KnownSlots(after_us, further_us if len(found) < 2 * most else found[-1], found)
        with self._lock:
            self._kept[schedule] = kept
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return kept
