"""Job files that were refused: since when, and from which commit the refused version is."""

from collections.abc import Collection, Mapping

from akjob.agenda.book import Book
from akjob.agenda.jobs import AgendaJob, unknown_row
from akjob.jobset.git import Revision
from akjob.jobset.model import BrokenJob
from akjob.ledger.model import Detail, JobRow


class Refusals:
    """What is refused now. It is kept in the ledger, so that "since" and the commit outlive a restart.

    ``broken`` has the jobs that are broken, as the last look at the folder found them.
    """

    def __init__(self, book: Book) -> None:
        self.broken: Mapping[str, BrokenJob] = {}
        self._book = book
        self._unattributed: set[str] = set()  # refused, and no commit is known that has the refused version

    def restore(self, row: JobRow) -> None:
        """Take over what the akjobd before has refused."""
        if row.refused is not None:
            self._await_commit(row)

    def names(self) -> list[str]:
        """Return the jobs of which a version is refused, according to the ledger."""
        return [name for name, job in self._book.jobs.items() if job.row.refused is not None]

    def refuse(self, broken: BrokenJob, now_us: int) -> None:
        """Note what was refused, also of a job that never was good."""
        job = self._book.jobs.get(broken.job)
        if job is None:
            job = self._book.jobs[broken.job] = AgendaJob(row=unknown_row(broken.job, now_us))
        row = job.row
        if (row.refused, row.refused_us) != (broken.content, broken.since_us):
            row.refused_commit = row.refused_dirty = None
            detail = Detail(file=broken.file, line=broken.line, column=broken.column, message=broken.message)
            self._book.effects.job_moved(broken.job, "broken", now_us, detail)
        row.refused, row.refused_us = broken.content, broken.since_us
        self._await_commit(row)
        self._book.effects.loaded(broken.job)

    def accept(self, names: Collection[str], now_us: int) -> None:
        """Forget what was refused: these files are good again, or gone."""
        for name in names:
            self._unattributed.discard(name)
            job = self._book.jobs.get(name)
            if job is not None and job.row.refused is not None:
                row = job.row
                row.refused = row.refused_us = row.refused_commit = row.refused_dirty = None
                self._book.effects.loaded(name)
                if row.removed_us is None:
                    self._book.effects.job_moved(name, "repaired", now_us)

    @property
    def unattributed(self) -> bool:
        """Return True if something is refused of which no commit is known that has it."""
        return bool(self._unattributed)

    def attribute(self, revision: Revision) -> None:
        """Take in which commit is checked out: what was refused is from it.

        A version that differs from the first commit that was seen with it is followed until a commit has it: then the
        mistake is in that one. A pull writes the files first, and only then says of which commit they are.
        """
        for name in [name for name in self._unattributed if name in self.broken]:
            row, dirty = self._book.jobs[name].row, revision.is_dirty(self.broken[name].sources)
            if dirty is None or (dirty and row.refused_commit is not None):
                continue
            row.refused_commit, row.refused_dirty = revision.commit, dirty
            if not dirty:
                self._unattributed.discard(name)
            self._book.effects.loaded(name)

    def commit_of(self, name: str) -> tuple[str | None, bool | None]:
        """Return the commit that the refused version of a job is from, and whether it differs from it."""
        job = self._book.jobs.get(name)
        return (None, None) if job is None else (job.row.refused_commit, job.row.refused_dirty)

    def _await_commit(self, row: JobRow) -> None:
        if row.refused_commit is None or row.refused_dirty:
            self._unattributed.add(row.job)
