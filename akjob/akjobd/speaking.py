"""What akjobd logs about the job set, and its connection to the collector."""

import contextlib
import selectors

from akjob.akjobd.loop import Loop
from akjob.config import Paths, socket_address
from akjob.daemon_log import DaemonLog, Say
from akjob.errors import Problem
from akjob.jobset.model import BrokenJob, JobSetChange


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


def say_broken(say: Say, refused: BrokenJob, commit: str | None) -> None:
    """Log that a job is broken; ``commit`` is what was checked out then, None where that is not known."""
    fields = {key: getattr(refused, key) for key in ("file", "line", "column", "message", "hint", "code")}
    good = refused.running_last_good
    say("error", "job.broken", job=refused.job, running_last_good=good, git_commit=commit, **fields)


def say_change(say: Say, change: JobSetChange) -> None:
    """Log what a scan changed, job by job, and the counts; what was refused is logged when git has answered."""
    for problem in change.problems:
        say_problem(say, problem)
    for job in change.added:
        say("info", "job.added", job=job, file=change.jobset.jobs[job].file)
    for one in change.changed:
        say("info", "job.changed", job=one.job, file=one.new.file, schedule=one.schedule)
    for job in change.removed:
        say("info", "job.removed", job=job)
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


class Speaker:
    """akjobd's own lines, and the connection to the collector as a step of the loop, the last of a turn."""

    def __init__(self, loop: Loop, paths: Paths) -> None:
        clock = loop.clock
        self._loop = loop
        self._log = DaemonLog(
            socket_address(paths.collector_socket), paths.run_dir / "akjobd.spool", clock.now_us, clock.steady_s
        )
        self._watched = (-1, 0)
        self.say = self._log.say

    def step(self, _now_us: int) -> None:
        """Send what the collector takes, and wait for what the connection waits for."""
        sender, selector = self._log.sender, self._loop.selector
        sender.step(self._loop.clock.steady_s())
        fd = sender.fileno()
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if sender.wants_write else 0)
        known, known_mask = self._watched
        if (fd, mask) == (known, known_mask):
            return
        if known >= 0:
            with contextlib.suppress(KeyError, ValueError):  # it was closed, and with it forgotten
                selector.unregister(known)
        if fd >= 0:
            selector.register(fd, mask, lambda _mask: None)
        self._watched = (fd, mask)

    def due_us(self) -> int | None:
        """Return when the next step is due even if the collector sends nothing."""
        return self._loop.instant_of(self._log.sender.deadline(self._loop.clock.steady_s()))

    def is_silent(self) -> bool:
        """Return True while the collector takes no lines."""
        return self._log.sender.silent(self._loop.clock.steady_s())

    def close(self, seconds: float) -> None:
        """Send what is left, for so long at most; the rest stays in a spool."""
        clock = self._loop.clock
        end = clock.steady_s() + seconds
        while not self._log.sender.idle and clock.steady_s() < end:
            self.step(clock.now_us())
            self._loop.selector.select(0.01)
        with contextlib.suppress(OSError):  # a full disk: these last lines are lost
            self._log.close()
