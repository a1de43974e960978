"""``Range`` of bytes (RFC 9110, section 14), a few at a time."""

import re
import secrets
from collections.abc import Iterable

from msgspec import Struct
from starlette.responses import Response

from akjob.web.problems import ProblemError

MOST = 8
"""So many ranges may be asked for in one request."""

_SPEC = re.compile(r"(\d{0,18})-(\d{0,18})")
_MEDIA_TYPE = "application/octet-stream"
_MOST_BYTES = 64 * 2**20


class Spec(Struct, frozen=True):
    """One range as it is asked for: from ``first`` to ``last``; without ``first`` the last so many bytes."""

    first: int | None
    last: int | None


class Range(Struct, frozen=True):
    """The bytes from ``start`` up to ``end``, exclusive."""

    start: int
    end: int


def parse(header: str | None) -> list[Spec] | None:
    """Return the ranges of a header; None without one, or for one of another unit. Raises ProblemError."""
    unit, equals, text = (header or "").partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    found = [_SPEC.fullmatch(part.strip()) for part in text.split(",", MOST + 1)]
    specs = [Spec(_number(one[1]), _number(one[2])) for one in found if one is not None and one[0] != "-"]
    if len(specs) != len(found) or len(found) > MOST:
        raise ProblemError("bad-range", f"the Range is not one of bytes, or has over {MOST} parts", "Ask for less.")
    return specs


def resolve(specs: Iterable[Spec], size: int) -> list[Range]:
    """Return the ranges of so many bytes. Raises ProblemError where there is nothing in any of them, or too much."""
    found = [one for one in (_resolved(spec, size) for spec in specs) if one.start < one.end]
    total = sum(one.end - one.start for one in found)
    if not found or total > min(_MOST_BYTES, max(size, 1) * 2):
        hint = f"There are {size} bytes; ask for at most {_MOST_BYTES} of them at once."
        raise ProblemError("bad-range", "this Range cannot be answered", hint, {"Content-Range": f"bytes */{size}"})
    return found


def _resolved(spec: Spec, size: int) -> Range:
    if spec.first is None:
        return Range(max(0, size - (spec.last or 0)), size)
    return Range(spec.first, size if spec.last is None else min(size, spec.last + 1))


def cut(pieces: Iterable[bytes], wanted: list[Range]) -> list[bytes]:
    """Return the bytes of each range, of pieces that are read once."""
    found = [bytearray() for _ in wanted]
    offset, last = 0, max(one.end for one in wanted)
    for piece in pieces:
        for one, kept in zip(wanted, found, strict=True):
            kept.extend(piece[max(0, one.start - offset) : max(0, one.end - offset)])
        offset += len(piece)
        if offset >= last:
            break
    return [bytes(one) for one in found]


def answer(found: list[Range], bodies: list[bytes], size: int) -> Response:
    """Return the answer 206: one range as it is, several as parts."""
    heads = [f"bytes {one.start}-{one.start + len(body) - 1}/{size}" for one, body in zip(found, bodies, strict=True)]
    if len(found) == 1:
        headers = {"Content-Range": heads[0], "Accept-Ranges": "bytes"}
        return Response(bodies[0], 206, headers, media_type=_MEDIA_TYPE)
    mark = secrets.token_hex(16)
    parts = [
        b"--%s\r\nContent-Type: %s\r\nContent-Range: %s\r\n\r\n%s\r\n"
        % (mark.encode(), _MEDIA_TYPE.encode(), head.encode(), body)
        for head, body in zip(heads, bodies, strict=True)
    ]
    body = b"".join([*parts, b"--%s--\r\n" % mark.encode()])
    return Response(body, 206, {"Accept-Ranges": "bytes"}, media_type=f"multipart/byteranges; boundary={mark}")


def _number(text: str) -> int | None:
    return int(text) if text else None
