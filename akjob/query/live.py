"""The jobs of one root, kept up to date between questions: a new look reads only what the transitions name."""

from collections import Counter
from contextlib import AbstractContextManager
from threading import Lock

from msgspec.structs import replace

from akjob.config import Config, Paths
from akjob.ledger import Transition, open_reader
from akjob.processes import give_memory_back, lock_holder
from akjob.program import lock_file
from akjob.query.delays import underway
from akjob.query.found import traits_of
from akjob.query.jobs import JobSetView, Snapshot, claimed_slots, differing
from akjob.query.orders import Orders
from akjob.query.pace import Recent
from akjob.query.shown import shown_states, updated
from akjob.query.sight import Kept, Sight
from akjob.query.slots import ComingSlots
from akjob.query.visibility import Principal

_AGAIN_US = 30_000_000  # the folder is looked at again after this long, whatever the transitions name
_ALONE_US = 1_000_000  # without akjobd nothing names what changed
_MOST = 1000
_OF_THE_FOLDER = frozenset({"loaded", "changed", "removed", "broken", "repaired"})


class Live:
    """The snapshot of one root. May be asked from several threads; a snapshot that was handed out never changes."""

    def __init__(self, paths: Paths, config: Config) -> None:
        self._paths = paths
        self._config = config
        self._reader = open_reader(paths.ledger_url)
        self._folder = JobSetView(paths, config)
        self._slots = ComingSlots()
        self._lock = Lock()
        self._known: tuple[Snapshot, Kept] | None = None
        self._recent = Recent(self._reader)
        self._seq = 0
        self._looked_us = 0

    def at_once(self) -> AbstractContextManager[None]:
        """Let what this thread asks of the ledger in the block share one session."""
        return self._reader.at_once()

    def sight(self, principal: Principal, now_us: int) -> Sight:
        """Return what a principal may know now."""
        with self._lock:
            snapshot, kept = self._current(now_us)
            return Sight(principal, snapshot, kept, self._reader, self._config, self._slots)

    def snapshot(self, now_us: int) -> Snapshot:
        """Return all jobs as they are now."""
        with self._lock:
            return self._current(now_us)[0]

    def _current(self, now_us: int) -> tuple[Snapshot, Kept]:
        known = self._known
        news = [] if known is None else self._reader.transitions(self._seq, _MOST)
        if known is None or self._is_stale(news, now_us):
            return self._look(now_us)
        snapshot, kept = known
        changed: set[str] = set()
        if news:
            self._seq = news[-1].seq
            changed = {one.job for one in news if one.job is not None}
            snapshot = self._updated(snapshot, changed)
        return self._follow(replace(snapshot, now_us=now_us), kept, changed)

    def _follow(self, snapshot: Snapshot, kept: Kept, changed: set[str]) -> tuple[Snapshot, Kept]:
        """Take over a snapshot of the same jobs, of which those named may have changed."""
        kept.orders.follow(snapshot, changed)
        self._known = snapshot, replace(kept, shown=updated(kept.shown, snapshot, changed))
        return self._known

    def _is_stale(self, news: list[Transition], now_us: int) -> bool:
        age_us = now_us - self._looked_us
        patience_us = _AGAIN_US if lock_holder(lock_file(self._paths, "akjobd")) else _ALONE_US
        named = any(one.kind == "job" and one.to_state in _OF_THE_FOLDER for one in news)
        return named or len(news) == _MOST or not 0 <= age_us < patience_us

    def _look(self, now_us: int) -> tuple[Snapshot, Kept]:
        """Look at the folder, and read the rows of all jobs. What was kept goes on where no definition is another."""
        self._seq = self._reader.last_seq()
        self._looked_us = now_us
        snapshot = self._folder.snapshot(now_us, self._reader)
        if self._known is not None:
            before, kept = self._known
            changed = differing(before, snapshot)
            if changed is not None:
                return self._follow(snapshot, kept, changed)
        self._known = (
            snapshot,
            Kept(
                shown=shown_states(snapshot),
                traits=traits_of(snapshot),
                orders=Orders(snapshot, self._recent),
                recent=self._recent,
            ),
        )
        give_memory_back()  # what loading needed besides
        return self._known

    def _updated(self, kept: Snapshot, jobs: set[str]) -> Snapshot:
        """Return a snapshot with new rows of some jobs."""
        open_runs = self._reader.open_runs()
        return replace(
            kept,
            rows={**kept.rows, **self._reader.jobs(jobs)},
            underway=underway(open_runs),
            running=Counter(row["job"] for row in open_runs if row["state"] == "running"),
            claimed=claimed_slots(open_runs, kept.now_us),
        )
