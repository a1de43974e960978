"""Runs that are delivered to a node: how long the hand-over took of those that went out just ahead of their slots."""

from typing import Any

import pytest

from akjob.akjobd.taking import Taking
from akjob.config.cluster import ClusterConfig
from akjob.instants import MINUTE
from akjob.ledger import OpenRun, RunRow
from tests.unit.world import row


class One:
    """A ledger with one run that waits, an agenda that takes it, and a membership that lets it."""

    held = ""

    def __init__(self, waiting: RunRow) -> None:
        self._row = waiting

    def waiting(self, _run: str) -> RunRow:
        """Return it."""
        return self._row

    def take(self, _run: object, *_more: object) -> OpenRun:
        """Take it."""
        return OpenRun(self._row, None)

    def knows(self, _run: str) -> bool:
        """Return False."""
        return False

    def definition_of(self, _row: RunRow) -> str:
        """Return that it is there."""
        return "definition"

    def fits(self, _spec: object) -> bool:
        """Return True."""
        return True


@pytest.mark.parametrize(
    ("queued_us", "taken_us", "told"),
    [
        (10 * MINUTE - 70_000, 10 * MINUTE - 40_000, [30_000]),
        (10 * MINUTE - 70_000, 10 * MINUTE + 20_000, [90_000]),  # late: more is needed
        (9 * MINUTE, 10 * MINUTE - 40_000, []),  # well ahead, by `lead`
        (10 * MINUTE, 10 * MINUTE + 40_000, []),  # it waited for something, or was asked for
    ],
)
def test_how_long_a_hand_over_took(queued_us: int, taken_us: int, told: list[int]) -> None:
    """From the claim to the node that takes it; by that orders go out earlier."""
    one: Any = One(row("1", slot_us=10 * MINUTE, queued_us=queued_us))
    found: list[int] = []
    taking = Taking(
        cluster=ClusterConfig(url="", node="a"),
        store=one,
        agenda=one,
        membership=one,
        revision=lambda: one,
        now_us=lambda: 0,
        handed_over=found.append,
    )
    assert taking.take("1", taken_us).state == "taken"
    assert found == told
