"""The loop: it waits in a selector until something happens or a timer is due, then takes one turn.

A turn is a table: the steps in the order in which they were added, each with the instant at which it is due. Clock,
selector and alarm are handed in; nothing here knows what the steps do.
"""

import os
import selectors
import signal
import time
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from akjob.timer import Alarm

Act = Callable[[int], None]
"""A step; it is called with the wall clock's instant."""


class Clock(Protocol):
    """What reads the clocks: wall time in microseconds, steady time in seconds."""

    def now_us(self) -> int:
        """Return the wall clock's instant."""

    def steady_s(self) -> float:
        """Return the reading of the steady clock, which is never set."""


class SystemClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        """Return the wall clock's instant."""
        return time.time_ns() // 1000

    def steady_s(self) -> float:
        """Return the reading of the steady clock, which is never set."""
        return time.monotonic()


class Timer:
    """A named instant at which something is done, once; its owner sets it again.

    It never waits longer than ``longest_us``: a wall clock that is set back by hours must not hold up what comes again
    and again.
    """

    def __init__(self, longest_us: int) -> None:
        self.at_us: int | None = None
        self._longest_us = longest_us

    def bring_forward(self, at_us: int) -> None:
        """Set it, unless it is due sooner."""
        self.at_us = at_us if self.at_us is None else min(self.at_us, at_us)

    def take(self, now_us: int) -> bool:
        """Return True if it is due, and unset it then."""
        if self.at_us is None:
            return False
        self.at_us = min(self.at_us, now_us + self._longest_us)
        if self.at_us > now_us:
            return False
        self.at_us = None
        return True


class _Step(Struct, frozen=True):
    """One line of the table: ``take`` returns whether to do it now, ``due_us`` when next; None: no timer."""

    name: str
    act: Act
    take: Callable[[int], bool]
    due_us: Callable[[], int | None]


class Loop:
    """Turns until :meth:`stop`. Each key of the selector holds a function, which is called with the mask."""

    def __init__(self, selector: selectors.BaseSelector, clock: Clock, alarm: Alarm) -> None:
        self.selector = selector
        self.clock = clock
        self._alarm = alarm
        self._steps: list[_Step] = []
        self._woken: list[Callable[[], None]] = []
        self._signals: set[int] = set()
        self._stopping = False
        self._now_us, self._steady_s = clock.now_us(), clock.steady_s()
        self._wake_out, self._wake_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        selector.register(self._wake_out, selectors.EVENT_READ, self._wake_up)
        selector.register(alarm.fd, selectors.EVENT_READ, lambda _mask: alarm.rang())

    # -- the table ----------------------------------------------------------------------------------------------------

    def each_turn(self, name: str, act: Act, due_us: Callable[[], int | None] = lambda: None) -> None:
        """Add a step of every turn; ``due_us`` returns when a turn is wanted for it."""
        self._steps.append(_Step(name, act, lambda _now: True, due_us))

    def when_due(self, name: str, act: Act, due_us: Callable[[], int | None]) -> None:
        """Add a step that is done when an instant has come that its owner knows."""

        def take(now_us: int) -> bool:
            at_us = due_us()
            return at_us is not None and at_us <= now_us

        self._steps.append(_Step(name, act, take, due_us))

    def timer(self, name: str, act: Act, longest_us: int) -> Timer:
        """Add a step with a timer of its own; return that."""
        timer = Timer(longest_us)
        self._steps.append(_Step(name, act, timer.take, lambda: timer.at_us))
        return timer

    def when_woken(self, act: Callable[[], None]) -> None:
        """Call this after :meth:`wake`, before the turn."""
        self._woken.append(act)

    def due(self) -> dict[str, int]:
        """Return the timers that are set, by the names of their steps."""
        found = ((step.name, step.due_us()) for step in self._steps)
        return {name: at_us for name, at_us in found if at_us is not None}

    def instant_of(self, steady_s: float | None) -> int | None:
        """Return the wall clock's instant at which the steady clock will have come so far, as of the last reading."""
        return None if steady_s is None else self._now_us + int((steady_s - self._steady_s) * 1e6)

    # -- its life -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Turn until :meth:`stop`."""
        while not self._stopping:
            self.wait()
            self.turn()

    def wait(self) -> None:
        """Wait until something happens or the next timer is due; call what the selector's keys hold."""
        now_us = self._read_clocks()
        self._alarm.arm(min(self.due().values(), default=None), now_us)
        for key, mask in self.selector.select():
            key.data(mask)

    def turn(self) -> None:
        """Do every step that is due, in their order."""
        now_us = self._read_clocks()
        for step in self._steps:
            if step.take(now_us):
                step.act(now_us)

    def _read_clocks(self) -> int:
        self._now_us, self._steady_s = self.clock.now_us(), self.clock.steady_s()
        return self._now_us

    def stop(self) -> None:
        """End after this turn."""
        self._stopping = True

    def wake(self) -> None:
        """Make the loop turn; for other threads."""
        try:
            os.write(self._wake_in, b"!")
        except BlockingIOError:
            return  # it will turn already

    def _wake_up(self, _mask: int) -> None:
        try:
            while len(os.read(self._wake_out, 4096)) == 4096:  # noqa: PLR2004 - a full read: there may be more
                continue
        except BlockingIOError:
            pass
        for act in self._woken:
            act()

    # -- signals and the clock ----------------------------------------------------------------------------------------

    def catch(self, *numbers: signal.Signals) -> None:
        """Take note of these signals, and turn; :meth:`take_signals` returns them."""
        for number in numbers:
            signal.signal(number, lambda number, _frame: self._signals.add(number))
        signal.set_wakeup_fd(self._wake_in, warn_on_full_buffer=False)

    def take_signals(self) -> set[int]:
        """Return the signals that came since the last call."""
        signals, self._signals = self._signals, set()
        return signals

    def on_clock_set(self, act: Callable[[], None]) -> None:
        """Call this whenever the wall clock is set."""

        def rang(_mask: int) -> None:
            if self._alarm.clock_was_set():
                act()

        self.selector.register(self._alarm.clock_fd, selectors.EVENT_READ, rang)
