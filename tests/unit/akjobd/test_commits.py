"""What is refused is logged with the commit that git names, or without one when git takes too long."""

from types import SimpleNamespace
from typing import Any

import pytest

from akjob.akjobd.commits import Commits
from akjob.instants import SECOND
from akjob.jobset.model import BrokenJob

BROKEN = BrokenJob(
    job="a", file="jobs.d/a.toml", line=3, column=1, message="unknown key", hint="", code="unknown-key",
    since_us=1, content="x", problems=(), running_last_good=True,
)  # fmt: skip


class World:
    """A loop, git, an agenda and a log, of which Commits asks little."""

    def __init__(self) -> None:
        self.revision = SimpleNamespace(fresh=False, commit="before")
        self.timers: dict[str, Any] = {}
        self.said: list[tuple[object, object]] = []
        self.unattributed = self.jobset = None

    def timer(self, name: str, *_: object) -> Any:
        """Return a timer that the test lets fire."""
        return self.timers.setdefault(name, SimpleNamespace(at_us=None))

    def current(self) -> Any:
        """Return what git has answered."""
        return self.revision

    def refresh(self) -> None:
        """Ask git."""

    wake = refresh

    def say(self, _level: str, event: str, **fields: object) -> None:
        """Note an event."""
        self.said.append((event, fields["git_commit"]))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the world of one refused file, of which git has not said anything yet."""
    found: Any = World()
    monkeypatch.setattr("akjob.akjobd.commits.Provenance", lambda *_: found)
    found.commits = Commits(found, found, found, found, found.say)
    found.commits.loaded(refused=[BROKEN], now_us=5 * SECOND)
    found.commits.attribute(5 * SECOND)
    assert found.said == []
    assert found.timers["commits.say"].at_us == 6 * SECOND
    return found


def test_a_broken_job_is_logged_with_its_commit(world: Any) -> None:
    """Once, as soon as git has answered."""
    world.revision = SimpleNamespace(fresh=True, commit="abc")
    for _ in "12":
        world.commits.attribute(5 * SECOND + 1)
    assert world.said == [("job.broken", "abc")]


def test_a_broken_job_is_logged_without_git_too(world: Any) -> None:
    """A second later, and before akjobd ends: the commit is not known then."""
    world.timers["commits.say"].at_us = None  # it fired
    world.commits.attribute(6 * SECOND)
    assert world.said == [("job.broken", None)]
    world.commits.loaded(refused=[BROKEN], now_us=7 * SECOND)
    world.commits.say_refused(at_once=True)
    assert world.said == [("job.broken", None)] * 2
