"""A run's output as finished lines of the log stream, byte for byte recoverable.

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

from _json import encode_basestring
from binascii import b2a_base64

from akjob.log.line.head import head, timestamp

_CONTINUED = 0x80
_EVENT = '"run.output"'

PIECE = 64 * 1024
"""Bytes of the longest piece of a line; what is longer comes in pieces."""

_CLEAN = bytes([10, *(c for c in range(32, 127) if c not in b'"\\')])
"""The bytes that are in a JSON string as they are, and the newline."""


class Stream:
    """One of a run's pipes, cut into log lines.

    ``names`` is the finished middle of a line, ``"job":"…","run":"…"``. The methods return finished lines and how many
    they are; the first gets the number ``seq``.
    """

    def __init__(self, stream: str, names: str) -> None:
        self._names = names
        self._middle = f',"stream":"{stream}",'.encode()
        self._rest = b""

    def feed(self, data: bytes, seq: int, now_ns: int) -> tuple[bytes, int]:
        """Take what was read from the pipe; an unfinished line is kept for the next call, up to PIECE bytes."""
        if self._rest:
            data = self._rest + data
        whole, newline, rest = data.rpartition(b"\n")
        if len(rest) < PIECE:
            self._rest = rest
            rest = b""
        else:
            self._rest = b""
        if not newline and not rest:
            return b"", 0
        head = self._head(now_ns)
        out, lines = self._lines(whole, seq, head) if newline else (b"", 0)
        if rest:
            pieces, n = self._pieces(rest, seq + lines, head, last=False)
            return out + pieces, lines + n
        return out, lines

    @property
    def shows_progress(self) -> bool:
        """Return whether the unfinished line is one that is written over and over, as a progress bar is."""
        return b"\r" in self._rest

    def so_far(self, seq: int, now_ns: int) -> tuple[bytes, int]:
        """Return the unfinished line as a piece, but for a character that is cut off at its end."""
        rest, self._rest = self._rest, b""
        cut = len(rest) if rest[-1] < _CONTINUED else _character_start(rest, len(rest) - 1)
        piece, self._rest = (rest[:cut], rest[cut:]) if _is_cut(rest[cut:]) else (rest, b"")
        if not piece:
            return b"", 0
        return self._line(piece, seq, self._head(now_ns), b',"eol":false}\n'), 1

    def end(self, seq: int, now_ns: int) -> tuple[bytes, int]:
        """Return the last line, if it did not end in a newline."""
        rest, self._rest = self._rest, b""
        if not rest:
            return b"", 0
        return self._pieces(rest, seq, self._head(now_ns), last=True)

    def _head(self, now_ns: int) -> bytes:
        return f'{head(timestamp(now_ns), "info", _EVENT)},"source":"run",{self._names},"seq":'.encode()

    def _lines(self, whole: bytes, seq: int, head: bytes) -> tuple[bytes, int]:
        lines = whole.split(b"\n")
        # The quick way: nothing to escape and no long line. Two C-level passes find out.
        if not whole.translate(None, _CLEAN) and (len(whole) < PIECE or max(map(len, lines)) <= PIECE):
            middle = self._middle + b'"line":"'
            return b"".join([b'%b%d%b%b"}\n' % (head, n, middle, line) for n, line in enumerate(lines, seq)]), len(
                lines
            )
        out = []
        first = seq
        for line in lines:
            if len(line) > PIECE:
                pieces, n = self._pieces(line, seq, head, last=None)
                out.append(pieces)
                seq += n
            else:
                out.append(self._line(line, seq, head, b"}\n"))
                seq += 1
        return b"".join(out), seq - first

    def _line(self, line: bytes, seq: int, head: bytes, tail: bytes) -> bytes:
        try:
            text = encode_basestring(line.decode("utf-8")).encode("utf-8")
        except UnicodeDecodeError:
            return b'%b%d%b"base64":"%b"%b' % (head, seq, self._middle, b2a_base64(line, newline=False), tail)
        return b'%b%d%b"line":%b%b' % (head, seq, self._middle, text, tail)

    def _pieces(self, line: bytes, seq: int, head: bytes, *, last: bool | None) -> tuple[bytes, int]:
        """Cut one long line. ``last``: None, a newline follows; True, the pipe's end follows; False, more follows."""
        out = []
        first = seq
        while len(line) > PIECE:
            cut = _character_start(line, PIECE)
            out.append(self._line(line[:cut], seq, head, b',"eol":false}\n'))
            line = line[cut:]
            seq += 1
        if last is False:
            self._rest = line
        else:
            out.append(self._line(line, seq, head, b"}\n" if last is None else b',"eol":false}\n'))
            seq += 1
        return b"".join(out), seq - first


def _is_cut(character: bytes) -> bool:
    """Return True if these bytes are the beginning of a UTF-8 character and not all of it."""
    if not character:
        return True
    first = character[0]
    length = 4 if first >= 0xF0 else 3 if first >= 0xE0 else 2 if first >= 0xC0 else 1  # noqa: PLR2004 - RFC 3629
    return len(character) < length


def _character_start(line: bytes, cut: int) -> int:
    """Move a cut back to where a UTF-8 character starts, at most three bytes; further back the bytes are not UTF-8."""
    for back in range(4):
        if line[cut - back] & 0xC0 != 0x80:  # noqa: PLR2004 - not a continuation byte
            return cut - back
    return cut
