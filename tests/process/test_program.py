"""The frame of every program: what it is given, how it refuses to start, and how it ends when it breaks down."""

import os
import select
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from akjob import program
from akjob.config import Paths
from akjob.errors import AkjobError
from akjob.processes import lock_holder
from tests.support import until

HEAD = "from akjob import program\n"


def start(root: Path, build: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a program of that name whose function ``build`` is given as source."""
    code = f"{HEAD}{build}\nprogram.run('akjob-toy', build)"
    environment = {**os.environ, "AKJOB_ROOT": str(root)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for its end; return its exit code, and what it wrote."""
    out, said = process.communicate(timeout=30)
    return process.returncode, out, said


def test_it_works_until_it_returns(root: Path) -> None:
    """It has its name, its root, the settings with what is wrong in them, and its lock; then it ends with 0."""
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "akjob.toml").write_text("max_running = 0\n")
    build = "def build(p): return lambda: print(p.name, p.paths.root, p.problems[0].code, p.lock.is_in_place())"
    assert end(start(root, build)) == (0, f"akjob-toy {root} out-of-range True\n", "")
    assert (root / "var").stat().st_mode & 0o777 == 0o700


def test_a_second_one_names_the_first(root: Path) -> None:
    """One program of a name in a root; who asks is told its process."""
    first = start(root, "def build(p): return lambda: (print('works', flush=True), input())")
    assert first.stdout is not None
    assert first.stdout.readline() == "works\n"
    assert lock_holder(program.lock_file(Paths(root), "akjob-toy")) == first.pid
    found = program.find(Paths(root), "akjob-toy", time.time_ns() // 1000)
    assert found is not None
    assert found[0] == first.pid
    with pytest.raises(AkjobError, match=f"process {first.pid} is the toy of this root already"):
        program.Lock(program.lock_file(Paths(root), "akjob-toy")).take(0.1)
    first.communicate("\n", timeout=30)
    assert program.find(Paths(root), "akjob-toy", time.time_ns() // 1000) is None


@pytest.mark.parametrize(
    ("build", "arguments", "code", "said"),
    [
        ("def build(p): 1 / 0", (), 1, "akjob-toy: cannot start:\nTraceback"),
        ("def build(p): open('/nowhere/file')", (), 1, "akjob-toy: /nowhere/file: No such file or directory; "),
        ("def build(p): return print", ("--rot", "x"), 2, "usage: akjob-toy [--root DIR]"),
        ("def build(p): return print", ("--root", "/nowhere"), 2, "/nowhere is not a folder"),
    ],
)
def test_what_cannot_start_says_why_and_waits(
    root: Path, build: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    """It lives some seconds, so that whatever starts it again does not spin."""
    began = time.monotonic()
    ended = end(start(root, build, *arguments))
    assert ended[0] == code
    assert said in ended[2]
    assert time.monotonic() - began > 4


def test_a_fault_at_work_is_told(root: Path) -> None:
    """A program that breaks down at work leaves its traceback, and exit code 70."""
    code, _, said = end(start(root, "def build(p): return lambda: 1 / 0"))
    assert code == 70
    assert "ended by a fault of its own" in said
    assert "ZeroDivisionError" in said


def test_a_lock_whose_file_was_removed_is_noticed(tmp_path: Path) -> None:
    """What is locked is the file that was at the path; one that took its place can be locked as well."""
    lock = program.Lock(tmp_path / "toy.lock")
    lock.take(0)
    assert lock.is_in_place()
    lock.path.unlink()
    assert not lock.is_in_place()
    lock.take(0)
    assert lock.is_in_place()
    assert lock.path.read_text() == f"{os.getpid()}\n"
    lock.close()


def test_the_socket_is_for_its_owner_alone(tmp_path: Path) -> None:
    """One that was left there is replaced, the folder is made, and whoever connects is known by the kernel's word."""
    path = tmp_path / "run" / "toy.sock"
    for _ in range(2):
        with program.listen(path) as listener:
            assert path.stat().st_mode & 0o777 == 0o600
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(path))
                accepted, _ = until(listener.accept)
                with accepted:
                    assert program.is_own_user(accepted)


def test_the_owner_of_var_is_the_user_of_the_programs(tmp_path: Path) -> None:
    """Where there is no ``var/`` yet it is whoever asks."""
    assert program.own_uid(Paths(tmp_path)) == os.geteuid()
    (tmp_path / "var").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "var", 4321, -1)
        assert program.own_uid(Paths(tmp_path)) == 4321


class HeldThing:
    """A file that is made again by its holding."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[dict[str, str]] = []
        path.touch()
        held = program.Holding(path, path.exists, lambda: path.open("x").close())
        self.watch = program.HoldingsWatch(program.Holdings([held], lambda *_, **fields: self.said.append(fields)))


def test_a_removal_wakes_up_a_program_that_sleeps(tmp_path: Path) -> None:
    """Nothing is due before; a moment after it is made again, said once, and watched as before."""
    thing = HeldThing(tmp_path / "a")
    for count in (1, 2):
        assert thing.watch.due is None
        thing.path.write_text("written, which is no reason to look")
        thing.path.unlink()
        assert select.select([thing.watch], [], [], 5)[0]
        thing.watch.note()
        assert thing.watch.due is not None
        thing.watch.look()
        assert thing.path.exists()
        assert [one["path"] for one in thing.said] == [str(thing.path)] * count
    thing.watch.close()


def test_what_happens_in_a_folder_wakes_up_nothing(tmp_path: Path) -> None:
    """Files come, go and change their mode in a folder that is held."""
    watch = program.HoldingsWatch(program.Holdings([program.folder(tmp_path / "f")], lambda *_, **__: None))
    for _ in range(3):
        (tmp_path / "f" / "x").touch()
        (tmp_path / "f" / "x").chmod(0o600)
        (tmp_path / "f" / "x").unlink()
    assert select.select([watch], [], [], 0)[0] == []
    (tmp_path / "f").rmdir()
    assert select.select([watch], [], [], 5)[0]
    watch.close()


def test_without_inotify_it_is_looked_every_half_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no watch is left."""

    def none(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(program, "Inotify", none)
    thing = HeldThing(tmp_path / "a")
    thing.path.unlink()
    assert thing.watch.fileno() == -1
    assert 25 < (thing.watch.due or 0) - time.monotonic() <= 30
    thing.watch.look()
    assert thing.path.exists()


def test_what_cannot_be_made_again_is_said_once(tmp_path: Path) -> None:
    """And made again once it can be."""
    (tmp_path / "f").mkdir()
    thing = HeldThing(tmp_path / "f" / "a")
    shutil.rmtree(tmp_path / "f")
    thing.watch.look()
    thing.watch.look()
    (one,) = thing.said
    assert "cannot be made again: No such file or directory" in one["message"]
    (tmp_path / "f").mkdir()
    thing.watch.look()
    assert thing.path.exists()
    thing.watch.close()


def test_the_write_ahead_log_waits_for_other_connections(tmp_path: Path) -> None:
    """SQLite refuses at once to change a database's mode while another connection has it; what opens it waits."""
    path = tmp_path / "a.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE a (b)")
    other.execute("BEGIN IMMEDIATE")
    tried: list[str] = []

    def let_go(statement: str) -> None:
        tried.append(statement)
        if len(tried) == 3:
            other.execute("COMMIT")

    with closing(other), closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        connection.set_trace_callback(let_go)
        program.use_write_ahead_log(connection, 30.0)
        connection.set_trace_callback(None)
        assert len(tried) >= 3
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_database_that_stays_locked_is_reported(tmp_path: Path) -> None:
    """The wait for it has an end."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE a (b)")
        other.execute("BEGIN IMMEDIATE")
        with (
            closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            program.use_write_ahead_log(connection, 0.0)


ORPHAN = """
import os, signal
from akjob.processes import die_with_parent
parent, (read, write) = os.getpid(), os.pipe()
if os.fork():
    os._exit(0)
os.close(write)
os.read(read, 1)  # until the parent is gone
die_with_parent(signal.SIGKILL, parent)
print("lives on", flush=True)
"""


def test_a_child_that_comes_after_its_parents_end_follows_it() -> None:
    """The kernel reports no death that was before it was asked to."""
    done = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("", "")
