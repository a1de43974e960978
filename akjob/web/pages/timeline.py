"""The timeline: a lane for each job, past and coming."""

from collections.abc import Mapping
from statistics import median_high
from typing import Any

import msgspec
from starlette.responses import Response

from akjob.instants import DAY, HOUR, MINUTE, from_text, to_text
from akjob.query.jobs import JobView
from akjob.query.runs import Run
from akjob.query.sight import Sight
from akjob.query.text import span as words_of
from akjob.web.api.lists import choice_of
from akjob.web.pages.drawing import WORDS, Lane, Mark, Span, lane, ticks
from akjob.web.pages.jobs import ON_A_PAGE
from akjob.web.pages.rendering import render
from akjob.web.pages.searching import Search, search_of
from akjob.web.pages.summary import summarize
from akjob.web.site import Call

_SPANS: Mapping[str, tuple[int, int]] = {
    "15 min": (15 * MINUTE, MINUTE),
    "1 h": (HOUR, 5 * MINUTE),
    "6 h": (6 * HOUR, HOUR),
    "24 h": (DAY, 2 * HOUR),
    "3 d": (3 * DAY, 6 * HOUR),
    "7 d": (7 * DAY, 12 * HOUR),
    "30 d": (30 * DAY, 2 * DAY),
}
_PAST = 0.75
_MARKS = 3000
_COMING = 100
_TABLE = 500


async def show_timeline(call: Call) -> Response:
    """Show the runs and the coming slots of fifty jobs."""
    search, sight = search_of(call), await call.sight()
    chosen = choice_of(call, "span", _SPANS) or "24 h"
    values = await call.site.read(lambda: _timeline(call, sight, search, chosen))
    return render(call, "timeline.html", **values)


def _timeline(call: Call, sight: Sight, search: Search, chosen: str) -> dict[str, Any]:
    length_us, step_us = _SPANS[chosen]
    start_us = call.now_us - round(length_us * _PAST)
    drawn = Span(start_us=start_us, end_us=start_us + length_us, now_us=call.now_us)
    names = list(sight.find(search.wanted))
    shown = sight.views(names[(search.page - 1) * ON_A_PAGE : search.page * ON_A_PAGE])
    lanes = [lane_of(sight, view, drawn) for view in shown]
    table = [(one.job, run.start_us, run.state) for one in lanes for run in one.runs]
    return {
        "summary": summarize(sight),
        "lanes": [(view.name, sight.upstreams(view), lane(drawn, one)) for view, one in zip(shown, lanes, strict=True)],
        "scale": ticks(drawn, step_us),
        "table": sorted(table, key=lambda row: -row[1])[:_TABLE],
        "spans": list(_SPANS),
        "chosen": chosen,
        "q": search.q,
        "page": search.page,
        "more": len(names) > search.page * ON_A_PAGE,
    }


def lane_of(sight: Sight, view: JobView, drawn: Span) -> Lane:
    """Return a job's lane: what ran in the span, and what is still to come in it."""
    rows = sight.rows_between(view, to_text(drawn.start_us), to_text(drawn.end_us), _MARKS)
    runs, took = [], []
    for row in rows:
        begin_us = begin_of(row)
        end_us = drawn.now_us if row.ended_at is None else from_text(row.ended_at)
        if row.state == "succeeded":
            took.append(end_us - begin_us)
        said = f"{row.slot[:19]} UTC {WORDS.get(row.state, row.state)}, {words_of(max(0, end_us - begin_us))}"
        said += _made_due(row, sight)
        runs.append(Mark(start_us=begin_us, end_us=max(begin_us, end_us), state=row.state, run=row.id, said=said))
    coming = [] if view.state in {"disabled", "paused"} else sight.coming(view, drawn.now_us, _COMING)
    ahead = tuple(at_us for at_us in coming if at_us < drawn.end_us)
    goes_on = len(ahead) == _COMING
    ghost_us = median_high(took) if took else 0
    return Lane(job=view.name, runs=tuple(runs), coming=ahead, ghost_us=ghost_us, goes_on=goes_on)


def begin_of(row: Run) -> int:
    """Return where a row begins on its lane: at its start, or at its slot; one that waits, when it began to wait."""
    waits = row.state == "queued"
    return from_text(row.started_at or (max(row.slot, row.queued_at) if waits else row.slot))


def _made_due(row: Run, sight: Sight) -> str:
    """Return what made a run due where it was another job's end or changed files; an empty string for the others."""
    if row.trigger == "change":
        return ", after files had changed"
    if row.trigger != "after":
        return ""
    causes = msgspec.json.decode(row.cause or "{}").get("after", {})
    names = ", ".join(name for name in causes if sight.sees(name))
    return f", after {names}" if names else ""
