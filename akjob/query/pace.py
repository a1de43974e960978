"""What the last runs of jobs say of them: how long they take, how many slots succeed. Kept until a job runs again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median_high
from threading import Lock
from typing import Any, Generic, TypeVar

from msgspec import Struct

from akjob.instants import DAY, to_text
from akjob.ledger import Reader, SlotTally
from akjob.query.strips import LENGTH, StripSlot, strip

T = TypeVar("T")

SHORT_S = 1.0
"""What took less is never called slow."""

SUCCESS_US = 30 * DAY
SUCCESS_ROWS = 400
"""So many of a job's rows are counted for its success: together with fifty jobs a page, no more than 20,000."""

_ROWS = LENGTH + 2


class RunPace(Struct, frozen=True, kw_only=True):
    """Seconds of a job's last run that ended, and of most of its newest successes; 0 where there is none."""

    last_s: float = 0.0
    usual_s: float = 0.0

    @property
    def times(self) -> float:
        """How many times as long as usual the last run took; 0 where that says nothing."""
        return self.last_s / self.usual_s if self.usual_s and self.last_s >= SHORT_S else 0.0


def pace_of(slots: Sequence[StripSlot]) -> RunPace:
    """Return the pace of a job with these newest slots, the oldest first."""
    took = [one.duration_s for one in slots if one.state == "succeeded" and one.duration_s is not None]
    last = next((one.duration_s for one in reversed(slots) if one.duration_s is not None), None)
    return RunPace(last_s=last or 0.0, usual_s=median_high(took) if took else 0.0)


class PerRun(Generic[T]):
    """One value a job that its next run changes. ``ask`` finds those of some jobs; it may leave jobs out.

    May be asked from several threads.
    """

    def __init__(self, ask: Callable[[Sequence[str], int], Mapping[str, T]], nothing: T) -> None:
        self._ask = ask
        self._nothing = nothing
        self._lock = Lock()
        self._kept: dict[str, tuple[object, T]] = {}

    def of(self, names: Iterable[str], rows: Mapping[str, Mapping[str, Any]], now_us: int) -> dict[str, T]:
        """Return the values of jobs with these rows of the ledger; it is asked about those that have run since."""
        with self._lock:
            marks = {name: _mark(rows.get(name), now_us) for name in names}
            asked = [name for name, mark in marks.items() if name not in self._kept or self._kept[name][0] != mark]
            found = self._ask(asked, now_us) if asked else {}
            for name in asked:
                self._kept[name] = marks[name], found.get(name, self._nothing)
            return {name: self._kept[name][1] for name in marks}


def _mark(row: Mapping[str, Any] | None, now_us: int) -> object:
    return None if row is None else (row["last_run"], row["last_ended"], now_us // DAY)


class Recent:
    """What is kept of the last runs of all jobs."""

    def __init__(self, reader: Reader) -> None:
        def paces(names: Sequence[str], _now_us: int) -> dict[str, RunPace]:
            return {name: pace_of(strip(slots)) for name, slots in reader.newest_slots(names, _ROWS).items()}

        def successes(names: Sequence[str], now_us: int) -> dict[str, SlotTally]:
            return reader.slot_tallies(names, to_text(now_us - SUCCESS_US), SUCCESS_ROWS)

        self.paces: PerRun[RunPace] = PerRun(paces, RunPace())
        self.successes: PerRun[SlotTally | None] = PerRun(successes, None)
