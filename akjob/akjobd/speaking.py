"""What akjobd logs about the job set, and its connection to the collector."""

import contextlib
import selectors

from akjob.daemon_log import Say
from akjob.errors import Problem
from akjob.jobset.model import JobSetChange
from akjob.log.line.sender import Sender


def say_problem(say: Say, problem: Problem) -> None:
    """Log a problem that breaks no job."""
    say(
        problem.severity,
        "jobs.problem",
        file=problem.file,
        line=problem.line,
        column=problem.column,
        code=problem.code,
        message=problem.message,
        hint=problem.hint,
    )


def say_change(say: Say, change: JobSetChange) -> None:
    """Log what a scan changed, job by job, and the counts."""
    for problem in change.problems:
        say_problem(say, problem)
    for job in change.added:
        say("info", "job.added", job=job, file=change.jobset.jobs[job].file)
    for one in change.changed:
        say("info", "job.changed", job=one.job, file=one.new.file, schedule=one.schedule)
    for job in change.removed:
        say("info", "job.removed", job=job)
    for refused in change.broken:
        fields = {key: getattr(refused, key) for key in ("file", "line", "column", "message", "hint", "code")}
        say("error", "job.broken", job=refused.job, running_last_good=refused.running_last_good, **fields)
    for job in change.repaired:
        say("info", "job.repaired", job=job)
    counts = change.jobset.counts
    say(
        "info",
        "jobs.loaded",
        loaded=counts.loaded,
        enabled=counts.enabled,
        broken=counts.broken,
        added=len(change.added),
        changed=len(change.changed),
        removed=len(change.removed),
        files_read=change.files_read,
    )


class LogWatch:
    """Keeps a selector's interest in the collector's connection up to date."""

    def __init__(self, selector: selectors.BaseSelector, sender: Sender) -> None:
        self._selector = selector
        self._sender = sender
        self._watched = (-1, 0)

    def update(self) -> None:
        """Wait for what the sender waits for; every turn ends with a step of it."""
        fd = self._sender.fileno()
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._sender.wants_write else 0)
        known, known_mask = self._watched
        if (fd, mask) == (known, known_mask):
            return
        if known >= 0:
            with contextlib.suppress(KeyError, ValueError):  # it was closed, and with it forgotten
                self._selector.unregister(known)
        if fd >= 0:
            self._selector.register(fd, mask, lambda _mask: None)
        self._watched = (fd, mask)
