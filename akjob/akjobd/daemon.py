"""akjobd: it joins the job set, the agenda, the runs, the ledger and the log.

A turn of the loop: take in what happened (a file changed, a run started or ended, a command asked, the time came), let
the agenda decide, write its decisions to the ledger in one transaction, then act on them.
"""

import contextlib
import gc
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from akjob import __version__, ledger, program
from akjob.agenda import Agenda, FarStop, Start, last_good
from akjob.akjobd import speaking
from akjob.akjobd.commits import Commits
from akjob.akjobd.happenings import Happenings
from akjob.akjobd.holdings import Holdings
from akjob.akjobd.loop import Clock, Loop, SystemClock
from akjob.akjobd.membership import Membership, node_name
from akjob.akjobd.requests import Requests
from akjob.akjobd.scanning import Scanner, Scanning, ScanResult
from akjob.akjobd.status import StatusOf
from akjob.akjobd.sweeping import Sweeping
from akjob.akjobd.worker import Worker
from akjob.akjobd.writer import PRUNE_EVERY_US, PRUNE_PAUSE_US, Doing, Writer
from akjob.config import Config, Paths, socket_address
from akjob.control.requests import Answer
from akjob.control.server import Peer, Server
from akjob.daemon_log import DaemonLog, Say
from akjob.errors import AkjobError, Problem, UsageError
from akjob.jobset.model import JobSet
from akjob.program import Program
from akjob.run import cgroup, order
from akjob.run.folder_recycler import FolderRecycler
from akjob.run.ids import RunIds
from akjob.run.shims import ShimManager
from akjob.schedule.model import OnChange
from akjob.sources.looking import ChangeLooker
from akjob.timer import Alarm

if TYPE_CHECKING:
    from akjob.akjobd.news import NewsReader
    from akjob.akjobd.taking import Taking

_GOODBYE_S = 0.5
HAND_OVER_US = 50_000
"""So much earlier orders go out in a cluster: another node takes them first."""


class Akjobd:
    """akjobd of one root: the wiring of its parts, its beginning and its end."""

    def __init__(self, frame: Program) -> None:
        clock = SystemClock()
        self.paths = paths = frame.paths
        self.config = config = frame.config
        self._lock = frame.lock
        self._settings_problems = list(frame.problems)
        self._loop = Loop(selectors.DefaultSelector(), clock, Alarm())
        self._log = DaemonLog(
            socket_address(paths.collector_socket), paths.run_dir / "akjobd.spool", clock.now_us, clock.steady_s
        )
        self._log_watch = speaking.LogWatch(self._loop.selector, self._log.sender)
        cluster = config.cluster
        self._membership = None if cluster is None else Membership(self._loop, paths, cluster, config.web)
        self._store = ledger.open_store(paths.ledger_url, node_name(config))
        self._news = None if cluster is None else _news(self._loop, paths, self._store, self._log.say)
        self._folders = Worker("folders", self._loop.wake)
        self._chores = Worker("chores", self._loop.wake)
        recycler = FolderRecycler(paths, self._folders.give, self._spool_asked, self._folders_failed)
        self._shims = ShimManager(paths, self._loop.selector, recycler.add, clock.now_us)
        self._shims.groups = cgroup.find()
        self._agenda = _agenda(self._store, config, clock)
        self._writer = Writer(
            self._agenda,
            self._store,
            self._shims,
            self._log.say,
            Doing(make_order=self._order, delete=self._delete, stop_elsewhere=self._stop_elsewhere),
        )
        self._open_before: list[ledger.OpenRun] | None = None  # until the first scan
        self._wire(clock, recycler)

    def _wire(self, clock: Clock, recycler: FolderRecycler) -> None:
        """Define a turn: its steps, in their order."""
        loop, paths, agenda, writer = self._loop, self.paths, self._agenda, self._writer
        loop.each_turn("signals", self._act_on_signals)
        self._scanning = Scanning(loop, paths, self._found, self._scan_failed)
        loop.when_woken(self._chores.collect)
        loop.when_woken(self._folders.collect)
        self._changes = ChangeLooker(str(paths.root), loop.wake, clock.now_us)
        loop.when_due("shims", self._shims.step, lambda: self._shims.due_us)
        loop.when_due("gathered", lambda _now: self._shims.zygote.read(at_once=True), lambda: writer.due_us)
        self._commits = Commits(loop, paths, agenda, self._scanning)
        self._happenings = Happenings(agenda, self._shims, self._commits, writer, self._log.say)
        if self._membership is not None:
            self._membership.serve(agenda, self._store, self._log.say, self._commits.current)
        self._taking = self._make_taking(clock)
        loop.each_turn("decide", self._decide, self._decide_us)
        loop.each_turn("write", self._write)
        if self._news is not None:
            loop.each_turn("news", self._news.step)
        status = StatusOf(
            paths=paths,
            started_us=clock.now_us(),
            agenda=agenda,
            shims=self._shims,
            scanning=self._scanning,
            commits=self._commits,
            writer=writer,
            settings_problems=lambda: self._settings_problems,
            collector_is_silent=lambda: self._log.sender.silent(clock.steady_s()),
        )
        self._requests = Requests(
            loop,
            agenda=agenda,
            writer=writer,
            scanning=self._scanning,
            commits=self._commits,
            status=status,
            reader=ledger.open_reader(paths.ledger_url),
            send=self._send,
            take=None if self._taking is None else self._taking.take,
        )
        listener = program.Listener(paths.control_socket)
        self._server = Server(listener.socket, loop.selector, self._requests.serve, self._requests.gone)
        self._holdings = Holdings(
            paths,
            lock=self._lock,
            listener=listener,
            server=self._server,
            shims=self._shims,
            writer=writer,
            say=self._log.say,
        )
        loop.each_turn("answer", self._requests.answer)
        self._sweeping = Sweeping(loop, self._shims, agenda.knows, self._log.say)
        self._prune = loop.timer("prune", self._prune_ledger, PRUNE_EVERY_US)
        loop.each_turn("recycle", recycler.step, lambda: recycler.due_us)
        loop.each_turn("checkpoint", self._checkpoint)
        loop.each_turn("log", self._speak, lambda: loop.instant_of(self._log.sender.deadline(clock.steady_s())))

    def _make_taking(self, clock: Clock) -> "Taking | None":
        """Return what takes the runs that are delivered to this node; None without a cluster."""
        cluster, store = self.config.cluster, self._store
        if cluster is None or self._membership is None:
            return None
        from akjob.akjobd.taking import Taking  # noqa: PLC0415 - of the extra `cluster`
        from akjob.ledger.postgres import PostgresStore  # noqa: PLC0415 - as above

        if not isinstance(store, PostgresStore):
            return None
        self._agenda.share(cluster.name, cluster.tags)
        return Taking(
            cluster=cluster,
            store=store,
            agenda=self._agenda,
            membership=self._membership,
            revision=self._commits.current,
            now_us=clock.now_us,
        )

    # -- beginning and end --------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Work until SIGTERM. Runs are left alone then: their shims go on without us."""
        self._begin()
        self._loop.run()
        self._leave()

    def _begin(self) -> None:
        loop, now_us = self._loop, self._loop.clock.now_us()
        loop.catch(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        loop.on_clock_set(self._clock_set)
        self._log.say("info", "daemon.started", pid=os.getpid(), root=str(self.paths.root), version=__version__)
        self._say_problems(self._settings_problems)
        self._prune.at_us = now_us + PRUNE_PAUSE_US
        self._shims.zygote.start()
        gc.disable()  # until what is loaded is frozen: thousands of rows and jobs, none of which can be garbage
        rows = self._store.jobs_state()
        self._open_before = self._store.open_runs()
        self._agenda.restore(rows, self._open_before, now_us, self._shims.folders(), self._store.occurrences())
        self._agenda.restore_backfills(self._store.open_backfills())
        if self._news is not None and self._taking is not None:
            self._news.begin(self._agenda, self._writer, self._taking, now_us)
        scanner = Scanner(
            self.paths,
            self.config,
            last_good(rows),
            watcher=self._scanning.watcher,
            clock=loop.clock,
            all_in_place=self._holdings.are_in_place,
        )
        self._say_problems(self._scanning.begin(scanner))
        self._commits.refresh()

    def _leave(self) -> None:
        """Log the end and close everything, within half a second even without a collector."""
        clock = self._loop.clock
        self._log.say("info", "daemon.stopping", running=self._agenda.under_way)
        stopping = ledger.Transition(at_us=clock.now_us(), kind="daemon", to_state="stopping")
        with contextlib.suppress(AkjobError):  # a ledger that cannot be written: the next start says enough
            self._store.commit(ledger.Writes(transitions=[stopping]))
        end = clock.steady_s() + _GOODBYE_S
        while not self._log.sender.idle and clock.steady_s() < end:
            self._speak(clock.now_us())
            self._loop.selector.select(0.01)
        with contextlib.suppress(OSError):  # a full disk: these last lines are lost
            self._log.close()
        if self._membership is not None:
            self._membership.leave(running=self._agenda.under_way)
        if self._news is not None:
            self._news.close()
        self._scanning.close()
        self._commits.close()
        self._chores.stop()
        self._folders.stop()
        self._changes.stop()
        self._shims.close()
        self.paths.control_socket.unlink(missing_ok=True)
        self._store.close()

    def _act_on_signals(self, _now_us: int) -> None:
        signals = self._loop.take_signals()
        if signal.SIGHUP in signals:
            self._scanning.soon()
        if signals & {signal.SIGTERM, signal.SIGINT}:
            self._loop.stop()

    def _clock_set(self) -> None:
        self._log.say("warning", "daemon.clock_set", message="the wall clock was set; the schedule follows it")

    # -- the job set --------------------------------------------------------------------------------------------------

    def _found(self, found: ScanResult) -> None:
        """Take over what a scan found."""
        now_us, change = self._loop.clock.now_us(), found.change
        self._holdings.restore()
        self._say_problems(found.problems)
        if found.settings is not None:
            self.config, self._settings_problems = found.settings
            self._agenda.set_bounds(self.config.max_running, self.config.pools)
            self._say_problems(self._settings_problems)
        before, self._open_before = self._open_before, None
        if before is None and not change.is_news:
            return
        self._agenda.load(change, now_us)
        self._changes.watch(_on_change(change.jobset), {} if before is None else self._store.seen_files())
        if before is not None:
            self._happenings.reconcile(before)
            self._sweeping.sweep(now_us)
            self._freeze()
        self._writer.hurry()
        self._commits.loaded(refused=bool(change.broken), now_us=now_us)
        speaking.say_change(self._log.say, change)

    def _freeze(self) -> None:
        """Let the garbage collector pass over what is loaded now: it stays, and there may be ten thousand jobs."""
        gc.freeze()
        gc.enable()

    def _scan_failed(self, error: Exception) -> None:
        gc.enable()
        self._log.say("error", "jobs.scan_failed", message=f"{type(error).__name__}: {error}")

    def _say_problems(self, problems: list[Problem]) -> None:
        for problem in problems:
            speaking.say_problem(self._log.say, problem)

    # -- a turn -------------------------------------------------------------------------------------------------------

    def _decide(self, now_us: int) -> None:
        if self._scanning.jobset is None:
            return
        self._happenings.take_in(now_us)
        for changed in self._changes.take():
            self._agenda.files_changed(changed, now_us)
        self._commits.attribute(now_us)
        self._agenda.early_us = self._shims.early.us + (0 if self._news is None else HAND_OVER_US)
        self._agenda.turn(now_us)

    def _decide_us(self) -> int | None:
        if self._scanning.jobset is None:
            return None
        if self._shims.happened:  # reported after this turn had taken in what happened
            return self._loop.clock.now_us()
        return self._agenda.wake_us

    def _write(self, now_us: int) -> None:
        self._writer.write(now_us)
        # In a burst they all speak at once, and each would be a turn of the loop.
        self._shims.zygote.read(at_once=not self._writer.gathers)
        if self._news is not None and self._agenda.pending and self._writer.due_us is None:
            self._loop.wake()  # what the cluster did not permit is to be written

    def _order(self, start: Start, now_us: int) -> order.Order:
        self._sweeping.later()
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
            now_us=now_us,
            groups=self._shims.groups,
            leased=self._membership is not None,
        )

    def _send(self, peer: Peer, answer: Answer) -> None:
        self._server.send(peer, answer)

    def _stop_elsewhere(self, stops: list[FarStop]) -> None:
        if self._news is not None:
            self._news.stop_elsewhere(stops)

    def _delete(self, file: str) -> None:
        """Remove the file of a job that is done and says so; the watcher notices it like any other deletion."""
        try:
            (self.paths.root / file).unlink(missing_ok=True)
        except OSError as error:
            self._log.say("error", "job.not_deleted", file=file, message=f"cannot delete it: {error.strerror}")

    # -- what has to be done now and then -----------------------------------------------------------------------------

    def _prune_ledger(self, now_us: int) -> None:
        self._prune.at_us = self._writer.prune(self.config.ledger.keep_us, now_us)

    def _checkpoint(self, _now_us: int) -> None:
        """Let the write-ahead log be moved into the database, off the loop."""
        if not self._chores.waiting and self._writer.wants_checkpoint():
            self._chores.give(self._writer.store.checkpoint, lambda _moved: None, self._checkpoint_failed)

    def _checkpoint_failed(self, error: Exception) -> None:
        if not isinstance(error, ledger.LedgerBusyError):
            self._log.say("warning", "ledger.checkpoint_failed", message=str(error))

    def _folders_failed(self, error: Exception) -> None:
        self._log.say("warning", "runs.cleanup_failed", message=f"{type(error).__name__}: {error}")

    def _spool_asked(self) -> None:
        self._sweeping.soon()

    def _speak(self, _now_us: int) -> None:
        self._log.sender.step(self._loop.clock.steady_s())
        self._log_watch.update()


def _on_change(jobset: JobSet) -> dict[str, OnChange]:
    """Return at which files jobs look."""
    jobs = jobset.jobs.items()
    return {name: change for name, spec in jobs if (change := spec.schedule.on_change) is not None and spec.enabled}


def _news(loop: Loop, paths: Paths, store: ledger.Store, say: Say) -> "NewsReader":
    from akjob.akjobd.news import NewsReader  # noqa: PLC0415 - of the extra `cluster`
    from akjob.ledger.postgres import PostgresStore  # noqa: PLC0415 - as above

    if not isinstance(store, PostgresStore):
        raise UsageError(f"{paths.ledger_url!r} is not shared", hint="[cluster] url is the address of a PostgreSQL")
    return NewsReader(loop, paths.ledger_url, store, say)


def _agenda(store: ledger.Store, config: Config, clock: Clock) -> Agenda:
    boot_us, booted = _boot(store, clock)
    return Agenda(
        host=socket.gethostname(),
        max_running=config.max_running,
        pools=config.pools,
        new_run_id=RunIds(),
        last_attempt=store.last_attempt,
        outcomes=store.outcomes,
        started_us=clock.now_us(),
        boot_us=boot_us,
        booted=booted,
    )


def _boot(store: ledger.Store, clock: Clock) -> tuple[int, bool]:
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    since = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    return store.boot_instant(boot_id, clock.now_us() - since)


def main() -> NoReturn:
    """Run akjobd of the root that ``--root``, ``$AKJOB_ROOT`` or the working folder names."""
    program.run("akjobd", build)


def build(frame: Program) -> Callable[[], None]:
    """Build the daemon of a root; return what works until SIGTERM."""
    paths = frame.paths
    for folder in (paths.runs, paths.folder_pool, paths.log_dir):
        folder.mkdir(mode=0o700, exist_ok=True)
    return Akjobd(frame).run
