"""Three nodes in a storm: programs die and stand still, connections are cut, the database restarts, a clock is set.

Whatever happens: no slot twice, none unaccounted, no stale write accepted, no two runs of a job at once.

``AKJOB_SLOTS=20000`` sets how many slots there are, ``AKJOB_PAUSE=60`` for how long at most something stands still, and
``AKJOB_SEED`` what happens when.
"""

import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from glob import glob
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from akjob.errors import AkjobError
from akjob.instants import SECOND, from_text, to_text
from akjob.ledger import open_reader, open_store
from akjob.ledger.checking import check
from akjob.ledger.postgres import PostgresStore, connect
from tests import postgres
from tests.roots import Place
from tests.support import until
from tests.wires import Wire

SLOTS = int(os.environ.get("AKJOB_SLOTS", "300"))
PAUSE_S = float(os.environ.get("AKJOB_PAUSE", "8"))
SEED = int(os.environ.get("AKJOB_SEED", str(time.time_ns() // SECOND % 100_000)))
JOBS = min(40, max(8, SLOTS // 20))
TIMES = -(-SLOTS // JOBS)
STRIKE_EVERY_S = 1.0
LEASE_S = 4
FAKETIME = next(iter(glob("/usr/lib/*/faketime/libfaketime.so.1")), "")
ENDED = ("succeeded", "failed", "timed_out", "cancelled", "lost", "skipped", "missed")

pytestmark = [
    pytest.mark.process,
    postgres.needs_postgres,
    pytest.mark.skipif(not FAKETIME, reason="libfaketime is not there: apt-get install libfaketime"),
]

# Each write about a run after its claim is taken down, with the node that made it: the database's own word.
WITNESS = """
CREATE TABLE witness (run TEXT, node TEXT, was TEXT, owner TEXT, fence BIGINT, leased BOOLEAN, now TEXT, owned TEXT,
    fenced BIGINT, at TIMESTAMPTZ);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO witness VALUES (OLD.id, nullif(current_setting('akjob.node', TRUE), ''), OLD.state, OLD.owner,
        OLD.fence, (SELECT lease_until >= clock_timestamp() AND NOT stopped FROM nodes WHERE node = OLD.owner),
        NEW.state,
        NEW.owner, NEW.fence, clock_timestamp());
    RETURN NULL;
END $$;
CREATE TRIGGER see AFTER UPDATE ON runs FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION see();
"""
# Stale is: a run that is over changes its state; a node writes about a run that is another one's, and takes it neither
# from the queue nor from a node whose lease is over.
STALE = """
SELECT * FROM witness WHERE
    (was NOT IN ('queued', 'running') AND now <> was)
    OR (owner IS DISTINCT FROM node AND NOT (fenced = fence + 1 AND owned = node AND (owner IS NULL OR NOT leased)))
    OR fenced < fence
"""
# All that the database knows of a run.
HISTORY = """
SELECT run, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'witness',
    node, was, owner, fence, leased, now, owned, fenced FROM witness
UNION ALL SELECT run, at, 'transition', node, from_state, seq::text, NULL, NULL, to_state, detail, NULL
FROM transitions WHERE run IS NOT NULL ORDER BY 1, 2
"""

# The kernel is the judge of who runs: a lock on a file is given back by its death alone.
SCRIPT = """command = '''
exec 9>>{folder}/{lock}.lock
flock -n 9 || echo "$AKJOB_JOB $AKJOB_SLOT $AKJOB_RUN" >> {folder}/overlaps
echo "b $AKJOB_JOB $AKJOB_SLOT $AKJOB_ATTEMPT $AKJOB_RUN $AKJOB_ROOT" >> {folder}/effects
[ {lasts} = 0 ] || sleep {lasts} 9>&-
echo "e $AKJOB_JOB $AKJOB_SLOT $AKJOB_ATTEMPT $AKJOB_RUN" >> {folder}/effects
'''
[schedule]
at = [{slots}]
[run]
{run}
"""
KINDS = (
    ("0", ""),
    ("1.5", ""),
    ("3", "retry = { attempts = 2 }"),
    ("0.7", 'overlap = "queue"'),
    ("0", 'missed = "all"'),
    ("0.5", 'lock = "shared"'),
    ("6", 'retry = { attempts = 3, delay = "1s" }'),
    ("2.5", 'missed = "skip"'),
)


def _own_clock(file: Path) -> dict[str, str]:
    return {
        "LD_PRELOAD": FAKETIME,
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


class Node(Place):
    """One node: it dies as a whole, its programs die and stand still, its wire is cut, its clock is set."""

    def __init__(self, root: Path, wire: Wire, database: str) -> None:
        self._clock = root / "clock"
        super().__init__(root, **(_own_clock(self._clock) if root.name == "c" else {}))
        self.wire = wire
        for folder in ("jobs.d", "etc", "var/run", "var/log"):
            (root / folder).mkdir(parents=True)
        settings = f'[cluster]\nurl = "{wire.url(database)}"\nnode = "{root.name}"\nlease = "{LEASE_S}s"\nslots = 24\n'
        (root / "etc/akjob.toml").write_text(settings)
        self.set_clock(0)

    def set_clock(self, ahead_s: float) -> None:
        """Let its clock be so far ahead, or behind."""
        draft = self._clock.with_suffix(".new")
        draft.write_text(f"{ahead_s:+.6f}")
        draft.rename(self._clock)

    def processes(self) -> list[int]:
        """Return all its processes, those of its jobs too."""
        mark = f"AKJOB_ROOT={self.root}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def victims(self, program: str) -> list[int]:
        """Return the processes that are a program, a zygote, or a shim."""
        if program in self._processes:
            process = self._processes[program]
            return [process.pid] if process.poll() is None else []
        return [pid for pid in self.processes() if title(pid).startswith(f"akjob: {program}")]

    def die(self) -> None:
        """End everything at once, and start nothing."""
        self.abandon()
        while left := self.processes():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for keeper in self._keepers:
                keeper.join()
            self._keepers.clear()

    def revive(self) -> None:
        """Start the programs again."""
        self._stopping = False
        self.begin()

    def begin(self) -> None:
        """Start the programs, and wait for none."""
        self.launch("akjob-collector", "akjobd", "akjob-node")


def title(pid: int) -> str:
    """Return a process's command line, an empty text when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return ""


class Storm:
    """What happens, and what has to be undone when."""

    def __init__(self, nodes: list[Node], server: postgres.Server) -> None:
        self._nodes = nodes
        self._server = server
        self._dice = random.Random(SEED)  # noqa: S311 - no secret
        self._undo: list[tuple[float, str, Callable[[], None]]] = []
        self._next = time.monotonic() + 2
        self.did: Counter[str] = Counter()
        self.log: list[str] = []

    def step(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for one in [one for one in self._undo if one[0] <= now]:
            self._undo.remove(one)
            one[2]()
        if now >= self._next:
            self._next = now + self._dice.uniform(0.2, 2 * STRIKE_EVERY_S - 0.2)
            self._strike()

    def calm(self) -> None:
        """Undo everything."""
        for _, _, undo in self._undo:
            undo()
        self._undo.clear()

    def _strike(self) -> None:
        node = self._dice.choice(self._nodes)
        what = self._dice.choices(
            ("kill", "stop", "cut", "silence", "clock", "die", "database"), (12, 6, 4, 3, 2, 1, 1)
        )[0]
        getattr(self, f"_{what}")(node, self._dice.random() ** 2 * PAUSE_S)

    def _later(self, after_s: float, what: str, undo: Callable[[], None]) -> None:
        self._undo.append((time.monotonic() + after_s, what, undo))

    def _busy(self, what: str) -> bool:
        return any(one[1] == what for one in self._undo)

    def _note(self, what: str, more: str = "") -> None:
        self.did[what] += 1
        self.log.append(f"{to_text(time.time_ns() // 1000)} {what} {more}")

    def _kill(self, node: Node, _pause_s: float) -> None:
        program = self._dice.choice(("akjobd", "akjobd", "akjob-node", "akjob-collector", "zygote", "shim", "shim"))
        found = node.victims(program)
        if found:
            with suppress(ProcessLookupError):
                os.kill(self._dice.choice(found), signal.SIGKILL)
                self._note(f"kill {program}", node.root.name)

    def _stop(self, node: Node, pause_s: float) -> None:
        program = self._dice.choice(("akjobd", "akjobd", "akjob-node", "akjob-collector", "zygote"))
        found = node.victims(program)
        if not found or self._busy(f"dead {node.root.name}"):
            return
        pid = found[0]
        watched = os.pidfd_open(pid)
        signal.pidfd_send_signal(watched, signal.SIGSTOP)

        def go_on() -> None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(watched, signal.SIGCONT)
            os.close(watched)

        self._later(pause_s, f"stop {pid}", go_on)
        self._note(f"stop {program}", f"{node.root.name} {pause_s:.1f} s")

    def _cut(self, node: Node, pause_s: float) -> None:
        if not self._busy(f"wire {node.root.name}"):
            node.wire.cut()
            self._later(pause_s, f"wire {node.root.name}", node.wire.mend)
            self._note("cut", f"{node.root.name} {pause_s:.1f} s")

    def _silence(self, node: Node, pause_s: float) -> None:
        if not self._busy(f"wire {node.root.name}"):
            node.wire.silence()
            self._later(pause_s, f"wire {node.root.name}", node.wire.mend)
            self._note("silence", f"{node.root.name} {pause_s:.1f} s")

    def _clock(self, _node: Node, pause_s: float) -> None:
        node = self._nodes[-1]
        if not self._busy("clock"):
            ahead = self._dice.choice((300, -300))
            node.set_clock(ahead)
            self._later(pause_s, "clock", lambda: node.set_clock(0))
            self._note("clock", f"{ahead} {pause_s:.1f} s")

    def _die(self, node: Node, pause_s: float) -> None:
        if any(one[1].startswith("dead") for one in self._undo):
            return
        node.die()
        self._later(pause_s, f"dead {node.root.name}", node.revive)
        self._note("die", f"{node.root.name} {pause_s:.1f} s")

    def _database(self, _node: Node, _pause_s: float) -> None:
        mode = self._dice.choice(("fast", "immediate"))
        self._server.stop(mode)
        self._server.start()
        self._note("database", mode)


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    """Run PostgreSQL; what it has committed outlives its death, as nobody pulls the plug."""
    with postgres.running(postgres.SAFE) as found:
        yield found


@pytest.fixture
def url(server: postgres.Server) -> str:
    """Make a database with the ledger's schema, and a witness."""
    found = server.database()
    PostgresStore(found).close()
    with connect(found) as connection:
        connection.execute(WITNESS)
    return found


@pytest.fixture
def nodes(root: Path, url: str, server: postgres.Server) -> Iterator[list[Node]]:
    """Make three nodes, each with its own way to the database."""
    found = []
    for letter in "abc":
        (root / letter).mkdir()
        found.append(Node(root / letter, Wire(root / f"w{letter}", server.folder), urlsplit(url).path[1:]))
    yield found
    for node in found:
        node.stop()
        node.wire.close()


def test_a_storm_over_three_nodes(
    root: Path, url: str, server: postgres.Server, nodes: list[Node], capfd: pytest.CaptureFixture[str]
) -> None:
    """Every slot of the window has one row for each attempt, what ran ran once, and one at a time."""
    began = time.monotonic()
    for node in nodes:
        node.begin()
    for node in nodes:
        until(node.loaded, 60.0)
    slow_s = int(time.monotonic() - began)  # who takes long to start takes long to load, too
    first = (time.time_ns() // 1_000_000_000 + 10 + TIMES // 10 + 2 * slow_s) * SECOND
    slots = [first + number * SECOND for number in range(TIMES)]
    listed = ", ".join(f"{to_text(slot)[:19]}Z" for slot in slots)
    names = [f"n{number:02}" for number in range(JOBS)]
    for number, name in enumerate(names):
        lasts, run = KINDS[number % len(KINDS)]
        lock = "shared" if "lock" in run else name
        for node in nodes:
            node.job(name, SCRIPT.format(folder=root, lock=lock, lasts=lasts, run=run, slots=listed))
    until(lambda: set(names) <= open_reader(url).jobs().keys(), 120.0)
    assert time.time_ns() // 1000 < first, "the machine is too slow to load the jobs before their first slot"
    storm = Storm(nodes, server)

    def blown_over() -> bool:
        storm.step()
        return time.time_ns() // 1000 > slots[-1] + SECOND

    until(blown_over, TIMES + 300.0, 0.05)
    storm.calm()
    with suppress(AssertionError):
        until(lambda: settled(url, slots), 180.0 + TIMES, 0.5)  # `missed = "all"` makes up for them one by one
    account = Account(url, root, slots)
    with capfd.disabled():
        sys.stdout.write(f"\n{JOBS * TIMES} slots of {JOBS} jobs, seed {SEED}; {dict(storm.did)}\n{account}\n")
    account.check("\n".join(storm.log))


def settled(url: str, slots: list[int]) -> bool:
    """Return True once every slot has ended."""
    with suppress(AkjobError):
        reader = open_reader(url)
        return not reader.open_runs() and not unaccounted(url, slots)
    return False


def unaccounted(url: str, slots: list[int]) -> list[tuple[str, str]]:
    """Return the slots of each job that no row has, and those that wait or run still."""
    seen: dict[str, set[int]] = defaultdict(set)
    with connect(url) as connection:
        rows = connection.execute("SELECT job, slot, slot_last, state FROM runs").fetchall()
    for job, slot, slot_last, state in rows:
        if state in ENDED:
            seen[job].update(range(from_text(slot), from_text(slot_last) + 1, SECOND))
    jobs = [f"n{number:02}" for number in range(JOBS)]
    return [(job, to_text(slot)) for job in jobs for slot in slots if slot not in seen[job]]


class Account:
    """What came of a storm: what the ledger says, what the jobs did, and what the database saw."""

    def __init__(self, url: str, root: Path, slots: list[int]) -> None:
        self._effects = [line.split() for line in (root / "effects").read_text().splitlines()]
        self._begun = Counter((job, slot, attempt) for what, job, slot, attempt, *_ in self._effects if what == "b")
        with connect(url) as connection:
            found = connection.execute(
                "SELECT id, job, slot, attempt, state, node, reason, slot_last FROM runs"
            ).fetchall()
            self._stale = [f"stale: {one}" for one in connection.execute(STALE).fetchall()]
            self._history = connection.execute(HISTORY).fetchall()
        self._rows = {row[0]: row for row in found}
        covered = Counter(
            (row[1], to_text(slot), str(row[3]))
            for row in found
            for slot in range(from_text(row[2]), from_text(row[7]) + 1, SECOND)
        )
        self._twice = [
            f"{key} {count} times: {self._of_slot(*key)}" for key, count in (self._begun | covered).items() if count > 1
        ]
        self._missing = unaccounted(url, slots)
        overlaps = root / "overlaps"
        self._overlaps = overlaps.read_text().splitlines() if overlaps.exists() else []
        store: Any = open_store(url)
        self._flaws = [f"{flaw.rule}: {', '.join(flaw.rows)}" for flaw in check(store)]
        store.close()
        self._states = Counter(row[4] for row in found)
        self._by_node = Counter(row[5] for row in found if row[4] == "succeeded")
        self._logs = [log for node in "abc" for log in (root / node / "var/log").rglob("*") if log.is_file()]

    def _of_slot(self, job: str, slot: str, attempt: str) -> list[Any]:
        """Return what was done for a slot, and the rows that account for it."""
        done = [one for one in self._effects if one[:4] == ["b", job, slot, attempt]]
        return [*done, *(row for row in self._rows.values() if row[1] == job and row[2] <= slot <= row[7])]

    def __str__(self) -> str:
        """Return the account in three lines."""
        return (
            f"rows: {dict(self._states)}; succeeded on {dict(self._by_node)}; {len(self._begun)} executions\n"
            "slots twice, unaccounted, stale writes accepted, overlaps: "
            f"{len(self._twice)}, {len(self._missing)}, {len(self._stale)}, {len(self._overlaps)}"
        )

    def check(self, log: str) -> None:
        """Fail for anything that must not be, with what the database and the nodes know of it."""
        lists = (
            self._twice,
            self._missing,
            self._stale,
            self._overlaps,
            untold(self._rows, self._effects),
            self._flaws,
        )
        wrong = "\n".join(str(one) for found in lists for one in found[:9])
        assert not wrong, f"{wrong}\n{self._all_of(wrong)}\n{log}"
        assert self._states["succeeded"] > JOBS, log

    def _all_of(self, wrong: str) -> str:
        """Return all that is known of the runs that a text names."""
        ids = [run for run in self._rows if run in wrong]
        seen = [str(one) for one in self._history if one[0] in ids]
        for log in self._logs:
            lines = log.read_text(errors="replace").splitlines()
            seen += [f"{log}: {line}" for line in lines if any(run in line for run in ids)]
        return "\n".join(seen)


def untold(rows: dict[str, Any], effects: list[list[str]]) -> list[str]:
    """Return the runs whose row says something else than what they did."""
    begun = {one[4] for one in effects if one[0] == "b"}
    ended = {one[4] for one in effects if one[0] == "e"}
    found = [f"{run} ran, and has no row" for run in begun if run not in rows]
    for run, row in rows.items():
        if row[4] == "succeeded" and run not in ended:
            found.append(f"{run} succeeded, and did nothing")
        if row[4] in ("skipped", "missed", "queued") and run in begun:
            found.append(f"{run} ran, and is {row[4]}: {row[6]}")
    return found
