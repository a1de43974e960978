"""The set-up of a job's process: what it logs, warns and fails with becomes structured lines of the log stream.

Nothing is imported that the job does not import: ``logging``, ``structlog``, ``warnings`` and ``threading`` are set
up right after the job imported them. A job that configures its own logging keeps it, and is not logged twice:

- ``logging``: records of level INFO and above arrive structured as long as no handler would see them (NullHandlers
  aside). With the job's first handler the root logger has its usual level, WARNING, again, and the handlers alone
  decide.
- ``structlog``: its default configuration writes to the log stream; ``structlog.configure`` replaces that as usual.
- ``warnings``: ``showwarning`` is replaced, as the documentation of ``warnings`` says; the job may replace it again.
- uncaught exceptions, in threads too: ``sys.excepthook``, ``threading.excepthook``, ``sys.unraisablehook``.
"""

from __future__ import annotations

import sys

from akjob.log.job import channel, current
from akjob.log.line import encode
from akjob.log.line.head import timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType, TracebackType
    from typing import Any

_INFO = 20
_UNCAUGHT = "uncaught exception"


def install() -> None:
    """Install the hooks. To be called once, before the job's code is loaded and before :func:`begin`."""
    sys.excepthook = _uncaught
    sys.unraisablehook = _unraisable
    for name, set_up in _SET_UP.items():
        module = sys.modules.get(name)
        if module is not None:
            set_up(module)
    sys.meta_path.insert(0, _Finder())


def begin(fd: int, names: Mapping[str, str]) -> None:
    """Set where messages go. ``fd`` leads to the shim, which adds source, job, run and seq to each of them.

    ``names`` are the run's ``AKJOB_*``.
    """
    channel.open_channel(fd)
    current.set_names(names)


def uncaught(error: BaseException) -> None:
    """Write the exception that ended the job's code; for a caller that catches it instead of Python."""
    fields = channel.with_failure({"exc_info": error})
    channel.write("error", _UNCAUGHT, None, fields)


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if kind is SystemExit:
        return
    uncaught(error if error.__traceback__ is trace else error.with_traceback(trace))


def _unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    where = unraisable.err_msg or "Exception ignored in"
    fields = channel.with_failure({"exc_info": unraisable.exc_value, "object": unraisable.object})
    channel.write("error", where, None, fields)


# -- after an import


class _Finder:
    """First in ``sys.meta_path``: lets the others find a module, and sets it up once it is loaded."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        set_up = _SET_UP.get(name)
        if set_up is None:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec: ModuleSpec | None = find(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    _after_loading(spec.loader, set_up)
                return spec
        return None


def _after_loading(loader: object, set_up: Callable[[ModuleType], None]) -> None:
    """Have this one loader, made for this one module, call ``set_up`` when the module's code has run."""
    execute = loader.exec_module  # type: ignore[attr-defined]

    def exec_module(module: ModuleType) -> None:
        execute(module)
        set_up(module)

    try:
        loader.exec_module = exec_module  # type: ignore[attr-defined]
    except AttributeError:  # a frozen module's loader is a class that takes no attributes
        return


# -- logging


class _UsualLevel(int):
    """The root logger's level until the job sets one: INFO, of a type of its own, so not an INFO that the job set."""


def _set_up_logging(module: Any) -> None:
    logger_class: type[logging.Logger] = module.Logger
    root: logging.Logger = module.root
    null_handler: type = module.NullHandler
    plain: frozenset[str] = frozenset(vars(module.makeLogRecord({}))) | {"message", "asctime", "taskName"}
    call_handlers, add_handler = logger_class.callHandlers, logger_class.addHandler

    def callHandlers(self: logging.Logger, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        if _has_handlers(self, null_handler):
            call_handlers(self, record)
        elif record.levelno >= _INFO:
            _record(record, plain)

    def addHandler(self: logging.Logger, hdlr: logging.Handler) -> None:  # noqa: N802 - logging's own name
        if type(root.level) is _UsualLevel and not isinstance(hdlr, null_handler):
            root.setLevel(module.WARNING)
        add_handler(self, hdlr)

    logger_class.callHandlers = callHandlers  # type: ignore[method-assign]
    logger_class.addHandler = addHandler  # type: ignore[method-assign]
    # logging.info() and its like call basicConfig() where the root has no handler; the root's own methods do not.
    for name in ("debug", "info", "warning", "error", "exception", "critical", "log"):
        setattr(module, name, getattr(root, name))
    module.fatal = root.critical
    if not root.handlers and root.level == module.WARNING:
        root.level = _UsualLevel(_INFO)


def _has_handlers(logger: logging.Logger | None, null_handler: type) -> bool:
    """Return whether a record of this logger would be seen by anything but a NullHandler."""
    while logger is not None:
        for handler in logger.handlers:
            if not isinstance(handler, null_handler):
                return True
        logger = logger.parent if logger.propagate else None
    return False


def _record(record: logging.LogRecord, plain: frozenset[str]) -> None:
    try:
        event = record.getMessage()
    except Exception as error:  # noqa: BLE001 - wrong arguments must not cost the message
        event = f"{record.msg} (its arguments do not fit: {type(error).__name__}: {error})"
    fields = {key: value for key, value in vars(record).items() if key not in plain}
    if record.exc_info:
        fields["exc_info"] = record.exc_info
    elif record.exc_text:
        channel.put_aside(fields, "exception")
        fields["exception"] = record.exc_text
    if record.stack_info:
        channel.put_aside(fields, "stack")
        fields["stack"] = record.stack_info
    level = level_of(record.levelno)
    channel.write(level, event, record.name, channel.with_failure(fields), int(record.created * 1_000_000) * 1000)


def level_of(number: int) -> str:
    """Return the name of the level that a number of ``logging`` belongs to."""
    for least, name in ((50, "critical"), (40, "error"), (30, "warning"), (20, "info")):
        if number >= least:
            return name
    return "debug"


# -- structlog


_STRUCTLOG_LEVELS = {
    "debug": "debug",
    "info": "info",
    "msg": "info",
    "warning": "warning",
    "warn": "warning",
    "error": "error",
    "err": "error",
    "failure": "error",
    "exception": "error",
    "critical": "critical",
    "fatal": "critical",
}


class _MessageOutput:
    """What a bound logger of structlog writes to: finished messages."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def msg(self, message: bytes) -> None:
        """Send one finished message."""
        channel.send(message)

    log = debug = info = warn = warning = err = error = failure = exception = critical = fatal = msg


def _make_output(*arguments: object) -> _MessageOutput:
    """Return where a logger writes to: ``structlog.get_logger("name")`` has a name, ``get_logger()`` none."""
    return _MessageOutput(arguments[0] if arguments and isinstance(arguments[0], str) else None)


def _finish(logger: object, method: str, event_dict: dict[str, object]) -> bytes:
    """Make a message of an event: the last of structlog's processors."""
    import time  # noqa: PLC0415 - there since Python started

    fields = dict(event_dict)
    event = fields.pop("event", "")
    if method == "exception":
        fields.setdefault("exc_info", True)
    name = getattr(logger, "name", None) or fields.get("logger")
    level = _STRUCTLOG_LEVELS.get(method, "info")
    for key, own in (("logger", name), ("level", level)):
        if fields.get(key) == own:  # as add_logger_name and add_log_level set them; others get their underscore
            fields.pop(key, None)
    if fields.pop("stack_info", None):
        import traceback  # noqa: PLC0415 - only a job that asks for the stack needs it

        channel.put_aside(fields, "stack")
        fields["stack"] = "".join(traceback.format_stack(sys._getframe(1))).rstrip()  # noqa: SLF001
    stamp = timestamp(time.time_ns())
    shown = name if name is None or isinstance(name, str) else repr(name)
    return encode.message(stamp, str(level), event, shown, channel.with_failure(fields))


def _set_up_structlog(module: Any) -> None:
    module.configure(
        processors=[module.contextvars.merge_contextvars, _finish],
        wrapper_class=module.make_filtering_bound_logger(0),
        context_class=dict,
        logger_factory=_make_output,
        cache_logger_on_first_use=False,
    )
    # Defaults are not the job's configuration: configure_once() must still configure, and is_configured() be false.
    configuration = getattr(getattr(module, "_config", None), "_CONFIG", None)
    if configuration is not None:
        configuration.is_configured = False


# -- warnings, threads


def _set_up_warnings(module: Any) -> None:
    show = module.showwarning

    def showwarning(  # noqa: PLR0913, PLR0917 - the signature that warnings wants
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: object = None,
        line: str | None = None,
    ) -> None:
        if file is not None:
            show(message, category, filename, lineno, file, line)
            return
        fields = {"category": category.__name__, "file": filename, "line": lineno}
        channel.write("warning", str(message), "py.warnings", fields)

    module.showwarning = showwarning


def _set_up_threading(module: Any) -> None:
    def excepthook(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_type is SystemExit:
            return
        name = arguments.thread.name if arguments.thread is not None else None
        fields = channel.with_failure({"exc_info": arguments.exc_value, "thread": name})
        channel.write("error", _UNCAUGHT, None, fields)

    module.excepthook = excepthook


_SET_UP: dict[str, Callable[[ModuleType], None]] = {
    "logging": _set_up_logging,
    "structlog": _set_up_structlog,
    "warnings": _set_up_warnings,
    "threading": _set_up_threading,
}
