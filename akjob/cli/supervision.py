"""supervisord for `up` and `down`: start it for a root, ask if it answers, end it."""

import os
import select
import shutil
import signal
import sys
import sysconfig
from collections.abc import Mapping
from contextlib import closing, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import Any
from xmlrpc.client import Fault, dumps, loads

from akjob.config import Paths, excess_of_supervisor_socket
from akjob.errors import AkjobError, UnreachableError, UsageError
from akjob.processes import is_given
from akjob.query.text import plural

_ANSWERS_WITHIN_S = 10.0


def config_file(paths: Paths) -> Path:
    """Return where the root's supervisord.conf is. Raises AkjobError (exit code 2) where there is none."""
    path = paths.etc / "supervisord.conf"
    if not path.is_file():
        message = f"{path} is not there, so there is nothing to start"
        raise UsageError(message, hint=f"`akjob init {paths.root}` writes it.")
    return path


_ODD = ("%", '"')
"""What supervisord reads as its own in every value: ``%(here)s``, and the quotes around a variable."""


def prepare(paths: Paths) -> None:
    """Make the folders that supervisord opens its files in, and check that its socket's name is not too long.

    Raises AkjobError (exit code 2): no supervisord.conf, a root too deep for a Unix socket, or one with a sign in its
    path that supervisord takes for one of its own.
    """
    config_file(paths)
    over = excess_of_supervisor_socket(paths)
    if over > 0:
        message = f"{paths.root}: the path is {plural(over, 'byte')} too long for supervisord's socket in var/run/"
        raise UsageError(message, hint="Move the root to a shorter path.")
    odd = next((sign for sign in _ODD if sign in str(paths.root)), None)
    if odd is not None:
        message = f"{paths.root}: supervisord cannot work in a folder with {odd} in its path"
        raise UsageError(message, hint=f"Give the folder a name without {odd}, or move the root.")
    paths.var.mkdir(mode=0o700, exist_ok=True)
    for folder in (paths.log_dir, paths.run_dir):
        folder.mkdir(mode=0o700, exist_ok=True)


def command(paths: Paths, *, foreground: bool) -> list[str]:
    """Return the argv that starts supervisord, of the Python that runs this, for a root.

    ``-P`` keeps a folder ``supervisor/`` of the user's from being taken for the package.
    """
    argv = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(config_file(paths))]
    return [*argv, "--nodaemon", "--silent"] if foreground else argv


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for supervisord: ``given`` with this installation's programs first on the PATH.

    What an outer supervisord said of itself is left out: akjob may well be one of its programs.
    """
    kept = {name: value for name, value in given.items() if not name.startswith("SUPERVISOR_")}
    if not is_given("LC_CTYPE", {}):
        kept.pop("LC_CTYPE", None)  # Python itself has set it, and would seem to have been given it from here on
    kept["PATH"] = os.pathsep.join([_programs(), *filter(None, [given.get("PATH", os.defpath)])])
    return kept


def _programs() -> str:
    """Return the folder that holds the akjobd of this installation."""
    beside = os.path.dirname(os.path.abspath(sys.argv[0]))
    scripts = sysconfig.get_path("scripts")
    found = shutil.which("akjobd", path=os.pathsep.join([beside, scripts]))
    return os.path.dirname(found) if found else scripts


class _Connection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        sock = socket(AF_UNIX, SOCK_STREAM)
        sock.settimeout(_ANSWERS_WITHIN_S)
        try:
            sock.connect(os.fspath(self._path))
        except OSError:
            sock.close()
            raise
        self.sock = sock


def ask(paths: Paths, method: str, *arguments: str) -> Any:
    """Ask the root's supervisord by XML-RPC, ``supervisor.getPID`` for instance, and return its answer.

    Raises OSError where none answers, HTTPException where something else does, Fault when it refuses.
    """
    with closing(_Connection(paths.supervisor_socket)) as connection:
        question = dumps(arguments, method).encode()
        connection.request("POST", "/RPC2", question, {"Content-Type": "text/xml"})
        with connection.getresponse() as response:
            content = response.read()
            if response.status != HTTPStatus.OK:
                raise HTTPException(f"{response.status} {response.reason}")
    return loads(content)[0][0]


def pid(paths: Paths) -> int | None:
    """Return the process id of the supervisord that answers on the root's socket; None where none does."""
    try:
        return int(ask(paths, "supervisor.getPID"))
    except PermissionError as error:
        message = f"supervisord of {paths.root} answers its own user and root alone"
        raise UnreachableError(message, hint="run the command as that user, or with sudo") from error
    except (OSError, HTTPException, Fault):
        return _pid_by_name(paths)


def _pid_by_name(paths: Paths) -> int | None:
    """Return the supervisord that was started with the root's supervisord.conf: its socket may have been removed."""
    config = os.path.realpath(paths.etc / "supervisord.conf")
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            named = words[words.index("-c") + 1]
            meant = os.path.realpath(os.path.join(os.readlink(folder / "cwd"), named)) == config
            if meant and any(word.endswith("supervisord") for word in words[:4]):
                return int(folder.name)
    return None


def shut_down(paths: Paths, *, wait_s: float = 60.0) -> bool:
    """Ask supervisord to stop its programs and itself, and wait until it is gone.

    Returns False where there was none. Raises AkjobError when it is still there after ``wait_s`` seconds.
    """
    number = pid(paths)
    if number is None:
        return False
    try:
        watched = os.pidfd_open(number)
    except ProcessLookupError:
        return False
    asked = False
    try:
        with suppress(OSError, HTTPException, Fault):  # another command has asked it already
            ask(paths, "supervisor.shutdown")
            asked = True
        if not asked:
            os.kill(number, signal.SIGTERM)
        gone = bool(select.select([watched], [], [], wait_s)[0])
    finally:
        os.close(watched)
    if not gone:
        message = f"supervisord (pid {number}) is still there {wait_s:.0f} s after it was asked to end"
        raise AkjobError(message, hint=f"See {paths.log_dir}/supervisord.log")
    return True
