"""The instant before which a run may not begin. Part of the zygote: it imports next to nothing."""

from __future__ import annotations

PATIENCE_US = 1_000_000
"""A job that waits at its gate passes it by itself; one that does not is not waited for longer than this."""

BEGINNING_US = 5_000
"""For so long after the slot its shim does not listen: it, the collector and akjobd, which all have something to take
down of a start, would take the processor from the job's first instructions."""

_CHECK_S = 1.0


class Gate:
    """``start_us`` is an instant of the wall clock; ``imports_ahead``: the job's code is imported before it.

    ``ready`` becomes true when that import is done. ``arrived_us`` is when the job came to the gate, 0: not known.
    """

    def __init__(self, start_us: int, *, imports_ahead: bool) -> None:
        self.start_us = start_us
        self.ready = not imports_ahead
        self.arrived_us = 0

    def is_ahead(self, now_us: int) -> bool:
        """Return True if the run may not begin yet."""
        return self.start_us > now_us

    def is_quiet(self, now_us: int) -> bool:
        """Return True while the job is left alone: it waits at the gate, or has passed it just now."""
        return self.ready and now_us < self.start_us + BEGINNING_US

    def opens(self, now_us: int) -> bool:
        """Return True if the run begins now whether or not its job reports that: its time counts from the slot."""
        return now_us - self.start_us >= self._patience_us

    def wait_s(self, now_us: int) -> float:
        """Return when to look again, seconds. The wall clock can be set, so a long wait is looked at now and then."""
        patience_us = BEGINNING_US if self.is_quiet(now_us) else self._patience_us
        return min(_CHECK_S, max(0.0, (self.start_us + patience_us - now_us) / 1e6))

    @property
    def _patience_us(self) -> int:
        return PATIENCE_US if self.ready else 0
