"""The files of a run: who may start it, and what came of it, whoever comes too late or twice."""

import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from akjob.run import folder

END = json.dumps({"state": "succeeded", "reason": "x" * 200}).encode()
CALL = 34


@pytest.fixture
def where(tmp_path: Path) -> str:
    """Return a run's folder, just made."""
    path = str(tmp_path / "run")
    folder.make(path)
    return path


@contextmanager
def begun(where: str, order: int, call_signal: int = CALL) -> Iterator[int]:
    """Have lock and right for as long as it takes."""
    lock = folder.begin(where, order, call_signal)
    assert lock is not None
    try:
        yield lock
    finally:
        os.close(lock)


def elsewhere(what: Callable[[], object]) -> str:
    """Do it in another process, for a record lock is a process's; return what it raised or returned."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            told = repr(what())
        except OSError as error:
            told = type(error).__name__
        os.write(write, told.encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        told = file.read().decode()
    os.waitpid(pid, 0)
    return told


def test_one_has_the_right_and_the_lock(where: str) -> None:
    """While it looks after the run nobody else gets either."""
    with begun(where, 0):
        assert elsewhere(lambda: folder.begin(where, 0, CALL)) == "BlockingIOError"
        assert elsewhere(lambda: folder.begin(where, 1, CALL)) == "BlockingIOError"
        assert not folder.deny(where, 0)


def test_an_order_that_was_denied_is_not_begun(where: str) -> None:
    """What akjobd says stands; the order after it may be begun."""
    assert folder.deny(where, 0)
    assert folder.begin(where, 0, CALL) is None
    with begun(where, 1):
        assert not folder.deny(where, 1)


def test_who_comes_late_leaves_the_end_as_it_is(where: str) -> None:
    """The shim of an order that was denied wakes up when the run has ended already: its lock is free by then."""
    assert folder.deny(where, 0)
    with begun(where, 1) as lock:
        folder.write_end(where, lock, END)
    assert folder.begin(where, 0, CALL) is None
    assert Path(where, folder.END).read_bytes() == END


def test_the_next_order_notes_its_own_signal(where: str) -> None:
    """A shim that came too late has noted one that nobody listens to."""
    assert folder.deny(where, 0)
    assert folder.begin(where, 0, CALL) is None
    with begun(where, 1, CALL + 1):
        assert Path(where, folder.LOCK).read_bytes().split() == [b"0", b"0", b"%d" % (CALL + 1)]


def test_the_end_is_all_that_end_json_holds(where: str) -> None:
    """No rest of a note, be the end longer or shorter."""
    with begun(where, 0) as lock:
        folder.note(lock, 4242, 1_700_000_000_000_000, CALL)
        folder.write_end(where, lock, b"{}")
    assert Path(where, folder.END).read_bytes() == b"{}"


def test_an_end_is_written_again_when_it_could_not_be(where: str) -> None:
    """What was torn by a full disk is not seen under its name; the second attempt has all of it."""
    with begun(where, 0) as lock:
        os.pwrite(lock, END[:70], 0)
        assert not Path(where, folder.END).exists()
        folder.write_end(where, lock, END)
    assert Path(where, folder.END).read_bytes() == END


def test_no_end_where_the_folder_is_gone(where: str) -> None:
    """Nobody wants to know any more, and the shim is told so."""
    with begun(where, 0) as lock:
        folder.remove(where)
        with pytest.raises(FileNotFoundError):
            folder.write_end(where, lock, END)


def test_what_was_called_back_is_put_away(where: str) -> None:
    """The next order finds neither an end nor a word to stop, and its end is its own."""
    with begun(where, 0) as lock:
        folder.write(where, folder.STOP, folder.stop_text("recalled", "called back", kill=True))
        folder.write_end(where, lock, b'{"state":"recalled"}')
    folder.withdraw(where, 0)
    folder.put_away(where)
    assert sorted(os.listdir(where)) == ["fence.0", "right.0"]
    with begun(where, 1) as lock:
        folder.write_end(where, lock, END)
    assert Path(where, folder.END).read_bytes() == END


def test_an_end_that_could_not_be_put_away_is_replaced(where: str) -> None:
    """The shim of the next order does not wait for ever with an end that it cannot give its name."""
    with begun(where, 0) as lock:
        folder.write_end(where, lock, b'{"state":"recalled"}')
    folder.withdraw(where, 0)
    with begun(where, 1) as lock:
        folder.write_end(where, lock, END)
    assert Path(where, folder.END).read_bytes() == END


def test_a_run_makes_one_file(where: str) -> None:
    """Under three names: some file systems take a tenth of a millisecond for each file that is made."""
    with begun(where, 0) as lock:
        folder.write_end(where, lock, END)
    assert sorted(os.listdir(where)) == ["end.json", "fence.0", "lock"]
    assert len({os.stat(f"{where}/{name}").st_ino for name in os.listdir(where)}) == 1
    assert folder.remove(where)
    assert not os.path.exists(where)


@pytest.fixture
def pool(tmp_path: Path) -> str:
    """Return the folder of the pooled folders, in which there is nothing yet."""
    path = tmp_path / "pool"
    path.mkdir()
    return str(path)


def test_a_folder_that_is_recycled_serves_another_run(where: str, pool: str, tmp_path: Path) -> None:
    """With its lock, and with nothing by which the run before could be taken for this one."""
    with begun(where, 0) as lock:
        folder.write(where, folder.STOP, folder.stop_text("cancelled", "by hand", kill=False))
        folder.write_end(where, lock, END)
    made = os.stat(f"{where}/{folder.LOCK}").st_ino
    folder.recycle(where, f"{pool}/run")
    another = str(tmp_path / "another")
    folder.make(another, pool)
    assert os.listdir(another) == [folder.LOCK]
    assert (os.listdir(pool), os.path.exists(where)) == ([], False)
    with begun(another, 0, CALL + 1) as lock:
        assert os.fstat(lock).st_ino == made
        assert Path(another, folder.LOCK).read_bytes()[: folder.NOTE].split() == [b"0", b"0", b"%d" % (CALL + 1)]
        folder.write_end(another, lock, b'{"state":"failed"}')
    assert Path(another, folder.END).read_bytes() == b'{"state":"failed"}'


def test_a_folder_with_a_spool_is_not_recycled(where: str, pool: str) -> None:
    """Its lines are still to be read in, under the run's own name."""
    with begun(where, 0) as lock:
        folder.write_end(where, lock, END)
    Path(where, folder.SPOOL).write_bytes(b"{}\n")
    with pytest.raises(OSError, match="spool"):
        folder.recycle(where, f"{pool}/run")
    assert Path(where, folder.END).read_bytes() == END


def test_a_folder_with_a_denied_order_is_not_recycled(where: str, pool: str) -> None:
    """Its shim may come still, and must find that the order was denied."""
    assert folder.deny(where, 0)
    with begun(where, 1) as lock:
        folder.write_end(where, lock, END)
    with pytest.raises(OSError, match="begun and ended"):
        folder.recycle(where, f"{pool}/run")
    assert folder.begin(where, 0, CALL) is None


@pytest.mark.parametrize("leaves", ["a lost run", "a shim of a version before"])
def test_a_note_is_not_left_to_another_run(where: str, pool: str, leaves: str) -> None:
    """It would be taken for that run's: pid, beginning and signal of a process that is gone."""
    with begun(where, 0) as lock:
        folder.note(lock, 4242, 1_700_000_000_000_000, CALL)
    if leaves != "a lost run":
        folder.write(where, folder.END, END)
    with pytest.raises(OSError, match=r"begun and ended|not in its lock"):
        folder.recycle(where, f"{pool}/run")


def test_a_fence_that_is_of_no_use_is_given_back(
    where: str, pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the note cannot be written, the disk being full, the run is not begun: another order may be."""
    with begun(where, 0) as lock:
        folder.write_end(where, lock, END)
    folder.recycle(where, f"{pool}/run")
    another = str(tmp_path / "another")
    folder.make(another, pool)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(folder, "note", full)
        with pytest.raises(OSError, match="No space"):
            folder.begin(another, 0, CALL)
    assert os.listdir(another) == [folder.LOCK]
    with begun(another, 0):
        assert not folder.deny(another, 0)


def test_a_folder_that_has_something_in_it_stays(where: str, pool: str, tmp_path: Path) -> None:
    """A word of akjobd's may be there before the shim is."""
    pooled = tmp_path / "before"
    folder.make(str(pooled))
    with begun(str(pooled), 0) as lock:
        folder.write_end(str(pooled), lock, END)
    folder.recycle(str(pooled), f"{pool}/before")
    assert folder.deny(where, 0)
    folder.make(where, pool)
    assert (sorted(os.listdir(where)), os.listdir(pool)) == (["fence.0", "right.0"], ["before"])


def test_no_pool_was_ever_made(tmp_path: Path) -> None:
    """Then a folder is made."""
    folder.make(str(tmp_path / "run"), str(tmp_path / "pool"))
    assert os.listdir(tmp_path / "run") == []


@pytest.mark.skipif(
    not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat("/tmp").st_dev,  # noqa: S108
    reason="there is no other file system to try it with",
)
def test_spares_on_another_file_system_are_of_no_use(where: str, tmp_path: Path) -> None:
    """As where var/runs is a link to a tmpfs: the folder is made, and removed in the end."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        with begun(where, 0) as lock:
            folder.write_end(where, lock, END)
        with pytest.raises(OSError, match="cross-device"):
            folder.recycle(where, f"{elsewhere}/run")
        assert folder.remove(where)
        folder.make(f"{elsewhere}/pooled")
        another = str(tmp_path / "another")
        folder.make(another, elsewhere)
        assert (os.listdir(another), os.listdir(elsewhere)) == ([], ["pooled"])


def test_a_fence_of_version_1_counts(where: str) -> None:
    """A shim that was started before an upgrade has the order, whatever it calls the fence."""
    Path(where, folder.LOCK).touch()
    assert folder.last_order(where) == (-1, False)
    Path(where, "right.0").hardlink_to(Path(where, folder.LOCK))
    assert folder.last_order(where) == (0, True)
    assert not folder.deny(where, 0)


def test_an_order_is_denied_to_shims_of_version_1_too(where: str) -> None:
    """One that wakes up late finds its own name taken."""
    assert folder.deny(where, 0)
    Path(where, folder.LOCK).touch()
    with pytest.raises(FileExistsError):
        os.link(f"{where}/{folder.LOCK}", f"{where}/right.0")
    assert folder.last_order(where) == (0, False)


def test_of_two_names_the_shims_counts(where: str) -> None:
    """akjobd was making its second link when a shim was first with the other name."""
    Path(where, "right.0").symlink_to(folder.NO_SHIM)
    with begun(where, 0):
        assert not folder.deny(where, 0)
        assert folder.last_order(where) == (0, True)
