"""The three kinds of triggers, each with its limits: local times of a calendar, a grid of elapsed time, a list.

Each answers ``first(instant_us)``, its first allowed slot at or after an instant, and ``count(start_us, end_us)``, how
many slots lie in [start, end). All of them jump: from a trigger's next instant to the next one that the limits allow,
and back, through months and stretches of one offset, never through the candidates between.
"""

from bisect import bisect_left
from datetime import date, datetime
from math import lcm
from typing import Protocol

from akjob.instants import SECOND
from akjob.schedule.cycles import DayFilter
from akjob.schedule.days import DECEMBER, DayRule, day_rule, is_leap, month_length
from akjob.schedule.daysets import month_start
from akjob.schedule.limits import LAST_DAY, LimitRule, Piece
from akjob.schedule.model import Every, Moment
from akjob.schedule.times import EverySecond, Times
from akjob.schedule.zones import CYCLE_S, DAY_S, EPOCH_ORDINAL, Segment, Zone, integer_zone

END_S = (LAST_DAY + 1) * DAY_S - 2 * DAY_S
"""Nothing is searched beyond: two days before the end of 9999, so that it has a date in every zone."""
END_US = END_S * SECOND
START_S = -(EPOCH_ORDINAL - 367) * DAY_S
"""The first second that is searched: in the year 2."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - the zero of local times


class Trigger(Protocol):
    """What makes a job due, limits included."""

    def first(self, instant_us: int) -> int | None:
        """Return the first slot at or after an instant; None when there is none any more."""

    def count(self, start_us: int, end_us: int) -> int:
        """Return how many slots lie in [start, end)."""


class Calendar:
    """Days of a calendar at times of day, in one zone: ``daily``, ``weekly``, ``monthly`` and ``cron``.

    ``rule`` names days by month, length and weekday alone; ``days``, if given, leaves out some of them.
    ``elapsed`` False: a local time that does not exist means the first instant after the gap, one that exists twice the
    first of the two. True: every real second whose local time is named, and no other.
    """

    __slots__ = (
        "_everyday",
        "_filter",
        "_limits",
        "_outlook",
        "_pieces",
        "_rule",
        "_times",
        "_years",
        "_zones",
        "elapsed",
        "zone",
    )

    def __init__(  # noqa: PLR0913 - the parts of one trigger
        self,
        zone: Zone,
        rule: DayRule,
        times: Times,
        limits: LimitRule,
        *,
        elapsed: bool,
        days: DayFilter | None = None,
    ) -> None:
        self.zone = zone
        self._rule = rule
        self._filter = days
        self._everyday = rule.everyday and days is None
        self._times = times
        self._limits = limits
        self.elapsed = elapsed
        self._zones = tuple({id(z): z for z in (limits.zone, limits.hours_zone) if z is not zone}.values())
        if limits.trivial:
            self._zones = ()
        self._pieces: dict[tuple[int, int], tuple[tuple[Piece, int], ...]] = {}
        self._outlook: tuple[int, tuple[int, ...]] | None = None
        self._years: dict[tuple[int, ...], list[bool]] = {}

    def first(self, instant_us: int) -> int | None:
        """Return the first slot at or after an instant; None when there is none any more."""
        second = self.first_second(-(-instant_us // SECOND))
        return None if second is None else second * SECOND

    def first_second(self, second: int) -> int | None:
        """Return the first slot at or after ``second``, in seconds."""
        near = self._near(second) if self._everyday and self._limits.trivial else None
        return self._search(second) if near is None else near

    def _near(self, second: int) -> int | None:
        """Return the first slot at or after ``second`` where every day has one; None: that is not so, or unclear."""
        segment = self.zone.segment(second)
        local = second + segment.offset
        day, time = divmod(local, DAY_S)
        if second <= segment.start or second < START_S or local < segment.start + segment.before:
            return None
        named = self._times.first(time)
        if named >= DAY_S:
            day, named = day + 1, self._times.first(0)
        slot = day * DAY_S + named - segment.offset
        return slot if named < DAY_S and slot < min(segment.end, END_S) else None

    def _search(self, second: int) -> int | None:
        limits = self._limits
        second = max(second, START_S)
        if limits.first_day is not None:
            second = max(second, limits.first_day * DAY_S - 2 * DAY_S)
        stop = END_S if limits.last_day is None else min(END_S, (limits.last_day + 3) * DAY_S)
        # Beyond the last irregularity of the zones everything repeats after 400 years: what did not happen in 400
        # years never happens. Excepted dates can only remove slots; they get 400 years more each time they did.
        horizon = self._horizon(second)
        while second < stop:
            if second >= horizon:
                if limits.last_excepted * DAY_S < horizon - self._cycle_s() - 400 * DAY_S:
                    return None
                horizon += self._cycle_s()
            segment = self.zone.segment(second)
            end = segment.end
            for zone in self._zones:
                end = min(end, zone.segment(second).end)
            if second == segment.start and self._named_in_gap(segment):
                return second if second < stop else None
            low = second + segment.offset
            if not self.elapsed and segment.before > segment.offset:
                # The part of the overlap that was there before: its local times have had their turn.
                low = max(low, segment.start + segment.before)
            pieces = self._pieces_at(second, segment.offset)
            if pieces:
                local = self._first_local(low, min(end, stop) + segment.offset, pieces)
                if local is not None:
                    return local - segment.offset
            second = self._pass_over(end, min(stop, horizon))
        return None

    def _pass_over(self, second: int, stop: int) -> int:
        """Return a second before which there is no slot: ``second`` itself, or the approach of the next day for us."""
        if second >= stop:
            return stop
        shifts = self._shifts_from(second)
        if not shifts:
            return stop
        if not self._restricted():
            return second
        # Local time is at most 16 hours behind UTC; a gap is at most a day long.
        day = self._next_day((second - DAY_S) // DAY_S, stop // DAY_S + 3, shifts)
        return stop if day is None else max(second, (day - 2) * DAY_S)

    def _shifts_from(self, second: int) -> tuple[int, ...]:
        """Return by how many days the limits' day may be ahead of the named one in slots from ``second`` on.

        Empty: there is none, for at no offset that is still to come the hours allow a time of ours.
        """
        limits = self._limits
        # What was seen before the last irregularity may be more than what is still to come after it.
        settled = max(self.zone.settled, limits.zone.settled, limits.hours_zone.settled)
        if self._outlook is not None and min(second, settled) <= self._outlook[0] <= second:
            return self._outlook[1]
        shifts = self._plain_shifts(second) | self._gap_shifts(second)
        self._outlook = (second, tuple(sorted(shifts)))
        return self._outlook[1]

    def only_in_gaps(self, second: int) -> bool:
        """Return True if from ``second`` on only times that a clock leaps over lead to slots."""
        return self.first_second(second) is not None and not self._plain_shifts(second)

    def _plain_shifts(self, second: int) -> set[int]:
        """Return the shifts of slots at the very times that are named."""
        limits = self._limits
        shifts: set[int] = set()
        for offset in self.zone.offsets_from(second):
            days = limits.zone.offsets_from(second) if limits.zone is not self.zone else {offset}
            for day_offset in days:
                hours = limits.hours_zone.offsets_from(second)
                if limits.hours_zone in (self.zone, limits.zone):
                    hours = {offset if limits.hours_zone is self.zone else day_offset}
                for hours_offset in hours:
                    pieces = self._pieces_for(day_offset - offset, hours_offset - offset)
                    shifts.update(piece.shift for piece, _ in pieces)
        return shifts

    def _gap_shifts(self, second: int) -> set[int]:
        """Return the shifts of slots that named times in gaps lead to: on another day than named, it may be."""
        if self.elapsed:
            return set()
        limits = self._limits
        shifts: set[int] = set()
        for low, length, after in self.zone.gaps_from(second):
            high = low + length
            if self._times.first(low) >= min(high, DAY_S) and self._times.first(0) >= high - DAY_S:
                continue
            # Both from the local midnight of the day on which the gap begins.
            if not any(
                limits.hours_allow((high - after + hours) % DAY_S) for hours in limits.hours_zone.offsets_from(second)
            ):
                continue
            for offset in limits.zone.offsets_from(second):
                shift = (high - after + offset) // DAY_S
                shifts |= {shift, shift - 1} if high > DAY_S else {shift}
        return shifts

    def count(self, start_us: int, end_us: int) -> int:
        """Return how many slots lie in [start, end)."""
        second = max(-(-start_us // SECOND), START_S)
        stop = min(-(-end_us // SECOND), END_S)
        total = 0
        while second < stop:
            segment = self.zone.segment(second)
            end = min([stop, segment.end, *(zone.segment(second).end for zone in self._zones)])
            low = second + segment.offset
            if not self.elapsed and segment.before > segment.offset:
                low = max(low, segment.start + segment.before)
            if second == segment.start and self._named_in_gap(segment):
                total += 1
                low += 1
            total += self._count_local(low, end + segment.offset, self._pieces_at(second, segment.offset))
            second = end
        return total

    def window_end(self, second: int) -> int:
        """Return the end of the stretch of one piece of one day that an allowed second lies in."""
        segment = self.zone.segment(second)
        end = min([segment.end, *(zone.segment(second).end for zone in self._zones)])
        day, time = divmod(second + segment.offset, DAY_S)
        for piece, _ in self._pieces_at(second, segment.offset):
            if piece.start <= time < piece.end:
                return min(end, day * DAY_S + piece.end - segment.offset)
        return second + 1

    def _restricted(self) -> bool:
        return not (self._everyday and self._limits.any_day)

    def _horizon(self, second: int) -> int:
        settled = max([second, self.zone.settled, *(zone.settled for zone in self._zones)])
        if self._filter is not None:
            settled = max(settled, self._filter.last_irregular * DAY_S)
        return settled + self._cycle_s() + 400 * DAY_S

    def _cycle_s(self) -> int:
        """Return after how many seconds everything repeats, the irregularities once passed."""
        return CYCLE_S if self._filter is None else self._filter.cycle_s

    def named_local(self, low: int, high: int) -> int | None:
        """Return the first local second in [low, high) that is named, whatever zone and limits say; None if none is."""
        day, time = divmod(low, DAY_S)
        while day * DAY_S < high:
            named = day * DAY_S + self._times.first(time)
            if named < min(high, (day + 1) * DAY_S) and self._day_named(day):
                return named
            day, time = day + 1, 0
        return None

    def _named_in_gap(self, segment: Segment) -> bool:
        """Return True if a local time in the gap before ``segment`` is named, and its slot, the gap's end, allowed."""
        if self.elapsed or segment.offset <= segment.before:
            return False
        named = self.named_local(segment.start + segment.before, segment.start + segment.offset)
        return named is not None and self._limits.allows(segment.start)

    def _day_named(self, day: int) -> bool:
        if self._everyday:
            return True
        moment = date.fromordinal(day + EPOCH_ORDINAL)
        length = month_length(moment.year, moment.month)
        mask = self._named(moment.month, day - moment.day + 1, length)
        return bool(mask >> moment.day - 1 & 1)

    def _named(self, month: int, start: int, length: int) -> int:
        """Return the named days of the month (1..12) that begins on day ``start``."""
        mask = self._rule.mask(month, (start + 3) % 7, length)
        return mask if self._filter is None or not mask else mask & self._filter.mask(start, length)

    def _pieces_at(self, second: int, offset: int) -> tuple[tuple[Piece, int], ...]:
        """Return the pieces of the local day that have a time of ours, each with the first of them."""
        limits = self._limits
        if limits.trivial:
            return self._pieces_for(0, 0)
        return self._pieces_for(limits.zone.offset(second) - offset, limits.hours_zone.offset(second) - offset)

    def _pieces_for(self, day_shift: int, hours_shift: int) -> tuple[tuple[Piece, int], ...]:
        key = (day_shift, hours_shift)
        pieces = self._pieces.get(key)
        if pieces is None:
            cut = [(piece, self._times.first(piece.start)) for piece in self._limits.pieces(*key)]
            pieces = self._pieces[key] = tuple((piece, first) for piece, first in cut if first < piece.end)
        return pieces

    def _first_local(self, low: int, high: int, pieces: tuple[tuple[Piece, int], ...]) -> int | None:
        """Return the first local second in [low, high) that is named and allowed, the offsets being what they are."""
        shifts = tuple({piece.shift for piece, _ in pieces})
        limits = self._limits
        day, time = divmod(low, DAY_S)
        found = self._next_day(day, -(-high // DAY_S), shifts)
        while found is not None:
            for piece, first in pieces:
                if found == day and piece.start < time:
                    first = self._times.first(time)  # noqa: PLW2901 - the first one of the rest of today
                    if first >= piece.end:
                        continue
                if len(shifts) == 1 or limits.allows_day(found + piece.shift):
                    local = found * DAY_S + first
                    return local if local < high else None
            found = self._next_day(found + 1, -(-high // DAY_S), shifts)
        return None

    def _count_local(self, low: int, high: int, pieces: tuple[tuple[Piece, int], ...]) -> int:
        """Return how many local seconds in [low, high) are named and allowed, the offsets being what they are."""
        if not pieces or low >= high:
            return 0
        first_day, time = divmod(low, DAY_S)
        last_day, end_time = divmod(high, DAY_S)
        if first_day == last_day:
            return self._count_day(first_day, time, end_time, pieces)
        total = self._count_day(first_day, time, DAY_S, pieces) + self._count_day(last_day, 0, end_time, pieces)
        per_shift: dict[int, int] = {}
        for piece, _ in pieces:
            per_shift[piece.shift] = per_shift.get(piece.shift, 0) + self._times.count(piece.start, piece.end)
        for shift, times in per_shift.items():
            total += times * self._count_days(first_day + 1, last_day, shift)
        return total

    def _count_day(self, day: int, start: int, end: int, pieces: tuple[tuple[Piece, int], ...]) -> int:
        if start >= end or not self._day_named(day):
            return 0
        return sum(
            self._times.count(max(piece.start, start), min(piece.end, end))
            for piece, _ in pieces
            if self._limits.any_day or self._limits.allows_day(day + piece.shift)
        )

    def _count_days(self, first_day: int, end_day: int, shift: int) -> int:
        total = 0
        while first_day < end_day:
            moment = date.fromordinal(first_day + EPOCH_ORDINAL)
            start = first_day - moment.day + 1
            length = month_length(moment.year, moment.month)
            mask = self._month(moment.year, moment.month, start, (shift,)) >> moment.day - 1
            if end_day < start + length:
                mask &= (1 << end_day - first_day) - 1
            total += mask.bit_count()
            first_day = start + length
        return total

    def _next_day(self, day: int, end: int, shifts: tuple[int, ...]) -> int | None:
        """Return the first day in [day, end) that is named and that the limits allow with one of the shifts."""
        if not self._restricted():
            return day if day < end else None
        end = min(end, LAST_DAY)
        year, month, start = month_start(day)
        rest = -1 << day - start
        patience = year + 2
        while start < end:
            opens = self._next_month(start)
            if opens > start:
                if opens >= end:
                    return None
                year, month, start = month_start(opens)
            mask = self._month(year, month, start, shifts) & (rest if start <= day else -1)
            if mask:
                day = start + (mask & -mask).bit_length() - 1
                return day if day < end else None
            start += month_length(year, month)
            month += 1
            if month > DECEMBER:
                year, month = year + 1, 1
                if year > patience:
                    year, start = self._skip_years(year, start, end, shifts)
        return None

    def _next_month(self, start: int) -> int:
        """Return a day at or after the beginning of a month before which nothing is named and allowed."""
        opens = self._limits.next_month(start)
        return opens if self._filter is None else max(opens, self._filter.next_day(start))

    def _month(self, year: int, month: int, start: int, shifts: tuple[int, ...], *, bare: bool = False) -> int:
        """Return the days of a month that are named and that the limits allow with one of the shifts."""
        limits = self._limits
        length = month_length(year, month)
        mask = self._rule.mask(month, (start + 3) % 7, length) if bare else self._named(month, start, length)
        if limits.any_day or not mask:
            return mask
        allowed = 0
        for shift in shifts:
            if shift == 0:
                allowed |= limits.month(month, start, length, bare=bare)
            else:
                allowed |= limits.shifted_month(year, month, start, shift, bare=bare)
        return mask & allowed

    def _skip_years(self, year: int, start: int, end: int, shifts: tuple[int, ...]) -> tuple[int, int]:
        """Pass over the years that have no day for us. There are 14 kinds of years: leap or not x the first weekday."""
        years = self._years.get(shifts)
        if years is None:
            years = self._years[shifts] = [self._has_day(kind, shifts) for kind in range(14)]
        if not any(years):
            return year, end
        while start < end:
            leap = is_leap(year)
            if years[(start + 3) % 7 * 2 + leap]:
                break
            year += 1
            start += 365 + leap
        return year, start

    def _has_day(self, kind: int, shifts: tuple[int, ...]) -> bool:
        """Return True if a year of this kind has a day that could be named and allowed, dates aside."""
        weekday, leap = divmod(kind, 2)
        for year in range(2000, 2400):
            start = date(year, 1, 1).toordinal() - EPOCH_ORDINAL
            if is_leap(year) == bool(leap) and (start + 3) % 7 == weekday:
                break
        for month in range(1, 13):
            if self._month(year, month, start, shifts, bare=True):
                return True
            start += month_length(year, month)
        return False


def open_windows(limits: LimitRule) -> Calendar:
    """Return the trigger of every second that the limits allow: to find when they open next."""
    return Calendar(limits.zone, day_rule(), EverySecond(), limits, elapsed=True)


class Grid:
    """``every``: anchor + n x period in elapsed time."""

    __slots__ = ("_anchor_us", "_arcs", "_limits", "_period_us", "_windows")

    def __init__(self, every: Every, limits: LimitRule) -> None:
        self._anchor_us = instant_of(every.anchor)
        self._period_us = every.period_us
        self._limits = limits
        self._windows = open_windows(limits)
        self._arcs: dict[int, tuple[int, tuple[tuple[int, int], ...]]] = {}

    def first(self, instant_us: int) -> int | None:
        """Return the first slot at or after an instant; None when there is none any more."""
        slot = self._on_grid(max(instant_us, START_S * SECOND))
        if self._limits.trivial:
            return slot if slot < END_US else None
        if self._period_us >= 180 * DAY_S * SECOND:
            # A few thousand points until the year 9999: look at each.
            while slot < END_US:
                if self._limits.allows(slot // SECOND):
                    return slot
                slot += self._period_us
            return None
        end = END_US
        while slot < end:
            opens = self._windows.first_second(slot // SECOND)
            if opens is None:
                return None
            if opens * SECOND <= slot:
                return slot
            end = min(end, self._repeats_from(opens))
            leap = self._leap(self._on_grid(opens * SECOND))
            if leap is None:
                return None
            slot = leap
        return None

    def _repeats_from(self, second: int) -> int:
        """Return the instant by which grid, calendar and zones have gone through all they can do together."""
        limits = self._limits
        settled = max(second, limits.zone.settled, limits.hours_zone.settled, limits.last_excepted * DAY_S)
        return (settled + 400 * DAY_S) * SECOND + lcm(self._period_us, CYCLE_S * SECOND)

    def count(self, start_us: int, end_us: int) -> int:
        """Return how many slots lie in [start, end)."""
        end_us = min(end_us, END_US)
        if self._limits.trivial:
            return self._points(start_us, end_us)
        total = 0
        slot = self.first(start_us)
        while slot is not None and slot < end_us:
            window = min(self._windows.window_end(slot // SECOND) * SECOND, end_us)
            total += self._points(slot, window)
            slot = self.first(window)
        return total

    def _points(self, start_us: int, end_us: int) -> int:
        before_start = -(-(start_us - self._anchor_us) // self._period_us)
        before_end = -(-(end_us - self._anchor_us) // self._period_us)
        return max(0, before_end - before_start)

    def _on_grid(self, instant_us: int) -> int:
        return self._anchor_us - (self._anchor_us - instant_us) // self._period_us * self._period_us

    def _leap(self, slot: int) -> int | None:
        """Return the first point of the grid whose time of day and weekday the limits allow; None when none ever does.

        The months, days of the month and dates are not looked at.
        """
        limits = self._limits
        offsets = limits.zone.offsets_from(slot // SECOND)
        hours_offsets = limits.hours_zone.offsets_from(slot // SECOND)
        pairs = [(a, b) for a in offsets for b in (hours_offsets if limits.hours_zone is not limits.zone else [a])]
        while slot < END_US:
            # As if each pair of offsets held for ever: none can be allowed before the earliest of these.
            hits = [hit for offset, hours in pairs if (hit := self._hit(slot, offset, hours)) is not None]
            if not hits:
                return None
            slot = min(hits)
            second = slot // SECOND
            if self._hit(slot, limits.zone.offset(second), limits.hours_zone.offset(second)) == slot:
                return slot
            slot += self._period_us
        return None

    def _hit(self, slot: int, offset: int, hours_offset: int) -> int | None:
        """Return the first point from ``slot`` on that the arcs allow, were these the offsets for ever."""
        shift = hours_offset - offset
        if shift not in self._arcs:
            self._arcs[shift] = self._limits.arcs(self._limits.pieces(0, shift))
        modulus, arcs = self._arcs[shift]
        local = slot + offset * SECOND
        steps = [_first_in_arc(local, self._period_us, modulus * SECOND, start, end) for start, end in arcs]
        return min((slot + n * self._period_us for n in steps if n is not None), default=None)


class Instants:
    """``at``: a list of instants; those that the limits forbid are left out."""

    __slots__ = ("_slots",)

    def __init__(self, moments: tuple[Moment, ...], limits: LimitRule) -> None:
        slots = {instant_of(moment) for moment in moments}
        self._slots = sorted(slot for slot in slots if limits.allows(slot // SECOND))

    def first(self, instant_us: int) -> int | None:
        """Return the first slot at or after an instant; None when there is none any more."""
        index = bisect_left(self._slots, instant_us)
        return self._slots[index] if index < len(self._slots) else None

    def count(self, start_us: int, end_us: int) -> int:
        """Return how many slots lie in [start, end)."""
        return max(0, bisect_left(self._slots, end_us) - bisect_left(self._slots, start_us))


def instant_of(moment: Moment) -> int:
    """Return the instant of a moment: the first of two, or the first after the gap, where its local time is special."""
    if moment.instant_us is not None:
        return moment.instant_us
    if moment.local is None:
        raise ValueError("a moment has a local time or an instant")
    since = moment.local - _EPOCH
    return integer_zone(moment.zone).first(since.days * DAY_S + since.seconds) * SECOND


def _first_in_arc(local: int, period: int, modulus: int, start_s: int, end_s: int) -> int | None:
    """Return the smallest n >= 0 for which (local + n x period) mod modulus lies in the arc; None when none does."""
    low = (start_s * SECOND - local) % modulus
    width = (end_s - start_s) * SECOND - 1
    if low + width >= modulus or low == 0:
        return 0
    return _first_multiple(period % modulus, modulus, low, low + width)


def _first_multiple(step: int, modulus: int, low: int, high: int) -> int | None:
    """Return the smallest n with low <= n x step mod modulus <= high, for 0 < low <= high < modulus; Euclid's way."""
    if step == 0:
        return None
    n = -(-low // step)
    if n * step <= high:
        return n
    # No multiple of the step lies in [low, high]: ask how often to go round. The question is of the same form, with
    # the roles of step and modulus exchanged.
    rounds = _first_multiple(modulus % step, step, -high % step, -low % step)
    return None if rounds is None else -(-(low + modulus * rounds) // step)
