"""akjobd: the only loop and the only clock. It joins the job set, the agenda, the runs, the ledger and the log.

A turn of the loop: take in what happened (a file changed, a run started or ended, a command asked, the time came), let
the agenda decide, write its decisions to the ledger in one transaction, then act on them. What was not written is not
acted on: while the ledger cannot be written, decisions are held back in order and tried again.
"""

import contextlib
import gc
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from akjob import __version__, ledger, program
from akjob.agenda import Agenda, Effects, Running, Start, last_good
from akjob.akjobd.worker import Worker
from akjob.config import Config, Paths, load_config, socket_address
from akjob.control import requests, server
from akjob.control.status import BrokenFile, JobCounts, LoadedRevision, ProgramState, RunningRun, Status
from akjob.daemon_log import DaemonLog
from akjob.errors import AkjobError, Problem, UnreachableError
from akjob.instants import from_text, to_text
from akjob.jobset.git import Provenance, Revision
from akjob.jobset.loader import Loader
from akjob.jobset.model import BrokenJob, Change, JobSet
from akjob.processes import give_memory_back
from akjob.program import Program
from akjob.query import broken
from akjob.run import cgroup, failpoint, order
from akjob.run.engine import Ended, Happening, Lost, NeverStarted, Started, Trouble
from akjob.run.folder_recycler import FolderRecycler
from akjob.run.ids import RunIds
from akjob.run.shims import ShimManager
from akjob.timer import Alarm
from akjob.toml.wire import from_json
from akjob.watching import Debouncer, Watcher

Found = tuple[Change, list[Problem], tuple[Config, list[Problem]] | None]
"""What a look came to: what changed, what is wrong with watching, and the configuration if it is another one."""

SECOND_LOOK_S = 30.0
"""The folder is looked at again after this long, whatever was or was not heard of it."""

_HELD_RETRY_US = 500_000
_GOODBYE_S = 0.5
_PRUNE_EVERY_US = 3_600_000_000
_PRUNE_PAUSE_US = 50_000
_CHECKPOINT_BYTES = 4 << 20
_CHECKPOINT_COMMITS = 100
_PRUNE_COMMITS = 10  # a slice that is pruned writes as much as so many commits
_LOOK_AGAIN_US = 30_000_000
_SWEEP_US = 30_000_000
_SPOOL_SWEEP_US = 3_000_000
_GIT_PATIENCE_US = 1_000_000
_BLAME_AGAIN_US = 2_000_000
_GATHER_US = 20_000
_BURST = 8


def now_us() -> int:
    """Read the wall clock."""
    return time.time_ns() // 1000


class Daemon:
    """akjobd of one root."""

    def __init__(self, paths: Paths, config: Config, problems: list[Problem]) -> None:
        self.paths = paths
        self.config = config
        self.started_us = now_us()
        self._selector = selectors.DefaultSelector()
        self._bell_out, self._bell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._signals: set[int] = set()
        self._alarm = Alarm()
        self._log = DaemonLog(
            socket_address(paths.collector_socket), paths.run_dir / "akjobd.spool", now_us, time.monotonic
        )
        self._log_watched = (-1, 0)
        self._ledger = ledger.open_store(paths.ledger_url)
        self._folders = Worker("folders", self._ring)
        self._remains = FolderRecycler(
            paths, self._folders.give, lambda: self._sweep_within(_SPOOL_SWEEP_US), self._chore_failed
        )
        self._shims = ShimManager(paths, self._selector, self._remains.add, now_us)
        boot_us, booted = self._boot()
        self._agenda = Agenda(
            host=socket.gethostname(),
            max_running=config.max_running,
            new_run_id=RunIds(),
            last_attempt=self._ledger.last_attempt,
            started_us=self.started_us,
            boot_us=boot_us,
            booted=booted,
        )
        self._held: list[tuple[Effects, list[str]]] = []
        self._to_forget: list[str] = []
        self._open_before: list[ledger.OpenRun] = []
        self._unsure: list[Happening] = []
        self._unsure_us: int | None = None
        self._held_since_us: int | None = None
        self._gather_until_us: int | None = None
        self._urgent = False
        self._commits = _CHECKPOINT_COMMITS
        self._answers: list[tuple[server.Peer, requests.Answer]] = []
        self._retry_us: int | None = None
        self._waiting: dict[server.Peer, str] = {}
        self._server = server.Server(program.listen(paths.control_socket), self._selector, self._serve, self._gone)
        self._cgroups = self._shims.groups = cgroup.find()
        self._config_seen = _signature(paths.config_file)
        self._config_problems = problems
        self._looks = Worker("look", self._ring)
        self._chores = Worker("chores", self._ring)
        self._watcher = Watcher(paths, self._ring)
        self._debouncer = Debouncer()
        self._provenance = Provenance(paths, self._ring)
        self._loader: Loader | None = None
        self._looking = False
        self._links: frozenset[str] = frozenset()
        self._look_us: int | None = None
        self._full = True
        self._jobset: JobSet | None = None
        self._left_open = False  # what the last look found is judged at the next one only
        self._blamed: Revision | None = None
        self._blame_us: int | None = None
        self._prune_us = self.started_us + _PRUNE_PAUSE_US
        self._sweep_us: int | None = None
        self._draining: dict[server.Peer, bool] = {}
        self._told_trouble = Trouble()
        self._stopping = False

    # -- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until SIGTERM. Runs are left alone then: their shims go on without us."""
        self._begin()
        while not self._stopping:
            self._arm()
            for key, mask in self._selector.select():
                key.data(mask)
            self.turn()
        self._leave()

    def _begin(self) -> None:
        self._catch_signals()
        for fd, callback in (
            (self._bell_out, self._rung),
            (self._alarm.fd, lambda _mask: self._alarm.rang()),
            (self._alarm.clock_fd, self._clock_rang),
        ):
            self._selector.register(fd, selectors.EVENT_READ, callback)
        self._log.say("info", "daemon.started", pid=os.getpid(), root=str(self.paths.root), version=__version__)
        for problem in self._config_problems:
            self._say_problem(problem)
        self._shims.zygote.start()
        gc.disable()  # until what is loaded is frozen: thousands of rows and jobs, none of which can be garbage
        rows = self._ledger.jobs_state()
        self._open_before = self._ledger.open_runs()
        occurrences = self._ledger.occurrences()
        self._agenda.restore(rows, self._open_before, now_us(), self._shims.folders(), occurrences)
        self._loader = Loader(self.paths, self.config, last_good(rows), cache_file=self.paths.var / "jobs.cache")
        for problem in self._watcher.start():
            self._say_problem(problem)
        self._looks.again(SECOND_LOOK_S, self._look_again, self._take_over, self._look_failed)
        self._look()
        self._provenance.refresh()

    def turn(self) -> None:
        """Do everything that is to be done now."""
        now = now_us()
        self._keep_near(now)
        self._heed_signals()
        self._look_if_due(now)
        self._shims.step(now)
        if self._gather_until_us is not None and now >= self._gather_until_us:
            self._shims.zygote.read(at_once=True)
        self._take_in(now)
        self._blame(now)
        if self._jobset is not None:
            self._agenda.early_us = self._shims.early.us
            self._agenda.turn(now)
        self._effects(now)
        self._answer_asked()
        self._upkeep(now)
        self._log.sender.step(time.monotonic())
        self._mind_log()

    def _keep_near(self, now: int) -> None:
        """Keep what comes again and again from waiting for hours, when the wall clock was set back by so much."""
        if self._look_us is not None:
            self._look_us = min(self._look_us, now + _LOOK_AGAIN_US)
        if self._sweep_us is not None:
            self._sweep_us = min(self._sweep_us, now + _SWEEP_US)
        self._prune_us = min(self._prune_us, now + _PRUNE_EVERY_US)
        if self._retry_us is not None:
            self._retry_us = min(self._retry_us, now + _HELD_RETRY_US)
        if self._unsure_us is not None:
            self._unsure_us = min(self._unsure_us, now + _GIT_PATIENCE_US)
        if self._blame_us is not None:
            self._blame_us = min(self._blame_us, now + _BLAME_AGAIN_US)

    def _arm(self) -> None:
        """Set the alarm for whatever comes next."""
        now, steady = now_us(), time.monotonic()
        times = [self._prune_us]
        if not self._looking and self._look_us is not None:
            times.append(self._look_us)
        if self._jobset is not None:
            if self._agenda.wake_us is not None:
                times.append(self._agenda.wake_us)
            if self._shims.happened:  # heard of after this turn had taken in what happened
                times.append(now)
        others = (
            self._sweep_us,
            self._retry_us,
            self._gather_until_us,
            self._remains.due_us,
            self._blame_us,
            self._shims.due_us,
        )
        times += [at for at in others if at is not None]
        for deadline in (
            self._log.sender.deadline(steady),
            None if self._debouncer.due_us is None or self._looking else self._debouncer.due_us / 1e6,
        ):
            if deadline is not None:
                times.append(now + max(0, int((deadline - steady) * 1e6)))
        self._alarm.arm(min(times), now)

    def _ring(self) -> None:
        """Make the loop turn; called from other threads."""
        try:
            os.write(self._bell, b"!")
        except BlockingIOError:
            return  # it rings already

    def _rung(self, _mask: int) -> None:
        try:
            while len(os.read(self._bell_out, 4096)) == 4096:  # noqa: PLR2004 - a full read: there may be more
                continue
        except BlockingIOError:
            pass
        self._looks.collect()
        self._chores.collect()
        self._folders.collect()
        self._debouncer.note(int(time.monotonic() * 1e6), self._watcher.seen())

    def _clock_rang(self, _mask: int) -> None:
        if self._alarm.clock_was_set():
            self._log.say("warning", "daemon.clock_set", message="the wall clock was set; the schedule follows it")

    # -- signals, beginning and end -----------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: self._signals.add(number))
        signal.set_wakeup_fd(self._bell, warn_on_full_buffer=False)

    def _heed_signals(self) -> None:
        if signal.SIGHUP in self._signals:
            self._full = True
            self._look_us = now_us()
        if self._signals & {signal.SIGTERM, signal.SIGINT}:
            self._stopping = True
        self._signals.clear()

    def _leave(self) -> None:
        """Say goodbye within half a second, whatever the collector does."""
        self._log.say("info", "daemon.stopping", running=self._agenda.under_way)
        end = time.monotonic() + _GOODBYE_S
        while not self._log.sender.idle and time.monotonic() < end:
            self._log.sender.step(time.monotonic())
            self._mind_log()
            self._selector.select(0.01)
        with contextlib.suppress(OSError):  # a full disk: these last lines are lost
            self._log.close()
        self._watcher.stop()
        self._provenance.stop()
        self._looks.stop()
        self._chores.stop()
        self._folders.stop()
        self._shims.close()
        self.paths.control_socket.unlink(missing_ok=True)
        self._ledger.close()

    def _boot(self) -> tuple[int, bool]:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        since = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
        return self._ledger.boot_instant(boot_id, now_us() - since)

    # -- the job set --------------------------------------------------------------------------------------------------

    def _look_if_due(self, now: int) -> None:
        if self._looking:
            return
        due = self._debouncer.due_us
        wanted = self._look_us is not None and now >= self._look_us
        if wanted or (due is not None and time.monotonic() * 1e6 >= due):
            self._full = self._full or wanted
            self._look()

    def _look(self) -> None:
        """Have the folder looked at, off the loop: only what the watcher named, or everything."""
        self._looking = True
        self._look_us = None
        full, self._full = self._full, False
        self._debouncer.reset()
        self._looks.give(lambda: self._look_now(full=full), self._looked, self._looked_in_vain)

    def _look_now(self, *, full: bool) -> Found | None:
        """Look; this alone, and what it calls, is done in the thread that looks."""
        loader = self._loader
        if loader is None:
            return None
        config_seen = _signature(self.paths.config_file)
        config = load_config(self.paths.config_file) if config_seen != self._config_seen else None
        self._config_seen = config_seen
        if config is not None:
            loader.reconfigure(config[0])
        hints = self._watcher.take().paths
        problems: list[Problem] = []
        if full or hints is None or config is not None:
            problems = self._watcher.rearm(loader.links)
            self._watcher.take()  # whatever it names is looked at below
            hints = None
        return loader.load(now_us(), hints), problems, config

    def _after_the_first_look(self) -> None:
        if self._loader is not None:
            self._loader.keep()
        give_memory_back()

    def _look_again(self) -> Found | None:
        """Look at everything although nothing was heard; nobody is woken when nothing has changed."""
        found = self._look_now(full=True)
        if found is None or self._loader is None or self._jobset is None:
            return found
        change, problems, config = found
        news = change.is_news or change.scan_again_us is not None or self._loader.links != self._links
        return found if news or problems or config is not None else None

    def _looked_in_vain(self, error: Exception) -> None:
        gc.enable()
        self._looking = False
        self._look_failed(error)

    def _look_failed(self, error: Exception) -> None:
        self._log.say("error", "jobs.look_failed", message=f"{type(error).__name__}: {error}")

    def _looked(self, found: Found | None) -> None:
        self._looking = False
        self._take_over(found)

    def _take_over(self, found: Found | None) -> None:
        if found is None:
            return
        change, problems, config = found
        now = now_us()
        self._left_open = change.scan_again_us is not None
        if change.scan_again_us is not None:
            self._look_us = change.scan_again_us if self._look_us is None else min(self._look_us, change.scan_again_us)
        if self._loader is not None and self._loader.links != self._links:
            self._links = self._loader.links  # what they lead to is watched from the next full look on
            self._look_us = now
        if config is not None:
            self.config, self._config_problems = config
            self._agenda.set_max_running(self.config.max_running)
            problems = [*problems, *self._config_problems]
        for problem in problems:
            self._say_problem(problem)
        first = self._jobset is None
        self._jobset = change.jobset
        if first:
            self._agenda.load(change, now)
            self._reconcile()
            # What is loaded now stays: the garbage collector need not walk through ten thousand jobs even once.
            gc.freeze()
            gc.enable()
            self._looks.give(self._after_the_first_look, lambda _: None, self._look_failed)
        elif change.is_news:
            self._agenda.load(change, now)
        if first or change.is_news:
            self._urgent = True
            self._blamed = None
            self._blame_us = now + _BLAME_AGAIN_US if change.broken else self._blame_us
            self._provenance.refresh()
            self._say_change(change)

    def _blame(self, now: int) -> None:
        """Note which commit what was refused is from, as soon as git has answered, and again when a pull is over."""
        if self._blame_us is not None and now >= self._blame_us:
            self._blame_us = None
        if self._jobset is None or not self._agenda.unattributed:
            return
        revision = self._provenance.current()
        if revision.fresh and revision is not self._blamed:
            self._blamed = revision
            self._agenda.attribute(revision)

    def _say_change(self, change: Change) -> None:
        say = self._log.say
        for problem in change.problems:
            self._say_problem(problem)
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

    def _say_problem(self, problem: Problem) -> None:
        level = {"error": "error", "warning": "warning", "info": "info"}[problem.severity]
        self._log.say(
            level,
            "jobs.problem",
            file=problem.file,
            line=problem.line,
            column=problem.column,
            code=problem.code,
            message=problem.message,
            hint=problem.hint,
        )

    # -- runs ---------------------------------------------------------------------------------------------------------

    def _reconcile(self) -> None:
        """Find out what became of the runs that were open when the akjobd before this one ended."""
        folders = self._shims.folders()
        for before in self._open_before:
            if before.row.state == "running" or before.row.id in folders:
                self._shims.find(before.row.id, running=before.row.state == "running")
        self._open_before = []
        self._sweep(now_us())

    def _take_in(self, now: int) -> None:
        """Give the agenda what became of runs.

        A run's row says which commit it started from. While git is being asked, or files have changed that have not
        been judged yet, that is not known, and what happened to the run waits, for a moment at most.
        """
        if self._jobset is None:
            return
        revision = self._provenance.current() if self._shims.happened or self._unsure else None
        happened, self._shims.happened = self._shims.happened, []
        if revision is not None and not self._is_sure(revision) and now < self._unsure_until(now):
            starting = {what.run for what in (*self._unsure, *happened) if isinstance(what, Started)}
            self._unsure += [what for what in happened if what.run in starting]
            happened = [what for what in happened if what.run not in starting]
        else:
            happened, self._unsure = self._unsure + happened, []
            self._unsure_us = None
        for what in happened:
            self._tell_agenda(what, revision, now)

    def _is_sure(self, revision: Revision) -> bool:
        """Say whether git's answer and the job set are of the same files."""
        behind = self._debouncer.due_us is not None or self._looking or self._left_open
        return revision.fresh and not (behind and revision.commit is not None)

    def _unsure_until(self, now: int) -> int:
        if self._unsure_us is None:
            self._unsure_us = now + _GIT_PATIENCE_US
        return self._unsure_us

    def _tell_agenda(self, what: Happening, revision: Revision | None, now: int) -> None:
        self._to_forget.append(what.run)
        match what:
            case Started(run, pid, shim_pid, started_us, _host):
                self._start_known(run, pid, shim_pid, started_us, revision)
            case Ended(run, end):
                self._agenda.ended(run, end, now)
            case Lost(run, reason):
                self._lose(run, reason, now)
            case NeverStarted(run, reason):
                self._agenda.never_started(run, now, reason)

    def _start_known(self, run: str, pid: int, shim_pid: int, at_us: int, revision: Revision | None) -> None:
        commit = dirty = None
        known = self._agenda.run(run)
        if revision is not None and revision.commit is not None and known is not None:
            commit, dirty = revision.commit, self._differs(known.job, known.definition_sha256, revision)
        self._agenda.started(run, pid=pid, shim_pid=shim_pid, at_us=at_us, git_commit=commit, git_dirty=dirty)

    def _differs(self, job: str, sha256: str | None, revision: Revision) -> bool | None:
        """Say whether what a run was started with is something else than the commit has.

        git answers for the files. Where they do not say what ran, because they were refused or changed since, what ran
        is not the commit's either.
        """
        jobset = self._jobset
        spec = None if jobset is None else jobset.jobs.get(job)
        if jobset is None or spec is None or spec.sha256 != sha256 or job in jobset.broken or self._left_open:
            return True
        return revision.is_dirty(spec.sources)

    def _lose(self, run: str, reason: str, now: int) -> None:
        row = self._agenda.run(run)
        self._agenda.lost(run, now, reason)
        if row is not None:
            self._log.say(
                "error",
                "run.finished",
                job=row.job,
                run=run,
                state="lost",
                exit_code=None,
                signal=None,
                reason=reason,
                error=None,
                duration_s=None if row.started_us is None else max(0, now - row.started_us) / 1e6,
                user_cpu_s=None,
                system_cpu_s=None,
                max_rss_bytes=None,
            )

    def _effects(self, now: int) -> None:
        """Write down what was decided, then do it. Nothing that was not written is done.

        What nobody waits for is gathered for a moment, so that a burst of ends is a few commits and not a thousand.
        """
        gathers = self._may_gather(now)
        # In a burst they all speak at once, and each would be a turn of the loop.
        self._shims.zygote.read(at_once=self._gather_until_us is None or self._agenda.under_way < _BURST)
        if gathers:
            return
        self._urgent = False
        effects = self._agenda.effects()
        stops, effects.stops = effects.stops, []
        for stop in stops:  # ends what runs already: nothing has to be written before
            self._shims.stop(stop.run, stop.state, stop.reason)
        forget, self._to_forget = self._to_forget, []
        if effects or forget:
            self._held.append((effects, forget))
        if self._retry_us is not None and now < self._retry_us:
            return
        self._retry_us = None
        while self._held:
            effects, forget = self._held[0]
            if effects.writes and not self._commit(effects, now):
                return
            del self._held[0]
            self._act(effects, now)
            for run in forget:
                failpoint.reached("ingested", run)
                if not self._agenda.knows(run):
                    self._shims.forget(run)
            self._answer_waiting()

    def _may_gather(self, now: int) -> bool:
        """Whether nothing is to be written, or nobody waits for it and it came only just now."""
        until, self._gather_until_us = self._gather_until_us, None
        if self._urgent or self._agenda.urgent or self._held:
            return False
        if not self._agenda.pending and not self._to_forget:
            return True
        until = now + _GATHER_US if until is None else min(until, now + _GATHER_US)  # the clock may have been set back
        if now < until:
            self._gather_until_us = until
        return now < until

    def _commit(self, effects: Effects, now: int) -> bool:
        try:
            refused = self._ledger.commit(effects.writes).refused
        except (ledger.LedgerBusyError, ledger.LedgerFullError) as error:
            self._retry_us = now + _HELD_RETRY_US
            if self._held_since_us is None:
                self._held_since_us = now
                self._log.say("error", "ledger.unwritable", message=error.message, hint=error.hint)
            return False
        self._commits += 1
        if self._held_since_us is not None:
            self._log.say("warning", "ledger.writable", held_s=(now - self._held_since_us) / 1e6)
            self._held_since_us = None
        self._agenda.refused(refused)
        for start in [start for start in effects.starts if start.run in refused]:
            effects.starts.remove(start)
            self._log.say(
                "error",
                "run.refused",
                job=start.job,
                run=start.run,
                message="the ledger has a row for this slot and attempt already; it is not started twice",
            )
        return True

    def _act(self, effects: Effects, now: int) -> None:
        for recall in effects.recalls:
            self._shims.recall(recall.run)
        for start in effects.starts:
            failpoint.reached("claimed", start.run)
        if effects.starts:
            self._sweep_within(_SWEEP_US)
        self._shims.send([self._order(start, now) for start in effects.starts])
        for start in effects.starts:
            failpoint.reached("ordered", start.run)
        for event in effects.events:
            self._log.say(event.pop("level"), event.pop("event"), **event)
        for path in effects.delete_files:
            self._delete(path)

    def _order(self, start: Start, now: int) -> order.Order:
        return order.make(
            start.spec,
            self.paths,
            self.config,
            run=start.run,
            slot_us=start.slot_us,
            attempt=start.attempt,
            trigger=start.trigger,
            start_us=start.not_before_us,
            token=self._shims.next_token(start.run),
            kwargs=start.kwargs,
            cause=start.cause,
            files=start.files,
            now_us=now,
            groups=self._cgroups,
        )

    def _delete(self, file: str) -> None:
        """Remove the file of a job that is done and says so; the watcher notices it like any other deletion."""
        try:
            (self.paths.root / file).unlink(missing_ok=True)
        except OSError as error:
            self._log.say("error", "job.not_deleted", file=file, message=f"cannot delete it: {error.strerror}")

    # -- what has to be done now and then -----------------------------------------------------------------------------

    def _upkeep(self, now: int) -> None:
        self._say_trouble(now)
        if self._sweep_us is not None and now >= self._sweep_us:
            self._sweep(now)
        if now >= self._prune_us:
            self._prune(now)
        self._remains.step(now)
        self._checkpoint_if_due()

    def _sweep(self, now: int) -> None:
        """Remove what runs left behind, again and again while there is anything; where nothing is nobody looks."""
        self._sweep_us = now + _SWEEP_US
        self._shims.sweep(self._agenda.knows)
        if not self._shims.folders() and (self._cgroups is None or not self._cgroups.names()):
            self._sweep_us = None

    def _sweep_within(self, wait_us: int) -> None:
        at = now_us() + wait_us
        self._sweep_us = at if self._sweep_us is None else min(self._sweep_us, at)

    def _checkpoint_if_due(self) -> None:
        """Have the write-ahead log moved into the database. Its file never shrinks, so commits are counted."""
        if self._chores.waiting or self._commits < _CHECKPOINT_COMMITS:
            return
        self._commits = 0
        if self._ledger.wal_bytes() > _CHECKPOINT_BYTES:
            self._chores.give(self._ledger.checkpoint, lambda _moved: None, self._chore_failed)

    def _say_trouble(self, now: int) -> None:
        """Say what troubles the runs; while it is tried again and again it is said once."""
        trouble = self._shims.take_trouble()
        if trouble.event and trouble != self._told_trouble:
            self._log.say("error", trouble.event, message=trouble.message)
            self._told_trouble = trouble
        elif self._shims.is_settled(now):
            self._told_trouble = Trouble()

    def _prune(self, now: int) -> None:
        try:
            more = self._ledger.prune(self.config.ledger.keep_us, now)
            self._commits += _PRUNE_COMMITS
        except (ledger.LedgerBusyError, ledger.LedgerFullError):
            more = False
        self._prune_us = now + (_PRUNE_PAUSE_US if more else _PRUNE_EVERY_US)

    def _chore_failed(self, error: Exception) -> None:
        if not isinstance(error, ledger.LedgerBusyError):
            self._log.say("warning", "ledger.checkpoint_failed", message=str(error))

    def _mind_log(self) -> None:
        """Keep the loop's interest in the collector's connection up to date."""
        sender = self._log.sender
        fd = sender.fileno()
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if sender.wants_write else 0)
        known, known_mask = self._log_watched
        if (fd, mask) == (known, known_mask):
            return
        if known >= 0:
            with contextlib.suppress(KeyError, ValueError):  # it was closed, and with it forgotten
                self._selector.unregister(known)
        if fd >= 0:
            self._selector.register(fd, mask, lambda _mask: None)  # every turn ends with a step of the sender
        self._log_watched = (fd, mask)

    # -- what the commands ask ----------------------------------------------------------------------------------------

    def _gone(self, peer: server.Peer) -> None:
        self._waiting.pop(peer, None)
        if peer in self._draining:
            del self._draining[peer]
            if not self._draining:
                self._agenda.draining = False

    def _serve(self, peer: server.Peer, request: requests.AnyRequest) -> requests.Answer | None:
        try:
            answer = _OPERATIONS[type(request)](self, peer, request)
        except AkjobError as error:
            return requests.Refused.of(error)
        except ValueError as error:
            return requests.Refused(message=f"the request is malformed: {error}", kind="usage")
        if isinstance(request, _WRITING) and answer is not None:
            self._urgent = True
            self._answers.append((peer, answer))
            return None
        return answer

    def _answer_asked(self) -> None:
        """Say yes to what was asked, after it was written; while the ledger cannot be written, without that."""
        answers, self._answers = self._answers, []
        for peer, answer in answers:
            self._server.send(peer, answer)

    def _answer_waiting(self) -> None:
        """Answer those who wait for the end of a run that is in the ledger now."""
        for peer, run in list(self._waiting.items()):
            if not self._is_open(run):
                del self._waiting[peer]
                try:
                    self._server.send(peer, self._outcome(run))
                except AkjobError as error:  # another program keeps even readers out of the ledger
                    self._server.send(peer, requests.Refused.of(error))
        if self._draining and not self._agenda.under_way and not self._held:
            # The agenda stays drained until the command hangs up: it is about to stop akjobd.
            for peer in [peer for peer, waits in self._draining.items() if waits]:
                self._draining[peer] = False
                self._server.send(peer, requests.Done())

    def _is_open(self, run: str) -> bool:
        """Return whether a run has not ended, as far as the ledger knows."""
        waiting = (self._to_forget, *(forget for _, forget in self._held))
        return self._agenda.knows(run) or any(run in forget for forget in waiting)

    def _outcome(self, run: str) -> requests.RunEnded:
        return requests.RunEnded(row=dict(ledger.open_reader(self.paths.ledger_url).run(run)))

    def _op_status(self, _peer: server.Peer, _request: requests.GetStatus) -> requests.StatusIs:
        return requests.StatusIs(status=self.status())

    def _op_running(self, _peer: server.Peer, _request: requests.GetRunning) -> requests.RunningAre:
        return requests.RunningAre(running=self._running())

    def _op_run(self, _peer: server.Peer, request: requests.RunJob) -> requests.RunClaimed:
        self._must_be_ready()
        kwargs = {key: from_json(value) for key, value in request.args.items()}
        return requests.RunClaimed(run=self._agenda.ask_run(request.job, kwargs, now_us()))

    def _op_wait(self, peer: server.Peer, request: requests.WaitForRun) -> requests.RunEnded | None:
        if self._is_open(request.run):
            self._waiting[peer] = request.run
            return None
        return self._outcome(request.run)

    def _op_stop(self, _peer: server.Peer, request: requests.StopRuns) -> requests.RunsStopped:
        self._must_be_ready()
        stopped = self._agenda.ask_stop(request.target, request.by or "", now_us())
        return requests.RunsStopped(stopped=tuple(stopped))

    def _op_pause(self, _peer: server.Peer, request: requests.PauseJob) -> requests.Done:
        self._must_be_ready()
        until_us = None if request.until is None else from_text(request.until)
        self._agenda.pause(request.job, until_us, request.reason or "", request.by or "", now_us())
        return requests.Done()

    def _op_resume(self, _peer: server.Peer, request: requests.ResumeJob) -> requests.Done:
        self._must_be_ready()
        self._agenda.resume(request.job, now_us())
        return requests.Done()

    def _op_reset(self, _peer: server.Peer, request: requests.ResetJob) -> requests.Done:
        self._must_be_ready()
        self._agenda.reset(request.job, now_us())
        return requests.Done()

    def _op_drain(self, peer: server.Peer, request: requests.Drain) -> requests.Done | None:
        self._agenda.drain(now_us(), kill=request.kill)
        waits = bool(self._agenda.under_way or self._held)
        self._draining[peer] = waits
        return None if waits else requests.Done()

    def _op_scan(self, _peer: server.Peer, _request: requests.Scan) -> requests.Done:
        self._full = True
        self._look_us = now_us()
        return requests.Done()

    def _must_be_ready(self) -> None:
        if self._jobset is None:
            raise UnreachableError("akjobd is still loading jobs.d", hint="try again in a moment")

    # -- status -------------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """Return what `akjob status --json` prints."""
        jobset = self._jobset
        revision = self._provenance.current()
        counts = None if jobset is None else jobset.counts
        refused = [] if jobset is None else [self._broken(one) for one in jobset.broken.values()]
        refused += [
            broken.of_settings(one, self.started_us) for one in self._config_problems if one.severity == "error"
        ]
        return Status(
            root=str(self.paths.root),
            programs=self._programs(),
            jobs=JobCounts(loaded=counts.loaded if counts else 0, broken=counts.broken if counts else 0),
            revision=LoadedRevision(
                git_commit=revision.commit,
                git_dirty=bool(revision.dirty) if revision.commit else None,
                loaded_at=None if jobset is None else to_text(jobset.loaded_us),
            ),
            broken=tuple(sorted(refused, key=lambda one: one.file)),
            running=self._running(),
            control_groups=None if self._cgroups is None else tuple(sorted(self._cgroups.controllers)),
            held_back=sum(len(effects.starts) for effects, _ in self._held),
            draining=self._agenda.draining,
            accounted_until=to_text(self._accounted_us(now_us())),
            queued=self._agenda.queued(),
        )

    def _accounted_us(self, now: int) -> int:
        """Return the instant before which each slot has a row: what is held back has none yet."""
        until = self._agenda.accounted_until(now)
        return until if self._held_since_us is None else min(until, self._held_since_us)

    def _broken(self, one: BrokenJob) -> BrokenFile:
        commit, dirty = self._agenda.refused_by(one.job)
        return broken.of_job(one, commit, dirty=dirty)

    def _programs(self) -> dict[str, ProgramState]:
        zygote = self._shims.zygote.pid
        return {
            "akjobd": ProgramState.of((os.getpid(), self.started_us)),
            "zygote": ProgramState.of((zygote, self._shims.zygote.since_us) if zygote else None),
            "akjob-collector": ProgramState.of(program.find(self.paths, "akjob-collector", now_us())),
        }

    def _running(self) -> tuple[RunningRun, ...]:
        # What is ordered ahead of its slot is left out: nothing of it runs yet.
        return tuple(self._running_run(row) for row in self._agenda.running() if row.state == "running")

    def _running_run(self, row: Running) -> RunningRun:
        handle = self._shims.handle(row.run)
        return RunningRun(
            job=row.job,
            run=row.run,
            pid=row.pid,
            shim_pid=row.shim_pid if handle is None else handle.shim_pid or row.shim_pid,
            started_at=None if row.started_us is None else to_text(row.started_us),
        )


# What a request asks for; the methods are private to everybody but this table.
_OPERATIONS: Mapping[type[Any], Callable[[Daemon, server.Peer, Any], requests.Answer | None]] = {
    requests.GetStatus: Daemon._op_status,  # noqa: SLF001
    requests.GetRunning: Daemon._op_running,  # noqa: SLF001
    requests.RunJob: Daemon._op_run,  # noqa: SLF001
    requests.WaitForRun: Daemon._op_wait,  # noqa: SLF001
    requests.StopRuns: Daemon._op_stop,  # noqa: SLF001
    requests.PauseJob: Daemon._op_pause,  # noqa: SLF001
    requests.ResumeJob: Daemon._op_resume,  # noqa: SLF001
    requests.ResetJob: Daemon._op_reset,  # noqa: SLF001
    requests.Drain: Daemon._op_drain,  # noqa: SLF001
    requests.Scan: Daemon._op_scan,  # noqa: SLF001
}

_WRITING = (requests.RunJob, requests.StopRuns, requests.PauseJob, requests.ResumeJob, requests.ResetJob)


def main() -> NoReturn:
    """Run akjobd of the root that ``--root``, ``$AKJOB_ROOT`` or the working folder names."""
    program.run("akjobd", build)


def build(frame: Program) -> Callable[[], None]:
    """Build the daemon of a root; return what works until SIGTERM."""
    paths = frame.paths
    for folder in (paths.runs, paths.folder_pool, paths.log_dir):
        folder.mkdir(mode=0o700, exist_ok=True)
    return Daemon(paths, frame.config, list(frame.problems)).run


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
