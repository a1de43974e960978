"""What the nodes of a cluster ask each other: lines of logs, by a token that is in their database, and no more."""

import asyncio
import queue
import re
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from itertools import islice

from starlette.responses import Response, StreamingResponse

from akjob.log.reading import read
from akjob.log.reading.read import Line
from akjob.query.distant import MOST_LAST, NODE_LOG, NODE_STREAM, LocalLog
from akjob.web.api.lists import NDJSON, choice_of, ndjson, text_of
from akjob.web.problems import ProblemError, bad_parameter
from akjob.web.routes import Route
from akjob.web.site import Call, Site
from akjob.web.streams import begun
from akjob.web.written import Written

_RUN = re.compile(r"[0-9a-z]{1,64}")
_LONGEST_NUMBER = 15
_STEP = 500
_NOTHING = b"\n"
_ALIVE_S = 3.0
_LOOK_S = 0.5


async def show_lines(call: Call) -> Response:
    """Answer another node with the lines of a run that this one has; with ``follow=1`` until the run has ended."""
    _must_be_meant(call)
    run = call.path("id")
    if not _RUN.fullmatch(run):
        raise ProblemError("unknown-run", "this is not the id of a run", "")
    after, last = _number(call, "after"), _last(call)
    log, site = LocalLog(call.site.paths, run), call.site
    if choice_of(call, "follow", ("0", "1")) == "1":
        lines = await begun(_followed(call, log, after, last))
    else:
        lines = _steps(site, iter(await site.read(lambda: log.last(last))) if last is not None else log.lines(after))
    return StreamingResponse(lines, media_type=NDJSON)


async def show_stream(call: Call) -> Response:
    """Answer another node with the log stream of this one; with ``follow=1`` with what is added, too."""
    _must_be_meant(call)
    last = _last(call)
    wanted: read.LineFilter = {
        "job": text_of(call, "job"),
        "since_us": _number(call, "since_us"),
        "level": choice_of(call, "level", read.LEVELS),
    }
    paths = call.site.paths
    if choice_of(call, "follow", ("0", "1")) == "1":
        return StreamingResponse(await begun(_added(call, wanted, last)), media_type=NDJSON)
    if last is None:
        lines = read.lines(paths, **wanted)
    else:
        lines = iter(await call.site.read(lambda: read.last(paths, last, **wanted)))
    return StreamingResponse(_steps(call.site, lines), media_type=NDJSON)


async def _added(call: Call, wanted: read.LineFilter, last: int | None) -> AsyncIterator[bytes]:
    """Yield lines as they are written, and something else when there is none for long; until the asker is gone."""
    site, loop = call.site, asyncio.get_running_loop()
    arrived: queue.Queue[Line] = queue.Queue(_STEP)
    closed = threading.Event()

    def read_on() -> None:
        for line in read.follow(site.paths, newest=last, stop=closed.is_set, **wanted):
            while not closed.is_set():
                with suppress(queue.Full):
                    arrived.put(line, timeout=_LOOK_S)
                    break

    with site.streams.open(call.principal) as ended, Written(site.paths.log_dir, _LOOK_S) as written:
        threading.Thread(target=read_on, name="log for a node", daemon=True).start()
        try:
            yield _NOTHING
            spoke = loop.time()
            while not ended.is_set():
                some = [arrived.get_nowait() for _ in range(arrived.qsize())]
                if some:
                    yield ndjson(some)
                    spoke = loop.time()
                else:
                    await written.wait(_LOOK_S)
                if loop.time() - spoke > _ALIVE_S:
                    yield _NOTHING
                    spoke = loop.time()
        finally:
            closed.set()


def _must_be_meant(call: Call) -> None:
    cluster = call.site.config.cluster
    own = "" if cluster is None else cluster.name
    if call.path("node") != own:
        raise ProblemError("unknown-node", f"this is node {own}", "Set public_url in [web] of the node that is meant.")


def _last(call: Call) -> int | None:
    last = _number(call, "last")
    if last is not None and not 0 < last <= MOST_LAST:
        raise bad_parameter("last", last, f"an integer from 1 to {MOST_LAST}")
    return last


async def _steps(site: Site, lines: Iterator[Line]) -> AsyncIterator[bytes]:
    while some := await site.read(lambda: list(islice(lines, _STEP))):
        yield ndjson(some)


async def _followed(call: Call, log: LocalLog, after: int | None, last: int | None) -> AsyncIterator[bytes]:
    """Yield lines as they are written, and something else when there is none for long; until the run's last one."""
    site = call.site
    loop = asyncio.get_running_loop()
    some = await site.read(lambda: log.last(last)) if last is not None else []
    with site.streams.open(call.principal) as ended, Written(site.paths.log_dir, _LOOK_S) as written:
        yield _NOTHING
        after, spoke = _newest(some, after), loop.time()
        while not ended.is_set():
            if some:
                yield ndjson(some)
                spoke = loop.time()
            if any(map(_is_the_last, some)):
                return
            if not some:
                await written.wait(_LOOK_S)
            if loop.time() - spoke > _ALIVE_S:
                yield _NOTHING
                spoke = loop.time()
            lines = log.lines(after)
            some = await site.read(lambda: list(islice(lines, _STEP)))  # noqa: B023 - awaited at once
            after = _newest(some, after)


def _newest(lines: Sequence[Line], after: int | None) -> int | None:
    """Return the number to go on after; lines without a number are at most sent with the first ones."""
    return max((one.get("seq", 0) for one in lines), default=after)


def _is_the_last(line: Line) -> bool:
    return line.get("event") == "run.finished" and line.get("source") != "job"


def _number(call: Call, name: str) -> int | None:
    text = text_of(call, name)
    if text is not None and not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise bad_parameter(name, text, "a number")
    return None if text is None else int(text)


ROUTES = (
    Route(method="GET", path=NODE_LOG, handler=show_lines, needs="node"),
    Route(method="GET", path=NODE_STREAM, handler=show_stream, needs="node"),
)
