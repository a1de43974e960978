"""The timeline: what each job did, and will do, in a stretch of time, and what that adds up to. Pure.

A day of fifty jobs may have five thousand runs, and is looked at again each time one of them ends: what is done for
each run is kept to the least.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from statistics import median_high

import msgspec
from msgspec import Struct

from akjob.instants import MINUTE, SECOND, from_text
from akjob.ledger import TimeColumns

MOST_MARKS = 2000
"""Above so many runs a lane is a band that says how many began in each hour."""

_P95 = 0.95


class Stretch(Struct, frozen=True, kw_only=True):
    """The stretch of time that a timeline shows."""

    start_us: int
    end_us: int
    now_us: int

    def share(self, at_us: int) -> float:
        """Return where an instant is: 0 at the start, 1 at the end."""
        return max(0.0, min(1.0, (at_us - self.start_us) / (self.end_us - self.start_us)))


class LaneRun(Struct, frozen=True, gc=False):
    """One run on its lane, from ``begin_us`` to ``end_us``, and the row that it is from."""

    begin_us: int
    end_us: int
    row: TimeColumns


class Lane(Struct, frozen=True, kw_only=True):
    """One job: its runs, oldest first, the instants to come, and how long a run takes as a rule and at worst.

    ``band`` has, where there are too many runs to draw each, the hours with the number of runs that began in them;
    ``runs`` are the exceptions among them then.
    """

    job: str
    runs: tuple[LaneRun, ...]
    coming: tuple[int, ...] = ()
    p50_us: int = 0
    p95_us: int = 0
    band: tuple[tuple[int, int], ...] = ()


class Link(Struct, frozen=True, kw_only=True):
    """A run that another one made due: the lanes by their numbers, and the instants at both ends."""

    from_lane: int
    ended_us: int
    to_lane: int
    began_us: int


class Load(Struct, frozen=True, kw_only=True):
    """What the runs of some jobs add up to, in columns of equal length, each the mean of its time.

    ``expected`` is how many runs of the coming slots would be under way, each as long as half of its job's runs take.
    ``cores`` are processors in use; ``memory_bytes`` adds up the peaks of all that ran.
    """

    running: tuple[float, ...]
    expected: tuple[float, ...]
    cores: tuple[float, ...]
    memory_bytes: tuple[float, ...]


def lane_of(
    job: str, rows: Iterable[TimeColumns], stretch: Stretch, coming: Sequence[int], band: Sequence[tuple[str, int]] = ()
) -> Lane:
    """Return the lane of a job from its rows, the newest first; those that ended before the stretch are left out."""
    at, now_us, start_us = _reading(), stretch.now_us, stretch.start_us
    runs, took = [], []
    for row in rows:
        started, ended = row.started_at, row.ended_at
        if started is not None:
            begin_us = at(started)
            end_us = now_us if ended is None else at(ended)
            if row.state == "succeeded":
                took.append(end_us - begin_us)
        else:
            begin_us = end_us = _waits_from(row, at)
            if ended is None:
                end_us = max(begin_us, now_us)
        if end_us >= start_us:
            runs.append(LaneRun(begin_us, max(begin_us, end_us), row))
    runs.reverse()
    took.sort()
    return Lane(
        job=job,
        runs=tuple(runs),
        coming=tuple(coming),
        p50_us=median_high(took) if took else 0,
        p95_us=took[math.ceil(_P95 * len(took)) - 1] if took else 0,
        band=tuple((from_text(f"{hour}:00:00Z"), count) for hour, count in band),
    )


def _waits_from(row: TimeColumns, at: Callable[[str], int]) -> int:
    """Return where a row without a start stands: at its slot; one that waits, when it began to wait."""
    return at(max(row.slot, row.queued_at) if row.state == "queued" else row.slot)


def _reading() -> Callable[[str], int]:
    """Return what reads the ledger's instants, of which many lie in the same hour."""
    hours: dict[str, int] = {}

    def at(text: str) -> int:
        try:
            base_us = hours[text[:13]]
        except KeyError:
            base_us = hours[text[:13]] = from_text(f"{text[:13]}:00:00Z")
        return base_us + int(text[14:16]) * MINUTE + int(text[17:19] + text[20:26])

    return at


def links_of(lanes: Sequence[Lane]) -> list[Link]:
    """Return what made which run due among these lanes: the ends of other jobs."""
    places = {lane.job: number for number, lane in enumerate(lanes)}
    ends: dict[str, int] | None = None
    found = []
    for number, lane in enumerate(lanes):
        for run in lane.runs:
            if run.row.trigger != "after":
                continue
            if ends is None:
                ends = {one.row.id: one.end_us for other in lanes for one in other.runs}
            for job, cause in causes_of(run.row).items():
                if job in places and cause in ends:
                    found.append(
                        Link(from_lane=places[job], ended_us=ends[cause], to_lane=number, began_us=run.begin_us)
                    )
    return found


def causes_of(row: TimeColumns) -> dict[str, str]:
    """Return the jobs that a row came after, with their runs; empty for what another trigger made due."""
    if row.trigger != "after" or row.cause is None:
        return {}
    causes = msgspec.json.decode(row.cause).get("after", {})
    return {str(job): str(run) for job, run in causes.items()} if isinstance(causes, dict) else {}


def load_of(lanes: Iterable[Lane], stretch: Stretch, columns: int) -> Load:
    """Return what the runs of the lanes add up to. Of lanes that are bands nothing is added."""
    was, ahead = _Sums(stretch, columns), _Sums(stretch, columns)
    for lane in lanes:
        if not lane.band:
            for run in lane.runs:
                row = run.row
                if row.started_at is not None:
                    was.add(run.begin_us, run.end_us, row.cpu_s or 0.0, row.max_rss_bytes or 0)
        for at_us in lane.coming:
            ahead.add(at_us, at_us + lane.p50_us, 0.0, 0)
    return Load(running=was.means(0), expected=ahead.means(0), cores=was.means(1), memory_bytes=was.means(2))


class _Sums:
    """How many intervals there are at once, the processors and the memory that they take, as means of columns.

    What lies within one column is an area; of what is longer the whole columns are added up as differences.
    """

    def __init__(self, stretch: Stretch, columns: int) -> None:
        self._start_us = stretch.start_us
        self._step_us = (stretch.end_us - stretch.start_us) / columns
        self._columns = columns
        self._areas = [[0.0] * columns for _ in range(3)]
        self._steps = [[0.0] * (columns + 1) for _ in range(3)]

    def add(self, begin_us: int, end_us: int, cpu_s: float, memory_bytes: int) -> None:
        """Add an interval, and what it took of processors in all, of memory at most."""
        begin, end = (begin_us - self._start_us) / self._step_us, (end_us - self._start_us) / self._step_us
        if end <= 0.0 or begin >= self._columns:
            return
        first, last = int(begin), int(end)
        if first == last and begin >= 0.0:
            running, cores, memory = self._areas
            running[first] += end - begin
            cores[first] += cpu_s * SECOND / self._step_us
            memory[first] += (end - begin) * memory_bytes
            return
        heights = (1.0, cpu_s * SECOND / (end_us - begin_us), float(memory_bytes))
        begin, end = max(begin, 0.0), min(end, float(self._columns))
        first, last = int(begin), int(end)
        for areas, steps, height in zip(self._areas, self._steps, heights, strict=True):
            if first == last:
                areas[first] += (end - begin) * height
                continue
            areas[first] += (first + 1 - begin) * height
            steps[first + 1] += height
            steps[last] -= height
            if last < self._columns:
                areas[last] += (end - last) * height

    def means(self, which: int) -> tuple[float, ...]:
        """Return the mean of each column: of how many there are, of processors, of memory."""
        whole = accumulate(self._steps[which][:-1])
        return tuple(area + steps for area, steps in zip(self._areas[which], whole, strict=True))
