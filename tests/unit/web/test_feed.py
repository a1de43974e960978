"""The transitions that streams tell of: found without a look at those that were told, and made into an event once."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from akjob.ledger import Transition
from akjob.query import happened
from akjob.query.visibility import Principal
from akjob.web import feed
from akjob.web.feed import KEPT, Feed
from tests.unit.cli.root import Root

ALL = Principal(name="me", scope="read", credential="token:1")


class Looked:
    """A transition that notes each look at its number."""

    def __init__(self, seq: int, looks: list[int]) -> None:
        self._seq = seq
        self._looks = looks
        self.job = f"{'db' if seq % 2 else 'web'}/job"
        self.run = f"run-{seq}"

    @property
    def seq(self) -> int:
        """The number."""
        self._looks.append(self._seq)
        return self._seq


def filled(root: Root, looks: list[int]) -> Feed:
    """Return a feed that has as many transitions as it keeps."""
    made = Feed(root.paths, ThreadPoolExecutor(1))
    made._kept.extend(Looked(seq, looks) for seq in range(1, KEPT + 1))  # type: ignore[misc]
    made._seq = KEPT
    return made


def test_what_is_new_is_found_without_the_rest(root: Root) -> None:
    """Ten thousand are kept, and a stream that is nearly up to date looks at a few."""
    looks: list[int] = []
    made = filled(root, looks)
    found = asyncio.run(made.since(KEPT - 3))
    assert found is not None
    assert [one.run for one in found] == [f"run-{seq}" for seq in range(KEPT - 2, KEPT + 1)]
    assert len(looks) < 10


def test_streams_share_an_event(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that may know of the same and are equally far; never with one that may know of less."""
    made, told = filled(root, []), []

    def noted(principal: Principal, transitions: list[Transition]) -> object:
        told.append(principal.jobs)
        return happened.change(principal, transitions)

    monkeypatch.setattr(feed, "change", noted)
    few = msgspec.structs.replace(ALL, jobs="db/*")

    async def ask() -> list[bytes]:
        return [(await made.event(who, KEPT - 2))[0] for who in (ALL, few, ALL, few, ALL)]

    events = asyncio.run(ask())
    assert told == [None, "db/*"]
    assert events[0] == events[2] == events[4]
    assert events[1] == events[3]
    assert b"web/job" in events[0]
    assert b"web/job" not in events[1]


def test_an_event_is_made_again_when_there_is_more(root: Root) -> None:
    """What is shared is of the newest transitions."""
    made = filled(root, [])

    async def ask() -> tuple[bytes, bytes]:
        before = await made.event(ALL, KEPT - 1)

        async def more(_: object) -> list[Looked]:
            return [Looked(KEPT + 1, [])]

        made._ask = more  # type: ignore[method-assign, assignment]
        assert await made._take()
        return before[0], (await made.event(ALL, KEPT - 1))[0]

    before, after = asyncio.run(ask())
    assert f"run-{KEPT + 1}".encode() not in before
    assert f"run-{KEPT + 1}".encode() in after
