"""Sets of days: the calendars of ``etc/akjob.toml``, ready to be asked month by month.

Days are counted from 1970-01-01. A calendar is a finite set: outside it lies every day that it does not name.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache

from akjob.schedule.days import WEEK
from akjob.schedule.model import DaySet
from akjob.schedule.zones import EPOCH_ORDINAL

FIRST_YEAR, LAST_YEAR = 1970, 2100
"""Holidays and days that come again are known for these years."""
_WORKING_DAYS = 5
_NO_MASKS: Mapping[int, int] = {}


def pack(days: Iterable[date]) -> bytes:
    """Return days in the form that a :class:`~akjob.schedule.model.DaySet` holds."""
    return array("i", sorted({day.toordinal() - EPOCH_ORDINAL for day in days})).tobytes()


def unpack(packed: bytes) -> list[date]:
    """Return the days that :func:`pack` made bytes of, in ascending order."""
    return [date.fromordinal(day + EPOCH_ORDINAL) for day in _numbers(packed)]


def _numbers(packed: bytes) -> list[int]:
    numbers = array("i")
    numbers.frombytes(packed)
    return numbers.tolist()


class DayTable:
    """The days of some calendars together, as a bit mask a month, bit 0 for its first day."""

    __slots__ = ("first_day", "last_day", "masks", "starts")

    def __init__(self, days: Iterable[int]) -> None:
        self.masks: dict[int, int] = {}
        for day in days:
            number = date.fromordinal(day + EPOCH_ORDINAL).day
            start = day - number + 1
            self.masks[start] = self.masks.get(start, 0) | 1 << number - 1
        self.starts = sorted(self.masks)
        """The first day of each month that has a day in the set."""
        self.first_day = self._day(self.starts[0], -1) if self.starts else None
        self.last_day = self._day(self.starts[-1], 1) if self.starts else None

    def _day(self, start: int, end: int) -> int:
        mask = self.masks[start]
        return start + (mask.bit_length() - 1 if end > 0 else (mask & -mask).bit_length() - 1)

    def next_start(self, start: int) -> int | None:
        """Return the first day of the first month at or after this one that has a day in the set."""
        index = bisect_left(self.starts, start)
        return self.starts[index] if index < len(self.starts) else None


@lru_cache(maxsize=256)
def day_table(calendars: tuple[DaySet, ...]) -> DayTable:
    """Return the days that are in any of these calendars."""
    days: set[int] = set()
    for calendar in calendars:
        days.update(_numbers(calendar.dates))
        if calendar.country:
            days.update(day.toordinal() - EPOCH_ORDINAL for day in public_holidays(*_place(calendar)))
    return DayTable(sorted(days))


def _place(calendar: DaySet) -> tuple[str, str]:
    return calendar.country, calendar.subdivision


def until_year(calendar: DaySet) -> int | None:
    """Return the last year for which a calendar with a country knows its holidays; None for one without."""
    return known_years(*_place(calendar))[1] if calendar.country else None


@lru_cache(maxsize=256)
def public_holidays(country: str, subdivision: str) -> tuple[date, ...]:
    """Return the public holidays of a country that the ``holidays`` package knows, in ascending order.

    Raises ImportError without the package, and NotImplementedError for a place that it does not know.
    """
    import holidays  # noqa: PLC0415 - an extra, and 140 ms

    years = range(FIRST_YEAR, LAST_YEAR + 1)
    return tuple(sorted(holidays.country_holidays(country, subdiv=subdivision or None, years=years)))


@lru_cache(maxsize=256)
def known_years(country: str, subdivision: str) -> tuple[int, int]:
    """Return the first and last year for which the ``holidays`` package knows a country. Raises as above."""
    import holidays  # noqa: PLC0415 - as above

    known = holidays.country_holidays(country, subdiv=subdivision or None)
    return max(FIRST_YEAR, known.start_year), min(LAST_YEAR, known.end_year)


class Workdays:
    """Monday to Friday without the days of a calendar."""

    __slots__ = ("_holidays", "_reach", "last_day")

    def __init__(self, holidays: DaySet | None) -> None:
        table = day_table((holidays,)) if holidays is not None else None
        self._holidays = table.masks if table is not None else _NO_MASKS
        self._reach: int | None = None
        self.last_day = -EPOCH_ORDINAL if table is None or table.last_day is None else table.last_day
        """The last day of the calendar: from then on only the days of the week count."""

    @property
    def reach(self) -> int:
        """The most days that lie between two workdays, so that a day is rolled no further."""
        if self._reach is None:
            self._reach = self._longest_pause()
        return self._reach

    def _longest_pause(self) -> int:
        """Go through the pauses that holidays lie in; a weekend of its own has two days."""
        longest, end = 2, -EPOCH_ORDINAL
        for start, mask in sorted(self._holidays.items()):
            for number in range(mask.bit_length()):
                if mask >> number & 1 and start + number >= end:
                    end = self.rolled(start + number, 1)
                    longest = max(longest, end - self.rolled(start + number, -1) - 1)
        return longest

    def is_workday(self, day: int) -> bool:
        """Return True if the day is a workday."""
        # 1970-01-01 was a Thursday, 3 counted from Monday.
        if (day + 3) % WEEK >= _WORKING_DAYS:
            return False
        if not self._holidays:
            return True
        number = date.fromordinal(day + EPOCH_ORDINAL).day
        return not self._holidays.get(day - number + 1, 0) >> number - 1 & 1

    def rolled(self, day: int, step: int) -> int:
        """Return the day itself if it is a workday, else the nearest one after it (``step`` 1) or before it (-1)."""
        while not self.is_workday(day):
            day += step
        return day

    def nth(self, start: int, length: int, nth: int) -> int | None:
        """Return the n-th workday, from the end if ``nth`` is negative, of a month; None if it has not so many."""
        days = [day for day in range(start, start + length) if self.is_workday(day)]
        index = nth - 1 if nth > 0 else len(days) + nth
        return days[index] if 0 <= index < len(days) else None


@lru_cache(maxsize=256)
def workdays(holidays: DaySet | None) -> Workdays:
    """Return the workdays; equal ones are one object."""
    return Workdays(holidays)


def month_start(day: int) -> tuple[int, int, int]:
    """Return year, month and first day of the month that a day lies in."""
    moment = date.fromordinal(day + EPOCH_ORDINAL)
    return moment.year, moment.month, day - moment.day + 1


def day_number(day: date) -> int:
    """Return a date as days since 1970-01-01."""
    return day.toordinal() - EPOCH_ORDINAL
