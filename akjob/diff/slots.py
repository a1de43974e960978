"""What a change does to the slots of the next days: gained, lost and moved ones, and the peak before and after."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, tzinfo
from itertools import islice

from msgspec import Struct

from akjob.diff.compare import Difference
from akjob.diff.side import Side
from akjob.instants import DAY, to_datetime
from akjob.query.plan import Planned, expected_us, hours, starts
from akjob.schedule import get_zone
from akjob.spec.model import JobSpec

MOST = 20_000  # slots of one job that are compared


class SlotChange(Struct, frozen=True, kw_only=True):
    """What becomes of the slots of one job. ``old`` is the name that it had before, if it was another.

    ``until_us`` is set where there are too many slots: only those up to it were compared.
    """

    job: str
    old: str
    zone: str
    gained: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    moved: tuple[tuple[int, int], ...] = ()
    until_us: int | None = None


class Peak(Struct, frozen=True, kw_only=True):
    """The most runs that are expected at once, before and after."""

    before: int
    after: int


class Slots(Struct, frozen=True, kw_only=True):
    """The slots of the next ``days`` days, by job; jobs whose slots stay are not among them."""

    days: int
    jobs: tuple[SlotChange, ...]
    peak: Peak

    def of(self, job: str) -> SlotChange | None:
        """Return what becomes of one job's slots."""
        return next((one for one in self.jobs if job in {one.job, one.old}), None)


def slots_of(  # noqa: PLR0913, PLR0917 - two sides, a stretch of time
    old: Side,
    new: Side,
    difference: Difference,
    now_us: int,
    days: int,
    durations: Mapping[str, Sequence[float]],
) -> Slots:
    """Return what changes from ``old`` to ``new`` in the ``days`` from now on.

    ``durations`` are those of each job's last runs, in seconds. A job that is refused goes on as before.
    """
    until_us = now_us + days * DAY
    before = {name: spec for name, spec in old.jobs.items() if spec.enabled}
    after = {name: spec for name, spec in new.jobs.items() if spec.enabled}
    after |= {name: before[name] for name in new.refused if name in before}
    renamed = {one.new: one.old for one in difference.renamed}
    pairs = [(renamed.get(name, name), name) for name in after]
    pairs += [(name, name) for name in before if name not in after and name not in renamed.values()]
    changes = [
        _change(was, before.get(was), name, after.get(name), now_us, until_us)
        for was, name in sorted(pairs, key=lambda pair: pair[1])
        if _schedule(before.get(was)) != _schedule(after.get(name))
    ]
    peak = Peak(before=_peak(before, now_us, until_us, durations), after=_peak(after, now_us, until_us, durations))
    found = tuple(one for one in changes if one.gained or one.lost or one.moved)
    return Slots(days=days, jobs=found, peak=peak)


def _schedule(spec: JobSpec | None) -> object:
    return None if spec is None else (spec.schedule, spec.runs)


def _change(  # noqa: PLR0913, PLR0917 - a job before and after
    was: str, old: JobSpec | None, name: str, new: JobSpec | None, now_us: int, until_us: int
) -> SlotChange:
    # A day more, for a slot of the last day may have moved to the end of it.
    before, after = _slots(old, now_us, until_us + DAY), _slots(new, now_us, until_us + DAY)
    cut = [slots[-1] for slots in (before, after) if len(slots) == MOST]
    last = min(cut, default=None)
    if last is not None:
        before, after = [slot for slot in before if slot <= last], [slot for slot in after if slot <= last]
    spec = new or old
    zone = "UTC" if spec is None else spec.schedule.zone
    lost, gained = sorted(set(before) - set(after)), sorted(set(after) - set(before))
    moved = tuple(_moved(lost, gained, get_zone(zone)))
    sources, targets = {one for one, _ in moved}, {one for _, one in moved}
    return SlotChange(
        job=name,
        old=was,
        zone=zone,
        gained=tuple(slot for slot in gained if slot not in targets and slot < until_us),
        lost=tuple(slot for slot in lost if slot not in sources and slot < until_us),
        moved=tuple(pair for pair in moved if min(pair) < until_us),
        until_us=last,
    )


def _slots(spec: JobSpec | None, now_us: int, until_us: int) -> list[int]:
    if spec is None:
        return []
    planned = Planned(spec=spec, runs_left=spec.runs)
    return [start.slot_us for start in islice(starts([planned], now_us + 1, until_us), MOST)]


def _moved(lost: Iterable[int], gained: Iterable[int], zone: tzinfo) -> Iterator[tuple[int, int]]:
    """Yield the slots of one local day that have taken each other's place, in their order."""
    targets = _by_day(gained, zone)
    for day, slots in _by_day(lost, zone).items():
        yield from zip(slots, targets.get(day, ()), strict=False)


def _by_day(slots: Iterable[int], zone: tzinfo) -> Mapping[date, list[int]]:
    found: dict[date, list[int]] = defaultdict(list)
    for slot in slots:
        found[to_datetime(slot).astimezone(zone).date()].append(slot)
    return found


def _peak(jobs: Mapping[str, JobSpec], now_us: int, until_us: int, durations: Mapping[str, Sequence[float]]) -> int:
    planned = [
        Planned(spec=spec, runs_left=spec.runs, expected_us=expected_us(durations.get(name, ())))
        for name, spec in jobs.items()
    ]
    found = starts(planned, now_us + 1, until_us)
    return max((hour.peak for hour in hours(islice(found, MOST * 10), now_us, until_us, UTC)), default=0)
