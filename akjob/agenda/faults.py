"""The barrier around what is decided for one job: what raises there costs that job, once, until it is loaded again."""

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
        """Do something for a job; return ``otherwise`` where that raises, or has raised before."""
        if job in self._found:
            return otherwise
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must cost this job alone
            reason = self._note(job, error, now_us)
            known = self._book.jobs.get(job)
            # claimed, and in no place where it would be seen to again
            undecided = [] if known is None else [run for run in known.runs.values() if run.is_undecided]
            self._runs += [(run, reason) for run in undecided]
        return otherwise

    def guard_run(self, run: LiveRun, act: Callable[[LiveRun, int], None], now_us: int) -> None:
        """Do something for a run; where that raises, the run is one of :meth:`take_runs`. It is tried for every run."""
        try:
            act(run, now_us)
        except Exception as error:  # noqa: BLE001 - as above
            self._runs.append((run, self._note(run.job, error, now_us)))

    def take_runs(self) -> list[tuple[LiveRun, str]]:
        """Return the runs that cannot go on, each with the reason, and forget them."""
        runs, self._runs = self._runs, []
        return runs

    def forgive(self, job: str) -> bool:
        """Try again with a job: its file is another one. Return True if something had raised."""
        return self._found.pop(job, None) is not None

    def _note(self, job: str, error: Exception, now_us: int) -> str:
        said = str(error).partition("\n")[0][:200]
        message = f"a fault of akjob: it cannot decide about this job: {type(error).__name__}: {said}"
        if job not in self._found:
            known = self._book.jobs.get(job)
            self._found[job] = Fault(job, "" if known is None else known.row.file, message, now_us)
            self._book.effects.say("error", "job.fault", job=job, message=message)
        return message

    def all(self) -> list[Fault]:
        """Return what is known to be wrong."""
        return list(self._found.values())
