"""Disks that are full or read-only, and a ledger that another program locks: runs wait, none is lost or doubled."""

import errno
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from akjob.instants import to_text
from akjob.log.reading.read import lines
from tests.roots import Place
from tests.support import until

GATED = "command = 'echo $AKJOB_RUN >> effects; while [ ! -e go ]; do sleep 0.05; done; echo done; exit 7'\n"

Mount = Callable[..., None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Yield a function that mounts something on a folder; skip where that is not possible."""
    mounted: list[Path] = []

    def do(*arguments: str, on: Path) -> None:
        done = subprocess.run(["mount", *arguments, str(on)], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting is not possible here: {done.stderr.strip()}")
        mounted.append(on)

    yield do
    for where in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(where)], check=False, capture_output=True)


@pytest.fixture
def place(root: Path, mount: Mount) -> Iterator[Place]:
    """Yield a root in which nothing runs yet. What was mounted in it goes after its programs have ended."""
    assert mount is not None
    here = Place(root)
    yield here
    here.stop()


def fill(folder: Path, *, inodes: bool = True) -> list[Path]:
    """Take every block and every inode that a small disk has left; return the files that do."""
    block = folder / "filler"
    with block.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    files = [block]
    for number in range(1_000_000 if inodes else 0):
        path = folder / f"filler.{number}"
        try:
            path.touch()
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - this is the end that is wanted
            return files
        files.append(path)
    return files


def free(files: list[Path]) -> None:
    """Give back what was taken."""
    for path in files:
        path.unlink()


def gated(place: Place) -> dict[str, Any]:
    """Start a run that goes on until `go` is there; return what `status` tells of it."""
    place.job("gated", GATED)
    until(lambda: place.known("gated"))
    run = place.run("gated")
    until((place.root / "effects").exists)
    return until(lambda: next((one for one in place.status()["running"] if one["run"] == run), None))


def let_go(place: Place, running: dict[str, Any]) -> None:
    """Let the gated run end, and wait until its process is gone."""
    (place.root / "go").touch()
    until(lambda: not Path(f"/proc/{running['pid']}").exists())


def effects(place: Place) -> list[str]:
    """Return the runs whose jobs have run."""
    path = place.root / "effects"
    return path.read_text().split() if path.exists() else []


def said(place: Place, event: str) -> list[dict[str, Any]]:
    """Return akjobd's events of a kind."""
    return [line for line in lines(place.paths) if line["event"] == event]


def tried(place: Place, run: str) -> bool:
    """Whether a run could not be begun, and its row says why."""
    return bool(place.sql("SELECT 1 FROM runs WHERE id = ? AND reason LIKE '%No space left%'", run))


def test_a_disk_that_is_full_when_the_end_is_written(place: Place, mount: Mount) -> None:
    """The shim stays and writes the end as soon as there is room; meanwhile the run counts as running."""
    place.paths.runs.mkdir()
    mount("-t", "tmpfs", "-o", "size=256k,nr_inodes=64", "none", on=place.paths.runs)
    place.start()
    running = gated(place)
    files = fill(place.paths.runs)
    let_go(place, running)
    until(lambda: [line for line in lines(place.paths, run=running["run"]) if line["event"] == "run.finished"])
    place.kill("akjobd")
    until(place.loaded)
    assert [one["shim_pid"] for one in place.status()["running"]] == [running["shim_pid"]], place.said()
    free(files)
    row = place.wait(running["run"])
    assert (row["state"], row["exit_code"]) == ("failed", 7)
    assert effects(place) == [row["id"]]
    until(lambda: not place.folders())


@pytest.mark.parametrize("inodes", [False, True], ids=["blocks", "inodes"])
def test_a_disk_that_is_full_when_a_run_is_to_begin(place: Place, mount: Mount, *, inodes: bool) -> None:
    """The run waits with its claim, akjobd goes on, and when there is room it runs, once, as the same attempt."""
    place.paths.runs.mkdir()
    mount("-t", "tmpfs", "-o", "size=256k,nr_inodes=64", "none", on=place.paths.runs)
    place.start()
    (place.root / "go").touch()
    place.job("gated", GATED)
    until(lambda: place.known("gated"))
    akjobd = place.pid("akjobd")
    files = fill(place.paths.runs, inodes=inodes)
    run = place.run("gated")
    until(lambda: said(place, "runs.unwritable") if inodes else tried(place, run))
    assert place.status()["running"] == []
    assert effects(place) == []
    free(files)
    row = place.wait(run)
    assert (row["state"], row["exit_code"], row["attempt"]) == ("failed", 7, 1), place.said()
    assert effects(place) == [run]
    assert place.pid("akjobd") == akjobd, place.said()
    until(lambda: not place.folders())


def test_a_full_disk_below_all_of_var(place: Place, mount: Mount) -> None:
    """Ledger, log and runs have no room: what runs ends by itself or by `stop`, what is asked for waits.

    When there is room again every end is told, every line is there, and what waited runs once.
    """
    mount("-t", "tmpfs", "-o", "size=8m,nr_inodes=4096", "none", on=place.paths.var)
    place.start()
    running = gated(place)
    place.job("long", 'command = "sleep 300"\n')
    place.job("next", 'command = "echo $AKJOB_RUN >> effects; echo next"\n')
    until(lambda: place.known("next") and place.known("long"))
    long = place.run("long")
    sleeping = until(lambda: next((one for one in place.status()["running"] if one["run"] == long), None))
    akjobd = place.pid("akjobd")
    files = fill(place.paths.var)
    let_go(place, running)
    assert place.ask("stop", target=long, by="ada")["stopped"] == [long]
    until(lambda: not Path(f"/proc/{sleeping['pid']}").exists())
    asked = place.run("next")
    until(lambda: place.status()["held_back"])
    assert effects(place) == [running["run"]]
    free(files)
    rows = [place.wait(run) for run in (running["run"], long, asked)]
    assert [row["state"] for row in rows] == ["failed", "cancelled", "succeeded"], place.said()
    assert effects(place) == [running["run"], asked]
    assert place.pid("akjobd") == akjobd, place.said()
    until(lambda: printed(place, asked) == ["next"] and printed(place, running["run"]) == ["done"])
    until(lambda: not place.folders(), 45.0)


def printed(place: Place, run: str) -> list[str]:
    """Return what the log has of a run's output."""
    return [line["line"] for line in lines(place.paths, run=run) if line["event"] == "run.output"]


@contextmanager
def read_only(folder: Path, mount: Mount) -> Iterator[None]:
    """Make a folder read-only for whoever opens something in it from now on."""
    mount("--bind", str(folder), on=folder)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
    yield
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_var_that_becomes_read_only(place: Place, mount: Mount) -> None:
    """akjobd says so; a run under way ends when it can, one that is asked for begins when it can, a restart waits."""
    place.start()
    running = gated(place)
    place.job("next", "command = 'echo $AKJOB_RUN >> effects'\n")
    until(lambda: place.known("next"))
    with read_only(place.paths.var, mount):
        let_go(place, running)
        asked = place.run("next")
        until(lambda: said(place, "runs.unwritable"))
        assert effects(place) == [running["run"]]
        place.kill("akjobd")
        until(lambda: "akjobd must be able to write the var/ folder" in place.said())
    until(place.loaded, 60.0)
    assert "Traceback" not in place.said()
    rows = [place.wait(run) for run in (running["run"], asked)]
    assert [(row["state"], row["exit_code"]) for row in rows] == [("failed", 7), ("succeeded", 0)], place.said()
    assert effects(place) == [running["run"], asked]
    until(lambda: not place.folders(), 45.0)


def test_a_ledger_that_another_program_locks(place: Place) -> None:
    """Starts wait for the lock; nothing runs without its row, nothing is lost, nothing runs twice."""
    slot = (time.time_ns() // 1_000_000_000 + 8) * 1_000_000
    place.job("slot", f"command = 'echo $AKJOB_RUN >> effects'\n[schedule]\nat = {to_text(slot)[:19]}Z\n")
    place.start()
    running = gated(place)
    place.job("next", "command = 'echo $AKJOB_RUN >> effects'\n")
    until(lambda: place.known("next") and place.known("slot"))
    with closing(sqlite3.connect(place.paths.db, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN EXCLUSIVE")
        asked = place.run("next")
        let_go(place, running)
        until(lambda: place.status()["held_back"] == 2 or effects(place) != [running["run"]], 30.0)
        assert effects(place) == [running["run"]]
        assert [row["id"] for row in place.sql("SELECT id FROM runs")] == [running["run"]]
        other.execute("ROLLBACK")
    rows = [place.wait(run) for run in (running["run"], asked)]
    assert [row["state"] for row in rows] == ["failed", "succeeded"], place.said()
    (row,) = until(lambda: place.sql("SELECT * FROM runs WHERE job = 'slot' AND state = 'succeeded'"))
    assert row["slot"] == to_text(slot)
    assert sorted(effects(place)) == sorted([running["run"], asked, row["id"]])
    until(lambda: said(place, "ledger.unwritable") and said(place, "ledger.writable"))
    assert len(place.sql("SELECT 1 FROM runs")) == 3
    until(lambda: not place.folders())
