"""Every coming slot of a set of jobs, in order, and what they add up to hour by hour. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from heapq import heappop, heappush, merge
from itertools import pairwise
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from akjob.due import has_calendar
from akjob.errors import UsageError
from akjob.instants import DAY, HOUR, MINUTE, SECOND, from_text, to_datetime, to_text
from akjob.query.jobs import JobView
from akjob.query.slots import runs_left
from akjob.schedule import Memory, compile_schedule, count_between, get_zone, jitter_us, next_slot
from akjob.spec.model import JobSpec

LONGEST_US = 90 * DAY
DEFAULT_US = DAY
MOST_SLOTS = 2_000_000
SAMPLES = 20  # so many of a job's last runs say how long the next one takes

_CROWD = 5  # so many starts in one second are worth an advice
_MOST_CROWDS = 3
_MOST_ADVICE = 12


class Planned(Struct, frozen=True, kw_only=True):
    """A job that is planned: its definition, the slots of its pause, what ``runs`` allows, how long a run takes.

    Slots before ``from_us`` do not start (a pause); ``last_end_us`` is what ``again_after`` counts from.
    """

    spec: JobSpec
    from_us: int = 0
    runs_left: int | None = None
    expected_us: int | None = None
    last_end_us: int | None = None


class ComingSlot(Struct, frozen=True, kw_only=True):
    """One coming slot, a line of ``akjob plan --json``: ``starts_at`` has the jitter in it."""

    slot: str
    job: str
    starts_at: str
    expected_s: float | None


class PlannedStart(Struct, frozen=True, kw_only=True, order=True):
    """The same in microseconds, in the order of slots."""

    slot_us: int
    job: str
    starts_us: int
    expected_us: int | None = None

    def shown(self) -> ComingSlot:
        """Return it as ``akjob plan`` prints it."""
        expected_s = None if self.expected_us is None else self.expected_us / SECOND
        return ComingSlot(
            slot=to_text(self.slot_us), job=self.job, starts_at=to_text(self.starts_us), expected_s=expected_s
        )


class HourPlan(Struct, frozen=True, kw_only=True):
    """One hour: how many slots are due, how many runs are expected at once at most, how many jobs have a slot."""

    hour: str
    slots: int
    peak: int
    jobs: int


class Advice(Struct, frozen=True, kw_only=True):
    """What to do about a crowd, an overlap or a change of the clock."""

    kind: str
    message: str


def of_job(job: JobView, durations: Sequence[float]) -> Planned | None:
    """Return a job as it is planned; None for one that has no good version, or is paused until it is resumed."""
    pause = job.pause
    if job.spec is None or (pause is not None and pause.until_us is None):
        return None
    row = job.row
    return Planned(
        spec=job.spec,
        from_us=0 if pause is None or pause.until_us is None else pause.until_us,
        runs_left=runs_left(job.spec, row),
        expected_us=expected_us(durations),
        last_end_us=None if row is None else from_text(row["again_from"] or row["first_loaded_at"]),
    )


def expected_us(durations: Sequence[float]) -> int | None:
    """Return how long a run is expected to take: the median of its last runs that succeeded, None without one."""
    return round(median(durations) * SECOND) if durations else None


def check_range(from_us: int, until_us: int) -> None:
    """Raise UsageError for a range that is empty or longer than 90 days."""
    check_order(from_us, until_us)
    if until_us - from_us > LONGEST_US:
        raise UsageError("a plan covers at most 90 days", hint="Give a nearer --until.")


def check_order(from_us: int, until_us: int) -> None:
    """Raise UsageError for a range that is empty."""
    if until_us <= from_us:
        raise UsageError("--until is not after --from", hint="Give a time after it, or a duration such as 7d.")


def check_size(jobs: Iterable[Planned], from_us: int, until_us: int) -> None:
    """Raise UsageError for more slots than a plan can hold. They are counted, which costs next to nothing."""
    total = sum(_count(job, from_us, until_us) for job in jobs if job.spec.enabled)
    if total > MOST_SLOTS:
        message = f"there are {total:,} slots in this time, and a plan holds {MOST_SLOTS:,}"
        raise UsageError(message, hint="Give a nearer --until, or name some of the jobs.")


def _count(job: Planned, from_us: int, until_us: int) -> int:
    schedule = job.spec.schedule
    again_us, begin_us = schedule.again_after_us, max(from_us, job.from_us)
    found = 0 if again_us is None else max(0, until_us - begin_us) // again_us
    if has_calendar(job.spec) and begin_us < until_us:
        calendar = compile_schedule(replace(schedule, again_after_us=None))
        found += count_between(calendar, begin_us - 1, until_us - 1)[0]
    return found if job.runs_left is None else min(found, job.runs_left)


def starts(jobs: Iterable[Planned], from_us: int, until_us: int) -> Iterator[PlannedStart]:
    """Yield every slot in [from, until) of the jobs that are enabled, in order."""
    return merge(*(_starts_of(job, from_us, until_us) for job in jobs if job.spec.enabled))


def _starts_of(job: Planned, from_us: int, until_us: int) -> Iterator[PlannedStart]:
    """Yield the slots of one job. ``again_after`` counts as if each run took what is expected, or no time."""
    spec, plan = job.spec, compile_schedule(job.spec.schedule)
    jitter, took = jitter_us(spec.schedule, spec.name), job.expected_us or 0
    end = _last_end_us(job, from_us)
    left, after = job.runs_left, max(from_us, job.from_us) - 1
    while left is None or left > 0:
        slot = next_slot(plan, after, Memory(loaded_us=end, last_end_us=end))
        if slot is None or slot >= until_us:
            return
        yield PlannedStart(slot_us=slot, job=spec.name, starts_us=slot + jitter, expected_us=job.expected_us)
        left = None if left is None else left - 1
        after, end = slot, slot + jitter + took


def _last_end_us(job: Planned, from_us: int) -> int:
    """Return what ``again_after`` counts from at the beginning: the last end, had each run since then ended at once."""
    again_us = job.spec.schedule.again_after_us
    if again_us is None or job.last_end_us is None:
        return from_us
    return job.last_end_us + max(0, (from_us - 1 - job.last_end_us) // again_us) * again_us


def hours(found: Iterable[PlannedStart], from_us: int, until_us: int, zone: tzinfo) -> list[HourPlan]:
    """Return every hour of the range as the clock of ``zone`` has it, also the empty ones."""
    begins = list(_hours_between(from_us, until_us, zone))
    counts: Counter[int] = Counter()
    peaks: dict[int, int] = defaultdict(int)
    jobs: dict[int, set[str]] = defaultdict(set)
    for start, at_once in _with_load(found):
        hour = _hour_of(start.slot_us, zone)
        counts[hour] += 1
        jobs[hour].add(start.job)
        peaks[_hour_of(start.starts_us, zone)] = max(peaks[_hour_of(start.starts_us, zone)], at_once)
    return [HourPlan(hour=to_text(at), slots=counts[at], peak=peaks[at], jobs=len(jobs[at])) for at in begins]


def _with_load(found: Iterable[PlannedStart]) -> Iterator[tuple[PlannedStart, int]]:
    """Yield each start, by its own time, and how many runs are expected to be under way then, itself included."""
    ends: list[int] = []
    for start in sorted(found, key=lambda one: one.starts_us):
        while ends and ends[0] <= start.starts_us:
            heappop(ends)
        heappush(ends, start.starts_us + max(1, start.expected_us or 0))
        yield start, len(ends)


def _hour_of(at_us: int, zone: tzinfo) -> int:
    """Return the instant at which the clock's hour began; where the clock changed within it, the change counts."""
    local = to_datetime(at_us).astimezone(zone)
    return at_us - (local.minute * MINUTE + local.second * SECOND + local.microsecond)


def _hours_between(from_us: int, until_us: int, zone: tzinfo) -> Iterator[int]:
    hour = _hour_of(from_us, zone)
    while hour < until_us:
        yield hour
        hour = _hour_of(hour + HOUR, zone)


def advise(found: Iterable[PlannedStart], jobs: Mapping[str, JobSpec], from_us: int, until_us: int) -> list[Advice]:
    """Return what is worth a change: many starts at once, runs that will overlap, nights in which the clock changes."""
    starts_found = list(found)
    advice = [*_crowds(starts_found), *_overlaps(starts_found, jobs), *_clock_changes(jobs, from_us, until_us)]
    return advice[:_MOST_ADVICE]


def _crowds(found: list[PlannedStart]) -> Iterator[Advice]:
    """Yield the instants at which many jobs start in the same second, the greatest crowd first."""
    crowds: dict[int, set[str]] = defaultdict(set)
    for start in found:
        crowds[start.starts_us // SECOND].add(start.job)
    seen: list[set[str]] = []
    for second, names in sorted(crowds.items(), key=lambda one: (-len(one[1]), one[0])):
        if len(names) < _CROWD or len(seen) == _MOST_CROWDS:
            return
        if not any(names <= other for other in seen):
            seen.append(names)
            at = to_text(second * SECOND)
            message = (
                f'{len(names)} jobs start at {at}: jitter = "5m" in a _defaults.toml spreads them, or another minute'
            )
            yield Advice(kind="crowd", message=message)


def _overlaps(found: list[PlannedStart], jobs: Mapping[str, JobSpec]) -> Iterator[Advice]:
    """Yield the jobs of which a slot comes before the run of the slot before is expected to end."""
    of_job: dict[str, list[PlannedStart]] = defaultdict(list)
    for start in found:
        of_job[start.job].append(start)
    for name, own in sorted(of_job.items()):
        spec = jobs[name]
        late = [one for one, after in pairwise(own) if one.starts_us + (one.expected_us or 0) > after.starts_us]
        if late and spec.run.overlap != "allow":
            takes = (late[0].expected_us or 0) / SECOND
            effect = _EFFECTS[spec.run.overlap]
            message = f"{name}: {len(late)} slots come while the run before ({takes:g} s) goes on: {effect}"
            yield Advice(kind="overlap", message=message)


_EFFECTS = {
    "skip": 'overlap = "skip" skips them',
    "queue": 'overlap = "queue" lets one wait',
    "replace": 'overlap = "replace" ends the run before',
}


def _clock_changes(jobs: Mapping[str, JobSpec], from_us: int, until_us: int) -> Iterator[Advice]:
    for name in sorted({spec.schedule.zone for spec in jobs.values()}):
        zone, before = get_zone(name), None
        for at in range(from_us - from_us % HOUR, until_us + HOUR, HOUR):
            local = to_datetime(at).astimezone(zone)
            if before is not None and local.utcoffset() != before:
                message = f"{name}: the clock changes before {local.isoformat()}; `akjob next` shows what that does"
                yield Advice(kind="clock", message=message)
            before = local.utcoffset()
