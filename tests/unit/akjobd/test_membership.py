"""A node's lease, and what akjobd makes of an answer of the database that was lost."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from akjob.akjobd.loop import Timer
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
        return Timer(60 * SECOND)

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


@pytest.mark.parametrize(
    ("next_over_us", "looks_us"), [(None, 10 * SECOND), (15 * SECOND, 10 * SECOND), (2 * SECOND, 2 * SECOND + 100_000)]
)
def test_an_idle_node_looks_when_the_lease_of_another_one_is_over(
    tmp_path: Path, next_over_us: int | None, looks_us: int
) -> None:
    """It renews its own every half of it, and sooner only where another node is late."""
    world: Any = World(has_unknown=False)
    membership = Membership(world, Paths(tmp_path), ClusterConfig(url="postgresql:///x", node="a"), WebConfig())
    membership.serve(world, world, world.say, lambda: world)
    membership._renewal.at_us = 10 * SECOND
    standing = Standing(draining=False, clock_offset_s=0.0, lost=(), next_over_us=next_over_us)
    membership._renewed((0, standing))
    membership.leave(running=1)
    assert membership._renewal.at_us == looks_us
