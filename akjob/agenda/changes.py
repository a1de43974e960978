"""Changed files: what akjobd's looks at the files come to for the jobs."""

from akjob.agenda.book import Book
from akjob.agenda.jobs import AgendaJob, busy
from akjob.agenda.requests import AgendaRequests
from akjob.instants import SECOND
from akjob.ledger.model import Occurrence, SeenFiles
from akjob.schedule.events import OnChange
from akjob.sources.change import FilesChanged

OWN_IN_A_ROW = 5
_NOTICED_LATER_US = SECOND  # a change in a run's last moment is noticed after it

Spans = list[tuple[int, int]]
"""When runs began and ended."""


class FileChanges:
    """Takes in changed files. What a job has seen is kept in the commit that has the slot.

    A job whose runs write the files that it looks at would run for ever. Who wrote a file cannot be told, and files
    that come steadily fall into the runs before as well: the last of the runs in a row is therefore held back until
    the job has been idle for a while. What comes meanwhile comes from elsewhere, and starts it at once with all files.
    """

    def __init__(self, book: Book, requests: AgendaRequests) -> None:
        self._book = book
        self._requests = requests

    def found(self, found: FilesChanged, now_us: int) -> None:
        """Take in what was found; without files it is only what a new job has seen first."""
        job = self._book.jobs.get(found.job)
        change = None if job is None or job.spec is None else job.spec.schedule.event(OnChange)
        if job is None or job.spec is None or change is None:
            return
        self._book.effects.saw(SeenFiles(job=found.job, files=found.seen))
        if not found.files or not job.spec.enabled:
            return
        spans = _spans(job, now_us)
        is_own = any(begin <= found.first_us and found.last_us <= end + _NOTICED_LATER_US for begin, end in spans)
        held = _held(job, now_us)
        if held is not None:
            self._book.decided(job, held)
            job.own_changes = job.own_changes if is_own else 0
            occurrence = found.occurrence(held, held.at_us if is_own else None)
        else:
            held_until_us = self._count(job, change, job.spec.run.overlap, spans, now_us) if is_own else None
            job.own_changes = job.own_changes if is_own else 0
            occurrence = found.occurrence(None, held_until_us)
        self._book.occur(job, occurrence)
        self._book.wake_at(job, now_us)

    def _count(self, job: AgendaJob, change: OnChange, overlap: str, spans: Spans, now_us: int) -> int | None:
        """Count a run that is due by changes during the one before; return until when it is held back, if it is."""
        if job.paused_at(now_us) or (busy(job) and overlap == "skip"):
            return None  # no run comes of it
        job.own_changes += 1
        if job.own_changes < OWN_IN_A_ROW:
            return None
        look_us = max(end - begin for begin, end in spans) + change.settle_us + _NOTICED_LATER_US
        if job.own_changes == OWN_IN_A_ROW or _idle_us(spans) < look_us:
            job.own_changes = OWN_IN_A_ROW
            return now_us + 2 * look_us  # longer than from one file to the next that falls into a run
        reason = f"{OWN_IN_A_ROW} runs in a row were made due by files that changed during the run before"
        self._requests.pause(job.row.job, None, reason, "akjobd", now_us)
        job.own_changes = 0
        return None


def _held(job: AgendaJob, now_us: int) -> Occurrence | None:
    """Return the changes that are held back."""
    return next((one for one in job.occurrences.values() if one.trigger == "change" and one.at_us > now_us), None)


def _spans(job: AgendaJob, now_us: int) -> Spans:
    """Return when runs by changes began and ended, in order: the last two, and what is under way."""
    open_runs = [run.row for run in job.runs.values() if run.row.trigger == "change" and run.row.started_us is not None]
    return sorted([*job.changing, *((row.started_us or 0, now_us) for row in open_runs)])


def _idle_us(spans: Spans) -> int:
    """Return how long nothing ran before the last run."""
    *before, (begin_us, _) = spans
    return begin_us - max((end for _, end in before), default=begin_us)
