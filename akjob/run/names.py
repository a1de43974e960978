"""What a run's environment has about the run: the ``AKJOB_*`` variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from akjob import instants
from akjob.schedule import compile_schedule, get_zone, previous_slot
from akjob.schedule.events import EVENTS

if TYPE_CHECKING:
    from akjob.spec.model import JobSpec


def names_of(spec: JobSpec, slot_us: int, trigger: str, cause: str | None) -> dict[str, str]:
    """Return the variables of a job's slot and of what made it due, which the row has as short JSON: ``cause``."""
    before_us = previous_slot(compile_schedule(spec.schedule), slot_us)
    names = {
        "AKJOB_JOB": spec.name,
        "AKJOB_SLOT": instants.to_text(slot_us),
        "AKJOB_TRIGGER": trigger,
        "AKJOB_SLOT_LOCAL": instants.to_datetime(slot_us).astimezone(get_zone(spec.schedule.zone)).isoformat(),
        "AKJOB_PREVIOUS_SLOT": "" if before_us is None else instants.to_text(before_us),
    }
    _, at, instance = spec.name.rpartition("@")
    if at:
        names["AKJOB_INSTANCE"] = instance
    if cause is not None:
        said = msgspec.json.decode(cause)
        for event in EVENTS.values():
            names |= event.variables(said)
    return names
