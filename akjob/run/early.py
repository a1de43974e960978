"""How far ahead of its slot an order goes out, so that claim, fork and set-up are over on the slot."""

import os
from collections import deque
from collections.abc import Sequence

LEAST_US = 20_000
MOST_US = 1_000_000
AWAKE_US = 1_000
"""So long before its slot a run that starts alone sleeps no more: it takes half a millisecond to wake a processor."""

_WAKE_US = 5_000  # akjobd itself may wake that late
_SAMPLES = 128
_OUT_OF = 100
_APART_US = 10_000


class Early:
    """What this machine needed lately: the 99th percentile of the last times from an order's decision to its gate.

    A machine that has been idle needs longer than one that is busy: cold memory and sleeping processors count. It is
    ``first_us`` until anything is known, and within the bounds from then on.
    """

    def __init__(self, first_us: int = LEAST_US, least_us: int = LEAST_US, most_us: int = MOST_US) -> None:
        self._needed: deque[int] = deque(maxlen=_SAMPLES)
        self._least_us, self._most_us = least_us, most_us
        self.us = first_us
        self._last_gate_us = 0

    def add(self, needed_us: int) -> None:
        """Take in how long one run needed; a clock that was set meanwhile makes it nonsense, and it is left out."""
        if not 0 <= needed_us <= MOST_US * 60:
            return
        self._needed.append(needed_us)
        in_order = sorted(self._needed)
        percentile = in_order[-1 - len(in_order) // _OUT_OF]
        self.us = min(max(percentile + _WAKE_US, self._least_us), self._most_us)

    def awake_us(self, gates: Sequence[int]) -> int:
        """Return how long before their gates runs stay awake whose orders go out together; 0: they sleep until then.

        A run that starts alone keeps a processor from no other one. Of many that start at once each would.
        """
        if not gates:
            return 0
        alone = len(gates) < max(2, os.cpu_count() or 1) and abs(min(gates) - self._last_gate_us) >= _APART_US
        self._last_gate_us = max(gates)
        return AWAKE_US if alone else 0
