"""When to look: a single change at once, a storm when it is over, and not too late."""

from akjob.watching import LONGEST_US, SINGLE_US, SOFT_US, STORM_US, Debouncer, Seen


def test_nothing() -> None:
    """While nothing is seen there is nothing to look at."""
    quiet = Debouncer()
    quiet.note(1000, Seen())
    assert quiet.due_us is None


def test_single_change() -> None:
    """A single change is looked at within milliseconds."""
    quiet = Debouncer()
    quiet.note(1_000_000, Seen(2))
    assert quiet.due_us == 1_000_000 + SINGLE_US
    quiet.note(1_001_000, Seen(2))
    assert quiet.due_us == 1_000_000 + SINGLE_US


def test_storm() -> None:
    """Each event of a storm moves the look on, but no further than half a second from the first."""
    quiet = Debouncer()
    now_us = 1_000_000
    for count in range(1, 200):
        quiet.note(now_us, Seen(count * 20))
        assert quiet.due_us == min(now_us + STORM_US, 1_000_000 + LONGEST_US)
        now_us += 10_000


def test_writer_that_goes_on() -> None:
    """A file that is written and not closed is waited for; its closing is looked at at once."""
    quiet = Debouncer()
    quiet.note(1_000_000, Seen(1, 1))
    assert quiet.due_us == 1_000_000 + SOFT_US
    quiet.note(1_050_000, Seen(2, 1))
    assert quiet.due_us == 1_050_000 + SINGLE_US


def test_reset() -> None:
    """After a look the next change counts from itself."""
    quiet = Debouncer()
    quiet.note(1_000_000, Seen(500))
    quiet.reset()
    assert quiet.due_us is None
    quiet.note(9_000_000, Seen(1))
    assert quiet.due_us == 9_000_000 + SINGLE_US
