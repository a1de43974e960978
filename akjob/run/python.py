"""Running Python code as a run: the gate, the call, the way out. What it finds out it tells the shim.

Read by Pythons that have nothing of akjob installed (``interpreter``), from 3.8 on, so it imports the standard library
alone, and of that only what is loaded anyway.
"""

from __future__ import annotations

import atexit
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

    from akjob.run.order import Order

EVENT = b"{"
ERROR = b"E"
REFUSED = b"F"
READY = b"I"
RESULT = b"R"
STARTED = b"S"
"""First byte of what the job's side tells the shim: a log event (a JSON object), the error that the code ended with,
a step that could not be done, the code is imported, the return value as JSON, the gate was passed (when, and
since when it was waited for, in microseconds)."""

_MESSAGE_BYTES = 60_000
_GATE_CHECK_S = 1.0
_AWAKE_US = 1_500


def tell(channel: _socket.socket, kind: bytes, text: str) -> None:
    """Send the shim a message, cut to what one can hold."""
    data = text.encode("utf-8", "replace")
    if len(data) > _MESSAGE_BYTES:
        data = data[:_MESSAGE_BYTES].decode("utf-8", "ignore").encode("utf-8")
    try:
        channel.send(kind + data)
    except OSError:
        return  # the shim is gone, and with it this process in a moment


def wait(channel: _socket.socket, start_us: int, awake_us: int = 0) -> None:
    """Wait at the gate for an instant of the wall clock, and tell the shim that it is passed.

    The job itself waits, for any other process would have to wake it first; it does not sleep in the last
    ``awake_us``, for it takes half a millisecond to wake a sleeping processor. If the shim
    ends or calls the run off before, nothing of the job has happened.
    """
    arrived_us = time.time_ns() // 1000
    while True:
        now_us = time.time_ns() // 1000
        left_us = start_us - now_us
        if left_us <= 0:
            break
        # The clock can be set meanwhile, so a long wait is looked at now and then.
        if left_us > awake_us and select.select([channel], [], [], min(_GATE_CHECK_S, (left_us - awake_us) / 1e6))[0]:
            os._exit(0)
    tell(channel, STARTED, f"{now_us} {arrived_us}")


def own_streams() -> None:
    """Make stdout and stderr again: a line is in the log when it is printed, not when 8 KiB are full."""
    for number, name, errors in ((1, "stdout", "surrogateescape"), (2, "stderr", "backslashreplace")):
        stream = open(number, "w", buffering=1, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def begin(
    order: Order, channel: _socket.socket, load: Any, *, gated: bool, report: Callable[[BaseException], None]
) -> int:
    """Load the code, wait at the gate, run it; return the exit code. ``load`` is the module akjob.code.load.

    Raises what loading raises. ``report`` writes down an exception that ended the code.
    """
    ahead = order["import_ahead"]
    if gated and not ahead:
        if order["code"][0] == "callable":
            load.touch(order["code"][1])
        wait(channel, order["start_us"], order["awake_us"])
    try:
        call = _load(order, load)
    except load.CodeError as error:
        _report_cause(error, load, report)
        raise
    except BaseException as error:
        if gated and ahead and isinstance(error, SystemExit):  # an end as good as another: it comes on the slot
            wait(channel, order["start_us"])
        return _finish(_failed(error, channel, load, report), report)
    if gated and ahead:
        tell(channel, READY, "")
        wait(channel, order["start_us"], _AWAKE_US)
    return _run(call, channel, load, report)


def _is_ours(frame: TracebackType, load: Any) -> bool:
    file = frame.tb_frame.f_code.co_filename
    return file in (__file__, load.__file__) or file.startswith("<frozen importlib")


def _report_cause(error: BaseException, load: object, report: Callable[[BaseException], None]) -> None:
    """Write down the exception that kept the code from being loaded, where it comes from the code itself."""
    cause = error.__cause__
    own = None if cause is None else cause.__traceback__
    while own is not None and (_is_ours(own, load)):
        own = own.tb_next
    if cause is not None and (own is not None or isinstance(cause, SyntaxError)):
        report(cause.with_traceback(own))


def _load(order: Order, load: Any) -> Any:
    for target in order["setup"]:
        load.load_callable(target)()
    kind, target, *rest = order["code"]
    args, kwargs = plain(order["args"]), plain(order["kwargs"])
    if kind == "callable":
        return load.load_callable(target, args, kwargs)
    return load.load_dill(target, rest[0], rest[1], args, kwargs)


def plain(value: object) -> Any:
    """Give TOML's dates and times back their types; an order carries them as ``("datetime", text)`` and its like."""
    if type(value) is tuple:
        import datetime  # noqa: ICN001 - its types are looked up by name

        return getattr(datetime, value[0]).fromisoformat(value[1])
    if type(value) is list:
        return [plain(item) for item in value]
    if type(value) is dict:
        return {key: plain(item) for key, item in value.items()}
    return value


def _run(call: Any, channel: _socket.socket, load: Any, report: Callable[[BaseException], None]) -> int:
    """Call the job's code and end as a script would: threads joined, exit functions run, streams flushed."""
    code = 0
    try:
        result = call()
        if result is not None:
            tell(channel, RESULT, load.result_json(result))
    except BaseException as error:
        code = _failed(error, channel, load, report)
    return _finish(code, report)


def _failed(error: BaseException, channel: _socket.socket, load: Any, report: Callable[[BaseException], None]) -> int:
    """Report what an exception of the job's own code came to, and return the exit code."""
    if isinstance(error, SystemExit):
        return _exit_code(error)
    tell(channel, ERROR, load.describe_exception(error))
    # The frames above the job's own code are ours, and tell its author nothing.
    own = error.__traceback__
    while own is not None and _is_ours(own, load):
        own = own.tb_next
    report(error.with_traceback(own))
    return 1


def _exit_code(leave: SystemExit) -> int:
    if leave.code is None:
        return 0
    if isinstance(leave.code, int):
        return leave.code & 0xFF
    sys.stderr.write(f"{leave.code}\n")
    return 1


def _finish(code: int, report: Callable[[BaseException], None]) -> int:
    threading = sys.modules.get("threading")
    try:
        if threading is not None:
            threading._shutdown()  # noqa: SLF001 - what the interpreter does before it ends
        atexit._run_exitfuncs()  # noqa: SLF001 - as above
    except BaseException as error:
        report(error)
        code = code or 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 1
    return code
