"""The next slot: a pure function of a schedule, an instant, and what is remembered of the job."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, takewhile

from msgspec import Struct

from akjob.instants import DAY, SECOND
from akjob.schedule.cron import parse_cron
from akjob.schedule.cycles import filter_of, uses_workdays
from akjob.schedule.days import WEEK, DayRule, day_rule
from akjob.schedule.limits import LimitRule, limit_rule
from akjob.schedule.model import Cron, Every, Moment, Monthly, Schedule, Weekly
from akjob.schedule.times import ListedTimes
from akjob.schedule.triggers import Calendar, Grid, Instants, Trigger, open_windows
from akjob.schedule.zones import FAR_FUTURE_S, integer_zone

_NEAR_US = DAY
_FAR_US = 28 * 366 * DAY


class Memory(Struct, frozen=True, kw_only=True):
    """What ``again_after`` needs to know of the past.

    ``loaded_us``: when the job was first loaded; ``last_end_us``: when its last run, of whatever trigger, ended;
    ``running``: a run is under way, so that ``again_after`` waits for its end.
    """

    loaded_us: int | None = None
    last_end_us: int | None = None
    running: bool = False


class Plan:
    """A schedule, ready to be asked. Made by :func:`compile_schedule`; its parts are compiled when first needed."""

    __slots__ = ("_gap", "_limits", "_triggers", "_windows", "schedule")

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self._limits: LimitRule | None = None
        self._triggers: tuple[Trigger, ...] | None = None
        self._windows: Calendar | None = None
        self._gap: tuple[int, int] = (0, 0)  # an instant and the first slot after it: there is none in between

    @property
    def limits(self) -> LimitRule:
        """The limits, compiled."""
        if self._limits is None:
            self._limits = limit_rule(self.schedule.limits)
        return self._limits

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """The triggers that need no memory, each with the limits."""
        if self._triggers is None:
            self._triggers = tuple(make_trigger(part, self.limits) for _, part in schedule_parts(self.schedule))
        return self._triggers

    def upcoming(self, after_us: int) -> int | None:
        """Return the first slot after an instant that needs no memory.

        Jobs with equal schedules share a plan, and most of them ask about instants in the same gap between two slots.
        """
        start, end = self._gap
        if start <= after_us < end:
            return end
        best: int | None = None
        for trigger in self.triggers:
            slot = trigger.first(after_us + 1)
            if slot is not None and (best is None or slot < best):
                best = slot
        if best is not None:
            self._gap = (after_us, best)
        return best

    def opens(self, instant_us: int) -> int | None:
        """Return the first instant at or after one that the limits allow; None when there is none any more."""
        if self.limits.trivial:
            return instant_us
        if self._windows is None:
            self._windows = open_windows(self.limits)
        second = self._windows.first_second(instant_us // SECOND)
        return None if second is None else max(instant_us, second * SECOND)

    def remembered(self, after_us: int, memory: Memory) -> list[int]:
        """Return the slots after an instant that follow from memory: one at most."""
        again = self._again(after_us, memory)
        return [] if again is None else [again]

    def _again(self, after_us: int, memory: Memory) -> int | None:
        pause = self.schedule.again_after_us
        since = memory.last_end_us if memory.last_end_us is not None else memory.loaded_us
        if pause is None or since is None or memory.running:
            return None
        slot = self.opens(since + pause)
        if slot is not None and slot <= after_us:
            # That slot has been accounted for and no run came of it: count from there, or the job would stand still
            # for ever.
            slot = self.opens(after_us + pause)
        return slot


Part = tuple[Moment, ...] | Every | Weekly | Monthly | Cron


def schedule_parts(schedule: Schedule) -> Iterator[tuple[tuple[str | int, ...], Part]]:
    """Yield the triggers that need no memory, each with its place below ``[schedule]``."""
    if schedule.at:
        yield ("at",), schedule.at
    if schedule.every is not None:
        yield ("every",), schedule.every
    if schedule.daily is not None:
        yield ("daily",), schedule.daily
    for name in ("weekly", "monthly", "cron"):
        parts: tuple[Weekly | Monthly | Cron, ...] = getattr(schedule, name)
        for index, part in enumerate(parts):
            yield (name, index), part


def make_trigger(part: Part, limits: LimitRule) -> Trigger:
    """Compile one trigger with the limits."""
    if isinstance(part, Weekly):
        weekdays = None if len(set(part.days)) == WEEK else tuple((0, day) for day in sorted(set(part.days)))
        return _of_days(part, day_rule(None, weekdays), limits)
    if isinstance(part, Cron):
        rule, times, elapsed = parse_cron(part.expression)
        return Calendar(integer_zone(part.zone), rule, times, limits, elapsed=elapsed)
    if isinstance(part, Monthly):
        return _of_days(part, _rule_of(part), limits)
    if isinstance(part, Every):
        return Grid(part, limits)
    return Instants(part, limits)


def _of_days(part: Weekly | Monthly, rule: DayRule, limits: LimitRule) -> Calendar:
    zone, times = integer_zone(part.zone), listed(part.times)
    return Calendar(zone, rule, times, limits, elapsed=False, days=filter_of(part))


def _rule_of(part: Monthly) -> DayRule:
    """Return what can be said of the days by the kind of a month alone; rolled days may be any, workdays too."""
    if uses_workdays(part):
        return day_rule()
    days = tuple(day for day in part.days if isinstance(day, int))
    weekdays = tuple((day.nth, day.weekday) for day in part.days if not isinstance(day, int))
    return day_rule(days or None, weekdays or None, either=True)


@lru_cache(maxsize=4096)
def listed(times: tuple[int, ...]) -> ListedTimes:
    """Return the times of day; equal ones are one object."""
    return ListedTimes(times)


@lru_cache(maxsize=16384)
def compile_schedule(schedule: Schedule) -> Plan:
    """Return the plan of a schedule. Cheap; equal schedules give the same plan."""
    return Plan(schedule)


def next_slot(plan: Plan, after_us: int, memory: Memory | None = None) -> int | None:
    """Return the first slot strictly after an instant, before jitter; None means never again.

    Without ``memory`` the trigger ``again_after`` gives no slot; occurrences are not asked.
    """
    best = plan.upcoming(after_us)
    if memory is not None:
        for slot in plan.remembered(after_us, memory):
            if best is None or slot < best:
                best = slot
    return best


def next_slots(plan: Plan, after_us: int, count: int, memory: Memory | None = None) -> list[int]:
    """Return up to ``count`` slots strictly after an instant, in order; fewer when the schedule ends.

    ``again_after`` counts as if each run ended at once; without memory the job is taken to be loaded at ``after_us``.
    """
    if plan.schedule.again_after_us is None:
        return list(islice(_slots(plan, after_us, memory), count))
    memory = memory or Memory(loaded_us=after_us)
    slots: list[int] = []
    while len(slots) < count:
        slot = next_slot(plan, after_us, memory)
        if slot is None:
            break
        slots.append(slot)
        after_us = slot
        memory = Memory(last_end_us=slot)
    return slots


def previous_slot(plan: Plan, before_us: int) -> int | None:
    """Return the last slot by the calendar strictly before an instant; None for none in 28 years."""
    if not plan.triggers:
        return None
    stretch = _NEAR_US
    while stretch < 2 * _FAR_US:
        _, _, last = count_between(plan, before_us - min(stretch, _FAR_US) - 1, before_us - 1)
        if last is not None:
            return last
        stretch *= 8
    return None


def slots_between(plan: Plan, after_us: int, until_us: int, limit: int, memory: Memory | None = None) -> list[int]:
    """Return the first ``limit`` slots with ``after_us`` < slot <= ``until_us``, in order.

    ``again_after`` gives at most one: the next follows from a run's end.
    """
    return list(islice(takewhile(lambda slot: slot <= until_us, _slots(plan, after_us, memory)), limit))


def count_between(
    plan: Plan, after_us: int, until_us: int, memory: Memory | None = None
) -> tuple[int, int | None, int | None]:
    """Return how many slots there are with ``after_us`` < slot <= ``until_us``, the first and the last of them.

    It does not walk through them: a second's grid over a month of downtime is counted as fast as a daily job. Where
    there are several triggers, the rarer ones are compared slot by slot.
    """
    first = next_slot(plan, after_us, memory)
    if first is None or first > until_us:
        return 0, None, None
    counted = sorted(((t.count(after_us + 1, until_us + 1), i) for i, t in enumerate(plan.triggers)), reverse=True)
    total = counted[0][0] if counted else 0
    taken = [plan.triggers[index] for _, index in counted[:1]]
    for _, index in counted[1:]:
        trigger = plan.triggers[index]
        total += sum(not _named(taken, slot) for slot in _of(trigger, after_us + 1, until_us))
        taken.append(trigger)
    if memory is not None:
        slots = plan.remembered(after_us, memory)
        total += sum(slot <= until_us and not _named(taken, slot) for slot in slots)
    return total, first, _last(plan, after_us, first, until_us, memory)


def jitter_us(schedule: Schedule, job_name: str) -> int:
    """Return how much later than its slots this job starts: in [0, jitter), the same on every machine."""
    if not schedule.jitter_us:
        return 0
    from hashlib import sha256  # noqa: PLC0415 - OpenSSL is not loaded for jobs without jitter

    return int.from_bytes(sha256(job_name.encode()).digest(), "big") % schedule.jitter_us


def _slots(plan: Plan, after_us: int, memory: Memory | None) -> Iterator[int]:
    """Yield all slots after an instant, in order, each once."""
    heads = [(slot, trigger) for trigger in plan.triggers if (slot := trigger.first(after_us + 1)) is not None]
    extra = plan.remembered(after_us, memory) if memory is not None else []
    while heads or extra:
        slot = min(*(head for head, _ in heads), *extra, FAR_FUTURE_S * SECOND)
        yield slot
        extra = [other for other in extra if other != slot]
        moved = [(trigger.first(slot + 1) if head == slot else head, trigger) for head, trigger in heads]
        heads = [(head, trigger) for head, trigger in moved if head is not None]


def _of(trigger: Trigger, start_us: int, until_us: int) -> Iterator[int]:
    slot = trigger.first(start_us)
    while slot is not None and slot <= until_us:
        yield slot
        slot = trigger.first(slot + 1)


def _named(triggers: list[Trigger], slot: int) -> bool:
    return any(trigger.first(slot) == slot for trigger in triggers)


def _last(plan: Plan, after_us: int, first_us: int, until_us: int, memory: Memory | None) -> int:
    """Return the last slot up to ``until_us``, by halving the stretch that can hold it."""
    extra = [slot for slot in plan.remembered(after_us, memory) if slot <= until_us] if memory is not None else []
    low, high = first_us, until_us
    while low < high:
        middle = (low + high + 1) // 2
        slot = next_slot(plan, middle - 1)
        if slot is not None and slot <= high:
            low = slot
        else:
            high = middle - 1
    return max([low, *extra])
