"""The ``exception`` field of a log line, written as Python writes a traceback."""

from collections.abc import Iterator
from typing import Any

_CAUSE = "\nThe above exception was the direct cause of the following exception:\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n"

Failure = dict[str, Any]


def failure_text(failure: Failure) -> str:
    """Return what Python would print, without a newline at the end, of what :mod:`akjob.log.line.failure` made."""
    return "\n".join(_chain(failure, 0))


def _chain(failure: Failure, depth: int) -> Iterator[str]:
    for name, words in (("cause", _CAUSE), ("context", _CONTEXT)):
        earlier = failure.get(name)
        if isinstance(earlier, dict):
            yield from _chain(earlier, depth)
            yield from _boxed(words.split("\n"), depth, bool(depth))
            break
    if failure.get("exceptions"):
        yield from _group(failure, depth)
    else:
        yield from _boxed(_single(failure, "Traceback (most recent call last):"), depth, bool(depth))


def _single(failure: Failure, title: str) -> list[str]:
    frames = failure.get("frames") or []
    lines = [title] if frames else []
    for frame in frames:
        lines.append(f'  File "{frame.get("file")}", line {frame.get("line")}, in {frame.get("function")}')
        lines += ["    " + text for text in str(frame.get("source") or "").split("\n") if text]
        if frame.get("repeated"):
            times = frame["repeated"]
            lines.append(f"  [Previous line repeated {times} more time{'s' if times > 1 else ''}]")
        if frame.get("omitted"):
            lines.append(f"  [{frame['omitted']} frames left out]")
    return lines + _last_words(failure)


def _last_words(failure: Failure) -> list[str]:
    if failure.get("text"):
        return str(failure["text"]).split("\n")
    kind, message = failure.get("type", "Exception"), failure.get("message")
    lines = f"{kind}: {message}".split("\n") if message else [str(kind)]
    for note in failure.get("notes") or []:
        lines += str(note).split("\n")
    return lines


def _boxed(lines: list[str], depth: int, box: bool) -> Iterator[str]:
    margin = "  " * depth + ("| " if box else "")
    for line in lines:
        yield (margin + line) if line or box else line


def _group(failure: Failure, depth: int) -> Iterator[str]:
    """Draw a group as PEP 654 does: each member in a box, one level further in."""
    title = "Exception Group Traceback (most recent call last):"
    lines = _single(failure, title)
    inner = max(depth, 1)
    first = lines[0]
    if first == title:
        yield "  " * inner + "+ " + first if not depth else "  " * depth + "| " + first
        lines = lines[1:]
    yield from _boxed(lines, inner, box=True)
    members = failure["exceptions"]
    for number, member in enumerate(members, 1):
        bridge = "+-+" if number == 1 else "  +"
        yield "  " * inner + f"{bridge}---------------- {number} ----------------"
        yield from _chain(member, inner + 1)
    if not members[-1].get("exceptions"):
        yield "  " * (inner + 1) + "+------------------------------------"
