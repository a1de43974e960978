"""Where runs wait that may start as far as their job is concerned: for a lock, a pool, a place below max_running."""

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Literal

from akjob.agenda.life import LiveRun
from akjob.ledger.model import Permit
from akjob.spec.model import JobSpec

Gate = tuple[Literal["lock", "pool"], str]
"""A lock or a pool, and its name: so many runs at most hold it at a time."""

_EVENTS = {"lock": "lock_held", "pool": "pool_full"}


def gates_of(spec: JobSpec) -> tuple[Gate, ...]:
    """Return what a job's runs must hold."""
    lock: tuple[Gate, ...] = () if spec.run.lock is None else (("lock", spec.run.lock),)
    return lock if spec.run.pool is None else (*lock, ("pool", spec.run.pool))


class RunQueue:
    """A fair queue: the run with the oldest slot is next, of all jobs, for every lock and in every pool.

    ``max_running`` None means: no bound. ``pools`` says how many runs a pool holds; one that it does not know holds
    one. A run that is given up while it waits is passed over when its turn comes.
    """

    def __init__(self, max_running: int | None, pools: Mapping[str, int]) -> None:
        self.max_running = max_running
        self.under_way = 0
        self._pools = pools
        self._ready: list[tuple[tuple[bool, int, int], LiveRun]] = []
        self._waiting: dict[Gate, list[tuple[tuple[bool, int, int], LiveRun]]] = defaultdict(list)
        self._holders: dict[Gate, int] = defaultdict(int)
        self._freed: set[Gate] = set()

    def set_pools(self, pools: Mapping[str, int]) -> None:
        """Let pools have other sizes from now on; runs that hold a place keep it."""
        self._pools = pools
        self._freed.update(gate for gate in self._waiting if gate[0] == "pool")

    def free(self, spec: JobSpec) -> bool:
        """Return True if a run of a job would get a place at once, and no waiting run would be passed over."""
        for gate in gates_of(spec):
            if self._is_full(gate) or self._waiting.get(gate):
                return False
        return self.max_running is None or self.under_way + len(self._ready) < self.max_running

    def wanted(self, by_us: int) -> int:
        """Return how many runs have no place although their time comes by an instant."""
        return sum(run.waiting_for == "max_running" and run.not_before_us <= by_us for _, run in self._ready)

    def join(self, run: LiveRun) -> None:
        """Let a run wait for its place."""
        entry = run.rank, run
        if run.wait("queue"):
            heapq.heappush(self._ready, entry)

    def take(self) -> Iterator[LiveRun]:
        """Yield the runs that have a place now; the caller ``hold``s each, or finds it blocked, before the next."""
        while True:
            self._hand_over()
            if not self._ready or (self.max_running is not None and self.under_way >= self.max_running):
                return
            _, run = heapq.heappop(self._ready)
            if run.waiting_for == "max_running":
                yield run

    def blocked(self, run: LiveRun, spec: JobSpec) -> bool:
        """Return True if others hold a run's lock, or fill its pool; then it waits, in the order of slots."""
        for gate in gates_of(spec):
            if self._is_full(gate):
                run.wait(_EVENTS[gate[0]])
                heapq.heappush(self._waiting[gate], (run.rank, run))
                return True
        return False

    def hold(self, run: LiveRun, spec: JobSpec | None) -> None:
        """Give a run its place, its lock and its place in a pool; None: it is not known yet what it needs."""
        run.gates = () if spec is None else gates_of(spec)
        run.has_place = True
        self.under_way += 1
        for gate in run.gates:
            self._holders[gate] += 1

    def release(self, run: LiveRun) -> None:
        """Take all that back, once."""
        if not run.has_place:
            return
        run.has_place = False
        self.under_way -= 1
        gates, run.gates = run.gates, ()
        for gate in gates:
            self._holders[gate] -= 1
            self._freed.add(gate)

    def size(self, gate: Gate) -> int:
        """Return how many runs may hold a gate."""
        kind, name = gate
        return 1 if kind == "lock" else self._pools.get(name, 1)

    def _is_full(self, gate: Gate) -> bool:
        return self._holders[gate] >= self.size(gate)

    def _hand_over(self) -> None:
        """Let the first of those who wait for a gate that has room join the queue.

        The gate stays among the freed until it is full: the run that was let in may be given up before, or have been
        edited to need another one.
        """
        for gate in tuple(self._freed):
            waiting = [] if self._is_full(gate) else self._waiting[gate]
            while waiting:
                _, run = heapq.heappop(waiting)
                if run.waiting_for == gate[0]:
                    self.join(run)
                    break
            else:
                self._freed.discard(gate)
            if not self._waiting[gate]:
                self._waiting.pop(gate, None)


def permit_of(run: LiveRun, spec: JobSpec, queue: RunQueue, wait_in: str | None) -> Permit:
    """Return what a run's start needs of the whole cluster. Runs of a backfill do not stand in each other's way."""
    name = f"{run.job}:{run.row.scope}" if run.row.scope else run.job  # on every node one beside the other
    job, backfill = f"job:{name}", f"backfill:{name}"
    needs = [(":".join(gate), queue.size(gate)) for gate in gates_of(spec)]
    if run.backfill is not None:
        needs.append((job, 1))
    elif spec.run.overlap != "allow" or run.after_previous:
        needs += [(job, 1), (backfill, 1)]
    holds = (job if run.backfill is None else backfill, *(":".join(gate) for gate in gates_of(spec)))
    return Permit(
        run=run.row.id,
        job=run.job,
        holds=holds,
        needs=tuple(needs),
        pausable=not run.manual and run.backfill is None,
        queue=wait_in,
        continues=spec.run.on_partition == "continue",
    )
