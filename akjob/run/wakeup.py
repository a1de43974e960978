"""What wakes a shim: signals, as numbers that its loop can read. Part of the zygote: it imports next to nothing."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the module signal would bring in enum
import os

CALL_SIGNALS = tuple(range(_signal.SIGRTMIN, min(_signal.SIGRTMIN + 28, _signal.SIGRTMAX + 1)))
"""Real-time signals. Each run of a shim has the next one: what was meant for a run before cannot reach this one."""


class Wakeup:
    """``fd`` becomes readable when a signal has come; ``rung`` has its number.

    ``call`` is the signal by which akjobd makes the shim read ``stop`` in the folder of its present run.
    """

    def __init__(self) -> None:
        self.fd, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.rung: set[int] = set()
        self.call = CALL_SIGNALS[0]
        self.used = [self.call]
        for number in (_signal.SIGCHLD, _signal.SIGTERM, self.call):
            self._listen(number)
        for number in (_signal.SIGINT, _signal.SIGHUP, _signal.SIGPIPE):
            _signal.signal(number, _signal.SIG_IGN)
        _signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def _listen(self, number: int) -> None:
        _signal.signal(number, lambda number, _frame: self.rung.add(number))

    @property
    def must_stop(self) -> bool:
        """Return whether akjobd, or another process by SIGTERM, has asked the run to end."""
        return _signal.SIGTERM in self.rung or self.call in self.rung

    def clear_stop(self) -> None:
        """Forget the request to end: it is acted on."""
        self.rung -= {_signal.SIGTERM, self.call}

    def empty(self) -> None:
        """Read away what made ``fd`` readable."""
        try:
            while len(os.read(self.fd, 512)) == 512:  # noqa: PLR2004 - a full read: there may be more
                continue
        except BlockingIOError:
            return

    def close(self) -> None:
        """Listen to nothing any more."""
        self.leave()
        for number in (_signal.SIGCHLD, _signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, *self.used):
            _signal.signal(number, _signal.SIG_DFL)

    def leave(self) -> None:
        """In a job: have nothing to do with it."""
        _signal.set_wakeup_fd(-1)
        os.close(self.fd)
        os.close(self._write)

    def next_call(self) -> None:
        """Go on to the signal of the next run, and ignore the one before."""
        before, self.call = self.call, CALL_SIGNALS[(CALL_SIGNALS.index(self.call) + 1) % len(CALL_SIGNALS)]
        self._listen(self.call)
        if self.call not in self.used:
            self.used.append(self.call)
        _signal.signal(before, _signal.SIG_IGN)
        self.rung.discard(before)
