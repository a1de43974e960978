"""The small process that only forks: akjobd sends it orders, each becomes a shim.

It is started as ``python -I -S -X utf8 … zygote`` with a socket on descriptor 3, has one thread, and has loaded what a
shim and a job need and nothing else: what it has imported decides what every fork costs.

akjobd writes orders, each a length of four bytes (little endian) and a ``marshal`` dictionary (:mod:`akjob.run.order`);
for each the zygote answers one packet, ``forked RUN PID`` with a pidfd of the shim beside it, or ``failed RUN why``.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the module signal would bring in enum
import _socket
import gc
import marshal
import os
import site
import sys

from akjob.code import load
from akjob.log import job as _job  # noqa: F401 - loaded here so that no run mixes versions after an upgrade
from akjob.run import child, linux, shim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_READ = 1 << 18


def main(descriptor: int) -> None:
    """Serve the orders that come on a descriptor until akjobd is gone, which is the end of its socket."""
    control = _socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    linux.keep_title_area()
    linux.set_title("akjob: zygote")
    # Shims belong to nobody here: the kernel takes their exit status.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
    for number in (_signal.SIGINT, _signal.SIGHUP):
        _signal.signal(number, _signal.SIG_IGN)
    child.known_site = _learn_site()
    site.setquit()
    site.setcopyright()
    site.sethelper()
    gc.disable()
    gc.freeze()
    waiting = b""
    while True:
        data = control.recv(_READ)
        if not data:
            return
        waiting += data
        at = 0
        while len(waiting) - at >= 4:  # noqa: PLR2004 - the length itself
            size = int.from_bytes(waiting[at : at + 4], "little")
            if len(waiting) - at - 4 < size:
                break
            order = marshal.loads(waiting[at + 4 : at + 4 + size])  # noqa: S302 - akjobd's own, over its own socket
            at += 4 + size
            _fork(control, order)
        waiting = waiting[at:]


def _learn_site() -> load.Known | None:
    """Find out what Python's own start does here, in a process that ends: nothing of it is imported in this one."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, marshal.dumps(load.learn(child.LIBRARY_PATH)))
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        told = file.read()
    try:
        found = marshal.loads(told) if told else None  # noqa: S302 - our own child's
    except (EOFError, ValueError):
        found = None
    return None if found is None else load.Known(*found)


def _fork(control: _socket.socket, order: dict[str, Any]) -> None:
    try:
        pid = os.fork()
    except OSError as error:
        control.send(f"failed {order['run']} {error.strerror}".encode())
        return
    if pid == 0:
        control.close()
        shim.main(order)
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:  # it ended already, and the kernel has reaped it
        control.send(f"forked {order['run']} {pid}".encode())
        return
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, pidfd.to_bytes(4, sys.byteorder))
    control.sendmsg([f"forked {order['run']} {pid}".encode()], [rights])
    os.close(pidfd)
