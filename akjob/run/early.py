"""How far ahead of its slot an order goes out, so that claim, fork and set-up are over on the slot."""

from collections import deque

LEAST_US = 20_000
MOST_US = 1_000_000

_WAKE_US = 5_000  # akjobd itself may wake that late
_SAMPLES = 128
_OUT_OF = 100


class Early:
    """What this machine needed lately: the 99th percentile of the last times from an order's decision to its gate.

    A machine that has been idle needs longer than one that is busy: cold memory and sleeping processors count.
    """

    def __init__(self) -> None:
        self._needed: deque[int] = deque(maxlen=_SAMPLES)
        self.us = LEAST_US

    def add(self, needed_us: int) -> None:
        """Take in how long one run needed; a clock that was set meanwhile makes it nonsense, and it is left out."""
        if not 0 <= needed_us <= MOST_US * 60:
            return
        self._needed.append(needed_us)
        in_order = sorted(self._needed)
        percentile = in_order[-1 - len(in_order) // _OUT_OF]
        self.us = min(max(percentile + _WAKE_US, LEAST_US), MOST_US)
