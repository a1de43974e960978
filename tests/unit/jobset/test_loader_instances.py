"""The loader: a file that gives several jobs."""

import pytest

from tests.unit.jobset.root import BAD, GOOD, Root

TWO = 'command = "true"\n[instances.x]\n[instances.y]\n'


def test_a_file_gives_a_job_for_each_instance(root: Root) -> None:
    """And none of its own name; each changes by itself."""
    root.write("a.toml", TWO)
    root.write("b.toml")
    change = root.load()
    assert change.added == ("a@x", "a@y", "b")
    assert change.jobset.jobs["a@x"].file == "jobs.d/a.toml"
    root.write("a.toml", TWO + "[instances.y.run]\nnice = 5\n")
    [changed] = root.load().changed
    assert changed.job == "a@y"


@pytest.mark.parametrize("hints", [(), ("a.toml",)], ids=["full", "hinted"])
def test_instances_come_and_go(root: Root, hints: tuple[str, ...]) -> None:
    """A file that becomes one of several jobs is no longer a job itself, and the other way round."""
    root.write("a.toml")
    root.load()
    root.write("a.toml", TWO)
    change = root.load(*hints)
    assert (change.added, change.removed) == (("a@x", "a@y"), ("a",))
    root.write("a.toml", 'instances = ["y", "z"]\n' + GOOD)
    change = root.load(*hints)
    assert (change.added, change.removed, change.changed) == (("a@z",), ("a@x",), ())
    root.write("a.toml")
    assert root.load(*hints).removed == ("a@y", "a@z")
    (root.jobs / "a.toml").unlink()
    assert root.load(*hints).removed == ("a",)


def test_a_mistake_in_one_keeps_its_last_good_version(root: Root) -> None:
    """The others take the new version of the file."""
    root.write("a.toml", TWO)
    before = root.load().jobset.jobs
    root.write("a.toml", TWO + "nise = 1\n[run]\nnice = 2\n")
    change = root.load()
    assert [one.job for one in change.broken] == ["a@y"]
    assert change.broken[0].line == 4
    assert change.jobset.jobs["a@y"] is before["a@y"]
    assert change.jobset.jobs["a@x"].run.nice == 2


@pytest.mark.parametrize("bad", [BAD + "[instances.x]\n[instances.y]\n", "command = \n", 'instances = []\ncommand="x"'])
def test_a_mistake_in_what_they_share_keeps_all(root: Root, bad: str) -> None:
    """Also where nobody can tell which instances the file has now."""
    root.write("a.toml", TWO)
    before = root.load().jobset.jobs
    root.write("a.toml", bad)
    change = root.load()
    assert [(one.job, one.running_last_good) for one in change.broken] == [("a@x", True), ("a@y", True)]
    assert len({one.message for one in change.broken}) == 1
    assert change.removed == ()
    assert change.jobset.jobs == before
    root.write("a.toml", TWO)
    assert root.load().repaired == ("a@x", "a@y")


def test_a_file_that_was_never_right(root: Root) -> None:
    """It is one broken job of its own name until its instances are known, and then repaired."""
    root.write("a.toml", "instances = 1\n" + GOOD)
    assert [one.job for one in root.load().broken] == ["a"]
    root.write("a.toml", TWO)
    change = root.load()
    assert (change.repaired, change.added, change.removed) == (("a",), ("a@x", "a@y"), ())
    assert change.jobset.broken == {}


def test_last_good_versions_survive_a_restart(root: Root) -> None:
    """Each instance has its own; one that is gone from the file is removed."""
    root.write("a.toml", TWO)
    stored = root.stored(root.load())
    root.write("a.toml", "command = \n")
    root.fresh(stored)
    change = root.load()
    assert set(change.jobset.jobs) == {"a@x", "a@y"}
    assert change.added == ()
    root.write("a.toml", 'command = "true"\n[instances.y]\n')
    root.fresh(stored)
    change = root.load()
    assert (change.added, change.removed, change.changed) == ((), ("a@x",), ())
    (root.jobs / "a.toml").unlink()
    root.write("b.toml")
    root.fresh(stored)
    assert root.load().removed == ("a@x", "a@y")


def test_a_file_with_an_at_is_not_an_instance(root: Root) -> None:
    """Its name is refused, and it cannot be taken for the other file's job."""
    root.write("a.toml", TWO)
    root.write("a@x.toml", "command = 1\n")
    change = root.load()
    assert set(change.jobset.jobs) == {"a@x", "a@y"}
    assert [(one.job, one.code) for one in change.broken] == [("a@x.toml", "bad-name")]
