"""Work that may take its time, off akjobd's loop: one thread, one thing after another."""

import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct

T = TypeVar("T")


class WorkResult(Struct, frozen=True):
    """What came of a piece of work: ``value``, or the ``error`` that it raised, and whom to give it to."""

    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    value: Any = None
    error: Exception | None = None


class Worker:
    """A thread that does what it is given, in order.

    ``wake`` is called there after each piece; the loop then calls :meth:`collect`.
    """

    _again: Callable[[], WorkResult | None] | None = None
    _again_s: float | None = None

    def __init__(self, name: str, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._todo: queue.SimpleQueue[Callable[[], WorkResult] | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[WorkResult] = queue.SimpleQueue()
        self.waiting = 0
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def give(self, work: Callable[[], T], done: Callable[[T], None], failed: Callable[[Exception], None]) -> None:
        """Queue a piece of work; ``done`` or ``failed`` is called by :meth:`collect`, in the loop's own thread."""

        def finished(value: T) -> None:
            self.waiting -= 1
            done(value)

        def broken(error: Exception) -> None:
            self.waiting -= 1
            failed(error)

        self.waiting += 1
        self._todo.put(lambda: _result(work, finished, broken))

    def again(
        self, after_s: float, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Exception], None]
    ) -> None:
        """Do ``work`` whenever nothing else was done for so long, from the next piece of work on.

        A result of None does not wake the loop.
        """

        def whole() -> WorkResult | None:
            result = _result(work, done, failed)
            return result if result.value is not None or result.error is not None else None

        self._again, self._again_s = whole, after_s

    def collect(self) -> None:
        """Hand over the results that are ready."""
        while True:
            try:
                result = self._results.get_nowait()
            except queue.Empty:
                return
            if result.error is not None:
                result.failed(result.error)
            else:
                result.done(result.value)

    def stop(self) -> None:
        """End the thread after what it is doing now; what it has not begun is not done. Does not wait."""
        self._todo.put(None)

    def _work(self) -> None:
        while True:
            try:
                work: Callable[[], WorkResult | None] | None = self._todo.get(timeout=self._again_s)
            except queue.Empty:
                work = self._again
            if work is None:
                return
            result = work()
            if result is not None:
                self._results.put(result)
                self._wake()


def _result(work: Callable[[], T], done: Callable[[T], None], failed: Callable[[Exception], None]) -> WorkResult:
    try:
        return WorkResult(done, failed, value=work())
    except Exception as error:  # noqa: BLE001 - the owner of the work decides what an error means
        return WorkResult(done, failed, error=error)
