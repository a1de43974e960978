"""Problems as text with the line and a caret, as JSON lines, as annotations of GitHub, as SARIF."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from akjob import __version__
from akjob.errors import Problem, escape_control

Entry = Any
_WIDTH = 160
_CONTEXT = 60

_LEVELS_GITHUB = {"error": "error", "warning": "warning", "info": "notice"}
_LEVELS_SARIF = {"error": "error", "warning": "warning", "info": "note"}


def render_text(problems: Sequence[Problem], base: Path) -> Iterator[str]:
    """Yield lines for people: the problem, its line with a caret, and what to do.

    ``base`` is the folder that the problems' files are relative to.
    """
    lines_of = _reader(base)
    for problem in problems:
        yield str(problem)
        lines = lines_of(problem.file)
        if 0 < problem.line <= len(lines):
            yield from _pointed(lines[problem.line - 1], problem)
        if problem.hint:
            yield f"    = {escape_control(problem.hint)}"


def _reader(base: Path) -> Callable[[str], list[str]]:
    known: dict[str, list[str]] = {}

    def lines_of(file: str) -> list[str]:
        if file not in known:
            try:
                place = base / file
                text = place.read_text(encoding="utf-8", errors="replace") if place.is_file() else ""
            except OSError:
                text = ""
            known.clear()  # problems come sorted by file: one text at a time is enough
            known[file] = text.removeprefix("\ufeff").split("\n")
        return known[file]

    return lines_of


def _pointed(line: str, problem: Problem) -> Iterator[str]:
    """Yield the line, cut to a part around the column where it is long, and the caret below."""
    line = line.rstrip("\r")
    if not line.strip():
        return
    column = min(problem.column, len(line) + 1) - 1
    start = max(0, column - _CONTEXT) if len(line) > _WIDTH else 0
    part = line[start : start + _WIDTH]
    before = "".join("\t" if sign == "\t" else " " * _cells(sign) for sign in part[: column - start])
    part = "".join(sign if sign == "\t" or sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in part)
    number = str(problem.line)
    margin = " " * len(number)
    yield f" {number} | {'…' if start else ''}{part}"
    yield f" {margin} | {' ' if start else ''}{before}^"


def _cells(sign: str) -> int:
    """Return how many cells of a terminal a character takes."""
    if sign.isascii():
        return 1
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - most files are ASCII

    if combining(sign):
        return 0
    return 2 if east_asian_width(sign) in "WF" else 1


def render_json(problems: Sequence[Problem]) -> Iterator[str]:
    """Yield one JSON object a problem: file, line, column, severity, code, key, message, hint."""
    encoder = msgspec.json.Encoder()
    for problem in problems:
        yield encoder.encode(problem).decode()


def render_github(problems: Sequence[Problem]) -> Iterator[str]:
    """Yield workflow commands that GitHub shows as annotations of a pull request's files."""
    for problem in problems:
        place = f"file={_property(problem.file)},line={problem.line},col={problem.column}"
        message = problem.message + (f"\n{problem.hint}" if problem.hint else "")
        title = _property(f"akjob {problem.code}")
        yield f"::{_LEVELS_GITHUB[problem.severity]} {place},title={title}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def render_sarif(problems: Sequence[Problem], codes: Mapping[str, Entry]) -> str:
    """Return a SARIF 2.1.0 log. ``codes`` gives each problem's code its ``summary`` and ``advice``."""
    used = sorted({problem.code for problem in problems})
    driver = {
        "name": "akjob",
        "version": __version__,
        "rules": [_rule(code, codes.get(code)) for code in used],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, used.index(problem.code)) for problem in problems],
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode()


def _rule(code: str, entry: Entry) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": code}
    if entry is not None:
        rule["shortDescription"] = {"text": entry.summary}
        rule["help"] = {"text": entry.advice}
    return rule


def _result(problem: Problem, rule: int) -> dict[str, Any]:
    region = {"startLine": problem.line, "startColumn": problem.column}
    place = {"artifactLocation": {"uri": _uri(problem.file)}, "region": region}
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": _LEVELS_SARIF[problem.severity],
        "message": {"text": problem.message + (f" ({problem.hint})" if problem.hint else "")},
        "locations": [{"physicalLocation": place}],
    }


def _uri(file: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - needed for this format alone

    return Path(file).as_uri() if file.startswith("/") else quote(file)
