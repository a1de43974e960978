"""The interface of whatever executes runs: akjobd sends orders, stops and recalls, and takes what happened.

The shims of this machine are one engine (:mod:`akjob.run.shims`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from akjob.run.end import End  # noqa: TC001 - a field of a Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from akjob.run.order import Order


class Started(Struct, frozen=True):
    """The run's gate was opened at ``started_us``, on ``host``."""

    run: str
    pid: int
    shim_pid: int
    started_us: int
    host: str


class Ended(Struct, frozen=True):
    """The run has ended."""

    run: str
    end: End


class Lost(Struct, frozen=True):
    """The shim is dead and left no end."""

    run: str
    reason: str


class NeverStarted(Struct, frozen=True):
    """The order came to nothing, or was called back before its slot: nothing of the job has happened."""

    run: str
    reason: str


Happening = Started | Ended | Lost | NeverStarted


class EngineProblem(Struct, frozen=True):
    """What troubles the runs as a whole, an event and its message; no event: nothing."""

    event: str = ""
    message: str = ""


class Engine(Protocol):
    """Each run that was ordered sooner or later becomes Ended, Lost or NeverStarted, whatever dies in between.

    Nothing here decides anything. Call :meth:`step` at :attr:`due_us`, an instant of the wall clock.
    ``happened`` is what happened, in order, until akjobd empties it.
    """

    happened: list[Happening]

    @property
    def due_us(self) -> int | None:
        """When :meth:`step` has something to do; None: never."""

    def step(self, now_us: int) -> None:
        """Try again what could not be done."""

    def next_token(self, run: str) -> int:
        """Return the number that the next order of a run has to have."""

    def send(self, orders: Iterable[Order]) -> None:
        """Order runs; their claims are in the ledger."""

    def stop(self, run: str, state: str, reason: str) -> None:
        """End a run: it then has ``state`` and ``reason``."""

    def recall(self, run: str) -> None:
        """Call a run back that has not begun; after its slot this does nothing."""

    def find(self, run: str, *, running: bool) -> None:
        """Find out what became of a run of a former akjobd; ``running``: its start is in the ledger."""

    def folders(self) -> set[str]:
        """Return the runs of which there is still something, also of former akjobds."""

    def forget(self, run: str) -> None:
        """Drop a run whose end is in the ledger."""

    def sweep(self, is_open: Callable[[str], bool]) -> None:
        """Remove what is left of runs that are not open in the ledger."""

    def close(self) -> None:
        """Close everything; the runs live on."""
