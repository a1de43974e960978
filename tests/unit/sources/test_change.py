"""``on_change``: which files changed, and when that is a slot; over restarts too."""

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.agenda.changes import OWN_IN_A_ROW
from akjob.instants import MINUTE, SECOND, to_text
from akjob.ledger import RunColumns
from akjob.schedule.events import OnChange
from akjob.sources.change import FilesChanged, FileWatch, Snapshot, folders, scan
from akjob.sources.looking import ChangeLooker, looked_at
from akjob.spec.model import JobSpec
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
    assert first == FilesChanged(job="a", at_us=0, first_us=0, last_us=0, files=(), seen=snapshot(a=1))
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
        looker.watch(["a"], {"a": change}, {})
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


class Named(dict[str, JobSpec]):
    """Jobs that are asked for by name; to walk through all of them is a fault."""

    def __iter__(self) -> Iterator[str]:
        """Fail."""
        raise AssertionError

    keys = items = values = __iter__  # type: ignore[assignment]


def test_an_edit_concerns_the_jobs_that_it_names() -> None:
    """Of ten thousand jobs only those that an edit names are looked through."""
    looking, off, other = job("a", WATCHING), job("b", "enabled = false\n" + WATCHING), job("c", "")
    jobs = Named({"a": looking, "b": off, "c": other})
    assert looked_at(jobs, ["a", "b", "c", "gone"]) == {"a": looking.schedule.event(OnChange)}


def test_a_looker_follows_the_jobs_that_an_edit_names(tmp_path: Path) -> None:
    """Other jobs go on being looked at; one that looks at no files any more is due by none; without jobs no thread."""
    looker = ChangeLooker(str(tmp_path), lambda: None, lambda: time.time_ns() // 1000)
    slots: list[FilesChanged] = []

    def found() -> list[FilesChanged]:
        slots.extend(looker.take())
        return slots

    def write(name: str) -> None:
        (tmp_path / name).write_text("1")
        until(lambda: any(path.endswith(name) for one in found() for path in one.files))

    def watching(*names: str) -> dict[str, OnChange]:
        return {name: OnChange(paths=(f"{name}*.csv",), settle_us=10_000) for name in names}

    before = threading.active_count()
    try:
        looker.watch(["a"], {}, {})
        assert threading.active_count() == before
        looker.watch(["a", "b"], watching("a", "b"), {})
        until(lambda: {one.job for one in found()} == {"a", "b"})
        looker.watch(["c", "a"], watching("c"), {})
        until(lambda: {one.job for one in found()} == {"a", "b", "c"})
        (tmp_path / "a1.csv").write_text("1")
        write("b1.csv")
        write("c1.csv")
        assert [one.job for one in slots if one.files] == ["b", "c"]
    finally:
        looker.stop()


def changed(at_us: int, first_us: int, *files: str, name: str = "a") -> FilesChanged:
    """Return a slot of files that changed."""
    seen = dict.fromkeys(files, (at_us, 1, 1))
    return FilesChanged(job=name, at_us=at_us, first_us=first_us, last_us=first_us, files=files, seen=seen)


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
    """Outside of the hours it is not a slot; in a pause it is a skipped row; what was seen stays seen."""
    text = WATCHING + "[limits]\nhours = { from = 10:00:00, until = 11:00:00 }\n"
    world = World(tmp_path, job("a", text), now=us("09:30:00"))
    world.agenda.files_changed(changed(world.now, world.now, "/in/a"), world.now)
    assert world.go("09:31:00") == []
    world.agenda.pause("a", None, "disk", "ann", us("10:30:00"))
    world.agenda.files_changed(changed(us("10:31:00"), us("10:31:00"), "/in/b"), us("10:31:00"))
    assert world.go("10:31:00") == []
    assert world.table() == [("10:31:00", "skipped", 1)]
    assert set(world.ledger.seen_files()["a"]) == {"/in/a", "/in/b"}


class Inbox:
    """A job that looks at files, its runs of ``takes_us``, and what is written: all in steps of half a second."""

    def __init__(self, path: Path, text: str, takes_us: int) -> None:
        self.world = World(path, job("a", text), now=us("10:00:00"))
        self.takes_us = takes_us
        self.runs: list[tuple[str, ...]] = []
        self.waited_us: list[int] = []
        self._written: dict[str, int] = {}
        self._watch = FileWatch("a", INBOX, {})
        self._since: dict[str, int] = {}

    def write(self) -> None:
        """Let a file appear."""
        self._written[f"/in/{len(self._written)}"] = self.world.now

    def step(self) -> None:
        """Let half a second pass."""
        world = self.world
        found = self._watch.note(world.now, {path: (at, 1, 1) for path, at in self._written.items()})
        if found is not None:
            world.agenda.files_changed(found, world.now)
        world.turn()
        world.open_gates()
        for run, start in world.live.items():
            if run not in self._since:
                self._since[run] = world.now
                self.runs.append(start.files)
                self.waited_us += [world.now - self._written[file] for file in start.files]
        for run in [run for run in world.live if world.now - self._since[run] >= self.takes_us]:
            world.finish(run)
        world.turn()
        world.now += SECOND // 2

    @property
    def pause_reason(self) -> str | None:
        """Why the job is paused."""
        return self.world.reader.jobs()["a"]["pause_reason"]


def test_runs_that_make_themselves_due_pause_the_job(tmp_path: Path) -> None:
    """After five in a row, each by changes during the one before, with the reason: a run that writes its own files."""
    inbox = Inbox(tmp_path, WATCHING, 2 * SECOND)
    inbox.write()
    seen = 0
    for _ in range(120):
        inbox.step()
        if len(inbox.runs) > seen:  # each run writes one
            seen += 1
            inbox.write()
    assert inbox.pause_reason == "5 runs in a row were made due by files that changed during the run before"
    assert [row["state"] for row in inbox.world.rows()] == ["succeeded"] * (1 + OWN_IN_A_ROW) + ["skipped"]


@pytest.mark.parametrize("overlap", ["queue", "allow", "replace", "skip"])
@pytest.mark.parametrize("takes_s", [2, 9, 10, 70])
def test_files_that_come_steadily_pause_nothing(tmp_path: Path, overlap: str, takes_s: int) -> None:
    """A file every ten seconds, whatever a run takes: each gets its run before long, and the job goes on."""
    inbox = Inbox(tmp_path, WATCHING + f'[run]\noverlap = "{overlap}"\n', takes_s * SECOND)
    for step in range(600):
        if step % 20 == 0:
            inbox.write()
        inbox.step()
    while inbox.world.agenda.wake_us is not None or inbox.world.live:
        inbox.step()
    assert inbox.pause_reason is None
    rows = inbox.world.rows()
    assert sum(map(_count, rows)) == 30
    ran = [file for files in inbox.runs for file in files]
    assert len(set(ran)) == len(ran) == sum(_count(row) for row in rows if row["state"] != "skipped")
    if overlap == "allow" or takes_s < 10:
        assert len(ran) == 30
    skipped = [row for row in rows if row["state"] == "skipped"]
    if overlap == "skip" and takes_s == 70:
        assert len(skipped) >= 24  # what meets a run is skipped at once, not held back
    assert max(inbox.waited_us) <= 3 * (takes_s + 10) * SECOND


def _count(row: RunColumns) -> int:
    """Return how many files a run was made due by."""
    return int(json.loads(row["cause"] or "")["changed"])


def test_held_changes_survive_a_restart_and_get_all_files(tmp_path: Path) -> None:
    """What is held back is in the ledger; a file from elsewhere starts it at once, in one run with the others."""
    world = World(tmp_path, job("a", WATCHING), now=us("10:00:00"))

    def one_run(first_us: int) -> list[str]:
        world.agenda.files_changed(changed(world.now, first_us, f"/in/{world.now}"), world.now)
        world.turn()
        started = world.open_gates()
        world.now += MINUTE
        for run in list(world.live):
            world.finish(run)
        world.turn()
        return started

    one_run(world.now)
    for _ in range(OWN_IN_A_ROW - 1):
        assert len(one_run(world.now - SECOND)) == 1
    held = f"/in/{world.now}"
    assert one_run(world.now - SECOND) == []
    world.crash()
    world.boot()
    world.turn()
    world.agenda.files_changed(changed(world.now, world.now, "/in/new"), world.now)
    assert world.go(to_text(world.now)) == ["a"]
    assert world.live[world.only()].files == tuple(sorted([held, "/in/new"]))
    assert json.loads(world.rows()[-1]["cause"] or "")["changed"] == 2
    assert world.ledger.occurrences() == []


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
