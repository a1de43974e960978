"""The end of a root's programs: signals as something to wait for, the wait for running jobs, the list of them."""

import os
import select
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import monotonic
from types import FrameType, TracebackType
from typing import Any, Self

import click

from akjob.cli import complain
from akjob.cli.common import now_us
from akjob.config import Paths
from akjob.control.client import ANSWER_S, Client
from akjob.control.requests import Drain, GetRunning
from akjob.control.status import RunningRun
from akjob.errors import UnreachableError
from akjob.instants import from_text
from akjob.query.text import plural, span


class Signals:
    """SIGINT, SIGTERM and SIGHUP as something to wait for, within ``with``. The handlers count; the loops act."""

    def __init__(self) -> None:
        self.interrupts = 0
        self.ends = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._count)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._reader)
        os.close(self._writer)

    def _count(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            self.interrupts += 1
        else:
            self.ends += 1

    def wait(self, *descriptors: int, timeout_s: float | None = None) -> set[int]:
        """Wait for a signal, for one of ``descriptors`` or for the time; return the descriptors that are readable."""
        ready = set(select.select([*descriptors, self._reader], [], [], timeout_s)[0])
        if self._reader in ready:
            os.read(self._reader, 4096)
        return ready - {self._reader}


@contextmanager
def draining(paths: Paths, signals: Signals, *, kill: bool) -> Iterator[bool]:
    """Have akjobd start nothing more, wait until no run is left, and keep it so within ``with``.

    With ``kill`` the runs are ended. Shows what it waits for. Ctrl-C during the wait ends the runs. Yields False where
    akjobd does not answer or the wait was cut short by SIGTERM or SIGHUP: then runs may go on. Raises AkjobError where
    akjobd refuses.
    """
    with ExitStack() as asking:  # akjobd starts runs again when the last of these connections closes
        shown = DrainWait(killing=kill)
        try:
            drained = _drain(paths, signals, asking, shown)
        finally:
            shown.clear()
        yield drained


def _drain(paths: Paths, signals: Signals, asking: ExitStack, shown: "DrainWait") -> bool:
    pressed = signals.interrupts
    try:
        drained, lister = (asking.enter_context(Client(paths)) for _ in range(2))
        drained.send(waited := Drain(kill=shown.killing))
        lister.send(GetRunning())
        asked_at: float | None = monotonic()
        while drained.fileno() not in (ready := signals.wait(*map(Client.fileno, (drained, lister)), timeout_s=1)):
            if signals.ends:
                return False
            if signals.interrupts > pressed and not shown.killing:
                shown.killing = True
                asking.enter_context(Client(paths)).send(Drain(kill=True))
            if lister.fileno() in ready:
                shown.show(lister.answer(GetRunning()).running)
                asked_at = None
            elif asked_at is None:
                lister.send(GetRunning())
                asked_at = monotonic()
            elif monotonic() - asked_at > ANSWER_S:
                raise lister.silent()
        drained.answer(waited)
    except UnreachableError as error:
        shown.clear()
        complain(
            error.message, "" if shown.killing else "Runs that still run go on, and the next akjobd takes them over."
        )
        return False
    return True


class DrainWait:
    """The list of the runs that are waited for: one line that changes on a terminal, else a line when it changes."""

    def __init__(self, *, killing: bool) -> None:
        self.killing = killing
        self._terminal = sys.stderr.isatty()
        self._last: tuple[bool, tuple[str, ...]] | None = None

    def show(self, running: Sequence[RunningRun]) -> None:
        """Show the runs as they are now; nothing where there are none."""
        if not running:
            return
        text = describe(running, now_us(), killing=self.killing)
        if self._terminal:
            columns = shutil.get_terminal_size().columns
            click.echo("\r\x1b[K" + text[: columns - 1], nl=False, err=True)
            return
        state = (self.killing, tuple(sorted(run.run for run in running)))
        if state != self._last:
            click.echo(text, err=True)
        self._last = state

    def clear(self) -> None:
        """Take the line off the terminal."""
        if self._terminal:
            click.echo("\r\x1b[K", nl=False, err=True)


def describe(running: Sequence[RunningRun], now: int, *, killing: bool) -> str:
    """Return in one line what is waited for: ``Waiting for 2 runs: reports/nightly (2 min), load (5 s); Ctrl-C …``."""
    names = []
    for run in sorted(running, key=lambda run: run.started_at or "~"):
        age = f" ({span(max(0, now - from_text(run.started_at)))})" if run.started_at else ""
        names.append(f"{run.job}{age}")
    if killing:
        return f"Ending {plural(len(names), 'run')}: {', '.join(names)}"
    return f"Waiting for {plural(len(names), 'run')}: {', '.join(names)}; Ctrl-C ends them"
