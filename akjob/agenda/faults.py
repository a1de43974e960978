"""The barrier around what is decided for one job: what raises there costs that job, once, until it is loaded again."""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from akjob.agenda.book import Book

T = TypeVar("T")


class Fault(Struct, frozen=True):
    """Why nothing is decided for a job: a fault of akjob's own."""

    job: str
    file: str
    message: str
    since_us: int


class Faults:
    """Keeps the jobs for which something raised. Their runs go on; nothing new of them starts."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._found: dict[str, Fault] = {}

    def guard(self, job: str, act: Callable[[], T], otherwise: T, now_us: int) -> T:
        """Do something for a job; return ``otherwise`` where that raises, or has raised before."""
        if job in self._found:
            return otherwise
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must cost this job alone
            said = str(error).partition("\n")[0][:200]
            message = f"a fault of akjob: it cannot decide about this job: {type(error).__name__}: {said}"
        known = self._book.jobs.get(job)
        self._found[job] = Fault(job, "" if known is None else known.row.file, message, now_us)
        self._book.effects.say("error", "job.fault", job=job, message=message)
        return otherwise

    def forgive(self, job: str) -> None:
        """Try again with a job: its file is another one."""
        self._found.pop(job, None)

    def all(self) -> list[Fault]:
        """Return what is known to be wrong."""
        return list(self._found.values())
