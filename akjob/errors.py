"""What can be wrong: a :class:`Problem` of a file, an :class:`AkjobError` of a program."""

from typing import ClassVar, Literal

from msgspec import Struct

Severity = Literal["error", "warning", "info"]

_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
_VISIBLE |= {ord("\n"): "\\n", ord("\r"): "\\r"}


def escape_control(text: str) -> str:
    """Return a string on one line, its control characters written out but for tabs: they would act on the terminal."""
    return text if text.isprintable() else text.translate(_VISIBLE)


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One thing that is wrong in a file, and where.

    ``line`` and ``column`` count from 1, columns in characters; both are 1 where the whole file is meant.
    ``key`` is the dotted key path (``schedule.weekly.days[1]``) or empty. ``code`` is stable and has an
    entry in ``docs/reference/problems.md``. ``hint`` says what to do next, or is empty.
    """

    file: str
    line: int = 1
    column: int = 1
    severity: Severity = "error"
    code: str
    key: str = ""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """``file:line:column: severity[code] message``, the form that editors and CI understand; always one line."""
        return escape_control(f"{self.file}:{self.line}:{self.column}: {self.severity}[{self.code}] {self.message}")


class AkjobError(Exception):
    """A failure that the user can act on: what happened, and what to do (``hint``)."""

    exit_code: ClassVar[int] = 1
    """What a command ends with."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AkjobError):
    """What was asked for makes no sense: an unknown name, a value that cannot be read."""

    exit_code = 2


class UnreachableError(AkjobError):
    """akjobd cannot be reached, or does not answer."""

    exit_code = 3
