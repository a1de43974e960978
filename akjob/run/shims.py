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
from typing import TYPE_CHECKING

from msgspec import Struct

from akjob.config import socket_address
from akjob.processes import identity
from akjob.run import cgroup, folder, folder_reader, leftovers, order
from akjob.run.early import Early
from akjob.run.end import Recalled
from akjob.run.engine import Ended, EngineProblem, Happening, Lost, NeverStarted, Started
from akjob.run.ids import is_run_id
from akjob.run.outcome import RECALLED
from akjob.run.zygote_client import Spawned, Zygote, ZygoteClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from akjob.config import Paths
    from akjob.run.cgroup import Groups
    from akjob.run.end import End
    from akjob.run.order import Order

_AGAIN_US = 1_000_000
_ANSWER_US = 10_000_000
_FOLDER_GONE = "its folder in var/runs is gone, and with it what became of it"


class ShimHandle(Struct):
    """One run: ``pidfd`` of its shim (-1: not known), the last word to the shim, whether its end is known.

    ``token`` is the number of the order that was sent (-1: a former akjobd's), ``answered`` whether it is known what
    became of it, ``decided_us`` when it was decided (0: its code is imported ahead, which takes time). ``gone``:
    the shim is not there any more, or not for this run. ``call_signal`` is the signal that it listens to.
    ``forgotten``: the end is in the ledger.
    """

    run: str
    shim_pid: int = 0
    pidfd: int = -1
    call_signal: int = signal.SIGTERM
    pid: int = 0
    started_us: int = 0
    token: int = -1
    answered: bool = False
    sent_us: int = 0
    decided_us: int = 0
    ended: bool = False
    gone: bool = False
    forgotten: bool = False
    stop: bytes | None = None


class ShimManager:
    """All runs of this machine that are ordered or live: the local :class:`akjob.run.engine.Engine`.

    ``remove`` is called with the runs whose folders are of no more use, but for a spool that the collector has to read
    in. ``happened`` is what happened since it was emptied last. ``groups``: where runs get control groups.
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
        self._host = socket.gethostname()
        self._shims: dict[str, ShimHandle] = {}
        self._again: dict[tuple[str, str], Callable[[], None]] = {}
        self._again_at_us: int | None = None
        self._trouble = EngineProblem()
        self.early = Early()
        self.happened: list[Happening] = []
        self.groups: Groups | None = None
        self.zygote = ZygoteClient(
            lambda: Zygote(paths), selector, now_us, receive=self._receive, gone=self._zygote_gone
        )
        self._notices = self._bind()
        selector.register(self._notices, selectors.EVENT_READ, self._read_notices)

    # -- what akjobd asks ---------------------------------------------------------------------------------------------

    @property
    def due_us(self) -> int | None:
        """When :meth:`step` has something to do; None: never."""
        times = [at for at in (self._again_at_us, self.zygote.due_us) if at is not None]
        return min(times) if times else None

    def step(self, now_us: int) -> None:
        """Try again what could not be done: to start a zygote, to write to a full disk, to end what would not die."""
        self.zygote.step(now_us)
        if self._again_at_us is not None and now_us >= self._again_at_us:
            self._again_at_us = None
            waiting, self._again = self._again, {}
            for act in waiting.values():
                act()

    def take_trouble(self) -> EngineProblem:
        """Return what troubles the runs since the last call."""
        trouble, self._trouble = self._trouble, EngineProblem()
        if self.zygote.trouble:
            trouble, self.zygote.trouble = EngineProblem("zygote.ended", self.zygote.trouble), ""
        return trouble

    def has_nothing_due(self, now_us: int) -> bool:
        """Return True if nothing is tried again, and the zygote did not end as soon as it was started."""
        return self._again_at_us is None and self.zygote.has_nothing_due(now_us)

    def next_token(self, run: str) -> int:
        """Return the number that the next order of a run has to have."""
        return folder.last_order(self._folder(run))[0] + 1

    def send(self, orders: Iterable[Order]) -> None:
        """Order runs; their claims are in the ledger."""
        orders = list(orders)
        awake_us = self.early.awake_us([one["start_us"] for one in orders])
        encoded = []
        for one in orders:
            one["awake_us"] = awake_us
            handle = self._shims.setdefault(one["run"], ShimHandle(one["run"]))
            self._unwatch(handle)  # a shim that came too late for the order before; it ends by itself
            handle.token, handle.answered, handle.sent_us = one["token"], False, self._now_us()
            handle.ended = handle.gone = handle.forgotten = False
            handle.started_us, handle.stop = 0, None
            handle.decided_us = 0 if one["lead_us"] else one["decided_us"]
            encoded.append(order.encode(one))
        self.zygote.send(encoded)

    def stop(self, run: str, state: str, reason: str, *, kill: bool = False) -> None:
        """Make a run's shim end it: the run then has ``state`` and ``reason``."""
        handle = self._shims.get(run)
        if handle is not None and not handle.ended:
            handle.stop = folder.stop_text(state, reason, kill=kill)
            self._tell(handle)

    def recall(self, run: str) -> None:
        """Call back a run that has not begun; one that has goes on."""
        self.stop(run, RECALLED, "called back", kill=True)

    def find(self, run: str, *, running: bool) -> None:
        """Find out what became of a run of a former akjobd; adopt it, or say how it ended.

        ``running``: its start is in the ledger, so whatever its folder says, it cannot be started again.
        """
        handle = self._shims.setdefault(run, ShimHandle(run))
        if running and not os.path.isdir(self._folder(run)):
            self._lose(handle, _FOLDER_GONE)
        else:
            self._find_out(handle)

    def forget(self, run: str) -> None:
        """Drop a run whose end is in the ledger: its folder goes when its shim is gone and its lines are safe."""
        handle = self._shims.get(run)
        if handle is None:
            return
        handle.forgotten = True
        if handle.gone or (handle.pidfd < 0 and not folder_reader.holder(self._folder(run))):
            self._clean(handle)

    def sweep(self, is_open: Callable[[str], bool]) -> None:
        """Remove folders of runs that have ended, whose shims are gone and whose spools were read in."""
        self._miss_answers()
        for name in self.folders():
            if is_run_id(name) and self._is_over(name, is_open) and not folder_reader.holder(self._folder(name)):
                self._remove(name)
        if self.groups is not None:
            for name in self.groups.names():
                if self._is_over(name, is_open):
                    cgroup.end(self.groups.of(name))

    def folders(self) -> set[str]:
        """Return the runs that have a folder."""
        return set(os.listdir(self._runs))

    def handle(self, run: str) -> ShimHandle | None:
        """Return what is known of a run."""
        return self._shims.get(run)

    def close(self) -> None:
        """Close everything; shims and jobs live on."""
        self._selector.unregister(self._notices)
        self._notices.close()
        self.zygote.close()
        for handle in self._shims.values():
            self._unwatch(handle)

    # -- what the zygote and the shims report -------------------------------------------------------------------------

    def _receive(self, answer: Spawned | bytes) -> None:
        if isinstance(answer, Spawned):
            self._spawned(answer)
        else:
            self._notice(answer)

    def _spawned(self, answer: Spawned) -> None:
        before = self._shims.get(answer.left)
        if before is not None:  # its shim is done with it
            self._shim_ended(before)
        handle = self._shims.get(answer.run)
        if handle is None:
            if answer.pidfd >= 0:
                os.close(answer.pidfd)
            return
        handle.answered = True
        if answer.failed:
            self._never(handle, f"the zygote could not fork: {answer.failed}")
        elif answer.pidfd < 0:
            handle.shim_pid = answer.pid
            self._shim_gone(handle)
        else:
            self._watch(handle, answer.pid, answer.pidfd, answer.call_signal)

    def _zygote_gone(self) -> None:
        """Find out about every order; what shims have said to the zygote and was not read is lost with it."""
        for handle in [one for one in self._shims.values() if one.token >= 0 and not one.ended]:
            self._find_out(handle)

    def is_reachable(self) -> bool:
        """Return True if what shims send to their socket's path comes here. Safe in another thread."""
        return self._notices_at is not None and identity(self._paths.shims_socket) == self._notices_at

    def rebind(self) -> None:
        """Make the shims' socket again. What was sent meanwhile their folders have. Raises OSError."""
        self._selector.unregister(self._notices)
        self._notices.close()
        self._notices = self._bind()
        self._selector.register(self._notices, selectors.EVENT_READ, self._read_notices)

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
        self._notices_at = identity(path)
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
            pid, started_us, *arrived_us = map(int, rest[0].split())  # a shim of version 1 does not say the last
            self._learn(handle, arrived_us[0] if arrived_us else 0)
            self._started(handle, pid, started_us)
        elif kind == "ended":
            self._take_end(handle, folder_reader.decode_end(rest[0], run) if rest else None)
        elif kind == "unable":
            token, _, why = rest[0].partition(" ")
            if int(token) == handle.token:
                self._resolve(handle, f"its shim could not begin: {why}")

    def _learn(self, handle: ShimHandle, arrived_us: int) -> None:
        """Take in how long it took from the decision about a run to its gate."""
        if handle.decided_us and arrived_us:
            self.early.add(arrived_us - handle.decided_us)

    def _miss_answers(self) -> None:
        """Find out about orders that were taken long ago by a process that was killed before it answered."""
        if self.zygote.unread:
            return
        latest = self._now_us() - _ANSWER_US
        for handle in list(self._shims.values()):
            if handle.token >= 0 and not (handle.answered or handle.ended) and handle.sent_us < latest:
                self._find_out(handle)

    # -- what a run's folder says -------------------------------------------------------------------------------------

    def _find_out(self, handle: ShimHandle) -> None:
        handle.answered = True
        if self._take_end(handle):
            self._adopt(handle)  # it may still be waiting for its lines to be acknowledged
        else:
            self._resolve(handle, "its order was lost with the zygote or akjobd")

    def _resolve(self, handle: ShimHandle, why_never: str) -> None:
        """Find out what came of an order without an end: its shim lives, or is lost, or it must never start."""
        where = self._folder(handle.run)
        try:
            never = self._deny(where)
        except OSError as error:  # var/ is full or read-only: a shim may still come and make the fence
            trouble = f"{where}: it cannot be resolved who may start this run: {error.strerror}"
            self._later("resolve", handle, lambda: self._resolve_again(handle, why_never), trouble)
            return
        if never:
            self._never(handle, why_never)
        elif not self._adopt(handle):
            handle.gone = True
            if not self._take_end(handle):
                self._lose(handle, "its shim was killed, and with it what it knew of the run")

    def _resolve_again(self, handle: ShimHandle, why_never: str) -> None:
        if not handle.ended:
            self._resolve(handle, why_never)
            self._clean_if_over(handle)

    def _deny(self, where: str) -> bool:
        """Deny the outstanding order for good. False: a shim has it, or was first."""
        folder.make(where)
        last, taken = folder.last_order(where)
        return not taken and folder.deny(where, last + 1)

    def _adopt(self, handle: ShimHandle) -> bool:
        """Find the living shim by the lock it holds. False: none holds it."""
        where = self._folder(handle.run)
        pid, pidfd = folder_reader.open_shim(where)
        if not pid:
            return False
        handle.gone = False
        note = folder_reader.read_note(where)
        self._watch(handle, pid, pidfd, note.call_signal)
        if note.started_us and not handle.started_us and not handle.ended:
            self._started(handle, note.pid, note.started_us)
        return True

    def _watch(self, handle: ShimHandle, pid: int, pidfd: int, call_signal: int) -> None:
        if handle.pidfd >= 0:
            os.close(pidfd)
            return
        handle.shim_pid, handle.pidfd, handle.call_signal = pid, pidfd, call_signal
        self._selector.register(pidfd, selectors.EVENT_READ, lambda _mask: self._shim_ended(handle))
        self._tell(handle)

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
            if handle.started_us and not os.path.isdir(self._folder(handle.run)):
                self._lose(handle, _FOLDER_GONE)  # it has started, so nothing has to be denied
            else:
                self._resolve(handle, "its shim ended before it began")
        self._clean_if_over(handle)

    # -- what came of a run -------------------------------------------------------------------------------------------

    def _started(self, handle: ShimHandle, pid: int, started_us: int) -> None:
        handle.pid, handle.started_us = pid, started_us
        self.happened.append(Started(handle.run, pid, handle.shim_pid, started_us, self._host))

    def _take_end(self, handle: ShimHandle, reported: End | Recalled | None = None) -> bool:
        """Take the end that the shim has reported or left in the folder. Return True if the run's end is known."""
        if handle.ended:
            return True
        end = reported or folder_reader.read_end(self._folder(handle.run))
        if end is None:
            return False
        if isinstance(end, Recalled):
            return self._take_recalled(handle)
        handle.ended = True
        if end.started_us is not None and not handle.started_us:  # the notice of its start was lost
            handle.shim_pid = end.shim_pid or handle.shim_pid
            self._started(handle, end.pid or 0, end.started_us)
        self.happened.append(Ended(handle.run, end))
        return True

    def _take_recalled(self, handle: ShimHandle) -> bool:
        """Make the folder fit for the next order of the run, which needs the lock: not before its shim is gone."""
        if not handle.gone:
            return False
        where = self._folder(handle.run)
        try:
            folder.withdraw(where, folder.last_order(where)[0])
            folder.put_away(where)
        except OSError as error:
            trouble = f"{where}: what was called back cannot be removed: {error.strerror}"
            self._later("resolve", handle, lambda: self._resolve_again(handle, "called back"), trouble)
            return True
        self._never(handle, "called back")
        return True

    def _never(self, handle: ShimHandle, reason: str) -> None:
        handle.ended = handle.gone = True
        self.happened.append(NeverStarted(handle.run, reason))

    def _lose(self, handle: ShimHandle, reason: str) -> None:
        handle.ended = handle.gone = True
        if self.groups is not None:
            group = self.groups.of(handle.run)
            cgroup.end(group)
            self._later("group", handle, lambda: cgroup.end(group))
        count = leftovers.end(handle.run)
        self.happened.append(Lost(handle.run, reason + leftovers.killed(count)))

    # -- stopping, and what is left -----------------------------------------------------------------------------------

    def _tell(self, handle: ShimHandle) -> None:
        """Pass on that the run is to end. Without a descriptor of its shim that is done when there is one."""
        if handle.pidfd < 0 or handle.stop is None or handle.ended:
            return
        where = self._folder(handle.run)
        recalled = handle.stop.startswith(RECALLED.encode())  # without the word it would end as cancelled
        with contextlib.suppress(OSError):  # the shim may just be being born
            folder.make(where)
        error = folder_reader.tell_to_stop(
            where, handle.pidfd, handle.call_signal, handle.stop, without_word=not recalled
        )
        if error is not None and recalled:
            trouble = f"{where}: the run cannot be called back: {error.strerror}"
            self._later("tell", handle, lambda: self._tell(handle), trouble)

    def _later(self, what: str, handle: ShimHandle, act: Callable[[], None], trouble: str = "") -> None:
        """Do something in a second, once for each run; ``trouble`` is what keeps it from being done now."""
        self._again[what, handle.run] = act
        self._again_at_us = self._now_us() + _AGAIN_US
        if trouble:
            self._trouble = EngineProblem("runs.unwritable", trouble)

    def _is_over(self, run: str, is_open: Callable[[str], bool]) -> bool:
        return run not in self._shims and not is_open(run)

    def _clean_if_over(self, handle: ShimHandle) -> None:
        if handle.gone and handle.forgotten:
            self._clean(handle)

    def _clean(self, handle: ShimHandle) -> None:
        self._remove(handle.run)
        self._shims.pop(handle.run, None)

    def _folder(self, run: str) -> str:
        return f"{self._runs}/{run}"
