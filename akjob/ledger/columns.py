"""The columns of the tables ``runs`` and ``jobs``: their order, and the types of the rows that readers return."""

from typing import TypedDict

from akjob.ledger.model import State, Trigger


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


RUN_COLUMNS = tuple(RunColumns.__annotations__)
JOB_COLUMNS = tuple(JobColumns.__annotations__)
