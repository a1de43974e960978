"""What a command names: its program, the script's first line, the shell's syntax. Nothing of it is run.

What lies below the root is known, so its faults are errors. Other programs belong to the machine that the jobs run on,
which need not be the one that asks: their lack is a warning.
"""

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from typing import NamedTuple

from akjob.code.static import Finding
from akjob.errors import Severity
from akjob.spec.model import Command, JobSpec

_SIMPLE = re.compile(r"[A-Za-z0-9_./:=@%+, \t-]*")  # nothing in it that a shell could fail to parse
_WORDS = re.compile(r"\b(?:if|then|else|elif|fi|for|while|until|do|done|case|esac)\b")
_KEY = ("command",)
# POSIX's, and those of dash and bash: none of them is a program
_BUILTINS = frozenset([
    ".", ":", "alias", "bg", "break", "builtin", "cd", "command", "continue", "declare", "eval", "exec", "exit",
    "export", "fg", "getopts", "hash", "jobs", "let", "local", "pushd", "popd", "read", "readonly", "return", "set",
    "shift", "source", "time", "times", "trap", "type", "typeset", "ulimit", "umask", "unalias", "unset", "wait",
])  # fmt: skip
_OPERATORS = frozenset(["&&", "||", "|", ";", "&", ">", ">>", "<", "2>", "2>&1", "&>"])
_VARIABLE = re.compile(r"(?:\$[A-Z_][A-Z0-9_]*|\$\{[A-Za-z_][A-Za-z0-9_]*\})(?:/.*)?|~(?:/.*)?", re.DOTALL)
_SHELLS = frozenset(["sh", "bash", "dash", "zsh", "ksh", "fish", "env", "expr", "test", "[", "ssh", "su", "sudo"])
_SHELL_TIMEOUT_S = 5
_BLANK = re.compile(r"\s")
_LONGEST_FIRST_LINE = 256


class _ProgramFile(NamedTuple):
    """A program's file, as it was found."""

    is_folder: bool
    is_executable: bool
    first_line: bytes


class Commands:
    """Answers for one root, each question once."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._shell_fault = cache(shell_fault)
        self._exists = cache(os.path.exists)
        self._seen = cache(_seen)
        self._which = cache(shutil.which)

    def findings(self, spec: JobSpec) -> Iterator[Finding]:
        """Yield what is wrong with a job's command."""
        code = spec.code
        if not isinstance(code, Command):
            return
        if code.argv is None:
            fault = self._shell_fault(code.shell or "")
            if fault is not None:
                yield Finding(
                    _KEY, "error", "shell-syntax", f"the shell cannot read it: {fault}", "correct the quoting"
                )
                return
            first = next(iter((code.shell or "").split()), "")
            if _SIMPLE.fullmatch(code.shell or "") and "/" in first and "=" not in first:
                yield from self._file(first, spec)  # a plain command that names its file
            return
        yield from _literal(code.argv)
        program = code.argv[0]
        if len(code.argv) == 1 and _BLANK.search(program) and not self._exists(self._place(program, spec)):
            message = f'"{program}" is one word with blanks in it, and no program has that name'
            hint = f"write command = {_quoted(program)} for the shell, or each word as an element of the array"
            yield Finding(_KEY, "error", "program-missing", message, hint)
        elif program in _BUILTINS and not self._is_found(program, spec):
            hint = f"write command = {_quoted(' '.join(code.argv))} for the shell"
            hint += "; for a folder to begin in there is cwd, below [run]" if program == "cd" else ""
            yield Finding(_KEY, "error", "program-missing", f"{program} is the shell's own word, not a program", hint)
        else:
            yield from self._program(program, spec)

    def _program(self, program: str, spec: JobSpec) -> Iterator[Finding]:
        if "/" in program:
            yield from self._file(program, spec)
        elif not self._is_found(program, spec):
            message = f"this machine has no program {program} in PATH"
            yield Finding(_KEY, "warning", "program-missing", message, "install it where the jobs run, or correct it")

    def _place(self, program: str, spec: JobSpec) -> str:
        return os.path.join(self._root, spec.run.cwd or "", program)

    def _file(self, program: str, spec: JobSpec) -> Iterator[Finding]:
        place = self._place(program, spec)
        severity: Severity = "error" if place.startswith(self._root + os.sep) else "warning"
        seen = self._seen(place)
        if seen is None:
            message = f"the program {program} does not exist"
            where = "" if os.path.isabs(program) else "; the path is relative to the working folder"
            yield Finding(_KEY, severity, "program-missing", message, f"make it, or correct the path{where}")
        elif seen.is_folder:
            yield Finding(_KEY, severity, "program-missing", f"{program} is a folder", "name a program in it")
        elif not seen.is_executable:
            hint = f"chmod +x {program}, and commit the mode"
            yield Finding(_KEY, severity, "not-executable", f"{program} is not executable", hint)
        else:
            yield from self._first_line(seen.first_line, program, severity, spec)

    def _first_line(self, line: bytes, program: str, severity: Severity, spec: JobSpec) -> Iterator[Finding]:
        if not line.startswith(b"#!"):
            return
        if line.endswith(b"\r\n"):
            message = f"the first line of {program} ends in a carriage return, which becomes part of its interpreter"
            yield Finding(_KEY, severity, "bad-interpreter", message, f"sed -i 's/\\r$//' {program}")
            return
        words = [os.fsdecode(word) for word in line[2:].split()]
        interpreter = words[0] if words else ""
        if os.path.basename(interpreter) == "env" and self._exists(interpreter):
            named = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
            if named and not self._is_found(named[0], spec):
                message = (
                    f"the first line of {program} asks env for {named[0]}, but this machine does not have it in PATH"
                )
                hint = "correct it, or install it where the jobs run"
                yield Finding(_KEY, "warning", "bad-interpreter", message, hint)
        elif not os.path.isabs(interpreter) or not self._exists(interpreter):
            message = f"the first line of {program} names {interpreter or 'nothing'}, which does not exist here"
            yield Finding(_KEY, "warning", "bad-interpreter", message, "correct it, or install it where the jobs run")

    def _is_found(self, program: str, spec: JobSpec) -> bool:
        path = spec.run.env.get("PATH", os.environ.get("PATH", os.defpath))
        if not isinstance(path, str) or spec.run.env_files or spec.run.user is not None:
            return True  # which folders there are is not known here
        own = [os.path.join(self._root, folder) for folder in spec.run.path]
        return self._which(program, path=os.pathsep.join([*own, path])) is not None


def _seen(place: str) -> _ProgramFile | None:
    """Look at a program; None where there is none. The first line of a script names its interpreter."""
    try:
        mode = os.stat(place).st_mode
    except (OSError, ValueError):
        return None
    line = b""
    if stat.S_ISREG(mode):
        with suppress(OSError), open(place, "rb") as file:
            line = file.readline(_LONGEST_FIRST_LINE)
    return _ProgramFile(stat.S_ISDIR(mode), bool(mode & 0o111), line)


def shell_fault(text: str) -> str | None:
    """Return why ``/bin/sh`` cannot read a command, or None; the shell is asked only about what it could fail at."""
    if _SIMPLE.fullmatch(text) and not _WORDS.search(text):
        return None
    try:
        done = subprocess.run(
            ["/bin/sh", "-n", "-c", text], capture_output=True, timeout=_SHELL_TIMEOUT_S, check=False, env={}
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    if done.returncode == 0:
        return None
    last = os.fsdecode(done.stderr).strip().rpartition("\n")[2]
    return last.partition("sh: ")[2] or last


def _literal(argv: Sequence[str]) -> Iterator[Finding]:
    """Yield what the words of an array seem to be meant as, where the author thinks of a shell."""
    if os.path.basename(argv[0]) in _SHELLS:
        return
    operator = next((word for word in argv[1:] if word in _OPERATORS), None)
    variable = next((word for word in argv[1:] if _VARIABLE.fullmatch(word)), None)
    if operator is not None:
        message = f"{operator} is an argument of {argv[0]} here: an array is not given to a shell"
        hint = f"write command = {_quoted(' '.join(argv))} for the shell"
        yield Finding(_KEY, "warning", "literal-word", message, hint)
    elif variable is not None:
        message = f"{variable} is taken literally: nothing is expanded in an array"
        yield Finding(_KEY, "warning", "literal-variable", message, "write command as one string, for the shell")


def _quoted(text: str) -> str:
    return f"'{text}'" if "'" not in text else f'"{text}"'
