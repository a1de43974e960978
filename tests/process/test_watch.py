"""The watcher with the real inotify: something changes, a fence file is written, hints are read until the fence's."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.config import Paths
from akjob.jobset.scan import scan
from akjob.watching import Watcher
from tests.support import until


class Watched:
    """A root with a watcher, and the hints it gave."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        self.watcher = Watcher(self.paths, self._notified)
        self.event = threading.Event()
        self.notified = 0
        self._fences = 0

    def _notified(self) -> None:
        self.notified += 1
        self.event.set()

    def until_fence(self) -> set[str] | None:
        """Write a fence and return all hints that came before its own; None means everywhere."""
        self._fences += 1
        name = f"fence{self._fences}"
        (self.paths.jobs_d / name).write_text("")
        found: set[str] | None = set()

        def passed() -> bool:
            nonlocal found
            hints = self.watcher.take().paths
            if hints is None:
                found = None
                return True
            if found is not None:
                found |= hints
            return name in hints

        until(passed, step=0.002)
        return None if found is None else {path for path in found if not path.startswith("fence")}

    def until_everywhere(self) -> None:
        """Wait for a hint that only a full look can follow."""
        until(lambda: self.watcher.take().paths is None, step=0.002)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    """Watch a root with a job and a folder."""
    root = tmp_path / "root"
    (root / "jobs.d" / "reports").mkdir(parents=True)
    (root / "jobs.d" / "old.toml").write_text('command = "true"\n')
    subject = Watched(root)
    assert subject.watcher.start() == []
    yield subject
    subject.watcher.stop()
    assert [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()] == []


def test_file_written(watched: Watched) -> None:
    """A file that is written is named, below the folder, at any depth."""
    (watched.paths.jobs_d / "a.toml").write_text("x")
    (watched.paths.jobs_d / "reports" / "b.toml").write_text("x")
    assert watched.until_fence() == {"a.toml", "reports/b.toml"}


def test_file_renamed_over(watched: Watched) -> None:
    """A file that is renamed over another names the other, its own hidden name is left out."""
    draft = watched.paths.jobs_d / ".old.toml.tmp"
    draft.write_text("x")
    draft.rename(watched.paths.jobs_d / "old.toml")
    assert watched.until_fence() == {"old.toml"}


def test_file_removed(watched: Watched) -> None:
    """A removed file is named."""
    (watched.paths.jobs_d / "old.toml").unlink()
    assert watched.until_fence() == {"old.toml"}


def test_mode_changed(watched: Watched) -> None:
    """A change of mode is named: it decides whether a file is trusted."""
    (watched.paths.jobs_d / "old.toml").chmod(0o666)
    assert watched.until_fence() == {"old.toml"}


def test_reading_is_no_change(watched: Watched) -> None:
    """Opening, reading and listing name nothing."""
    (watched.paths.jobs_d / "old.toml").read_text()
    os.listdir(watched.paths.jobs_d / "reports")
    assert watched.until_fence() == set()


def test_editors_files(watched: Watched) -> None:
    """What editors leave behind names nothing."""
    for name in (".old.toml.swp", "old.toml~", "#old.toml#", "_draft.toml"):
        (watched.paths.jobs_d / name).write_text("x")
    assert watched.until_fence() == set()


def test_defaults_and_configmap(watched: Watched) -> None:
    """``_defaults.toml`` is named although it begins with an underscore, and so is ``..data`` when it is switched."""
    (watched.paths.jobs_d / "_defaults.toml").write_text("x")
    (watched.paths.jobs_d / "..data").symlink_to("reports")
    assert watched.until_fence() == {"_defaults.toml", "..data"}


def test_new_folder(watched: Watched) -> None:
    """A new folder is named, and what is written into it later too."""
    (watched.paths.jobs_d / "new").mkdir()
    assert watched.until_fence() == {"new"}
    (watched.paths.jobs_d / "new" / "x.toml").write_text("x")
    assert watched.until_fence() == {"new/x.toml"}


def test_folder_replaced(watched: Watched) -> None:
    """When ``jobs.d`` itself is replaced everything is to be looked at, and after rearming the new one is watched."""
    watched.paths.jobs_d.rename(watched.paths.root / "gone")
    (watched.paths.root / "next").mkdir()
    (watched.paths.root / "next").rename(watched.paths.jobs_d)
    watched.until_everywhere()
    assert watched.watcher.rearm() == []
    watched.watcher.take()
    (watched.paths.jobs_d / "x.toml").write_text("x")
    assert watched.until_fence() == {"x.toml"}


def test_rearm_of_the_same(watched: Watched) -> None:
    """Rearming changes nothing while the folder is the one that is watched."""
    before = threading.enumerate()
    assert watched.watcher.rearm() == []
    assert threading.enumerate() == before
    assert watched.watcher.take().paths == frozenset()


def test_symlink_switched(tmp_path: Path) -> None:
    """``current/jobs.d`` of a deployment: the switch of ``current`` is noticed, and the new release is watched."""
    for release in ("1", "2"):
        (tmp_path / "releases" / release / "jobs.d").mkdir(parents=True)
    current = tmp_path / "current"
    current.symlink_to("releases/1")
    watched = Watched(current)
    assert watched.watcher.start() == []
    try:
        (tmp_path / "switch").symlink_to("releases/2")
        (tmp_path / "switch").rename(current)
        watched.until_everywhere()
        assert watched.watcher.rearm() == []
        watched.watcher.take()
        (tmp_path / "releases" / "2" / "jobs.d" / "x.toml").write_text("x")
        assert watched.until_fence() == {"x.toml"}
    finally:
        watched.watcher.stop()


def test_folder_appears(tmp_path: Path) -> None:
    """A ``jobs.d`` that is missing at the start is noticed when it appears."""
    watched = Watched(tmp_path)
    assert watched.watcher.start() == []
    try:
        watched.paths.jobs_d.mkdir()
        watched.until_everywhere()
        assert watched.watcher.rearm() == []
        watched.watcher.take()
        (watched.paths.jobs_d / "x.toml").write_text("x")
        assert watched.until_fence() == {"x.toml"}
    finally:
        watched.watcher.stop()


def test_what_jobs_write_beside(watched: Watched) -> None:
    """What is written into files beside the folder wakes no thread; within the folder it does."""
    masks = _masks()
    written = 0x2 | 0x4 | 0x8  # IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE
    assert masks[watched.paths.jobs_d.stat().st_ino] & written == written
    assert masks[watched.paths.root.stat().st_ino] & written == 0


def _masks() -> dict[int, int]:
    """Return which events the kernel reports to this process, by the inode of what is watched."""
    masks = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            for line in Path("/proc/self/fdinfo", fd).read_text().splitlines():
                if line.startswith("inotify"):
                    fields = dict(field.split(":") for field in line.split()[1:])
                    masks[int(fields["ino"], 16)] = int(fields["mask"], 16)
    return masks


@pytest.mark.parametrize("what", ["file", "folder"])
def test_links_elsewhere(watched: Watched, tmp_path: Path, what: str) -> None:
    """What symlinks lead to is watched too, once it is known; a change there is a hint for everywhere."""
    shared = tmp_path / "shared" / "team"
    shared.mkdir(parents=True)
    (shared / "a.toml").write_text('command = "true"\n')
    target = shared if what == "folder" else shared / "a.toml"
    (watched.paths.jobs_d / ("a.toml" if what == "file" else "team")).symlink_to(target)
    links = scan(str(watched.paths.jobs_d)).links
    assert links == {str(target)}
    assert watched.watcher.rearm(links) == []
    watched.watcher.take()
    assert watched.watcher.rearm(links) == []
    assert watched.watcher.take().paths == frozenset()
    (shared / "a.toml").write_text('command = "false"\n')
    watched.until_everywhere()


def test_link_to_above(watched: Watched) -> None:
    """A link to a folder above is not watched: that would be everything."""
    (watched.paths.jobs_d / "loop").symlink_to("/")
    links = scan(str(watched.paths.jobs_d)).links
    assert watched.watcher.rearm(links) == []
    assert watched.watcher._place is not None
    assert watched.watcher._place.links == ()


def test_notified_once(watched: Watched) -> None:
    """Many events notify once until somebody asks what was seen; then the next one notifies again."""
    for number in range(50):
        (watched.paths.jobs_d / f"n{number}.toml").write_text("x")
    until(lambda: watched.watcher._count >= 100, step=0.002)
    assert watched.notified == 1
    assert watched.watcher.seen().count >= 100
    (watched.paths.jobs_d / "again.toml").write_text("x")
    until(lambda: watched.notified == 2, step=0.002)


def test_storm_is_everywhere(watched: Watched) -> None:
    """So many changes that a list of them is longer than a look are hints for everywhere."""
    for number in range(1200):
        (watched.paths.jobs_d / f"n{number}.toml").write_text("")
    watched.until_everywhere()


def test_lost_events(watched: Watched) -> None:
    """When the kernel dropped events, everything is scanned again and watched again."""
    watched.watcher._overflow._lost()
    assert watched.watcher.take().paths is None
    before = threading.enumerate()
    assert watched.watcher.rearm() == []
    assert threading.enumerate() != before


def test_no_watches_left(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without inotify watches the watcher says so, with the setting that fixes it, and does not fail."""
    watched.watcher.stop()

    def refuse(*_args: object, **_options: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("watchdog.observers.api.BaseObserver.schedule", refuse)
    [problem] = watched.watcher.start()
    assert problem.code == "not-watched"
    assert problem.severity == "warning"
    assert "max_user_watches" in problem.hint
    assert watched.watcher.rearm() == []  # said once
    monkeypatch.undo()
    assert watched.watcher.rearm() == []  # they are back
    assert watched.watcher.take().paths is None
    (watched.paths.jobs_d / "x.toml").write_text("x")
    assert watched.until_fence() == {"x.toml"}
