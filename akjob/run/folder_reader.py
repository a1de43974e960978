"""What a run's folder says to the programs that read it, and how its shim is asked to end the run."""

import os
import signal
from pathlib import Path

import msgspec
from msgspec import Struct

from akjob.processes import lock_holder
from akjob.run import folder
from akjob.run.end import End, Recalled
from akjob.run.outcome import RECALLED


class ShimNote(Struct, frozen=True):
    """What a shim noted in its lock file: the job's pid, when it began (0: not yet), the signal that it listens to."""

    pid: int = 0
    started_us: int = 0
    call_signal: int = signal.SIGTERM


class _Head(Struct, frozen=True):
    run: str
    state: str


def read_note(where: str) -> ShimNote:
    """Return what the shim noted, as :func:`folder.note` describes it.

    It may hold the run's end already, which has no name yet: the disk had no room for that.
    """
    try:
        text = Path(where, folder.LOCK).read_bytes()
        if text.startswith(b"{"):
            end = decode_end(text, os.path.basename(where))
            return ShimNote(end.pid or 0, end.started_us or 0) if isinstance(end, End) else ShimNote()
        return ShimNote(*map(int, text[: folder.NOTE].split()))
    except (OSError, ValueError, TypeError):
        return ShimNote()


def read_end(where: str) -> End | Recalled | None:
    """Return the end of a run that has one; one torn by a power cut does not count, nor does that of another run."""
    try:
        return decode_end(Path(where, folder.END).read_bytes(), os.path.basename(where))
    except OSError:
        return None


def decode_end(text: bytes | str, run: str) -> End | Recalled | None:
    """Return the end of this run, None if the text is not one: a power cut can leave what a file held before."""
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.run != run:
            return None
        return Recalled(run) if head.state == RECALLED else msgspec.json.decode(text, type=End)
    except msgspec.DecodeError:
        return None


def holder(where: str) -> int:
    """Return the pid of the shim that looks after the run, 0 if there is none."""
    return lock_holder(Path(where, folder.LOCK))


def open_shim(where: str) -> tuple[int, int]:
    """Return pid and pidfd of the shim that holds the lock of a run's folder; 0 and -1 where there is none."""
    pid = holder(where)
    if not pid:
        return 0, -1
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return 0, -1
    if holder(where) != pid:  # it ended in between; the number may be another's by now
        os.close(pidfd)
        return 0, -1
    return pid, pidfd


def tell_to_stop(where: str, pidfd: int, call_signal: int, word: bytes, *, without_word: bool = True) -> OSError | None:
    """Write ``stop`` into a run's folder, then signal its shim; return what kept ``stop`` from being written.

    Without it the run ends as cancelled for a reason that is not known; ``without_word`` says that this is better than
    that it goes on.
    """
    failed = None
    try:
        folder.write(where, folder.STOP, word)
    except OSError as error:
        failed = error
    if failed is None or without_word:
        try:
            signal.pidfd_send_signal(pidfd, call_signal)
        except ProcessLookupError:  # it has just ended
            return failed
    return failed
