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
from typing import NoReturn

from akjob import __version__, ledger, program
from akjob.agenda import Agenda, Start, last_good
from akjob.akjobd import speaking
from akjob.akjobd.cluster import cluster_of
from akjob.akjobd.commits import Commits
from akjob.akjobd.happenings import Happenings
from akjob.akjobd.holdings import Places
from akjob.akjobd.loop import Clock, Loop, SystemClock
from akjob.akjobd.membership import node_name
from akjob.akjobd.requests import Requests
from akjob.akjobd.scanning import Scanner, Scanning, ScanResult
from akjob.akjobd.status import StatusOf
from akjob.akjobd.sweeping import Sweeping
from akjob.akjobd.upkeep import LedgerUpkeep
from akjob.akjobd.worker import Worker
from akjob.akjobd.writer import Doing, Writer
from akjob.config import Config
from akjob.control.requests import Answer
from akjob.control.server import Peer, Server
from akjob.errors import AkjobError, Problem
from akjob.program import Program
from akjob.run import cgroup, order
from akjob.run.folder_recycler import FolderRecycler
from akjob.run.ids import RunIds
from akjob.run.shims import ShimManager
from akjob.sources.looking import ChangeLooker, looked_at
from akjob.timer import Alarm

_GOODBYE_S = 0.5


class Akjobd:
    """akjobd of one root: the wiring of its parts, its beginning and its end."""

    def __init__(self, frame: Program) -> None:
        clock = SystemClock()
        self.paths = paths = frame.paths
        self.config = config = frame.config
        self._settings_problems = list(frame.problems)
        self._loop = Loop(selectors.DefaultSelector(), clock, Alarm())
        self._log = speaking.Speaker(self._loop, paths)
        lease_us = None if config.cluster is None else config.cluster.lease_us
        store = ledger.open_store(paths.ledger_url, node_name(config), lease_us)
        self._cluster = cluster_of(self._loop, paths, config, store, self._log.say)
        self._folders = Worker("folders", self._loop.wake)
        recycler = FolderRecycler(paths, self._folders.give, self._spool_asked, self._folders_failed)
        self._shims = ShimManager(paths, self._loop.selector, recycler.add, clock.now_us)
        self._shims.groups = cgroup.find()
        self._agenda = _agenda(store, config, clock)
        self._writer = Writer(
            self._agenda,
            store,
            self._shims,
            self._log.say,
            Doing(
                make_order=self._order,
                delete=self._delete,
                stop_elsewhere=self._cluster.stop_elsewhere,
                begin_again=self._cluster.begin_again,
            ),
        )
        self._open_before: list[ledger.OpenRun] | None = None  # until the first scan
        self._wire(frame.lock, recycler)

    def _wire(self, lock: program.Lock, recycler: FolderRecycler) -> None:
        """Define a turn: its steps, in their order."""
        loop, paths, agenda, writer = self._loop, self.paths, self._agenda, self._writer
        loop.each_turn("signals", self._act_on_signals)
        self._scanning = Scanning(loop, paths, self._found, self._scan_failed)
        loop.when_woken(self._folders.collect)
        self._changes = ChangeLooker(str(paths.root), loop.wake, loop.clock.now_us)
        loop.when_due("shims", self._shims.step, lambda: self._shims.due_us)
        loop.when_due("gathered", lambda _now: self._shims.zygote.read(at_once=True), lambda: writer.due_us)
        self._commits = Commits(loop, paths, agenda, self._scanning, self._log.say)
        self._happenings = Happenings(agenda, self._shims, self._commits, writer, self._log.say)
        self._cluster.join(agenda, self._commits.current)
        loop.each_turn("decide", self._decide, self._decide_us)
        loop.each_turn("write", self._write)
        loop.each_turn("news", self._cluster.step)
        status = StatusOf(
            paths=paths,
            started_us=loop.clock.now_us(),
            agenda=agenda,
            shims=self._shims,
            scanning=self._scanning,
            commits=self._commits,
            writer=writer,
            cluster=self._cluster,
            settings_problems=lambda: self._settings_problems,
            collector_is_silent=self._log.is_silent,
        )
        requests = Requests(
            loop,
            agenda=agenda,
            writer=writer,
            scanning=self._scanning,
            commits=self._commits,
            status=status,
            reader=ledger.open_reader(paths.ledger_url),
            send=self._send,
            cluster=self._cluster,
        )
        listener = program.Listener(paths.control_socket)
        self._server = Server(listener.socket, loop.selector, requests.serve, requests.gone)
        self._places = Places(
            loop,
            paths,
            lock=lock,
            listener=listener,
            server=self._server,
            shims=self._shims,
            writer=writer,
            is_draining=lambda: agenda.draining,
            say=self._log.say,
        )
        loop.each_turn("answer", requests.answer)
        self._sweeping = Sweeping(loop, self._shims, agenda.knows, self._log.say)
        self._upkeep = LedgerUpkeep(loop, writer, lambda: self.config.ledger.keep_us, self._log.say)
        loop.each_turn("recycle", recycler.step, lambda: recycler.due_us)
        loop.each_turn("checkpoint", self._upkeep.checkpoint)
        loop.each_turn("log", self._log.step, self._log.due_us)

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
        self._upkeep.begin(now_us)
        self._shims.zygote.start()
        self._places.begin()
        self._cluster.claim()
        gc.disable()  # until what is loaded is frozen: thousands of rows and jobs, none of which can be garbage
        store = self._writer.store
        rows = store.jobs_state()
        self._open_before = store.open_runs()
        self._agenda.restore(rows, self._open_before, now_us, self._shims.folders(), store.occurrences())
        self._agenda.restore_backfills(store.open_backfills())
        self._cluster.begin(self._writer, now_us)
        scanner = Scanner(
            self.paths,
            self.config,
            last_good(rows),
            watcher=self._scanning.watcher,
            clock=loop.clock,
            all_in_place=self._places.held.are_in_place,
        )
        self._say_problems(self._scanning.begin(scanner))
        self._commits.refresh()

    def _leave(self) -> None:
        """Log the end and close everything, within half a second even without a collector."""
        self._commits.say_refused(at_once=True)
        self._log.say("info", "daemon.stopping", running=self._agenda.under_way)
        stopping = ledger.Transition(at_us=self._loop.clock.now_us(), kind="daemon", to_state="stopping")
        with contextlib.suppress(AkjobError):  # a ledger that cannot be written: the next start says enough
            self._writer.store.commit(ledger.Writes(transitions=[stopping]))
        self._log.close(_GOODBYE_S)
        self._cluster.leave(running=self._agenda.under_way)
        self._scanning.close()
        self._commits.close()
        self._upkeep.stop()
        self._folders.stop()
        self._changes.stop()
        self._shims.close()
        self.paths.control_socket.unlink(missing_ok=True)
        self._writer.store.close()

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
        self._places.held.restore()
        self._say_problems(found.problems)
        if found.settings is not None:
            self.config, self._settings_problems = found.settings
            self._agenda.set_bounds(self.config.max_running, self.config.pools)
            self._say_problems(self._settings_problems)
        before, self._open_before = self._open_before, None
        if before is None and not change.is_news:
            return
        self._agenda.load(change, now_us)
        speaking.say_change(self._log.say, change)  # it holds from now on; what follows takes its time
        names = change.names if before is None else change.jobset.jobs
        seen = {} if before is None else self._writer.store.seen_files()
        self._changes.watch(names, looked_at(change.jobset.jobs, names), seen)
        if before is not None:
            self._happenings.reconcile(before)
            self._sweeping.sweep(now_us)
            self._freeze()
        self._writer.hurry()
        self._commits.loaded(refused=change.broken, now_us=now_us)

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
        self._agenda.early_us = self._shims.early.us + self._cluster.early_us
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
            leased=self._cluster.is_leased,
        )

    def _send(self, peer: Peer, answer: Answer) -> None:
        self._server.send(peer, answer)

    def _delete(self, file: str) -> None:
        """Remove the file of a job that is done and says so; the watcher notices it like any other deletion."""
        try:
            (self.paths.root / file).unlink(missing_ok=True)
        except OSError as error:
            self._log.say("error", "job.not_deleted", file=file, message=f"cannot delete it: {error.strerror}")

    # -- what has to be done now and then -----------------------------------------------------------------------------

    def _folders_failed(self, error: Exception) -> None:
        self._log.say("warning", "runs.cleanup_failed", message=f"{type(error).__name__}: {error}")

    def _spool_asked(self) -> None:
        self._sweeping.soon()


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
