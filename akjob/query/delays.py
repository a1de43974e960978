"""What of the runs under way goes on for too long: those that are due and do not start, and those that do not end."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from akjob.instants import SECOND, from_text
from akjob.ledger.model import BY_ITSELF
from akjob.query.pace import RunPace
from akjob.schedule import jitter_us
from akjob.spec.model import JobSpec, Notify

LONG = 3
"""So many times as long as usual is worth a person's look."""

_WORTH_A_LOOK_S = 10.0


class Underway(Struct, frozen=True, kw_only=True):
    """A run that has not ended: since when it is due, and since when it runs, None where it waits."""

    run: str
    job: str
    trigger: str
    due_us: int
    started_us: int | None


class Delay(Struct, frozen=True, kw_only=True):
    """A run that is late by ``by_us``, or has taken ``times`` what is usual."""

    run: str
    job: str
    by_us: int = 0
    times: float = 0.0


def underway(open_runs: Iterable[Mapping[str, Any]]) -> tuple[Underway, ...]:
    """Return rows of the ledger that are open as values."""
    return tuple(
        Underway(
            run=row["id"],
            job=row["job"],
            trigger=row["trigger"],
            due_us=max(from_text(row["slot"]), from_text(row["queued_at"])),
            started_us=None if row["started_at"] is None else from_text(row["started_at"]),
        )
        for row in open_runs
    )


def late(runs: Iterable[Underway], specs: Mapping[str, JobSpec], now_us: int) -> list[Delay]:
    """Return the runs that have not started ``late_after`` after they were due, the latest first."""
    found = []
    for one in runs:
        if one.started_us is not None or one.trigger not in BY_ITSELF:
            continue
        spec = specs.get(one.job)
        by_us = now_us - one.due_us - (0 if spec is None else jitter_us(spec.schedule, one.job))
        if by_us >= (Notify() if spec is None else spec.notify).late_after_us:
            found.append(Delay(run=one.run, job=one.job, by_us=by_us))
    return sorted(found, key=lambda delay: -delay.by_us)


def takes_long(one: Underway, now_us: int) -> bool:
    """Return True if a run goes on for so long that it is worth asking what is usual."""
    return one.started_us is not None and now_us - one.started_us >= _WORTH_A_LOOK_S * SECOND


def long(runs: Iterable[Underway], paces: Mapping[str, RunPace], now_us: int) -> list[Delay]:
    """Return the runs that go on for LONG times what is usual, the longest for its job first."""
    found = []
    for one in runs:
        pace = paces.get(one.job)
        if pace is None or not pace.usual_s or one.started_us is None or not takes_long(one, now_us):
            continue
        times = (now_us - one.started_us) / SECOND / pace.usual_s
        if times >= LONG:
            found.append(Delay(run=one.run, job=one.job, times=times))
    return sorted(found, key=lambda delay: -delay.times)
