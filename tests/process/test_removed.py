"""What the programs hold open below ``var/`` is removed while they work: it is noticed, said and made again."""

import itertools
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from akjob import program
from akjob.log.reading.read import lines
from tests.roots import Place
from tests.support import until

TICK = 'command = "echo tick"\n[schedule]\nevery = "1s"\n'
SOON_S = 45.0


@pytest.fixture
def place(root: Path) -> Iterator[Place]:
    """Yield a root with a job of every second, its programs running."""
    here = Place(root)
    here.job("tick", TICK)
    here.start()
    yield here
    here.stop()


def restored(place: Place, *paths: Path) -> bool:
    """Return whether the log says that all these were made again."""
    said = {str(line.get("path")) for line in events(place, "var.restored")}
    return {str(path) for path in paths} <= said


def events(place: Place, name: str) -> list[dict[str, Any]]:
    """Return the lines of an event."""
    return [line for line in lines(place.paths) if line.get("event") == name]


def test_a_log_that_was_removed_is_begun_again_within_a_second_of_writing(place: Place) -> None:
    """What was written meanwhile is in the new file; no slot is without its lines."""
    until(lambda: events(place, "run.finished"))
    place.paths.log.unlink()
    until(place.paths.log.exists, 4.0)
    until(lambda: restored(place, place.paths.log))
    before = len(events(place, "run.finished"))
    until(lambda: len(events(place, "run.finished")) > before + 1)


def test_the_whole_log_folder_is_made_again(place: Place) -> None:
    """Log, index and archive: everything below var/log."""
    until(lambda: events(place, "run.finished"))
    shutil.rmtree(place.paths.log_dir)
    until(place.paths.log.exists, 4.0)
    until(lambda: list((place.paths.log_dir / "index").iterdir()))
    until(lambda: events(place, "run.finished"))


def test_the_ledger_is_put_back_with_all_that_was_in_it(place: Place) -> None:
    """Runs go on meanwhile; not one row is lost, for the files that are open still have them."""
    until(lambda: len(place.sql("SELECT id FROM runs WHERE state = 'succeeded'")) > 2)
    with closing(sqlite3.connect(f"file:{place.paths.db}?mode=ro", uri=True)) as connection:
        before = {row[0] for row in connection.execute("SELECT id FROM runs")}
    for file in place.paths.var.glob("akjob.db*"):
        file.unlink()
    until(lambda: before <= {row["id"] for row in place.sql("SELECT id FROM runs")}, SOON_S)
    until(lambda: restored(place, place.paths.db))
    slots = [row["slot"] for row in place.sql("SELECT slot FROM runs ORDER BY slot")]
    assert len(slots) == len(set(slots))
    seconds = [int(slot[17:19]) for slot in slots]
    assert all((later - sooner) % 60 == 1 for sooner, later in itertools.pairwise(seconds)), slots
    until(lambda: len(place.sql("SELECT id FROM runs")) > len(slots) + 1)


def test_sockets_locks_and_folders_are_made_again(place: Place) -> None:
    """A job of every second misses no slot; the commands reach akjobd again, and nobody else can take its place."""
    paths = place.paths
    pid = place.pid("akjobd")
    before = len(place.sql("SELECT id FROM runs"))
    shutil.rmtree(paths.run_dir, ignore_errors=True)  # akjobd may be making a file in it just now
    until(place.loaded, SOON_S)
    locks = [program.lock_file(paths, name) for name in ("akjobd", "akjob-collector")]
    until(lambda: restored(place, paths.control_socket, paths.shims_socket, paths.collector_socket, *locks), SOON_S)
    assert place.pid("akjobd") == pid
    assert place.status()["programs"]["akjobd"]["pid"] == pid
    assert place.status()["programs"]["akjob-collector"]["state"] == "running"
    until(lambda: len(place.sql("SELECT id FROM runs WHERE state = 'succeeded'")) > before + 2)
    bad = place.sql("SELECT * FROM runs WHERE state NOT IN ('succeeded', 'running', 'queued')")
    assert bad == [], msgspec.json.encode(bad)


def test_the_folder_of_runs_is_made_again(place: Place) -> None:
    """What ran loses its folder, and with it its end; the next runs have a folder again."""
    until(lambda: place.sql("SELECT id FROM runs WHERE state = 'succeeded'"))
    shutil.rmtree(place.paths.runs)
    until(place.paths.runs.is_dir, SOON_S)
    before = len(place.sql("SELECT id FROM runs WHERE state = 'succeeded'"))
    until(lambda: len(place.sql("SELECT id FROM runs WHERE state = 'succeeded'")) > before + 1, SOON_S)


def test_a_run_whose_folder_and_socket_were_removed_is_lost(place: Place) -> None:
    """Neither its end nor its word about it can reach akjobd; it must not keep the slots after it from running."""
    place.job("long", 'command = "exec sleep 300"\n[schedule]\nevery = "1s"\n')
    until(lambda: place.sql("SELECT id FROM runs WHERE job = 'long' AND state = 'running'"))
    (run,) = [one for one in place.status()["running"] if one["job"] == "long"]
    place.paths.shims_socket.unlink()
    shutil.rmtree(place.paths.runs / run["run"])
    os.kill(run["pid"], signal.SIGKILL)
    until(lambda: place.sql("SELECT id FROM runs WHERE id = ? AND state = 'lost'", run["run"]), SOON_S)
    (row,) = place.sql("SELECT reason FROM runs WHERE id = ?", run["run"])
    assert row["reason"].startswith("its folder in var/runs is gone")
    until(lambda: len(place.sql("SELECT id FROM runs WHERE job = 'long' AND started_at IS NOT NULL")) > 1, SOON_S)
