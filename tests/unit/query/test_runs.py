"""What a row of the ledger says: why it ended, how long it took, which version it was made from."""

from typing import Any

import pytest

from akjob.instants import SECOND, from_text
from akjob.ledger import RunColumns
from akjob.ledger.columns import RUN_COLUMNS
from akjob.query.runs import ReportedEnd, Run, definition_changes, exit_code, explain, from_row, took_us

AT = "2026-03-28T12:00:00.000000Z"


def a_run(**values: Any) -> Run:
    """Return a row as the ledger gives it, with ``values``."""
    row: dict[str, Any] = dict.fromkeys(RUN_COLUMNS)
    row |= {"id": "r1", "job": "tick", "slot": AT, "slot_last": AT, "attempt": 1, "trigger": "schedule"}
    return from_row(row | {"state": "succeeded", "count": 1, "queued_at": AT, **values})


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (ReportedEnd(state="failed", exit_code=3), "exit code 3"),
        (ReportedEnd(state="failed", reason="exit code 3", exit_code=3), "exit code 3"),
        (
            ReportedEnd(state="failed", reason="E: x", error="E: x", exit_code=1),
            "E: x; exit code 1",
        ),
        (ReportedEnd(state="failed", signal=11), "signal 11"),
        (ReportedEnd(state="failed", reason="killed by signal 9", signal=9), "killed by signal 9"),
        (ReportedEnd(state="failed", error="E: a\nb"), "E: a b"),
        (ReportedEnd(state="succeeded"), ""),
    ],
)
def test_why_a_run_ended_is_one_line_and_says_nothing_twice(end: ReportedEnd, said: str) -> None:
    """The reason comes first; what it says already is not repeated."""
    assert explain(end) == said


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (ReportedEnd(state="succeeded", exit_code=75), 0),
        (ReportedEnd(state="failed", exit_code=75), 75),
        (ReportedEnd(state="failed", signal=9), 137),
        (ReportedEnd(state="cancelled"), 1),
    ],
)
def test_the_exit_code_of_an_end(end: ReportedEnd, code: int) -> None:
    """Also a run that succeeded with another code than 0, by ``success_codes``, is a success."""
    assert exit_code(end) == code


def test_how_long_a_run_took() -> None:
    """Until now while it goes on; nothing where it never started."""
    now = from_text(AT) + 9 * SECOND
    assert took_us(a_run(), now) is None
    assert took_us(a_run(started_at=AT), now) == 9 * SECOND
    assert took_us(a_run(started_at=AT, ended_at="2026-03-28T12:00:02.000000Z"), now) == 2 * SECOND


def test_a_run_is_marked_where_its_definition_is_another_than_before() -> None:
    """Runs that did not start are passed over, and nothing is said of the oldest."""
    runs = [
        a_run(id="r4", started_at=AT, definition_sha256="b" * 64, git_commit="c" * 40, git_dirty=True),
        a_run(id="r3", state="skipped", definition_sha256=None),
        a_run(id="r2", started_at=AT, definition_sha256="a" * 64),
        a_run(id="r1", started_at=AT, definition_sha256="a" * 64),
    ]
    assert definition_changes(runs) == {"r4": "bbbbbbbb (cccccccc+)"}
    assert definition_changes(runs[2:]) == {}


def test_a_run_is_a_row_with_the_columns_of_the_ledger() -> None:
    """Neither has a field that the other lacks, and JSON has them in the ledger's order."""
    assert Run.__struct_fields__ == tuple(RunColumns.__annotations__)
