"""akjobd's own lines: none is lost, whoever is killed when."""

import os
import signal
import socket
from pathlib import Path

import msgspec
import pytest

from akjob.daemon_log import DaemonLog


def collect(address: Path, journal: DaemonLog) -> list[str]:
    """Be the collector for as long as it takes: have the journal send what it has, and return the events."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        journal.sender.step(1000.0)
        connection, _ = listener.accept()
        with connection:
            journal.sender.step(1000.0)
            hello, *lines = connection.recv(1 << 20).splitlines()
            first = msgspec.json.decode(hello)["seq"]
            connection.sendall(b"%d\n" % (first + len(lines) - 1))
            journal.sender.step(1000.0)
    return [msgspec.json.decode(line)["event"] for line in lines]


@pytest.fixture
def address(root: Path) -> Path:
    """Return where the collector would listen."""
    return root / "collector.sock"


def journal(address: Path) -> DaemonLog:
    """Return a journal as akjobd's start makes it."""
    return DaemonLog(str(address), address.with_name("spool"), lambda: 0, lambda: 0.0)


def killed(address: Path, *events: str) -> None:
    """Let a process say something, and be killed before anybody has heard it."""
    pid = os.fork()
    if pid == 0:
        ours = journal(address)
        for event in events:
            ours.say("info", event)
            ours.sender.step(0.0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)


def test_without_a_collector_lines_are_on_disk_at_once(address: Path) -> None:
    """A kill -9 of akjobd while nobody listens costs none of them, nor does one before they are delivered."""
    killed(address, "one", "two")
    killed(address)
    last = journal(address)
    last.say("info", "three")
    assert collect(address, last) == ["one", "two", "three"]
    assert last.sender.idle
    assert not address.with_name("spool").exists()
    last.sender.close()
