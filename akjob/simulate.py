"""The agenda on a fake clock, over a ledger in memory, with runs that are only pretended.

What a simulation says is what akjobd would do: the decisions are the agenda's own. Only the clock, the runs and their
ends are made up. The same jobs, instants and outcomes give the same rows.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

from akjob.agenda import Agenda, Effects, End, Start
from akjob.instants import SECOND
from akjob.jobset.garbage import without_collections
from akjob.jobset.model import Changed, JobSet, JobSetChange
from akjob.ledger import RunColumns
from akjob.ledger.memory import MemoryStore
from akjob.ledger.model import JobRow
from akjob.run.ids import RunIds
from akjob.run.order import stop_at_text, stop_at_us
from akjob.run.outcome import exited, still_running, still_running_at
from akjob.spec.model import JobSpec

DURATION_US = SECOND
"""How long a run takes where nothing else is said."""

_HOST = "simulated"
_PATIENCE = 100_000  # turns without any progress of the clock: more than any burst of jobs needs

_GATHER = 2_000  # turns whose writes are one commit

State = Literal["succeeded", "failed", "timed_out", "cancelled", "lost"]


class _Fake(Struct, eq=False):
    """A run that is pretended: its order, and since when it runs."""

    start: Start
    started_us: int | None = None


class Simulator:
    """Jobs, and a clock that jumps from one event to the next.

    ``takes`` says how long a run takes, from its job and its slot; None stands for :data:`DURATION_US`. A run that
    takes longer than its timeout, or until its ``stop_at``, is ended by it. akjobd starts at ``start_us``; with
    ``known``, what the ledger has of each job, it is up already.
    """

    def __init__(  # noqa: PLR0913 - all that a simulation is about
        self,
        jobs: Iterable[JobSpec],
        start_us: int,
        *,
        max_running: int | None = None,
        pools: Mapping[str, int] = MappingProxyType({}),
        takes: Callable[[str, int], int | None] | None = None,
        known: Iterable[JobRow] | None = None,
    ) -> None:
        self.now_us = start_us
        self.store = MemoryStore()
        self.jobs = {spec.name: spec for spec in jobs}
        self._max_running = max_running
        self._pools = pools
        self._takes = takes or (lambda _job, _slot_us: None)
        self._durations: dict[str, int] = {}
        self._failures: dict[tuple[str, int | None], int] = {}
        self._new_run_id = RunIds(lambda _bits: 0)
        self._events: list[tuple[int, int, Callable[[], bool]]] = []
        self._seq = 0
        self._runs: dict[str, _Fake] = {}
        self._gathered = 0
        self._over: list[tuple[str, End]] = []  # ended while akjobd was down
        self._agenda: Agenda | None = None
        self.store.jobs.update((row.job, row) for row in known or ())
        self._at(start_us, self._boot if known is None else self._be_up)
        self._step()

    # ------------------------------------------------------------------ what is to happen

    def takes(self, job: str, duration_us: int) -> None:
        """Let the runs of a job take so long from now on."""
        self._durations[job] = duration_us

    def fail(self, job: str, slot_us: int | None = None, exit_code: int = 1) -> None:
        """Let the runs of a job fail from now on, or those of one slot."""
        self._failures[job, slot_us] = exit_code

    def down(self, from_us: int, until_us: int) -> None:
        """Let akjobd be down from one instant until another; runs under way go on."""
        self._at(from_us, self._crash)
        self._at(until_us, self._boot)

    def edit(self, spec: JobSpec) -> None:
        """Save a job's file: a new version of it, or a new job."""
        old, self.jobs[spec.name] = self.jobs.get(spec.name), spec
        if old is None:
            self._load(added=(spec.name,))
        else:
            self._load(changed=(changed(old, spec),))

    def remove(self, job: str) -> None:
        """Delete a job's file."""
        if self.jobs.pop(job, None) is not None:
            self._load(removed=(job,))

    def pause(self, job: str, until_us: int | None = None, reason: str = "", by: str = "") -> None:
        """Pause a job."""
        self._up().pause(job, until_us, reason, by, self.now_us)
        self._take_turns()

    def clock_step(self, by_us: int) -> None:
        """Set the wall clock, forward or back. Runs take as long as before."""
        moved = [(at_us + by_us, seq, act) for at_us, seq, act in self._events]
        heapq.heapify(moved)
        self._events = moved
        self.now_us += by_us
        self._take_turns()

    # ------------------------------------------------------------------ the clock

    def run(self, until_us: int) -> None:
        """Let the time pass until an instant, that instant included."""
        with without_collections():
            self._pass_until(until_us)

    def _pass_until(self, until_us: int) -> None:
        stuck = 0
        while True:
            next_us = self._next_us()
            if next_us is None or next_us > until_us:
                break
            stuck = 0 if next_us > self.now_us else stuck + 1
            if stuck > _PATIENCE:
                raise RuntimeError("the agenda asks for turn after turn and comes to no end")
            self.now_us = max(self.now_us, next_us)
            self._step()
        self.now_us = max(self.now_us, until_us)
        self._step()

    def _next_us(self) -> int | None:
        wake_us = None if self._agenda is None else self._agenda.wake_us
        if not self._events:
            return wake_us
        event_us = self._events[0][0]
        return event_us if wake_us is None or event_us < wake_us else wake_us

    def _step(self) -> None:
        """Do what is to happen now, then let the agenda decide if that may have changed anything."""
        decide = not self._events or self._events[0][0] > self.now_us
        while self._events and self._events[0][0] <= self.now_us:
            decide = heapq.heappop(self._events)[2]() or decide
        if decide and self._agenda is not None:
            self._turn(self._agenda)

    def _take_turns(self) -> None:
        """Let the agenda decide until there is nothing more to decide now."""
        self._step()
        while (next_us := self._next_us()) is not None and next_us <= self.now_us:
            self._step()

    def _at(self, at_us: int, act: Callable[[], bool]) -> None:
        self._seq += 1
        heapq.heappush(self._events, (at_us, self._seq, act))

    # ------------------------------------------------------------------ akjobd

    def _up(self) -> Agenda:
        if self._agenda is None:
            raise RuntimeError("akjobd is down at this time of the simulation")
        return self._agenda

    def _be_up(self) -> bool:
        """Let akjobd be up, with every job loaded: nothing starts for its start."""
        agenda = self._agenda = self._new_agenda()
        agenda.restore(self.store.jobs_state(), (), self.now_us)
        agenda.load(JobSetChange(jobset=JobSet(jobs={}, broken={}, loaded_us=self.now_us)), self.now_us)
        self._load(added=self.jobs)
        return True

    def _boot(self) -> bool:
        """Start akjobd: it takes over what the ledger has, then what ended meanwhile."""
        if self._agenda is not None:
            return False
        self._agenda = agenda = self._new_agenda()
        rows = self.store.jobs_state()
        ordered = {*self._runs, *(run for run, _ in self._over)}
        agenda.restore(rows, self.store.open_runs(), self.now_us, ordered, self.store.occurrences())
        agenda.restore_backfills(self.store.open_backfills())
        known = {row.job: row for row in rows if row.removed_us is None}
        edited = [
            name for name in self.jobs if name in known and known[name].definition_sha256 != self.jobs[name].sha256
        ]
        self._load(
            added=[name for name in self.jobs if name not in known],
            changed=[changed(self._loaded[name], self.jobs[name]) for name in edited],
            removed=[name for name in known if name not in self.jobs],
        )
        for run, fake in self._runs.items():
            if fake.started_us is not None:
                agenda.started(run, pid=None, shim_pid=None, at_us=fake.started_us)
        over, self._over = self._over, []
        for run, end in over:
            agenda.ended(run, end, self.now_us)
        return True

    def _new_agenda(self) -> Agenda:
        return Agenda(
            host=_HOST,
            max_running=self._max_running,
            pools=self._pools,
            new_run_id=self._new_run_id,
            started_us=self.now_us,
            last_attempt=self.store.last_attempt,
            outcomes=self.store.outcomes,
        )

    def _crash(self) -> bool:
        self._flush()
        self._agenda = None
        return False

    def _flush(self) -> None:
        """Commit what was gathered."""
        self._gathered = 0
        if self._agenda is not None:
            effects = self._agenda.effects()
            self._agenda.refused(self.store.commit(effects.writes).refused)
            self._act(effects)

    def _load(self, *, added: Iterable[str] = (), changed: Iterable[Changed] = (), removed: Iterable[str] = ()) -> None:
        if self._agenda is None:
            return
        self._loaded: Mapping[str, JobSpec] = dict(self.jobs)
        jobset = JobSet(jobs=self._loaded, broken={}, loaded_us=self.now_us)
        change = JobSetChange(jobset=jobset, added=tuple(added), changed=tuple(changed), removed=tuple(removed))
        self._agenda.load(change, self.now_us)

    def _turn(self, agenda: Agenda) -> None:
        """Let the agenda decide. Writes are gathered: a row that changes often is written once."""
        agenda.turn(self.now_us)
        if agenda.urgent:
            self._act(agenda.actions())
        self._gathered += 1
        if self._gathered >= _GATHER:
            self._flush()

    def _act(self, effects: Effects) -> None:
        for recall in effects.recalls:
            fake = self._runs.get(recall.run)
            if fake is not None and fake.started_us is None:
                del self._runs[recall.run]
                self._up().never_started(recall.run, self.now_us, "called back")
        for stop in effects.stops:
            if stop.run in self._runs:
                self._end(stop.run, stop.state, stop.reason)
        for start in effects.starts:
            self._order(start)
        for file in effects.delete_files:
            for name in [name for name, spec in self.jobs.items() if spec.file == file]:
                self.remove(name)

    # ------------------------------------------------------------------ runs that are pretended

    def _order(self, start: Start) -> None:
        fake = self._runs[start.run] = _Fake(start)
        self._at(max(self.now_us, start.not_before_us), lambda: self._start(fake))

    def _start(self, fake: _Fake) -> bool:
        """Let a run start, unless its order has been called back. That changes no decision."""
        start = fake.start
        if self._runs.get(start.run) is not fake:
            return False
        fake.started_us = self.now_us
        if self._agenda is not None:
            self._agenda.started(start.run, pid=None, shim_pid=None, at_us=self.now_us)
        duration_us, state, reason = self._outcome(start)
        self._at(self.now_us + duration_us, lambda: self._end_of(fake, state, reason))
        return False

    def _outcome(self, start: Start) -> tuple[int, State, str | None]:
        """Return how long a run takes, how it ends, and why."""
        planned = self._durations.get(start.job)
        if planned is None:
            planned = self._takes(start.job, start.slot_us)
        duration_us = DURATION_US if planned is None else planned
        spec = start.spec
        timeout_us, stop_us = spec.run.timeout_us, stop_at_us(spec, self.now_us)
        left_us = None if stop_us is None else stop_us - self.now_us
        if timeout_us is not None and timeout_us < duration_us and (left_us is None or timeout_us <= left_us):
            return timeout_us, "timed_out", still_running(timeout_us)
        if left_us is not None and left_us < duration_us:
            return left_us, "timed_out", still_running_at(stop_at_text(spec))
        code = self._exit_code(start)
        return duration_us, "failed" if code else "succeeded", exited(code) if code else None

    def _exit_code(self, start: Start) -> int:
        if not self._failures:
            return 0
        found = self._failures.get((start.job, start.slot_us))
        return found if found is not None else self._failures.get((start.job, None), 0)

    def _end_of(self, fake: _Fake, state: State, reason: str | None) -> bool:
        if self._runs.get(fake.start.run) is not fake:
            return False
        self._end(fake.start.run, state, reason)
        return True

    def _end(self, run: str, state: State, reason: str | None) -> None:
        """End a run now; akjobd learns of it when it is up."""
        fake = self._runs.pop(run)
        exit_code = self._exit_code(fake.start) if state in ("succeeded", "failed") else None
        end = End(state=state, ended_us=self.now_us, started_us=fake.started_us, reason=reason, exit_code=exit_code)
        if self._agenda is None:
            self._over.append((run, end))
        else:
            self._agenda.ended(run, end, self.now_us)

    # ------------------------------------------------------------------ what came of it

    def rows(self, job: str | None = None) -> list[RunColumns]:
        """Return the rows of all jobs or of one, as ``history --json`` has them, in the order of slots and attempts."""
        self._flush()
        return self.store.reader().all_by_slot(job)


def changed(old: JobSpec, new: JobSpec) -> Changed:
    """Return the change from one definition of a job to another."""
    return Changed(job=new.name, old=old, new=new, schedule=(old.schedule, old.runs) != (new.schedule, new.runs))
