"""``[[expect]]``: what the author of a schedule means, checked before a new version of the file is taken."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any, NamedTuple

from msgspec import Struct

from akjob.instants import SECOND, from_datetime, to_datetime
from akjob.keys import values
from akjob.keys.key import Key, fields, keys
from akjob.keys.schemas import DATE_TIME, DURATION, one_or_some, some, table_schema
from akjob.keys.values import Reading
from akjob.schedule.model import Schedule
from akjob.schedule.plan import Plan, compile_schedule, count_between, next_slot, slots_between
from akjob.schedule.zones import EPOCH_ORDINAL, Zone, get_zone, integer_zone
from akjob.spec.when import WEEKDAY
from akjob.toml.faults import dotted
from akjob.toml.scan import Path
from akjob.units import format_duration

YEARS = 10
MOST_SLOTS = 100_000  # are compared one by one; of more a part is, which is said
_DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time, in whichever zone

Moments = tuple[datetime, ...]


class Count(Struct, frozen=True, kw_only=True):
    """How many slots there are from ``start``, inclusive, to ``end``, exclusive; local where they have no offset."""

    start: datetime
    end: datetime
    exactly: int | None = None
    least: int | None = None
    most: int | None = None


class Expectation(Struct, frozen=True, kw_only=True):
    """One table; every key that is given must hold."""

    fires: Moments = ()
    not_fires: Moments = ()
    never_on: tuple[int, ...] = ()
    max_gap_us: int | None = None
    min_gap_us: int | None = None
    count: Count | None = None


class Failure(NamedTuple):
    """One expectation that does not hold, or (``severity`` info) is checked in part only."""

    key: Path
    message: str
    hint: str
    severity: str = "error"


def check(expectations: tuple[Expectation, ...], schedule: Schedule, now_us: int, out: Reading) -> None:
    """Note each expectation that the schedule does not fulfil. Gaps are those of ten years from the year of now on."""
    calendar = _Calendar(schedule, now_us)
    for index, expectation in enumerate(expectations):
        for failure in _failures(expectation, calendar):
            path = ("expect", index, *failure.key)
            code = "expectation-failed" if failure.severity == "error" else "expectation-in-part"
            message = f"`{dotted(path)}`: {failure.message}"
            out.bad(path, code, message, failure.hint, severity=failure.severity)  # type: ignore[arg-type]


class _Calendar:
    """The slots of a schedule, and the ten years that are looked at."""

    def __init__(self, schedule: Schedule, now_us: int) -> None:
        self.plan: Plan = compile_schedule(schedule)
        self.zone: Zone = integer_zone(schedule.zone)
        self._name = schedule.zone
        year = to_datetime(now_us).astimezone(get_zone(schedule.zone)).year
        self.first_day, self.end_day = date(year, 1, 1), date(year + YEARS, 1, 1)
        self.start_us, self.end_us = self.day_us(self.first_day), self.day_us(self.end_day)

    def day_us(self, day: date) -> int:
        """Return the instant at which a local day begins."""
        return self.zone.first((day.toordinal() - EPOCH_ORDINAL) * _DAY_S) * SECOND

    def instant_us(self, moment: datetime) -> int:
        """Return the instant of a moment, local where it has no offset."""
        if moment.tzinfo is not None:
            return from_datetime(moment)
        return self.zone.first((moment - _EPOCH) // timedelta(seconds=1)) * SECOND

    def is_slot(self, instant_us: int) -> bool:
        return next_slot(self.plan, instant_us - 1) == instant_us

    def shown(self, instant_us: int | None) -> str:
        """Write a slot in the job's zone."""
        if instant_us is None:
            return "never"
        moment = to_datetime(instant_us).astimezone(get_zone(self._name))
        return f"{moment:%a} {moment.isoformat()}"


def _failures(expected: Expectation, calendar: _Calendar) -> Iterator[Failure]:
    yield from _fires(expected.fires, calendar)
    yield from _not_fires(expected.not_fires, calendar)
    yield from _never_on(expected.never_on, calendar)
    for key, gap_us, check_gap in (
        ("max_gap", expected.max_gap_us, _max_gap),
        ("min_gap", expected.min_gap_us, _min_gap),
    ):
        if gap_us is not None:
            yield from check_gap((key,), gap_us, calendar)
    if expected.count is not None:
        yield from _count(expected.count, calendar)


def _fires(moments: Moments, calendar: _Calendar) -> Iterator[Failure]:
    for index, moment in enumerate(moments):
        instant_us = calendar.instant_us(moment)
        if not calendar.is_slot(instant_us):
            upcoming = calendar.shown(next_slot(calendar.plan, instant_us))
            message = f"{calendar.shown(instant_us)} is not a slot; the next one is {upcoming}"
            yield Failure(_of_one("fires", moments, index), message, "change the schedule, or what you expect")


def _not_fires(moments: Moments, calendar: _Calendar) -> Iterator[Failure]:
    for index, moment in enumerate(moments):
        instant_us = calendar.instant_us(moment)
        if calendar.is_slot(instant_us):
            message = f"{calendar.shown(instant_us)} is a slot"
            yield Failure(_of_one("not_fires", moments, index), message, "change the schedule, or what you expect")


def _of_one(key: str, moments: Moments, index: int) -> Path:
    return (key, index) if len(moments) > 1 else (key,)


def _never_on(days: tuple[int, ...], calendar: _Calendar) -> Iterator[Failure]:
    day = calendar.first_day
    while days and day < calendar.end_day:
        following = day + timedelta(days=1)
        if day.weekday() in days:
            slot = next_slot(calendar.plan, calendar.day_us(day) - 1)
            if slot is None:
                return
            if slot < calendar.day_us(following):
                message = f"{calendar.shown(slot)} is a slot"
                yield Failure(("never_on",), message, "add weekdays to [limits], or change what you expect")
                return
        day = following


def _max_gap(key: Path, gap_us: int, calendar: _Calendar) -> Iterator[Failure]:
    for before, after in _gaps(calendar, gap_us):
        if after is None:
            yield _in_part(key, before, calendar)
        elif after - before > gap_us:
            yield _gap(key, "longer", before, after, calendar)
            return


def _min_gap(key: Path, gap_us: int, calendar: _Calendar) -> Iterator[Failure]:
    for before, after in _gaps(calendar, None):
        if after is None:
            yield _in_part(key, before, calendar)
        elif after - before < gap_us:
            yield _gap(key, "shorter", before, after, calendar)
            return


def _gap(key: Path, how: str, before: int, after: int, calendar: _Calendar) -> Failure:
    length = format_duration(after - before)
    message = f"{length} from {calendar.shown(before)} to {calendar.shown(after)}, which is {how}"
    return Failure(key, message, "change the schedule, or what you expect")


def _in_part(key: Path, until_us: int, calendar: _Calendar) -> Failure:
    message = f"there are too many slots to compare all; up to {calendar.shown(until_us)} it holds"
    return Failure(key, message, "nothing needs to be done", "info")


def _gaps(calendar: _Calendar, at_least_us: int | None) -> Iterator[tuple[int, int | None]]:
    """Yield slots that follow each other; (the last one looked at, None) where there are too many.

    With ``at_least_us`` gaps that are certainly shorter may be left out.
    """
    total, first, _ = count_between(calendar.plan, calendar.start_us - 1, calendar.end_us - 1)
    if first is None:
        return
    if total <= MOST_SLOTS or at_least_us is None:
        slots = slots_between(calendar.plan, calendar.start_us - 1, calendar.end_us - 1, MOST_SLOTS)
        yield from pairwise(slots)
        if total > MOST_SLOTS:
            yield slots[-1], None
        return
    steps = islice(_strides(calendar, first, at_least_us), MOST_SLOTS // 10)
    last = first
    for before, after in steps:
        yield before, after
        last = after
    if next_slot(calendar.plan, last + at_least_us) is not None and last + at_least_us < calendar.end_us:
        yield last, None


def _strides(calendar: _Calendar, slot: int, most_us: int) -> Iterator[tuple[int, int]]:
    """Yield pairs of slots: the last one within ``most_us``, or the next where there is none."""
    while True:
        _, _, last = count_between(calendar.plan, slot, min(slot + most_us, calendar.end_us - 1))
        after = last if last is not None else next_slot(calendar.plan, slot)
        if after is None or after >= calendar.end_us:
            return
        yield slot, after
        slot = after


def _count(count: Count, calendar: _Calendar) -> Iterator[Failure]:
    start_us, end_us = calendar.instant_us(count.start), calendar.instant_us(count.end)
    found, _, _ = count_between(calendar.plan, start_us - 1, end_us - 1)
    hint = "change the schedule, or what you expect"
    for key, wanted, fits in (
        ("is", count.exactly, found == count.exactly),
        ("min", count.least, count.least is None or found >= count.least),
        ("max", count.most, count.most is None or found <= count.most),
    ):
        if wanted is not None and not fits:
            at = {"is": "", "min": "at least ", "max": "at most "}[key]
            yield Failure(("count", key), f"there are {found} slots, not {at}{wanted}", hint)


# -- reading


def read(value: object, path: Path, out: Reading) -> tuple[Expectation, ...] | None:
    """Read ``[[expect]]``."""
    if type(value) is dict:
        out.wrong_type(path, "an array of tables", value, "write [[expect]], with two brackets")
        return None
    if type(value) is not list:
        out.wrong_type(path, "an array of tables", value, "write [[expect]] on a line of its own")
        return None
    found = [_expectation(item, (*path, index), out) for index, item in enumerate(value)]
    return None if None in found else tuple(one for one in found if one is not None)


def _expectation(value: Any, path: Path, out: Reading) -> Expectation | None:
    if not values.table(value, path, out, "write [[expect]] on a line of its own"):
        return None
    errors = out.errors
    found = fields(value, path, out, EXPECT)
    if not value:
        out.bad(path, "missing-key", f"`{dotted(path)}` expects nothing", f"add one of {', '.join(EXPECT)}")
    return Expectation(**found) if errors == out.errors else None


def _moments(value: object, path: Path, out: Reading) -> Moments | None:
    if type(value) is not list:
        one = values.naive_or_aware(value, path, out)
        return None if one is None else (one,)
    if not value:
        out.bad(path, "empty-list", f"`{dotted(path)}` is an empty array", "fill it, or remove the key")
        return None
    found = [values.naive_or_aware(item, (*path, index), out) for index, item in enumerate(value)]
    return None if None in found else tuple(one for one in found if one is not None)


def _boundary(value: object, path: Path, out: Reading) -> datetime | None:
    """Read a date, which means its beginning, or a date-time."""
    if type(value) is date:
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a local time
    return values.naive_or_aware(value, path, out)


def _read_count(value: Any, path: Path, out: Reading) -> Count | None:
    if not values.table(value, path, out, "write { from = 2027-01-01, until = 2028-01-01, is = 104 }"):
        return None
    errors = out.errors
    found = fields(value, path, out, COUNT)
    values.check_required(value, path, out, ("from", "until"))
    if not {"is", "min", "max"} & value.keys():
        out.bad(path, "missing-key", f"`{dotted(path)}` has no number", "add is = 104, or min or max")
    if errors != out.errors:
        return None
    start, end = found["start"], found["end"]
    if (start.tzinfo is None) == (end.tzinfo is None) and start >= end:
        message = f"`{dotted(path)}` ends before it begins"
        out.bad((*path, "until"), "out-of-range", message, "write a later until: it is exclusive")
        return None
    return Count(**found)


_NUMBER = {"type": "integer", "minimum": 0}
_BOUNDARY: Mapping[str, Any] = {"anyOf": [{"type": "string", "format": "date"}, DATE_TIME]}
_integer: Callable[..., Any] = values.integer(0)
COUNT = keys(
    Key("from", _boundary, "start", "The beginning, inclusive.", _BOUNDARY),
    Key("until", _boundary, "end", "The end, exclusive.", _BOUNDARY),
    Key("is", _integer, "exactly", "The exact number of slots.", _NUMBER),
    Key("min", _integer, "least", "The least number of slots.", _NUMBER),
    Key("max", _integer, "most", "The greatest number of slots.", _NUMBER),
)
EXPECT = keys(
    Key("fires", _moments, "fires", "Each of these is a slot.", one_or_some(DATE_TIME)),
    Key("not_fires", _moments, "not_fires", "None of these is a slot.", one_or_some(DATE_TIME)),
    Key("never_on", values.weekdays, "never_on", "No slot is on one of these days of the week.", some(WEEKDAY)),
    Key("max_gap", values.duration(SECOND), "max_gap_us", "No two slots are further apart, over ten years.", DURATION),
    Key("min_gap", values.duration(SECOND), "min_gap_us", "No two slots are closer, over ten years.", DURATION),
    Key("count", _read_count, "count", "So many slots in a stretch of time.", table_schema(COUNT, ("from", "until"))),
)
SCHEMA = some(table_schema(EXPECT))
