"""The small process that only forks: akjobd sends it orders, each becomes a shim.

It is started as ``python -I -S -X utf8 … zygote`` with a socket on descriptor 3, has one thread, and has loaded what a
shim and a job need and nothing else: what it has imported decides what every fork costs.

What goes over the socket is in :mod:`akjob.run.order_socket`; the zygote forks a shim for each order that no shim
took.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the module signal would bring in enum
import _socket
import gc
import marshal
import os
import site

from akjob.code import load
from akjob.log.job import hooks as _job  # noqa: F401 - loaded here so that no run mixes versions after an upgrade
from akjob.run import child, linux, order_socket, shim, warmup
from akjob.run.wakeup import CALL_SIGNALS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from akjob.run.order import Order


def main(descriptor: int, warm_up_in: str) -> None:
    """Serve the orders that come on a descriptor until akjobd is gone, which is the end of its socket.

    ``warm_up_in`` is a folder for :mod:`akjob.run.warmup`; empty: there is but one run, and it must begin soon.
    """
    control = _socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)
    linux.keep_title_area()
    if b"LC_CTYPE" not in linux.given_environment():
        os.environ.pop("LC_CTYPE", None)  # Python itself has set it (PEP 538); it is nothing of the jobs'
    known_site = _learn_site()
    child.prepare(known_site)
    site.setquit()
    site.setcopyright()
    site.sethelper()
    if warm_up_in:
        warmup.warm_up(warm_up_in, known_site)
    linux.set_title("akjob: zygote")
    # The zygote does not wait for its shims: the kernel takes their exit status.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
    for number in (_signal.SIGINT, _signal.SIGHUP):
        _signal.signal(number, _signal.SIG_IGN)
    gc.disable()
    gc.freeze()
    admission = order_socket.AdmissionLimit()
    while (order := order_socket.take(control)) is not None:
        _fork(control, admission, order)
        admission.wait()


def _learn_site() -> load.SiteSetup | None:
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
        learnt = file.read()
    try:
        found = marshal.loads(learnt) if learnt else None  # noqa: S302 - our own child's
    except (EOFError, ValueError):
        found = None
    return None if found is None else load.SiteSetup(*found)


def _fork(control: _socket.socket, admission: order_socket.AdmissionLimit, order: Order) -> None:
    try:
        pid = os.fork()
    except OSError as error:
        control.send(f"failed {order['run']} {error.strerror}".encode())
        return
    if pid == 0:
        shim.main(order, control, admission)
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:  # it ended already, and the kernel has reaped it
        control.send(f"forked {order['run']} {pid} 0 ".encode())
        return
    order_socket.answer(control, order["run"], pid, pidfd, CALL_SIGNALS[0], "")
    admission.add(pid, pidfd)
