"""Reading in spools: each line once, and no spool is removed before its lines are on the disk."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.log.collector.spools import Spools
from akjob.log.collector.sync import Syncer
from tests.support import until

HELLO = b'{"v":1,"run":"r1","job":"a","seq":1}\n'


class Log:
    """Keeps what it is given; while it is ``full`` the collector is ending."""

    def __init__(self) -> None:
        self.data = b""
        self.events: list[tuple[str, dict[str, object]]] = []
        self.full = False

    def write(self, data: memoryview | bytes, key: bytes | None) -> bool:
        """Keep the lines."""
        assert key is not None
        if not self.full:
            self.data += bytes(data)
        return not self.full

    def note(self, level: str, event: str, **fields: object) -> None:
        """Keep the event."""
        self.events.append((event, {"level": level, **fields}))


class World:
    """Spools in a folder, with rounds of the syncer that end when the test lets them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = Log()
        self.answers: list[tuple[str, bytes]] = []
        self.syncer = Syncer(self.fds, lambda: None)
        self.spools = Spools(str(folder), self.log, self.syncer, lambda run, text: self.answers.append((run, text)))
        self.pipe = os.pipe()

    def fds(self) -> list[int]:
        """Return a descriptor that cannot be synced: the round ends at once."""
        return [os.dup(self.pipe[0])]

    def spool(self, run: str, data: bytes) -> Path:
        """Write a spool of a shim that is gone."""
        path = self.folder / run / "spool"
        path.parent.mkdir()
        path.write_bytes(data)
        return path

    def synced(self) -> None:
        """Wait until all rounds are over."""
        until(lambda: self.syncer.done == self.syncer.asked)

    def close(self) -> None:
        """Close everything."""
        self.spools.close()
        self.syncer.finish(5.0)
        for fd in self.pipe:
            os.close(fd)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Yield spools in a folder."""
    world = World(tmp_path)
    yield world
    world.close()


def test_lines_are_read_in_and_the_spool_goes_once_they_are_on_the_disk(world: World) -> None:
    """Its reading takes as many turns as it needs; a torn last line is left out; who asked hears at the end."""
    path = world.spool("r1", HELLO + b"one\ntwo\nthree\ntor")
    world.spools.ask("r1")
    assert world.spools.are_read
    world.spools.read(5)
    assert (world.log.data, path.exists()) == (b"one\n", True)
    world.spools.ask("r1")  # a second time changes nothing
    while world.spools.are_read:
        world.spools.read(5)
    assert world.log.data == b"one\ntwo\nthree\n"
    assert world.log.events == [("collector.spool_read", {"level": "info", "lines": 3, "run": "r1", "job": "a"})]
    world.synced()
    world.spools.read(5)
    assert (path.exists(), world.answers) == (False, [("r1", b"ok\n")])


def test_an_end_in_between_keeps_the_spool(world: World) -> None:
    """The next collector reads it in."""
    path = world.spool("r1", HELLO + b"one\n")
    world.spools.scan()
    world.log.full = True
    world.spools.read(1 << 10)
    world.spools.close()
    assert path.exists()
    assert world.answers == []


def test_what_cannot_be_read_is_put_aside(world: World) -> None:
    """A person can look at it; the sender is not kept waiting, now or when it asks again."""
    path = world.spool("r1", b"no hello\n")
    world.spools.ask("r1")
    world.spools.ask("r1")
    assert not path.exists()
    assert path.with_name("spool.bad").exists()
    assert world.answers == [("r1", b"bad\n")] * 2
    assert [event for event, _ in world.log.events] == ["collector.spool_unreadable"]


def test_a_run_without_a_spool_is_answered_at_once(world: World) -> None:
    """All of its lines are safe."""
    world.spools.ask("r2")
    assert world.answers == [("r2", b"ok\n")]


def test_a_round_follows_a_write_within_a_second_and_not_before_the_last_is_over(world: World) -> None:
    """A slow disk has one round at a time."""
    syncer = world.syncer
    assert syncer.due is None
    syncer.written()
    first = syncer.due
    syncer.written()
    assert syncer.due == first
    syncer.asked += 1  # a round that does not end
    syncer.step()
    assert (syncer.asked, syncer.due is None) == (1, False)
    syncer.asked -= 1
    syncer.step()
    assert (syncer.asked, syncer.due) == (1, None)
