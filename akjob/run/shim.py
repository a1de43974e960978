"""The process that looks after a run: it forks the job, holds its pipes, its time limit and its exit status.

It needs neither akjobd nor the collector to be alive. What it knows stands in the run's folder; what it tells
(``var/run/shims.sock``, the log stream) is sent as soon as somebody listens.

Its life is in three parts: it waits at the gate until the slot (state ``queued``), it looks after the job
(``running``), it ends what the job left behind and says what came of it. A shim that is done, with nothing left of its
run and every line acknowledged, takes another order if one is waiting: it looks after one run at a time, and a burst
costs fewer forks. Part of the zygote: imports next to nothing.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the module signal would bring in enum
import _socket
import errno
import os
import select
import time
from _json import encode_basestring_ascii

from akjob.log.line.sender import Sender
from akjob.log.line.wrap import wrap
from akjob.run import child, failpoint, folder, linux, order_socket, python
from akjob.run.output import Stream, quote, timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

CALL_SIGNALS = tuple(range(_signal.SIGRTMIN, min(_signal.SIGRTMIN + 28, _signal.SIGRTMAX + 1)))
"""Real-time signals. Each run of a shim has the next one: what was meant for a run before cannot reach this one."""

END_VERSION = 1
_READ = 1 << 18
_STRAY_GRACE_S = 2.0
_UNKILLABLE_S = 5.0
_RETRY_S = 0.5
_GATE_CHECK_S = 1.0
_GATE_PATIENCE_US = 1_000_000
_MESSAGE = 1 << 18
_MOST_RUNS = 64
_TELLABLE = 1 << 14
_SETTLE_S = 0.02
_LISTEN_S = 0.05
_BUSY_S = 0.2


def main(order: dict[str, Any], control: _socket.socket, admission: order_socket.AdmissionLimit) -> NoReturn:
    """Look after one run, from its order to its end, and after others that wait then; never returns."""
    code = 0
    try:
        admission.enter()
        os.setsid()
        linux.adopt_orphans()
        linux.precise_timers()
        bell = Wakeup()
        notices = Notices(control, order["shims"])
        for left in range(_MOST_RUNS, 0, -1):  # there is no garbage collection here
            linux.set_title(f"akjob: shim of {order['job']} {order['run']}")
            shim = Shim(order, control, bell, notices, admission)
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

        # Nobody is left to ask: the text goes to var/log/runs.err, and akjobd finds a free lock without an end.
        sys.__excepthook__(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(code)


class Wakeup:
    """What wakes a shim: ``fd`` becomes readable when a signal has come, ``rung`` has its number.

    ``call`` is the signal that says that akjobd has left a word in the folder of the run that is looked after now.
    """

    def __init__(self) -> None:
        self.fd, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.rung: set[int] = set()
        self.call = CALL_SIGNALS[0]
        self.used = [self.call]
        for number in (_signal.SIGCHLD, _signal.SIGTERM, self.call):
            self._listen(number)
        for number in (_signal.SIGINT, _signal.SIGHUP, _signal.SIGPIPE):
            _signal.signal(number, _signal.SIG_IGN)
        _signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def _listen(self, number: int) -> None:
        _signal.signal(number, lambda number, _frame: self.rung.add(number))

    def close(self) -> None:
        """Hear nothing any more."""
        self.leave()
        for number in (_signal.SIGCHLD, _signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP, *self.used):
            _signal.signal(number, _signal.SIG_DFL)

    def leave(self) -> None:
        """In a job: have nothing to do with it."""
        _signal.set_wakeup_fd(-1)
        os.close(self.fd)
        os.close(self._write)

    def next_call(self) -> None:
        """Go on to the signal of the next run; the one before is not heard any more."""
        before, self.call = self.call, CALL_SIGNALS[(CALL_SIGNALS.index(self.call) + 1) % len(CALL_SIGNALS)]
        self._listen(self.call)
        if self.call not in self.used:
            self.used.append(self.call)
        _signal.signal(before, _signal.SIG_IGN)
        self.rung.discard(before)


class Notices:
    """What akjobd is told: on the socket of its zygote, and when that akjobd is gone on the one that its successor has.

    None need be there: akjobd reads the folders when it starts.
    """

    def __init__(self, control: _socket.socket, address: str) -> None:
        self._socket: _socket.socket | None = control
        self._address = address
        self.waiting: list[bytes] = []

    def fileno(self) -> int:
        """Return the descriptor that becomes writable when akjobd has room for what waits."""
        return -1 if self._socket is None else self._socket.fileno()

    def say(self, text: str) -> None:
        """Tell akjobd, now or when it has room."""
        self.waiting.append(text.encode("utf-8", "replace"))
        self.send()

    def send(self) -> None:
        """Send what waits, as far as there is room."""
        while self.waiting:
            known = self._socket
            try:
                if known is None:
                    self._connect()
                self._socket.send(self.waiting[0], _socket.MSG_DONTWAIT)  # type: ignore[union-attr]
                del self.waiting[0]
            except BlockingIOError:
                return
            except OSError:
                self.close()
                if known is None:
                    self.waiting.clear()

    def _connect(self) -> None:
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(self._address)

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Shim:
    """One run. ``order`` is described in :mod:`akjob.run.order`; the others are the process's own."""

    def __init__(
        self,
        order: dict[str, Any],
        control: _socket.socket,
        bell: Wakeup,
        notices: Notices,
        admission: order_socket.AdmissionLimit,
    ) -> None:
        self.order = order
        self.admission = admission
        self.looked_after_at = self.settles_at = self.listens_at = 0.0
        self.control = control
        self.bell = bell
        self.notices = notices
        self.run: str = order["run"]
        self.folder: str = order["folder"]
        self.names = f'"job":{quote(order["job"])},"run":"{self.run}"'
        self.pid = 0
        self.gated = False
        self.released = False
        self.ready = False
        self.started_us = 0
        self.ended_us = 0
        self.began = self.ended = 0.0
        self.state = ""
        self.reason = ""
        self.error = ""
        self.refused = False
        self.result = ""
        self.status: int | None = None
        self.user_s = 0.0
        self.system_s = 0.0
        self.max_rss_kib = 0
        self.kept = 0
        self.dropped = 0
        self.kill_at: float | None = None
        self.give_up_at: float | None = None
        self.childless = True
        self.last = False
        self.strays: list[str] = []

    # -- the beginning ------------------------------------------------------------------------------------------------

    def live(self) -> None:
        """Run the whole life. SystemExit when another already has the right to this order."""
        try:
            folder.make(self.folder, self.order["pool"])
            lock = folder.begin(self.folder, self.order["token"], self.bell.call)
        except OSError as error:
            why = f"{error.strerror or error}: {error.filename or self.folder}"
            self.notices.say(f"unable {self.run} {os.getpid()} {self.order['token']} {why}")
            raise SystemExit(1) from None
        if lock is None:
            raise SystemExit(0)
        self.lock = lock
        self._start()
        failpoint.reached("forked", self.run)
        self.sender = Sender(
            self.order["collector"], self._hello, self._first_seq(), spool=f"{self.folder}/{folder.SPOOL}"
        )
        if self.released:
            self._say_started()
        self._look_after()
        self._bury()

    def next_order(self) -> dict[str, Any] | None:
        """Return another order if one waits and nothing at all is left of this run; akjobd is told who has it."""
        if self.last or not (self.sender.idle and self.childless):
            return None
        self.sender.close()
        os.close(self.lock)
        try:
            order = order_socket.take(self.control, _socket.MSG_DONTWAIT)
        except OSError:  # none waits, or akjobd is gone
            return None
        if order is not None:
            failpoint.reached("taken", order["run"])
            self.notices.waiting.clear()  # that it has left the run says as much
            self.bell.next_call()
            self._answer(order["run"])
        return order

    def _answer(self, run: str) -> None:
        me = os.getpid()
        try:
            pidfd = os.pidfd_open(me)
        except OSError:  # no descriptors are left: akjobd will hear of the run's start
            return
        order_socket.answer(self.control, run, me, pidfd, self.bell.call, self.run)
        os.close(pidfd)

    def _first_seq(self) -> int:
        """Return where this order's lines are counted from: no two orders of a run may give a number twice."""
        return (int(self.order["token"]) << 32) + 1

    def _make_group(self) -> None:
        """Make the run's control group with its limits. Without one the order's rlimits have to do."""
        group = self.order["cgroup"]
        if not group:
            return
        try:
            folder.make(group)
            memory, processes = self.order["limits"]["memory"], self.order["limits"]["processes"]
            if memory is not None:
                _put(group + "/memory.max", str(memory))
                _put(group + "/memory.swap.max", "0")
            if processes is not None:
                _put(group + "/pids.max", str(processes))
        except OSError as error:
            self.order["warnings"].append(f"the run's control group cannot be set up: {error}")

    def _start(self) -> None:
        """Fork the job first: everything else can wait until it is on its way."""
        self._make_group()
        out, out_end = os.pipe2(os.O_CLOEXEC)
        err, err_end = os.pipe2(os.O_CLOEXEC)
        self.channel, job_end = _socket_pair()
        self.gated = self.order["start_us"] > time.time_ns() // 1000
        me = os.getpid()
        # Until it has its own dispositions, the job would take a SIGTERM for one to the shim, and go on.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGTERM,))
        try:
            self.pid = os.fork()
        except OSError as error:
            self.state, self.reason = "failed", f"the job's process could not be forked: {error.strerror}"
        else:
            if self.pid == 0:
                self.bell.leave()
                for fd in (self.lock, out, err):
                    os.close(fd)
                for one in (self.control, self.notices, self.channel):
                    one.close()
                self.admission.leave()
                child.main(self.order, job_end, out_end, err_end, me, self.bell.used, gated=self.gated)
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGTERM,))
        job_end.close()
        os.close(out_end)
        os.close(err_end)
        self.streams = {out: Stream("stdout", self.names), err: Stream("stderr", self.names)}
        for fd in self.streams:
            os.set_blocking(fd, False)
        self.channel.setblocking(False)
        if self.pid and not self.gated:
            self._begins(time.time_ns() // 1000)
        self._note()

    def _note(self) -> None:
        if self.ended_us:  # the file is to tell the end now
            return
        try:
            folder.note(self.lock, self.pid, self.started_us, self.bell.call)
        except OSError:
            return  # the file has the room, but its disk went read-only: end.json will tell it all

    def _begins(self, at_us: int) -> None:
        """Take down that the gate was passed: from here on it is a run."""
        self.released = True
        self.began = time.monotonic() - max(0, time.time_ns() // 1000 - at_us) / 1e6
        self.started_us = at_us

    def _say_started(self) -> None:
        self.notices.say(f"started {self.run} {os.getpid()} {self.pid} {self.started_us}")
        slot = timestamp(self.order["slot_us"] * 1000)
        self._say(
            "info",
            "run.started",
            f',"slot":"{slot}","attempt":{self.order["attempt"]},"trigger":"{self.order["trigger"]}"'
            f',"pid":{self.pid},"shim_pid":{os.getpid()}',
            self.started_us,
        )
        for text in self.order["warnings"]:
            self._say("warning", "run.warning", f',"message":{quote(text)}')
        # That this line is on disk can wait to be heard of: a short run is not worth waking up for.
        self.listens_at = time.monotonic() + _LISTEN_S
        failpoint.reached("running", self.run)

    # -- the middle ---------------------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Pass on what the job says until it has ended, nothing that it left lives, and its pipes are empty."""
        self.looked_after_at = time.monotonic()
        self.settles_at = self.looked_after_at + _SETTLE_S
        alive = True
        while alive or self.streams:
            now = time.monotonic()
            self._gate()
            self._limits(now)
            self._wait(self._timeout(now))
            self._reap()
            alive = self.pid > 0 or self._left_behind(time.monotonic())
            if not alive:
                self._drain()

    def _at_gate(self) -> bool:
        return self.gated and not self.released and self.status is None and not self.state

    def _gate(self) -> None:
        """Let the run begin at its slot although its code is not imported yet: its time counts from there.

        Otherwise the job itself passes the gate and says so; one that does not is not waited for.
        """
        if not self._at_gate():
            return
        now_us = time.time_ns() // 1000
        late_us = now_us - self.order["start_us"]
        if late_us >= (0 if self._importing() else _GATE_PATIENCE_US):
            self._pass_gate(now_us)

    def _importing(self) -> bool:
        return self.order["import_ahead"] and not self.ready

    def _pass_gate(self, at_us: int) -> None:
        self._begins(at_us)
        self._note()
        self._say_started()

    def _limits(self, now: float) -> None:
        """End the run when it was told to end or its time is over; SIGKILL when it was told long enough ago."""
        rung = self.bell.rung
        if _signal.SIGTERM in rung or self.bell.call in rung:
            rung -= {_signal.SIGTERM, self.bell.call}
            self._told_to_stop(now)
        self._settle(now)
        timeout = self.order["timeout_us"]
        runs = self.released and not self.state and self.status is None
        if runs and timeout is not None and now >= self.began + timeout / 1e6:
            seconds = f"{timeout / 1e6:g}"
            self._end_it("timed_out", f"still running after its timeout of {seconds} s", now)
        if self.kill_at is not None and now >= self.kill_at:
            self.kill_at = now + 0.1 if self._signal_all(_signal.SIGKILL) else None

    def _settle(self, now: float) -> None:
        """Make room for another shim, unless this one is about to be done or its job wants a processor still.

        Neither counts for long: a collector that is away, a job that never sleeps must not keep others from starting.
        """
        if not self.admission.counted or now < self.settles_at:
            return
        soon = not self.pid or linux.is_runnable(self.pid)
        if soon and now < self.looked_after_at + _BUSY_S:
            self.settles_at = now + _SETTLE_S
        else:
            self.admission.settle()

    def _told_to_stop(self, now: float) -> None:
        if not self.released and self.pid:
            self._hold_still()
        told = folder.read_stop(self.folder)
        state, reason, kill = told or ("cancelled", "its shim was told to end it, and not why", False)
        if state == "recalled" and self.released:
            return  # the slot came first: the run is under way
        if self.status is not None and not self.state:
            kill = True  # the run itself has ended: only what it left behind is meant
        elif not self.state:
            self._end_it(state, reason, now)
        if kill or not self.released:
            self.kill_at = now

    def _hold_still(self) -> None:
        """Find out whether the job has passed the gate: stopped, it cannot do so while its fate is decided."""
        _kill(self.pid, _signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        self._hear()
        if self.released:
            _kill(self.pid, _signal.SIGCONT)

    def _end_it(self, state: str, reason: str, now: float) -> None:
        self.state, self.reason = state, reason
        self._signal_all(self.order["stop_signal"])
        self._signal_all(_signal.SIGCONT)
        self.kill_at = now + self.order["kill_after_us"] / 1e6

    def _signal_all(self, number: int) -> bool:
        """Send a signal to every process of the run; True when there was one. For SIGKILL nothing may slip away."""
        if number == _signal.SIGKILL and self.order["cgroup"]:
            try:
                _put(self.order["cgroup"] + "/cgroup.kill", "1")
            except OSError as error:
                self.reason = self.reason or f"its control group could not be killed: {error.strerror}"
        alive = [pid for pid in linux.descendants(os.getpid()) if not linux.is_zombie(pid)]
        if number == _signal.SIGKILL:
            # Stopped processes do not fork: look until no new one turns up.
            seen: set[int] = set()
            while set(alive) - seen:
                for pid in set(alive) - seen:
                    _kill(pid, _signal.SIGSTOP)
                seen |= set(alive)
                alive = [pid for pid in linux.descendants(os.getpid()) if not linux.is_zombie(pid)]
        for pid in alive:
            _kill(pid, number)
        return bool(alive)

    def _timeout(self, now: float) -> float | None:
        """Return how long nothing needs to be done unless something happens, seconds."""
        times = [self.settles_at] if self.admission.counted else []
        if self._at_gate():
            # The wall clock can be set while this waits, so a long wait is looked at now and then.
            left = (self.order["start_us"] - time.time_ns() // 1000) / 1e6
            patience = 0.0 if self._importing() else _GATE_PATIENCE_US / 1e6
            times.append(now + min(_GATE_CHECK_S, max(0.0, left + patience)))
        timeout = self.order["timeout_us"]
        if self.released and not self.state and self.status is None and timeout is not None:
            times.append(self.began + timeout / 1e6)
        if self.kill_at is not None:
            times.append(self.kill_at)
        deadline = self.sender.deadline(now)
        if deadline is not None:
            times.append(deadline)
        if now < self.listens_at and not self.sender.idle:
            times.append(self.listens_at)
        return max(0.0, min(times) - now) if times else None

    def _wait(self, timeout: float | None) -> None:
        """Sleep until something happens, then read what there is."""
        readers, writers = self._awaited()
        readable, _, _ = select.select(readers, writers, (), 0 if self.bell.rung else timeout)
        if self.bell.fd in readable:
            _empty(self.bell.fd)
        if self.channel.fileno() in readable:
            self._hear()
        for fd in readable:
            if fd in self.streams:
                self._read(fd)
        if self.notices.waiting:
            self.notices.send()
        self.sender.step(time.monotonic())

    def _awaited(self) -> tuple[list[int], list[int]]:
        """Return the descriptors that may become readable, and writable."""
        readers, writers = [self.bell.fd], []
        if self.channel.fileno() >= 0:
            readers.append(self.channel.fileno())
        if not self.sender.full:
            readers += self.streams
        line = self.sender.fileno()
        if line >= 0:
            if self.sender.full or time.monotonic() >= self.listens_at:
                readers.append(line)
            if self.sender.wants_write:
                writers.append(line)
        if self.notices.waiting:
            writers.append(self.notices.fileno())
        return readers, writers

    def _read(self, fd: int) -> bool:
        """Read once from one of the job's pipes; False when there is nothing (more) to read now."""
        try:
            data = os.read(fd, _READ)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close(fd)
            return False
        limit = self.order["output_limit"]
        room = limit - self.kept
        beyond = max(0, len(data) - room)
        if beyond:
            data = data[: max(0, room)]
        self.kept += len(data)
        if data:
            lines, count = self.streams[fd].feed(data, self.sender.next_seq, time.time_ns())
            if count:
                self.sender.put(lines, count, time.monotonic())
        if beyond:
            self._drop(beyond, limit)
        return True

    def _drop(self, size: int, limit: int) -> None:
        if not self.dropped:
            for stream in self.streams.values():
                self._end_line(stream)
            self._say("warning", "run.output_limit", f',"limit_bytes":{limit}')
        self.dropped += size

    def _close(self, fd: int) -> None:
        self._end_line(self.streams.pop(fd))
        os.close(fd)

    def _end_line(self, stream: Stream) -> None:
        """Put what a stream has kept of an unfinished line on the log."""
        lines, count = stream.end(self.sender.next_seq, time.time_ns())
        if count:
            self.sender.put(lines, count, time.monotonic())

    def _hear(self) -> None:
        """Read what the job's side of akjob says: its log events, its result, what went wrong."""
        while not self.sender.full:
            try:
                message = self.channel.recv(_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self.channel.close()
                return
            self._understand(message)

    def _understand(self, message: bytes) -> None:
        kind, text = message[:1], message[1:]
        if kind == python.EVENT:
            self._event(message)
        elif kind == python.RESULT:
            self.result = text.decode("utf-8", "replace")
        elif kind == python.ERROR:
            self.error = text.decode("utf-8", "replace")
        elif kind == python.REFUSED:
            self.refused = True
            self.reason = self.reason or text.decode("utf-8", "replace")
        elif kind == python.READY:
            self.ready = True
            if self.released:
                late = time.time_ns() / 1e9 - self.order["start_us"] / 1e6
                self._say("warning", "run.lead_short", f',"late_s":{late:.6f},"lead_s":{self.order["lead_us"] / 1e6:g}')
        elif kind == python.STARTED and not self.released:
            self._pass_gate(int(text))

    def _event(self, message: bytes) -> None:
        seq = self.sender.next_seq
        line = wrap(message, f'"source":"job",{self.names},"seq":{seq}'.encode())
        if line is None:
            # Not ours: somebody wrote on the descriptor. It is kept as what it is, bytes.
            fd_stream = Stream("log", self.names)
            line, _ = fd_stream.feed(message + b"\n", seq, time.time_ns())
        self.sender.put(line, line.count(b"\n"), time.monotonic())

    def _reap(self) -> None:
        """Take the exit status of whatever has ended: the job, and orphans that it left to us."""
        self.bell.rung.discard(_signal.SIGCHLD)
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return
            if pid == 0:
                self.childless = False
                return
            self.user_s += usage.ru_utime
            self.system_s += usage.ru_stime
            self.max_rss_kib = max(self.max_rss_kib, usage.ru_maxrss)
            if pid == self.pid:
                self._job_ended(status)

    def _job_ended(self, status: int) -> None:
        self.ended_us, self.ended = time.time_ns() // 1000, time.monotonic()
        self.pid, self.job_pid = 0, self.pid
        self.status = status
        if self.channel.fileno() >= 0:
            self._hear()

    def _left_behind(self, now: float) -> bool:
        """End what the job left behind: SIGTERM at once, SIGKILL soon. True while something of it lives."""
        if self.childless:
            return False  # whose parent ended is ours: without children there is nobody
        alive = [pid for pid in linux.descendants(os.getpid()) if not linux.is_zombie(pid)]
        if alive and not self.strays:
            self.strays = [f"{linux.command_name(pid)}[{pid}]" for pid in alive]
            self._signal_all(_signal.SIGTERM)
            self._signal_all(_signal.SIGCONT)
            grace = now + min(_STRAY_GRACE_S, self.order["kill_after_us"] / 1e6)
            self.kill_at = grace if self.kill_at is None else min(self.kill_at, grace)
            self.give_up_at = grace + _UNKILLABLE_S
        if self.kill_at is None:
            self.kill_at = now + 0.1
        return self.give_up_at is None or now < self.give_up_at

    def _drain(self) -> None:
        """Read the pipes to their end. Nothing of the run lives: what is open still, somebody outside holds."""
        for fd in list(self.streams):
            while not self.sender.full:
                if not self._read(fd):
                    if fd in self.streams:
                        self._close(fd)
                    break
        if self.channel.fileno() >= 0:
            self._hear()
            if not self.sender.full:
                self.channel.close()

    # -- the end ------------------------------------------------------------------------------------------------------

    def _bury(self) -> None:
        """Say what came of the run, in the log and in ``end.json``, and stay until the lines are safe."""
        failpoint.reached("ending", self.run)
        self.listens_at = 0.0
        if not self.ended_us:
            self.ended_us, self.ended = time.time_ns() // 1000, time.monotonic()
        end = self._end()
        if self.state != "recalled":
            self._say_finished(end)
        if self.order["cgroup"]:
            _remove_group(self.order["cgroup"])
        text = _json(end)
        data = text.encode()
        written = False
        while True:
            now = time.monotonic()
            if not written:
                written = self._write_end(data)
                if written:
                    failpoint.reached("end written", self.run)
                    self.notices.say(f"ended {self.run} {os.getpid()}" + (f" {text}" if len(text) < _TELLABLE else ""))
            if written and self._lines_are_safe(now):
                return
            self._settle(now)
            self.last = self.last or _signal.SIGTERM in self.bell.rung
            self.bell.rung.clear()  # the run is over, whatever is wanted of it
            deadlines = [moment for moment in (self.sender.deadline(now),) if moment is not None]
            if self.admission.counted:
                deadlines.append(self.settles_at)
            if not written or self.sender.silent(now):
                deadlines.append(now + _RETRY_S)
            self._wait(max(0.0, min(deadlines) - now) if deadlines else None)

    def _write_end(self, data: bytes) -> bool:
        try:
            folder.write_end(self.folder, self.lock, data)
        except FileNotFoundError:
            raise SystemExit(1) from None  # the folder was removed under us: nobody wants to know any more
        except OSError:
            return False  # its disk is full: stay, and try again
        return True

    def _lines_are_safe(self, now: float) -> bool:
        """Say whether every line is acknowledged, or after a silence in the spool file."""
        if self.sender.idle:
            return True
        if self.sender.fileno() < 0 and not os.path.exists(self.folder):
            raise SystemExit(1)  # removed under us, as in _write_end, and nobody is there to tell the rest
        if not self.sender.silent(now):
            return False
        try:
            self.sender.save(now)
        except OSError:
            return False
        return True

    def _end(self) -> dict[str, object]:
        code = signum = None
        if self.status is not None:
            if os.WIFSIGNALED(self.status):
                signum = os.WTERMSIG(self.status)
            else:
                code = os.WEXITSTATUS(self.status)
        self._judge(code, signum)
        return {
            "version": END_VERSION,
            "run": self.run,
            "job": self.order["job"],
            "slot_us": self.order["slot_us"],
            "attempt": self.order["attempt"],
            "state": self.state,
            "reason": self.reason or None,
            "exit_code": code,
            "signal": signum,
            "error": self.error or None,
            "result": self.result or None,
            "pid": getattr(self, "job_pid", None),
            "shim_pid": os.getpid(),
            "started_us": self.started_us or None,
            "ended_us": self.ended_us,
            "user_cpu_s": round(self.user_s, 6),
            "system_cpu_s": round(self.system_s, 6),
            "max_rss_bytes": self.max_rss_kib * 1024,
        }

    def _judge(self, code: int | None, signum: int | None) -> None:
        """Turn an exit into a state and a reason, unless the run was ended for one that is known already."""
        told = bool(self.state)  # everything of the run was told to end: nothing was left behind unasked
        if not self.state:
            good = self.order["success_codes"] if self.order["code"][0] == "command" else (0,)
            self.state = "succeeded" if code in good and not self.refused else "failed"
            if self.state == "failed" and not self.reason:
                self.reason = self.error or self._why(code, signum)
        elif signum == _signal.SIGKILL and self.state in ("timed_out", "cancelled"):
            self.reason += "; it did not end by itself and was killed"
        if self.strays and not told:
            who = ", ".join(self.strays[:5]) + (", ..." if len(self.strays) > 5 else "")  # noqa: PLR2004 - enough to know
            left = f"left {len(self.strays)} process{'es' if len(self.strays) > 1 else ''} behind, ended: {who}"
            self.reason = f"{self.reason}; {left}" if self.reason else left
        if self.dropped:
            over = f"{self.dropped} bytes of output beyond output_limit were not kept"
            self.reason = f"{self.reason}; {over}" if self.reason else over

    def _why(self, code: int | None, signum: int | None) -> str:
        if signum is None:
            return f"exit code {code}"
        if signum == _signal.SIGKILL:
            return "killed by SIGKILL" + _out_of_memory(self.order["cgroup"])
        if signum == _signal.SIGXCPU:
            return "killed by SIGXCPU: it used more CPU time than resources.cpu allows"
        return f"killed by signal {signum}"

    def _say_finished(self, end: dict[str, object]) -> None:
        duration = self.ended - self.began if self.started_us else None  # whatever was done to the clock meanwhile
        fields = {key: end[key] for key in ("state", "exit_code", "signal", "reason", "error")}
        fields["duration_s"] = round(max(0.0, duration), 6) if duration is not None else None
        fields |= {key: end[key] for key in ("user_cpu_s", "system_cpu_s", "max_rss_bytes")}
        if self.dropped:
            fields["dropped_bytes"] = self.dropped
        level = "info" if self.state == "succeeded" else "error" if self.state in ("failed", "timed_out") else "warning"
        self._say(level, "run.finished", "," + _json(fields)[1:-1], self.ended_us)

    # -- telling ------------------------------------------------------------------------------------------------------

    def _hello(self, first: int) -> bytes:
        return b'{"v":1,%b,"seq":%d}\n' % (self.names.encode(), first)

    def _say(self, level: str, event: str, fields: str, at_us: int | None = None) -> None:
        """Put one line about the run itself on the log stream; ``fields`` is finished JSON that begins with a comma."""
        when = timestamp(time.time_ns() if at_us is None else at_us * 1000)
        seq = self.sender.next_seq
        head = f'{{"timestamp":"{when}","level":"{level}","event":"{event}","source":"run",{self.names},"seq":{seq}'
        self.sender.put(f"{head}{fields}}}\n".encode(), 1, time.monotonic())


def _socket_pair() -> tuple[_socket.socket, _socket.socket]:
    return _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0)


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except OSError as error:
        if error.errno not in (errno.ESRCH, errno.EPERM):  # gone, or setuid beyond our rights
            raise


def _empty(fd: int) -> None:
    try:
        while len(os.read(fd, 512)) == 512:  # noqa: PLR2004 - a full read: there may be more
            continue
    except BlockingIOError:
        return


def _put(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _remove_group(path: str) -> None:
    try:
        os.rmdir(path)
    except OSError:
        return  # a process that could not be killed is in it still


def _out_of_memory(cgroup: str) -> str:
    """Say whether the kernel's OOM killer did it, where the control group counts that."""
    try:
        with open(cgroup + "/memory.events", encoding="ascii") as file:
            counts = dict(line.split() for line in file)
    except (OSError, ValueError):
        return ", not by akjob: by hand, or by the kernel's OOM killer (see its log)"
    return " by the OOM killer: over resources.memory" if counts.get("oom_kill", "0") != "0" else ", not by akjob"


def _json(fields: dict[str, object]) -> str:
    return "{" + ",".join([f'"{key}":{_value(value)}' for key, value in fields.items()]) + "}"


def _value(value: object) -> str:
    if value is None:
        return "null"
    return encode_basestring_ascii(value) if isinstance(value, str) else repr(value)
