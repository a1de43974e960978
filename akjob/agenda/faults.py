"""The barrier around what is decided for one job: what raises there costs that job, once, until it is loaded again."""

import contextlib
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from akjob.agenda.book import Book
from akjob.agenda.life import LiveRun

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
        self._runs: list[tuple[LiveRun, str]] = []

    def guard(self, job: str, act: Callable[[], T], otherwise: T, now_us: int) -> T:
        """Do something for a job; return ``otherwise`` where that raises, or something has raised before."""
        return otherwise if job in self._found else self.guard_always(job, act, otherwise, now_us)

    def guard_always(self, job: str, act: Callable[[], T], otherwise: T, now_us: int) -> T:
        """Do something for a job, whatever has raised before; return ``otherwise`` where that raises."""
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must cost this job alone
            self._leave(job, self._note(job, error, now_us))
        return otherwise

    def guard_run(self, run: LiveRun, act: Callable[[LiveRun, int], None], now_us: int) -> None:
        """Do something for a run; where that raises, the run is one of :meth:`take_runs`. It is tried for every run."""
        try:
            act(run, now_us)
        except Exception as error:  # noqa: BLE001 - as above
            reason = self._note(run.job, error, now_us)
            self._runs.append((run, reason))
            self._leave(run.job, reason)

    def take_runs(self) -> list[tuple[LiveRun, str]]:
        """Return the runs that cannot go on, each with the reason, and forget them."""
        runs, self._runs = self._runs, []
        return runs

    def forgive(self, job: str) -> bool:
        """Try again with a job: its file is another one. Return True if something had raised."""
        return self._found.pop(job, None) is not None

    def reason(self, job: str) -> str:
        """Return why nothing is decided for a job for which something has raised."""
        return self._found[job].message

    def _leave(self, job: str, reason: str) -> None:
        """Take down the runs of a job that are claimed, and in no place where they would be seen to again."""
        known = self._book.jobs.get(job)
        undecided = [] if known is None else [run for run in known.runs.values() if run.is_undecided]
        self._runs += [(run, reason) for run in undecided]

    def _note(self, job: str, error: Exception, now_us: int) -> str:
        said = str(error).partition("\n")[0][:200]
        message = f"a fault of akjob: it cannot decide about this job: {type(error).__name__}: {said}"
        if job not in self._found:
            known = self._book.jobs.get(job)
            self._found[job] = Fault(job, "" if known is None else known.row.file, message, now_us)
            with contextlib.suppress(Exception):  # where not even that can be said, `akjob status` says it
                self._book.effects.say("error", "job.fault", job=job, message=message)
        return message

    def all(self) -> list[Fault]:
        """Return what is known to be wrong."""
        return list(self._found.values())
