"""The writer: it gathers what the agenda decides, commits it, and only then acts on it.

What was not written is not acted on: while the ledger cannot be written, decisions are held back in order and tried
again. What only ends a run that runs already does not wait for the ledger.
"""

from collections.abc import Callable, Collection, Iterable

from msgspec import Struct
from msgspec.structs import replace

from akjob.agenda import Agenda, Effects, End, FarStop, Start
from akjob.akjobd.apart import by_job, plain
from akjob.daemon_log import Say
from akjob.ledger import (
    Committed,
    LedgerBusyError,
    LedgerFullError,
    LedgerStaleError,
    Store,
    Transition,
    Writes,
)
from akjob.run import failpoint
from akjob.run.engine import Engine
from akjob.run.order import Order

_RETRY_US = 500_000
_NOT_OF_A_JOB = (LedgerBusyError, LedgerFullError, LedgerStaleError)
_GATHER_US = 20_000
_BURST = 8
PRUNE_EVERY_US = 3_600_000_000
PRUNE_PAUSE_US = 50_000
_PRUNE_COMMITS = 10  # a slice that is pruned writes as much as so many commits
_CHECKPOINT_BYTES = 4 << 20
_CHECKPOINT_COMMITS = 100


class Doing(Struct, frozen=True, kw_only=True):
    """What the writer does besides writing: makes orders, deletes files, and hands on what was written.

    ``begin_again`` has akjobd start again from the ledger, for a reason: what was decided is not written any more.
    """

    make_order: Callable[[Start, int], Order]
    delete: Callable[[str], None]
    subscribers: tuple[Callable[[tuple[Transition, ...]], None], ...] = ()
    stop_elsewhere: Callable[[list[FarStop]], None] = lambda _stops: None
    begin_again: Callable[[str], None] = lambda _why: None


class Writer:
    """Owns what is decided and not done yet. It reads no clock and waits for nothing."""

    def __init__(self, agenda: Agenda, store: Store, engine: Engine, say: Say, doing: Doing) -> None:
        self.store = store
        self._agenda = agenda
        self._engine = engine
        self._say = say
        self._doing = doing
        self._held: list[tuple[Effects, list[str]]] = []
        self._taken_in: list[str] = []
        self._urgent = False
        self._gather_until_us: int | None = None
        self._retry_us: int | None = None
        self.held_since_us: int | None = None
        self.held_why = ""
        self._commits = _CHECKPOINT_COMMITS

    # -- what others ask ----------------------------------------------------------------------------------------------

    @property
    def due_us(self) -> int | None:
        """When :meth:`write` has something to do again; None: when something happens."""
        return self._retry_us if self._held else self._gather_until_us

    @property
    def gathers(self) -> bool:
        """Return True while a burst is being gathered: reports of ends may be read less often."""
        return self._gather_until_us is not None and self._agenda.under_way >= _BURST

    @property
    def is_held(self) -> bool:
        """Return True while something is decided and not written."""
        return bool(self._held)

    @property
    def held_starts(self) -> int:
        """How many starts wait for the ledger."""
        return sum(len(effects.starts) for effects, _ in self._held)

    def hurry(self) -> None:
        """Write at the next call: a command waits for it."""
        self._urgent = True

    def take_in(self, run: str) -> None:
        """Forget a run once its end, which the agenda has by now, is written."""
        self._taken_in.append(run)

    def is_open(self, run: str) -> bool:
        """Return True if a run has not ended according to the ledger."""
        waiting = (self._taken_in, *(runs for _, runs in self._held))
        return self._agenda.knows(run) or self._agenda.is_elsewhere(run) or any(run in runs for runs in waiting)

    # -- hold, gather, commit, act ------------------------------------------------------------------------------------

    def write(self, now_us: int) -> bool:
        """Write what was decided, then do it; return False while it is gathered or held.

        What no command waits for is gathered for a moment, so that a burst of ends is a few commits and not a thousand.
        """
        if self._may_gather(now_us):
            return False
        self._urgent = False
        effects = self._agenda.effects()
        stops, effects.stops = effects.stops, []
        for stop in stops:
            self._engine.stop(stop.run, stop.state, stop.reason)
        runs, self._taken_in = self._taken_in, []
        if effects or runs:
            self._held.append((effects, runs))
        if self._retry_us is not None and now_us < self._retry_us <= now_us + _RETRY_US:
            return False
        self._retry_us = None
        return self._write_held(now_us)

    def _write_held(self, now_us: int) -> bool:
        while self._held:
            effects, runs = self._held[0]
            if effects.writes and not self._commit(effects, now_us):
                return False
            del self._held[0]
            self._act(effects, now_us)
            for run in runs:
                failpoint.reached("ingested", run)
                if not self._agenda.knows(run):
                    self._engine.forget(run)
        return True

    def _may_gather(self, now_us: int) -> bool:
        """Return True if there is nothing to write, or no command waits for it and it came just now."""
        until, self._gather_until_us = self._gather_until_us, None
        if self._urgent or self._agenda.urgent or self._held:
            return False
        if not self._agenda.pending and not self._taken_in:
            return True
        latest = now_us + _GATHER_US
        until = latest if until is None else min(until, latest)  # the clock may have been set back
        if now_us < until:
            self._gather_until_us = until
        return now_us < until

    def _commit(self, effects: Effects, now_us: int) -> bool:
        try:
            committed = self._commit_all(effects, now_us)
        except (LedgerBusyError, LedgerFullError) as error:
            self._retry_us = now_us + _RETRY_US
            self.held_why = error.message
            if self.held_since_us is None:
                self.held_since_us = now_us
                self._say("error", "ledger.unwritable", message=error.message, hint=error.hint)
            return False
        except LedgerStaleError as error:
            self._retry_us = now_us + _RETRY_US
            self._doing.begin_again(error.message)
            return False
        self._commits += 1
        if self.held_since_us is not None:
            self._say("warning", "ledger.writable", held_s=(now_us - self.held_since_us) / 1e6)
            self.held_since_us = None
        if committed.behind and (len(self._held) > 1 or self._agenda.pending):
            jobs = ", ".join(sorted(committed.behind))
            self._doing.begin_again(f"other nodes have accounted for slots of {jobs} that were decided about here, too")
            self._retry_us = now_us + _RETRY_US
            return False
        self._agenda.refused(committed.refused)
        self._leave_out(effects, committed.refused, committed.behind)
        self._agenda.behind(committed.behind, now_us)
        self._agenda.renumbered(committed.renumbered)
        effects.starts = (
            [replace(start, attempt=committed.renumbered.get(start.run, start.attempt)) for start in effects.starts]
            if committed.renumbered
            else effects.starts
        )
        self._agenda.met(committed.met, now_us)
        if committed.blocked:
            without = {one.run for one in committed.blocked}
            effects.starts = [start for start in effects.starts if start.run not in without]
            self._agenda.blocked(committed.blocked, now_us)
        if committed.handed:
            effects.starts = [start for start in effects.starts if start.run not in committed.handed]
            self._agenda.handed(committed.handed, now_us)
        for subscriber in self._doing.subscribers:
            subscriber(committed.transitions)
        return True

    def _leave_out(self, effects: Effects, refused: Iterable[str], behind: Collection[str]) -> None:
        for start in [start for start in effects.starts if start.run in refused]:
            effects.starts.remove(start)
            if start.job in behind:
                continue  # another node was quicker
            self._say(
                "error",
                "run.refused",
                job=start.job,
                run=start.run,
                message="the ledger has a row for this slot and attempt already; it is not started twice",
            )

    # -- a barrier: what raises costs one job or one run --------------------------------------------------------------

    def _commit_all(self, effects: Effects, now_us: int) -> Committed:
        """Write it in one transaction; where a row cannot be written whatever the disk does, each job's for itself."""
        try:
            return self.store.commit(effects.writes)
        except _NOT_OF_A_JOB:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it must cost one job
            found = [self._commit_part(job, part, now_us) for job, part in by_job(effects.writes)]
        effects.starts = [start for start in effects.starts if self._agenda.knows(start.run)]
        refused = frozenset[str]().union(*(one.refused for one in found))
        return Committed(
            refused,
            tuple(moved for one in found for moved in one.transitions),
            tuple(blocked for one in found for blocked in one.blocked),
            frozenset[str]().union(*(one.handed for one in found)),
            {job: at for one in found for job, at in one.behind.items()},
        )

    def _commit_part(self, job: str, part: Writes, now_us: int) -> Committed:
        try:
            return self.store.commit(part)
        except _NOT_OF_A_JOB:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            reason = fault_of(error, "its row cannot be written")
        self._say("error", "job.fault", job=job, message=reason)
        for row in part.claims:
            self._agenda.ended(row.id, End(state="failed", ended_us=now_us, reason=reason), now_us)
        try:
            return self.store.commit(plain(part, reason))
        except _NOT_OF_A_JOB:
            raise
        except Exception as error:  # noqa: BLE001 - as above: nothing of it can be written
            self._say("error", "job.fault", job=job, message=fault_of(error, "its row cannot be written"))
        return Committed(frozenset(row.id for row in part.claims))

    def _act(self, effects: Effects, now_us: int) -> None:
        for recall in effects.recalls:
            self._engine.recall(recall.run)
        for start in effects.starts:
            failpoint.reached("claimed", start.run)
        orders = [order for start in effects.starts if (order := self._order(start, now_us)) is not None]
        self._engine.send(orders)
        for start in effects.starts:
            failpoint.reached("ordered", start.run)
        for event in effects.events:
            self._say(event.pop("level"), event.pop("event"), **event)
        for file in effects.delete_files:
            self._doing.delete(file)
        if effects.far_stops:
            self._doing.stop_elsewhere(effects.far_stops)

    def _order(self, start: Start, now_us: int) -> Order | None:
        """Make an order. A run of which none can be made has failed, once: no akjobd after this one tries it again."""
        try:
            return self._doing.make_order(start, now_us)
        except Exception as error:  # noqa: BLE001 - a fault of akjob's, or an unforeseen value
            reason = fault_of(error, "no order could be made of its definition")
        self._say("error", "job.fault", job=start.job, run=start.run, message=reason)
        self._agenda.ended(start.run, End(state="failed", ended_us=now_us, reason=reason), now_us)
        self.take_in(start.run)
        self.hurry()
        return None

    # -- the ledger's upkeep ------------------------------------------------------------------------------------------

    def prune(self, keep_us: int, now_us: int) -> int:
        """Delete a slice of the rows that are old enough; return when to call this again."""
        try:
            more = self.store.prune(keep_us, now_us)
            self._commits += _PRUNE_COMMITS
        except (LedgerBusyError, LedgerFullError):
            more = False
        return now_us + (PRUNE_PAUSE_US if more else PRUNE_EVERY_US)

    def wants_checkpoint(self) -> bool:
        """Return True if the write-ahead log has grown. Its file never shrinks, so commits are counted."""
        if self._commits < _CHECKPOINT_COMMITS:
            return False
        self._commits = 0
        return self.store.wal_bytes() > _CHECKPOINT_BYTES


def fault_of(error: Exception, what: str) -> str:
    """Return what a row or a broken job says of an exception that is a fault of akjob's own."""
    said = str(error).partition("\n")[0][:200]
    return f"a fault of akjob: {what}: {type(error).__name__}{f': {said}' if said else ''}"
