"""The coming slots of a definition, given what the ledger has of the job."""

from collections.abc import Mapping
from typing import Any

from akjob.instants import from_text
from akjob.schedule import Memory, compile_schedule, next_slots
from akjob.spec.model import JobSpec


def slots_of(spec: JobSpec, row: Mapping[str, Any] | None, after_us: int, count: int) -> list[int]:
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
