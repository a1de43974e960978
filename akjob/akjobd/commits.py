"""Which git commit a run starts from, and which one the refused files are from."""

from collections.abc import Sequence

from akjob.agenda import Agenda, Running
from akjob.akjobd import speaking
from akjob.akjobd.loop import Loop
from akjob.akjobd.scanning import Scanning
from akjob.config import Paths
from akjob.daemon_log import Say
from akjob.jobset.git import Provenance, Revision
from akjob.jobset.model import BrokenJob
from akjob.run.engine import Happening, Started

_PATIENCE_US = 1_000_000
_ATTRIBUTE_AGAIN_US = 2_000_000


class Commits:
    """Joins git's answers with the job set.

    A run's row says which commit it started from. While git is being asked, or files have changed that have not been
    judged yet, that is not known, and what happened to the run waits, for a moment at most. So does the word that a job
    is broken, which names the commit.
    """

    def __init__(self, loop: Loop, paths: Paths, agenda: Agenda, scanning: Scanning, say: Say) -> None:
        self._agenda = agenda
        self._say = say
        self._unsaid: list[BrokenJob] = []
        self._say_by = loop.timer("commits.say", lambda _now: None, _PATIENCE_US)
        self._scanning = scanning
        self._provenance = Provenance(paths, loop.wake)
        self._waiting: list[Happening] = []
        self._patience = loop.timer("commits.patience", lambda _now: None, _PATIENCE_US)
        self._is_patient = False
        self._attributed: Revision | None = None
        self._again = loop.timer("commits.attribute", lambda _now: None, _ATTRIBUTE_AGAIN_US)

    def refresh(self) -> None:
        """Ask git again: files changed."""
        self._provenance.refresh()

    def current(self) -> Revision:
        """Return what is known; it is not ``fresh`` while git is being asked."""
        return self._provenance.current()

    def close(self) -> None:
        """End a git that runs."""
        self._provenance.stop()

    # -- runs ---------------------------------------------------------------------------------------------------------

    def ready(self, happened: list[Happening], now_us: int) -> list[Happening]:
        """Return what may be taken in now, in order; what has to wait for git is returned later."""
        if not happened and not self._waiting:
            return []
        if self._is_sure() or not self._waits(now_us):
            happened, self._waiting = self._waiting + happened, []
            self._is_patient, self._patience.at_us = False, None
            return happened
        starting = {what.run for what in (*self._waiting, *happened) if isinstance(what, Started)}
        self._waiting += [what for what in happened if what.run in starting]
        return [what for what in happened if what.run not in starting]

    def of_start(self, run: Running | None) -> tuple[str | None, bool | None]:
        """Return the commit that a run starts from, and whether what runs differs from it."""
        revision = self._provenance.current()
        if revision.commit is None or run is None:
            return None, None
        return revision.commit, self._differs(run, revision)

    def _is_sure(self) -> bool:
        """Return True if git's answer and the job set are of the same files."""
        revision = self._provenance.current()
        return revision.fresh and not (self._scanning.is_behind and revision.commit is not None)

    def _waits(self, now_us: int) -> bool:
        """Return True until the patience, which begins with the first happening that waits, is over."""
        if not self._is_patient:
            self._is_patient, self._patience.at_us = True, now_us + _PATIENCE_US
        return self._patience.at_us is not None

    def _differs(self, run: Running, revision: Revision) -> bool | None:
        """Return True if what a run was started with is something else than the commit has.

        git answers for the files. Where they do not say what ran, because they were refused or changed since, what ran
        is not the commit's either.
        """
        jobset = self._scanning.jobset
        spec = None if jobset is None else jobset.jobs.get(run.job)
        if jobset is None or spec is None or spec.sha256 != run.definition_sha256 or run.job in jobset.broken:
            return True
        return True if self._scanning.left_open else revision.is_dirty(spec.sources)

    # -- refused files ------------------------------------------------------------------------------------------------

    def loaded(self, *, refused: Sequence[BrokenJob], now_us: int) -> None:
        """Take note that the job set is another one; ``refused`` is what in it was refused just now."""
        self._attributed = None
        if refused:  # a pull may still be going on: git is asked again when it is over
            self._again.at_us = now_us + _ATTRIBUTE_AGAIN_US
            self._say_by.at_us = now_us + _PATIENCE_US
            self._unsaid += refused
        self.refresh()

    def say_refused(self, *, at_once: bool = False) -> None:
        """Log what was refused, when git has answered, or a second later."""
        revision = self._provenance.current()
        if self._unsaid and (revision.fresh or at_once or self._say_by.at_us is None):
            self._say_by.at_us = None
            for one in self._unsaid:
                speaking.say_broken(self._say, one, revision.commit if revision.fresh else None)
            self._unsaid.clear()

    def attribute(self, _now_us: int) -> None:
        """Note which commit what was refused is from, as soon as git has answered, and again when a pull is over."""
        self.say_refused()
        if self._scanning.jobset is None or not self._agenda.unattributed:
            return
        revision = self._provenance.current()
        if revision.fresh and revision is not self._attributed:
            self._attributed = revision
            self._agenda.attribute(revision)
