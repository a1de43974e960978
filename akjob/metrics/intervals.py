"""How long a job may be without a slot: the gap between its slots before and after an instant, by its schedule."""

from akjob.instants import DAY
from akjob.schedule import compile_schedule, next_slot
from akjob.spec.model import JobSpec

_LONGEST_US = 30 * 366 * DAY  # a slot further away than this counts as none


class Intervals:
    """Finds the gap around an instant, and keeps it until the next slot: of most jobs nothing is computed twice."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, int, int]] = {}

    def gap_us(self, spec: JobSpec, now_us: int) -> int | None:
        """Return the length of the gap; None where there is none, or where it depends on the runs."""
        known = self._known.get(spec.name)
        if known is not None and known[0] == spec.sha256 and known[1] <= now_us < known[2]:
            return known[2] - known[1]
        gap = gap_around(spec, now_us)
        if gap is None:
            return spec.schedule.again_after_us
        self._known[spec.name] = (spec.sha256, *gap)
        return gap[1] - gap[0]


def gap_around(spec: JobSpec, now_us: int) -> tuple[int, int] | None:
    """Return the last calendar slot up to an instant and the first one after it; None where one of them is missing."""
    plan = compile_schedule(spec.schedule)
    after_us = next_slot(plan, now_us)
    if after_us is None:
        return None
    following = next_slot(plan, after_us)
    back_us = DAY if following is None else following - after_us
    while back_us < _LONGEST_US:
        slot = next_slot(plan, now_us - back_us)
        if slot is not None and slot <= now_us:
            while (later := next_slot(plan, slot)) is not None and later <= now_us:
                slot = later
            return slot, after_us
        back_us *= 2
    return None
