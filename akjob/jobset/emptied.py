"""A folder that is suddenly empty is believed only when it still is some seconds later.

A checkout in progress, a mount that is not there yet, or a mistaken ``rm`` would unschedule everything at once.
"""

from akjob.errors import Problem
from akjob.jobset.names import JobsFolder
from akjob.jobset.scan import Listing

SECOND_SCAN_US = 5_000_000


class EmptiedFolder:
    """Remembers since when the folder has been empty. ``problem`` is what the last check found."""

    def __init__(self, folder: JobsFolder) -> None:
        self._folder = folder
        self._since_us: int | None = None
        self.problem: Problem | None = None

    @property
    def waits(self) -> bool:
        """Return True while the jobs of an emptied folder are kept."""
        return self._since_us is not None

    def check(self, listing: Listing, known: int, now_us: int) -> int | None:
        """Return the instant until which the ``known`` jobs are kept although the scan found none; None: believe it.

        One removed file raises no alarm; an emptied folder does.
        """
        self.problem = None
        if listing.files or listing.unreadable or known < (1 if listing.missing else 2):
            self._since_us = None
            return None
        if self._since_us is None or now_us < self._since_us:
            self._since_us = now_us
        due_us = self._since_us + SECOND_SCAN_US
        what = "is missing" if listing.missing else "has been emptied"
        if now_us >= due_us:
            self._since_us = None
            self.problem = self._warning(f"{what} and still is: {_jobs(known)} unscheduled")
            return None
        seconds = SECOND_SCAN_US // 1_000_000
        self.problem = self._warning(f"{what}: {_jobs(known)} kept until a second scan {seconds} s later")
        return due_us

    def _warning(self, what: str) -> Problem:
        shown = self._folder.shown
        hint = "put the files back if this was not meant"
        return Problem(file=shown, severity="warning", code="emptied", message=f"{shown} {what}", hint=hint)


def _jobs(count: int) -> str:
    return "its one job is" if count == 1 else f"all {count} jobs are"
