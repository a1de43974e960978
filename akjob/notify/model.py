"""The values of the room: what happened, who wants to know, what is to be told."""

from typing import Literal

from msgspec import Struct, field

Kind = Literal[
    "failed", "timed_out", "lost", "recovered", "missed", "skipped", "cancelled", "succeeded", "late", "long", "broken",
    "repaired", "down", "test",
]  # fmt: skip
Trouble = Literal["failure", "missed", "late", "long", "broken"]

FAILURES = frozenset({"failed", "timed_out", "lost"})


class Note(Struct, frozen=True, kw_only=True):
    """One thing to tell. ``failures`` counts the failed slots in a row, ``count`` the slots that it stands for.

    ``message`` is where and why a file cannot be loaded. A note of kind ``down`` is of no run: ``at_us`` is when akjobd
    was back, ``since_us`` when it was last seen.
    """

    kind: Kind
    at_us: int
    job: str
    run: str | None = None
    slot_us: int | None = None
    incident: int | None = None
    failures: int = 0
    count: int = 1
    message: str | None = None
    since_us: int | None = None
    made_up: int = 0
    again: bool = False


class Incident(Struct, kw_only=True):
    """One trouble of one job, from its first message to its end. Changed by the policy alone."""

    number: int
    job: str
    trouble: Trouble
    kind: Kind
    opened_us: int
    told_us: int
    run: str | None = None
    slot_us: int | None = None
    acknowledged_us: int | None = None
    closed_us: int | None = None


class JobState(Struct, kw_only=True):
    """What the policy remembers of a job between two events."""

    failures: int = 0
    paused: bool = False
    incidents: dict[str, Incident] = field(default_factory=dict)
