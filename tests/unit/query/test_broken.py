"""Mistakes are counted once, however many jobs they cost."""

from typing import Any

from akjob.control.status import BrokenFile
from akjob.errors import Problem
from akjob.instants import from_text
from akjob.query.broken import mistakes, of_settings

EARLY, LATE = "2026-03-28T12:00:00.000000Z", "2026-03-28T12:00:05.000000Z"


def refused(job: str, **values: Any) -> BrokenFile:
    """Return what is refused of a job."""
    fields: dict[str, Any] = {"file": "jobs.d/_defaults.toml", "line": 2, "column": 1, "message": "m", "hint": ""}
    return BrokenFile(job=job, **{"since": LATE, **fields, **values})


def test_a_mistake_in_defaults_is_one_with_all_its_jobs() -> None:
    """Since the first of them; other places, commits and consequences are others."""
    first, other, kept = mistakes(
        [refused("a"), refused("b", since=EARLY), refused("c", line=9), refused("d", running_last_good=True)]
    )
    assert (first.place, first.jobs, first.since_us) == ("jobs.d/_defaults.toml:2:1", ("a", "b"), from_text(EARLY))
    assert (other.place, other.jobs) == ("jobs.d/_defaults.toml:9:1", ("c",))
    assert (kept.jobs, kept.running_last_good) == (("d",), True)


def test_a_mistake_in_the_settings_costs_no_job() -> None:
    """It stands in the same list, without a name."""
    problem = Problem(file="etc/akjob.toml", code="unknown-key", message="m", hint="h")
    (found,) = mistakes([of_settings(problem, from_text(EARLY))])
    assert (found.jobs, found.message, found.hint, found.git_commit) == ((), "m", "h", None)
