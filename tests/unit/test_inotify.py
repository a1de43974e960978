"""Waking up when files are written."""

import os
import select
from pathlib import Path

import pytest

from akjob.inotify import FolderWatch, Inotify


def readable(watch: Inotify | FolderWatch) -> bool:
    """Return True if the descriptor says that something happened."""
    return bool(select.select([watch.fileno()], [], [], 0)[0])


def test_it_names_what_was_written_made_renamed_and_removed(tmp_path: Path) -> None:
    """Of several folders, each file once, however often it was written; files below them do not count."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        (folder / "below").mkdir(parents=True)
    (folders[1] / "old").touch()
    watch = Inotify(folders)
    try:
        assert watch.changed() == set()
        for _ in range(3):
            (folders[0] / "x\udcff").write_text("x")
        (folders[1] / "old").rename(folders[1] / "new")
        (folders[0] / "below" / "y").touch()
        assert readable(watch)
        assert watch.changed() == {folders[0] / "x\udcff", folders[1] / "new"}
        assert not readable(watch)
        (folders[1] / "new").unlink()
        assert watch.changed() == {folders[1] / "new"}
    finally:
        watch.close()


def test_a_file_that_is_opened_and_closed_again_is_nothing_new(tmp_path: Path) -> None:
    """SQLite opens its write-ahead log for writing to read from it: whoever reads when told would be told for ever."""
    (tmp_path / "x").write_text("x")
    watch = Inotify([tmp_path])
    try:
        os.close(os.open(tmp_path / "x", os.O_RDWR))
        assert not readable(watch)
    finally:
        watch.close()


def test_a_folder_that_is_missing_is_an_error_and_leaves_no_descriptor(tmp_path: Path) -> None:
    """The caller hears why, and may go on without."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="cannot watch it"):
        Inotify([tmp_path / "none"])
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_wait_ends_with_a_change_and_is_quiet_after_it(tmp_path: Path) -> None:
    """What changed before the wait counts; after it the next change does."""
    with FolderWatch(tmp_path) as watch:
        (tmp_path / "x").touch()
        watch.wait(None)
        assert not readable(watch)
        (tmp_path / "x").write_text("more")
        assert readable(watch)
        watch.drain()
        assert not readable(watch)


def test_without_inotify_waits_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel out of watches costs wake-ups, and hides nothing for long."""
    waits: list[object] = []
    monkeypatch.setattr("akjob.inotify.select.select", lambda *given: waits.append(given[-1]))
    with FolderWatch(tmp_path / "none") as watch:
        assert watch.fileno() == -1
        watch.wait(None)
        watch.wait(0.05)
        watch.drain()
    assert waits == [0.2, 0.05]
