"""What all readers check and answer alike."""

from collections.abc import Sequence

from akjob.errors import AkjobError, UsageError
from akjob.ledger.columns import RunColumns, RunFilter, RunKey, SlotColumns, TimeColumns
from akjob.ledger.model import STATES


class SeveralRunsError(AkjobError):
    """The beginning of a run's id matches several runs."""


SAMPLE = 5  # so many runs are named when a prefix fits several


def check_state(state: str | None) -> None:
    """Raise AkjobError (exit code 2) for a string that is not a state of a run."""
    if state is not None and state not in STATES:
        raise UsageError(f"{state!r} is not a state of a run", hint=f"one of {', '.join(STATES)}")


def only_run(prefix: str, found: Sequence[RunColumns]) -> RunColumns:
    """Return the row that ``prefix`` means among those that begin with it, in order. Raises AkjobError."""
    if len(found) == 1 or (found and found[0]["id"] == prefix):
        return found[0]
    if not found or not prefix:
        raise AkjobError(f"no run {prefix!r} is in the ledger", hint="`akjob history` lists the runs")
    names = ", ".join(row["id"] for row in found[:SAMPLE])
    raise SeveralRunsError(f"{prefix!r} matches several runs: {names}", hint="give more of the run's id")


def run_key(row: RunColumns) -> RunKey:
    """Return where a row is in a list."""
    return RunKey(row["id"], row["slot"], row["attempt"])


def slot_columns(row: RunColumns) -> SlotColumns:
    """Return what a strip needs of a row."""
    return SlotColumns(
        row["slot"], row["state"], row["id"], row["started_at"], row["ended_at"], row["count"], row["trigger"]
    )


def is_wanted(row: RunColumns, wanted: RunFilter) -> bool:
    """Return True if a row is one of those wanted."""
    return (
        wanted.job in {None, row["job"]}
        and wanted.state in {None, row["state"]}
        and wanted.trigger in {None, row["trigger"]}
        and (wanted.since is None or row["slot"] >= wanted.since)
        and (wanted.until is None or row["slot"] < wanted.until)
    )


def time_columns(row: RunColumns) -> TimeColumns:
    """Return what a line of time needs of a row."""
    user_s, system_s = row["user_cpu_s"], row["system_cpu_s"]
    return TimeColumns(
        row["id"],
        row["slot"],
        row["state"],
        row["trigger"],
        row["count"],
        row["queued_at"],
        row["started_at"],
        row["ended_at"],
        row["cause"],
        None if user_s is None or system_s is None else user_s + system_s,
        row["max_rss_bytes"],
        row["node"],
    )
