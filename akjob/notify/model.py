"""The values of the room: what happened, who gets messages, and what they say."""

from typing import Literal

from msgspec import Struct, field

Kind = Literal[
    "failed", "timed_out", "lost", "recovered", "missed", "skipped", "cancelled", "succeeded", "late", "long", "broken",
    "repaired", "down", "test",
]  # fmt: skip
IncidentKind = Literal["failure", "missed", "late", "long", "broken"]

FAILURES = frozenset({"failed", "timed_out", "lost"})


class Note(Struct, frozen=True, kw_only=True):
    """One thing to tell. ``failures`` counts the failed slots in a row, ``count`` the slots that it stands for.

    ``message`` is where and why a file cannot be loaded. A note of kind ``down`` is of no run: ``at_us`` is when akjobd
    was back, ``since_us`` when it ended; or, with ``at_least``, the first slot that it could not come to.
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
    at_least: bool = False
    made_up: int = 0
    again: bool = False


class Incident(Struct, kw_only=True):
    """One trouble of one job, from its first message to its end. Changed by the policy alone."""

    number: int
    job: str
    trouble: IncidentKind
    kind: Kind
    opened_us: int
    notified_us: int
    run: str | None = None
    slot_us: int | None = None
    acknowledged_us: int | None = None
    closed_us: int | None = None


class Absence(Struct, kw_only=True):
    """A time in which akjobd was down, while what it cost is being gathered: slots missed and made up for, by job.

    An akjobd that was killed left no word of its end: ``since_us`` is None then, and ``first_us``, the first slot that
    it could not come to, is all that is known. ``until_us`` is None until akjobd is back.
    """

    since_us: int | None
    until_us: int | None = None
    first_us: int | None = None
    missed: dict[str, int] = field(default_factory=dict)
    made_up: dict[str, int] = field(default_factory=dict)


class PolicyState(Struct, kw_only=True):
    """What the policy remembers of a job between two events."""

    failures: int = 0
    paused: bool = False
    incidents: dict[str, Incident] = field(default_factory=dict)


class Remembered(Struct, kw_only=True):
    """What a policy goes on from.

    ``seen_us`` is when the last transition before was, None if none was read; ``absence`` a downtime whose cost was
    still being gathered.
    """

    next_incident: int = 1
    jobs: dict[str, PolicyState] = field(default_factory=dict)
    seen_us: int | None = None
    absence: Absence | None = None
