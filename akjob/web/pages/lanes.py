"""The timeline as SVG: a lane for each job, the scale above them, what leads from lane to lane, the load below. Pure.

Lanes are stretched to the width of the window, so they hold shapes alone; texts stand in the scale, which is not.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo

from markupsafe import Markup
from msgspec import Struct

from akjob.instants import DAY, HOUR, MINUTE, from_datetime, to_datetime
from akjob.query.lanes import Lane, LaneRun, Link, Stretch
from akjob.web.pages.drawing import WORDS

WIDTH = 1440
COLUMNS = 240
LANE, GAP = 22, 2
_LINE_LANE = LANE + GAP
_DIAMOND = 12
_LEAST_WIDTH = 2
_LOAD = 40
_NEARLY = 0.97  # a label further right would not fit
# What is between the values of a run's mark: joined, which escapes them. A page has thousands, and a format takes six
# times as long.
_NOTHING = Markup("")
_RUN, _KIND, _SHAPE = Markup('<a href="/runs/'), Markup('"><path class="'), Markup('" d="')
_SAID, _END = Markup('"><title>'), Markup("</title></path></a>")


def lane(stretch: Stretch, one: Lane, said: Callable[[LaneRun], str], href: str, *, links: bool) -> Markup:
    """Return one lane: bars are runs, hollow diamonds are slots to come, a line is now.

    With ``links`` each run is one, and ``said`` tells about it; else the lane has one path for each state, within a
    link to the list of its runs.
    """
    parts: list[Markup] = []
    if one.band:
        parts += _band(stretch, one)
    if one.band or not links:
        together = Markup("").join(_together(stretch, one.runs))
        if together or one.band:
            parts.append(Markup('<a href="{}" aria-label="{}">{}</a>').format(href, f"Runs of {one.job}", together))
    else:
        parts += [_mark(stretch, run, said(run)) for run in one.runs]
    parts += _coming(stretch, one)
    if stretch.start_us <= stretch.now_us < stretch.end_us:
        parts.append(Markup('<path class="now" d="M{x} 0V{h}"/>').format(x=_x(stretch, stretch.now_us), h=LANE))
    return Markup(
        '<svg class="lane" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="group" aria-label="{label}">{parts}'
        "</svg>"
    ).format(w=WIDTH, h=LANE, label=label(one), parts=Markup("").join(parts))


def label(one: Lane) -> str:
    """Return a lane in words."""
    counts = Counter(run.row.state for run in one.runs)
    parts = [f"{count} {WORDS.get(state, state)}" for state, count in counts.most_common()]
    if one.band:
        parts.insert(0, f"{sum(count for _, count in one.band)} runs")
    return f"{one.job}: {', '.join(parts) or 'no runs'}, {len(one.coming)} to come"


def _x(stretch: Stretch, at_us: int) -> int:
    return round(stretch.share(at_us) * WIDTH)


def _mark(stretch: Stretch, one: LaneRun, said: str) -> Markup:
    state = one.row.state
    shape = "".join(_shapes(stretch, state, [one]))
    return _NOTHING.join((_RUN, one.row.id, _KIND, _class(state), _SHAPE, shape, _SAID, said, _END))


def _together(stretch: Stretch, runs: Iterable[LaneRun]) -> list[Markup]:
    """Return one path for each state."""
    by_state: dict[str, list[LaneRun]] = {}
    for run in runs:
        by_state.setdefault(run.row.state, []).append(run)
    return [
        Markup('<path class="{}" d="{}"/>').format(_class(state), "".join(_shapes(stretch, state, found)))
        for state, found in by_state.items()
    ]


def _class(state: str) -> str:
    return f"{'l' if state in {'skipped', 'missed'} else 'b'}-{state}"


def _shapes(stretch: Stretch, state: str, runs: Iterable[LaneRun]) -> Iterator[str]:
    """Yield the path of each run; what the one before covers is left out."""
    start_us = stretch.start_us
    scale = WIDTH / (stretch.end_us - start_us)
    covered = -1
    for run in runs:
        left, right = int((run.begin_us - start_us) * scale), int((run.end_us - start_us) * scale)
        right = max(right, left + _LEAST_WIDTH)
        if left < 0 or right > WIDTH:
            left, right = max(left, 0), min(right, WIDTH)
        if right <= covered or left >= WIDTH:
            continue
        covered = right
        if state == "skipped":
            yield f"M{left} 5l5 12M{left + 5} 5l-5 12"
        elif state == "missed":
            yield f"M{left} 16h8"
        else:
            yield f"M{left} 5h{right - left}v12h-{right - left}z"


def _coming(stretch: Stretch, one: Lane) -> list[Markup]:
    """Return a diamond for each slot to come; a line with ticks where diamonds would cover each other."""
    places = [_x(stretch, at_us) for at_us in one.coming]
    if not places:
        return []
    if len(places) > 1 and (places[-1] - places[0]) / (len(places) - 1) < _DIAMOND:
        ticks = "".join(f"M{x} 8v6" for x in sorted({place // 4 * 4 for place in places}))
        return [Markup('<path class="coming" d="M{} 11H{}{}"/>').format(places[0], places[-1], ticks)]
    diamonds = "".join(f"M{x - 5} 11l5 -5l5 5l-5 5z" for x in places)
    ghosts = [
        Markup('<path class="ghost {}" d="{}"/>').format(kind, "".join(_ghosts(stretch, one, took_us, height)))
        for kind, took_us, height in (("p95", one.p95_us, 2), ("p50", one.p50_us, 6))
        if took_us
    ]
    return [*ghosts, Markup('<path class="coming" d="{}"/>').format(diamonds)]


def _ghosts(stretch: Stretch, one: Lane, took_us: int, height: int) -> Iterator[str]:
    """Yield how long the slots to come will take, as the last ones did."""
    for at_us in one.coming:
        x = _x(stretch, at_us)
        yield f"M{x} {11 - height // 2}h{max(1, _x(stretch, at_us + took_us) - x)}v{height}H{x}z"


def _band(stretch: Stretch, one: Lane) -> list[Markup]:
    """Return a band whose height says how many runs began, where single marks would be a blur."""
    most = max(count for _, count in one.band)
    places = [(_x(stretch, at_us), _x(stretch, at_us + HOUR), count) for at_us, count in one.band]
    path = "".join(
        f"M{x} 19H{max(x + 1, right)}V{19 - max(1, round(16 * count / most))}H{x}z" for x, right, count in places
    )
    return [Markup('<path class="b-succeeded band" d="{}"/>').format(path)]


# -- what is above, across and below the lanes


class DayMark(Struct, frozen=True, kw_only=True):
    """A line across all lanes: where a day begins, or where clocks are set to ``said``."""

    at_us: int
    said: str = ""


def day_marks(stretch: Stretch, zone: tzinfo) -> list[DayMark]:
    """Return where the days of a zone begin, and where its clocks change; a day of 23 or 25 hours is drawn so long."""
    found = []
    day = to_datetime(stretch.start_us).astimezone(zone).date()
    last = to_datetime(stretch.end_us).astimezone(zone).date()
    while day <= last:
        begin, following = _midnight(day, zone), _midnight(day + timedelta(days=1), zone)
        if stretch.start_us < begin < stretch.end_us:
            found.append(DayMark(at_us=begin))
        hours = (following - begin) / HOUR
        if following - begin != DAY:
            at_us = _change(begin, following, zone)
            if stretch.start_us < at_us < stretch.end_us:
                found.append(DayMark(at_us=at_us, said=f"clocks change: a day of {hours:g} hours"))
        day += timedelta(days=1)
    return found


def _midnight(day: object, zone: tzinfo) -> int:
    return from_datetime(datetime.fromisoformat(str(day)).replace(tzinfo=zone))


def _change(begin_us: int, end_us: int, zone: tzinfo) -> int:
    """Return the minute in which the offset of a zone becomes another one."""

    def offset(at_us: int) -> timedelta | None:
        return to_datetime(at_us).astimezone(zone).utcoffset()

    before = offset(begin_us)
    while end_us - begin_us > MINUTE:
        middle_us = (begin_us + end_us) // 2 // MINUTE * MINUTE
        if offset(middle_us) == before:
            begin_us = middle_us
        else:
            end_us = middle_us
    return end_us


def across(stretch: Stretch, marks: Sequence[DayMark], links: Sequence[Link], lanes: int) -> Markup:
    """Return what lies over all lanes: days, changes of the clock, and an arrow for each run that another made due."""
    height = lanes * _LINE_LANE
    days = "".join(f"M{_x(stretch, one.at_us)} 0V{height}" for one in marks if not one.said)
    changes = "".join(f"M{_x(stretch, one.at_us)} 0V{height}" for one in marks if one.said)
    arrows = "".join(_arrow(stretch, one) for one in links)
    parts = [
        Markup('<path class="{}" d="{}"/>').format(kind, path)
        for kind, path in (("day", days), ("clock", changes), ("arrow", arrows))
        if path
    ]
    return Markup(
        '<svg class="across" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(WIDTH, height, Markup("").join(parts))


def _arrow(stretch: Stretch, one: Link) -> str:
    """Return a line from where a run ended, down or up its column, into the run that it made due."""
    left, right = _x(stretch, one.ended_us), max(_x(stretch, one.began_us), _x(stretch, one.ended_us) + 4)
    down = one.to_lane > one.from_lane
    begin = one.from_lane * _LINE_LANE + (17 if down else 5)
    end = one.to_lane * _LINE_LANE + 11
    return f"M{left} {begin}V{end}H{right}M{right - 5} {end - 4}L{right} {end}L{right - 5} {end + 4}"


def ticks(stretch: Stretch, step_us: int, zone: tzinfo, marks: Sequence[DayMark]) -> Markup:
    """Return the scale above the lanes: a line and a time of the zone for each step; days and changes by name."""
    parts = [_tick(share, text) for share, text in _labels(stretch, step_us, zone)]
    parts += [_tick(stretch.share(one.at_us), "±1 h") for one in marks if one.said]
    return Markup('<svg class="ticks" aria-hidden="true">{}</svg>').format(Markup("").join(parts))


def _tick(share: float, text: str) -> Markup:
    place = f"{share * 100:.2f}%"
    return Markup('<line x1="{x}" x2="{x}" y1="14" y2="20"/><text x="{x}" y="12">{text}</text>').format(
        x=place, text=text
    )


def _labels(stretch: Stretch, step_us: int, zone: tzinfo) -> Iterator[tuple[float, str]]:
    """Yield where the steps are, by the zone's own clock: at midnight, and so many hours or minutes after it."""
    day = to_datetime(stretch.start_us).astimezone(zone).date()
    last = to_datetime(stretch.end_us).astimezone(zone).date()
    while day <= last:
        midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
        if step_us < DAY or day.toordinal() % (step_us // DAY) == 0:
            for after in range(0, DAY, min(step_us, DAY)):
                moment = midnight + timedelta(microseconds=after)
                at_us = from_datetime(moment)
                if to_datetime(at_us).astimezone(zone).hour != moment.hour:
                    continue  # the clock has no such time on that day
                if stretch.start_us <= at_us and stretch.share(at_us) < _NEARLY:
                    yield stretch.share(at_us), f"{moment:%m-%d}" if not after else f"{moment:%H:%M}"
        day += timedelta(days=1)


def area(stretch: Stretch, values: Sequence[float], expected: Sequence[float], most: float, said: str) -> Markup:
    """Return one line of the load: an area for what was, a dotted line for what is expected."""
    step = WIDTH // COLUMNS

    def height(value: float) -> int:
        return _LOAD - round(min(1.0, value / most) * (_LOAD - 2)) if most else _LOAD

    path = f"M0 {_LOAD}" + "".join(f"V{height(value)}h{step}" for value in values) + f"V{_LOAD}z"
    ahead = [(index, value) for index, value in enumerate(expected) if value]
    dotted = "".join(f"M{index * step} {height(value)}h{step}" for index, value in ahead)
    return Markup(
        '<svg class="load" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" aria-label="{said}">'
        '<path class="was" d="{path}"/><path class="coming" d="{dotted}"/><path class="now" d="M{now} 0V{h}"/></svg>'
    ).format(w=WIDTH, h=_LOAD, said=said, path=path, dotted=dotted, now=_x(stretch, stretch.now_us))
