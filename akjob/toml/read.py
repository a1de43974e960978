"""A file's bytes to a table of Python values, or to the one Problem that says why not."""

import re
import sys
import tomllib
from typing import Any

from akjob.errors import Problem
from akjob.toml import bounds
from akjob.toml.fast import read_simple
from akjob.toml.faults import dotted
from akjob.toml.scan import Positions, ScanError, locate

MAX_BYTES = 1024 * 1024

_PLACE = re.compile(
    r"(?P<what>.*?) \((?:at line (?P<line>\d+), column (?P<column>\d+)|at end of document)\)\Z", re.DOTALL
)
# From 3.15 on tomllib reads TOML 1.1. What only 1.1 allows has one of these, so that other texts are not scanned twice.
_READS_1_1 = sys.version_info >= (3, 15)
_MAYBE_1_1 = re.compile(r"\\[ex]|[0-9]:[0-9]{2}(?![0-9:])|\{[^{}\n]*+\n|\n[^=\n]*\}|,[ \t]*+\}|\}[ \t]*+,[ \t]*+[#\n]")


def read_table(file: str, text: str | bytes) -> tuple[dict[str, Any], str, Problem | None]:
    """Return the table, the text (as str, CRLF made LF) and the Problem that makes the table empty, if any.

    The text must be UTF-8 without a byte order mark, at most 1 MiB, TOML 1.0 whatever the Python.
    """
    decoded = _decoded(file, text)
    if isinstance(decoded, Problem):
        return {}, "", decoded
    text = decoded.replace("\r\n", "\n") if "\r" in decoded else decoded
    deep = bounds.may_nest_too_deeply(text)
    simple = None if deep else read_simple(text)
    if simple is not None:
        return simple, text, None
    if deep or bounds.may_have_long_keys(text):
        try:
            locate(text)
        except ScanError as error:
            return {}, text, _from_scan(file, text, error)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return {}, text, _syntax(file, text, error)
    except ValueError:
        return {}, text, _long_number(file, text)
    excess = bounds.excess(table)
    if excess is not None:
        return {}, text, _excess(file, text, excess)
    if _READS_1_1 and _MAYBE_1_1.search(text):
        try:
            locate(text)
        except ScanError as error:
            return {}, text, _from_scan(file, text, error)
    return table, text, None


def _decoded(file: str, text: str | bytes) -> str | Problem:
    """Return the text if it is small enough and UTF-8, else the Problem."""
    if isinstance(text, str):
        size = len(text) if len(text) <= MAX_BYTES // 4 else len(text.encode(errors="surrogatepass"))
        return _too_large(file, size) if size > MAX_BYTES else text
    if len(text) > MAX_BYTES:
        return _too_large(file, len(text))
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        return _not_utf8(file, text, error)


def _syntax(file: str, text: str, error: tomllib.TOMLDecodeError) -> Problem:
    """Explain why tomllib refused a text: in our scanner's words if it knows better, else in tomllib's."""
    if text.startswith("\ufeff"):
        hint = "save the file as UTF-8 without BOM"
        return Problem(file=file, code="byte-order-mark", message="the file begins with a byte order mark", hint=hint)
    bad = re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    if bad:
        line, column = Positions(text).place(bad.start())
        message = f"the control character U+{ord(bad.group()):04X} is not allowed in TOML"
        return _problem(file, line, column, message, "delete it, or write it as an escape in double quotes")
    try:
        locate(text)
    except ScanError as found:
        return _from_scan(file, text, found)
    match = _PLACE.fullmatch(str(error))
    if match and match["line"]:
        line, column, what = int(match["line"]), int(match["column"]), match["what"]
    else:
        line, column = Positions(text).place(len(text))
        what = match["what"] if match else str(error)
    return _problem(file, line, column, what[:1].lower() + what[1:], "see https://toml.io/en/v1.0.0")


def _excess(file: str, text: str, excess: bounds.Excess) -> Problem:
    try:
        line, column = locate(text).of_value(excess.path)
    except ScanError as error:
        return _from_scan(file, text, error)
    key, message = dotted(excess.path), excess.message
    return Problem(file=file, line=line, column=column, code=excess.code, key=key, message=message, hint=excess.hint)


def _long_number(file: str, text: str) -> Problem:
    """Explain a number of which Python makes no integer."""
    line, column = Positions(text).place(bounds.long_number(text) or 0)
    message = f"a number of more than {bounds.MOST_DIGITS} digits; TOML's integers have 64 bits"
    hint = "write it in quotes, as a string"
    return Problem(file=file, line=line, column=column, code="out-of-range", message=message, hint=hint)


def read_value(text: str) -> Any:
    """Return the value that a text is in TOML. Raises ValueError, whose message says what is wrong."""
    table, _, problem = read_table("", f"value = {text}")
    if problem is not None:
        raise ValueError(problem.message)
    if len(table) != 1:
        raise ValueError("there is more than a value")
    return table["value"]


def _from_scan(file: str, text: str, error: ScanError) -> Problem:
    line, column = Positions(text).place(error.offset)
    return Problem(file=file, line=line, column=column, code=error.code, message=error.message, hint=error.hint)


def _problem(file: str, line: int, column: int, message: str, hint: str) -> Problem:
    return Problem(file=file, line=line, column=column, code="toml-syntax", message=message, hint=hint)


def _too_large(file: str, size: int) -> Problem:
    message = f"the file has {size} bytes; a file may have at most {MAX_BYTES} (1 MiB)"
    return Problem(file=file, code="too-large", message=message, hint="keep data in a file of its own")


def _not_utf8(file: str, raw: bytes, error: UnicodeDecodeError) -> Problem:
    before = raw[: error.start].decode().replace("\r\n", "\n")
    line, column = Positions(before).place(len(before))
    message = f"byte 0x{raw[error.start]:02X} is not UTF-8"
    hint = "save the file as UTF-8"
    return Problem(file=file, line=line, column=column, code="not-utf8", message=message, hint=hint)
