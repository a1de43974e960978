"""Removing what finished runs left behind, and saying what troubles the runs as a whole."""

from collections.abc import Callable

from akjob.akjobd.loop import Loop
from akjob.daemon_log import Say
from akjob.run.engine import EngineProblem
from akjob.run.shims import ShimManager

_SWEEP_US = 30_000_000
_SPOOL_US = 3_000_000


class Sweeping:
    """Re-armed only while something is left, so an idle akjobd never wakes for it."""

    def __init__(self, loop: Loop, shims: ShimManager, is_open: Callable[[str], bool], say: Say) -> None:
        self._clock = loop.clock
        self._shims = shims
        self._is_open = is_open
        self._say = say
        self._said = EngineProblem()
        self._timer = loop.timer("sweep", self.sweep, _SWEEP_US)
        loop.each_turn("trouble", self._say_trouble)

    def later(self) -> None:
        """Sweep within half a minute: a run starts, and will leave something."""
        self._timer.bring_forward(self._clock.now_us() + _SWEEP_US)

    def soon(self) -> None:
        """Sweep within some seconds: the collector was asked to read in a spool."""
        self._timer.bring_forward(self._clock.now_us() + _SPOOL_US)

    def sweep(self, now_us: int) -> None:
        """Remove what is left of runs that have ended."""
        self._shims.sweep(self._is_open)
        groups = self._shims.groups
        if self._shims.folders() or (groups is not None and groups.names()):
            self._timer.at_us = now_us + _SWEEP_US

    def _say_trouble(self, now_us: int) -> None:
        """Log what troubles the runs, once while it is tried repeatedly."""
        trouble = self._shims.take_trouble()
        if trouble.event and trouble != self._said:
            self._say("error", trouble.event, message=trouble.message)
            self._said = trouble
        elif self._shims.has_nothing_due(now_us):
            self._said = EngineProblem()
