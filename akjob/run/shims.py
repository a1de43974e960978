"""akjobd's knowledge of its runs' shims: what was ordered, what lives, what came of it.

Nothing here decides anything. Each run that was ordered sooner or later becomes :class:`Ended`, :class:`Lost` or
:class:`NeverStarted`, whichever of akjobd, the zygote and the shim dies in between:

| what is found | what it means |
|---|---|
| ``end.json`` | the run has ended |
| no end, a shim has made the fence, its lock is held | it runs; its shim is adopted |
| no end, a shim has made the fence, the lock is free | lost: the shim was killed, and its job with it |
| no shim has made the fence | never started: akjobd makes the fence itself, so that it stays so |
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from akjob.config import socket_address
from akjob.processes import lock_holder
from akjob.run import cgroup, folder, order
from akjob.run.ids import is_run_id
from akjob.run.zygote_client import Spawned, ZygoteClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from akjob.config import Paths
    from akjob.run.cgroup import Groups
    from akjob.run.order import Order

_QUICK_US = 1_000_000
_ANSWER_US = 10_000_000


class Started(Struct, frozen=True):
    """The run's gate was opened at ``started_us``."""

    run: str
    pid: int
    shim_pid: int
    started_us: int


class Ended(Struct, frozen=True):
    """What ``end.json`` holds."""

    run: str
    end: dict[str, Any]


class Lost(Struct, frozen=True):
    """The shim is dead and left no end. ``leftovers`` are processes of the run that were ended."""

    run: str
    reason: str
    leftovers: int = 0


class NeverStarted(Struct, frozen=True):
    """The order came to nothing, and nothing of the job has happened."""

    run: str
    reason: str


Happening = Started | Ended | Lost | NeverStarted


class Trouble(Struct, frozen=True):
    """What has to be said about the runs as a whole; no event: nothing."""

    event: str = ""
    message: str = ""


class ShimHandle(Struct):
    """One run: ``pidfd`` of its shim (-1: not known), what the shim was told last, whether its end is known.

    ``gone``: the shim is not there any more, or not for this run. ``call_signal`` is the signal that it listens to.
    """

    run: str
    order: Order | None = None
    shim_pid: int = 0
    pidfd: int = -1
    call_signal: int = signal.SIGTERM
    pid: int = 0
    started_us: int = 0
    token: int = 0
    answered: bool = False
    sent_us: int = 0
    ended: bool = False
    gone: bool = False
    forgotten: bool = False
    stop: bytes | None = None


class ShimManager:
    """All runs that are ordered or live.

    ``remove`` is told the runs whose folders are of no more use, but for a spool that the collector has to read in.
    """

    def __init__(
        self,
        paths: Paths,
        selector: selectors.BaseSelector,
        remove: Callable[[str], None],
        now_us: Callable[[], int],
    ) -> None:
        self._paths = paths
        self._runs = str(paths.runs)
        self._selector = selector
        self._remove = remove
        self._now_us = now_us
        self._shims: dict[str, ShimHandle] = {}
        self._zygote: ZygoteClient | None = None
        self._asked = 0
        self._hearing = True
        self.happened: list[Happening] = []
        self._backlog: list[bytes] = []
        self.zygote_since_us = 0
        self.start_at_us: int | None = None
        self.trouble = Trouble()
        self.groups: Groups | None = None
        self.again_at_us: int | None = None
        self._unsettled: dict[str, str] = {}
        self._unsaid: set[str] = set()
        self._dying: set[str] = set()
        self._notices = self._bind()
        selector.register(self._notices, selectors.EVENT_READ, self._read_notices)

    # -- the zygote ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the zygote.

        When that cannot be, :attr:`trouble` says why, and :attr:`start_at_us` when to call again.
        """
        self.start_at_us = None
        try:
            zygote = ZygoteClient(self._paths)
        except OSError as error:
            self.trouble = Trouble("zygote.ended", f"it cannot be started: {error.strerror}")
            self.start_at_us = self._now_us() + _QUICK_US
            return
        self._zygote = zygote
        self.zygote_since_us = self._now_us()
        self._mind_zygote()
        self._selector.register(zygote.pidfd, selectors.EVENT_READ, self._zygote_ended)
        backlog, self._backlog = self._backlog, []
        if backlog:
            zygote.send(backlog)
            self._mind_zygote()

    @property
    def zygote_pid(self) -> int:
        """The zygote's process id, 0 when there is none."""
        return 0 if self._zygote is None else self._zygote.pid

    def send(self, orders: Iterable[Order]) -> None:
        """Order runs; their claims are in the ledger."""
        encoded = []
        for one in orders:
            handle = self._shims.setdefault(one["run"], ShimHandle(one["run"]))
            self._unwatch(handle)  # a shim that came too late for the order before; it ends by itself
            handle.order, handle.token, handle.answered, handle.sent_us = one, one["token"], False, self._now_us()
            handle.ended = handle.gone = handle.forgotten = False
            handle.started_us, handle.stop = 0, None
            encoded.append(order.encode(one))
        if self._zygote is None:
            self._backlog += encoded
        elif encoded:
            self._zygote.send(encoded)
            self._mind_zygote()

    def hear(self, *, at_once: bool) -> None:
        """Say whether what shims and zygote tell is to be heard as it comes, or at the next call of this."""
        self._hearing = at_once
        if at_once and not self._asked & selectors.EVENT_READ:
            self._zygote_speaks(selectors.EVENT_READ)
        self._mind_zygote()

    def _mind_zygote(self) -> None:
        """Have the selector wait for what there is to be read from the zygote, and for room for what is to be sent."""
        zygote = self._zygote
        if zygote is None:
            return
        before, self._asked = (
            self._asked,
            (selectors.EVENT_READ * self._hearing | selectors.EVENT_WRITE * zygote.wants_write),
        )
        if before == self._asked:
            return
        if not before:
            self._selector.register(zygote, self._asked, self._zygote_speaks)
        elif self._asked:
            self._selector.modify(zygote, self._asked, self._zygote_speaks)
        else:
            self._selector.unregister(zygote)

    def _zygote_speaks(self, mask: int) -> None:
        zygote = self._zygote
        if zygote is None:
            return
        if mask & selectors.EVENT_WRITE:
            zygote.flush()
            self._mind_zygote()
        for answer in zygote.heard():
            if not isinstance(answer, Spawned):
                self._notice(answer)
                continue
            self._left(answer.left)
            handle = self._shims.get(answer.run)
            if handle is None:
                if answer.pidfd >= 0:
                    os.close(answer.pidfd)
                continue
            handle.answered = True
            if answer.failed:
                self._never(handle, f"the zygote could not fork: {answer.failed}")
            elif answer.pidfd < 0:
                handle.shim_pid = answer.pid
                self._shim_gone(handle)
            else:
                self._watch(handle, answer.pid, answer.pidfd, answer.call_signal)

    def _left(self, run: str) -> None:
        """Take down that a shim is done with a run and has taken another one."""
        handle = self._shims.get(run)
        if handle is not None:
            self._shim_ended(handle)

    def _zygote_ended(self, _mask: int) -> None:
        zygote = self._zygote
        if zygote is None or not zygote.ended():
            return
        self._zygote_speaks(selectors.EVENT_READ)
        self._let_go(zygote)
        # What shims have said to it and was not read is lost with it; their folders have it all.
        for handle in [handle for handle in self._shims.values() if handle.order is not None and not handle.ended]:
            self._find_out(handle)
        if self._now_us() - self.zygote_since_us < _QUICK_US:
            self.trouble = Trouble("zygote.ended", "it ended as soon as it was started: see var/log/runs.err")
            self.start_at_us = self._now_us() + _QUICK_US
        else:
            self.trouble = Trouble("zygote.ended", f"the zygote {zygote.pid} ended; another one is started")
            self.start()

    def _let_go(self, zygote: ZygoteClient) -> None:
        if self._asked:
            self._selector.unregister(zygote)
        self._selector.unregister(zygote.pidfd)
        zygote.close()
        self._zygote = None
        self._asked = 0

    # -- what a run's folder tells ------------------------------------------------------------------------------------

    def find(self, run: str, *, running: bool) -> None:
        """Find out what became of a run of a former akjobd; adopt it, or say how it ended.

        ``running``: its start is in the ledger, so whatever its folder says, it cannot be started again.
        """
        handle = self._shims.setdefault(run, ShimHandle(run))
        if running and not os.path.isdir(self._folder(run)):
            handle.ended = handle.gone = True
            self.happened.append(Lost(run, "its folder in var/runs is gone, and with it what became of it"))
            return
        self._find_out(handle)

    def _find_out(self, handle: ShimHandle) -> None:
        handle.answered = True
        if self._take_end(handle):
            self._adopt(handle)  # it may still be waiting for its lines to be acknowledged
            return
        self._settle(handle, "its order was lost with the zygote or akjobd")

    def _settle(self, handle: ShimHandle, why_never: str) -> None:
        """Say what came of an order without an end: its shim lives, or is lost, or the order is never to be started."""
        where = self._folder(handle.run)
        try:
            never = self._deny(where)
        except OSError as error:  # var/ is full or read-only: a shim may still come and make the fence
            self._unsettled[handle.run] = why_never
            self._later(f"{where}: it cannot be settled who may start this run: {error.strerror}")
            return
        if never:
            self._never(handle, why_never)
        elif not self._adopt(handle):
            handle.gone = True
            if not self._take_end(handle):
                self._lose(handle)

    def _deny(self, where: str) -> bool:
        """Deny the outstanding order for good. False: a shim has it, or was first."""
        folder.make(where)
        last, taken = folder.last_order(where)
        return not taken and folder.deny(where, last + 1)

    def _later(self, trouble: str) -> None:
        self.trouble = Trouble("runs.unwritable", trouble)
        self.again_at_us = self._now_us() + _QUICK_US

    def settled(self, now_us: int) -> bool:
        """Whether nothing is tried again, and the zygote did not end as soon as it was started."""
        return self.start_at_us is None and self.again_at_us is None and now_us - self.zygote_since_us > _QUICK_US

    def again(self) -> None:
        """Try again what could not be written; call it at :attr:`again_at_us`."""
        self.again_at_us = None
        unsettled, self._unsettled = self._unsettled, {}
        for run, why in unsettled.items():
            handle = self._shims.get(run)
            if handle is not None and not handle.ended:
                self._settle(handle, why)
                if handle.gone and handle.forgotten:
                    self._clean(handle)
        dying, self._dying = self._dying, set()
        for group in dying:
            cgroup.end(group)
        unsaid, self._unsaid = self._unsaid, set()
        for run in unsaid:
            handle = self._shims.get(run)
            if handle is not None and not handle.ended:
                self._signal(handle)

    def next_token(self, run: str) -> int:
        """Return the number that the next order of a run has to have."""
        return folder.last_order(self._folder(run))[0] + 1

    def _adopt(self, handle: ShimHandle) -> bool:
        """Find the living shim by the lock it holds. False: nobody holds it."""
        where = self._folder(handle.run)
        pid = _holder(where)
        if not pid:
            return False
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        if _holder(where) != pid:  # it ended in between; the number may be another's by now
            os.close(pidfd)
            return False
        handle.gone = False
        job, started_us, call_signal = read_note(where)
        self._watch(handle, pid, pidfd, call_signal)
        if started_us and not handle.started_us and not handle.ended:
            self._started(handle, job, started_us)
        return True

    def _watch(self, handle: ShimHandle, pid: int, pidfd: int, call_signal: int) -> None:
        if handle.pidfd >= 0:
            os.close(pidfd)
            return
        handle.shim_pid, handle.pidfd, handle.call_signal = pid, pidfd, call_signal
        self._selector.register(pidfd, selectors.EVENT_READ, lambda _mask: self._shim_ended(handle))
        if handle.stop is not None:
            self._signal(handle)

    def _unwatch(self, handle: ShimHandle) -> None:
        if handle.pidfd >= 0:
            self._selector.unregister(handle.pidfd)
            os.close(handle.pidfd)
            handle.pidfd = -1

    def _shim_ended(self, handle: ShimHandle) -> None:
        self._unwatch(handle)
        self._shim_gone(handle)

    def _shim_gone(self, handle: ShimHandle) -> None:
        handle.gone = True
        if not handle.ended and not self._take_end(handle):
            self._settle(handle, "its shim ended before it began")
        if handle.gone and handle.forgotten:
            self._clean(handle)

    def _take_end(self, handle: ShimHandle, told: str | None = None) -> bool:
        """Read ``end.json``, if it is there and was not read before; ``told`` is what it holds, from its writer."""
        if handle.ended:
            return True
        try:
            end = msgspec.json.decode(self._read_end(handle) if told is None else told)
        except FileNotFoundError:
            return False
        except (OSError, msgspec.DecodeError):
            return False  # torn by a power cut: as if it had never been written
        if end.get("run") != handle.run:
            return False  # a power cut has left what its file held for a run before
        if end.get("state") == "recalled":
            if not handle.gone:
                return False  # the next order of this run needs the lock that this shim holds
            where = self._folder(handle.run)
            try:
                folder.withdraw(where, folder.last_order(where)[0])
                folder.put_away(where)
            except OSError as error:
                self._unsettled[handle.run] = "called back"
                self._later(f"{where}: what was called back cannot be put away: {error.strerror}")
                return True
        handle.ended = True
        self.happened.append(Ended(handle.run, end))
        return True

    def _read_end(self, handle: ShimHandle) -> bytes:
        with open(f"{self._folder(handle.run)}/{folder.END}", "rb") as file:
            return file.read()

    def _never(self, handle: ShimHandle, reason: str) -> None:
        handle.ended = handle.gone = True
        self.happened.append(NeverStarted(handle.run, reason))

    def _lose(self, handle: ShimHandle) -> None:
        handle.ended = handle.gone = True
        if self.groups is not None:
            cgroup.end(self.groups.of(handle.run))
            self._dying.add(self.groups.of(handle.run))
            self.again_at_us = self._now_us() + _QUICK_US
        leftovers = end_leftovers(handle.run)
        reason = "its shim was killed, and with it what it knew of the run"
        if leftovers:
            reason += f"; {leftovers} process{'es' if leftovers > 1 else ''} that it left were killed"
        self.happened.append(Lost(handle.run, reason, leftovers))

    def _started(self, handle: ShimHandle, pid: int, started_us: int) -> None:
        handle.pid, handle.started_us = pid, started_us
        self.happened.append(Started(handle.run, pid, handle.shim_pid, started_us))

    # -- notices ------------------------------------------------------------------------------------------------------

    def _bind(self) -> socket.socket:
        path = self._paths.shims_socket
        path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        mask = os.umask(0o177)
        try:
            sock.bind(socket_address(path))
        finally:
            os.umask(mask)
        sock.setblocking(False)
        return sock

    def _read_notices(self, _mask: int) -> None:
        while True:
            try:
                data = self._notices.recv(1 << 16)
            except BlockingIOError:
                return
            self._notice(data)

    def _notice(self, data: bytes) -> None:
        kind, run, shim_pid, *rest = data.decode("utf-8", "replace").split(" ", 3)
        handle = self._shims.get(run)
        if handle is None or handle.ended or not shim_pid.isdigit():
            return
        handle.shim_pid = handle.shim_pid or int(shim_pid)
        if kind == "started" and not handle.started_us:
            pid, _, started_us = rest[0].partition(" ")
            self._started(handle, int(pid), int(started_us))
        elif kind == "ended":
            self._take_end(handle, rest[0] if rest else None)
        elif kind == "unable":
            token, _, why = rest[0].partition(" ")
            if int(token) == handle.token:
                self._settle(handle, f"its shim could not begin: {why}")

    # -- what akjobd tells --------------------------------------------------------------------------------------------

    def stop(self, run: str, state: str, reason: str, *, kill: bool = False) -> None:
        """Tell a run's shim to end it: the run then has ``state`` and ``reason``."""
        handle = self._shims.get(run)
        if handle is None or handle.ended:
            return
        handle.stop = folder.stop_text(state, reason, kill=kill)
        self._signal(handle)

    def _signal(self, handle: ShimHandle) -> None:
        """Leave the word in the folder, then call. Without a descriptor yet it is done when there is one."""
        if handle.pidfd < 0 or handle.stop is None:
            return
        where = self._folder(handle.run)
        try:
            folder.make(where)  # the shim may just be being born
            folder.write(where, folder.STOP, handle.stop)
        except OSError as error:
            if handle.stop.startswith(b"recalled"):  # without the word it would end as cancelled
                self._unsaid.add(handle.run)
                self._later(f"{where}: the run cannot be called back: {error.strerror}")
                return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle.pidfd, handle.call_signal)

    def forget(self, run: str) -> None:
        """Let go of a run whose end is in the ledger: its folder goes when its shim is gone and its lines are safe."""
        handle = self._shims.get(run)
        if handle is None:
            return
        handle.forgotten = True
        if handle.gone or (handle.pidfd < 0 and not _holder(self._folder(run))):
            self._clean(handle)

    def _clean(self, handle: ShimHandle) -> None:
        self._remove(handle.run)
        self._shims.pop(handle.run, None)

    def sweep(self, open_runs: Callable[[str], bool]) -> None:
        """Remove folders of runs that have ended, whose shims are gone and whose spools were read in."""
        self._miss_answers()
        for name in os.listdir(self._paths.runs):
            if not is_run_id(name) or name in self._shims or open_runs(name) or _holder(self._folder(name)):
                continue
            self._remove(name)
        for name in [] if self.groups is None else self.groups.names():
            if name not in self._shims and not open_runs(name) and self.groups is not None:
                cgroup.end(self.groups.of(name))

    def _miss_answers(self) -> None:
        """Find out about orders that were taken long ago by somebody who was killed before he said so."""
        if self._zygote is None or self._zygote.unread:
            return
        latest = self._now_us() - _ANSWER_US
        for handle in list(self._shims.values()):
            if handle.order is not None and not (handle.answered or handle.ended) and handle.sent_us < latest:
                self._find_out(handle)

    def folders(self) -> set[str]:
        """Return the runs that have a folder."""
        return set(os.listdir(self._paths.runs))

    def handle(self, run: str) -> ShimHandle | None:
        """Return what is known of a run."""
        return self._shims.get(run)

    def close(self) -> None:
        """Let go of everything; shims and jobs live on."""
        self._selector.unregister(self._notices)
        self._notices.close()
        if self._zygote is not None:
            self._let_go(self._zygote)
        for handle in self._shims.values():
            if handle.pidfd >= 0:
                self._selector.unregister(handle.pidfd)
                os.close(handle.pidfd)

    def _folder(self, run: str) -> str:
        return f"{self._runs}/{run}"


def _holder(where: str) -> int:
    return lock_holder(Path(where, folder.LOCK))


def read_note(where: str) -> tuple[int, int, int]:
    """Return what the shim noted in its lock file, as :func:`folder.note` describes it.

    It may hold the run's end already, which has no name yet: the disk had no room for that.
    """
    try:
        text = Path(where, folder.LOCK).read_bytes()
        if text.startswith(b"{"):
            end = msgspec.json.decode(text)
            ours = end.get("run") == os.path.basename(where)
            return (end["pid"] or 0, end["started_us"] or 0, signal.SIGTERM) if ours else (0, 0, signal.SIGTERM)
        pid, started_us, *call_signal = map(int, text[: folder.NOTE].split())
    except (OSError, ValueError):
        return 0, 0, signal.SIGTERM
    return pid, started_us, call_signal[0] if call_signal else signal.SIGTERM


def end_leftovers(run: str) -> int:
    """Kill what a lost shim left: processes whose environment or title names the run. Return how many.

    The job's own process dies with its shim (PDEATHSIG); what it started does not. What was executed has the run in its
    environment, what was only forked has the job's title, which a fork inherits.
    """
    killed: set[int] = set()
    while True:
        found = {pid for pid in _processes_of(run) if pid not in killed}
        if not found:
            return len(killed)
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= found


def _processes_of(run: str) -> list[int]:
    mark = f"AKJOB_RUN={run}".encode()
    title = f" {run}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            environment = Path("/proc", name, "environ").read_bytes()
            command = Path("/proc", name, "cmdline").read_bytes().rstrip(b"\0")
        except OSError:
            continue
        if mark in environment.split(b"\0") or (command.startswith(b"akjob: ") and command.endswith(title)):
            found.append(int(name))
    return found
