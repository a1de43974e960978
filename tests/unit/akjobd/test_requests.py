"""What akjobd answers to commands in a cluster, without processes: other nodes may have changed what is asked about."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from akjob.akjobd.cluster import Alone
from akjob.akjobd.requests import Requests
from akjob.control import requests as asked
from akjob.ledger import News, OpenRun
from tests.unit.world import World, close_all, job, row, us

if TYPE_CHECKING:
    from akjob.akjobd.loop import Loop
    from akjob.control.server import Peer

PEER = cast("Peer", object())


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what the test has opened."""
    yield
    close_all()


class Others(Alone):
    """A cluster in which another node has claimed a run, which is heard of when akjobd looks."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.looked = 0

    def catch_up(self, now_us: int) -> bool:
        """Hear of it the first time."""
        self.looked += 1
        far = row("far", slot_us=us("10:00:00"), state="running", node="b2")
        self.world.agenda.hear(News(seq=1, open_runs=(OpenRun(far, None),)), now_us)
        return self.looked == 1


class Desk:
    """The requests of an akjobd, and what it has answered."""

    def __init__(self, world: World, cluster: Alone) -> None:
        self.world = world
        self.answers: list[asked.Answer] = []
        loop: Any = SimpleNamespace(
            clock=SimpleNamespace(now_us=lambda: world.now), timer=lambda *_: SimpleNamespace(at_us=None)
        )
        nothing: Any = None
        scanning: Any = SimpleNamespace(jobset=object())
        self._requests = Requests(
            cast("Loop", loop),
            agenda=world.agenda,
            writer=world.writer,
            scanning=scanning,
            commits=nothing,
            status=nothing,
            reader=nothing,
            send=lambda _peer, answer: self.answers.append(answer),
            cluster=cluster,
        )

    def ask(self, request: asked.AnyRequest) -> asked.Answer:
        """Return the answer of one turn."""
        answer = self._requests.serve(PEER, request)
        if answer is not None:
            return answer
        self.world.turn()
        self._requests.answer(self.world.now)
        return self.answers.pop()


def test_a_run_that_was_not_heard_of_yet_is_stopped(tmp_path: Path) -> None:
    """What is refused is looked up once more among what other nodes wrote."""
    world = World(tmp_path, job("a", '[schedule]\nevery = "1m"\n'), now=us("10:00:30"))
    world.agenda.share("here", [])
    cluster = Others(world)
    desk = Desk(world, cluster)
    assert desk.ask(asked.StopRuns(target="far")) == asked.RunsStopped(stopped=("far",))
    refused = desk.ask(asked.RunJob(job="a"))
    assert isinstance(refused, asked.Refused)
    assert "busy: run far on node b2 still runs" in refused.message
    assert cluster.looked == 2
