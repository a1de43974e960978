"""Lists: ``limit`` and ``cursor``, pages as JSON, and whole lists as NDJSON."""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct
from starlette.responses import Response, StreamingResponse

from akjob.web.problems import ProblemError, bad_parameter
from akjob.web.routes import Parameter
from akjob.web.site import Call

T = TypeVar("T")

NDJSON = "application/x-ndjson"
DEFAULT_LIMIT = 100
MOST = 1000
_LONGEST_CURSOR = 1000
_LONGEST_TEXT = 500


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """A part of a list: its items, and where the next part begins, null at the end."""

    items: list[T]
    next_cursor: str | None = None


PAGING = (
    Parameter(name="limit", about="How many items at most, 1 to 1000.", type=int),
    Parameter(name="cursor", about="Where to go on: the next_cursor of the page before."),
)

Fetch = Callable[[int, Any], Awaitable[tuple[list[T], Any]]]
"""Given a limit and the key to go on after, return items and the key after them; None is the beginning and the end."""


async def answer_list(call: Call, key_type: object, fetch: Fetch[T]) -> Response:
    """Answer with one page, or, where NDJSON is asked for, with all items from the cursor on, as they are read."""
    limit, key = limit_of(call), cursor_of(call, key_type)
    items, following = await fetch(limit, key)
    if not wants_ndjson(call):
        return as_json(Page(items=items, next_cursor=encode_cursor(following)))
    one_page = call.query("limit") is not None
    return StreamingResponse(_lines(items, None if one_page else following, fetch), media_type=NDJSON)


async def _lines(items: list[T], following: object, fetch: Fetch[T]) -> AsyncIterator[bytes]:
    yield ndjson(items)
    while following is not None:
        items, following = await fetch(MOST, following)
        yield ndjson(items)


def as_json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a Struct as JSON."""
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


def ndjson(items: Iterable[object]) -> bytes:
    """Return one line of JSON for each item."""
    return msgspec.json.Encoder().encode_lines(items)


def wants_ndjson(call: Call) -> bool:
    """Return True if the answer is a stream, one item per line."""
    accepted = call.request.headers.get("accept", "").lower()
    return any(part.partition(";")[0].strip() == NDJSON for part in accepted.split(","))


def limit_of(call: Call) -> int:
    """Return ``limit``. Raises ProblemError for one that is not from 1 to 1000."""
    text = call.query("limit")
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST)) and 1 <= int(text) <= MOST):
        raise bad_parameter("limit", text, f"an integer from 1 to {MOST}")
    return int(text)


def cursor_of(call: Call, key_type: object) -> Any:
    """Return the key of ``cursor``; None without one. Raises ProblemError for one that was not given out."""
    text = call.query("cursor")
    if text is None:
        return None
    problem = ProblemError("bad-parameter", "this cursor is not one of this list", "Give a next_cursor as it came.")
    if len(text) > _LONGEST_CURSOR:
        raise problem
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        return msgspec.json.decode(data, type=key_type)
    except (ValueError, msgspec.MsgspecError):
        raise problem from None


def encode_cursor(key: object) -> str | None:
    """Return a key as a cursor; None at the end."""
    return None if key is None else base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def text_of(call: Call, name: str) -> str | None:
    """Return a parameter as a string; None where it is absent or empty. Raises ProblemError for a long one."""
    text = call.query(name)
    if text is not None and len(text) > _LONGEST_TEXT:
        raise bad_parameter(name, text, f"a string of at most {_LONGEST_TEXT} characters")
    return text or None


def choice_of(call: Call, name: str, choices: Iterable[str]) -> str | None:
    """Return a parameter that is one of some words. Raises ProblemError for another."""
    text = text_of(call, name)
    known = tuple(choices)
    if text is not None and text not in known:
        raise bad_parameter(name, text, f"one of {', '.join(known)}")
    return text
