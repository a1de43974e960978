"""The decision for one job: which slots start, which are skipped or missed and why, and when to look again.

Pure: the definition, what is known of the job (:class:`Known`) and an instant go in, a :class:`Decision` comes out.
A slot is *nominal*; its *start* is the slot plus the job's jitter. A slot of the calendar is late when akjobd comes to
it more than :data:`GRACE_US` after its start. The rules, in the order in which they are asked:

1. A disabled job and one that has had its ``runs`` have no slots.
2. A slot whose start falls into a pause is skipped.
3. Occurrences are never late: akjobd is what they wait for. Limits and pauses look at the instant of the occurrence.
4. A late slot is missed, or made up for, by ``missed`` and ``missed_within``.
5. Any other slot starts, or meets a run of the same job: ``overlap`` decides. With ``missed = "all"`` it waits its turn
   while earlier slots are made up for.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Struct

from akjob.instants import SECOND
from akjob.ledger.model import Occurrence, Trigger
from akjob.schedule import Memory, Plan, compile_schedule, count_between, jitter_us, next_slot, slots_between
from akjob.spec.model import JobSpec
from akjob.units import format_duration

GRACE_US = 2 * SECOND  # a start that is later than this is late; a busy machine is not a missed slot
EARLY_US = 20_000  # orders go out this much ahead at least, so that claim, fork and set-up are over on the slot
AT_MOST_ALL = 100  # slots that `missed = "all"` makes up for at once
FEW = 10  # so many slots of a stretch have a row each; a longer one is one row
FOREVER = 1 << 62  # a pause without an end

Action = Literal["start", "after_previous", "queue", "replace", "skipped", "missed"]


class Verdict(Struct, frozen=True, kw_only=True):
    """What becomes of a slot, or of the ``count`` slots from ``slot_us`` to ``slot_last_us`` (skipped and missed only).

    ``start`` starts at ``not_before_us``; ``after_previous`` waits until no run of the job is left
    (``missed = "all"``); ``queue`` is the one slot that ``overlap = "queue"`` lets wait; ``replace`` ends the
    job's runs first. ``occurrence`` is what made the job due, if it was not the calendar.
    """

    action: Action
    slot_us: int
    slot_last_us: int
    count: int = 1
    trigger: Trigger = "schedule"
    not_before_us: int = 0
    reason: str | None = None
    occurrence: Occurrence | None = None


class Known(Struct, frozen=True, kw_only=True):
    """What is known of a job besides its definition.

    ``watermark_us`` is the last slot accounted for; ``next_us`` the slot after it if that is known already (else None);
    ``started`` how many scheduled slots were started; a start before ``paused_until_us`` is paused (None: not paused).
    ``busy`` says what keeps the job busy (``"run R still runs"``; None: nothing); ``queued`` that a slot is queued
    already; ``catching_up`` that ``missed = "all"`` makes up for earlier slots; ``ahead`` that an order may go out
    before its slot; ``claimed`` are slots after the watermark that have a row; ``occurrences`` are those that are not
    decided yet. ``early_us`` is how long before its start an order goes out on this machine.
    """

    watermark_us: int
    memory: Memory
    next_us: int | None = None
    started: int = 0
    paused_until_us: int | None = None
    pause_reason: str = "the job is paused"
    busy: str | None = None
    queued: bool = False
    catching_up: bool = False
    ahead: bool = True
    early_us: int = EARLY_US
    claimed: frozenset[int] = frozenset()
    occurrences: tuple[Occurrence, ...] = ()


class Decision(Struct, frozen=True, kw_only=True):
    """``verdicts`` in their order, the watermark, the next slot, and when to decide again (or None).

    ``decided`` are the occurrences that are over with this, whether they came to a verdict or not.
    """

    verdicts: tuple[Verdict, ...]
    watermark_us: int
    next_us: int | None
    wake_us: int | None
    decided: tuple[Occurrence, ...] = ()


class Timing(Struct, frozen=True, kw_only=True):
    """A job's schedule, ready to be asked.

    ``calendar`` has the triggers that follow from the calendar alone, ``stateful`` the one that needs a Memory
    (``again_after``); either is None where there are none. ``plan`` has both.
    """

    plan: Plan
    calendar: Plan | None
    stateful: Plan | None
    jitter_us: int
    lead_us: int
    locked: bool

    def ahead_us(self, early_us: int) -> int:
        """Return how long before a slot's start its order goes out; ``early_us`` is what the machine needs for one.

        A lock is given in the order of slots: to take it long ahead would hold it against slots that come before.
        """
        return EARLY_US if self.locked else max(early_us, self.lead_us)


def timing(spec: JobSpec) -> Timing:
    """Make the Timing of a job. Cheap: plans are compiled when first asked."""
    schedule = spec.schedule
    plan = compile_schedule(schedule)
    calendar: Plan | None = plan
    stateful = None
    if schedule.again_after_us is not None:
        bare = msgspec.structs.replace(schedule, again_after_us=None)
        calendar = compile_schedule(bare) if has_calendar(spec) else None
        stateful = compile_schedule(
            msgspec.structs.replace(schedule, at=(), every=None, daily=None, weekly=(), monthly=(), cron=())
        )
    jitter = jitter_us(schedule, spec.name) if schedule.jitter_us else 0
    return Timing(
        plan=plan,
        calendar=calendar,
        stateful=stateful,
        jitter_us=jitter,
        lead_us=spec.run.lead_us,
        locked=spec.run.lock is not None or spec.run.pool is not None,
    )


def has_calendar(spec: JobSpec) -> bool:
    """Return True if a trigger follows from the calendar alone."""
    schedule = spec.schedule
    return bool(schedule.at or schedule.every or schedule.daily or schedule.weekly or schedule.monthly or schedule.cron)


def done(spec: JobSpec, started: int) -> bool:
    """Return True if a job has had all its ``runs``."""
    return spec.runs is not None and started >= spec.runs


def decide(spec: JobSpec, when: Timing, known: Known, now_us: int, until_us: int | None = None) -> Decision:
    """Decide about every slot after the watermark whose start has come, and about the one that is ordered ahead.

    With ``until_us`` decide about every nominal slot up to there instead, whether its start has come or not, and order
    nothing ahead: an edited schedule accounts for its slots up to the loading.
    """
    limit = now_us - when.jitter_us if until_us is None else until_us
    due = tuple(one for one in known.occurrences if one.at_us <= limit)
    if not spec.enabled or done(spec, known.started):
        return Decision(verdicts=(), watermark_us=known.watermark_us, next_us=None, wake_us=None, decided=due)
    judge = _Judge(spec, when, known, now_us)
    upcoming = known.next_us
    if upcoming is None:
        upcoming = next_slot(when.plan, known.watermark_us, known.memory)
    if upcoming is not None and upcoming <= limit:
        judge.account(upcoming, limit, due)
        upcoming = next_slot(when.plan, judge.watermark, known.memory)
    elif due:
        judge.in_turn((), due)
    if until_us is None:
        upcoming = judge.order_ahead(upcoming)
    return Decision(
        verdicts=tuple(judge.verdicts),
        watermark_us=judge.watermark,
        next_us=upcoming,
        wake_us=judge.wake(upcoming, limit),
        decided=due,
    )


class _Judge:
    """One decision in the making: what was decided so far changes what comes after it."""

    def __init__(self, spec: JobSpec, when: Timing, known: Known, now_us: int) -> None:
        self.spec = spec
        self.when = when
        self.known = known
        self.now = now_us
        self.ahead_us = when.ahead_us(known.early_us)
        self.verdicts: list[Verdict] = []
        self.watermark = known.watermark_us
        self.busy = known.busy
        self.queued = known.queued
        self.catching_up = known.catching_up
        self.left = None if spec.runs is None else spec.runs - known.started

    def account(self, first: int, limit: int, due: tuple[Occurrence, ...]) -> None:
        """Decide about all slots after the watermark up to ``limit``, the first of which is known, and what is due."""
        late_until = self.now - self.when.jitter_us - GRACE_US - 1
        if first > self._pause_end() and first > late_until and limit - first < SECOND and not due:
            self._on_time(first)  # what happens nearly always: one slot, on time
            return
        self._paused(min(limit, self._pause_end()))
        again = self._again(limit)
        on_time = self._slots(max(self.watermark, late_until), limit, again)
        self._late(
            min(limit, late_until),
            [slot for slot in again if slot <= late_until],
            stood_for=any(slot > late_until for slot in on_time),
        )
        self.in_turn(on_time, due)
        self.watermark = max([self.watermark, *on_time])
        if self.spec.schedule.again_after_us is not None:
            # `again_after` counts on from here: a downtime has one such slot, not many
            self.watermark = max(self.watermark, limit)

    def in_turn(self, slots: Iterable[int], due: Iterable[Occurrence]) -> None:
        """Decide about slots of the calendar that are on time and about occurrences, in the order of their instants.

        Where both name one slot, it is the occurrence's.
        """
        allowed = [one for one in due if self.when.plan.limits.allows(one.at_us // SECOND)]
        named = {one.slot for one in allowed}
        turns: list[tuple[int, Occurrence | None]] = [(slot, None) for slot in set(slots) - named]
        turns += [(one.at_us, one) for one in allowed]
        for instant, occurrence in sorted(turns, key=lambda turn: turn[0]):
            if occurrence is None:
                self._on_time(instant)
            elif instant <= self._pause_end():
                self._close("skipped", occurrence.slot, occurrence.slot, 1, self.known.pause_reason, occurrence)
            else:
                self._meet(occurrence.slot, occurrence.trigger, occurrence)
        self.watermark = max([self.watermark, *(one.at_us for one in due)])  # all slots up to there are decided

    def order_ahead(self, upcoming: int | None) -> int | None:
        """Claim the slots whose order is due although their start is not; return the next slot after them."""
        while upcoming is not None and self._may_go_ahead(upcoming):
            if upcoming + self.when.jitter_us - self.ahead_us > self.now:
                break
            self._on_time(upcoming)
            upcoming = next_slot(self.when.plan, self.watermark, self.known.memory)
        return upcoming

    def wake(self, upcoming: int | None, limit: int) -> int | None:
        """Return when to decide again: at the next slot, or at the next occurrence."""
        if self.left is not None and self.left <= 0:
            return None
        wakes = [one.at_us + self.when.jitter_us for one in self.known.occurrences if one.at_us > limit]
        if upcoming is not None:
            start = upcoming + self.when.jitter_us
            wakes.append(start - self.ahead_us if self._may_go_ahead(upcoming) else start)
        return min(wakes, default=None)

    def _may_go_ahead(self, slot: int) -> bool:
        """Return True if nothing that can happen until the slot, short of a person's word, can change the decision."""
        return (
            self.known.ahead
            and (not self.busy or self.spec.run.overlap == "allow")
            and (self.left is None or self.left > 0)
            and (self.known.paused_until_us is None or slot + self.when.jitter_us >= self.known.paused_until_us)
        )

    def _pause_end(self) -> int:
        """Return the last slot whose start falls into the pause."""
        until = self.known.paused_until_us
        return -1 if until is None else until - self.when.jitter_us - 1

    def _paused(self, until: int) -> None:
        if until > self.watermark:
            self._stretch("skipped", until, self._again(until), self.known.pause_reason)

    def _again(self, limit: int) -> list[int]:
        """Return the slot of ``again_after`` after the watermark, if there is one up to ``limit``."""
        if self.when.stateful is None:
            return []
        return slots_between(self.when.stateful, self.watermark, limit, 1, self.known.memory)

    def _slots(self, after: int, until: int, again: list[int], limit: int = 1_000) -> list[int]:
        """Return the slots of the calendar and of again_after, ``limit`` at most."""
        own = [slot for slot in again if after < slot <= until]
        if self.when.calendar is not None and until > after:
            own += slots_between(self.when.calendar, after, until, limit)
        return sorted(set(own))[:limit]

    def _few(self, until: int, extra: list[int]) -> list[int] | None:
        """Return the slots after the watermark up to ``until`` if they are few, which is cheaper than to count them."""
        slots = self._slots(self.watermark, until, extra, FEW + 1)
        return slots if len(slots) <= FEW else None

    def _count(self, until: int, extra: list[int]) -> tuple[int, int, int]:
        """Count the slots after the watermark up to ``until``: how many, the first, the last (0, 0, 0 if none)."""
        count, first, last = 0, 0, 0
        if self.when.calendar is not None and until > self.watermark:
            found, head, tail = count_between(self.when.calendar, self.watermark, until)
            if head is not None and tail is not None:
                count, first, last = found, head, tail
        for slot in extra:
            if not self.watermark < slot <= until or (
                self.when.calendar is not None and slots_between(self.when.calendar, slot - 1, slot, 1)
            ):
                continue
            first, last, count = min(first, slot) if count else slot, max(last, slot), count + 1
        return count, first, last

    def _stretch(self, action: Literal["skipped", "missed"], until: int, extra: list[int], reason: str) -> None:
        """Close all slots after the watermark up to ``until``: one by one if they are few, else with one verdict."""
        few = self._few(until, extra)
        if few is None:
            count, first, last = self._count(until, extra)
            self._close(action, first, last, count, reason)
        for slot in few or ():
            self._close(action, slot, slot, 1, reason)

    def _close(  # noqa: PLR0913, PLR0917 - all that a row has
        self,
        action: Literal["skipped", "missed"],
        first: int,
        last: int,
        count: int,
        reason: str,
        occurrence: Occurrence | None = None,
    ) -> None:
        self.verdicts.append(
            Verdict(
                action=action,
                slot_us=first,
                slot_last_us=last,
                count=count,
                trigger="schedule" if occurrence is None else occurrence.trigger,
                reason=reason,
                occurrence=occurrence,
            )
        )
        if occurrence is None:
            self.watermark = max(self.watermark, last)

    def _late(self, until: int, extra: list[int], *, stood_for: bool) -> None:
        """Close or make up for the late slots, by ``missed`` and ``missed_within``."""
        policy = self.spec.run.missed
        if until <= self.watermark:
            return
        if policy == "skip":
            self._stretch("missed", until, extra, "akjobd came too late to it, and missed is skip")
            return
        oldest = self.now - self.when.jitter_us - self.spec.run.missed_within_us
        if oldest > self.watermark:
            within = format_duration(self.spec.run.missed_within_us)
            reason = f"akjobd came to it later than missed_within ({within})"
            self._stretch("missed", min(until, oldest - 1), extra, reason)
        if policy == "all":
            self._late_all(until, extra)
        else:
            self._late_latest(until, extra, stood_for=stood_for)

    def _late_latest(self, until: int, extra: list[int], *, stood_for: bool) -> None:
        few = self._few(until, extra)
        if few == []:
            return
        last = self._count(until, extra)[2] if few is None else few[-1]
        self._stretch("missed", until if stood_for else last - 1, extra, "a later slot stands for it")
        if not stood_for:
            self._on_time(last, "missed")

    def _late_all(self, until: int, extra: list[int]) -> None:
        for slot in self._slots(self.watermark, until, extra, AT_MOST_ALL):
            if self.left is not None and self.left <= 0:
                return
            idle = not self.busy
            self._begin("start" if idle else "after_previous", slot, "missed")
            self.busy = self.busy or "an earlier slot is made up for"
            self.catching_up = True
        if self.left is None or self.left > 0:
            self._stretch("missed", until, extra, f"more than {AT_MOST_ALL} slots were missed")

    def _on_time(self, slot: int, trigger: Trigger = "schedule") -> None:
        """Start a slot of the calendar, unless it was decided before."""
        if slot in self.known.claimed or slot <= self.watermark:
            self.watermark = max(self.watermark, slot)
        else:
            self._meet(slot, trigger)

    def _meet(self, slot: int, trigger: Trigger, occurrence: Occurrence | None = None) -> None:
        """Start a slot, unless it meets a run of its job: then ``overlap`` decides."""
        if self.left is not None and self.left <= 0:
            return  # the job has had its `runs`: from here on it has no slots
        overlap = self.spec.run.overlap
        if not self.busy or overlap == "allow":
            self._begin("start", slot, trigger, occurrence)
            self.busy = self.busy or "the run of the slot before still runs"
        elif self.catching_up:
            self._begin("after_previous", slot, trigger, occurrence)
        elif overlap == "replace":
            self._begin("replace", slot, trigger, occurrence)
        elif overlap == "queue" and not self.queued:
            self._begin("queue", slot, trigger, occurrence)
            self.queued = True
        else:
            reason = "a slot is queued already" if overlap == "queue" else (self.busy or "")
            self._close("skipped", slot, slot, 1, reason, occurrence)

    def _begin(self, action: Action, slot: int, trigger: Trigger, occurrence: Occurrence | None = None) -> None:
        begins = slot if occurrence is None else occurrence.at_us
        self.verdicts.append(
            Verdict(
                action=action,
                slot_us=slot,
                slot_last_us=slot,
                trigger=trigger,
                not_before_us=begins + self.when.jitter_us,
                occurrence=occurrence,
            )
        )
        if occurrence is None:
            self.watermark = max(self.watermark, slot)
        if self.left is not None:
            self.left -= 1
