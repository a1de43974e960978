"""The rows of the ledger as values, and what they say in words."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec
from msgspec import Struct

from akjob.instants import from_text
from akjob.ledger import Reader

_SHORT_SHA = 8


class Run(Struct, frozen=True, kw_only=True):
    """One row of ``runs``, with the ledger's columns as keys: a line of ``akjob history --json``.

    Instants are UTC text. A row with ``count`` > 1 stands for a stretch of slots from ``slot`` to ``slot_last``.
    """

    id: str
    job: str
    slot: str
    slot_last: str
    attempt: int
    trigger: str
    state: str
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


class EndOfRun(Protocol):
    """How a run ended, as far as it is known: a row of the ledger, an answer of akjobd, or a line of the log."""

    @property
    def state(self) -> str:
        """One of the final states."""

    @property
    def reason(self) -> str | None:
        """Why, in words."""

    @property
    def error(self) -> str | None:
        """Type and message of the exception."""

    @property
    def exit_code(self) -> int | None:
        """The exit code, if it ended with one."""

    @property
    def signal(self) -> int | None:
        """The number of the signal that ended it, if one did."""


class ReportedEnd(Struct, frozen=True, kw_only=True):
    """How a run ended, as akjobd answers or ``run.finished`` logs it."""

    state: str
    reason: str | None = None
    error: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    duration_s: float | None = None


def from_row(row: Mapping[str, object]) -> Run:
    """Return a row of the ledger as a value."""
    return msgspec.convert(row, Run)


def history(reader: Reader, job: str | None = None, count: int = 20, state: str | None = None) -> list[Run]:
    """Return the newest ``count`` rows, newest first. Raises AkjobError for a state that does not exist."""
    return [from_row(row) for row in reader.history(job, count, state)]


def took_us(run: Run, now_us: int) -> int | None:
    """Return how long a run took, or has been running; None for one that has not started."""
    if run.started_at is None:
        return None
    end_us = now_us if run.ended_at is None else from_text(run.ended_at)
    return max(0, end_us - from_text(run.started_at))


def explain(end: EndOfRun) -> str:
    """Return in one line why a run ended as it did: the reason, the error, the exit code and the signal, each once."""
    said = end.reason or ""
    parts = [said] if said else []
    if end.error and end.error != said:
        parts.append(end.error)
    if end.exit_code and f"exit code {end.exit_code}" not in said:
        parts.append(f"exit code {end.exit_code}")
    if end.signal and "signal" not in said.lower():
        parts.append(f"signal {end.signal}")
    return " ".join("; ".join(parts).split())


def exit_code(end: EndOfRun) -> int:
    """Return what ``akjob run`` exits with: 0 when it succeeded, its non-zero exit code, 128 + signal, or 1."""
    if end.state == "succeeded":
        return 0
    if end.exit_code:
        return end.exit_code
    return 128 + end.signal if end.signal else 1


def definition_changes(runs: Sequence[Run]) -> dict[str, str]:
    """Return the :func:`version` of each run that was made from another definition than its job's run before.

    ``runs`` are the newest first. Nothing is said of the oldest run of a job among them: what came before is not known.
    """
    changes: dict[str, str] = {}
    later: dict[str, Run] = {}
    for run in runs:
        if run.definition_sha256 is None or run.started_at is None:
            continue
        newer = later.get(run.job)
        if newer is not None and newer.definition_sha256 != run.definition_sha256:
            changes[newer.id] = version(newer)
        later[run.job] = run
    return changes


def version(run: Run) -> str:
    """Return in short which version a run was made from: ``3f9a1c02 (a1b2c3d4+)``."""
    short = str(run.definition_sha256)[:_SHORT_SHA]
    if run.git_commit is None:
        return short
    return f"{short} ({run.git_commit[:_SHORT_SHA]}{'+' if run.git_dirty else ''})"
