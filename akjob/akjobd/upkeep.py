"""Keeping the ledger small: old rows are deleted in slices, and its write-ahead log is moved into the database."""

from collections.abc import Callable

from akjob import ledger
from akjob.akjobd.loop import Loop
from akjob.akjobd.worker import Worker
from akjob.akjobd.writer import PRUNE_EVERY_US, PRUNE_PAUSE_US, Writer
from akjob.daemon_log import Say


class LedgerUpkeep:
    """Asks the writer when there is something to do; ``keep_us`` returns for how long rows are kept."""

    def __init__(self, loop: Loop, writer: Writer, keep_us: Callable[[], int], say: Say) -> None:
        self._writer = writer
        self._keep_us = keep_us
        self._say = say
        self._worker = Worker("chores", loop.wake)
        loop.when_woken(self._worker.collect)
        self._timer = loop.timer("prune", self._prune, PRUNE_EVERY_US)

    def begin(self, now_us: int) -> None:
        """Delete the first slice soon."""
        self._timer.at_us = now_us + PRUNE_PAUSE_US

    def checkpoint(self, _now_us: int) -> None:
        """Let the write-ahead log be moved into the database, off the loop."""
        if not self._worker.waiting and self._writer.wants_checkpoint():
            self._worker.give(self._writer.store.checkpoint, lambda _moved: None, self._failed)

    def stop(self) -> None:
        """End the thread, after what it does now."""
        self._worker.stop()

    def _prune(self, now_us: int) -> None:
        self._timer.at_us = self._writer.prune(self._keep_us(), now_us)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, ledger.LedgerBusyError):
            self._say("warning", "ledger.checkpoint_failed", message=str(error))
