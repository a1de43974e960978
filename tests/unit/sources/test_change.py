"""``on_change``: which files changed, and when that is a slot; over restarts too."""

import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.agenda.changes import OWN_IN_A_ROW
from akjob.instants import MINUTE, SECOND
from akjob.schedule.model import OnChange
from akjob.sources.change import FilesChanged, FileWatch, Snapshot, folders, scan
from akjob.sources.looking import ChangeLooker
from tests.support import until
from tests.unit.world import World, close_all, job, us

INBOX = OnChange(paths=("inbox/*.csv",))
WATCHING = '[schedule]\non_change = "inbox/*.csv"\n'


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what the test has opened."""
    yield
    close_all()


def snapshot(**files: int) -> Snapshot:
    """Return files by name, each with a time of its own."""
    return {f"/in/{name}": (version, 1, 1) for name, version in files.items()}


def found_by(watch: FileWatch, *looks: tuple[int, Snapshot]) -> list[tuple[int, tuple[str, ...]]]:
    """Return the slots (instant, names) that looks at these instants come to."""
    slots = [watch.note(at, files) for at, files in looks]
    return [(one.at_us, tuple(os.path.basename(path) for path in one.files)) for one in slots if one and one.files]


def test_what_is_there_at_first_is_no_change() -> None:
    """A new job sees its files, and is due by what changes from then on, two seconds after the last change."""
    watch = FileWatch("a", INBOX, None)
    first = watch.note(0, snapshot(a=1))
    assert first == FilesChanged(job="a", at_us=0, first_us=0, files=(), seen=snapshot(a=1))
    looks = [(SECOND, snapshot(a=2)), (2 * SECOND, snapshot(a=2, b=1)), (3 * SECOND, snapshot(a=2, b=1))]
    assert found_by(watch, *looks) == []
    assert watch.due_us == 4 * SECOND
    assert found_by(watch, (4 * SECOND, snapshot(a=2, b=1))) == [(4 * SECOND, ("a", "b"))]
    assert found_by(watch, (9 * SECOND, snapshot(a=2, b=1))) == []


def test_at_most_bounds_the_wait() -> None:
    """A file that is written again and again is a slot after ``at_most``; what follows is the next."""
    watch = FileWatch("a", OnChange(paths=("x",), at_most_us=10 * SECOND), {})
    watch.note(0, {})
    slots = found_by(watch, *((n * SECOND, snapshot(a=n)) for n in range(1, 24)))
    assert slots == [(11 * SECOND, ("a",)), (22 * SECOND, ("a",))]


def test_a_change_that_was_undone_is_none() -> None:
    """What counts is the difference from what the last slot saw."""
    watch = FileWatch("a", INBOX, snapshot(a=1))
    watch.note(0, snapshot(a=1))
    assert found_by(watch, (SECOND, snapshot(a=1, b=1)), (2 * SECOND, snapshot(a=1)), (9 * SECOND, snapshot(a=1))) == []


@pytest.mark.parametrize(("deleted", "slots"), [(False, []), (True, [(3 * SECOND, ("a",))])])
def test_files_that_disappear(deleted: bool, slots: list[object]) -> None:
    """They are changes only where the job asks for it; a file that is back is a change anyway."""
    watch = FileWatch("a", OnChange(paths=("x",), deleted=deleted), snapshot(a=1))
    watch.note(0, snapshot(a=1))
    assert found_by(watch, (SECOND, {}), (3 * SECOND, {})) == slots
    assert found_by(watch, (5 * SECOND, snapshot(a=1)), (7 * SECOND, snapshot(a=1))) == [(7 * SECOND, ("a",))]


def test_what_changed_during_a_downtime_is_one_slot_at_the_start() -> None:
    """All of it, at the first look."""
    watch = FileWatch("a", INBOX, snapshot(a=1, b=1))
    assert found_by(watch, (SECOND, snapshot(a=2, b=1, c=1))) == [(SECOND, ("a", "c"))]


def test_which_files_a_pattern_finds(tmp_path: Path) -> None:
    """Regular files only, below the root or anywhere, without those that are ignored."""
    for name in ("in/a.csv", "in/b.tmp", "in/deep/er/c.csv", "in/.hidden.csv", "out/d.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "in/folder.csv").mkdir()
    os.mkfifo(tmp_path / "in/pipe.csv")
    (tmp_path / "in/link.csv").symlink_to(tmp_path / "out/d.csv")

    def names(*paths: str, ignore: tuple[str, ...] = ()) -> list[str]:
        found = scan(str(tmp_path), OnChange(paths=paths, ignore=ignore))
        return sorted(os.path.relpath(path, tmp_path) for path in found)

    assert names("in/*.csv") == ["in/.hidden.csv", "in/a.csv", "in/link.csv"]
    assert names("in/**/*.csv", ignore=(".*",)) == ["in/a.csv", "in/deep/er/c.csv", "in/link.csv"]
    assert names(f"{tmp_path}/out/*") == ["out/d.csv"]
    assert names("in/*", ignore=("*.csv",)) == ["in/b.tmp"]
    assert list(folders("/root", OnChange(paths=("in/**/*.csv", "/abs/x.csv", "*.csv")))) == [
        "/root/in", "/abs", "/root",
    ]  # fmt: skip


def test_a_looker_finds_what_is_written(tmp_path: Path) -> None:
    """With real files and watchdog: a folder that comes later, a file in it, and one that is written again."""
    looker = ChangeLooker(str(tmp_path), lambda: None, lambda: time.time_ns() // 1000)
    change = OnChange(paths=("inbox/*.csv",), settle_us=100_000)
    slots: list[FilesChanged] = []

    def found() -> list[FilesChanged]:
        slots.extend(looker.take())
        return slots

    try:
        looker.watch({"a": change}, {})
        until(found)
        (tmp_path / "inbox").mkdir()
        (tmp_path / "inbox" / "a.csv").write_text("1")
        until(lambda: any(one.files for one in found()))
        assert [one.files for one in slots if one.files] == [(str(tmp_path / "inbox" / "a.csv"),)]
        slots.clear()
        (tmp_path / "inbox" / "a.csv").write_text("12")
        until(lambda: any(one.files for one in found()))
        assert slots[0].files == (str(tmp_path / "inbox" / "a.csv"),)
    finally:
        looker.stop()


def changed(at_us: int, first_us: int, *files: str, name: str = "a") -> FilesChanged:
    """Return a slot of files that changed."""
    seen = dict.fromkeys(files, (at_us, 1, 1))
    return FilesChanged(job=name, at_us=at_us, first_us=first_us, files=files, seen=seen)


def test_one_run_gets_all_files(tmp_path: Path) -> None:
    """The row has the trigger and how many; the order has the names; what was seen is in the ledger."""
    world = World(tmp_path, job("a", WATCHING), now=us("10:30:00"))
    world.agenda.files_changed(changed(us("10:30:02"), us("10:30:00"), "/in/a", "/in/b"), us("10:30:02"))
    assert world.go("10:30:02") == ["a"]
    assert world.live[world.only()].files == ("/in/a", "/in/b")
    (row,) = world.rows()
    assert (row["trigger"], row["slot"][11:19], json.loads(row["cause"] or "")["changed"]) == ("change", "10:30:02", 2)
    assert set(world.ledger.seen_files()["a"]) == {"/in/a", "/in/b"}


def test_limits_and_pauses_hold_and_a_skipped_change_is_not_offered_again(tmp_path: Path) -> None:
    """Outside of the hours it is no slot; in a pause it is a skipped row; what was seen stays seen."""
    text = WATCHING + "[limits]\nhours = { from = 10:00:00, until = 11:00:00 }\n"
    world = World(tmp_path, job("a", text), now=us("09:30:00"))
    world.agenda.files_changed(changed(world.now, world.now, "/in/a"), world.now)
    assert world.go("09:31:00") == []
    world.agenda.pause("a", None, "disk", "ann", us("10:30:00"))
    world.agenda.files_changed(changed(us("10:31:00"), us("10:31:00"), "/in/b"), us("10:31:00"))
    assert world.go("10:31:00") == []
    assert world.table() == [("10:31:00", "skipped", 1)]
    assert set(world.ledger.seen_files()["a"]) == {"/in/a", "/in/b"}


def test_runs_that_make_themselves_due_pause_the_job(tmp_path: Path) -> None:
    """After so many in a row, each by changes during the one before, with the reason; one from outside begins anew."""
    world = World(tmp_path, job("a", WATCHING), now=us("10:00:00"))

    def one_run(first_us: int) -> None:
        world.agenda.files_changed(changed(world.now, first_us, f"/in/{world.now}"), world.now)
        world.turn()
        world.open_gates()
        world.now += MINUTE
        for run in list(world.live):
            world.finish(run)
        world.turn()

    one_run(world.now)
    for _ in range(3):
        one_run(world.now - SECOND)
    world.now += 5 * MINUTE
    one_run(world.now)  # from outside
    for _ in range(OWN_IN_A_ROW):
        one_run(world.now - SECOND)
    assert world.reader.jobs()["a"]["paused_at"] is None
    one_run(world.now - SECOND)
    paused = world.reader.jobs()["a"]
    assert paused["pause_reason"] == "5 runs in a row were made due by files that changed during the run before"
    assert world.table()[-1][1] == "skipped"


@pytest.mark.parametrize("seed", range(4))
def test_changes_under_random_kills_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    """Whatever akjobd is killed at, each change of a file is in one run's files, and in no other's."""
    chance = random.Random(seed)  # noqa: S311 - a test
    world = World(tmp_path, job("a", WATCHING + '[run]\noverlap = "allow"\n'), now=us("10:00:00"))
    files: dict[str, tuple[int, int, int]] = {}
    watch = FileWatch("a", INBOX, None)
    written = 0
    ran: list[str] = []

    def look() -> None:
        found = watch.note(world.now, dict(files))
        if found is not None:
            world.agenda.files_changed(found, world.now)

    look()
    world.turn()
    for _ in range(600):
        world.now += chance.randrange(SECOND // 2, 3 * SECOND)
        if chance.random() < 0.3:
            written += 1
            files[f"/in/{written}"] = (written, 1, 1)
        look()
        if chance.random() < 0.1:
            if chance.random() < 0.5:
                world.agenda.turn(world.now)
                effects = world.agenda.effects()
                if chance.random() < 0.5:
                    world.ledger.commit(effects.writes)
            world.crash()
            world.boot()
            watch = FileWatch("a", INBOX, world.ledger.seen_files().get("a"))
            look()
        world.turn()
        world.open_gates()
        for run in list(world.live):
            ran += world.live[run].files
            world.finish(run)
        world.turn()
    world.now += 10 * SECOND
    look()
    world.until_us(world.now + SECOND, lasts_us=1)
    ran += [file for start in world.live.values() for file in start.files]
    ran += [file for _, start in world.started for file in start.files if file not in ran]
    assert written > 100
    assert sorted(ran, key=lambda path: int(path[4:])) == [f"/in/{n}" for n in range(1, written + 1)]
    assert world.twice() == []
