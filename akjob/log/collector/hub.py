"""The collector's loop: many senders' connections in, one sink out.

One chunk a connection a turn, so a flood delays another sender's line by a few chunks at most.

An acknowledgement promises that the kernel has the line: neither the collector's death nor ``kill -9`` of any process
loses it. fdatasync follows within a second (in a thread, for it can take long), so a power failure can cost the last
second's lines. A spool is deleted only after an fdatasync.
"""

import contextlib
import errno
import os
import resource
import selectors
import signal
import socket
import time
from typing import Protocol

from akjob.log.collector.report import report
from akjob.log.collector.senders import CHUNK, LEAST, RETRY_S, Connection, Senders
from akjob.log.collector.sink import Sink, event_line
from akjob.log.collector.spools import Spools
from akjob.log.collector.sync import Syncer
from akjob.program import HoldingsWatch

BACKLOG = 4096
_PLACES_S = 30.0
_SECOND_US = 1_000_000
_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})


def now_us() -> int:
    """Read the wall clock."""
    return time.time_ns() // 1000


class Upkeep(Protocol):
    """Compresses and removes old files, in a process of its own."""

    def start(self) -> None:
        """Look what there is to do, for a file was finished."""

    def reap(self) -> None:
        """Look after a child process that ended."""


class Hub:
    """The loop. ``listener`` listens already; ``runs`` is the runs' folder; ``upkeep`` looks after finished files."""

    def __init__(
        self,
        listener: socket.socket,
        sink: Sink,
        runs: str,
        upkeep: Upkeep,
    ) -> None:
        self._places: HoldingsWatch | None = None
        self._sink = sink
        self._upkeep = upkeep
        self._rotations = sink.rotations
        self._selector = selectors.DefaultSelector()
        self._signals: set[int] = set()
        self._wake_in, self._wake_out = socket.socketpair()
        self._places_at = time.monotonic() + _PLACES_S
        self._now_us = now_us()
        self._stop = False
        self._stuck = False
        self._syncer = Syncer(sink.sync_fds, self.wake)
        self._spools = Spools(runs, self, self._syncer, lambda run, said: self._senders.answer(run, said))  # noqa: PLW0108 - they come after
        self._senders = Senders(listener, self._selector, self, self._spools)

    # -- the life of the loop -----------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Make the loop turn; from another thread or a signal handler."""
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_out.send(b"\0")

    def on_signal(self, number: int, _frame: object) -> None:
        """Note a signal; the loop acts on it. The one wait that it cannot leave by itself is left by an exception."""
        self._signals.add(number)
        if self._sink.waiting and number in _ENDING:
            raise InterruptedError(errno.EINTR, "asked to stop while standard output took nothing")

    def catch_signals(self) -> None:
        """SIGTERM and SIGINT end the loop, SIGHUP reopens the file, SIGCHLD looks after the upkeep's child."""
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self.on_signal)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._drain_wake)
        self._senders.listen()
        if self._places is not None and self._places.fileno() >= 0:
            self._selector.register(self._places, selectors.EVENT_READ, self._places.note)
        while not self._stop:
            self.turn()
        self._finish()

    def turn(self) -> None:
        """Wait for something to do, and do it."""
        ready = self._selector.select(self._timeout())
        self._now_us = now_us()
        share = max(LEAST, CHUNK // max(1, len(ready)))
        for key, mask in ready:
            if isinstance(key.data, Connection):
                self._senders.serve(key.data, mask, share)
            else:
                key.data()
        self._act_on_signals()
        self._spools.read(CHUNK)
        self._timers()

    def _timeout(self) -> float | None:
        if self._spools.are_read:
            return 0.0
        removed = None if self._places is None else self._places.due
        dues = (self._syncer.due, self._senders.due, self._spools.due, self._places_at, removed)
        times = [at for at in dues if at is not None]
        wait = min(times) - time.monotonic() if times else None
        due_us = self._sink.due_us()
        if due_us is not None:
            seconds = (due_us - now_us()) / _SECOND_US
            wait = seconds if wait is None else min(wait, seconds)
        return None if wait is None else max(0.0, min(wait, 3600.0))

    def _timers(self) -> None:
        now = time.monotonic()
        due_us = self._sink.due_us()
        if due_us is not None and self._now_us >= due_us:
            self._sink.rotate_if_due(self._now_us)
        if self._syncer.due is not None and now >= self._syncer.due:
            self._check_places()
            self._syncer.step()
        if self._senders.due is not None and now >= self._senders.due:
            self._senders.listen()
        if now >= self._places_at or (self._places is not None and now >= (self._places.due or now + 1)):
            self._check_places()
        if self._spools.due is not None and now >= self._spools.due:
            self._spools.scan()
        if self._sink.trouble:
            report(self._sink.trouble)
            self._sink.trouble = ""
        if self._sink.rotations != self._rotations:
            self._rotations = self._sink.rotations
            self._upkeep.start()

    def _act_on_signals(self) -> None:
        if not self._signals:
            return
        signals, self._signals = self._signals, set()
        if signals & _ENDING:
            self._stop = True
        if signal.SIGHUP in signals:
            self._reopen()
        if signal.SIGCHLD in signals:
            self._upkeep.reap()

    def _reopen(self) -> None:
        try:
            self._sink.reopen(self._now_us)
        except OSError as error:
            report(f"cannot reopen the log: {error}; trying again each second")
            while not self._stop:
                self._wait_for_signals()
                with contextlib.suppress(OSError):
                    self._sink.open(self._now_us)
                    return

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_in.recv(4096):
                continue

    def _finish(self) -> None:
        """Everything that was received is written and acknowledged by now; an incomplete line is sent again."""
        self._senders.close()
        self._spools.close()
        with contextlib.suppress(OSError):
            if not self._stuck:
                self._sink.append(event_line(now_us(), "info", "collector.stopping", pid=os.getpid()), None, now_us())
        self._syncer.finish(2.0)
        self._sink.close()

    # -- lines ---------------------------------------------------------------------------------------------------------

    def note(self, level: str, event: str, **fields: object) -> None:
        """Write an event of the collector's own."""
        self.write(event_line(self._now_us, level, event, **fields), None)

    def write(self, data: memoryview | bytes, key: bytes | None) -> bool:
        """Write whole lines. While the disk takes none, wait here: no sender is read or acknowledged, and they spool.

        False: the collector was asked to stop before the disk had room; the lines are not written.
        """
        try:
            self._sink.append(data, key, self._now_us)
        except OSError as error:
            if not self._wait_for_room(data, key, error):
                return False
        self._syncer.written()
        return True

    def _wait_for_room(self, data: memoryview | bytes, key: bytes | None, error: OSError) -> bool:
        report(f"cannot write the log: {error}; senders keep their lines; trying again each second")
        since_us = self._now_us
        while True:
            self._wait_for_signals()
            if (
                self._stop or error.errno == errno.EPIPE
            ):  # a pipe without a reader stays so: the next collector gets a new one
                self._stop = self._stuck = True
                return False
            try:
                self._sink.append(data, key, self._now_us)
            except OSError:
                continue
            report("the log can be written again")
            seconds = round((self._now_us - since_us) / _SECOND_US, 3)
            line = event_line(self._now_us, "error", "collector.stalled", error=str(error), seconds=seconds)
            with contextlib.suppress(OSError):
                self._sink.append(line, None, self._now_us)
            self._spools.scan_later()
            return True

    def _wait_for_signals(self) -> None:
        with selectors.DefaultSelector() as signals:
            signals.register(self._wake_in, selectors.EVENT_READ)
            signals.select(RETRY_S)
        self._drain_wake()
        self._now_us = now_us()
        if self._signals & _ENDING:
            self._stop = True

    def _check_places(self) -> None:
        """Make again what was removed: the log within a second of writing, everything else within half a minute."""
        self._places_at = time.monotonic() + _PLACES_S
        try:
            lost = self._sink.restore(self._now_us)
        except OSError as error:
            report(f"the log is not in its place any more, and cannot be opened: {error}; trying again each second")
            self._places_at = time.monotonic() + RETRY_S
            lost = ""
        if lost:
            self.say("warning", "var.restored", path=lost, message="another program removed it; it was begun again")
        if self._places is not None:
            self._places.look()

    def look_after(self, places: HoldingsWatch) -> None:
        """Look after what else the collector holds open; before :meth:`run`."""
        self._places = places

    def say(self, level: str, event: str, **fields: object) -> None:
        """Write an event of what the collector holds open, to standard error too."""
        report(f"{fields.get('path')}: {fields.get('message')}")
        self.note(level, event, **fields)

    def replace_listener(self, listener: socket.socket) -> None:
        """Take connections from another socket."""
        self._senders.replace_listener(listener)


def raise_open_files() -> None:
    """Take as many descriptors as the system allows: each run has a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
