"""The frame of every program of a root: its arguments, its lock, its private socket, and how it ends.

A program is a function that builds what it needs and returns the function that works until it is asked to stop::

    def main() -> NoReturn:
        program.run("akjob-web", build)


    def build(program: Program) -> Callable[[], None]:
        server = Server(program.paths, program.config)
        return server.run
"""

import fcntl
import os
import select
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from msgspec import Struct

from akjob.config import Config, Paths, find_root, load_config, socket_address
from akjob.errors import AkjobError, Problem, UsageError
from akjob.inotify import GONE, Inotify
from akjob.processes import die_with_supervisord, identity, lock_holder, started_us

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle
    from sqlite3 import Connection

_SETTLE_S = 0.5  # what removes one thing is about to remove the next
_SOON_S = 2.0
_LOOK_AGAIN_S = 30.0
_PATIENCE_S = 5.0  # the program before this one may be ending just now
_LEAST_S = 5.0  # a supervisor starts a program again at once: one that cannot start must not spin
_CRASHED_S = 1.0
_LOCKED_PAUSE_S = 0.01
_CRASHED = 70  # sysexits(3), EX_SOFTWARE


class Lock:
    """The record lock that makes this the one program of its kind in its root; its file names the process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def take(self, patience_s: float = _PATIENCE_S) -> None:
        """Take the lock; wait so long for a program that is just ending. Raises AkjobError, OSError."""
        end = time.monotonic() + patience_s
        while not self._try():
            if time.monotonic() >= end:
                raise AkjobError(
                    f"process {lock_holder(self.path)} is the {self.path.stem} of this root already",
                    hint="stop it first, or do not start another one",
                )
            time.sleep(0.05)  # noqa: TID251 - nothing works yet

    def fileno(self) -> int:
        """Return the descriptor that holds the lock: a program that it becomes by execve(2) must keep it open."""
        return self._fd

    def close(self) -> None:
        """Give the lock up."""
        os.close(self._fd)
        self._fd = -1

    def is_in_place(self) -> bool:
        """Return True if the file at the path is the one that is locked."""
        return identity(self.path) == identity(self._fd)

    def _try(self) -> bool:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return False
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        before, self._fd = self._fd, fd
        if before >= 0:
            os.close(before)
        return True


class Program(Struct, frozen=True):
    """What a program is given: its name, its root, the settings with what is wrong in them, and the lock it holds."""

    name: str
    paths: Paths
    config: Config
    problems: tuple[Problem, ...]
    lock: Lock

    def say(self, text: str) -> None:
        """Write a line to standard error: supervisord keeps it, and the collector need not be there."""
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)  # noqa: T201

    def report(self, _level: str, _event: str, *, path: str, message: str) -> None:
        """Log what became of a holding."""
        self.say(f"{path}: {message}")

    def holdings(self) -> "tuple[Holding, ...]":
        """Return what every program holds open: the folder of its lock, and the lock."""
        return folder(self.paths.run_dir), lock_of(self.lock)


Build = Callable[[Program], Callable[[], None]]
"""Builds what a program needs; returns the function that works until the program is asked to stop."""


def run(name: str, build: Build) -> NoReturn:
    """Run a program of the root that ``--root``, ``$AKJOB_ROOT`` or the working folder names; never returns.

    A program that cannot start says why and waits before it exits, so that whatever starts it again does not spin.
    One that breaks down at work exits with 70.
    """
    began = time.monotonic()
    die_with_supervisord(os.environ)
    try:
        work = build(_prepare(name, sys.argv[1:]))
    except AkjobError as error:
        _leave(name, f"{error.message}: {error.hint}" if error.hint else error.message, error.exit_code, began)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        _leave(name, f"{where}{error.strerror or error}; {name} must be able to write the var/ folder", 1, began)
    except Exception:  # noqa: BLE001 - whatever it is, it is there at the next start too
        _leave(name, f"cannot start:\n{traceback.format_exc()}", 1, began)
    try:
        work()
    except Exception:  # noqa: BLE001 - a restart goes on where this ends; it must not spin
        message = f"ended by a fault of its own; runs are not affected:\n{traceback.format_exc()}"
        _leave(name, message, _CRASHED, time.monotonic() + _CRASHED_S - _LEAST_S)
    sys.exit(0)


def lock_file(paths: Paths, name: str) -> Path:
    """Return the file that the program of this name keeps locked while it runs."""
    return paths.run_dir / f"{name.removeprefix('akjob-')}.lock"


def find(paths: Paths, name: str, now_us: int) -> tuple[int, int] | None:
    """Return the process id and the start of the program that runs under this name in the root, or None.

    A program must not ask for itself: closing any descriptor of a locked file ends the lock (fcntl(2)).
    """
    pid = lock_holder(lock_file(paths, name))
    since_us = started_us(pid, now_us) if pid else None
    return None if since_us is None else (pid, since_us)


def own_uid(paths: Paths) -> int:
    """Return the user that this root's programs run as: the owner of ``var/``, else the user of this process."""
    try:
        return paths.var.stat().st_uid
    except OSError:
        return os.geteuid()


class Holding(Struct, frozen=True):
    """Something below ``var/`` that a program holds open: is it still what is at its path, and how is it made again.

    ``beside`` are files that belong to it. ``message`` is what is said when it was made again.
    """

    path: Path
    is_in_place: Callable[[], bool]
    restore: Callable[[], object]
    beside: tuple[Path, ...] = ()
    message: str = "another program removed or replaced it; it was made again"


def folder(path: Path, mode: int = 0o700) -> Holding:
    """Return the holding of a folder that a program makes files in."""
    return Holding(path, path.is_dir, lambda: path.mkdir(mode=mode, parents=True, exist_ok=True))


def lock_of(lock: Lock) -> Holding:
    """Return the holding of a program's lock."""
    return Holding(lock.path, lock.is_in_place, lambda: lock.take(0))


class Holdings:
    """What a program holds open below ``var/``, from the outer folders to what is in them.

    ``say(level, event, **fields)`` is told, once, what was made again, and what keeps it from being made.
    """

    def __init__(self, holdings: Iterable[Holding], say: Callable[..., None]) -> None:
        self.all = tuple(holdings)
        self._say = say
        self._troubled: frozenset[Path] = frozenset()

    def are_in_place(self) -> bool:
        """Return True if everything is where it belongs. It asks nothing but the file system."""
        return all(one.is_in_place() for one in self.all)

    def restore(self) -> bool:
        """Make again what is not in its place any more; return True if everything is in its place now."""
        troubled = set()
        for one in self.all:
            if one.is_in_place():
                continue
            try:
                one.restore()
            except (OSError, AkjobError) as error:
                troubled.add(one.path)
                if one.path not in self._troubled:
                    why = error.message if isinstance(error, AkjobError) else error.strerror
                    message = f"another program removed it, and it cannot be made again: {why}"
                    self._say("error", "var.restored", path=str(one.path), message=message)
            else:
                self._say("warning", "var.restored", path=str(one.path), message=one.message)
        self._troubled = frozenset(troubled)
        return not troubled


class HoldingsWatch:
    """Wakes a program that sleeps to look after its holdings: inotify reports when one of them is removed.

    :attr:`due` is the instant of the steady clock at which to call :meth:`look`; None: once :meth:`fileno` is readable
    and :meth:`note` was called. What inotify cannot watch is looked at every half minute.
    """

    def __init__(self, holdings: Holdings) -> None:
        self.due: float | None = None
        self._latest: float | None = None
        self._holdings = holdings
        self._inotify: Inotify | None = None
        with suppress(OSError):
            self._inotify = Inotify((), GONE)
        self.look()

    def fileno(self) -> int:
        """Return the descriptor to wait for; -1 where there is no inotify."""
        return -1 if self._inotify is None else self._inotify.fileno()

    def note(self) -> None:
        """Take in that something happened: it is looked at in a moment, when all of it is over."""
        if self._inotify is not None and self._inotify.changed():
            now = time.monotonic()
            self._latest = self._latest or now + _SOON_S
            self.due = min(now + _SETTLE_S, self._latest)

    def look(self) -> None:
        """Make again what is gone, and watch what is there now."""
        self._latest = None
        is_restored, is_watched = self._holdings.restore(), self._watch()
        if is_restored and is_watched and self._holdings.are_in_place():
            self.due = None
        else:  # another program is asked to make some of it, or something cannot be made or watched
            self.due = time.monotonic() + (_SOON_S if is_restored and is_watched else _LOOK_AGAIN_S)

    def _watch(self) -> bool:
        """Watch everything that is there; return False if something cannot be watched."""
        if self._inotify is None:
            return False
        for one in self._holdings.all:
            for path in (one.path, *one.beside):
                try:
                    self._inotify.watch(path)
                except FileNotFoundError:  # what is beside it is made when it is needed
                    continue
                except OSError:
                    return False
        return True

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def wait(self, seconds: float | None = None) -> None:
        """Wait so long, None: for ever, and look after the holdings meanwhile; for a program that does nothing else."""
        end = None if seconds is None else time.monotonic() + seconds
        poll = select.poll()
        if self._inotify is not None:
            poll.register(self._inotify, select.POLLIN)
        while end is None or time.monotonic() < end:
            due = min((at for at in (end, self.due) if at is not None), default=None)
            patience_ms = None if due is None else max(0.0, due - time.monotonic()) * 1000
            if poll.poll(patience_ms):
                self.note()
            if self.due is not None and time.monotonic() >= self.due:
                self.look()

    def attach(self, loop: "AbstractEventLoop") -> None:
        """Look after the holdings in a loop of asyncio."""
        timer: TimerHandle | None = None

        def again() -> None:
            nonlocal timer
            if timer is not None:
                timer.cancel()
            timer = None if self.due is None else loop.call_later(max(0.0, self.due - time.monotonic()), look)

        def look() -> None:
            self.look()
            again()

        def note() -> None:
            self.note()
            again()

        if self._inotify is not None:
            loop.add_reader(self._inotify.fileno(), note)
        again()


def is_database_in_place(path: Path, known: tuple[int, int] | None) -> bool:
    """Return False if a database of SQLite's, or one of the files beside it, was removed or replaced.

    ``known`` is the identity of the file that is open, in WAL mode and used already.
    """
    return known is not None and identity(path) == known and all(file.exists() for file in beside_database(path))


def use_write_ahead_log(connection: "Connection", patience_s: float) -> None:
    """Put a database into WAL mode, and wait for other connections that are opening or closing it as long as told.

    SQLite's own busy timeout does not count for this statement, which needs the file for itself for a moment.
    Raises sqlite3.OperationalError when the database is locked for longer.
    """
    import sqlite3  # noqa: PLC0415 - most programs have no database open

    until = time.monotonic() + patience_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_LOCKED_PAUSE_S)  # noqa: TID251 - SQLite offers no way to wait for it
        else:
            return


def beside_database(path: Path) -> tuple[Path, Path]:
    """Return the files that SQLite has beside a database in WAL mode."""
    return Path(f"{path}-wal"), Path(f"{path}-shm")


def put_database_back(connection: "Connection", path: Path) -> None:
    """Put a copy of what a connection sees where its database belongs, and close it; what is open still has all rows.

    Closing it removes what is beside it, so that comes first. Raises OSError, sqlite3.Error.
    """
    import sqlite3  # noqa: PLC0415 - most programs have no database open

    draft = Path(f"{path}.restored")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(draft)) as copy:
        connection.backup(copy)
    connection.close()
    draft.rename(path)


class Listener:
    """A listening socket, and whether it is still the one at its path."""

    def __init__(self, path: Path, backlog: int = 128) -> None:
        self.path = path
        self.socket = listen(path, backlog)
        self._backlog = backlog
        self._identity = identity(path)

    def is_in_place(self) -> bool:
        """Return True if connections to the path arrive here."""
        return self._identity is not None and identity(self.path) == self._identity

    def renew(self) -> socket.socket:
        """Return a new socket at the path; the user of the old one closes it."""
        self.socket = listen(self.path, self._backlog)
        self._identity = identity(self.path)
        return self.socket


def listen(path: Path, backlog: int = 128) -> socket.socket:
    """Return a socket that listens at a path, for its owner alone, in place of one that was left there.

    The program's lock is what allows that. Raises OSError.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(socket_address(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    listener.listen(backlog)
    listener.setblocking(False)
    return listener


def is_own_user(connection: socket.socket) -> bool:
    """Return whether root or this process's user is at the other end: unix(7), SO_PEERCRED."""
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in (0, os.geteuid())


def _prepare(name: str, arguments: Sequence[str]) -> Program:
    """Find the root, make the folders that every program needs, take the lock and read the settings."""
    paths = Paths(find_root(_root_in(name, arguments), os.environ, Path.cwd()))
    paths.var.mkdir(mode=0o700, exist_ok=True)
    paths.var.chmod(0o700)
    paths.run_dir.mkdir(mode=0o700, exist_ok=True)
    lock = Lock(lock_file(paths, name))
    lock.take()
    config, problems = load_config(paths.config_file)
    return Program(name, paths, config, tuple(problems), lock)


def _root_in(name: str, arguments: Sequence[str]) -> str | None:
    match list(arguments):
        case []:
            return None
        case ["--root", root]:
            return root
    raise UsageError(f"unknown arguments {list(arguments)}", hint=f"usage: {name} [--root DIR]")


def _leave(name: str, message: str, code: int, began: float) -> NoReturn:
    """Print why a program ends, and exit some seconds after it began; at once on a terminal."""
    print(f"{name}: {message}", file=sys.stderr, flush=True)  # noqa: T201 - the collector may not be there
    if not sys.stderr.isatty():
        time.sleep(max(0.0, began + _LEAST_S - time.monotonic()))  # noqa: TID251
    sys.exit(code)
