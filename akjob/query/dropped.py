"""Which slots a pause of some jobs lets pass by, as the scheduler counts them. Pure."""

from collections.abc import Sequence
from itertools import islice

from msgspec import Struct

from akjob.query import plan
from akjob.query.jobs import JobView
from akjob.query.plan import Planned
from akjob.schedule import Memory, compile_schedule, count_between


class Dropped(Struct, frozen=True, kw_only=True):
    """How many slots, of how many jobs, until when; the first of them, each with its job."""

    slots: int
    jobs: int
    until_us: int
    first: tuple[tuple[int, str], ...]


def dropped_by_pause(jobs: Sequence[JobView], until_us: int, shown: int) -> Dropped:
    """Return the slots in [now, until) that pausing these jobs would drop, without those that a pause drops already."""
    now_us = jobs[0].now_us if jobs else 0
    planned = [one for job in jobs if (one := plan.of_job(job, ())) is not None and one.spec.enabled]
    counts = [_count(one, now_us, until_us) for one in planned]
    first = islice(plan.starts(planned, now_us, until_us), shown)
    return Dropped(
        slots=sum(counts),
        jobs=sum(count > 0 for count in counts),
        until_us=until_us,
        first=tuple((one.slot_us, one.job) for one in first),
    )


def _count(one: Planned, now_us: int, until_us: int) -> int:
    """Return how many slots a job has, without walking through them; ``again_after`` counts once."""
    last_us = now_us if one.last_end_us is None else one.last_end_us
    memory = Memory(loaded_us=last_us, last_end_us=last_us)
    count, _, _ = count_between(compile_schedule(one.spec.schedule), max(now_us, one.from_us) - 1, until_us - 1, memory)
    return count if one.runs_left is None else min(count, one.runs_left)
