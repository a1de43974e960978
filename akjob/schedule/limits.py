"""When a job may run although it is due: the limits, ready to be asked.

The limits of days look at the calendar day of the instant in the limits' zone, the hours at its time of day in their
own zone. A search does not ask them instant by instant: :meth:`LimitRule.pieces` cuts the day of a trigger's zone into
the stretches in which the hours allow it, :meth:`LimitRule.month` says which days of a month they allow.
"""

from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from akjob.schedule.days import ALL_MONTHS, DECEMBER, WEEK, day_rule, month_length
from akjob.schedule.daysets import DayTable, day_table
from akjob.schedule.model import Limits
from akjob.schedule.zones import DAY_S, EPOCH_ORDINAL, Zone, integer_zone

_LONGEST_MONTH = 31
LAST_DAY = date(9999, 12, 31).toordinal() - EPOCH_ORDINAL


class Piece(NamedTuple):
    """A stretch [start, end) of a trigger's local day, and how many days the limits' calendar is ahead of it then."""

    start: int
    end: int
    shift: int


class LimitRule:
    """Limits, compiled. ``first_day`` and ``last_day`` count from 1970-01-01; None: no limit."""

    __slots__ = (
        "_excepted",
        "_hours",
        "_only",
        "_rule",
        "any_day",
        "first_day",
        "hours_zone",
        "last_day",
        "last_excepted",
        "trivial",
        "zone",
    )

    def __init__(self, limits: Limits) -> None:
        self.zone: Zone = integer_zone(limits.zone)
        hours = limits.hours
        self.hours_zone: Zone = integer_zone(hours.zone) if hours else self.zone
        self._hours = (hours.start, hours.end) if hours else None
        self._rule = day_rule(
            limits.month_days or None,
            tuple((0, day) for day in sorted(set(limits.weekdays))) or None,
            sum(1 << month for month in set(limits.months)) if limits.months else ALL_MONTHS,
        )
        self.first_day = limits.first.toordinal() - EPOCH_ORDINAL if limits.first else None
        self.last_day = limits.last.toordinal() - EPOCH_ORDINAL if limits.last else None
        self._only = day_table(limits.only_on) if limits.only_on else None
        if self._only is not None:
            self._stay_within(self._only)
        self._excepted = dict(day_table(limits.not_on).masks) if limits.not_on else {}
        for day in limits.except_dates:
            start = day.toordinal() - day.day + 1 - EPOCH_ORDINAL
            self._excepted[start] = self._excepted.get(start, 0) | 1 << day.day - 1
        self.last_excepted = max(self._excepted, default=-EPOCH_ORDINAL)
        self.any_day = self._rule.everyday and self.first_day is None and self.last_day is None and not self._excepted
        self.trivial = self.any_day and hours is None

    def _stay_within(self, only: DayTable) -> None:
        """Let no day be searched that lies before or after all of these; with no day at all none is."""
        first = LAST_DAY if only.first_day is None else only.first_day
        last = -EPOCH_ORDINAL if only.last_day is None else only.last_day
        self.first_day = first if self.first_day is None else max(self.first_day, first)
        self.last_day = last if self.last_day is None else min(self.last_day, last)

    def next_month(self, start: int) -> int:
        """Return a day at or after the beginning of a month before which ``only_on`` allows nothing.

        Another calendar's day may be up to 28 days off: the month before the one that has a day counts too.
        """
        if self._only is None:
            return start
        found = self._only.next_start(start - _LONGEST_MONTH)
        return LAST_DAY if found is None else max(start, found - _LONGEST_MONTH)

    def allows(self, second: int) -> bool:
        """Return True if a run may start in this second."""
        if self.trivial:
            return True
        if self._hours is not None and not self.hours_allow((second + self.hours_zone.offset(second)) % DAY_S):
            return False
        return self.any_day or self.allows_day((second + self.zone.offset(second)) // DAY_S)

    def allows_day(self, day: int) -> bool:
        """Return True if the limits of days allow this calendar day of the limits' zone."""
        if not -EPOCH_ORDINAL < day <= LAST_DAY:
            return False
        moment = date.fromordinal(day + EPOCH_ORDINAL)
        start = day - moment.day + 1
        mask = self.month(moment.month, start, month_length(moment.year, moment.month))
        return bool(mask >> moment.day - 1 & 1)

    def month(self, month: int, start: int, length: int, *, bare: bool = False) -> int:
        """Return the allowed days of the month (1..12) that begins on day ``start``; ``bare``: dates aside."""
        mask = self._rule.mask(month, (start + 3) % 7, length)
        if bare or not mask:
            return mask
        if self.first_day is not None and self.first_day > start:
            if self.first_day >= start + length:
                return 0
            mask &= -1 << self.first_day - start
        if self.last_day is not None and self.last_day < start + length:
            if self.last_day < start:
                return 0
            mask &= (2 << self.last_day - start) - 1
        if self._only is not None:
            mask &= self._only.masks.get(start, 0)
        return mask & ~self._excepted.get(start, 0)

    def shifted_month(self, year: int, month: int, start: int, shift: int, *, bare: bool = False) -> int:
        """Return the days d of a month for which the limits allow the day d + ``shift`` (at most 28 days off)."""
        length = month_length(year, month)
        if shift == 0:
            return self.month(month, start, length, bare=bare)
        here = self.month(month, start, length, bare=bare)
        if shift > 0:
            after_year, after = (year, month + 1) if month < DECEMBER else (year + 1, 1)
            there = self.month(after, start + length, month_length(after_year, after), bare=bare)
            return (here | there << length) >> shift & (1 << length) - 1
        before_year, before = (year, month - 1) if month > 1 else (year - 1, DECEMBER)
        before_length = month_length(before_year, before)
        there = self.month(before, start - before_length, before_length, bare=bare)
        return (there >> before_length + shift | here << -shift) & (1 << length) - 1

    def pieces(self, day_shift: int, hours_shift: int) -> tuple[Piece, ...]:
        """Cut a trigger's local day where the limits' day or the hours change, and keep what the hours allow.

        The shifts are the seconds that the limits' zone, and that of the hours, are ahead of the trigger's.
        """
        cuts = {0, DAY_S}
        if not self.any_day:
            cuts.add(-day_shift % DAY_S)
        if self._hours is not None:
            cuts.update((time - hours_shift) % DAY_S for time in self._hours)
        edges = sorted(cuts)
        found: list[Piece] = []
        for start, end in pairwise(edges):
            if self._hours is not None and not self.hours_allow((start + hours_shift) % DAY_S):
                continue
            shift = 0 if self.any_day else (start + day_shift) // DAY_S
            if found and found[-1].end == start and found[-1].shift == shift:
                start = found.pop().start  # noqa: PLW2901 - the two stretches are one
            found.append(Piece(start, end, shift))
        return tuple(found)

    def hours_allow(self, time: int) -> bool:
        """Return True if the hours allow this time of day of their zone."""
        if self._hours is None:
            return True
        start, end = self._hours
        return start <= time < end if start < end else time >= start or time < end

    def arcs(self, pieces: tuple[Piece, ...]) -> tuple[int, tuple[tuple[int, int], ...]]:
        """Return a modulus in seconds (a day or a week) and the stretches [start, end) of it that may be allowed.

        They are of local time in the limits' zone since 1970; ``pieces`` must be those of that zone itself. What the
        months, days of the month and dates forbid is not in them.
        """
        weekdays = [day for day in range(WEEK) if self._allows_weekday(day)]
        if len(weekdays) == WEEK:
            return DAY_S, tuple((piece.start, piece.end) for piece in pieces)
        # 1970-01-01 was a Thursday, 3 counted from Monday.
        bases = [(day - 3) % 7 * DAY_S for day in weekdays]
        return WEEK * DAY_S, tuple((base + piece.start, base + piece.end) for base in bases for piece in pieces)

    def _allows_weekday(self, weekday: int) -> bool:
        """Return True if this weekday (Monday = 0) is allowed at all, in a month of any shape."""
        bit = sum(1 << number for number in range(0, 31, 7))
        return any(
            self._rule.mask(month, first, length) & (bit << (weekday - first) % 7)
            for month in range(1, 13)
            if self._rule.months >> month & 1
            for length in range(28, 32)
            for first in range(7)
        )


@lru_cache(maxsize=8192)
def limit_rule(limits: Limits) -> LimitRule:
    """Return the compiled limits; equal limits are one object, so that thousands of jobs share it."""
    return LimitRule(limits)
