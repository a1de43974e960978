"""The wall clock of tests that ask about now."""

from time import time_ns


def now_us() -> int:
    """Return this instant."""
    return time_ns() // 1000
