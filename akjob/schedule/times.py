"""Which times of day: sorted lists, or the product of hours, minutes and seconds that a cron expression names.

Times are whole seconds since local midnight. Each kind answers ``first(second)``, the first time at or after it (a
number of :data:`~akjob.schedule.zones.DAY_S` or more when there is none), and ``count(start, end)``, how many lie in
[start, end).
"""

from bisect import bisect_left
from typing import Protocol

from akjob.schedule.zones import DAY_S


class Times(Protocol):
    """A set of times of day."""

    def first(self, second: int) -> int:
        """Return the first time at or after ``second``, or 86,400 when there is none."""

    def count(self, start: int, end: int) -> int:
        """Return how many times lie in [start, end)."""


class ListedTimes:
    """The times of ``daily``, ``weekly`` and ``monthly``."""

    __slots__ = ("_times",)

    def __init__(self, times: tuple[int, ...]) -> None:
        self._times = tuple(sorted(set(times)))

    def first(self, second: int) -> int:
        """Return the first time at or after ``second``, or 86,400 when there is none."""
        index = bisect_left(self._times, second)
        return self._times[index] if index < len(self._times) else DAY_S

    def count(self, start: int, end: int) -> int:
        """Return how many times lie in [start, end)."""
        return max(0, bisect_left(self._times, end) - bisect_left(self._times, start))


class EverySecond:
    """All seconds of the day: what limits alone allow."""

    __slots__ = ()

    def first(self, second: int) -> int:
        """Return ``second`` itself."""
        return second

    def count(self, start: int, end: int) -> int:
        """Return the length of [start, end)."""
        return max(0, end - start)


class ClockFields:
    """Hours x minutes x seconds, each a bit mask: the times that a cron expression names."""

    __slots__ = ("_earliest_in_hour", "_earliest_in_minute", "_hours", "_minutes", "_seconds")

    def __init__(self, hours: int, minutes: int, seconds: int) -> None:
        self._hours = hours
        self._minutes = minutes
        self._seconds = seconds
        self._earliest_in_minute = _lowest(seconds)
        self._earliest_in_hour = _lowest(minutes) * 60 + self._earliest_in_minute

    def first(self, second: int) -> int:
        """Return the first time at or after ``second``, or a number of 86,400 or more when there is none."""
        minute, second = divmod(second, 60)
        hour, minute = divmod(minute, 60)
        if self._hours >> hour & 1:
            if self._minutes >> minute & 1:
                rest = self._seconds >> second
                if rest:
                    return hour * 3600 + minute * 60 + second + _lowest(rest)
            rest = self._minutes >> minute + 1
            if rest:
                return hour * 3600 + (minute + 1 + _lowest(rest)) * 60 + self._earliest_in_minute
        rest = self._hours >> hour + 1
        if rest:
            return (hour + 1 + _lowest(rest)) * 3600 + self._earliest_in_hour
        return DAY_S

    def count(self, start: int, end: int) -> int:
        """Return how many times lie in [start, end)."""
        return max(0, self._below(end) - self._below(start))

    def _below(self, second: int) -> int:
        minute, second = divmod(second, 60)
        hour, minute = divmod(minute, 60)
        per_minute = self._seconds.bit_count()
        per_hour = self._minutes.bit_count() * per_minute
        total = _below(self._hours, hour) * per_hour
        if self._hours >> hour & 1:
            total += _below(self._minutes, minute) * per_minute
            if self._minutes >> minute & 1:
                total += _below(self._seconds, second)
        return total


def _lowest(mask: int) -> int:
    """Return the number of the lowest bit that is set."""
    return (mask & -mask).bit_length() - 1


def _below(mask: int, bit: int) -> int:
    """Return how many bits below ``bit`` are set."""
    return (mask & (1 << bit) - 1).bit_count()
