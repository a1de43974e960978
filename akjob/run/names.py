"""What a run's environment has about the run: the ``AKJOB_*`` variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from akjob import instants
from akjob.schedule import compile_schedule, get_zone, previous_slot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from akjob.spec.model import JobSpec


def names_of(spec: JobSpec, slot_us: int, trigger: str, cause: str | None) -> dict[str, str]:
    """Return the variables that follow from the job, the slot and what made it due; ``cause`` is the row's short JSON.

    A trigger ``after`` has the runs that it waited for in ``cause``: ``{"after": {"JOB": "RUN"}}``.
    """
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
    upstream = _upstream(cause)
    if upstream:
        names["AKJOB_AFTER_JOB"] = ",".join(upstream)
        names["AKJOB_AFTER_RUN"] = ",".join(upstream.values())
    return names


def _upstream(cause: str | None) -> Mapping[str, str]:
    if cause is None:
        return {}
    found: Mapping[str, str] = msgspec.json.decode(cause).get("after", {})
    return found
