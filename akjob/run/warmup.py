"""Runs of nothing that the zygote goes through before its first order, so that what every run executes is warm.

CPython rewrites a function's bytecode for what it finds there after some calls, and fills its caches of types and
dictionaries. Every run would do that again after its fork, in pages that are copied for it; here it is done once.

What is done is real: a shim's life with a forked job, then the job's own way to its call and back, in this process.
All of it happens in a folder of its own, which is removed again, and this process is left as it was. It is for speed
alone: where it cannot be done, runs cost a little more. Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the module signal would bring in enum
import _socket
import gc
import marshal
import os
import select
import sys

from akjob.run import child, failpoint, folder, order_socket, shim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from akjob.code import load
    from akjob.run.order import Order

_TURNS = 12
_MOST_S = 2
_MODULE = "akjob_warmup"
_FOLDER = "warmup."
_POOL = "pool"


def warm_up(parent: str, known: load.SiteSetup | None) -> None:
    """Go through some runs in a folder below ``parent``, which is made and removed.

    ``known`` is what Python finds by itself here; without it only shims are warmed up: a job would have to find out.
    """
    place = f"{parent}/{_FOLDER}{os.getpid()}"
    kept = failpoint.address, sys.dont_write_bytecode
    failpoint.address, sys.dont_write_bytecode = None, True
    _signal.signal(_signal.SIGALRM, _too_long)
    _signal.alarm(_MOST_S)
    try:
        _clear_others(parent)
        for path in (place, f"{place}/{_POOL}"):
            os.mkdir(path, 0o700)
        with open(f"{place}/{_MODULE}.py", "w", encoding="utf-8") as file:
            file.write("def nothing(): return None\n")
        _warm_up_shims(place)
        if known is not None:
            # What `.pth` files execute is for each run, and not for all of them in here.
            lines, known.lines = known.lines, []
            try:
                for turn in range(_TURNS):
                    _warm_up_job(_order(place, turn), known)
            finally:
                known.lines = lines
        _clear(place)
    except (Exception, SystemExit, _TooLongError):
        return  # a full or read-only disk, or it is gone: the next writer there will report it
    finally:
        _signal.alarm(0)
        _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
        failpoint.address, sys.dont_write_bytecode = kept
        gc.disable()
        gc.collect()


class _TooLongError(BaseException):
    """It takes too long; not to be taken for what may happen to a run."""


def _too_long(_number: int, _frame: object) -> None:
    raise _TooLongError


def _warm_up_shims(place: str) -> None:
    collector = _fork_collector(place)
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    process = shim.Process(theirs, order_socket.AdmissionLimit(), f"{place}/shims")
    try:
        order: Order | None = _order(place, 0)
        for turn in range(1, _TURNS + 1):
            if order is None:
                return
            one = shim.Shim(order, process)
            one.live()
            if turn < _TURNS:
                ours.send(marshal.dumps(dict(_order(place, turn))))
            folder.recycle(order["folder"], f"{place}/{_POOL}/{one.run}")
            order = one.next_order()
            _hear(ours)
    finally:
        process.wakeup.close()
        process.admission.leave()
        ours.close()
        theirs.close()
        os.close(collector)


def _hear(ours: _socket.socket) -> None:
    """Take what akjobd would be told."""
    try:
        while ours.recv(1 << 16, _socket.MSG_DONTWAIT):
            continue
    except BlockingIOError:
        return


def _fork_collector(place: str) -> int:
    """Start a process that acknowledges lines, as the collector does, until the descriptor returned is closed.

    It must not be a child of ours: a shim would take it for something that its job has left.
    """
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    listener.bind(f"{place}/collector")
    listener.listen(_TURNS)
    theirs, ours = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if os.fork() == 0:
                os.close(ours)
                while listener.fileno() in select.select([listener.fileno(), theirs], [], [])[0]:
                    _acknowledge(listener)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    listener.close()
    os.close(theirs)
    return ours


def _acknowledge(listener: _socket.socket) -> None:
    fd, _ = listener._accept()  # type: ignore[attr-defined] # noqa: SLF001 - what socket.accept() calls
    connection = _socket.socket(fileno=fd)
    lines = -1  # the hello is not a line
    while data := connection.recv(1 << 16):
        lines += data.count(b"\n")
        connection.send(b"%d\n" % lines)
    connection.close()


def _warm_up_job(order: Order, known_site: load.SiteSetup) -> None:
    """Go the job's way to its call, and put back what it changes."""
    if not known_site.holds({}):
        return  # something is being installed: each run finds out for itself
    finders, hooks = list(sys.meta_path), list(sys.path_hooks)
    path, argv, known, modules = list(sys.path), list(sys.argv), dict(sys.path_importer_cache), set(sys.modules)
    channel, other = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    environment = child.environment_of(order, None)
    child.set_environment(environment)
    try:
        child.begin(order, channel, environment, gated=True)
    finally:
        channel.close()
        other.close()
        child.set_environment(dict.fromkeys(child.NAMES, ""))
        sys.path[:], sys.argv[:] = path, argv
        sys.meta_path[:], sys.path_hooks[:] = finders, hooks
        sys.path_importer_cache.clear()
        sys.path_importer_cache.update(known)
        for name in set(sys.modules) - modules:
            del sys.modules[name]


def _order(place: str, turn: int) -> Order:
    """Return an order as :mod:`akjob.run.order` makes them, of a job that does nothing."""
    run = f"warmup-{turn}"
    names = dict.fromkeys(child.NAMES, "2026-01-01T00:00:00.000000Z") | {"AKJOB_ATTEMPT": "1"}
    return {
        "version": 1,
        "run": run,
        "job": "warmup",
        "attempt": 1,
        "trigger": "manual",
        "slot_us": 0,
        "decided_us": 0,
        "token": 0,
        "start_us": 1,
        "import_ahead": turn % 2 == 1,
        "awake_us": 0,
        "lead_us": 0,
        "folder": f"{place}/{run}",
        "folder_pool": f"{place}/{_POOL}",
        "shims": f"{place}/shims",
        "collector": f"{place}/collector",
        "root": place,
        "cwd": place,
        "path": [],
        "pythonpath": [],
        "interpreter": None,
        "setup": [],
        "code": ("callable", f"{_MODULE}:nothing"),
        "args": [],
        "kwargs": {},
        "env": {},
        "env_file": [],
        "names": names,
        "changed": [],
        "changed_file": "",
        "user": None,
        "group": None,
        "umask": 0o022,
        "nice": None,
        "ionice": None,
        "rlimits": [],
        "cgroup": "",
        "limits": {"memory": None, "processes": None},
        "timeout_us": 10_000_000,
        "stop_at_us": None,
        "stop_at": "",
        "lease": "",
        "stop_signal": _signal.SIGTERM,
        "kill_after_us": 1_000_000,
        "success_codes": [0],
        "output_limit": 1 << 20,
        "warnings": [],
    }


def _clear_others(parent: str) -> None:
    """Remove what zygotes have left that were killed at it."""
    for name in os.listdir(parent):
        if name.startswith(_FOLDER) and not os.path.exists(f"/proc/{name.removeprefix(_FOLDER)}"):
            _clear(f"{parent}/{name}")
    _clear(f"{parent}/{_FOLDER}{os.getpid()}")


def _clear(place: str) -> None:
    if not os.path.isdir(place):
        return
    for name in os.listdir(place):
        path = f"{place}/{name}"
        if os.path.isdir(path):
            _clear(path)
        else:
            os.unlink(path)
    os.rmdir(place)
