"""Copies that merge and sync tools leave beside a job file never run."""

import pytest

from akjob.jobset.scan import is_leftover, name_problem, original_of
from akjob.validate import validate
from tests.unit.jobset.root import NOW_US, Root

BESIDE = [
    "x.orig.toml",
    "x.ORIG.toml",
    "x.bak.toml",
    "x.BAK.toml",
    "x.old.toml",
    "x.OLD.toml",
    "x.tmp.toml",
    "x.rej.toml",
    "x.ours.toml",
    "x.theirs.toml",
    "x.Conflict.toml",
]
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
    "Copy of x.toml",
    "Copy (2) of x.toml",
    "x (SFConflict ada@example.org 2026-03-07-11-30-28).toml",
    *BESIDE,
]


@pytest.mark.parametrize("name", LEFTOVERS)
def test_a_leftover_is_passed_over_with_a_warning(root: Root, name: str) -> None:
    """It is not a job and breaks none; the warning names it at each scan that is told, and goes with it."""
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


@pytest.mark.parametrize("name", LEFTOVERS)
def test_validate_says_the_same(root: Root, name: str) -> None:
    """The one warning, for the folder; and for a copy that is named itself no job is found in it."""
    root.write("a/x.toml")
    file = root.write(f"a/{name}")
    found = validate(root.paths, now_us=NOW_US)
    assert [(one.code, one.file) for one in found] == [("leftover", f"jobs.d/a/{name}")]
    if name in BESIDE:
        (one,) = validate(root.paths, [file], now_us=NOW_US)
        assert (one.code, one.severity) == ("leftover", "warning")
        assert "copy of x.toml beside it" in one.message


@pytest.mark.parametrize("name", ["x.toml.orig", "x.toml.bak", "x.toml~", "x~", ".#x.toml", "#x.toml#", ".x.toml.swp"])
def test_what_does_not_end_in_toml_is_no_job_file(root: Root, name: str) -> None:
    """Of an editor's backup nothing is said: it is there after each save."""
    root.write("x.toml")
    root.write(name)
    assert set(root.load().jobset.jobs) == {"x"}
    assert root.loader.problems() == []


@pytest.mark.parametrize("name", BESIDE)
def test_without_its_original_it_is_a_job(root: Root, name: str) -> None:
    """It becomes one when the original goes, and stops being one when the original comes; events alone tell it."""
    job = name.removesuffix(".toml")
    root.write(name)
    root.write("other.toml")
    assert set(root.load().jobset.jobs) == {job, "other"}
    original = root.write("x.toml")
    change = root.load("x.toml")
    assert (set(change.jobset.jobs), change.removed) == ({"x", "other"}, (job,))
    original.unlink()
    change = root.load("x.toml")
    assert (set(change.jobset.jobs), change.added) == ({job, "other"}, (job,))


@pytest.mark.parametrize(
    "name", [".orig.toml", "orig.toml", "a.orig/x.toml", "x.orig.b.toml", "x-old.toml", "x.origin.toml"]
)
def test_no_copy(name: str) -> None:
    """A name that only looks like that."""
    assert original_of(name) is None


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
    assert "ignored" in problem.message
