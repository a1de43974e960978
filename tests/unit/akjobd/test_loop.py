"""The loop on a fake clock, with a selector that returns what the test says: nothing waits."""

import os
import selectors
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

import pytest

from akjob.akjobd.loop import Loop

if TYPE_CHECKING:
    from akjob.timer import Alarm


class FakeClock:
    """Both clocks; the test moves them."""

    def __init__(self) -> None:
        self.wall_us = 1_000_000_000
        self.steady = 50.0

    def now_us(self) -> int:
        """Return the wall clock."""
        return self.wall_us

    def steady_s(self) -> float:
        """Return the steady clock."""
        return self.steady

    def go(self, us: int) -> None:
        """Let the time pass for both."""
        self.wall_us += us
        self.steady += us / 1e6


class FakeAlarm:
    """Keeps what it was armed for; its descriptors are those of pipes."""

    def __init__(self) -> None:
        self.fd, self._ring = os.pipe()
        self.clock_fd, self._set = os.pipe()
        self.armed: list[int | None] = []

    def arm(self, instant_us: int | None, _now_us: int) -> None:
        """Keep it."""
        self.armed.append(instant_us)

    def rang(self) -> None:
        """Nothing to take down."""

    def clock_was_set(self) -> bool:
        """Somebody did, whenever this is asked."""
        return True

    def close(self) -> None:
        """Give the descriptors back."""
        for fd in (self.fd, self._ring, self.clock_fd, self._set):
            os.close(fd)


class Scripted(selectors.DefaultSelector):
    """A selector whose ``select`` plays the next act of a script and then returns what is ready, without waiting."""

    def __init__(self, script: list[Callable[[], object]]) -> None:
        super().__init__()
        self.script = script

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Play, then look."""
        assert timeout is None
        if self.script:
            self.script.pop(0)()
        return super().select(0)


class Rig:
    """A loop with everything fake around it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.alarm = FakeAlarm()
        self.script: list[Callable[[], object]] = []
        self.selector = Scripted(self.script)
        self.loop = Loop(self.selector, self.clock, cast("Alarm", self.alarm))
        self.done: list[str] = []

    def note(self, name: str) -> Callable[[int], None]:
        """Return a step that takes itself down."""
        return lambda _now_us: self.done.append(name)

    def play(self, *acts: Callable[[], object]) -> list[str]:
        """Turn once for each act; return the steps done."""
        self.script += acts
        for _ in acts:
            self.loop.wait()
            self.loop.turn()
        return self.done

    def close(self) -> None:
        """Give the descriptors back."""
        for key in list(self.selector.get_map().values()):
            if key.fd not in (self.alarm.fd, self.alarm.clock_fd):
                os.close(key.fd)
        os.close(self.loop._wake_in)
        self.selector.close()
        self.alarm.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Yield a loop."""
    one = Rig()
    yield one
    one.close()


def nothing() -> None:
    """Happen."""


def test_a_turn_does_its_steps_in_their_order(rig: Rig) -> None:
    """Those of every turn, and those whose instant has come."""
    rig.loop.each_turn("first", rig.note("first"))
    late = rig.loop.timer("late", rig.note("late"), 10_000_000)
    due_us = rig.clock.wall_us + 5
    rig.loop.when_due("owned", rig.note("owned"), lambda: due_us)
    rig.loop.each_turn("last", rig.note("last"))
    late.at_us = rig.clock.wall_us + 10
    assert rig.play(nothing, lambda: rig.clock.go(5)) == ["first", "last", "first", "owned", "last"]


def test_the_alarm_is_set_for_the_next_timer(rig: Rig) -> None:
    """Of all that are set, the soonest; None where none is."""
    one = rig.loop.timer("one", rig.note("one"), 10_000_000)
    other = rig.loop.timer("other", rig.note("other"), 10_000_000)
    other.at_us = rig.clock.wall_us + 7
    one.at_us = rig.clock.wall_us + 5
    assert rig.loop.due() == {"one": rig.clock.wall_us + 5, "other": rig.clock.wall_us + 7}
    soonest = one.at_us
    rig.play(nothing, lambda: rig.clock.go(7))
    assert rig.alarm.armed == [soonest, soonest]
    assert rig.done == ["one", "other"]
    assert rig.loop.due() == {}


def test_a_timer_is_done_once(rig: Rig) -> None:
    """Until it is set again."""
    timer = rig.loop.timer("once", rig.note("once"), 10_000_000)
    timer.bring_forward(rig.clock.wall_us + 9)
    timer.bring_forward(rig.clock.wall_us + 3)
    timer.bring_forward(rig.clock.wall_us + 6)
    assert rig.play(lambda: rig.clock.go(3), lambda: rig.clock.go(9)) == ["once"]


def test_a_clock_that_is_set_back_holds_nothing_up_for_hours(rig: Rig) -> None:
    """No timer waits longer than it would have from the start."""
    timer = rig.loop.timer("sweep", rig.note("sweep"), 30_000_000)
    timer.at_us = rig.clock.wall_us + 30_000_000

    def set_back() -> None:
        rig.clock.wall_us -= 3600_000_000

    assert rig.play(set_back, lambda: rig.clock.go(30_000_000)) == ["sweep"]


def test_steady_deadlines_follow_a_wall_clock_that_jumps(rig: Rig) -> None:
    """A deadline of the steady clock is due so much later, whatever the wall clock was set to meanwhile."""
    deadline = rig.clock.steady + 2.0
    rig.loop.when_due("steady", rig.note("steady"), lambda: rig.loop.instant_of(deadline))

    def jump() -> None:
        rig.clock.wall_us += 3600_000_000

    assert rig.play(jump, lambda: rig.clock.go(1_000_000)) == []
    assert rig.play(lambda: rig.clock.go(1_000_000)) == ["steady"]


def test_other_threads_wake_it(rig: Rig) -> None:
    """However often it is woken before it turns, it turns once, after what was to be collected."""
    rig.loop.when_woken(lambda: rig.done.append("collected"))
    rig.loop.each_turn("turned", rig.note("turned"))

    def wake() -> None:
        for _ in range(100_000):  # more than the pipe holds
            rig.loop.wake()

    assert rig.play(wake) == ["collected", "turned"]


def test_signals_are_taken_by_the_turn(rig: Rig) -> None:
    """The handler only takes a note; the signal itself makes the loop turn."""
    before = signal.getsignal(signal.SIGUSR1)
    rig.loop.catch(signal.SIGUSR1)
    try:
        taken: list[Any] = []
        rig.loop.each_turn("signals", lambda _now: taken.append(rig.loop.take_signals()))
        rig.play(lambda: os.kill(os.getpid(), signal.SIGUSR1), nothing)
        assert taken == [{signal.SIGUSR1}, set()]
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR1, before)


def test_a_clock_that_was_set_is_told(rig: Rig) -> None:
    """The alarm's second descriptor becomes readable."""
    rig.loop.on_clock_set(lambda: rig.done.append("set"))
    assert rig.play(lambda: os.write(rig.alarm._set, b"x")) == ["set"]


def test_it_runs_until_it_is_stopped(rig: Rig) -> None:
    """The turn in which it is stopped is done to its end."""
    rig.loop.each_turn("stop", lambda _now: rig.loop.stop())
    rig.loop.each_turn("last", rig.note("last"))
    rig.loop.run()
    assert rig.done == ["last"]
