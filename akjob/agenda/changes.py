"""Changed files: what akjobd's looks at the files come to for the jobs."""

from akjob.agenda.book import Book
from akjob.agenda.jobs import Job
from akjob.agenda.requests import Requests
from akjob.instants import SECOND
from akjob.ledger.model import SeenFiles
from akjob.sources.change import FilesChanged

OWN_IN_A_ROW = 5
_NOTICED_LATER_US = SECOND  # a change in a run's last moment is noticed after it


class Changes:
    """Takes in changed files. What a job has seen is kept in the commit that has the slot."""

    def __init__(self, book: Book, requests: Requests) -> None:
        self._book = book
        self._requests = requests

    def found(self, found: FilesChanged, now_us: int) -> None:
        """Take in what was found; without files it is only what a new job has seen first."""
        job = self._book.jobs.get(found.job)
        if job is None or job.spec is None or job.spec.schedule.on_change is None:
            return
        self._book.effects.saw(SeenFiles(job=found.job, files=found.seen))
        if not found.files or not job.spec.enabled:
            return
        job.own_changes = job.own_changes + 1 if _is_own(job, found.first_us, now_us) else 0
        if job.own_changes > OWN_IN_A_ROW and not job.paused_at(now_us):
            reason = f"{OWN_IN_A_ROW} runs in a row were made due by files that changed during the run before"
            self._requests.pause(found.job, None, reason, "akjobd", now_us)
            job.own_changes = 0
        self._book.occur(job, found.occurrence())
        self._book.wake_at(job, now_us)


def _is_own(job: Job, first_us: int, now_us: int) -> bool:
    """Return True if the changes began while the job's last run by changes was under way."""
    open_runs = [run.row for run in job.runs.values() if run.row.trigger == "change" and run.row.started_us is not None]
    spans = [(row.started_us or 0, now_us) for row in open_runs]
    spans += [job.changing] if job.changing is not None else []
    return any(begin <= first_us <= end + _NOTICED_LATER_US for begin, end in spans)
