"""The fault matrix: each process killed at each step of a run's life. ``make faults`` prints it as a table."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from akjob.errors import AkjobError
from akjob.instants import to_text
from tests.roots import Place
from tests.support import until

STEPS = ("claimed", "ordered", "forked", "running", "ending", "end written", "ingested")
VICTIMS = ("akjobd", "zygote", "shim", "akjob-collector")
# What can be killed at a step must exist there: before an order is sent there is no shim; once the end is in the ledger
# the shim has nothing left to do and may be gone.
CELLS = [
    (step, victim)
    for step in STEPS
    for victim in VICTIMS
    if not (victim == "shim" and step in ("claimed", "ordered", "ingested"))
]
RESULTS: dict[tuple[str, str], str] = {}

pytestmark = pytest.mark.faults


class Points:
    """The other end of the fault points: holds the first process that comes to ``step``, lets all others go on."""

    def __init__(self, address: Path, step: str) -> None:
        self._step = step
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(address))
        self._listener.listen(64)
        self._listener.settimeout(0.1)
        self._held: socket.socket | None = None

    def wait(self) -> int:
        """Wait until the step is reached; return the pid of who waits there."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            connection = self._accept()
            if connection is None:
                continue
            step, _, pid = connection.recv(200).decode().rpartition(" ")
            if step.rpartition(" ")[0] == self._step:
                self._held = connection
                return int(pid)
            connection.close()
        pytest.fail(f"nobody came to {self._step}")

    def let_go(self) -> None:
        """Let everybody go on, from now on."""
        if self._held is not None:
            self._held.close()
        while (connection := self._accept()) is not None:
            connection.close()
        self._listener.close()

    def _accept(self) -> socket.socket | None:
        with suppress(TimeoutError):
            return self._listener.accept()[0]
        return None


@pytest.fixture
def place(root: Path) -> Iterator[Place]:
    """Yield a root whose processes stop at fault points."""
    here = Place(root, AKJOB_FAILPOINTS=str(root / "points"))
    yield here
    here.stop()


@pytest.fixture(scope="module", autouse=True)
def _table(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        sys.stdout.write(f"\n{table()}\n")


def table() -> str:
    """Return the matrix, a line a step and a column a victim."""
    lines = [f"{'step':13}" + "".join(f"{victim:>17}" for victim in VICTIMS)]
    for step in STEPS:
        cells = [RESULTS.get((step, victim), "-" if (step, victim) not in CELLS else "not run") for victim in VICTIMS]
        lines.append(f"{step:13}" + "".join(f"{cell:>17}" for cell in cells))
    return "\n".join(lines)


@pytest.mark.parametrize(("step", "victim"), CELLS)
def test_a_kill_at_a_step(place: Place, step: str, victim: str) -> None:
    """The slot runs once or is told to be lost with its shim; nothing is left over, whoever was killed when."""
    RESULTS[step, victim] = "FAILED"
    points = Points(place.root / "points", step)
    try:
        # First the programs, then the slot: whoever is held at a point answers nobody.
        place.start()
        slot = (time.time_ns() // 1_000_000_000 + 3) * 1_000_000
        place.job(
            "effect",
            "command = 'echo \"$AKJOB_SLOT $AKJOB_ATTEMPT\" >> effects; sleep 0.3; exit 7'\n"
            f"[schedule]\nat = {to_text(slot)[:19]}Z\n",
        )
        waiting = points.wait()
        _kill(place, victim, waiting)
    finally:
        points.let_go()
    row = until(lambda: _final(place), 60.0)
    effects = (place.root / "effects").read_text().splitlines() if (place.root / "effects").exists() else []
    assert effects.count(f"{to_text(slot)} 1") == len(effects) <= 1, place.said()
    if victim == "shim" and step != "end written":
        assert (row["state"], row["exit_code"]) == ("lost", None), (row, place.said())
    else:
        assert (row["state"], row["exit_code"], len(effects)) == ("failed", 7, 1), (row, place.said())
    assert [one["id"] for one in place.sql("SELECT id FROM runs")] == [row["id"]]
    until(lambda: not place.folders(), 45.0)
    assert not _processes_of(row["id"])
    RESULTS[step, victim] = "ok: lost" if row["state"] == "lost" else f"ok: exit {row['exit_code']}"


def _kill(place: Place, victim: str, waiting: int) -> None:
    if victim == "shim":
        os.kill(waiting, signal.SIGKILL)
        return
    pid = _zygote(place) if victim == "zygote" else place.pid(victim)
    os.kill(pid, signal.SIGKILL)
    if pid != waiting and victim != "zygote":
        until(lambda: place.pid(victim) != pid)


def _zygote(place: Place) -> int:
    """Find the zygote by its title: akjobd may be held at a point and answer nobody."""
    for task in Path(f"/proc/{place.pid('akjobd')}/task").iterdir():
        for child in (task / "children").read_text().split():
            if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"akjob: zygote"):
                return int(child)
    pytest.fail("there is no zygote")


def _final(place: Place) -> dict[str, Any] | None:
    with suppress(AkjobError):
        rows = place.sql("SELECT * FROM runs WHERE state NOT IN ('queued', 'running')")
        return rows[0] if rows else None
    return None


def _processes_of(run: str) -> list[str]:
    mark = f"AKJOB_RUN={run}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if mark in (folder / "environ").read_bytes():
                    found.append(folder.name)
    return found
