"""What a line must hold, byte for byte, to have a pattern: most lines need not be decoded to tell that they have not.

A pattern is searched for in a line as people see it, which is made of its time, its job, and its text or its fields. Of
what a run printed the text stands in the file as it is, so a piece of the pattern that can only be in the text must be
there too. Lines that are shown otherwise than they are written are looked at one by one: what was not UTF-8, control
characters, exceptions, and every event that is not output.
"""

import re
import re._constants as ops  # type: ignore[import-not-found] # the parser of the module re: it alone tells the parts
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterator

_SAFE = re.compile(r"[A-Za-z0-9 _.,:;/()\[\]{}#%&+=@~^$*?'<>-]+")
_OF_THE_TIME = re.compile(r"[0-9:. -]*(?: |$)")
_ESCAPE = re.compile(r"[xuU][0-9a-f]{2}")  # as control characters are written out
_OUTPUT = b'"event":"run.output","source":"run"'
_SHOWN_OTHERWISE = (b'"base64":', b"\\u00")


def needle_of(pattern: str) -> bytes | None:
    """Return what the text of a line must hold to fit a regular expression; None where that cannot be told."""
    parsed = parser.parse(pattern)
    if parsed.state.flags & (re.IGNORECASE | re.VERBOSE):
        return None
    longest = max(_literals(parsed), key=len, default="")
    # A piece that may continue the time, or reach over the bar before the text, need not stand in the text.
    if not _SAFE.fullmatch(longest) or _OF_THE_TIME.match(longest) or _ESCAPE.search(longest):
        return None
    return longest.encode()


def _literals(pattern: parser.SubPattern) -> Iterator[str]:
    """Yield the pieces of plain text that whatever fits has in one piece."""
    piece = ""
    for operation, argument in pattern:
        if operation is ops.LITERAL:
            piece += chr(argument)
            continue
        yield piece.strip(" ")
        piece = ""
    yield piece.strip(" ")


def holding(chunk: bytes, needle: bytes) -> Iterator[bytes]:
    """Yield those of whole lines that may fit, and the last one, in order; a needle with a key is of the line alone."""
    if needle.startswith(b'"'):
        yield from _at(chunk, needle)
        return
    if chunk.count(_OUTPUT) < chunk.count(b"\n"):
        yield from (line for line in chunk[:-1].split(b"\n") if needle in line or _is_shown_otherwise(line))
        return
    yield from _at(chunk, needle, *_SHOWN_OTHERWISE)


def _at(chunk: bytes, *needles: bytes) -> Iterator[bytes]:
    """Yield the lines that hold one of the needles, and the last one, in order."""
    starts = {chunk.rfind(b"\n", 0, len(chunk) - 1) + 1}
    for one in needles:
        position = chunk.find(one)
        while position >= 0:
            starts.add(chunk.rfind(b"\n", 0, position) + 1)
            position = chunk.find(one, chunk.find(b"\n", position))
    for start in sorted(starts):
        yield chunk[start : chunk.find(b"\n", start)]


def _is_shown_otherwise(line: bytes) -> bool:
    return _OUTPUT not in line or any(one in line for one in _SHOWN_OTHERWISE)
