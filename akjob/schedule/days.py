"""Which days: a month as a bit mask, bit 0 for its first day.

Which days of a month a rule names depends on the month's name, its length and the weekday of its first day alone, so
28 masks say everything about a rule. Days are counted from 1970-01-01, weekdays from Monday = 0.
"""

from functools import lru_cache

LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
FEBRUARY, DECEMBER = 2, 12
WEEK = 7
ALL_MONTHS = 0b1_1111_1111_1110
"""Bit 1 for January to bit 12 for December."""


class DayRule:
    """Days of the month and days of the week, in some months.

    ``days``: 1..31, or -1..-31 from the end. ``weekdays``: pairs (n, weekday) with n = 0 for every, 1..5 for the n-th,
    -1 for the last one in the month. None means: not restricted. Both given: a day must match both, or ``either``.
    """

    __slots__ = ("_days", "_either", "_last_workday", "_masks", "_weekdays", "everyday", "months")

    def __init__(
        self,
        days: tuple[int, ...] | None,
        weekdays: tuple[tuple[int, int], ...] | None,
        months: int,
        *,
        either: bool,
        last_workday: bool,
    ) -> None:
        self._days = days
        self._weekdays = weekdays
        self._either = either
        self._last_workday = last_workday
        self.months = months
        self._masks: list[int | None] = [None] * 28
        self.everyday = months == ALL_MONTHS and all(self.mask(1, w, n) + 1 == 1 << n for w, n in _SHAPES)

    def mask(self, month: int, weekday: int, length: int) -> int:
        """Return the days of a month (1..12) of this length whose first day is that weekday."""
        if not self.months >> month & 1:
            return 0
        index = (length - 28) * 7 + weekday
        mask = self._masks[index]
        if mask is None:
            mask = self._masks[index] = self._compute(weekday, length)
        return mask

    def _compute(self, weekday: int, length: int) -> int:
        full = (1 << length) - 1
        if self._days is None and self._weekdays is None:
            return full
        if self._weekdays is None:
            return self._of_days(weekday, length)
        if self._days is None:
            return self._of_weekdays(weekday, length)
        of_days, of_weekdays = self._of_days(weekday, length), self._of_weekdays(weekday, length)
        return of_days | of_weekdays if self._either else of_days & of_weekdays

    def _of_days(self, weekday: int, length: int) -> int:
        mask = 0
        for day in self._days or ():
            number = day if day > 0 else length + 1 + day
            if 1 <= number <= length:
                mask |= 1 << number - 1
        if self._last_workday:
            last = (weekday + length - 1) % 7
            mask |= 1 << length - 1 - max(0, last - 4)
        return mask

    def _of_weekdays(self, weekday: int, length: int) -> int:
        mask = 0
        for nth, wanted in self._weekdays or ():
            numbers = range((wanted - weekday) % 7, length, 7)
            if nth == 0:
                chosen: range | tuple[int, ...] = numbers
            elif nth < 0:
                chosen = numbers[nth:][:1]
            else:
                chosen = numbers[nth - 1 : nth]
            for number in chosen:
                mask |= 1 << number
        return mask


_SHAPES = [(weekday, length) for length in range(28, 32) for weekday in range(7)]


@lru_cache(maxsize=4096)
def day_rule(
    days: tuple[int, ...] | None = None,
    weekdays: tuple[tuple[int, int], ...] | None = None,
    months: int = ALL_MONTHS,
    *,
    either: bool = False,
    last_workday: bool = False,
) -> DayRule:
    """Return the rule; equal rules are one object, so that thousands of jobs share it."""
    return DayRule(days, weekdays, months, either=either, last_workday=last_workday)


def month_length(year: int, month: int) -> int:
    """Return the number of days of a month."""
    return LENGTHS[month] + (month == FEBRUARY and is_leap(year))


def is_leap(year: int) -> bool:
    """Return True if a year has a 29 February."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
