"""The connection to the zygote, on a clock that the test sets and with zygotes that the test ends."""

import os
import selectors
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from akjob.config import Paths
from akjob.run.shims import ShimManager
from akjob.run.zygote_client import Spawned, Zygote, ZygoteClient

if TYPE_CHECKING:
    from akjob.run.engine import Engine

SECOND = 1_000_000


class FakeZygote:
    """A zygote that the test answers for; ``end`` makes it end."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd, self._ends = os.pipe()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self.sent: list[bytes] = []
        self.answers: list[Spawned | bytes] = []
        self.stuck = False
        self.closed = False

    def fileno(self) -> int:
        """Return what becomes readable with an answer."""
        return self._read

    @property
    def wants_write(self) -> bool:
        """Whether an order has no room."""
        return self.stuck

    @property
    def unread(self) -> bool:
        """Whether an order was not taken."""
        return self.stuck

    def send(self, orders: list[bytes]) -> None:
        """Take orders."""
        self.sent += orders

    def flush(self) -> None:
        """Have room again."""
        self.stuck = False

    def answer(self, answer: Spawned | bytes) -> None:
        """Say something."""
        self.answers.append(answer)
        os.write(self._write, b"!")

    def received(self) -> list[Spawned | bytes]:
        """Return what was said."""
        if self.answers:
            os.read(self._read, 4096)
        said, self.answers = self.answers, []
        return said

    def end(self) -> None:
        """Die."""
        os.close(self._ends)
        self._ends = -1

    def ended(self) -> bool:
        """Whether it is dead."""
        return self._ends < 0

    def close(self) -> None:
        """Be closed."""
        self.closed = True
        for fd in (self.pidfd, self._read, self._write, self._ends):
            if fd >= 0:
                os.close(fd)
        self._ends = -1


class World:
    """A client, its clock, its zygotes, what it received."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.selector = selector
        self.now = 50 * SECOND
        self.zygotes: list[FakeZygote] = []
        self.refusal: OSError | None = None
        self.received: list[Spawned | bytes] = []
        self.gone = 0
        self.client = ZygoteClient(
            self._start, selector, lambda: self.now, receive=self.received.append, gone=self._note_gone
        )

    def _start(self) -> Zygote:
        if self.refusal is not None:
            raise self.refusal
        self.zygotes.append(FakeZygote(100 + len(self.zygotes)))
        return cast("Zygote", self.zygotes[-1])

    def _note_gone(self) -> None:
        self.gone += 1

    def turn(self) -> None:
        """Do what the selector has to do now."""
        for key, mask in self.selector.select(0):
            cast("Callable[[int], None]", key.data)(mask)


@pytest.fixture
def world() -> Iterator[World]:
    """Yield a client without a zygote."""
    with selectors.DefaultSelector() as selector:
        made = World(selector)
        yield made
        made.client.close()


def test_orders_wait_for_the_first_zygote(world: World) -> None:
    """What is sent before there is one is not lost."""
    world.client.send([b"one"])
    world.client.start()
    world.client.send([b"two"])
    assert world.zygotes[0].sent == [b"one", b"two"]
    assert (world.client.pid, world.client.since_us, world.client.trouble) == (100, 50 * SECOND, "")


def test_one_that_ends_is_replaced_at_once(world: World) -> None:
    """All that it said is received before akjobd looks at what it left; the next one gets what comes then."""
    world.client.start()
    world.now += 10 * SECOND
    world.zygotes[0].answer(b"ended r1 7")
    world.zygotes[0].end()
    world.turn()
    assert (world.received, world.gone) == ([b"ended r1 7"], 1)
    assert (world.client.pid, world.client.trouble) == (101, "the zygote 100 ended; another one is started")
    assert world.zygotes[0].closed
    world.client.send([b"order"])
    assert (world.zygotes[0].sent, world.zygotes[1].sent) == ([], [b"order"])


def test_one_that_ends_as_soon_as_it_starts_is_not_replaced_at_once(world: World) -> None:
    """Nothing spins: the next one comes a second later, and until then orders wait."""
    world.client.start()
    world.now += SECOND // 10
    world.zygotes[0].end()
    world.turn()
    assert world.client.pid == 0
    assert "it ended as soon as it was started" in world.client.trouble
    assert world.client.due_us == world.now + SECOND
    world.client.send([b"order"])
    world.client.step(world.now + SECOND - 1)
    assert len(world.zygotes) == 1
    world.now += SECOND
    world.client.step(world.now)
    assert [one.sent for one in world.zygotes] == [[], [b"order"]]
    assert world.client.due_us is None
    assert not world.client.has_nothing_due(world.now)
    assert world.client.has_nothing_due(world.now + SECOND + 1)


def test_one_that_cannot_be_started_is_tried_again(world: World) -> None:
    """And why is said."""
    world.refusal = OSError(12, "Cannot allocate memory")
    world.client.start()
    assert world.client.trouble == "it cannot be started: Cannot allocate memory"
    assert world.client.due_us == world.now + SECOND
    assert world.client.unread
    world.refusal = None
    world.client.step(world.now + SECOND)
    assert world.client.pid == 100


def test_answers_are_read_when_that_is_wanted(world: World) -> None:
    """In a burst they wait until they are asked for, all at once."""
    world.client.start()
    world.client.read(at_once=False)
    world.zygotes[0].answer(Spawned("r1", pid=7))
    world.turn()
    assert world.received == []
    world.client.read(at_once=True)
    assert world.received == [Spawned("r1", pid=7)]
    world.zygotes[0].answer(Spawned("r2", pid=8))
    world.turn()
    assert [one.run for one in world.received if isinstance(one, Spawned)] == ["r1", "r2"]


def test_orders_without_room_go_out_when_there_is_some(world: World) -> None:
    """The loop is woken for it, and then no more."""
    world.client.start()
    world.zygotes[0].stuck = True
    world.client.send([b"order"])
    assert world.client.unread
    assert world.selector.get_map()[world.zygotes[0].fileno()].events & selectors.EVENT_WRITE
    os.close(world.zygotes[0]._write)
    world.zygotes[0]._write = -1
    world.client._ready(selectors.EVENT_WRITE)
    assert not world.client.unread
    assert not world.selector.get_map()[world.zygotes[0].fileno()].events & selectors.EVENT_WRITE


def as_engine(engine: "Engine") -> "Engine":
    """Return it; mypy checks that it is one."""
    return engine


def test_shims_are_an_engine(tmp_path: Path) -> None:
    """What akjobd knows of whatever executes runs is what the shims of this machine can do."""
    paths = Paths(tmp_path)
    paths.run_dir.mkdir(parents=True)
    with selectors.DefaultSelector() as selector:
        engine = as_engine(ShimManager(paths, selector, lambda _run: None, lambda: 0))
        assert (engine.due_us, engine.happened) == (None, [])
        engine.close()
