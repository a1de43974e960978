"""``/api/v1/events``: what changed, as server-sent events. Names alone, so that a page asks for what it shows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.responses import Response, StreamingResponse

from akjob.web.problems import ProblemError
from akjob.web.site import Call
from akjob.web.streams import begun

_GATHER_S = 0.25
_KEEP_ALIVE_S = 15.0
_LONGEST_ID = 20


async def stream_events(call: Call) -> Response:
    """Answer with changes as they come, those since ``Last-Event-ID`` first."""
    seq = _last_event(call)
    first = await call.site.feed.last_seq() if seq is None else seq
    events = await begun(_events(call, first))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, headers=headers, media_type="text/event-stream")


def _last_event(call: Call) -> int | None:
    text = call.request.headers.get("last-event-id")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < _LONGEST_ID):
        raise ProblemError("bad-parameter", "Last-Event-ID is not the id of an event", "Leave it out to begin now.")
    return int(text)


async def _events(call: Call, seq: int) -> AsyncIterator[bytes]:
    site = call.site
    with site.streams.open(call.principal) as ended, site.feed.listen() as news:
        yield f"id: {seq}\nretry: 2000\n\n".encode()
        quiet_s = 0.0
        news.set()
        while not ended.is_set():
            if not await _either(ended, news, _KEEP_ALIVE_S - quiet_s):
                quiet_s = 0.0
                yield b": still here\n\n"
                continue
            news.clear()
            text, seq = await site.feed.event(call.principal, seq)
            if text:
                yield text
            with suppress(TimeoutError):
                async with asyncio.timeout(_GATHER_S):
                    await ended.wait()
            quiet_s = 0.0 if text else quiet_s + _GATHER_S


async def _either(ended: asyncio.Event, news: asyncio.Event, seconds: float) -> bool:
    """Wait for one of two events, so long at most; return True if one came."""
    if ended.is_set() or news.is_set():
        return True
    waits = [asyncio.ensure_future(event.wait()) for event in (ended, news)]
    try:
        done, _ = await asyncio.wait(waits, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return bool(done)
