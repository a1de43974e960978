"""What the rows of a simulation come to: slots by job, the load, what meets, what a downtime costs, DST. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from akjob.instants import HOUR, SECOND, from_text, to_datetime
from akjob.ledger import RunColumns
from akjob.query.scenarios import Scenario
from akjob.query.schedules import clock_note
from akjob.query.text import plural, span
from akjob.schedule import get_zone
from akjob.spec.model import JobSpec

COLUMNS = 160
"""So many columns the load has, each as long as the others."""

_FAILED = ("failed", "timed_out", "lost", "cancelled")
_CROWD = 5  # so many starts in one second are worth a word
_MOST = 20  # of each list
_MOST_JOBS = 200
_WAITED_US = SECOND


class JobOutlook(Struct, frozen=True, kw_only=True):
    """What becomes of the slots of one job; ``made_up`` are those that ran after a downtime, ``waited`` ran late."""

    job: str
    slots: int
    succeeded: int
    failed: int
    skipped: int
    missed: int
    made_up: int
    waited: int
    longest_wait_us: int

    @property
    def trouble(self) -> int:
        """How many slots did not run well."""
        return self.failed + self.skipped + self.missed


class Column(Struct, frozen=True):
    """A stretch of time: the most runs at once, and the most that wait at once."""

    running: int
    waiting: int


class Remark(Struct, frozen=True, kw_only=True):
    """Something to look at: what it is about, and in words."""

    about: str
    message: str


class DownOutlook(Struct, frozen=True, kw_only=True):
    """What a downtime costs: the slots in it that are made up for afterwards, and those that are missed, by job."""

    from_us: int
    until_us: int
    made_up: int
    missed: int
    jobs: tuple[Remark, ...]


class Outlook(Struct, frozen=True, kw_only=True):
    """All that a simulation comes to. ``jobs`` are the first ones, those with trouble before the others."""

    from_us: int
    until_us: int
    rows: int
    totals: JobOutlook
    jobs: tuple[JobOutlook, ...]
    more_jobs: int
    load: tuple[Column, ...]
    peak: int
    peak_us: int
    meetings: tuple[Remark, ...]
    clock: tuple[Remark, ...]
    downs: tuple[DownOutlook, ...]


def outlook(rows: Sequence[RunColumns], specs: Mapping[str, JobSpec], scenario: Scenario) -> Outlook:
    """Return what the rows of a scenario come to. ``specs`` are the jobs that were simulated."""
    of_job: dict[str, list[RunColumns]] = defaultdict(list)
    for row in rows:
        of_job[row["job"]].append(row)
    jobs = sorted((_of_job(name, own) for name, own in of_job.items()), key=lambda one: (-one.trouble, one.job))
    load, peak, peak_us = _load(rows, scenario)
    return Outlook(
        from_us=scenario.from_us,
        until_us=scenario.until_us,
        rows=len(rows),
        totals=_of_job("", rows),
        jobs=tuple(jobs[:_MOST_JOBS]),
        more_jobs=max(0, len(jobs) - _MOST_JOBS),
        load=load,
        peak=peak,
        peak_us=peak_us,
        meetings=tuple([*_crowds(rows), *_waits(jobs), *_overlaps(of_job)][: 3 * _MOST]),
        clock=tuple(_clock_changes(of_job, specs, scenario))[:_MOST],
        downs=tuple(_after(down, of_job) for down in scenario.downs),
    )


def _of_job(name: str, rows: Iterable[RunColumns]) -> JobOutlook:
    """Count the slots of one job: a slot by its last attempt."""
    last: dict[tuple[str, str], RunColumns] = {}
    made_up, waits = set(), []
    for row in rows:
        last[row["job"], row["slot"]] = row
        if row["trigger"] == "missed":
            made_up.add((row["job"], row["slot"]))
        waits.append(_waited_us(row))
    counts: Counter[str] = Counter()
    for row in last.values():
        counts[row["state"]] += row["count"]
    late = [wait for wait in waits if wait > _WAITED_US]
    return JobOutlook(
        job=name,
        slots=sum(row["count"] for row in last.values()),
        succeeded=counts["succeeded"],
        failed=sum(counts[state] for state in _FAILED),
        skipped=counts["skipped"],
        missed=counts["missed"],
        made_up=len(made_up),
        waited=len(late),
        longest_wait_us=max(late, default=0),
    )


def _waited_us(row: RunColumns) -> int:
    """Return how long a run waited for a lock, a pool, a place or the run before."""
    if row["started_at"] is None or row["attempt"] > 1 or row["trigger"] == "missed":
        return 0
    return from_text(row["started_at"]) - max(from_text(row["slot"]), from_text(row["queued_at"]))


def _load(rows: Iterable[RunColumns], scenario: Scenario) -> tuple[tuple[Column, ...], int, int]:
    """Return the load column by column, the peak, and when it is reached first."""
    changes: list[tuple[int, int, int]] = []
    for row in rows:
        if row["started_at"] is None:
            continue
        begin = from_text(row["started_at"])
        end = scenario.until_us if row["ended_at"] is None else from_text(row["ended_at"])
        changes += [(begin, 1, 0), (max(end, begin + 1), -1, 0)]
        if _waited_us(row) > _WAITED_US:
            changes += [(begin - _waited_us(row), 0, 1), (begin, 0, -1)]
    changes.sort()
    length = scenario.until_us - scenario.from_us
    most = [[0, 0] for _ in range(COLUMNS)]
    running = waiting = peak = at = 0
    peak_us = scenario.from_us
    for instant, more, waits in changes:
        place = (instant - scenario.from_us) * COLUMNS
        column = min(COLUMNS - 1, max(0, place // length))
        while at < column:  # what goes on reaches into the next columns; what ends where one begins does not
            at += 1
            if at * length < place:
                most[at] = [max(most[at][0], running), max(most[at][1], waiting)]
        running, waiting = running + more, waiting + waits
        most[column] = [max(most[column][0], running), max(most[column][1], waiting)]
        if running > peak:
            peak, peak_us = running, instant
    return tuple(Column(*one) for one in most), peak, peak_us


def _crowds(rows: Iterable[RunColumns]) -> Iterator[Remark]:
    """Yield the seconds in which many runs start, the greatest first, each crowd once."""
    crowds: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["started_at"] is not None:
            crowds[row["started_at"][:19]].add(row["job"])
    seen: list[set[str]] = []
    for second, names in sorted(crowds.items(), key=lambda one: (-len(one[1]), one[0])):
        if len(names) < _CROWD or len(seen) == _MOST:
            return
        if not any(names <= other for other in seen):
            seen.append(names)
            message = f"{len(names)} jobs start at {second.replace('T', ' ')} UTC; jitter spreads them"
            yield Remark(about="start together", message=message)


def _waits(jobs: Iterable[JobOutlook]) -> Iterator[Remark]:
    """Yield the jobs that wait the longest for what jobs share."""
    for job in sorted((one for one in jobs if one.waited), key=lambda one: -one.longest_wait_us)[:_MOST]:
        waited = f"waits {plural(job.waited, 'time')} for a lock, a pool, a place or the run before"
        yield Remark(about=job.job, message=f"{waited}; the longest wait is {span(job.longest_wait_us)}")


def _overlaps(of_job: Mapping[str, Sequence[RunColumns]]) -> Iterator[Remark]:
    """Yield the jobs of which slots are skipped, with the first reason."""
    found = []
    for name, rows in of_job.items():
        skipped = [row for row in rows if row["state"] == "skipped"]
        if skipped:
            count = sum(row["count"] for row in skipped)
            first = f"{skipped[0]['slot'][:19].replace('T', ' ')} UTC: {skipped[0]['reason']}"
            found.append((-count, Remark(about=name, message=f"{plural(count, 'slot')} skipped, the first at {first}")))
    yield from (note for _, note in sorted(found, key=lambda one: (one[0], one[1].about))[:_MOST])


def _after(down: tuple[int, int], of_job: Mapping[str, Sequence[RunColumns]]) -> DownOutlook:
    """Return what ``missed`` does after a downtime with the slots that lie in it."""
    jobs, made_up_all, missed_all = [], 0, 0
    for name, rows in sorted(of_job.items()):
        inside = [row for row in rows if down[0] <= from_text(row["slot_last"]) and from_text(row["slot"]) < down[1]]
        made_up = sum(row["trigger"] == "missed" and row["attempt"] == 1 for row in inside)
        missed = sum(row["count"] for row in inside if row["state"] == "missed")
        made_up_all, missed_all = made_up_all + made_up, missed_all + missed
        if made_up or missed:
            reasons = sorted({row["reason"] or "" for row in inside if row["state"] == "missed"})
            said = f" ({'; '.join(reasons)})" if reasons else ""
            jobs.append(Remark(about=name, message=f"{made_up} made up for, {missed} missed{said}"))
    return DownOutlook(
        from_us=down[0], until_us=down[1], made_up=made_up_all, missed=missed_all, jobs=tuple(jobs[:_MOST_JOBS])
    )


def _clock_changes(
    of_job: Mapping[str, Sequence[RunColumns]], specs: Mapping[str, JobSpec], scenario: Scenario
) -> Iterator[Remark]:
    """Yield the slots that a change of a local clock moves, or lets happen once."""
    changes: dict[str, list[tuple[int, int]]] = {}
    for name, rows in sorted(of_job.items()):
        spec = specs.get(name)
        if spec is None:
            continue
        zone = spec.schedule.zone
        if zone not in changes:
            changes[zone] = list(_offsets(zone, scenario.from_us, scenario.until_us))
        slots = {from_text(row["slot"]) for row in rows} if changes[zone] else set()
        for at_us, by_us in changes[zone]:
            notes = map(_noted(spec), sorted(slot for slot in slots if at_us - max(0, -by_us) <= slot <= at_us))
            yield from (Remark(about=name, message=message) for message in dict.fromkeys(notes) if message)


def _noted(spec: JobSpec) -> Callable[[int], str]:
    """Return what says of a slot how the clock's change concerns it: at its instant, or an hour later."""

    def note(slot_us: int) -> str:
        return clock_note(spec.schedule, slot_us) or next(
            (said for back in (HOUR, HOUR // 2) if "twice" in (said := clock_note(spec.schedule, slot_us + back))), ""
        )

    return note


def _offsets(zone_name: str, from_us: int, until_us: int) -> Iterator[tuple[int, int]]:
    """Yield the instants at which a zone's offset changes, to the quarter of an hour, and by how much."""
    zone = get_zone(zone_name)

    def offset(at_us: int) -> int:
        delta = to_datetime(at_us).astimezone(zone).utcoffset()
        return 0 if delta is None else round(delta.total_seconds()) * SECOND

    step, quarter = 24 * HOUR, HOUR // 4
    begin = from_us - from_us % quarter
    for day in range(begin, until_us, step):
        if offset(day) == offset(day + step):
            continue
        for at in range(day + quarter, day + step + quarter, quarter):
            by = offset(at) - offset(at - quarter)
            if by and at < until_us + quarter:
                yield at, by
