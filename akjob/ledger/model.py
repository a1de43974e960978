"""The ledger's rows as values. Instants are microseconds here and text in the database."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

from msgspec import Struct, field

from akjob.schedule.events import EventTrigger

Trigger = Literal["schedule", "manual", EventTrigger, "retry", "missed", "backfill"]
BY_ITSELF: frozenset[Trigger] = frozenset(("schedule", "missed", *get_args(EventTrigger)))
"""Triggers of runs that become due by themselves: those of ``[schedule]``."""
State = Literal["queued", "running", "succeeded", "failed", "timed_out", "cancelled", "lost", "skipped", "missed"]
STATES: tuple[State, ...] = get_args(State)
_BACKFILL_CAUSE = '{"backfill":"'
"""What the ``cause`` of a run of a backfill begins with; the backfill's id follows."""
JobEvent = Literal["loaded", "changed", "removed", "broken", "repaired", "paused", "resumed", "done"]
Only = Literal["missing", "failed", "all"]
BackfillState = Literal["running", "done", "stopped"]
DaemonEvent = Literal["started", "stopping"]


class RunRow(Struct, kw_only=True):
    """One row of ``runs``. ``count`` > 1 stands for the stretch of slots from ``slot_us`` to ``slot_last_us``.

    ``by`` is who asked for the run or for its end; ``cause`` is short JSON about what made it due; ``node`` is the
    machine of a cluster that has it. A slot and attempt have one row in each ``scope``: that of the whole ledger is an
    empty string, and that of a node, for ``where = "every"``, the node's name.

    The one value of the ledger that is not frozen: its owner, the agenda, changes it as the run goes on and hands
    out copies.
    """

    id: str
    job: str
    slot_us: int
    slot_last_us: int
    attempt: int = 1
    trigger: Trigger = "schedule"
    state: State = "queued"
    reason: str | None = None
    count: int = 1
    queued_us: int
    started_us: int | None = None
    ended_us: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    error: str | None = None
    result: str | None = None
    pid: int | None = None
    host: str | None = None
    user_cpu_s: float | None = None
    system_cpu_s: float | None = None
    max_rss_bytes: int | None = None
    definition_sha256: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    by: str | None = None
    cause: str | None = None
    node: str | None = None
    scope: str = ""


class JobRow(Struct, kw_only=True):
    """One row of ``jobs``: what akjobd must know of a job after a restart. Changed by the agenda alone.

    ``watermark_us`` is the last slot that was accounted for; ``runs_started`` counts the scheduled slots started (for
    ``runs``); a job is paused when ``paused_at_us`` is set, for good when ``paused_until_us`` is None then;
    ``again_from_us`` is the end from which ``again_after`` counts; ``removed_us`` is set while there is no file;
    ``refused`` identifies the content of a later version of the file that cannot be loaded, since ``refused_us``;
    ``refused_commit`` was checked out then, None while it is not known, and ``refused_dirty`` says that the file
    differed from it. A job that was never good has a row while it is refused, with an empty ``definition``.
    ``scope`` is that of its claims: in a node's own, ``watermark_us``, ``runs_started`` and ``again_from_us`` are too.
    """

    job: str
    watermark_us: int
    runs_started: int = 0
    paused_at_us: int | None = None
    paused_until_us: int | None = None
    pause_reason: str | None = None
    paused_by: str | None = None
    again_from_us: int | None = None
    last_run: str | None = None
    last_state: State | None = None
    last_ended_us: int | None = None
    scope: str = ""
    first_loaded_us: int
    last_loaded_us: int
    removed_us: int | None = None
    file: str
    definition_sha256: str
    definition: str
    refused: str | None = None
    refused_us: int | None = None
    refused_commit: str | None = None
    refused_dirty: bool | None = None


class Wait(Struct, frozen=True, kw_only=True):
    """What a queued run needs beyond its row: its own start (a retry's), its place behind others, its arguments.

    ``first_attempt`` is the attempt that its retries count from, where the slot had attempts before; ``files`` are the
    files whose change made it due.
    """

    run: str
    not_before_us: int | None = None
    after_previous: bool = False
    manual: bool = False
    kwargs: Mapping[str, Any] | None = None
    first_attempt: int = 1
    files: tuple[str, ...] = ()


class Occurrence(Struct, frozen=True, kw_only=True):
    """One thing besides the calendar that makes a job due, from when it happens until it is decided.

    ``at_us`` is when it happens: limits and pauses look at that instant. ``slot_us`` is the slot where that is another
    one. ``key`` is unique among the job's occurrences, and begins with the trigger's key in ``[schedule]``; ``cause``
    is short JSON about what happened; ``files`` are those that changed.
    """

    job: str
    key: str
    at_us: int
    trigger: Trigger
    cause: str | None = None
    slot_us: int | None = None
    files: tuple[str, ...] = ()

    @property
    def slot(self) -> int:
        """The slot that it makes."""
        return self.at_us if self.slot_us is None else self.slot_us


class BackfillRow(Struct, frozen=True, kw_only=True):
    """Runs of a job's slots from ``from_us`` until ``until_us``, that instant not included, which a person asked for.

    ``slots`` are those to run, in their order; the first ``position`` of them have been claimed; ``done`` have ended,
    ``failed`` of them in another state than succeeded.
    """

    id: str
    job: str
    at_us: int
    from_us: int
    until_us: int
    only: Only = "missing"
    parallel: int = 1
    newest_first: bool = False
    by: str | None = None
    slots: tuple[int, ...] = ()
    position: int = 0
    done: int = 0
    failed: int = 0
    state: BackfillState = "running"

    @property
    def is_open(self) -> bool:
        """Return True until it has ended, the runs that were under way when it was stopped too."""
        return self.state == "running" or self.done < self.position


class SeenFiles(Struct, frozen=True, kw_only=True):
    """What a job has seen of its files with a slot: those that changed, with mtime (ns), size and inode; None: gone."""

    job: str
    files: Mapping[str, tuple[int, int, int] | None]


class SlotOutcome(Struct, frozen=True):
    """What became of a slot in one attempt."""

    slot_us: int
    attempt: int
    state: State


class Definition(Struct, frozen=True):
    """The text that a run was made from."""

    sha256: str
    file: str
    text: str
    used_us: int


class OpenRun(Struct, frozen=True):
    """A run that had not ended when akjobd did."""

    row: RunRow
    wait: Wait | None


class Detail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What else is known of a transition, stored as JSON without what is not set.

    ``late_s`` is how much later than due a run started; ``duration_s`` how long it took; ``retried`` is True if
    another attempt follows this end. ``slot_last`` and ``until`` are instants as text.
    """

    trigger: Trigger | None = None
    count: int = 1
    slot_last: str | None = None
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    error: str | None = None
    by: str | None = None
    cause: str | None = None
    node: str | None = None
    definition_sha256: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    late_s: float | None = None
    duration_s: float | None = None
    max_rss_bytes: int | None = None
    retried: bool = False
    until: str | None = None
    file: str | None = None
    line: int | None = None
    column: int | None = None
    message: str | None = None


def backfill_of(row: RunRow) -> str | None:
    """Return the id of the backfill that a run is of, or None."""
    cause = row.cause
    return cause[len(_BACKFILL_CAUSE) : -2] if cause is not None and cause.startswith(_BACKFILL_CAUSE) else None


class Transition(Struct, frozen=True, kw_only=True):
    """One change of a run, a job or akjobd. The ledger numbers it when it is committed: ``seq`` is 0 until then.

    ``from_state`` and ``to_state`` are states of a run for the kind ``run``; ``to_state`` is a JobEvent for ``job`` and
    a DaemonEvent for ``daemon``. ``node`` is the one of a cluster that wrote it.
    """

    at_us: int
    kind: Literal["run", "job", "daemon"]
    to_state: State | JobEvent | DaemonEvent
    from_state: str | None = None
    job: str | None = None
    run: str | None = None
    slot_us: int | None = None
    attempt: int | None = None
    detail: Detail = Detail()
    seq: int = 0
    node: str | None = None


class Outcome(Struct, frozen=True, gc=False, array_like=True):
    """How a run or a stretch of slots ended, for readers of many rows. Instants are UTC text."""

    id: str
    job: str
    slot: str
    attempt: int
    trigger: Trigger
    state: State
    count: int
    started_at: str | None
    ended_at: str


class Counter(Struct, frozen=True):
    """One counter of the ledger and its value since the ledger was made."""

    name: str
    labels: Mapping[str, str]
    value: float


class JobCounters(Struct, kw_only=True):
    """What the ledger counts of one job. It outlives pruning; instants are None for what never happened.

    ``failures`` counts the slots in a row whose last attempt failed.
    """

    ran: int = 0
    skipped: int = 0
    missed: int = 0
    runs: int = 0
    run_s: float = 0.0
    last_success_us: int | None = None
    last_failure_us: int | None = None
    last_duration_s: float | None = None
    last_max_rss_bytes: int | None = None
    failures: int = 0


class Permit(Struct, frozen=True, kw_only=True):
    """What a start needs of the whole cluster: below so many open runs that hold each gate of ``needs``.

    The run holds the gates of ``holds`` from then on. ``pausable``: it does not start while its job is paused.
    ``queue`` is where it waits for a node that takes it; None: it starts on this node. ``continues``: it goes on while
    its node cannot renew its lease.
    """

    run: str
    job: str
    holds: tuple[str, ...]
    needs: tuple[tuple[str, int], ...] = ()
    pausable: bool = False
    queue: str | None = None
    continues: bool = False


class Blocked(Struct, frozen=True):
    """A start that the cluster does not permit: the kind of the gate, and who holds it. The run stays queued."""

    run: str
    kind: Literal["job", "lock", "pool", "pause"]
    reason: str


class NodeTags(Struct, frozen=True):
    """A node of a cluster: its state (``up``, ``draining``, ``down``, ``lost``) and its tags."""

    node: str
    state: str
    tags: tuple[str, ...]


class News(Struct, frozen=True, kw_only=True):
    """What other nodes wrote, up to the transition ``seq``.

    ``open_runs`` are those of other nodes that are open now, ``over`` the runs of which something was written and that
    are not; ``jobs`` are the rows of the jobs that something was written about; ``stops`` has the runs of this node
    that a person wants ended, why, and who.
    """

    seq: int
    open_runs: tuple[OpenRun, ...] = ()
    over: frozenset[str] = frozenset()
    jobs: tuple[JobRow, ...] = ()
    stops: tuple[tuple[str, str, str | None], ...] = ()


class Legacy(Struct, frozen=True, kw_only=True):
    """What nodes that are lost had: runs that have not ended, what is not decided, and backfills that are not over.

    Of the runs those in ``ordered`` may have started, whatever their rows say: their orders were to go out.
    """

    open_runs: list[OpenRun]
    ordered: frozenset[str]
    occurrences: list[Occurrence]
    backfills: list[BackfillRow]


class UpstreamEnd(Struct, frozen=True, kw_only=True):
    """The end of a slot's last attempt, or of ``count`` slots up to ``slot_last_us`` that were skipped or missed."""

    job: str
    run: str
    state: State
    slot_us: int
    slot_last_us: int
    at_us: int
    count: int = 1


class EndMeaning(Struct, frozen=True, kw_only=True):
    """What an end means for a job that runs after it.

    ``nothing``; ``keep`` the part in ``occurrence``; the job is ``due`` by ``occurrence``; or it would have been, but
    for this end: a ``misfit``. ``used`` are the parts that are used up with it.
    """

    what: Literal["nothing", "keep", "due", "misfit"]
    occurrence: Occurrence | None = None
    used: tuple[Occurrence, ...] = ()


class Join(Struct, frozen=True, kw_only=True):
    """The end of a job before another one, ``job``, whose meaning depends on what all nodes have kept of such ends.

    ``answer`` gives it in the commit, when no other node can answer for the job; ``prefix`` is that of the parts' keys.
    """

    job: str
    ended: UpstreamEnd
    prefix: str
    answer: Callable[[Mapping[str, Occurrence]], EndMeaning]


class Writes(Struct):
    """What one turn of akjobd changes in the ledger; :meth:`akjob.ledger.Store.commit` does it in one transaction.

    ``decided`` are the job and the key of occurrences that are over; of ``backfills`` only what changes is written.
    ``permits`` are asked for starts, ``freed`` are the runs that hold nothing any more, and ``joins`` the ends that
    mean something together with those on other nodes: all three in a cluster alone.
    """

    claims: list[RunRow] = field(default_factory=list)
    changes: list[RunRow] = field(default_factory=list)
    loaded: list[JobRow] = field(default_factory=list)
    jobs: list[JobRow] = field(default_factory=list)
    definitions: list[Definition] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    waited: list[str] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    occurrences: list[Occurrence] = field(default_factory=list)
    decided: list[tuple[str, str]] = field(default_factory=list)
    seen: list[SeenFiles] = field(default_factory=list)
    new_backfills: list[BackfillRow] = field(default_factory=list)
    backfills: list[BackfillRow] = field(default_factory=list)
    permits: list[Permit] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Return True if there is anything to write."""
        rows = self.claims or self.changes or self.loaded or self.jobs or self.occurrences or self.decided
        others = self.seen or self.definitions or self.waits or self.waited or self.new_backfills or self.backfills
        return bool(rows or others or self.transitions or self.permits or self.freed or self.joins)


class Committed(Struct, frozen=True):
    """What a commit came to: the ids of the claims that were refused, and the transitions written, numbered.

    ``blocked`` are the starts that must not be sent although their claims are written; ``handed`` those that wait in
    their queues now, and are this node's no more. ``behind`` are jobs of whose calendar another node had accounted for
    slots that this one did not know of, up to an instant: what was decided about it is not written. ``renumbered`` are
    the attempts of runs whose slot had got a row from another node, and ``met`` is what came of the joins.
    """

    refused: frozenset[str] = frozenset()
    transitions: tuple[Transition, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    handed: frozenset[str] = frozenset()
    behind: Mapping[str, int] = MappingProxyType({})
    renumbered: Mapping[str, int] = MappingProxyType({})
    met: tuple[tuple[Join, EndMeaning], ...] = ()
