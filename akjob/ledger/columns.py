"""The columns of the tables ``runs`` and ``jobs``: their order, and the types of the rows that readers return."""

from typing import NamedTuple, TypedDict

from msgspec import Struct

from akjob.ledger.model import BackfillState, State, Trigger


class RunColumns(TypedDict):
    """One row of ``runs`` with the columns of the ledger, in their order, as ``history --json`` prints it."""

    id: str
    job: str
    slot: str
    slot_last: str
    attempt: int
    trigger: Trigger
    state: State
    reason: str | None
    count: int
    queued_at: str
    started_at: str | None
    ended_at: str | None
    exit_code: int | None
    signal: int | None
    error: str | None
    result: str | None
    pid: int | None
    host: str | None
    user_cpu_s: float | None
    system_cpu_s: float | None
    max_rss_bytes: int | None
    definition_sha256: str | None
    git_commit: str | None
    git_dirty: bool | None
    by: str | None
    cause: str | None
    node: str | None


class JobColumns(TypedDict):
    """One row of ``jobs``."""

    job: str
    mark: str
    runs_started: int
    paused_at: str | None
    paused_until: str | None
    pause_reason: str | None
    paused_by: str | None
    again_from: str | None
    last_run: str | None
    last_state: State | None
    last_ended: str | None
    first_loaded_at: str
    last_loaded_at: str
    removed_at: str | None
    file: str
    definition_sha256: str
    definition: str
    refused: str | None
    refused_since: str | None
    refused_commit: str | None
    refused_dirty: bool | None


class SlotColumns(Struct, frozen=True):
    """What a strip of slots needs of a row of ``runs``."""

    slot: str
    state: State
    id: str
    started_at: str | None
    ended_at: str | None
    count: int
    trigger: Trigger


class SlotTally(Struct, frozen=True):
    """How many slots of a job were to run, how many of them succeeded, and the first of them."""

    slots: int
    succeeded: int
    since: str


class Measured(Struct, frozen=True):
    """What charts of a job need of a row of ``runs`` that ended."""

    slot: str
    state: State
    id: str
    started_at: str
    ended_at: str
    cpu_s: float | None
    max_rss_bytes: int | None
    definition_sha256: str | None
    git_commit: str | None


class DayCount(Struct, frozen=True):
    """How many slots of one day (UTC, as text) came to one state."""

    day: str
    state: State
    count: int


class TimeColumns(Struct, frozen=True, gc=False):
    """What a line of time needs of a row of ``runs``; ``cpu_s`` is user and system time together."""

    id: str
    slot: str
    state: State
    trigger: Trigger
    count: int
    queued_at: str
    started_at: str | None
    ended_at: str | None
    cause: str | None
    cpu_s: float | None
    max_rss_bytes: int | None
    node: str | None = None


class RunCount(NamedTuple):
    """How many rows there are; at least so many where that is not exact."""

    rows: int
    is_exact: bool


class RunKey(NamedTuple):
    """Where a row is in a list: of one job by slot and attempt, of all by id."""

    id: str
    slot: str
    attempt: int


class RunFilter(Struct, frozen=True, kw_only=True):
    """Which rows of ``runs`` are wanted. ``since`` is inclusive, ``until`` exclusive, of the slot."""

    job: str | None = None
    state: State | None = None
    trigger: Trigger | None = None
    since: str | None = None
    until: str | None = None


class RunPage(Struct, frozen=True):
    """Some rows, newest first, and where to go on; ``following`` is None at the end.

    There may be fewer rows than asked for before the end: a page reads a bounded number of them.
    """

    rows: list[RunColumns]
    following: RunKey | None


# `from` is a word of Python's
BackfillColumns = TypedDict(
    "BackfillColumns",
    {
        "id": str, "job": str, "from": str, "until": str, "slots": int, "done": int, "failed": int, "running": int,
        "state": BackfillState, "by": str | None,
    },
)  # fmt: skip
"""One backfill, as ``akjob backfills --json`` prints it."""

BACKFILL_SHOWN = tuple(BackfillColumns.__annotations__)
RUN_COLUMNS = tuple(RunColumns.__annotations__)
JOB_COLUMNS = tuple(JobColumns.__annotations__)
