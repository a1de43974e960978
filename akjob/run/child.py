"""The job's side of the fork: from a copy of the shim to the job's first instruction.

Part of the zygote: at the top it imports next to nothing; what only some jobs need is imported on their way.

The order of the steps is the order in which the kernel's rules allow them: what needs root comes before the user is
changed, the request to die with the shim comes after it (setuid clears it), the folder is entered as the user.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the module signal would bring in enum
import gc
import marshal
import os
import resource
import sys
import time

from akjob.code import fresh, load
from akjob.log.job import hooks
from akjob.run import execute, linux, python, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from akjob.run.order import Order

LIBRARY_PATH = list(sys.path)
"""Where the bare interpreter finds its standard library; set by the zygote."""

_known_site: load.SiteSetup | None = None

NAMES = (
    *("AKJOB_JOB", "AKJOB_RUN", "AKJOB_SLOT", "AKJOB_ATTEMPT", "AKJOB_ROOT"),
    *("AKJOB_TRIGGER", "AKJOB_SLOT_LOCAL", "AKJOB_PREVIOUS_SLOT"),
)
"""What every run has in its environment."""

_PYTHONS_OWN = (_signal.SIGPIPE, _signal.SIGXFSZ)
_IDS = (1 << 32) - 2
_FIXED = (_signal.SIGKILL, _signal.SIGSTOP)
_ZYGOTES_AND_SHIMS = (_signal.SIGCHLD, _signal.SIGTERM, _signal.SIGHUP)


class RefusedError(Exception):
    """A step before the job's code could not be done: the run fails with this as its reason."""


def main(  # noqa: PLR0913, PLR0917 - all that the shim hands over
    order: Order,
    channel: _socket.socket,
    out: int,
    err: int,
    shim: int,
    call_signals: Sequence[int],
    *,
    gated: bool,
) -> NoReturn:
    """Become the job.

    ``out`` and ``err`` are the pipes' writing ends, ``shim`` is the pid that must be the parent, and ``call_signals``
    are the real-time signals that it has used.
    """
    code = 127
    try:
        try:
            environment = _surroundings(order, out, err, shim, call_signals)
            code = begin(order, channel, environment, gated=gated)
        except RefusedError as refused:
            python.tell(channel, python.REFUSED, str(refused))
        except load.CodeError as error:
            code = 1
            python.tell(channel, python.REFUSED, _closed_library(order) or error.reason)
    except BaseException as error:
        code = 1
        # An encoding is a module of the library as well.
        closed = _closed_library(order) if isinstance(error, ImportError | LookupError) else None
        python.tell(channel, python.REFUSED, closed or load.describe_exception(error))
    finally:
        os._exit(code)


def _closed_library(order: Order) -> str | None:
    """Return why this user cannot import what Python itself has: the search goes on as if it were not there."""
    closed = None if order["user"] is None else execute.closed_folder(LIBRARY_PATH)
    if closed is None:
        return None
    return f"user {order['user']!r} may not enter {closed}, which is on the way to Python's library {LIBRARY_PATH[-1]}"


# -- what the zygote does once for all --------------------------------------------------------------------------------


def prepare(known_site: load.SiteSetup | None) -> None:
    """Do in the zygote what is the same for every job: signals as a Python has them, hooks, streams, the usual path."""
    global _known_site  # noqa: PLW0603 - set once, before the first fork
    for number in _signal.valid_signals():
        # Python itself ignores two; a command gets them back just before it is executed.
        if number not in _PYTHONS_OWN and number not in _FIXED and _signal.getsignal(number) is not _signal.SIG_DFL:
            _signal.signal(number, _signal.SIG_DFL)
    _known_site = known_site
    if known_site is not None:
        known_site.apply_shared()
    load.forget_folders(LIBRARY_PATH)
    fresh.install()
    hooks.install()
    # To change a value that is there is cheaper, just after a fork, than to make room for one.
    set_environment(dict.fromkeys(NAMES, ""))
    _own_streams()


def _own_streams() -> None:
    """Make the job's streams: on pipes, which is what the descriptors will be then, and Python remembers it."""
    kept = os.dup(1), os.dup(2)
    read, write = os.pipe()
    for number in (1, 2):
        os.dup2(write, number)
    python.own_streams()
    for number, fd in enumerate(kept, 1):
        os.dup2(fd, number)
    for fd in (*kept, read, write):
        os.close(fd)


# -- the surroundings -------------------------------------------------------------------------------------------------


def _surroundings(order: Order, out: int, err: int, shim: int, call_signals: Sequence[int]) -> dict[str, str]:
    """Make this process the job's; return what its environment has beyond akjobd's."""
    os.setsid()
    for fd, number in ((out, 1), (err, 2)):
        os.dup2(fd, number)
        os.close(fd)
    _reset_signals(call_signals)
    user = _user(order)
    environment = environment_of(order, user)  # secrets are read as the daemon
    os.umask(order["umask"])
    if order["nice"] is not None:
        _step(f"nice = {order['nice']}", os.setpriority, os.PRIO_PROCESS, 0, order["nice"])
    if order["ionice"] is not None:
        _step("ionice", linux.set_io_priority, order["ionice"])
    if order["changed_file"]:
        _step("the list of changed files", _write_changed, order["changed_file"], order["changed"])
    for name, number, soft, hard in order["rlimits"]:
        _step(f"resources.{name}", _limit, number, soft, hard)
    if order["cgroup"]:
        _step("the control group", tree.write, order["cgroup"] + "/cgroup.procs", str(os.getpid()))
    if user is not None or order["group"] is not None:
        _become(order, user)
    linux.die_with_parent(_signal.SIGKILL)
    if os.getppid() != shim:
        raise RefusedError("the shim that looks after this run ended before the run began")
    _step(f"cwd {order['cwd']}", os.chdir, order["cwd"])
    set_environment(environment)
    if "TZ" in environment:
        time.tzset()
    return environment


def set_environment(environment: dict[str, str]) -> None:
    """Do as ``os.environ.update``, which costs a run four times as much just after its fork."""
    known = os.environ._data  # type: ignore[attr-defined] # noqa: SLF001 - bytes to bytes, on every Unix
    for key, value in environment.items():
        name, text = key.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")
        os.putenv(name, text)
        known[name] = text


def _step(what: str, function: Any, *arguments: Any) -> None:
    try:
        function(*arguments)
    except (OSError, ValueError) as error:
        raise RefusedError(f"{what}: {_why(error)}") from error


def _why(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)


def _reset_signals(call_signals: Sequence[int]) -> None:
    """Give back the dispositions that a Python program has at its start; :func:`prepare` did the others."""
    for number in (*_ZYGOTES_AND_SHIMS, *call_signals):
        _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.set_wakeup_fd(-1)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _limit(number: int, soft: int, hard: int) -> None:
    ceiling = resource.getrlimit(number)[1]
    if ceiling != resource.RLIM_INFINITY and os.geteuid() != 0:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(number, (soft, hard))


def _write_changed(path: str, changed: list[str]) -> None:
    """Write the paths with a NUL after each into a new file of our own: it may be in a folder that all can write to."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(b"".join([os.fsencode(name) + b"\0" for name in changed]))


def _user(order: Order) -> Any:
    if order["user"] is None:
        return None
    import pwd

    name = order["user"]
    try:
        return pwd.getpwnam(name)
    except KeyError:
        number = _number(name)
    if number is None:
        raise RefusedError(f"user {name!r} does not exist on this machine")
    try:
        return pwd.getpwuid(number)
    except KeyError:  # the kernel asks for no name
        return pwd.struct_passwd((name, "", number, number, "", "/", "/bin/sh"))


def _group(name: str) -> int:
    import grp

    try:
        return int(grp.getgrnam(name).gr_gid)
    except KeyError:
        number = _number(name)
    if number is None:
        raise RefusedError(f"group {name!r} does not exist on this machine")
    return number


def _number(text: str) -> int | None:
    """Return the id in a quoted number, or None: the last two numbers mean "nobody" and "no change"."""
    return int(text) if text.isdigit() and text.isascii() and int(text) < _IDS else None


def _become(order: Order, user: Any) -> None:
    """Take another user, another group, or both."""
    group = user.pw_gid if order["group"] is None else _group(order["group"])
    if (os.geteuid(), os.getegid()) == (os.geteuid() if user is None else user.pw_uid, group):
        return
    who = f"group ({order['group']!r})" if user is None else f"user ({order['user']!r})"
    if os.geteuid() != 0:
        raise RefusedError(f"only root may run a job as another {who}; akjobd runs with the user id {os.geteuid()}")
    for fd in (1, 2):  # so that the job may open /dev/stdout
        os.fchown(fd, -1 if user is None else user.pw_uid, group)
    if order["changed_file"]:
        os.chown(order["changed_file"], -1 if user is None else user.pw_uid, group)
    _step(f"group of {who}" if user is not None else who, os.setgid, group)
    if user is not None:
        _step(f"groups of {who}", os.initgroups, user.pw_name, group)
        _step(who, os.setuid, user.pw_uid)


# -- the environment --------------------------------------------------------------------------------------------------


def environment_of(order: Order, user: Any) -> dict[str, str]:
    """Return what a job's environment has beyond akjobd's. Raises RefusedError."""
    environment: dict[str, str] = {}  # what comes to akjobd's own, which the zygote has without SUPERVISOR_*
    if user is not None:
        environment.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name, SHELL=user.pw_shell or "/bin/sh")
    for file, optional in order["env_file"]:
        if not optional or os.path.lexists(file):
            environment.update(read_env_file(file))
    for key, value in order["env"].items():
        environment[key] = value if isinstance(value, str) else _secret(key, value[0])
    if order["path"]:
        usual = environment.get("PATH", os.environ.get("PATH", os.defpath))
        environment["PATH"] = ":".join([*order["path"], usual])
    environment.update(order["names"])
    return environment


def _secret(key: str, path: str) -> str:
    try:
        with open(path, "rb") as file:
            value = file.read()
    except OSError as error:
        raise RefusedError(f"env.{key}: the file {path} cannot be read: {error.strerror}") from error
    if b"\0" in value:
        raise RefusedError(f"env.{key}: the file {path} holds a NUL byte, which no environment variable can")
    return os.fsdecode(value[:-1] if value.endswith(b"\n") else value)


def read_env_file(path: str) -> dict[str, str]:
    """Read ``KEY=value`` lines by the rules of systemd.exec(5), EnvironmentFile=.

    Empty lines, lines that begin with ``#`` or ``;`` and those without a ``=`` are passed over, a backslash at a line's
    end continues it, values may be in single or double quotes. Raises RefusedError; a message never holds a value.
    """
    try:
        with open(path, "rb") as file:
            text = os.fsdecode(file.read())
    except OSError as error:
        raise RefusedError(f"env_file {path} cannot be read: {error.strerror}") from error
    found: dict[str, str] = {}
    reader = _EnvText(text)
    while reader.more():
        start = reader.line
        key = reader.key()
        if key is None:
            continue
        if not key or not key.replace("_", "a").isalnum() or key[0].isdigit() or not key.isascii():
            raise RefusedError(f"{path}:{start}: expected NAME=value")
        found[key] = reader.value()
    return found


class _EnvText:
    """The text of an environment file, read once from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.line = 1

    def more(self) -> bool:
        return self.at < len(self.text)

    def _next(self) -> str:
        character = self.text[self.at]
        self.at += 1
        if character == "\n":
            self.line += 1
        return character

    def key(self) -> str | None:
        """Read up to the ``=``, or over a line that sets nothing: None."""
        end = self.text.find("\n", self.at)
        line = self.text[self.at :] if end < 0 else self.text[self.at : end]
        stripped = line.strip()
        if not stripped or stripped[0] in "#;" or "=" not in line:
            while self.more() and self._next() != "\n":
                continue
            return None
        name = line[: line.index("=")]
        self.at += len(name) + 1
        return name.strip().removeprefix("export ").strip()

    def value(self) -> str:  # noqa: C901 - one state machine, one loop
        """Read up to the line's end: without quotes, backslashes and the white space around each part."""
        out: list[str] = []
        keep = 0  # up to here nothing is trimmed: it was quoted or escaped
        quote = ""
        begun = False  # an unquoted part: a quote within it is a character as any other
        while self.more():
            character = self._next()
            if quote:
                if character == quote:
                    quote, keep = "", len(out)
                elif character == "\\" and quote == '"' and self.more():
                    following = self._next()
                    if following != "\n":
                        out.append(following if following in '"\\`$' else "\\" + following)
                else:
                    out.append(character)
            elif character == "\n":
                break
            elif character in "\"'" and not begun:
                quote = character
            elif character == "\\" and self.more():
                following = self._next()
                begun = True
                if following != "\n":
                    out.append(following)
                    keep = len(out)
            elif begun or not character.isspace():
                begun = True
                out.append(character)
        return "".join(out[:keep]) + "".join(out[keep:]).rstrip()


# -- the code ---------------------------------------------------------------------------------------------------------


def begin(order: Order, channel: _socket.socket, environment: dict[str, str], *, gated: bool) -> int:
    """Run the job's code in its surroundings and return the exit code, or execute it and do not return."""
    kind = order["code"][0]
    if kind == "command":
        return _exec(order["code"][1], order, channel, gated=gated)
    if order["interpreter"]:
        _exec_interpreter(order["interpreter"], order, channel, gated=gated)
    linux.set_title(f"akjob: {order['job']} {order['run']}")
    gc.freeze()  # what its shim made is not the job's garbage, and would be searched at once
    gc.enable()
    load.prepare_path(order["root"], order["cwd"], order["pythonpath"], LIBRARY_PATH, _known_site, environment)
    sys.argv[:] = [order["code"][1]]
    hooks.begin(channel.fileno(), order["names"])
    return python.begin(order, channel, load, gated=gated, report=hooks.uncaught)


def _exec(argv: list[str], order: Order, channel: _socket.socket, *, gated: bool) -> int:
    if gated:
        python.wait(channel, order["start_us"], order["awake_us"])
    for number in _PYTHONS_OWN:
        _signal.signal(number, _signal.SIG_DFL)
    try:
        execute.execute(argv, os.environ.get("PATH", os.defpath))
    except OSError as error:
        raise RefusedError(execute.why(argv[0], error, order["cwd"], os.environ.get("PATH", os.defpath))) from error


def _exec_interpreter(interpreter: str, order: Order, channel: _socket.socket, *, gated: bool) -> NoReturn:
    """Give the run to another Python: it gets the order in a memory file, and the channel."""
    fd = os.memfd_create("order", 0)
    os.write(fd, marshal.dumps({**order, "gated": gated}, 4))
    os.lseek(fd, 0, os.SEEK_SET)
    os.set_inheritable(channel.fileno(), True)
    argv = [interpreter, f"{__file__.rpartition('/')[0]}/other_python.py", str(fd), str(channel.fileno())]
    for number in _PYTHONS_OWN:
        _signal.signal(number, _signal.SIG_DFL)
    try:
        os.execv(interpreter, argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise RefusedError(f"interpreter {interpreter!r} cannot be executed: {error.strerror}") from error
