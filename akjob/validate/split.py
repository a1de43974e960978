"""Many files at once on several processors: each child checks a part and sends its problems back."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import msgspec
from msgspec import Struct

from akjob.errors import Problem

WORTH_IT = 1_000  # files for one process; below that a fork and the way back cost more than they bring
MOST = 4


class Checked(Struct):
    """What is wrong in some files, and which of them may name other jobs."""

    problems: list[Problem]
    linked: list[str]


Work = Callable[[Sequence[str]], Checked]

_decoder = msgspec.msgpack.Decoder(Checked)


def parts_of(paths: Sequence[str], processors: int) -> list[Sequence[str]]:
    """Cut into as many parts as are worth a process each, of nearly the same length, in order."""
    count = max(1, min(processors, MOST, len(paths) // WORTH_IT))
    return [paths[len(paths) * part // count : len(paths) * (part + 1) // count] for part in range(count)]


def in_children(parts: Sequence[Sequence[str]], work: Work, own: Callable[[], Checked]) -> Iterator[Checked]:
    """Yield what this process finds by ``own``, then what a child each finds in ``parts``.

    A child that does not bring its answer is replaced by this process.
    """
    children = [_Child(part, work) for part in parts]
    try:
        yield own()
        for child in children:
            found = child.found()
            yield work(child.part) if found is None else found
    finally:
        for child in children:
            child.end()


class _Child:
    """A forked process that checks one part. The process that forks it has no threads."""

    def __init__(self, part: Sequence[str], work: Work) -> None:
        self.part = part
        self._reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _answer(writing, part, work)
        os.close(writing)

    def found(self) -> Checked | None:
        """Wait for the answer; None when there is no whole one."""
        with os.fdopen(self._reading, "rb", closefd=False) as stream:
            answer = stream.read()
        try:
            return _decoder.decode(answer)
        except msgspec.MsgspecError:
            return None

    def end(self) -> None:
        """Make sure that nothing is left of it."""
        os.close(self._reading)
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _answer(writing: int, part: Sequence[str], work: Work) -> None:
    """Send what is found and end, without anything that the parent meant to do at its own end."""
    status = 1
    try:
        with os.fdopen(writing, "wb") as stream:
            stream.write(msgspec.msgpack.encode(work(part)))
        status = 0
    finally:
        os._exit(status)
