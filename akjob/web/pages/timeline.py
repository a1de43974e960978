"""The timeline: a lane for each job, past and coming, and what runs at once below them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from akjob.instants import DAY, HOUR, MINUTE, to_datetime, to_text
from akjob.query.jobs import JobView
from akjob.query.lanes import MOST_MARKS, Lane, LaneRun, Load, Stretch, causes_of, lane_of, links_of, load_of
from akjob.query.sight import Sight
from akjob.query.text import size
from akjob.query.text import span as words_of
from akjob.schedule import get_zone, is_zone
from akjob.web.api.lists import choice_of, text_of
from akjob.web.api.times import instant_of
from akjob.web.pages import lanes as drawn
from akjob.web.pages.drawing import WORDS
from akjob.web.pages.rendering import render
from akjob.web.pages.searching import Search, search_of
from akjob.web.pages.summary import summarize
from akjob.web.problems import bad_parameter
from akjob.web.site import Call

_SPANS: Mapping[str, tuple[int, int]] = {
    "15 min": (15 * MINUTE, MINUTE),
    "1 h": (HOUR, 5 * MINUTE),
    "6 h": (6 * HOUR, 30 * MINUTE),
    "24 h": (DAY, 2 * HOUR),
    "3 d": (3 * DAY, 6 * HOUR),
    "7 d": (7 * DAY, 12 * HOUR),
    "30 d": (30 * DAY, 2 * DAY),
}
_DEFAULT_SPAN = "24 h"
_LANES = ("50", "200")
_ORDERS = {"": "by folder and name", "next": "by the next start"}
_PAST = 0.75
_COMING = 400
_MOST_ROWS = 30_000
_MOST_EXCEPTIONS = 200
_MOST_LINKS = 600  # a link for each of many narrow bars is large, and hard to hit
_MOST_LINKS_EACH = 60
_TABLE = 500


class TimelineWanted(Struct, frozen=True, kw_only=True):
    """What the URL asks for; ``at_us`` is the instant at three quarters of the width, None: now."""

    search: Search
    span: str
    at_us: int | None
    zone: str
    lanes: str
    table: bool

    def link(self, **changed: Any) -> str:
        """Return the URL of the same page with something else."""
        at_us = changed.pop("at_us", self.at_us)
        values = {
            "q": self.search.q,
            "span": self.span if self.span != _DEFAULT_SPAN else "",
            "at": "" if at_us is None else to_text(at_us)[:19] + "Z",
            "zone": self.zone if self.zone != "UTC" else "",
            "lanes": self.lanes if self.lanes != _LANES[0] else "",
            "sort": self.search.sort,
            "page": self.search.page if self.search.page > 1 else "",
            "view": "table" if self.table else "",
        } | changed
        query = urlencode({name: value for name, value in values.items() if value})
        return f"/timeline?{query}" if query else "/timeline"

    def stretch(self, now_us: int) -> Stretch:
        """Return the stretch of time that is shown."""
        length_us = _SPANS[self.span][0]
        start_us = (now_us if self.at_us is None else self.at_us) - round(length_us * _PAST)
        return Stretch(start_us=start_us, end_us=start_us + length_us, now_us=now_us)


class TimelineRow(Struct, frozen=True, kw_only=True):
    """One line of the table."""

    job: str
    run: str
    begin_us: int
    state: str
    took: str


async def show_timeline(call: Call) -> Response:
    """Show the runs and the coming slots of a page of jobs."""
    sight = await call.sight()
    chosen = _chosen(call)
    values = await call.site.read(lambda: _timeline(sight, chosen))
    return render(call, "timeline.html", **values, live=chosen.at_us is None)


def _chosen(call: Call) -> TimelineWanted:
    zone = text_of(call, "zone") or "UTC"
    if not is_zone(zone):
        raise bad_parameter("zone", zone, "a time zone, as Europe/Berlin")
    return TimelineWanted(
        search=replace(search_of(call), sort=choice_of(call, "sort", tuple(filter(None, _ORDERS))) or ""),
        span=choice_of(call, "span", _SPANS) or _DEFAULT_SPAN,
        at_us=instant_of(call, "at"),
        zone=zone,
        lanes=choice_of(call, "lanes", _LANES) or _LANES[0],
        table=choice_of(call, "view", ("table",)) is not None,
    )


def _timeline(sight: Sight, chosen: TimelineWanted) -> dict[str, Any]:
    stretch, zone, on_a_page = chosen.stretch(sight.now_us), get_zone(chosen.zone), int(chosen.lanes)
    first = (chosen.search.page - 1) * on_a_page
    names = list(islice(sight.find(chosen.search.wanted, chosen.search.by), first, first + on_a_page + 1))
    views = sight.views(names[:on_a_page])
    found = lanes_of(sight, views, stretch)
    marks = drawn.day_marks(stretch, zone)
    values = {
        "summary": summarize(sight),
        "chosen": chosen,
        "spans": list(_SPANS),
        "orders": _ORDERS,
        "zones": sorted({"UTC", chosen.zone, *(view.spec.schedule.zone for view in views if view.spec is not None)}),
        "more": len(names) > on_a_page,
        "moves": _moves(chosen, stretch),
        "range": _range(stretch, chosen.zone),
        "clock_changes": [one for one in marks if one.said],
        "shows_any": bool(found),
    }
    if chosen.table:
        return {**values, "table": _table(found)}
    drawings = _drawings(sight, found, stretch)
    return {
        **values,
        "lanes": [(view.name, sight.upstreams(view), drawing) for view, drawing in zip(views, drawings, strict=True)],
        "scale": drawn.ticks(stretch, _SPANS[chosen.span][1], zone, marks),
        "across": drawn.across(stretch, marks, links_of(found), len(found)),
        "loads": _loads(load_of(found, stretch, drawn.COLUMNS), stretch) if found else [],
    }


def lanes_of(sight: Sight, views: Sequence[JobView], stretch: Stretch) -> list[Lane]:
    """Return the lanes of jobs. A lane with too many runs becomes a band; so many rows are read for all together."""
    since, until = to_text(stretch.start_us), to_text(min(stretch.end_us, stretch.now_us + DAY))
    most = min(MOST_MARKS + 1, max(_MOST_ROWS // max(1, len(views)), 1))
    rows = sight.times([view.name for view in views], since, until, most)
    found = []
    for view in views:
        coming = sight.coming_until(view, stretch.end_us, _COMING) if stretch.end_us > stretch.now_us else []
        coming = [at_us for at_us in coming if at_us >= stretch.start_us]
        if len(rows[view.name]) < most:
            found.append(lane_of(view.name, rows[view.name], stretch, coming))
            continue
        band = sight.counts_by_hour(view, since, until)
        exceptions = sight.exceptions(view, since, until, _MOST_EXCEPTIONS)
        found.append(lane_of(view.name, exceptions, stretch, coming, band))
    return found


def _drawings(sight: Sight, lanes: Sequence[Lane], stretch: Stretch) -> Iterator[Any]:
    """Yield the lanes as SVG; runs are links of their own as long as there are not too many on the page."""
    left = _MOST_LINKS
    since, until = to_text(stretch.start_us)[:19] + "Z", to_text(stretch.end_us)[:19] + "Z"

    def said(run: LaneRun) -> str:
        return _said(sight, run)

    for one in lanes:
        links = len(one.runs) <= min(left, _MOST_LINKS_EACH)
        left -= len(one.runs) if links else 0
        href = "/runs?" + urlencode({"job": one.job, "since": since, "until": until})
        yield drawn.lane(stretch, one, said, href, links=links)


def _said(sight: Sight, run: LaneRun) -> str:
    """Return what to say of a run: its slot, what became of it and how long it took, and what made it due."""
    row = run.row
    text = f"{row.slot[:19].replace('T', ' ')} UTC {WORDS.get(row.state, row.state)}, "
    text += words_of(max(0, run.end_us - run.begin_us)) + (f" on node {row.node}" if row.node else "")
    if row.trigger == "change":
        return f"{text}, after files had changed"
    names = ", ".join(name for name in causes_of(row) if sight.sees(name))
    return f"{text}, after {names}" if names else text


def _moves(chosen: TimelineWanted, stretch: Stretch) -> dict[str, str | None]:
    """Return the links that move the view: ``now`` is None while it stands there."""
    half_us = (stretch.end_us - stretch.start_us) // 2
    at_us = stretch.now_us if chosen.at_us is None else chosen.at_us
    spans = list(_SPANS)
    place = spans.index(chosen.span)
    return {
        "earlier": chosen.link(at_us=at_us - half_us),
        "later": chosen.link(at_us=at_us + half_us),
        "now": None if chosen.at_us is None else chosen.link(at_us=None),
        "closer": chosen.link(span=spans[place - 1]) if place else None,
        "wider": chosen.link(span=spans[place + 1]) if place + 1 < len(spans) else None,
    }


def _range(stretch: Stretch, zone: str) -> str:
    begin, end = (to_datetime(at_us).astimezone(get_zone(zone)) for at_us in (stretch.start_us, stretch.end_us))
    return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} {end:%Z}"


def _table(lanes: Sequence[Lane]) -> list[TimelineRow]:
    rows = [(lane.job, run) for lane in lanes for run in lane.runs]
    rows.sort(key=lambda pair: -pair[1].begin_us)
    return [
        TimelineRow(
            job=job,
            run=run.row.id,
            begin_us=run.begin_us,
            state=run.row.state,
            took="" if run.row.started_at is None else words_of(run.end_us - run.begin_us),
        )
        for job, run in rows[:_TABLE]
    ]


def _loads(load: Load, stretch: Stretch) -> list[tuple[str, str, Any]]:
    """Return the lines of the load: what it is, its greatest value in words, and the drawing."""
    each = words_of((stretch.end_us - stretch.start_us) // drawn.COLUMNS)
    at_once = max(*load.running, *load.expected)
    cores, memory = max(load.cores), max(load.memory_bytes)
    machine_cores, machine_bytes = os.cpu_count() or 1, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    rows = [
        ("Running at once", f"at most {at_once:.1f}", load.running, load.expected, at_once),
        ("Processors", f"at most {cores:.2f} of {machine_cores}", load.cores, (), max(cores, machine_cores)),
        (
            "Memory",
            f"at most {size(round(memory))} of {size(machine_bytes)}",
            load.memory_bytes,
            (),
            max(memory, machine_bytes),
        ),
    ]
    return [
        (name, f"{most}, means of {each}", drawn.area(stretch, values, expected, top, f"{name} of these jobs: {most}"))
        for name, most, values, expected, top in rows
    ]
