"""``/api/v1/runs/{id}/log``: what a run logged, as NDJSON, or the bytes that it printed."""

import re
import re._constants as ops  # type: ignore[import-not-found] # the parser of the module re: no other tells what a pattern costs
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Any, TypeVar

from starlette.responses import Response, StreamingResponse

from akjob.log.reading import read
from akjob.log.reading.needle import needle_of
from akjob.log.reading.render import render
from akjob.query.distant import DistantLog, LocalLog, run_log
from akjob.web.api import ranges
from akjob.web.api.lists import NDJSON, choice_of, ndjson, text_of
from akjob.web.api.runs import found_run
from akjob.web.problems import ProblemError, bad_parameter
from akjob.web.site import Call, Site

_STEP = 500
_LONGEST_PATTERN = 200
_SEARCHED = 2048  # so much of a line is searched: what a pattern may cost grows with the square of it

Line = dict[str, Any]
T = TypeVar("T")


async def show_log(call: Call) -> Response:
    """Answer with the log's objects; with ``raw=1`` with the output's bytes, or a ``Range`` of them."""
    sight = await call.sight()
    run = await call.site.read(lambda: found_run(sight, call.path("id")))
    log = run_log(call.site.paths, call.site.config, run.node, run.id)
    stream = choice_of(call, "stream", ("stdout", "stderr"))
    if choice_of(call, "raw", ("0", "1")) == "1":
        return await _raw(call, log, run.id, stream)
    level, grep = choice_of(call, "level", read.LEVELS), text_of(call, "grep")
    wanted = pattern_of(grep)
    needle = None if grep is None else needle_of(grep)
    lines = read.choose(log.lines(needle=needle), level=level)
    found = (line for line in lines if stream in {None, line.get("stream")} and wanted(line))
    steps = _steps(call.site, log, found)
    return StreamingResponse(_encoded(await anext(steps, []), steps, ndjson), media_type=NDJSON)


async def _steps(site: Site, log: LocalLog | DistantLog, things: Iterator[T]) -> AsyncIterator[list[T]]:
    """Yield things as they are read, some hundreds at a time, in a thread."""
    while some := await site.read_log(log, lambda: list(islice(things, _STEP))):
        yield some


async def _encoded(
    first: list[T], steps: AsyncIterator[list[T]], encode: Callable[[list[T]], bytes]
) -> AsyncIterator[bytes]:
    """Yield as bytes what was read before the answer was begun, so that it can say what is wrong, and the rest."""
    if first:
        yield encode(first)
    async for some in steps:
        yield encode(some)


async def _raw(call: Call, log: LocalLog | DistantLog, run: str, stream: str | None) -> Response:
    wanted = ranges.parse(call.request.headers.get("range"))
    site = call.site
    if wanted is None:
        headers = {"Accept-Ranges": "bytes", "Content-Disposition": f'attachment; filename="{run}.log"'}
        pieces = _steps(site, log, read.printed(log.lines(), stream))
        body = _encoded(await anext(pieces, []), pieces, b"".join)
        return StreamingResponse(body, headers=headers, media_type="application/octet-stream")
    size = await site.read_log(log, lambda: sum(map(len, read.printed(log.lines(), stream))))
    found = ranges.resolve(wanted, size)
    parts = await site.read_log(log, lambda: ranges.cut(read.printed(log.lines(), stream), found))
    return ranges.answer(found, parts, size)


def pattern_of(text: str | None) -> Callable[[Line], bool]:
    """Return what tells whether a line has a pattern: a regular expression whose cost is bounded."""
    if text is None:
        return lambda _line: True
    if len(text) > _LONGEST_PATTERN:
        raise bad_parameter("grep", text, f"a pattern of at most {_LONGEST_PATTERN} characters")
    try:
        if _unbounded(parser.parse(text)) > 1:
            hint = "Use one * or + at most, or `akjob logs --grep` on the machine."
            raise ProblemError("bad-parameter", "this pattern may take too long", hint)
        pattern = re.compile(text)
    except (re.error, RecursionError, OverflowError):
        raise bad_parameter("grep", text, "a regular expression") from None
    return lambda line: pattern.search(render(line, colour=False)[:_SEARCHED]) is not None


def _unbounded(pattern: Any) -> int:
    """Return how many repeats in a pattern are long, those that are in another one counting for many."""
    total = 0
    for operation, argument in pattern:
        if operation in {ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT}:
            _, most, inner = argument
            within = _unbounded(inner)
            total += (1 if most > _MANY else 0) + (within * 2 if most > 1 else within)
        elif operation is ops.GROUPREF:
            total += 2
        else:
            total += sum(_unbounded(part) for part in _parts(argument))
    return total


_MANY = 20


def _parts(argument: object) -> Iterator[Any]:
    """Yield the patterns inside an operation's argument."""
    for part in argument if isinstance(argument, tuple | list) else ():
        if isinstance(part, parser.SubPattern):
            yield part
        elif isinstance(part, tuple | list):
            yield from _parts(part)
