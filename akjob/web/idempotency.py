"""``Idempotency-Key``: a request that is sent again is answered again, and not done again."""

import hashlib
from collections.abc import Awaitable, Callable

from starlette.responses import Response

from akjob.web.problems import ProblemError
from akjob.web.site import Call
from akjob.web.store import StoredAnswer, StoredRequest

_LONGEST_KEY = 200
_SERVER_ERROR = 500


async def once(call: Call, body: bytes, work: Callable[[], Awaitable[Response]]) -> Response:
    """Answer a request; where it has a key that was used, as it was answered before. Raises ProblemError."""
    key = call.request.headers.get("idempotency-key")
    if key is None:
        return await work()
    if not key or len(key) > _LONGEST_KEY:
        raise ProblemError("bad-parameter", f"an Idempotency-Key has 1 to {_LONGEST_KEY} characters", "Use a UUID.")
    return await once_under(call, key, _digest(call, body), work)


async def once_under(call: Call, key: str, digest: bytes, work: Callable[[], Awaitable[Response]]) -> Response:
    """Do the work of a request, unless its key was used: then answer as before.

    ``digest`` tells what is asked for. Raises ProblemError where the key was used for something else, or where its
    first request is not answered yet.
    """
    credential = call.principal.credential
    kept = call.site.store.begin_answer(credential, key, digest, call.now_us)
    if kept is not None:
        return _again(kept, digest)
    try:
        response = await work()
    except BaseException:
        call.site.store.drop_answer(credential, key)
        raise
    headers = {name: value for name, value in response.headers.items() if name in {"location", "content-type"}}
    call.site.store.finish_answer(credential, key, StoredAnswer(response.status_code, headers, bytes(response.body)))
    return response


def _again(kept: StoredRequest, digest: bytes) -> Response:
    if kept.digest != digest:
        hint = "Use a new key for another request."
        raise ProblemError("key-reused", "this Idempotency-Key was used for another request", hint)
    if kept.answer is None:
        hint = "GET /api/v1/runs shows whether it was done; then use a new key."
        raise ProblemError("in-doubt", "the request with this Idempotency-Key is not answered yet", hint)
    return Response(kept.answer.body, kept.answer.status, kept.answer.headers)


def _digest(call: Call, body: bytes) -> bytes:
    """Return what the request asks for as a hash: its method, path, query and body."""
    request = call.request
    head = f"{request.method} {request.scope['path']}?{request.scope['query_string'].decode('latin-1')}\n"
    return hashlib.sha256(head.encode() + body).digest()
