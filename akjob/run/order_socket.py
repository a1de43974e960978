"""The socket on which orders go out and answers come back; akjobd has one end, the zygote and all its shims the other.

The first reader has the order: the zygote, which forks a shim for it, or a shim that is done with its run. So in a
burst a shim looks after one run after another, and most of what a fork costs is paid once;
:class:`AdmissionLimit` keeps their number to what the processors have a use for. What is said back is one
packet: ``forked RUN PID CALL LEFT`` with a pidfd of the shim, or ``failed RUN why``.

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import _socket
import marshal
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from akjob.run.order import Order

LONGEST = 1 << 15
"""Bytes of an order that is a packet of its own; a longer one is in a memory file beside the packet IN_A_FILE."""

IN_A_FILE = b"file"

_INT = 4
_BUSY_A_PROCESSOR = 3
_ROOM = _socket.CMSG_LEN(_INT)


def take(control: _socket.socket, flags: int = 0) -> Order | None:
    """Return the next order; None when akjobd is gone. BlockingIOError: there is none, and it may not wait.

    What an akjobd has sent that is gone is not taken: the next one decides again about every order that was not.
    """
    try:
        data, beside, _, _ = control.recvmsg(LONGEST, _ROOM, flags)
    except ConnectionResetError:
        return None
    poll = select.poll()
    poll.register(control, 0)
    if not data or poll.poll(0):
        return None
    if data == IN_A_FILE:
        with open(int.from_bytes(beside[0][2], sys.byteorder), "rb") as file:
            data = file.read()
    order: Order = marshal.loads(data)  # noqa: S302 - akjobd's own, over its own socket
    return order


def answer(control: _socket.socket, run: str, pid: int, pidfd: int, call_signal: int, left: str) -> None:  # noqa: PLR0913, PLR0917
    """Report to akjobd which shim has a run. akjobd may be gone."""
    beside = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pidfd.to_bytes(_INT, sys.byteorder))
    try:
        control.sendmsg([f"forked {run} {pid} {call_signal} {left}".encode()], [beside])
    except OSError:
        return  # the akjobd that sent the order is gone; the next one finds the shim by its lock


class AdmissionLimit:
    """How many shims are busy: forked, not ended, and not yet waiting for a job that goes on.

    Without a bound a burst would be hundreds of processes that wait for a processor, each with its memory, and akjobd
    among them. A shim writes its pid here once its job has run for a moment; a killed one is noticed by its pidfd.
    """

    def __init__(self) -> None:
        self._most = _BUSY_A_PROCESSOR * (os.cpu_count() or 1)
        self._read, self._write = os.pipe2(os.O_CLOEXEC)
        self._busy: dict[int, int] = {}
        self.counted = False

    def add(self, pid: int, pidfd: int) -> None:
        """Count a shim that was just forked, and keep its descriptor."""
        self._busy[pid] = pidfd

    def wait(self) -> None:
        """Wait until another one may be forked."""
        if not self._busy:
            return
        full = len(self._busy) >= self._most
        ready, _, _ = select.select([self._read, *self._busy.values()], [], [], None if full else 0)
        gone = [pid for pid, pidfd in self._busy.items() if pidfd in ready]
        if self._read in ready:
            freed = os.read(self._read, _INT << 10)
            gone += [int.from_bytes(freed[at : at + _INT], sys.byteorder) for at in range(0, len(freed), _INT)]
        for pid in gone:
            pidfd = self._busy.pop(pid, -1)
            if pidfd >= 0:
                os.close(pidfd)
        if full:
            self.wait()

    def enter(self) -> None:
        """In a shim that was just forked: count as busy, and close what belongs to the others."""
        self.counted = True
        for pidfd in self._busy.values():
            os.close(pidfd)
        self._busy.clear()

    def release(self) -> None:
        """In a shim: be no longer one of those that are busy."""
        self.counted = False
        os.write(self._write, os.getpid().to_bytes(_INT, sys.byteorder))

    def leave(self) -> None:
        """In a job: have nothing to do with it."""
        os.close(self._read)
        os.close(self._write)
