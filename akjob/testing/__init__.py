"""Tests of job files, in any test suite: when a job fires, what a schedule would do, what a run prints.

    from akjob.testing import load
    def test_the_report_is_sent_on_mondays():
        assert load("jobs.d/reports/weekly.toml").fires_at("2027-03-29T09:30")

Times are ``datetime``, ``date`` (its beginning) or ISO 8601 text; without an offset they are local in the job's time
zone. Nothing here needs pytest; its plug-in is :mod:`akjob.testing.plugin`, which pytest loads by itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from akjob.testing.job import TestJob, dst_days, load
    from akjob.testing.runs import Result, run
    from akjob.testing.simulation import Simulation

_HOMES = {
    "Result": "runs",
    "Simulation": "simulation",
    "TestJob": "job",
    "dst_days": "job",
    "load": "job",
    "run": "runs",
}

__all__ = ["Result", "Simulation", "TestJob", "dst_days", "load", "run"]


def __getattr__(name: str) -> Any:
    """Import a part when it is first used: pytest imports this package at each start, used or not."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"akjob.testing.{_HOMES[name]}"), name)
