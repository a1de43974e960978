"""Which days beyond what a single month can tell: each n-th week, each n-th month, workdays, rolled days.

A filter answers for one month after the other, as bit masks; and it jumps: :meth:`DayFilter.next_day` passes over the
weeks and months that do not count. Days are counted from 1970-01-01.
"""

from datetime import date
from math import gcd
from typing import Protocol

from akjob.schedule.days import DECEMBER, WEEK, day_rule, is_leap, month_length
from akjob.schedule.daysets import day_number, month_start, workdays
from akjob.schedule.model import WORKDAY, Monthly, NthWeekday, Weekly
from akjob.schedule.zones import CYCLE_DAYS, CYCLE_S, EPOCH_ORDINAL

_CYCLE_WEEKS = CYCLE_DAYS // WEEK
_CYCLE_MONTHS = 4800
_STEPS = {"": 0, "next": 1, "previous": -1}
_MOST_KEPT = 5000
_FAR = 62
_WEEKEND = 2
_OTHER = -1


class DayFilter(Protocol):
    """Days that are named. From ``last_irregular`` on they repeat after ``cycle_s`` seconds."""

    cycle_s: int
    last_irregular: int

    def mask(self, start: int, length: int) -> int:
        """Return the named days of the month that begins on day ``start``."""

    def next_day(self, day: int) -> int:
        """Return a day at or after ``day`` before which none is named."""


class WeekFilter:
    """Each n-th ISO week, all its days."""

    __slots__ = ("_every", "_first", "cycle_s", "last_irregular")

    def __init__(self, every: int, start: date) -> None:
        self._every = every
        self._first = _week(day_number(start))
        self.cycle_s = CYCLE_S * (every // gcd(every, _CYCLE_WEEKS))
        self.last_irregular = -EPOCH_ORDINAL

    def mask(self, start: int, length: int) -> int:
        """Return the days of the month that lie in a week that counts."""
        found = 0
        day = self.next_day(start)
        while day < start + length:
            monday = _monday(day)
            week = (1 << WEEK) - 1
            found |= week << monday - start if monday >= start else week >> start - monday
            day = monday + self._every * WEEK
        return found & (1 << length) - 1

    def next_day(self, day: int) -> int:
        """Return the day itself if its week counts, else the Monday of the next week that does."""
        away = (self._first - _week(day)) % self._every
        return day if away == 0 else _monday(day) + away * WEEK


class MonthFilter:
    """The days of a ``monthly`` with workdays, with ``roll``, or of each n-th month."""

    __slots__ = ("_every", "_first", "_kept", "_nths", "_rule", "_step", "_workdays", "cycle_s", "last_irregular")

    def __init__(self, monthly: Monthly) -> None:
        days = tuple(day for day in monthly.days if isinstance(day, int))
        named = [day for day in monthly.days if not isinstance(day, int)]
        weekdays = tuple((day.nth, day.weekday) for day in named if day.weekday != WORKDAY)
        self._rule = day_rule(days or None, weekdays or None, either=True) if days or weekdays else None
        self._nths = tuple(day.nth for day in named if day.weekday == WORKDAY)
        self._workdays = workdays(monthly.holidays)
        self._step = _STEPS[monthly.roll]
        self._every = monthly.every
        self._first = _month_index(monthly.start) if monthly.start is not None else 0
        self._kept: dict[tuple[int, ...], int] = {}
        self.cycle_s = CYCLE_S * (monthly.every // gcd(monthly.every, _CYCLE_MONTHS))
        self.last_irregular = self._workdays.last_day if uses_workdays(monthly) else -EPOCH_ORDINAL

    def mask(self, start: int, length: int) -> int:
        """Return the named days of the month, those that are rolled into it among them."""
        moment = date.fromordinal(start + EPOCH_ORDINAL)
        index = _month_index(moment)
        phase = (index - self._first) % self._every
        reach = self._workdays.reach if self._step else 0
        key: tuple[int, ...] = (start,)
        if start > self.last_irregular + reach + _FAR:
            # Only weekends are left: two days at most lead out of a month, so its neighbours' phases say it all.
            reach = _WEEKEND
            phase = phase if phase in {0, 1, self._every - 1} else _OTHER
            key = (moment.month, start % WEEK, is_leap(moment.year), phase)
        mask = self._kept.get(key)
        if mask is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            mask = self._kept[key] = self._compute(start, length, reach)
        return mask

    def _compute(self, start: int, length: int, reach: int) -> int:
        if not self._step:
            return sum(1 << day - start for day in self._nominal(start))
        first, last = (start - reach, start) if self._step > 0 else (start, start + length - 1 + reach)
        found = {self._workdays.rolled(day, self._step) - start for day in self._between(first, last)}
        return sum(1 << number for number in found if 0 <= number < length)

    def _between(self, first: int, last: int) -> list[int]:
        """Return the days, before they are rolled, of the months from that of ``first`` to that of ``last``."""
        year, month, start = month_start(first)
        days: list[int] = []
        while start <= min(last, _NEVER):
            days += self._nominal(start)
            start += month_length(year, month)
            year, month = (year, month + 1) if month < DECEMBER else (year + 1, 1)
        return days

    def _nominal(self, start: int) -> set[int]:
        """Return the days of the month that begins on ``start`` before any is rolled; none if the month is left out."""
        moment = date.fromordinal(start + EPOCH_ORDINAL)
        if (_month_index(moment) - self._first) % self._every:
            return set()
        length = month_length(moment.year, moment.month)
        mask = self._rule.mask(moment.month, (start + 3) % WEEK, length) if self._rule is not None else 0
        days = {start + number for number in range(length) if mask >> number & 1}
        nths = [self._workdays.nth(start, length, nth) for nth in self._nths]
        return days.union(day for day in nths if day is not None)

    def next_day(self, day: int) -> int:
        """Return the day itself if its month may have a day, else the earliest that the next such month can give."""
        if self._every == 1:
            return day
        reach = self._workdays.reach if self._step else 0
        index = _month_index(date.fromordinal(day - (reach if self._step > 0 else 0) + EPOCH_ORDINAL))
        away = (self._first - index) % self._every
        if away == 0:
            return day
        year, month = divmod(index + away, 12)
        if year > LAST_YEAR:
            return _NEVER
        opens = date(year, month + 1, 1).toordinal() - EPOCH_ORDINAL
        return max(day, opens - (reach if self._step < 0 else 0))


LAST_YEAR = 9999
_NEVER = date(LAST_YEAR, 12, 31).toordinal() - EPOCH_ORDINAL


def filter_of(part: Weekly | Monthly) -> DayFilter | None:
    """Return the filter that a trigger needs besides its rule; None if the rule of a single month says it all."""
    if isinstance(part, Weekly):
        return WeekFilter(part.every, part.start) if part.every > 1 and part.start is not None else None
    return MonthFilter(part) if part.every > 1 or uses_workdays(part) else None


def uses_workdays(monthly: Monthly) -> bool:
    """Return True if it matters to a trigger which days are workdays."""
    return bool(monthly.roll) or any(isinstance(day, NthWeekday) and day.weekday == WORKDAY for day in monthly.days)


def _week(day: int) -> int:
    """Return the number of the ISO week that a day lies in; 1970-01-01 was a Thursday."""
    return (day + 3) // WEEK


def _monday(day: int) -> int:
    return day - (day + 3) % WEEK


def _month_index(day: date) -> int:
    return day.year * 12 + day.month - 1
