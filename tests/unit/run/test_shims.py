"""What the folder of a run tells the akjobd that finds it."""

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.config import Paths
from akjob.run import folder
from akjob.run.engine import Ended, Lost, Started
from akjob.run.shims import ShimManager

RUN, OTHER = "01m8a3j1v6cjhywa", "01m8a3j1v6cjhywb"


@pytest.fixture
def shims(root: Path) -> Iterator[ShimManager]:
    """Yield the shims of an akjobd that has just started, without a zygote."""
    paths = Paths(root)
    paths.runs.mkdir(parents=True, exist_ok=True)
    with selectors.DefaultSelector() as selector:
        removed: list[str] = []
        found = ShimManager(paths, selector, removed.append, lambda: time.time_ns() // 1000)
        yield found
        found.close()


def left(root: Path, run: str) -> None:
    """Leave the folder of RUN with an end in it that says that it is of ``run``; its shim is gone."""
    path = Paths(root).runs / RUN
    path.mkdir()
    (path / folder.LOCK).write_bytes(
        json.dumps({"run": run, "state": "succeeded", "exit_code": 0, "ended_us": 9_000}).encode()
    )
    for name in (f"{folder.FENCE}0", folder.END):
        (path / name).hardlink_to(path / folder.LOCK)


def test_an_end_is_taken(shims: ShimManager, root: Path) -> None:
    """The run has ended while no akjobd was there."""
    left(root, RUN)
    shims.find(RUN, running=True)
    (what,) = shims.happened
    assert isinstance(what, Ended)
    assert what.end.state == "succeeded"


@pytest.mark.parametrize(("whose", "known"), [(RUN, [(RUN, 17, 5_000)]), (OTHER, [])])
def test_a_start_is_known_from_an_end_that_has_no_name_yet(
    shims: ShimManager, root: Path, whose: str, known: list[tuple[str, int, int]]
) -> None:
    """Its shim lives and waits for room on the disk; until there is some the run counts as running."""
    path = Paths(root).runs / RUN
    path.mkdir()
    lock = path / folder.LOCK
    lock.write_bytes(
        json.dumps({"run": whose, "state": "succeeded", "pid": 17, "started_us": 5_000, "ended_us": 9_000}).encode()
    )
    (path / f"{folder.FENCE}0").hardlink_to(lock)
    hold = f"import fcntl; f = open({str(lock)!r}, 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shim:
        assert shim.stdin is not None
        assert shim.stdout is not None
        shim.stdout.readline()
        shims.find(RUN, running=False)
        started = [(what.run, what.pid, what.started_us) for what in shims.happened if isinstance(what, Started)]
        shim.stdin.close()
    assert started == known


def test_a_shim_that_makes_its_fence_meanwhile_has_it(
    shims: ShimManager, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order is denied by its own number, and not by the one that comes next when the shim was first."""
    path = Paths(root).runs / RUN
    make = folder.make

    def slowly(*arguments: str) -> None:
        make(*arguments)
        (path / folder.LOCK).touch()
        (path / f"{folder.FENCE}0").hardlink_to(path / folder.LOCK)

    monkeypatch.setattr(folder, "make", slowly)
    shims.find(RUN, running=False)
    assert sorted(one.name for one in path.iterdir()) == [f"{folder.FENCE}0", folder.LOCK]
    assert [type(what) for what in shims.happened] == [Lost]


def test_an_end_of_another_run_is_none(shims: ShimManager, root: Path) -> None:
    """A power cut can leave what the file held before: what came of this run is not known."""
    left(root, OTHER)
    shims.find(RUN, running=True)
    assert [type(what) for what in shims.happened] == [Lost]
