"""Run ids: they sort by time, and no two are alike.

Sixteen characters of Crockford's base 32 in lower case: ten of the instant in milliseconds since 1970 (enough until the
year 37648), six of chance. Within one millisecond, and while the clock is set back, the last id is counted up instead,
so that ids of one process always grow.
"""

import secrets
from collections.abc import Callable

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [one + other for one in _ALPHABET for other in _ALPHABET]
_CHANCE_BITS = 30


_LENGTH = 16


def is_run_id(text: str) -> bool:
    """Return whether a string has the form of a run's id."""
    return len(text) == _LENGTH and all(sign in _ALPHABET for sign in text)


def first_id(at_us: int) -> str:
    """Return what no id is smaller than that was made at an instant or later."""
    number = at_us // 1000 << _CHANCE_BITS
    return _text(number)


class RunIds:
    """Makes the ids of one process; called with an instant in microseconds.

    ``chance`` gives so many random bits; a simulation has none of its own, so that its ids are the same each time.
    """

    def __init__(self, chance: Callable[[int], int] = secrets.randbits) -> None:
        self._last = 0
        self._chance = chance

    def __call__(self, now_us: int) -> str:
        """Return an id that is greater than every one before."""
        now_ms = now_us // 1000
        if now_ms > self._last >> _CHANCE_BITS:
            # The top bit of chance stays free, so that counting up has room within the millisecond.
            self._last = now_ms << _CHANCE_BITS | self._chance(_CHANCE_BITS - 1)
        else:
            self._last += 1
        return _text(self._last)


def _text(number: int) -> str:
    # Every run has one made: written out it takes a third of the time that a loop does.
    instant = _PAIRS[number >> 70] + _PAIRS[number >> 60 & 1023] + _PAIRS[number >> 50 & 1023]
    instant += _PAIRS[number >> 40 & 1023] + _PAIRS[number >> 30 & 1023]
    return instant + _PAIRS[number >> 20 & 1023] + _PAIRS[number >> 10 & 1023] + _PAIRS[number & 1023]
