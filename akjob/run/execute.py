"""Why a command cannot be executed, or code not be imported: what the kernel's few words stand for.

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import NoReturn

_LONGEST_FIRST_LINE = 256  # execve(2): what is longer is cut


def execute(argv: list[str], path: str) -> NoReturn:
    """Do as ``os.execvp``, which imports a module first: a job's user may be one who cannot read Python's library."""
    program = argv[0]
    if "/" in program:
        os.execv(program, argv)  # noqa: S606 - a command is run as it stands
    refused: OSError | None = None
    for folder in path.split(":"):
        file = os.path.join(folder, program)
        try:
            os.execv(file, argv)  # noqa: S606 - as above
        except OSError as error:
            if os.path.lexists(file):  # not in a folder that this user may not enter
                refused = refused or error
    raise refused or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def why(program: str, error: OSError, cwd: str, path: str) -> str:
    """Return the reason that a run fails with whose program could not be executed."""
    file = _find(program, path)
    known = None if file is None else _known(file, error.errno)
    if known is not None:
        return f"command {program!r} cannot be executed: {known}"
    where = f"in {cwd}" if "/" in program else f"looked in PATH: {path}"
    return f"command {program!r} cannot be executed: {error.strerror} ({where})"


def closed_folder(paths: Iterable[str]) -> str | None:
    """Return the first folder on the way to one of the paths that this process's user may not enter."""
    for path in paths:
        for folder in _folders(path):
            try:
                os.stat(f"{folder}/.")
            except PermissionError:
                return folder
            except OSError:
                break
    return None


def _folders(path: str) -> Iterator[str]:
    """Yield the folders from the root down to a path, itself included."""
    parts = path.split("/")
    for count in range(2, len(parts) + 1):
        yield "/".join(parts[:count])


def _find(program: str, path: str) -> str | None:
    """Return the file that a program's name stands for; of a bare name, None if there is none in the PATH."""
    if "/" in program:
        return program
    for folder in path.split(":"):
        candidate = f"{folder or '.'}/{program}"
        if os.path.lexists(candidate):
            return candidate
    return None


def _known(file: str, number: int | None) -> str | None:
    if number == errno.ENOENT:
        return _first_line(file)
    if number == errno.ENOEXEC:
        return "it is not a program for this machine, and no first line such as #!/bin/sh names its interpreter"
    if number == errno.EACCES:
        return _no_access(file)
    return None


def _first_line(file: str) -> str | None:
    """Return what is wrong with the interpreter that a script's first line names."""
    try:
        with open(file, "rb") as script:
            line = script.read(_LONGEST_FIRST_LINE).partition(b"\n")[0]
    except OSError:
        return "it is a link to a file that is not there" if os.path.islink(file) else None
    if not line.startswith(b"#!"):
        return "the loader that it needs is not on this machine"
    interpreter = line[2:].decode("utf-8", "replace").strip(" \t")
    if interpreter.endswith("\r"):
        return f"its lines end in CRLF, so its interpreter would be {interpreter!r}: run sed -i 's/\\r$//' {file}"
    return f"its first line names the interpreter {interpreter.split()[0] if interpreter else ''!r}, which is not there"


def _no_access(file: str) -> str:
    closed = closed_folder([os.path.dirname(os.path.abspath(file))])
    if closed is not None:
        return f"user id {os.geteuid()} may not enter {closed}"
    if os.path.isdir(file):
        return "it is a folder"
    if os.stat(file).st_mode & 0o111:
        return f"user id {os.geteuid()} may not execute it, or not the interpreter that it names"
    return f"it is not executable: run chmod +x {file}"
