"""Where runs wait that may start as far as their job is concerned: for a lock, and for room below ``max_running``."""

import heapq
from collections.abc import Iterator

from akjob.agenda.life import Run


class RunQueue:
    """A fair queue: the run with the oldest slot is next, of all jobs and for every lock.

    ``max_running`` None means: no bound. A run that is given up while it waits is passed over when its turn comes.
    """

    def __init__(self, max_running: int | None) -> None:
        self.max_running = max_running
        self.under_way = 0
        self._ready: list[tuple[int, int, Run]] = []
        self._locked: dict[str, list[tuple[int, int, Run]]] = {}
        self._holders: dict[str, int] = {}
        self._freed: set[str] = set()

    def free(self, lock: str | None) -> bool:
        """Return True if a run would get a place at once, and no waiting run would be passed over."""
        if lock is not None and (self._holders.get(lock) or self._locked.get(lock)):
            return False
        return self.max_running is None or self.under_way + len(self._ready) < self.max_running

    def wanted(self, by_us: int) -> int:
        """Return how many runs have no place although their time comes by an instant."""
        return sum(run.waiting_for == "max_running" and run.not_before_us <= by_us for _, _, run in self._ready)

    def join(self, run: Run) -> None:
        """Let a run wait for its place."""
        if run.wait("queue"):
            heapq.heappush(self._ready, (run.row.slot_us, run.seq, run))

    def take(self) -> Iterator[Run]:
        """Yield the runs that have a place now; the caller ``hold``s each, or finds it locked, before the next."""
        while True:
            self._hand_over()
            if not self._ready or (self.max_running is not None and self.under_way >= self.max_running):
                return
            _, _, run = heapq.heappop(self._ready)
            if run.waiting_for == "max_running":
                yield run

    def locked(self, run: Run, lock: str | None) -> bool:
        """Return True if another run has the lock; then this one waits for it, in the order of slots."""
        if lock is None or not self._holders.get(lock):
            return False
        run.wait("lock_held")
        heapq.heappush(self._locked.setdefault(lock, []), (run.row.slot_us, run.seq, run))
        return True

    def hold(self, run: Run, lock: str | None) -> None:
        """Give a run its place and its lock."""
        run.lock = lock
        self.under_way += 1
        if lock is not None:
            self._holders[lock] = self._holders.get(lock, 0) + 1

    def release(self, run: Run) -> None:
        """Take a run's place and lock back."""
        self.under_way -= 1
        lock, run.lock = run.lock, None
        if lock is None:
            return
        self._holders[lock] -= 1
        if not self._holders[lock]:
            del self._holders[lock]
            self._freed.add(lock)

    def _hand_over(self) -> None:
        """Let the first of those who wait for a lock that was freed join the queue.

        The lock stays among the freed until a run holds it: the run that was let in may be given up before, or have
        been edited to need another lock.
        """
        for lock in tuple(self._freed):
            waiting = [] if self._holders.get(lock) else self._locked.get(lock, [])
            while waiting:
                _, _, run = heapq.heappop(waiting)
                if run.waiting_for == "lock":
                    self.join(run)
                    break
            else:
                self._freed.discard(lock)
            if not self._locked.get(lock):
                self._locked.pop(lock, None)
