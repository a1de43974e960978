"""A node's lease, and what akjobd makes of an answer of the database that was lost."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from akjob.akjobd.membership import Membership
from akjob.config import Paths
from akjob.config.cluster import ClusterConfig
from akjob.config.web import WebConfig
from akjob.instants import SECOND
from akjob.ledger.nodes import Standing


class World:
    """A loop, an agenda and a store of which Membership asks little; it notes what it is told."""

    def __init__(self, *, has_unknown: bool) -> None:
        self.has_unknown = has_unknown
        self.told: list[str] = []
        self.clock = SimpleNamespace(now_us=lambda: 0)

    def timer(self, *_: object) -> Any:
        """Return a timer that never fires."""
        return SimpleNamespace(at_us=None)

    def say(self, _level: str, event: str, **_fields: object) -> None:
        """Note an event."""
        self.told.append(event)

    def stop(self) -> None:
        """Note that akjobd ends."""
        self.told.append("stop")

    def nothing(self, *_: object) -> None:
        """Do nothing."""

    wake = reached = when_woken = nothing


@pytest.mark.parametrize(("has_unknown", "told"), [(False, []), (True, ["node.rejoined", "stop"])])
def test_runs_that_it_may_have_been_given_are_read_from_the_ledger(
    tmp_path: Path, has_unknown: bool, told: list[str]
) -> None:
    """The answer to a take was lost: once the database is back, akjobd starts again, and has them then."""
    world: Any = World(has_unknown=has_unknown)
    membership = Membership(
        world,
        Paths(tmp_path),
        ClusterConfig(url="postgresql:///x", node="a"),
        WebConfig(),
    )
    membership.serve(world, world, world.say, lambda: world)
    membership._renewed((SECOND, Standing(draining=False, clock_offset_s=0.0, lost=(), taken=0)))
    membership.leave(running=1)
    assert world.told == told
