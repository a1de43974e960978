"""Rows and transitions for the tests of the ledger."""

from typing import Any

from akjob.instants import SECOND
from akjob.ledger import Detail, JobRow, RunRow, Transition
from tests.unit.world import row, us


def job_row(name: str = "a", **other: Any) -> JobRow:
    """Make a row of ``jobs``."""
    values: dict[str, Any] = {
        "job": name,
        "watermark_us": 0,
        "first_loaded_us": 0,
        "last_loaded_us": 0,
        "file": f"jobs.d/{name}.toml",
        "definition_sha256": "f00",
        "definition": 'command = ["true"]\n',
    }
    return JobRow(**(values | other))


def full_row() -> RunRow:
    """Make a row with every column filled."""
    return row(
        "01", job="reports/nightly", slot_us=us("10:00:00"), slot_last_us=us("10:00:00"), attempt=2, trigger="retry",
        state="failed", reason="exit code 3", queued_us=us("09:59:59"), started_us=us("10:00:00"),
        ended_us=us("10:00:01"), exit_code=3, signal=None, error="ValueError: no", result="[1]", pid=77, host="h",
        node="b2", user_cpu_s=0.5, system_cpu_s=0.25, max_rss_bytes=1 << 20, by="ann", cause='{"after":["x"]}',
        definition_sha256="f00", git_commit="c0ffee", git_dirty=True,
    )  # fmt: skip


def moved(run: str, from_state: str | None, to_state: Any, *, at: int = 0, **detail: Any) -> Transition:
    """Make a transition of a run of job ``a``, first attempt."""
    job, attempt = detail.pop("job", "a"), detail.pop("attempt", 1)
    return Transition(
        at_us=at, kind="run", job=job, run=run, slot_us=0, attempt=attempt, from_state=from_state, to_state=to_state,
        detail=Detail(**detail),
    )  # fmt: skip


def life(run: str, end: Any = "succeeded", *, at: int = 10 * SECOND, **detail: Any) -> list[Transition]:
    """Make the transitions of a run that took two seconds and ended at ``at``."""
    where = {key: detail[key] for key in ("job", "attempt") if key in detail}
    return [
        moved(run, None, "queued", at=at - 3 * SECOND, **where),
        moved(run, "queued", "running", at=at - 2 * SECOND, late_s=0.004, **where),
        moved(run, "running", end, at=at, **({"duration_s": 2.0, "trigger": "schedule"} | detail)),
    ]
