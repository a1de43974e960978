"""The socket on which orders go out and answers come back; akjobd has one end, the zygote and all its shims the other.

Whoever reads first has the order: the zygote, which forks a shim for it, or a shim that is done with its run. So in a
burst a shim looks after one run after another, and most of what a fork costs is paid once. What is said back is one
packet: ``forked RUN PID BELL LEFT`` with a pidfd of the shim beside it, or ``failed RUN why``.

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import _socket
import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LONGEST = 1 << 15
"""Bytes of an order that is a packet of its own; a longer one is in a memory file beside the packet IN_A_FILE."""

IN_A_FILE = b"file"

_INT = 4
_ROOM = _socket.CMSG_LEN(_INT)


def take(control: _socket.socket, flags: int = 0) -> dict[str, Any] | None:
    """Return the next order; None when akjobd is gone. BlockingIOError: there is none, and it may not wait."""
    data, beside, _, _ = control.recvmsg(LONGEST, _ROOM, flags)
    if not data:
        return None
    if data == IN_A_FILE:
        with open(int.from_bytes(beside[0][2], sys.byteorder), "rb") as file:
            data = file.read()
    order: dict[str, Any] = marshal.loads(data)  # noqa: S302 - akjobd's own, over its own socket
    return order


def answer(control: _socket.socket, run: str, pid: int, bell: int, left: str) -> None:
    """Tell akjobd which shim has a run. Raises ProcessLookupError when that has ended; akjobd itself may be gone."""
    pidfd = os.pidfd_open(pid)
    try:
        beside = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pidfd.to_bytes(_INT, sys.byteorder))
        control.sendmsg([f"forked {run} {pid} {bell} {left}".encode()], [beside])
    except (BrokenPipeError, ConnectionResetError):
        return  # the akjobd that sent the order is gone; the next one finds the shim by its lock
    finally:
        os.close(pidfd)
