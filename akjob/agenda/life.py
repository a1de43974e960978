"""The life of a run as two tables, and the values that go in and out of the agenda."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from akjob.ledger.model import RunRow, State, Trigger, Writes
from akjob.spec.model import JobSpec

Phase = Literal[
    "waiting", "ordered", "recalled", "running", "stopping",
    "succeeded", "failed", "timed_out", "cancelled", "lost", "skipped", "missed",
]  # fmt: skip
Event = Literal[
    "order", "unstarted", "recall", "started", "stop", "skip", "miss", "cancel", "refuse",
    "succeeded", "failed", "timed_out", "cancelled", "lost",
]  # fmt: skip
WaitingFor = Literal["nothing", "time", "overlap", "max_running", "lock", "pool", "definition"]

_ENDS: dict[str, Phase] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "timed_out": "timed_out",
    "cancelled": "cancelled",
    "lost": "lost",
}

# The life of a run: phase x event -> phase. What is not here cannot happen, and is ignored when it is reported: the
# same report may come twice (by datagram and by file), and late. The ledger's `queued` is waiting, ordered and
# recalled, its `running` is running and stopping.
TRANSITIONS: Mapping[str, Mapping[str, Phase]] = {
    # claimed; WAITS says for what it waits
    "waiting": {
        "order": "ordered",
        "skip": "skipped",
        "miss": "missed",
        "cancel": "cancelled",
        "refuse": "skipped",
        # akjob itself cannot go on with it
        "failed": "failed",
    },
    # the order is out, or not sent yet; an end without a start is an end whose notice of the start was lost
    "ordered": {"started": "running", "unstarted": "waiting", "recall": "recalled", "refuse": "skipped", **_ENDS},
    # the order is being called back; if the shim was quicker, it has started
    "recalled": {"started": "running", "unstarted": "waiting", "refuse": "skipped", **_ENDS},
    "running": {"stop": "stopping", **_ENDS},
    "stopping": {**_ENDS},
}
CALENDAR = ("schedule", "missed")  # the triggers whose slots have a time that akjobd can be late for
RETRIED = ("failed", "timed_out", "lost")
UNDER_WAY = ("ordered", "recalled", "running", "stopping")
CLOSE: Mapping[str, Literal["skip", "miss", "cancel"]] = {"skipped": "skip", "missed": "miss", "cancelled": "cancel"}

_OFFERED: dict[str, WaitingFor] = {"too_early": "time", "job_busy": "overlap", "queue": "max_running"}

# What a waiting run waits for: what it waits for x event -> what it waits for next. A run that leaves the phase
# `waiting` waits for nothing, and so does one that is decided on in this very moment.
WAITS: Mapping[WaitingFor, Mapping[str, WaitingFor]] = {
    "nothing": {**_OFFERED, "park": "definition"},
    # its own start, less the time that an order goes out ahead
    "time": {**_OFFERED},
    # the run of its job before it
    "overlap": {**_OFFERED},
    # its turn in the queue, and a place below max_running
    "max_running": {"lock_held": "lock", "pool_full": "pool", "put_back": "time", "job_busy": "overlap"},
    # the run of any job that holds its lock
    "lock": {"queue": "max_running", "put_back": "time"},
    # a place in its pool
    "pool": {"queue": "max_running", "put_back": "time"},
    # a valid version of its job's file, or the first turn of this akjobd
    "definition": {**_OFFERED, "park": "definition"},
}
IN_QUEUE = ("max_running", "lock", "pool")


class Start(Struct, frozen=True, kw_only=True):
    """An order to send. The run starts at ``not_before_us``, or at once if that has passed.

    ``kwargs`` take the place of the definition's, key by key; None: as defined. ``cause`` is the row's; ``files`` are
    those whose change made the run due.
    """

    run: str
    job: str
    spec: JobSpec
    slot_us: int
    attempt: int
    trigger: Trigger
    not_before_us: int
    kwargs: Mapping[str, Any] | None
    cause: str | None = None
    files: tuple[str, ...] = ()


class Stop(Struct, frozen=True, kw_only=True):
    """A run to end; its shim then reports ``state`` and ``reason``."""

    run: str
    state: Literal["cancelled"] = "cancelled"
    reason: str


class FarStop(Struct, frozen=True, kw_only=True):
    """A run of another node that is to end."""

    run: str
    node: str
    reason: str
    by: str | None = None


class Recall(Struct, frozen=True, kw_only=True):
    """An order to call back. Answer with ``never_started`` if that succeeded, with nothing if the shim was quicker."""

    run: str


class Effects(Struct):
    """What to do, in this order: commit ``writes``; leave out refused starts; then all the others."""

    writes: Writes = field(default_factory=Writes)
    recalls: list[Recall] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    delete_files: list[str] = field(default_factory=list)
    far_stops: list[FarStop] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Return True if there is anything to do."""
        orders = self.recalls or self.stops or self.far_stops or self.starts
        return bool(self.writes or orders or self.events or self.delete_files)


class Running(Struct, frozen=True, kw_only=True):
    """An open run as ``status`` shows it, with the definition that it was claimed or started with."""

    job: str
    run: str
    state: State
    waiting_for: WaitingFor
    slot_us: int
    attempt: int
    pid: int | None
    shim_pid: int | None
    started_us: int | None
    definition_sha256: str | None
    trigger: Trigger


class LiveRun(Struct, kw_only=True, eq=False):
    """A run that has not ended.

    ``backoff_until_us`` keeps an order that failed from being tried in a tight loop; a run ``after_previous`` waits
    until its job is idle; ``deferred`` has its order called back for a run that comes before its slot;
    ``counts_toward_runs`` makes it one of the job's ``runs``; ``inherited`` comes from the akjobd before, and its
    definition has not been applied to it; retries count from ``first_attempt``; ``backfill`` is
    the id of the backfill that it is of; ``drop`` is how it ends if its order
    can be called back; ``stop`` is why it is to be stopped as soon as it has started. ``has_place``: it
    is one of those under way; ``gates`` are the lock and the pool that it holds. ``elsewhere``: it is another node's,
    and nothing is done about it here.
    """

    row: RunRow
    job: str
    seq: int
    not_before_us: int
    phase: Phase = "waiting"
    waiting_for: WaitingFor = "nothing"
    backoff_until_us: int = 0
    after_previous: bool = False
    deferred: bool = False
    manual: bool = False
    counts_toward_runs: bool = False
    inherited: bool = False
    kwargs: Mapping[str, Any] | None = None
    files: tuple[str, ...] = ()
    first_attempt: int = 1
    backfill: str | None = None
    has_wait: bool = False
    tries: int = 0
    has_place: bool = False
    gates: tuple[tuple[Literal["lock", "pool"], str], ...] = ()
    drop: tuple[State, str] | None = None
    stop: str | None = None
    shim_pid: int | None = None
    elsewhere: bool = False

    @property
    def of_calendar(self) -> bool:
        """Return True if its slot is one of the calendar's, and may be late."""
        return self.row.trigger in CALENDAR

    @property
    def is_background(self) -> bool:
        """Return True if it is of a backfill, and its order is not out: it keeps no other run waiting."""
        return self.backfill is not None and not self.under_way

    @property
    def rank(self) -> tuple[bool, int, int]:
        """Where it is in a queue: backfills come last, and of two the older slot first."""
        return self.backfill is not None, self.row.slot_us, self.seq

    @property
    def is_undecided(self) -> bool:
        """Return True if it waits, but not for anything yet."""
        return self.phase == "waiting" and self.waiting_for == "nothing"

    @property
    def under_way(self) -> bool:
        """Return True if its order is out."""
        return self.phase in UNDER_WAY

    @property
    def can_be_called_back(self) -> bool:
        """Return True if it has not started, as far as is known."""
        return self.phase in ("waiting", "ordered", "recalled")

    def advance(self, event: str) -> bool:
        """Take the run through one event of TRANSITIONS; return True if it has an entry for it."""
        phase = TRANSITIONS.get(self.phase, {}).get(event)
        if phase is None:
            return False
        self.phase = phase
        self.waiting_for = "nothing"
        return True

    def wait(self, event: str) -> bool:
        """Take a waiting run through one event of WAITS; return True if it has an entry for it."""
        waiting_for = WAITS[self.waiting_for].get(event) if self.phase == "waiting" else None
        if waiting_for is None:
            return False
        self.waiting_for = waiting_for
        return True
