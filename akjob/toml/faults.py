"""What is wrong with a table, collected as key paths; they become Problems with positions at the end.

Finding a position means scanning the text again, so no position is computed while nothing is wrong.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from akjob.errors import Problem, Severity
from akjob.toml.near import did_you_mean
from akjob.toml.scan import Path, Positions, ScanError, locate

_LONGEST = 400  # characters of a message: a value that is longer is not shown whole


class PathProblem(NamedTuple):
    """One thing that is wrong: about the key itself (``at_key``) or about its value."""

    path: Path
    code: str
    message: str
    hint: str
    severity: Severity
    at_key: bool


class PathProblems:
    """The faults of one file. ``bad`` takes any; the others say what is common in one way."""

    def __init__(self) -> None:
        self.found: list[PathProblem] = []
        self.errors = 0

    def bad(  # noqa: PLR0913 - the first three always, the others by exception
        self,
        path: Path,
        code: str,
        message: str,
        hint: str = "",
        *,
        severity: Severity = "error",
        at_key: bool = False,
    ) -> None:
        """Note one fault about the value at ``path``, or with ``at_key`` about its key."""
        if len(message) > _LONGEST:
            message, hint = f"{message[:_LONGEST]}…", hint[:_LONGEST]
        self.found.append(PathProblem(path, code, message, hint, severity, at_key))
        if severity == "error":
            self.errors += 1

    def wrong_type(self, path: Path, wanted: str, value: object, hint: str = "") -> None:
        """Note that ``value`` is not ``wanted`` ("a string", "an array of strings")."""
        message = f"`{dotted(path)}` must be {wanted}, not {kind_of(value)}"
        self.bad(path, "wrong-type", message, hint or f"write {wanted}")

    def unknown_key(self, path: Path, known: Any, hint: str = "") -> None:
        """Note a key that does not exist, with the nearest one of ``known``."""
        message = (
            f"unknown key `{path[-1]}`{did_you_mean(path[-1], known)}" if not hint else f"unknown key `{path[-1]}`"
        )
        self.bad(path, "unknown-key", message, hint or f"known here: {', '.join(known)}", at_key=True)

    def missing_key(self, path: Path, key: str, hint: str = "") -> None:
        """Note that the table at ``path`` lacks ``key``."""
        self.bad(path, "missing-key", f"`{dotted(path)}` needs `{key}`", hint or f"add {key} = …")

    def under(self, *tables: str) -> bool:
        """Return True if there is an error in one of these top-level tables."""
        return any(fault.path[:1] == (table,) for fault in self.found for table in tables if fault.severity == "error")

    def problems(self, file: str, text: str) -> tuple[Problem, ...]:
        """Return all faults as Problems, in the order of the text."""
        return Placing(file, text).problems(self.found)


class Placing:
    """Gives faults their positions in the text of a file, which is scanned when the first is asked for."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._positions: Positions | None = None

    def problems(self, faults: Sequence[PathProblem]) -> tuple[Problem, ...]:
        """Return the faults as Problems, in the order of the text."""
        if not faults:
            return ()
        positions = self._positions = self._positions or self._located()
        made = [_problem(self._file, fault, positions) for fault in faults]
        return tuple(sorted(made, key=lambda problem: (problem.line, problem.column)))

    def _located(self) -> Positions:
        try:
            return locate(self._text)
        except (ScanError, RecursionError):
            # Only a text that tomllib took and the scanner did not; positions are lost then, the problems are not.
            return Positions(self._text)


def _problem(file: str, fault: PathProblem, positions: Positions) -> Problem:
    line, column = positions.of_key(fault.path) if fault.at_key else positions.of_value(fault.path)
    return Problem(
        file=file,
        line=line,
        column=column,
        severity=fault.severity,
        code=fault.code,
        key=dotted(fault.path),
        message=fault.message,
        hint=fault.hint,
    )


def dotted(path: Path) -> str:
    """Write a path as ``schedule.weekly[0].days``; keys that are not bare are in quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        bare = part != "" and all(sign.isalnum() or sign in "_-" for sign in part)
        text += ("." if text else "") + (part if bare else f'"{part}"')
    return text


_KINDS = {
    "bool": "a boolean",
    "int": "an integer",
    "float": "a float",
    "str": "a string",
    "list": "an array",
    "dict": "a table",
    "date": "a date",
    "time": "a time",
    "datetime": "a date-time",
}


def kind_of(value: object) -> str:
    """Name the TOML type of a value: "an integer"."""
    return _KINDS.get(type(value).__name__, type(value).__name__)
