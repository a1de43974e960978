"""From due to done: which stretches a run's time had, each with a name, so that its lateness can be read off. Pure."""

from collections.abc import Iterable

from msgspec import Struct

from akjob.instants import from_text
from akjob.query.runs import Run
from akjob.schedule import jitter_us
from akjob.spec.model import JobSpec

WORTH_NAMING_US = 20_000
"""A wait that is shorter is the start itself, whatever else ran then."""

_OF_CALENDAR = frozenset({"schedule", "missed"})


class WaitedFor(Struct, frozen=True, kw_only=True):
    """What a run may have waited for: another run, and the name of what both of them want."""

    what: str
    run: str
    job: str
    begin_us: int
    end_us: int


class Step(Struct, frozen=True, kw_only=True):
    """One stretch of a run's time. ``is_late`` says that it came between the slot and the start."""

    name: str
    begin_us: int
    end_us: int
    is_late: bool
    run: str | None = None

    @property
    def took_us(self) -> int:
        """How long it was."""
        return self.end_us - self.begin_us


def steps_of(run: Run, spec: JobSpec | None, former: Run | None, held: Iterable[WaitedFor], now_us: int) -> list[Step]:
    """Return the stretches from a run's slot on, in order and without gaps; ``former`` is the attempt before it.

    Those that are late add up to what the start was late.
    """
    slot_us, queued_us = from_text(run.slot), from_text(run.queued_at)
    started_us = None if run.started_at is None else from_text(run.started_at)
    ended_us = None if run.ended_at is None else from_text(run.ended_at)
    until_us = started_us if started_us is not None else ended_us if ended_us is not None else now_us
    found = _Waits(slot_us, until_us)
    if former is not None and former.ended_at is not None:
        found.until(f"attempt {former.attempt}", from_text(former.ended_at), former.id)
    elif spec is not None and run.trigger in _OF_CALENDAR and (later_us := jitter_us(spec.schedule, run.job)):
        found.until("jitter", slot_us + later_us)
    if run.trigger not in {"manual", "retry"}:
        found.until("until akjobd decided it", queued_us)
    if until_us - found.at_us >= WORTH_NAMING_US:
        for one in sorted(held, key=lambda one: one.end_us):
            if one.begin_us < until_us and found.at_us + WORTH_NAMING_US < one.end_us:
                found.until(f"{one.what}: {one.job}", min(one.end_us, until_us), one.run)
    found.until(_rest(run), until_us)
    if started_us is None:
        return found.steps
    end_us = max(started_us, now_us if ended_us is None else ended_us)
    ran = Step(name="ran" if ended_us is not None else "runs", begin_us=started_us, end_us=end_us, is_late=False)
    return [*found.steps, ran]


def _rest(run: Run) -> str:
    if run.started_at is None:
        return "waits" if run.ended_at is None else "waited"
    return "delay of the retry, and the start" if run.trigger == "retry" else "the start"


class _Waits:
    """The stretches so far, and the instant that they have come to."""

    def __init__(self, begin_us: int, end_us: int) -> None:
        self.at_us = begin_us
        self._end_us = end_us
        self.steps: list[Step] = []

    def until(self, name: str, end_us: int, run: str | None = None) -> None:
        """Add a stretch up to an instant, where that is later than what there is."""
        end_us = min(end_us, self._end_us)
        if end_us > self.at_us:
            self.steps.append(Step(name=name, begin_us=self.at_us, end_us=end_us, is_late=True, run=run))
            self.at_us = end_us
