"""A small world for the agenda: a fake clock, a real ledger in a file, and shims that do as the test says."""

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from akjob.agenda import Agenda, Effects, End, Start
from akjob.akjobd.happenings import Happenings
from akjob.akjobd.writer import Doing, Writer
from akjob.config import Config, Paths
from akjob.instants import from_text
from akjob.jobset.model import BrokenJob, Changed, JobSet, JobSetChange
from akjob.ledger import RunColumns, RunRow
from akjob.ledger.checking import Flaw, check
from akjob.ledger.sqlite_reader import SqliteReader
from akjob.ledger.sqlite_store import SqliteStore
from akjob.run import order
from akjob.run.engine import Started
from akjob.run.order import Order
from akjob.spec import load_definition
from akjob.spec.model import JobSpec

if TYPE_CHECKING:
    from akjob.run.engine import Happening

_ids = itertools.count(1)
_open: "list[World]" = []


def us(text: str) -> int:
    """Read an instant; a time alone is on 2 March 2026, a Monday."""
    return from_text(text if "T" in text else f"2026-03-02T{text}Z")


def job(name: str, text: str) -> JobSpec:
    """Make a job that runs ``true``, with the TOML text given besides."""
    spec = load_definition(name, f"jobs.d/{name}.toml", 'command = ["true"]\n' + text)
    return msgspec.structs.replace(spec, definition=spec.definition, sha256=spec.sha256)


def run_id(now_us: int) -> str:
    """Make ids that sort by time."""
    return f"{now_us:020d}-{next(_ids):08d}"


def first_attempts(_job: str, _slot_us: int) -> int:
    """Answer for a ledger without rows: no slot has an attempt."""
    return 0


class SeenAgenda(Agenda):
    """An agenda that keeps what it has handed out."""

    seen: "list[Effects]"

    def effects(self) -> Effects:
        """Hand out what is to be done, and keep a copy: the writer empties it as it acts."""
        effects = super().effects()
        self.seen.append(copy.copy(effects))
        return effects


class _Clean:
    """Answers for a checkout without changes, at once."""

    def ready(self, happened: "list[Happening]", _now_us: int) -> "list[Happening]":
        """Return what is to be taken in: all of it."""
        return happened

    def of_start(self, _run: object) -> tuple[str, bool]:
        """Return the commit of a start."""
        return "c0ffee", False


class FakeEngine:
    """Takes the writer's word and does it at the end of the turn, on the runs of a :class:`World`."""

    def __init__(self, world: "World") -> None:
        self.happened: list[Happening] = []
        self.due_us: int | None = None
        self.starts: dict[str, Start] = {}
        self._world = world
        self._stops: list[tuple[str, str]] = []
        self._recalls: list[str] = []

    def act(self) -> bool:
        """Do what was told since the last call; return whether that was anything but starts."""
        stops, self._stops = self._stops, []
        recalls, self._recalls = self._recalls, []
        world = self._world
        for run in recalls:
            if run in world.orders:
                del world.orders[run]
                world.agenda.never_started(run, world.now, "called back")
        for run, reason in stops:
            world.finish(run, "cancelled", reason=reason)
        return bool(stops or recalls)

    def send(self, orders: Iterable[Order]) -> None:
        """Take orders: they start when their time has come."""
        for one in orders:
            self._world.orders[one["run"]] = self.starts.pop(one["run"])

    def stop(self, run: str, state: str, reason: str) -> None:
        """Let a run be cancelled at the end of the turn."""
        assert state == "cancelled"
        self._stops.append((run, reason))

    def recall(self, run: str) -> None:
        """Let an order be called back at the end of the turn."""
        self._recalls.append(run)

    def step(self, now_us: int) -> None:
        """Nothing is tried again."""

    def next_token(self, run: str) -> int:
        """Return the number of an order: nobody looks at it."""
        return len(run)

    def find(self, run: str, *, running: bool) -> None:
        """Whatever becomes of a run, the test says so."""

    def folders(self) -> set[str]:
        """Return the runs that have a folder."""
        return self._world.folders

    def forget(self, run: str) -> None:
        """Nothing is kept of a run that has ended."""

    def sweep(self, is_open: Callable[[str], bool]) -> None:
        """Nothing is left of runs."""

    def close(self) -> None:
        """Nothing is open."""


class World:
    """akjobd's loop in miniature, with its real writer.

    ``now`` is the clock; ``orders`` are the starts sent; ``live`` those that started; ``folders`` has runs that ended
    while no akjobd was there to see it.
    """

    def __init__(  # noqa: PLR0913 - all that makes a machine
        self,
        path: Path,
        *specs: JobSpec,
        now: int,
        max_running: int | None = None,
        pools: Mapping[str, int] | None = None,
        node: str | None = None,
        tags: Iterable[str] = (),
    ) -> None:
        self.node, self.tags = node, tuple(tags)
        self.paths = Paths(path)
        self.path = path / "akjob.db"
        self.reader = SqliteReader(self.path)
        self.now = now
        self.max_running = max_running
        self.pools = pools or {}
        self.specs = {spec.name: spec for spec in specs}
        self.orders: dict[str, Start] = {}
        self.live: dict[str, Start] = {}
        self.folders: set[str] = set()
        self.started: list[tuple[int, Start]] = []
        self.events: list[dict[str, Any]] = []
        self.seen: list[Effects] = []
        _open.append(self)
        self.boot()

    def boot(self, broken: Mapping[str, BrokenJob] | None = None) -> None:
        """Start akjobd again, from the ledger; the shims have gone on meanwhile."""
        self.ledger = SqliteStore.open(self.path)
        self.ledger._connection.execute("PRAGMA synchronous = OFF")  # no power fails in a test
        self.agenda = SeenAgenda(
            host="here",
            max_running=self.max_running,
            pools=self.pools,
            new_run_id=run_id,
            started_us=self.now,
            last_attempt=self.ledger.last_attempt,
            outcomes=self.ledger.outcomes,
        )
        self.agenda.seen = self.seen
        if self.node is not None:
            self.agenda.share(self.node, self.tags)
        self.engine = FakeEngine(self)
        doing = Doing(make_order=self.make_order, delete=lambda _file: None)
        self.writer = Writer(self.agenda, self.ledger, self.engine, self.say, doing)
        self.happenings = Happenings(self.agenda, self.engine, _Clean(), self.writer, self.say)  # type: ignore[arg-type]
        rows = self.ledger.jobs_state()
        ordered = {*self.orders, *self.live, *self.folders}
        self.agenda.restore(rows, self.ledger.open_runs(), self.now, ordered, self.ledger.occurrences())
        self.agenda.restore_backfills(self.ledger.open_backfills())
        known = {row.job: row for row in rows if row.removed_us is None}
        changed = [
            change(spec, load_definition(name, known[name].file, known[name].definition))
            for name, spec in self.specs.items()
            if name in known and known[name].definition_sha256 != spec.sha256
        ]
        self.load(
            added=[name for name in self.specs if name not in known],
            changed=changed,
            removed=[name for name in known if name not in self.specs],
            broken=broken,
        )

    def make_order(self, start: Start, now_us: int) -> Order:
        """Make a real order, and keep the start that it is of."""
        self.engine.starts[start.run] = start
        return order.make(
            start.spec,
            self.paths,
            Config(),
            run=start.run,
            slot_us=start.slot_us,
            attempt=start.attempt,
            trigger=start.trigger,
            kwargs=start.kwargs,
            cause=start.cause,
            files=start.files,
            now_us=now_us,
        )

    def say(self, level: str, event: str, **fields: Any) -> None:
        """Keep an event."""
        self.events.append({"event": event, "level": level, **fields})

    def crash(self) -> None:
        """Kill akjobd: what it has not committed is gone."""
        self.ledger.close()

    def load(
        self,
        *,
        added: Iterable[str] = (),
        changed: Iterable[Changed] = (),
        removed: Iterable[str] = (),
        broken: Mapping[str, BrokenJob] | None = None,
    ) -> None:
        """Hand a change over, and turn."""
        jobset = JobSet(jobs=dict(self.specs), broken=broken or {}, loaded_us=self.now)
        self.agenda.load(
            JobSetChange(jobset=jobset, added=tuple(added), changed=tuple(changed), removed=tuple(removed)), self.now
        )
        self.turn()

    def edit(self, name: str, text: str) -> None:
        """Save another version of a job."""
        old, self.specs[name] = self.specs[name], job(name, text)
        self.load(changed=[change(self.specs[name], old)])

    def remove(self, name: str) -> None:
        """Delete a job's file."""
        del self.specs[name]
        self.load(removed=[name])

    def add(self, spec: JobSpec) -> None:
        """Write a new file."""
        self.specs[spec.name] = spec
        self.load(added=[spec.name])

    def turn(self, at: str | None = None) -> Effects:
        """Take one turn: decide, let the writer commit and act, and let the engine do what it was told."""
        if at is not None:
            self.now = us(at)
        self.agenda.turn(self.now)
        self.writer.hurry()
        self.writer.write(self.now)
        effects = self.seen[-1]
        if self.engine.act():
            self.turn()
        return effects

    def wait(self) -> bool:
        """Let the time pass until something is to be done: the next turn, or the start of an order."""
        gates = [start.not_before_us for start in self.orders.values()]
        wakes = [*gates, *([self.agenda.wake_us] if self.agenda.wake_us is not None else [])]
        if not wakes:
            return False
        self.now = max(self.now, min(wakes))
        return True

    def until(self, at: str, *, lasts_us: int | None = 1000) -> None:
        """Let the time pass up to an instant; runs start on their slot and end after ``lasts_us`` (None: never)."""
        self.until_us(us(at), lasts_us=lasts_us)

    def until_us(self, end: int, *, lasts_us: int | None = 1000) -> None:
        """Let the time pass up to an instant."""
        ends: list[tuple[int, str]] = []
        while True:
            times = [start.not_before_us for start in self.orders.values()] + [moment for moment, _ in ends]
            if self.agenda.wake_us is not None:
                times.append(self.agenda.wake_us)
            if not times or min(times) > end:
                break
            self.now = max(self.now, min(times))
            opened = self.open_gates()
            if lasts_us is not None:
                ends += [(self.now + lasts_us, run) for run in opened]
            for moment, run in [one for one in ends if one[0] <= self.now]:
                ends.remove((moment, run))
                if run in self.live:
                    self.finish(run)
            self.turn()
        self.now = end
        self.turn()

    def open_gates(self) -> list[str]:
        """Start the orders whose time has come, as their shims do; return the runs."""
        opened = [run for run, start in self.orders.items() if start.not_before_us <= self.now]
        for run in opened:
            self.live[run] = self.orders.pop(run)
            self.started.append((self.now, self.live[run]))
            self.engine.happened.append(Started(run, 7, 6, self.now, "here"))
            self.happenings.take_in(self.now)
        return opened

    def finish(
        self,
        run: str,
        state: Literal["succeeded", "failed", "timed_out", "cancelled", "lost"] = "succeeded",
        reason: str | None = None,
    ) -> None:
        """Let a run end now."""
        self.live.pop(run, None)
        self.orders.pop(run, None)
        self.agenda.ended(run, End(state=state, reason=reason, ended_us=self.now, exit_code=0), self.now)

    def go(self, at: str) -> list[str]:
        """Turn at an instant, start what may start, and return the jobs that did."""
        self.turn(at)
        opened = self.open_gates()
        self.turn()
        return [self.live[run].job for run in opened if run in self.live]

    def only(self) -> str:
        """Return the one run that is live."""
        (run,) = self.live
        return run

    def rows(self, name: str | None = None) -> list[RunColumns]:
        """Return the ledger's rows, oldest slot first."""
        rows = self.reader.history(name, n=1_000_000)
        return sorted(rows, key=lambda row: (row["slot"], row["attempt"]))

    def table(self, name: str | None = None) -> list[tuple[str, str, int]]:
        """Return time of the slot, state and count of every row, oldest first."""
        return [(row["slot"][11:19], row["state"], row["count"]) for row in self.rows(name)]

    def twice(self) -> list[tuple[str, int, int]]:
        """Return what was started twice."""
        counts = Counter((start.job, start.slot_us, start.attempt) for _, start in self.started)
        return [key for key, count in counts.items() if count > 1]


def close_all() -> None:
    """Close the ledgers of all worlds. Fail where one breaks a rule that holds whatever happened."""
    flaws: list[Flaw] = []
    while _open:
        world = _open.pop()
        world.ledger.close()
        with closing(SqliteStore.open(world.path)) as ledger:  # as the world may have closed its own
            flaws += check(ledger)
    assert not flaws, flaws


def change(new: JobSpec, old: JobSpec) -> Changed:
    """Say that a job has another definition."""
    return Changed(job=new.name, old=old, new=new, schedule=old.schedule != new.schedule)


def row(run: str, **other: Any) -> RunRow:
    """Make a row of ``runs``."""
    values: dict[str, Any] = {"id": run, "job": "a", "slot_us": 0, "queued_us": 0} | other
    values.setdefault("slot_last_us", values["slot_us"])
    return RunRow(**values)
