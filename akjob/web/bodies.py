"""Bodies of requests: small, in time, and of the type that is wanted."""

import asyncio
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from akjob.web.problems import ProblemError

T = TypeVar("T")

MOST_BYTES = 64 * 1024
"""A body has at most so many bytes."""

BODY_S = 10.0
"""So long a client has for its body."""


async def read_body(request: Request) -> bytes:
    """Return the body. Raises ProblemError for one that is too large or too slow."""
    try:
        return await asyncio.wait_for(_read(request), BODY_S)
    except TimeoutError:
        raise ProblemError("too-slow", f"the body did not come within {BODY_S:.0f} s", "Send it again.") from None
    except ClientDisconnect:
        raise ProblemError("bad-request", "the client went away", "") from None


async def _read(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise ProblemError("too-large", f"the body has more than {MOST_BYTES} bytes", "Send less.")
    return body


def decode(request: Request, body: bytes, wanted: type[T]) -> T:
    """Return what a JSON body says. Raises ProblemError with the key that is wrong."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError("bad-media-type", "the body is not JSON", "Send Content-Type: application/json.")
    try:
        return msgspec.json.decode(body, type=wanted)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        hint = "GET /api/v1/openapi.json describes it."
        raise ProblemError("bad-body", f"the body is not what is wanted: {error}"[:300], hint) from None
