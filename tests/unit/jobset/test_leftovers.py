"""Copies that merge and sync tools leave beside a job file never run."""

import pytest

from akjob.jobset.scan import is_leftover, name_problem
from tests.unit.jobset.root import Root

LEFTOVERS = [
    "x_LOCAL_12345.toml",
    "x_REMOTE_1.toml",
    "x_BASE_99.toml",
    "x_BACKUP_12345.toml",
    "x.LOCAL.123.toml",
    "x.sync-conflict-20260101-120000-ABCDEFG.toml",
    "x_conflict-20260101-120000.toml",
    "x (Anna's conflicted copy 2026-01-01).toml",
    "x (conflicted copy 2026-01-01 120000).toml",
    "x (copy).toml",
    "x (another copy).toml",
    "x (copy 2).toml",
    "x copy.toml",
    "x copy 2.toml",
    "x - Copy.toml",
    "x - Copy (2).toml",
    "x - Kopie.toml",
    "x (1).toml",
]


@pytest.mark.parametrize("name", LEFTOVERS)
def test_a_leftover_is_passed_over_with_a_warning(root: Root, name: str) -> None:
    """It is no job and breaks none; the warning names it at each scan that is told, and goes with it."""
    root.write("a/x.toml")
    root.load()
    file = root.write(f"a/{name}")
    change = root.load(f"a/{name}")
    assert set(change.jobset.jobs) == {"a/x"}
    assert change.jobset.broken == {}
    assert [(one.code, one.file) for one in change.problems] == [("leftover", f"jobs.d/a/{name}")]
    assert root.load().problems == ()
    assert [one.code for one in root.loader.problems()] == ["leftover"]
    file.unlink()
    root.load(f"a/{name}")
    assert root.loader.problems() == []


@pytest.mark.parametrize(
    "name", ["local_12.toml", "x_LOCAL.toml", "copy.toml", "x-copy.toml", "conflicted.toml", "BASE_1.toml"]
)
def test_a_name_of_its_own_is_a_job(root: Root, name: str) -> None:
    """What merely has such a word in it is a job like any other."""
    assert not is_leftover(name)
    assert name_problem(name, name) is None
    root.write(name)
    assert root.load().added == (name.removesuffix(".toml"),)


def test_nobody_makes_a_job_of_such_a_name() -> None:
    """It would never run."""
    problem = name_problem("x_LOCAL_1.toml", "jobs.d/x_LOCAL_1.toml")
    assert problem is not None
    assert "passed over" in problem.message
