"""The process that looks after a run: it forks the job, holds its pipes, its time limit and its exit status.

It needs neither akjobd nor the collector to be alive. What it knows is in the run's folder; what it reports
(``var/run/shims.sock``, the log stream) is sent as soon as the other side is there.

Its life is a table. Each phase is what the shim is waiting for:

| phase | event | next phase |
|---|---|---|
| ``gated``: the slot, or the job's report that it has passed the gate | passed | ``running`` |
| | asked to end | ``stopping`` |
| | the job ended | ``clearing`` |
| ``running``: the job's end | asked to end, or its time is over | ``stopping`` |
| | the job ended | ``clearing`` |
| ``stopping``: the same; SIGKILL comes after ``kill_after`` | the job ended | ``clearing`` |
| ``clearing``: that nothing the job left lives, and its pipes are empty | cleared | ``over`` |
| ``over``: that ``end.json`` is written and every line is acknowledged or spooled | | |

A shim that is done, with nothing left of its run and every line acknowledged, takes another order if one is waiting:
it looks after one run at a time, and a burst costs fewer forks. Part of the zygote: imports next to nothing.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the module signal would bring in enum
import _socket
import os
import select
import time

from akjob.log.line.head import quote, timestamp
from akjob.run import child, failpoint, folder, linux, order_socket, outcome, python, talk
from akjob.run.gate import Gate
from akjob.run.outcome import RECALLED, OutcomeRecorder
from akjob.run.pipes import Pipes
from akjob.run.tree import ProcessTree, kill
from akjob.run.wakeup import Wakeup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from akjob.run.order import Order

GATED, RUNNING, STOPPING, CLEARING, OVER = "gated", "running", "stopping", "clearing", "over"
PASSED, ENDING, ENDED, CLEARED = "passed", "asked to end", "job ended", "cleared"

PHASES = {
    (GATED, PASSED): RUNNING,
    (GATED, ENDING): STOPPING,
    (GATED, ENDED): CLEARING,
    (RUNNING, ENDING): STOPPING,
    (RUNNING, ENDED): CLEARING,
    (STOPPING, PASSED): STOPPING,  # its signal came while the job was passing the gate
    (STOPPING, ENDED): CLEARING,
    (CLEARING, CLEARED): OVER,
}
"""What leads from one phase to the next; nothing else does."""

_STRAY_GRACE_S = 2.0
_UNKILLABLE_S = 5.0
_RETRY_S = 0.5
_KILL_AGAIN_S = 0.1
_MOST_RUNS = 64
_RELEASE_S = 0.02
_LISTEN_S = 0.05
_BUSY_S = 0.2
_STOP_CHECK_S = 60.0


def main(order: Order, control: _socket.socket, admission: order_socket.AdmissionLimit) -> NoReturn:
    """Look after one run, from its order to its end, and after others that wait then; never returns."""
    code = 0
    try:
        admission.enter()
        os.setsid()
        linux.adopt_orphans()
        linux.precise_timers()
        process = Process(control, admission, order["shims"])
        for left in range(_MOST_RUNS, 0, -1):  # there is no garbage collection here
            linux.set_title(f"akjob: shim of {order['job']} {order['run']}")
            shim = Shim(order, process)
            shim.live()
            following = shim.next_order() if left > 1 else None
            if following is None:
                break
            order = following
    except SystemExit as leave:
        code = int(leave.code or 0)
    except BaseException:
        code = 70
        import sys

        # No other process reads this: it goes to var/log/runs.err, and akjobd finds a free lock without an end.
        sys.__excepthook__(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(code)


class Process:
    """What a shim process has for all the runs that it looks after, one after another.

    ``releases_at`` is when it looks again whether it still counts as busy (:class:`order_socket.AdmissionLimit`).
    """

    def __init__(self, control: _socket.socket, admission: order_socket.AdmissionLimit, address: str) -> None:
        self.control = control
        self.admission = admission
        self.wakeup = Wakeup()
        self.notices = talk.ShimNotices(control, address)
        self.releases_at = self._busy_until = 0.0

    def leave(self) -> None:
        """In a job: have nothing to do with any of it."""
        self.wakeup.leave()
        self.control.close()
        self.notices.close()
        self.admission.leave()

    def begin(self, now: float) -> None:
        """Count as busy for the beginning of a run."""
        self.releases_at = now + _RELEASE_S
        self._busy_until = now + _BUSY_S

    def release(self, now: float, job: int) -> None:
        """Make room for another shim, unless this one is about to be done or its job wants a processor still.

        Neither counts for long: a collector that is away, a job that never sleeps must not keep others from starting.
        """
        if not self.admission.counted or now < self.releases_at:
            return
        soon = not job or linux.is_runnable(job)
        if soon and now < self._busy_until:
            self.releases_at = now + _RELEASE_S
        else:
            self.admission.release()


class Shim:
    """One run. ``order`` is described in :mod:`akjob.run.order`; ``process`` is what all runs of this process share.

    ``pid`` is that of the job while it lives. ``began`` and ``ended`` are readings of the steady clock, as are the
    instants ``kill_at`` (SIGKILL for whatever lives), ``give_up_at`` (wait no longer for what cannot be killed) and
    ``listens_at`` (acknowledgements are of interest); ``lease_at`` is when the node's lease is looked at again.
    """

    def __init__(self, order: Order, process: Process) -> None:
        self.order = order
        self.process = process
        self.run: str = order["run"]
        self.log = talk.RunLog(order)
        self.tree = ProcessTree(order["cgroup"])
        self.pipes = Pipes(self.log.names, self.log.sender, order["output_limit"], self._say_limit)
        self.gate = Gate(order["start_us"], imports_ahead=order["import_ahead"])
        self.outcome = OutcomeRecorder()
        self.phase = GATED
        self.pid = 0
        self.began = self.ended = 0.0
        self.kill_at: float | None = None
        self.give_up_at: float | None = None
        self.listens_at = self.lease_at = 0.0
        self.childless = True
        self.leaves = False

    # -- the beginning ------------------------------------------------------------------------------------------------

    def live(self) -> None:
        """Run the whole life. SystemExit when another has the fence of this order already."""
        try:
            folder.make(self.order["folder"], self.order["folder_pool"])
            lock = folder.begin(self.order["folder"], self.order["token"], self.process.wakeup.call)
        except OSError as error:
            self.process.notices.report(talk.unable(self.run, self.order["token"], error, self.order["folder"]))
            raise SystemExit(1) from None
        if lock is None:
            raise SystemExit(0)
        self.lock = lock
        self._start()
        failpoint.reached("forked", self.run)
        if self.phase == RUNNING:
            self._say_started()
        self._look_after()
        self._finish()

    def next_order(self) -> Order | None:
        """Return another order if one waits and nothing at all is left of this run; it is reported to akjobd."""
        if self.leaves or not (self.log.sender.idle and self.childless):
            return None
        self.log.sender.close()
        os.close(self.lock)
        try:
            order = order_socket.take(self.process.control, _socket.MSG_DONTWAIT)
        except OSError:  # none waits, or akjobd is gone
            return None
        if order is not None:
            failpoint.reached("taken", order["run"])
            self.process.notices.waiting.clear()  # that it has left the run says as much
            self.process.wakeup.next_call()
            self._answer(order["run"])
        return order

    def _answer(self, run: str) -> None:
        me = os.getpid()
        try:
            pidfd = os.pidfd_open(me)
        except OSError:  # no descriptors are left: akjobd will receive the run's start
            return
        order_socket.answer(self.process.control, run, me, pidfd, self.process.wakeup.call, self.run)
        os.close(pidfd)

    def _start(self) -> None:
        """Fork the job first: everything else can wait until it is on its way."""
        warning = self.tree.make_group(self.order["limits"])
        if warning:
            self.order["warnings"].append(warning)
        out_end, err_end = self.pipes.make()
        self.channel = talk.JobChannel()
        gated = self.gate.is_ahead(time.time_ns() // 1000)
        self.pid = self._fork(out_end, err_end, gated=gated)
        self.channel.job_end.close()
        os.close(out_end)
        os.close(err_end)
        if self.pid and not gated:
            self._begin(time.time_ns() // 1000)
        self._note()

    def _fork(self, out_end: int, err_end: int, *, gated: bool) -> int:
        """Return the job's pid, 0 when it could not be forked; in the job this does not return."""
        me = os.getpid()
        # Until it has its own dispositions, the job would take a SIGTERM for one to the shim, and go on.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGTERM,))
        try:
            pid = os.fork()
        except OSError as error:
            self._decide("failed", f"the job's process could not be forked: {error.strerror}")
            self._advance(ENDED)
            pid = 0
        else:
            if pid == 0:
                self._become_job(out_end, err_end, me, gated=gated)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGTERM,))
        self.outcome.pid = pid
        return pid

    def _become_job(self, out_end: int, err_end: int, shim: int, *, gated: bool) -> NoReturn:
        os.close(self.lock)
        self.pipes.abandon()
        self.channel.close()
        self.process.leave()
        child.main(self.order, self.channel.job_end, out_end, err_end, shim, self.process.wakeup.used, gated=gated)

    def _note(self) -> None:
        if self.outcome.ended_us:  # the file is for the end now
            return
        try:
            folder.note(self.lock, self.pid, self.outcome.started_us, self.process.wakeup.call)
        except OSError:
            return  # the file has the room, but its disk went read-only: end.json will have it all

    def _begin(self, at_us: int) -> None:
        """Take down that the gate was passed: from here on it is a run."""
        self._advance(PASSED)
        self.began = time.monotonic() - max(0, time.time_ns() // 1000 - at_us) / 1e6
        self.outcome.started_us = at_us

    def _advance(self, event: str) -> None:
        self.phase = PHASES[self.phase, event]

    def _decide(self, state: str, reason: str) -> None:
        self.outcome.decided, self.outcome.reason = state, reason

    # -- the middle ---------------------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Pass on what the job says until it has ended, nothing that it left lives, and its pipes are empty."""
        self.process.begin(time.monotonic())
        while self.phase != OVER:
            now = time.monotonic()
            self._check_gate()
            self._check_limits(now)
            self._wait(self._timeout(now))
            self._reap()
            if self.phase == CLEARING and not self._left_behind(time.monotonic()):
                self._clear()

    def _clear(self) -> None:
        """Read what is left in the pipes and the channel, as far as the log takes it."""
        self.pipes.drain()
        self._receive()
        if not self.log.sender.full:
            self.channel.close()
        if not self.pipes.open and self.channel.fileno() < 0:
            self._advance(CLEARED)

    def _check_gate(self) -> None:
        """Let the run begin at its slot although its code is not imported yet: its time counts from there.

        Otherwise the job itself passes the gate and says so; one that does not is not waited for.
        """
        if self.phase == GATED:
            now_us = time.time_ns() // 1000
            if self.gate.opens(now_us):
                self._pass_gate(now_us)

    def _pass_gate(self, at_us: int, arrived_us: int = 0) -> None:
        self.gate.arrived_us = arrived_us
        self._begin(at_us)
        self._note()
        self._say_started()

    def _check_limits(self, now: float) -> None:
        """End the run when it was asked to end or its time is over; SIGKILL when that is long enough ago."""
        if self.process.wakeup.must_stop:
            self.process.wakeup.clear_stop()
            self._obey_stop(now)
        self.process.release(now, self.pid)
        self.pipes.show_progress(now)
        due, reason = self._due(now)
        if due is not None and now >= due:
            self._end_job("timed_out", reason, now)
        if self._is_leased and now >= self.lease_at:
            self._check_lease(now)
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = now + _KILL_AGAIN_S if self._kill() else None

    @property
    def _is_leased(self) -> bool:
        return bool(self.order["lease"]) and self.phase in (RUNNING, STOPPING)

    def _check_lease(self, now: float) -> None:
        """End the run, and be done with it, before another node may begin its retry."""
        from akjob.run import lease  # only nodes of a cluster have one, and every fork pays for what was imported

        found = lease.read(self.order["lease"])
        if found is None:
            self.lease_at = now + _RETRY_S
            return
        stop_in, dead_in = (at - lease.boot_s() for at in found)
        if stop_in > 0:
            self.lease_at = now + stop_in
            return
        if self.phase == RUNNING:
            self._end_job("cancelled", lease.REASON, now)
        if dead_in <= _RELEASE_S:
            self.kill_at = now
            dead_in = _RETRY_S
        self.lease_at = now + dead_in

    def _due(self, now: float) -> tuple[float | None, str]:
        """Return when the run's time is over, and what is said then."""
        timeout_us, stop_at_us = self.order["timeout_us"], self.order["stop_at_us"]
        if self.phase != RUNNING:
            return None, ""
        ends = []
        if timeout_us is not None:
            ends.append((self.began + timeout_us / 1e6, outcome.still_running(timeout_us)))
        if stop_at_us is not None:
            left_s = (stop_at_us - time.time_ns() // 1000) / 1e6
            # The wall clock can be set, so a long wait is looked at now and then.
            ends.append((now + min(left_s, _STOP_CHECK_S), outcome.still_running_at(self.order["stop_at"])))
        return min(ends, default=(None, ""))

    def _kill(self) -> bool:
        found = self.tree.kill()
        self.outcome.reason = self.outcome.reason or self.tree.trouble
        return found

    def _obey_stop(self, now: float) -> None:
        if not self.outcome.started_us and self.pid:
            self._hold_still()
        word = folder.read_stop(self.order["folder"])
        state, reason, at_once = word or ("cancelled", "its shim was asked to end it, with no reason given", False)
        started = self.outcome.started_us
        if state == RECALLED and started:
            return  # the slot came first: the run is under way
        if self.phase in (GATED, RUNNING):
            self._end_job(state, reason, now)
        elif self.phase == CLEARING and not self.outcome.decided:
            at_once = True  # the run itself has ended: only what it left behind is meant
        if at_once or not started:
            self.kill_at = now

    def _hold_still(self) -> None:
        """Find out whether the job has passed the gate: stopped, it cannot do so while its fate is decided."""
        kill(self.pid, _signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self._receive()
        if self.outcome.started_us:
            kill(self.pid, _signal.SIGCONT)

    def _end_job(self, state: str, reason: str, now: float) -> None:
        self._decide(state, reason)
        self._advance(ENDING)
        self.tree.end(self.order["stop_signal"])
        self.kill_at = now + self.order["kill_after_us"] / 1e6

    def _timeout(self, now: float) -> float | None:
        """Return how long nothing needs to be done unless something happens, seconds."""
        times = [self._due(now)[0], self.pipes.due, self.kill_at, self.log.sender.deadline(now)]
        if self.process.admission.counted:
            times.append(self.process.releases_at)
        if self._is_leased:
            times.append(self.lease_at)
        if self.phase == GATED:
            times.append(now + self.gate.wait_s(time.time_ns() // 1000))
        if now < self.listens_at and not self.log.sender.idle:
            times.append(self.listens_at)
        return _until(times, now)

    def _wait(self, timeout: float | None) -> None:
        """Sleep until something happens, then read what there is."""
        wakeup, notices = self.process.wakeup, self.process.notices
        readers, writers = self._awaited()
        readable, _, _ = select.select(readers, writers, (), 0 if wakeup.rung else timeout)
        if wakeup.fd in readable:
            wakeup.empty()
        if self.channel.fileno() in readable or (readable and self.phase == GATED):
            self._receive()  # first, for what the job has printed comes after its start
        for fd in readable:
            if fd in self.pipes.open:
                self.pipes.read(fd)
        if notices.waiting:
            notices.send()
        self.log.sender.step(time.monotonic())

    def _awaited(self) -> tuple[list[int], list[int]]:
        """Return the descriptors that may become readable, and writable."""
        sender, notices = self.log.sender, self.process.notices
        readers, writers = [self.process.wakeup.fd], []
        if not sender.full:
            readers += self.pipes.open
            if self.channel.fileno() >= 0 and not self._lets_the_job_begin():
                readers.append(self.channel.fileno())
        line = sender.fileno()
        if line >= 0:
            if sender.full or time.monotonic() >= self.listens_at:
                readers.append(line)
            if sender.wants_write:
                writers.append(line)
        if notices.waiting:
            writers.append(notices.fileno())
        return readers, writers

    def _lets_the_job_begin(self) -> bool:
        return self.phase == GATED and self.gate.is_quiet(time.time_ns() // 1000)

    def _receive(self) -> None:
        """Read what the job's side of akjob reports: its log events, its result, what went wrong."""
        while not self.log.sender.full:
            message = self.channel.receive()
            if message is None:
                return
            self._understand(message[:1], message)

    def _understand(self, kind: bytes, message: bytes) -> None:
        if kind == python.EVENT:
            self.log.pass_on(message)
        elif kind == python.RESULT:
            self.outcome.result = _text(message)
        elif kind == python.ERROR:
            self.outcome.error = _text(message)
        elif kind == python.REFUSED:
            self.outcome.refused = _text(message)
        elif kind == python.READY:
            self.gate.ready = True
            if self.outcome.started_us:
                self._say_lead_short()
        elif kind == python.STARTED and not self.outcome.started_us:
            started_us, arrived_us = map(int, message[1:].split())
            self._pass_gate(started_us, arrived_us)

    def _reap(self) -> None:
        """Take the exit status of whatever has ended: the job, and orphans that it left to us."""
        self.process.wakeup.rung.discard(_signal.SIGCHLD)
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return
            if pid == 0:
                self.childless = False
                return
            self.outcome.used(usage)
            if pid == self.pid:
                self._job_ended(status)

    def _job_ended(self, status: int) -> None:
        self._receive()
        self._take_time()
        self.pid = 0
        self.outcome.status = status
        self._advance(ENDED)

    def _take_time(self) -> None:
        self.outcome.ended_us, self.ended = time.time_ns() // 1000, time.monotonic()

    def _left_behind(self, now: float) -> bool:
        """End what the job left behind: SIGTERM at once, SIGKILL soon. Return True while something of it lives."""
        if self.childless:
            return False  # a process whose parent ended is ours: without children there is none
        alive = self.tree.alive()
        if alive and not self.outcome.leftovers:
            self.outcome.leftovers = [f"{linux.command_name(pid)}[{pid}]" for pid in alive]
            self.tree.end(_signal.SIGTERM)
            grace = now + min(_STRAY_GRACE_S, self.order["kill_after_us"] / 1e6)
            self.kill_at = grace if self.kill_at is None else min(self.kill_at, grace)
            self.give_up_at = grace + _UNKILLABLE_S
        if self.kill_at is None:
            self.kill_at = now + _KILL_AGAIN_S
        return self.give_up_at is None or now < self.give_up_at

    # -- the end ------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Write the run's end to the log and to ``end.json``, and stay until the lines are safe."""
        failpoint.reached("ending", self.run)
        self.listens_at = 0.0
        end = self._say_end()
        written = False
        while True:
            now = time.monotonic()
            if not written:
                written = self._write_end(end)
            if written and self._lines_are_safe(now):
                return
            self.process.release(now, self.pid)
            self.leaves = self.leaves or _signal.SIGTERM in self.process.wakeup.rung
            self.process.wakeup.rung.clear()  # the run is over, whatever is wanted of it
            again = None if written and not self.log.sender.silent(now) else now + _RETRY_S
            settles = self.process.releases_at if self.process.admission.counted else None
            self._wait(_until([self.log.sender.deadline(now), settles, again], now))

    def _say_end(self) -> str:
        """Put the end on the log; return what ``end.json`` is to hold."""
        if not self.outcome.ended_us:
            self._take_time()
        self.outcome.dropped = self.pipes.dropped
        end = self.outcome.end(self.order, self.tree.oom_kills())
        if end["state"] != RECALLED:
            # Whatever was done to the wall clock meanwhile.
            duration = self.ended - self.began if self.outcome.started_us else None
            fields = outcome.finished(end, duration, self.outcome.dropped)
            level = outcome.level_of(end["state"])
            self.log.say(level, "run.finished", "," + outcome.json(fields)[1:-1], self.outcome.ended_us)
        self.tree.remove_group()
        self._remove_changed()
        return outcome.json(end)

    def _remove_changed(self) -> None:
        """Remove the list of changed files, where it is not in the run's folder."""
        if self.order["changed_file"]:
            try:
                os.unlink(self.order["changed_file"])
            except OSError:  # the job has done so, or the disk is read-only
                return

    def _write_end(self, end: str) -> bool:
        try:
            folder.write_end(self.order["folder"], self.lock, end.encode())
        except FileNotFoundError:
            raise SystemExit(1) from None  # the folder was removed under us: akjobd has given the run up
        except OSError:
            return False  # its disk is full: stay, and try again
        failpoint.reached("end written", self.run)
        self.process.notices.report(talk.ended(self.run, end))
        return True

    def _lines_are_safe(self, now: float) -> bool:
        """Return True if every line is acknowledged, or after a silence in the spool file."""
        sender = self.log.sender
        if sender.idle:
            return True
        if sender.fileno() < 0 and not os.path.exists(self.order["folder"]):
            raise SystemExit(1)  # removed under us, as in _write_end, and there is no collector for the rest
        if not sender.silent(now):
            return False
        try:
            sender.save(now)
        except OSError:
            return False
        return True

    # -- lines about the run ------------------------------------------------------------------------------------------

    def _say_started(self) -> None:
        run, order = self.outcome, self.order
        self.process.notices.report(talk.started(self.run, self.pid, run.started_us, self.gate.arrived_us))
        slot = timestamp(order["slot_us"] * 1000)
        self.log.say(
            "info",
            "run.started",
            f',"slot":"{slot}","attempt":{order["attempt"]},"trigger":"{order["trigger"]}"'
            f',"pid":{self.pid},"shim_pid":{os.getpid()}',
            run.started_us,
        )
        for text in order["warnings"]:
            self.log.say("warning", "run.warning", f',"message":{quote(text)}')
        # The acknowledgement of this line can wait: a short run is not worth waking up for.
        self.listens_at = time.monotonic() + _LISTEN_S
        failpoint.reached("running", self.run)

    def _say_lead_short(self) -> None:
        late_s = time.time_ns() / 1e9 - self.gate.start_us / 1e6
        lead_s = self.order["lead_us"] / 1e6
        self.log.say("warning", "run.lead_short", f',"late_s":{late_s:.6f},"lead_s":{lead_s:g}')

    def _say_limit(self) -> None:
        self.log.say("warning", "run.output_limit", f',"limit_bytes":{self.order["output_limit"]}')


def _text(message: bytes) -> str:
    return message[1:].decode("utf-8", "replace")


def _until(times: list[float | None], now: float) -> float | None:
    """Return how long it is to the first of some instants, seconds; None when there is none."""
    given = [moment for moment in times if moment is not None]
    return max(0.0, min(given) - now) if given else None
