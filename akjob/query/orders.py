"""The jobs in the orders that a list may have, kept between answers: only what changed is placed again."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Literal, get_args

from akjob.instants import DAY, SECOND
from akjob.query.jobs import JobView, Snapshot
from akjob.query.pace import Recent

By = Literal["state", "schedule", "next", "last", "took"]
ORDERS: tuple[By, ...] = get_args(By)

WORST_FIRST = (
    "failed", "timed_out", "lost", "running", "broken", "missed", "paused", "skipped", "cancelled", "queued",
    "succeeded", "ready", "disabled", "done",
)  # fmt: skip
"""The words for jobs, what needs a person first."""

NEVER = 1 << 62
_RANKS = {word: rank for rank, word in enumerate(WORST_FIRST)}
_MANY = 500  # so many places at once are all sorted again, not one by one
_FAR_US = 4000 * DAY

Ranked = list[tuple[int, str]]


class Orders:
    """The orders of one snapshot and those that follow it with the same jobs. May be asked from several threads."""

    def __init__(self, snapshot: Snapshot, recent: Recent) -> None:
        self._snapshot = snapshot
        self._recent = recent
        self._lock = Lock()
        self._ranked: dict[By, Ranked] = {}
        self._keys: dict[By, dict[str, int]] = {}
        self._changed: dict[By, set[str]] = {}

    def follow(self, snapshot: Snapshot, changed: Iterable[str]) -> None:
        """Go on with a newer snapshot of the same jobs, of which those named may have changed."""
        with self._lock:
            self._snapshot = snapshot
            for names in self._changed.values():
                names.update(changed)

    def ranked(self, by: By) -> Ranked:
        """Return all jobs with what they are ordered by, in this order, those that are equal by name."""
        with self._lock:
            if by not in self._ranked:
                keys = self._keys[by] = self._values(by, self._snapshot.names())
                self._ranked[by] = sorted((key, name) for name, key in keys.items())
                self._changed[by] = set()
            else:
                self._place_again(by)
            return self._ranked[by]

    def _place_again(self, by: By) -> None:
        ranked, keys, changed = self._ranked[by], self._keys[by], self._changed[by]
        if by == "next":  # what was to come has come
            changed |= {name for _, name in ranked[: bisect_right(ranked, (self._snapshot.now_us, "\U0010ffff"))]}
        changed &= keys.keys()
        if not changed:
            return
        values = {name: key for name, key in self._values(by, changed).items() if keys[name] != key}
        if len(values) > _MANY:
            keys |= values
            ranked = sorted((key, name) for name, key in keys.items())
        else:
            ranked = ranked.copy()  # an answer under way has the one before
            for name, key in values.items():
                del ranked[bisect_left(ranked, (keys[name], name))]
                insort(ranked, (key, name))
                keys[name] = key
        self._ranked[by] = ranked
        changed.clear()

    def _values(self, by: By, names: Iterable[str]) -> dict[str, int]:
        if by == "took":
            paces = self._recent.paces.of(names, self._snapshot.rows, self._snapshot.now_us)
            return {name: -round(pace.last_s * SECOND) for name, pace in paces.items()}
        value = _VALUES[by]
        return {name: value(self._snapshot.job(name)) for name in names}


def _worst_first(job: JobView) -> int:
    return _RANKS[job.shown_state]


def _most_often_first(job: JobView) -> int:
    """Return how long it is from one slot to the next; a job without two slots comes last."""
    if job.spec is None:
        return NEVER
    slots = job.next_slots(job.now_us, 2)
    return slots[1] - slots[0] if len(slots) > 1 else _FAR_US if slots else NEVER


def _soonest_first(job: JobView) -> int:
    start_us = job.next_start_us
    return NEVER if start_us is None else start_us


def _newest_first(job: JobView) -> int:
    return 0 if job.last is None else -job.last[1]


_VALUES: Mapping[By, Callable[[JobView], int]] = {
    "state": _worst_first,
    "schedule": _most_often_first,
    "next": _soonest_first,
    "last": _newest_first,
}
