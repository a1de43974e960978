"""What the tests share."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(predicate: Callable[[], T | None], deadline: float = 20.0, step: float = 0.01) -> T:
    """Return the first true value of ``predicate``, asked every ``step`` seconds; fail after ``deadline`` seconds."""
    end = time.monotonic() + deadline
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            message = f"not within {deadline} s: {predicate}"
            raise AssertionError(message)
        time.sleep(step)  # noqa: TID251 - the only sleep of the suite
