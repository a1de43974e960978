"""The ledger in PostgreSQL, which the nodes of a cluster share."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from akjob.errors import AkjobError
from akjob.instants import SECOND, from_text, to_text
from akjob.ledger import rows, statements
from akjob.ledger.columns import JOB_COLUMNS, RUN_COLUMNS
from akjob.ledger.model import (
    BackfillRow,
    Blocked,
    Committed,
    EndMeaning,
    JobRow,
    Join,
    Legacy,
    News,
    NodeTags,
    Occurrence,
    OpenRun,
    Permit,
    RunRow,
    SlotOutcome,
    Transition,
    Writes,
    backfill_of,
)
from akjob.ledger.no_file import NoFile
from akjob.ledger.sql_reader import Ask, Session, SqlReader
from akjob.ledger.sql_store import SqlStore
from akjob.ledger.store import LedgerBusyError, LedgerFullError, LedgerStaleError

try:
    import psycopg
except ModuleNotFoundError as missing:
    raise AkjobError(
        f"a ledger in PostgreSQL needs the package {missing.name}",
        hint="install it with `pip install 'akjob[cluster]'`",
    ) from missing

T = TypeVar("T")

_STILL_S = 5.0  # a program that stands still amid a transaction holds all nodes up: the database ends it then
_SCHEMA_LOCK = 0x616B6A6F62  # of an advisory lock: two nodes that start at once bring the schema up to date one by one
_OWNED = " AND (?::text IS NULL OR owner = ?)"
_CHANGE_OWN = statements.CHANGE.replace("node = ? WHERE", "node = coalesce(?, node) WHERE") + _OWNED + " RETURNING id"
_TRANSITIONS = statements.SELECT_TRANSITIONS.replace(" FROM", ", node FROM", 1)
_OCCURRENCE = ", ".join(statements.OCCURRENCE_COLUMNS)
_BACKFILL = ", ".join(f'"{column}"' for column in statements.BACKFILL_COLUMNS)
_OF_NODE = "(?::text IS NULL OR owner = ?)"
_OCCURRENCES_OF_NODE = statements.SELECT_OCCURRENCES.replace(" ORDER BY", f" WHERE {_OF_NODE} ORDER BY")
_BACKFILLS_OF_NODE = statements.SELECT_OPEN_BACKFILLS.replace(" ORDER BY", f" AND {_OF_NODE} ORDER BY")
_BACKFILLS_ELSEWHERE = (
    "SELECT id, owner FROM backfills WHERE starts_with(id, ?) AND state = 'running' AND owner <> ? ORDER BY id"
)
_OPEN_ELSEWHERE = statements.SELECT_OPEN.replace(" ORDER BY", " AND runs.owner IS DISTINCT FROM ? ORDER BY")
_OPEN_AMONG = _OPEN_ELSEWHERE.replace(" ORDER BY", " AND runs.id = ANY(?) ORDER BY")
_OPEN_OF_NODE = statements.SELECT_OPEN.replace(" ORDER BY", " AND (?::text IS NULL OR runs.owner = ?) ORDER BY")


CALENDAR = ("schedule", "missed")
"""The triggers whose slots a job's watermark accounts for."""

CLOCK_LIMIT_US = 500_000
"""A node whose clock is off by more claims nothing."""

TASK = "akjob.take"
DELIVER = (
    "SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(?, ?, 0, NULL, NULL, jsonb_build_object('run', ?::text), NULL)"
    "::procrastinate_job_to_defer_v1])"
)
"""Has procrastinate deliver a run: its queue, TASK and its id."""

NODE_STATE = (
    "CASE WHEN stopped THEN 'down' WHEN lease_until < clock_timestamp() THEN 'lost' "
    "WHEN draining THEN 'draining' ELSE 'up' END"
)
"""The state of a row of `nodes`."""

CHANNEL = "akjob"
"""Where each commit is announced that other nodes may have to know of; the payload names its writer."""


class Patience(Struct, frozen=True):
    """For how long a database may say nothing before its connection is given up.

    A lock that is held for longer than ``statement_s`` is a fault of its holder: the database says so itself.
    """

    connect_s: int = 5
    statement_s: float = 10.0
    answer_s: float = 12.0

    @classmethod
    def within(cls, lease_us: int) -> "Patience":
        """Return the patience of a node with this lease: akjobd is back before that is over, and before a command."""
        answer_s = min(8.0, lease_us / SECOND / 2)
        return cls(int(min(5.0, max(2.0, answer_s / 2))), answer_s * 0.8, answer_s)


def wire_options(patience: Patience) -> dict[str, Any]:
    """Return the options of a connection that notices a wire that was cut."""
    return {
        "connect_timeout": patience.connect_s,
        "tcp_user_timeout": int(patience.answer_s * 1000),
        "keepalives": 1,
        "keepalives_idle": int(patience.answer_s),
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }


class _SilentError(psycopg.OperationalError):
    """The database, or the way to it, takes what is sent and says nothing."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when a statement is not answered in time."""

    answer_s = Patience().answer_s

    def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
        """Wait for what an exchange comes to. Raises psycopg.Error."""
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, exchange: Any) -> Any:
        """Pass on what an exchange waits for; it is told now and then that nothing has come."""
        until = monotonic() + self.answer_s
        try:
            wanted = next(exchange)
            while True:
                ready = yield wanted
                if not ready and monotonic() > until:
                    self.pgconn.finish()
                    raise _SilentError(f"no answer within {self.answer_s:g} s")
                wanted = exchange.send(ready)
        except StopIteration as end:
            return end.value


class PostgresSession:
    """A connection that is made when it is needed, and again when it was lost.

    ``node`` is whose transitions these are. Where ``waits`` is False, a database that has been silent is not asked
    again before :meth:`reached` says that another session has reached it: each question would wait in vain.
    """

    def __init__(
        self, url: str, node: str | None = None, patience: Patience | None = None, *, waits: bool = True
    ) -> None:
        self._url = url
        self._node = node
        self._patience = patience or Patience()
        self._waits = waits
        self._silent: AkjobError | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self.in_doubt = False  # the last transaction was to be committed, and the answer to that was lost

    def reached(self) -> None:
        """Take note that the database answers."""
        self._silent = None

    def transaction(self, work: Callable[[], T]) -> T:
        """Do ``work`` in one transaction; translate what goes wrong."""
        self.in_doubt = worked = False
        try:
            with self.connected().transaction():
                result = work()
                worked = True
        except psycopg.Error as error:
            self.in_doubt = worked
            raise self._failed(error) from error
        return result

    def once(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """Run one statement, which is a transaction of its own; translate what goes wrong."""
        try:
            return _ask(self.connected(), sql, values)
        except psycopg.Error as error:
            raise self._failed(error) from error

    def connect(self) -> None:
        """Connect, where there is no connection; translate what goes wrong."""
        try:
            self.connected()
        except psycopg.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: "psycopg.Error") -> AkjobError:
        found = translated(error, self._url)
        if not self._waits and isinstance(error, _SilentError | psycopg.errors.ConnectionTimeout):
            self._silent = found
        return found

    def connected(self) -> "psycopg.Connection[Any]":
        """Return the connection. Raises psycopg.Error, or the AkjobError of a database that was silent."""
        if self._connection is None or self._connection.closed:
            if self._silent is not None:
                raise self._silent
            self._connection = connect(self._url, node=self._node, patience=self._patience)
        return self._connection

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """Run one statement and return its rows."""
        return _ask(self.connected(), sql, values)

    def many(self, sql: str, values: Iterable[Sequence[object]]) -> int:
        """Run a statement for each of ``values``; return how many rows it changed."""
        with self.connected().cursor() as cursor:
            cursor.executemany(_placed(sql), [_storable(one) for one in values])
            return cursor.rowcount

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class CommitListener:
    """Waits for the commits of other writers than ``writer``; for one thread."""

    def __init__(self, url: str, writer: str) -> None:
        self._session = PostgresSession(url)
        self._url = url
        self._writer = writer
        self._announced = False
        self._seq = -1

    def wait(self, look_s: float, poll_s: float) -> bool:
        """Wait for a commit; return False if there was none for ``look_s``.

        Where announcements do not arrive, as behind a pooler, it looks every ``poll_s``. Raises AkjobError.
        """
        try:
            return self._wait(look_s, poll_s)
        except psycopg.Error as error:
            self._session.close()
            self._announced = False
            raise translated(error, self._url) from error

    def _wait(self, look_s: float, poll_s: float) -> bool:
        connection = self._session.connected()
        if not self._announced:
            self._session.ask(f"LISTEN {CHANNEL}")
            self._session.ask("SELECT pg_notify(?, ?)", (CHANNEL, self._writer))
            self._announced = any(True for _ in connection.notifies(timeout=poll_s, stop_after=1))
        for one in connection.notifies(timeout=look_s if self._announced else poll_s):
            if one.payload != self._writer:
                return True
        last = int(self._session.ask("SELECT last FROM transition_seq")[0][0])
        moved, self._seq = last != self._seq, last
        return moved


class PostgresStore(NoFile, SqlStore):
    """:class:`akjob.ledger.Store` for one node of a cluster, or for the only one, whose ``node`` is None.

    A connection that is lost is made again by the next call; until then each call raises LedgerBusyError. A commit
    whose answer was lost is found when the same Writes are tried again, and is not done twice. It may still be on its
    way: nothing is read or written before the database is done with it, nor with what another akjobd of this node,
    which is dead by now, had under way. With ``lease_us`` a database that is silent costs one call some time, and the
    next ones none, until :meth:`reached`.
    """

    def __init__(self, url: str, node: str | None = None, lease_us: int | None = None) -> None:
        super().__init__()
        patience = None if lease_us is None else Patience.within(lease_us)
        self._session = PostgresSession(url, node, patience, waits=lease_us is None)
        self._url = url
        self._node = node
        self._known: dict[str, JobRow] = {}  # the jobs' rows as this node last read or wrote them
        self._writing: dict[str, JobRow] = {}  # those of the commit under way, which may fail
        self.writer = f"{node or ''}/{secrets.token_hex(8)}"
        self.commit_here: Callable[[], str | None] = lambda: None  # what is checked out on this node
        self._behind: Mapping[str, int] = {}  # of the commit under way
        self._tried: tuple[Writes, str] | None = None  # the last Writes, and the token of their commit
        self._renumbered: dict[str, int] = {}  # of the commit under way, however often it is tried
        self._asked: dict[str, int] = {}  # the attempts that these had before
        self._met: list[tuple[Join, EndMeaning]] = []  # as above
        self._is_settled = node is None  # nothing of this node that this store does not know of is on its way
        self.has_unknown = False
        """This node may have been given runs whose answer was lost: what it has stands in the ledger alone."""
        try:
            self._transaction(lambda: migrate(self._ask, url))
        except AkjobError:
            self.close()
            raise

    def reached(self) -> None:
        """Take note that another session has reached the database: it may be asked again, after it was silent."""
        self._session.reached()

    # ------------------------------------------------------------------ a turn

    def commit(self, writes: Writes) -> Committed:
        """Write a turn's changes in one transaction, on disk when this returns."""
        again = self._tried is not None and self._tried[0] is writes
        token = self._tried[1] if again and self._tried is not None else secrets.token_hex(16)
        if not again:
            self._renumbered, self._asked = {}, {}
        self._tried = (writes, token)
        committed = self._transaction(lambda: (again and self._found(token, writes)) or self._once(token, writes))
        self._tried = None
        self._known |= self._writing
        return committed

    def _once(self, token: str, writes: Writes) -> Committed:
        self._check_lease(max((row.queued_us for row in writes.claims), default=0))
        for row in writes.claims if self._node is not None else ():
            row.node = self._node
        self._behind, self._writing = self._lock_jobs(writes), {}
        blocked = self._ask_permits(writes) if writes.permits or writes.freed else ()
        committed = self._write(writes)
        fenced = committed.refused | self._not_mine([one.run for one in writes.permits])
        given = [one for one in writes.permits if one.run not in fenced | {one.run for one in blocked}]
        self._hold(given)
        handed = self._hand_over(given)
        if committed.transitions and self._node is not None:
            self._ask("SELECT pg_notify(?, ?)", (CHANNEL, self.writer))
        numbers = [one.seq for one in committed.transitions]
        self._many(_KEEP_COMMIT, [(self.writer, token, min(numbers, default=1), max(numbers, default=0))])
        without = tuple(one for one in blocked if one.run not in fenced)
        return Committed(
            fenced, committed.transitions, without, handed, self._behind, dict(self._renumbered), tuple(self._met)
        )

    def _lock_jobs(self, writes: Writes) -> Mapping[str, int]:
        """Lock the jobs until the commit; return those of whose calendar this node did not know enough.

        A node that accounts for a slot accounts for all before it, and sets the watermark in the same commit. Where the
        watermark is not the one that this node's decision began with, a slot could get two rows, or none.
        """
        deciding = _deciding(writes)
        names = deciding | {row.job for row in (*writes.jobs, *writes.loaded)} | {one.job for one in writes.joins}
        found = self._ask(_MARKS, (sorted(names),)) if names and self._node is not None else []
        known = {job: row.watermark_us for job, row in self._known.items() if job in deciding}
        return {job: at for job, mark in found if job in known and (at := from_text(mark)) > known[job]}

    def _claim(self, claims: list[RunRow]) -> frozenset[str]:
        late = frozenset(row.id for row in claims if row.job in self._behind and _is_shared_slot(row))
        refused = super()._claim([row for row in claims if row.id not in late])
        taken = [row for row in claims if row.id in refused and _is_of_event(row)]
        for row in taken:
            self._claim_next(row)
        return late | refused - {row.id for row in taken}

    def _claim_next(self, row: RunRow) -> None:
        """Claim the next free attempt of a slot: the ends of two jobs can have one instant, each on its node."""
        self._asked.setdefault(row.id, row.attempt)
        made = 0
        while not made:
            row.attempt = 1 + self._ask(statements.SELECT_LAST_ATTEMPT, (row.job, to_text(row.slot_us)))[0][0]
            made = self._many(statements.CLAIM, [(*rows.run_values(row), row.scope)])
        self._renumbered[row.id] = row.attempt

    def _join(self, joins: list[Join]) -> None:
        self._met = []
        for one in joins:
            parts = [rows.occurrence(found) for found in self._ask(_PARTS, (one.job, one.prefix))]
            found = one.answer({part.key.removeprefix(one.prefix): part for part in parts})
            self._many(statements.DECIDED, [(part.job, part.key) for part in found.used])
            if found.occurrence is not None and found.what != "misfit":
                self._many(statements.OCCUR, [rows.occurrence_values(found.occurrence)])
            self._met.append((one, found))

    def _number(self, transitions: list[Transition]) -> tuple[Transition, ...]:
        if self._renumbered:
            numbers = self._renumbered
            transitions = [replace(one, attempt=numbers.get(one.run or "", one.attempt)) for one in transitions]
        return super()._number(transitions)

    def _ask_permits(self, writes: Writes) -> tuple[Blocked, ...]:
        """Return the starts that runs of the cluster, or a pause, stand in the way of.

        The node that asks for a gate holds it until the commit, so that two nodes do not both find it free.
        """
        if writes.freed:
            freed = "UPDATE runs SET gates = '{}' WHERE id = ANY(?) AND owner IS NOT DISTINCT FROM ?"
            self._ask(freed, (writes.freed, self._node))
        gates = sorted({name for one in writes.permits for name, _ in one.needs})
        self._ask("SELECT pg_advisory_xact_lock(hashtextextended(gate, 0)) FROM unnest(?::text[]) AS gate", (gates,))
        ids = [one.run for one in writes.permits]
        holders: dict[str, list[str]] = {}
        for gate, run, node in self._ask(_HOLDERS, (gates, ids, gates)):
            holders.setdefault(gate, []).append(f"run {run}" + (f" on node {node}" if node else ""))
        paused = dict(self._ask(_PAUSED, ([one.job for one in writes.permits if one.pausable],)))
        blocked = []
        for one in writes.permits:
            full = next((name for name, most in one.needs if len(holders.get(name, ())) >= most), None)
            if one.pausable and one.job in paused:
                blocked.append(Blocked(one.run, "pause", paused[one.job]))
            elif full is not None:
                kind: Any = full.partition(":")[0]
                blocked.append(Blocked(one.run, "job" if kind == "backfill" else kind, holders[full][0]))
            else:
                for name in one.holds:
                    holders.setdefault(name, []).append(f"run {one.run} on node {self._node}")
        return tuple(blocked)

    def _not_mine(self, runs: Sequence[str]) -> frozenset[str]:
        """Return the runs that another node has taken, or that are over."""
        if not runs:
            return frozenset()
        mine = f"SELECT id FROM runs WHERE id = ANY(?) AND {statements.OPEN} AND owner IS NOT DISTINCT FROM ?"  # noqa: S608
        return frozenset(runs) - {row[0] for row in self._ask(mine, (list(runs), self._node))}

    def _hold(self, given: Sequence[Permit]) -> None:
        if given:
            values = [(list(one.holds), one.continues, one.run) for one in given]
            self._many("UPDATE runs SET gates = ?, continues = ? WHERE id = ?", values)

    def _hand_over(self, given: Sequence[Permit]) -> frozenset[str]:
        """Leave runs without a node, and deliver them to one that takes them; return them."""
        handed = [(one.queue, one.run) for one in given if one.queue is not None]
        if handed:
            commit = self.commit_here()  # until it starts, the one that it was claimed with
            values = [(queue, commit, run) for queue, run in handed]
            self._many("UPDATE runs SET owner = NULL, node = NULL, queue = ?, git_commit = ? WHERE id = ?", values)
            self._many(DELIVER, [(queue, TASK, run) for queue, run in handed])
        return frozenset(run for _, run in handed)

    def take(self, run: str) -> OpenRun | None:
        """Give a run without a node to this one, and return it; None: it is over, or another node has it."""
        return self._given(lambda: self._take(run))

    def _take(self, run: str) -> OpenRun | None:
        self._check_lease()
        if not self._ask(_TAKE, (self._node, self._node, run)):
            return None
        return rows.open_run(self._ask(_OPEN_OF_NODE.replace("WHERE", "WHERE runs.id = ? AND"), (run, None, None))[0])

    def waiting(self, run: str) -> RunRow | None:
        """Return a run that no node has yet; None: it is over, or a node has it."""
        found = self._read(f"{statements.select('runs', RUN_COLUMNS)} WHERE id = ? AND {_OF_NOBODY}", (run,))
        return rows.run_row(found[0]) if found else None

    def owner(self, run: str) -> str | None:
        """Return the node that has an open run; None: no node has it, or it is over."""
        found = self._read(f"SELECT owner FROM runs WHERE id = ? AND {statements.OPEN}", (run,))  # noqa: S608 - ours
        return found[0][0] if found else None

    def _check_lease(self, decided_us: int = 0) -> None:
        """Raise LedgerBusyError where this node's lease is over: others may have taken its runs.

        Raises LedgerStaleError for what was decided at an instant that is still to come by the database's clock.
        """
        if self._node is None:
            return
        for over, now_us, _locked in self._ask(_LEASE, (self._node,)):
            if over:
                raise LedgerBusyError(
                    f"the lease of node {self._node} is over",
                    hint="akjobd renews it, and writes then; if it stays so, look at the machine's load and clock",
                )
            if decided_us - now_us > CLOCK_LIMIT_US:
                raise LedgerStaleError(
                    f"the clock of node {self._node} is {(decided_us - now_us) / 1e6:.1f} s ahead of the database's",
                    hint="set it right; until then the node claims nothing",
                )

    def take_over(self, nodes: Sequence[str]) -> Legacy:
        """Take what nodes that are lost had, and return it: from now on only this node may write of it."""
        return self._given(lambda: self._take_over(nodes))

    def _take_over(self, nodes: Sequence[str]) -> Legacy:
        self._check_lease()
        lost = [row[0] for row in self._ask(_LOST_NODES, (list(nodes),))]
        forgotten = [row[0] for row in self._ask(_FORGOTTEN_NODES, (list(nodes),))]
        ids = dict(self._ask(_TAKE_RUNS, (self._node, lost, forgotten)))
        found = self._ask(_OPEN_OF_NODE, (self._node, self._node)) if ids else []
        both = (self._node, [*lost, *forgotten])
        return Legacy(
            open_runs=[one for one in map(rows.open_run, found) if one.row.id in ids],
            ordered=frozenset(run for run, is_ordered in ids.items() if is_ordered),
            occurrences=[rows.occurrence(row) for row in self._ask(_TAKE_OCCURRENCES, both)],
            backfills=[rows.backfill(row) for row in self._ask(_TAKE_BACKFILLS, both)],
        )

    def _write_what_waits(self, writes: Writes) -> None:
        super()._write_what_waits(writes)
        if writes.seen and self._node is not None:
            seen = [values for one in writes.seen for values in rows.seen_values(one)]
            self._many(_SAW_HERE, [(self._node, *values) for values in seen])
            gone = [values for one in writes.seen for values in rows.gone_values(one)]
            self._many(
                "DELETE FROM seen_by_node WHERE node = ? AND job = ? AND path = ?", [(self._node, *one) for one in gone]
            )

    def seen_files(self) -> dict[str, dict[str, tuple[int, int, int]]]:
        """Return what each job with ``on_change`` has seen of this node's files.

        What was copied from a ledger of one machine is that of the first node that asks.
        """
        if self._node is None:
            return super().seen_files()
        return self._transaction(lambda: rows.seen_files(self._seen_here()))

    def _seen_here(self) -> list[Any]:
        self._ask(_ADOPT_SEEN, (self._node,))
        return self._ask(_SEEN_HERE, (self._node,))

    def occurrences(self) -> list[Occurrence]:
        """Return the occurrences of this node that are not decided yet, oldest first."""
        self._adopt("occurrences")
        return [rows.occurrence(row) for row in self._read(_OCCURRENCES_OF_NODE, (self._node, self._node))]

    def open_backfills(self) -> list[BackfillRow]:
        """Return the backfills of this node that are not over, oldest first."""
        self._adopt("backfills")
        return [rows.backfill(row) for row in self._read(_BACKFILLS_OF_NODE, (self._node, self._node))]

    def outcomes(self, job: str, from_us: int, until_us: int) -> list[SlotOutcome]:
        """Return what became of a job's slots in the whole cluster, and of those that are this node's own."""
        found = self._read(_OUTCOMES_HERE, (job, to_text(from_us), to_text(until_us), self._node))
        return [SlotOutcome(from_text(slot), attempt, state) for slot, attempt, state in found]

    def _found(self, token: str, writes: Writes) -> Committed | None:
        """Return what a commit came to that was made, although its answer was lost."""
        found = self._ask(
            "SELECT first_seq, last_seq FROM commits WHERE writer = ? AND token = ?", (self.writer, token)
        )
        if not found:
            return None
        ids = {
            row[0] for row in self._ask("SELECT id FROM runs WHERE id = ANY(?)", ([one.id for one in writes.claims],))
        }
        refused = frozenset(one.id for one in writes.claims if one.id not in ids)
        between = (
            statements.select("transitions", statements.TRANSITION_COLUMNS) + " WHERE seq BETWEEN ? AND ? ORDER BY seq"
        )
        read = tuple(rows.transition(row) for row in self._ask(between, found[0]))
        asked = [one.run for one in writes.permits]
        refused |= self._not_mine([one.run for one in writes.permits if one.queue is None])
        without = self._ask("SELECT id FROM runs WHERE id = ANY(?) AND gates = '{}'", (asked,)) if asked else []
        queued = {one.run for one in writes.permits if one.queue is not None} - {row[0] for row in without}
        blocked = tuple(Blocked(row[0], "lock", "") for row in without)
        # Deciding again from the ledger's watermark is right in any case.
        deciding = _deciding(writes)
        marks = self._ask(_MARKS, (sorted(deciding),)) if deciding else []
        return Committed(
            refused,
            read,
            blocked,
            frozenset(queued - refused),
            {job: from_text(mark) for job, mark in marks},
            dict(self._renumbered),
            tuple(self._met),
        )

    def _change(self, changes: list[RunRow]) -> frozenset[str]:
        late = {row.id for row in changes if row.job in self._behind and _is_stretch(row)}
        written = {
            row[0]
            for change in changes
            if change.id not in late
            for row in self._ask(_CHANGE_OWN, (*rows.change_values(change), self._node, self._node))
        }
        return frozenset(row.id for row in changes if row.id not in written)

    def _write_waits(self, writes: Writes, without: frozenset[str]) -> None:
        later = {run: attempt - self._asked[run] for run, attempt in self._renumbered.items()}
        if later:
            waits = [replace(one, first_attempt=one.first_attempt + later.get(one.run, 0)) for one in writes.waits]
            writes = replace(writes, waits=waits)
        super()._write_waits(writes, without | self._not_mine([one.run for one in writes.waits]))

    def _write_jobs(self, writes: Writes) -> None:
        """Write of jobs what this node changed, and leave what others did meanwhile."""
        if writes.loaded:
            unused = [replace(row, runs_started=0) for row in writes.loaded]  # what is counted is added below
            self._many(_LOADED, [rows.loaded_values(row) for row in unused])
        paused = {one.job for one in writes.transitions if one.kind == "job" and one.to_state in ("paused", "resumed")}
        for row in (*writes.loaded, *writes.jobs):
            mark, started, paused_at, until, why, by, again, last_run, last_state, last_ended, job = rows.job_values(
                row
            )
            if job in self._behind:
                row = replace(row, watermark_us=self._behind[job])  # noqa: PLW2901 - as the ledger has it
                mark = to_text(row.watermark_us)
            before = self._known.get(job)
            if row.scope or (before is not None and before.scope):
                self._write_own(row)
            lowered = before is not None and before.scope == row.scope and row.watermark_us < before.watermark_us
            more = started - (0 if before is None else before.runs_started)
            last = (last_ended, last_run, last_ended, last_state, last_ended)
            if row.scope:
                self._ask(_JOB_OF_ALL, (*last, job))
            else:
                self._ask(_JOB, (lowered, mark, mark, more, again, *last, job))
            if job in paused:
                self._ask(_PAUSE, (paused_at, until, why, by, job))
            self._writing[job] = row

    def _write_own(self, row: JobRow) -> None:
        """Write what this node alone has accounted for of a job that runs on every node, or that did until now."""
        if not row.scope:
            self._many("DELETE FROM job_nodes WHERE job = ? AND node = ?", [(row.job, self._node)])
            return
        own = (to_text(row.watermark_us), row.runs_started, rows.text(row.again_from_us))
        self._many(_OWN, [(row.job, row.scope, *own)])

    def jobs_state(self) -> list[JobRow]:
        """Return the rows of all jobs that were ever loaded."""
        found = {row.job: row for row in super().jobs_state()}
        for job, mark, started, again_from in self._read(_SELECT_OWN, (self._node,)):
            found[job] = replace(
                found[job],
                scope=self._node or "",
                watermark_us=from_text(mark),
                runs_started=started,
                again_from_us=rows.instant(again_from),
            )
        self._known = {job: replace(row) for job, row in found.items()}
        return list(found.values())

    def _with_own(self, row: JobRow) -> JobRow:
        """Return a job's row with what this node alone has accounted for, where the job runs on every node."""
        known = self._known.get(row.job)
        return (
            row if known is None or not known.scope else replace(row, **{one: getattr(known, one) for one in _OF_SCOPE})
        )

    # ------------------------------------------------------------------ other nodes

    def elsewhere(self) -> News:
        """Return the open runs of all other nodes."""
        return self._transaction(
            lambda: News(
                seq=self._ask("SELECT last FROM transition_seq")[0][0],
                open_runs=tuple(map(rows.open_run, self._ask(_OPEN_ELSEWHERE, (self._node,)))),
            )
        )

    def news(self, after_seq: int) -> News:
        """Return what was written after a transition. Call it while nothing of this node waits to be written."""
        found = self._transaction(lambda: self._news(after_seq))
        self._known.update((row.job, replace(row)) for row in found.jobs)
        return found

    def _news(self, after_seq: int) -> News:
        read = self._ask("SELECT seq, run, job FROM transitions WHERE seq > ? ORDER BY seq LIMIT 1000", (after_seq,))
        runs, jobs = {row[1] for row in read if row[1]}, {row[2] for row in read if row[2]}
        found = self._ask(_OPEN_AMONG, (self._node, list(runs))) if runs else []
        open_runs = tuple(map(rows.open_run, found))
        found = self._ask(_JOBS_AMONG, (list(jobs),)) if jobs else []
        job_rows = tuple(self._with_own(rows.job_row(row)) for row in found)
        return News(
            seq=read[-1][0] if read else after_seq,
            open_runs=open_runs,
            over=frozenset(runs - {one.row.id for one in open_runs}),
            jobs=job_rows,
            stops=tuple(self._ask('DELETE FROM stops WHERE node = ? RETURNING run, reason, "by"', (self._node,))),
        )

    def backfills_elsewhere(self, target: str) -> list[tuple[str, str]]:
        """Return the running backfills of other nodes whose ids begin with ``target``, each with its node."""
        return [(row[0], row[1]) for row in self._read(_BACKFILLS_ELSEWHERE, (target, self._node))]

    def ask_stop(self, stops: Sequence[tuple[str, str, str, str | None]]) -> None:
        """Have other nodes end their runs and backfills: each with its node, the reason, and who asks for it."""
        self._transaction(lambda: self._ask_stop(stops))

    def _ask_stop(self, stops: Sequence[tuple[str, str, str, str | None]]) -> None:
        self._many("INSERT INTO stops VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", stops)
        self._ask("SELECT pg_notify(?, ?)", (CHANNEL, self.writer))

    def _first_seq(self, count: int) -> int:
        last = self._ask("UPDATE transition_seq SET last = last + ? RETURNING last", (count,))[0][0]
        return int(last) - count + 1

    def _job_counters(self, job: str) -> Any:
        self._ask("SELECT 1 FROM job_counters WHERE job = ? FOR UPDATE", (job,))
        return super()._job_counters(job)

    def _boot_key(self) -> str:
        return f"boot {self._node}" if self._node is not None else "boot"

    def open_runs(self) -> list[OpenRun]:
        """Return the runs of this node that are queued or running, oldest first.

        What a lost node may have started is running: the akjobd that took it over has died before it wrote its end.
        """
        self._adopt("runs", f" AND queue IS NULL AND {statements.OPEN}")
        found = [rows.open_run(row) for row in self._read(_OPEN_OF_NODE, (self._node, self._node))]
        started = {row[0] for row in self._read(_ORDERED_BY_OTHERS, (self._node, self._node))}
        for one in found:
            if one.row.id in started:
                one.row.state = "running"
        return found

    def _adopt(self, table: str, among: str = "") -> None:
        """Make this node's what was copied from a ledger of one machine, and has no owner: the first node goes on."""
        if self._node is not None:
            self._read(f"UPDATE {table} SET owner = ? WHERE owner IS NULL{among} RETURNING 1", (self._node,))  # noqa: S608

    def go_on_after(self, seq: int) -> None:
        """Begin with ``seq`` + 1 when the next transition is numbered."""
        self._many("UPDATE transition_seq SET last = ?", [(seq,)])

    def integrity(self) -> list[str]:
        """Return nothing: PostgreSQL checks its own pages."""
        return []

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    # ------------------------------------------------------------------ primitives

    def _transaction(self, work: Callable[[], T]) -> T:
        def settled() -> T:
            if not self._is_settled:  # wait for the end of all transactions that this node's lease was checked in
                self._ask("SELECT pg_advisory_xact_lock(hashtextextended(?, 1))", (self._node,))
            return work()

        try:
            result = self._session.transaction(settled)
        except AkjobError:
            if self._session.in_doubt and self._node is not None:
                self._is_settled = False
            raise
        self._is_settled = True
        return result

    def _given(self, work: Callable[[], T]) -> T:
        try:
            return self._transaction(work)
        finally:
            self.has_unknown |= self._session.in_doubt

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        return self._session.once(sql, values)

    def _ask(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        return self._session.ask(sql, values)

    def _many(self, sql: str, values: Iterable[Sequence[object]]) -> int:
        return self._session.many(sql, values)


_SEEN = ", ".join(statements.SEEN_COLUMNS)
_SAW_HERE = (
    f"INSERT INTO seen_by_node (node, {_SEEN}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (node, job, path) "  # noqa: S608
    "DO UPDATE SET mtime_ns = excluded.mtime_ns, size = excluded.size, inode = excluded.inode"
)
_ADOPT_SEEN = (
    f"INSERT INTO seen_by_node (node, {_SEEN}) SELECT ?, {_SEEN} FROM seen_files "  # noqa: S608 - ours
    "WHERE job NOT IN (SELECT job FROM seen_by_node) ON CONFLICT DO NOTHING RETURNING 1"
)
_SEEN_HERE = f"SELECT {_SEEN} FROM seen_by_node WHERE node = ?"  # noqa: S608 - ours
_PARTS = f"SELECT {_OCCURRENCE} FROM occurrences WHERE job = ? AND starts_with(key, ?) ORDER BY key"  # noqa: S608 - ours
_HOLDERS = (
    "SELECT gate, id, node FROM runs, unnest(gates) AS gate WHERE state IN ('queued', 'running') AND gates && ? "
    "AND id <> ALL(?) AND gate = ANY(?) ORDER BY id"
)
_PAUSED = (
    "SELECT job, 'the job is paused' || coalesce(' by ' || paused_by, '') || coalesce(': ' || pause_reason, '') "
    "FROM jobs WHERE job = ANY(?) AND paused_at IS NOT NULL AND (paused_until IS NULL OR "
    "paused_until > to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))"
)
_JOBS_AMONG = statements.select("jobs", JOB_COLUMNS) + " WHERE job = ANY(?)"
# A job that another node has loaded before keeps what its runs have made of it.
_TAKEN = ", ".join(f"{one} = excluded.{one}" for one in JOB_COLUMNS[JOB_COLUMNS.index("last_loaded_at") :])
_FIRST = "first_loaded_at = least(jobs.first_loaded_at, excluded.first_loaded_at)"
_LOADED = f"{statements.LOADED.partition(' SET ')[0]} SET {_FIRST}, {_TAKEN}"
_JOB_ENDED = (
    "last_run = CASE WHEN ? >= coalesce(last_ended, '') THEN ? ELSE last_run END, "
    "last_state = CASE WHEN ? >= coalesce(last_ended, '') THEN ? ELSE last_state END, "
    "last_ended = greatest(last_ended, ?)"
)
_JOB = (
    "UPDATE jobs SET mark = CASE WHEN ? THEN ? ELSE greatest(mark, ?) END, "  # noqa: S608 - ours
    "runs_started = greatest(0, runs_started + ?), again_from = greatest(again_from, ?), "
    f"{_JOB_ENDED} WHERE job = ?"
)
# Of a job that runs on every node each accounts for its own slots; readers see the node that is furthest.
_OF_SCOPE = ("scope", "watermark_us", "runs_started", "again_from_us")
_OWN = (
    "INSERT INTO job_nodes VALUES (?, ?, ?, ?, ?) ON CONFLICT (job, node) DO UPDATE SET mark = excluded.mark, "
    "runs_started = excluded.runs_started, again_from = excluded.again_from"
)
_SELECT_OWN = (
    "SELECT job, mark, runs_started, again_from FROM job_nodes WHERE node = ? AND job IN (SELECT job FROM jobs)"
)
_JOB_OF_ALL = (
    "UPDATE jobs SET (mark, runs_started, again_from) = "  # noqa: S608 - ours
    "(SELECT max(mark), max(runs_started), max(again_from) FROM job_nodes WHERE job_nodes.job = jobs.job), "
    f"{_JOB_ENDED} WHERE job = ?"
)
_OUTCOMES_HERE = statements.SELECT_OUTCOMES.replace(" ORDER BY", " AND scope IN ('', ?) ORDER BY")
_PAUSE = "UPDATE jobs SET paused_at = ?, paused_until = ?, pause_reason = ?, paused_by = ? WHERE job = ?"
_MARKS = "SELECT job, mark FROM jobs WHERE job = ANY(?) ORDER BY job FOR UPDATE"
# What is locked is shared by the transactions of a node; who has to wait for their end locks it alone.
_LEASE = (
    "SELECT lease_until < clock_timestamp(), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, "
    "pg_advisory_xact_lock_shared(hashtextextended(node, 1)) FROM nodes WHERE node = ?"
)
# A renewal that is under way comes before this or after it: `taken` says to its node what it came to.
_LOST_NODES = (
    "UPDATE nodes SET taken = taken + 1 WHERE node = ANY(?) AND lease_until < clock_timestamp() RETURNING node"
)
_FORGOTTEN_NODES = "SELECT node FROM unnest(?::text[]) AS node WHERE node NOT IN (SELECT nodes.node FROM nodes)"
# What has not started of a job that runs on every node waits for its own.
_TAKE_RUNS = (
    "UPDATE runs SET owner = ?, fence = fence + 1 WHERE state IN ('queued', 'running') AND "
    "(owner = ANY(?) AND NOT (continues AND gates <> '{}') AND NOT (state = 'queued' AND scope <> '') "
    "OR owner = ANY(?)) RETURNING id, gates <> '{}'"
)
OF_ITS_NODE = "EXISTS (SELECT 1 FROM job_nodes AS own WHERE own.job = {0}.job AND own.node = {0}.owner)"
"""True of what is its node's alone, for the job runs on every node."""
_ORDERED_BY_OTHERS = "SELECT id FROM runs WHERE state = 'queued' AND owner = ? AND node <> ? AND gates <> '{}'"
_TAKE_OCCURRENCES = (
    f"UPDATE occurrences SET owner = ? WHERE owner = ANY(?) AND NOT {OF_ITS_NODE.format('occurrences')} "  # noqa: S608
    f"RETURNING {_OCCURRENCE}"
)
_TAKE_BACKFILLS = (
    f"UPDATE backfills SET owner = ? WHERE {statements.BACKFILL_IS_OPEN} AND owner = ANY(?) "  # noqa: S608 - ours
    f"AND NOT {OF_ITS_NODE.format('backfills')} RETURNING {_BACKFILL}"
)
_OF_NOBODY = "state = 'queued' AND owner IS NULL AND queue IS NOT NULL"
_TAKE = f"UPDATE runs SET owner = ?, node = ?, fence = fence + 1 WHERE id = ? AND {_OF_NOBODY} RETURNING id"  # noqa: S608
_KEEP_COMMIT = (
    "INSERT INTO commits VALUES (?, ?, ?, ?) ON CONFLICT (writer) DO UPDATE SET token = excluded.token, "
    "first_seq = excluded.first_seq, last_seq = excluded.last_seq"
)


class PostgresReader(SqlReader):
    """Questions to a ledger in PostgreSQL. Each has a connection, or some share one, so a reader may be kept."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def transitions(self, after_seq: int, limit: int = 1000) -> list[Transition]:
        """Return the first ``limit`` transitions that are newer than ``after_seq``, oldest first."""
        found = self._select(_TRANSITIONS, (after_seq, limit))
        return [replace(rows.transition(row[:-1]), node=row[-1]) for row in found]

    def nodes(self) -> list[NodeTags]:
        """Return the nodes of the cluster, by name."""
        found = self._select(f"SELECT node, {NODE_STATE}, tags FROM nodes ORDER BY node", ())  # noqa: S608 - ours
        return [NodeTags(node, state, tuple(tags)) for node, state, tags in found]

    def size_bytes(self) -> int:
        """Return the size of the database."""
        with self._session() as (ask, _):
            return 0 if ask is None else int(ask("SELECT pg_database_size(current_database())", ())[0][0])

    @contextmanager
    def _opened(self) -> Iterator[Session]:
        try:
            with connect(self._url, read_only=True) as connection:
                if not _ask(connection, "SELECT to_regclass('runs') IS NOT NULL", ())[0][0]:
                    yield None, 0
                    return
                _check_version(lambda sql, values=(): _ask(connection, sql, values), self._url)
                yield self._asking(connection), _NEWEST
        except psycopg.Error as error:
            raise translated(error, self._url) from error

    def _asking(self, connection: "psycopg.Connection[Any]") -> Ask:
        def ask(sql: str, values: Sequence[Any]) -> list[Any]:
            try:
                return _ask(connection, sql, values)
            except psycopg.Error as error:
                raise translated(error, self._url) from error

        return ask


# this database has had all columns and tables from its first version on
_NEWEST = max(statements.BACKFILLS_SINCE, statements.SCOPES_SINCE, *statements.SINCE.values())


def _is_of_event(row: RunRow) -> bool:
    """Return True if a run was due by what happened: nothing but its cause says which run of its slot it is."""
    return row.cause is not None and backfill_of(row) is None


def _is_shared_slot(row: RunRow) -> bool:
    """Return True if a row stands for slots of the calendar that the whole cluster accounts for once."""
    return row.trigger in CALENDAR and not row.scope


def _is_stretch(row: RunRow) -> bool:
    """Return True if a row stands for such slots that started nothing; it may grow."""
    return _is_shared_slot(row) and row.state in ("skipped", "missed") and row.count > 1


def _deciding(writes: Writes) -> set[str]:
    """Return the jobs of which slots are accounted for that are the whole cluster's."""
    claimed = {row.job for row in writes.claims if _is_shared_slot(row)}
    return claimed | {row.job for row in writes.changes if _is_stretch(row)}


def connect(
    url: str, *, read_only: bool = False, node: str | None = None, patience: Patience | None = None
) -> "psycopg.Connection[Any]":
    """Connect; each statement is a transaction of its own unless one is begun. Raises psycopg.Error."""
    patience = patience or Patience()
    found = BoundedConnection.connect(
        url,
        autocommit=True,
        options=f"-c statement_timeout={int(patience.statement_s * 1000)} "
        f"-c idle_in_transaction_session_timeout={int(_STILL_S * 1000)} "
        f"-c default_transaction_read_only={read_only}" + (f" -c akjob.node={node}" if node else ""),
        application_name="akjob",
        **wire_options(patience),
    )
    found.answer_s = patience.answer_s
    return found


def migrate(ask: Callable[..., list[Any]], url: str) -> None:
    """Bring the schema up to date, in the transaction under way. Raises AkjobError for a newer one."""
    ask("SELECT pg_advisory_xact_lock(?)", (_SCHEMA_LOCK,))
    ask("CREATE TABLE IF NOT EXISTS akjob_schema (version INTEGER NOT NULL)")
    version = _check_version(ask, url)
    for number, sql in _migrations():
        if number > version:
            ask(sql)
            ask("DELETE FROM akjob_schema")
            ask("INSERT INTO akjob_schema VALUES (?)", (number,))
    if not ask("SELECT to_regclass('procrastinate_jobs') IS NOT NULL", ())[0][0]:
        ask((files("procrastinate.sql") / "schema.sql").read_text(encoding="utf-8"))


def _migrations() -> list[tuple[int, str]]:
    folder = files("akjob.ledger") / "migrations_postgres"
    found = [(int(one.name.split("_")[0]), one) for one in folder.iterdir() if one.name.endswith(".sql")]
    return [(number, one.read_text(encoding="utf-8")) for number, one in sorted(found, key=lambda pair: pair[0])]


def _check_version(ask: Callable[..., list[Any]], url: str) -> int:
    found = ask("SELECT version FROM akjob_schema", ())
    version = int(found[0][0]) if found else 0
    newest = _migrations()[-1][0]
    if version > newest:
        message = f"{shown(url)}: the ledger has schema version {version}, this akjob supports versions up to {newest}"
        raise AkjobError(message, hint="it was written by a newer akjob: install that version on this node, too")
    return version


def _ask(connection: "psycopg.Connection[Any]", sql: str, values: Sequence[object] = ()) -> list[Any]:
    cursor = connection.execute(_placed(sql), _storable(values) or None)
    return cursor.fetchall() if cursor.description is not None else []


def _placed(sql: str) -> Any:
    """Return a statement with psycopg's placeholders; none of the ledger's has a question mark in a string."""
    return sql.replace("?", "%s")


def _storable(values: Sequence[object]) -> list[Any]:
    """Return values as PostgreSQL takes them: a string cannot have a NUL in it."""
    return [value.replace("\0", "\\x00") if isinstance(value, str) and "\0" in value else value for value in values]


def shown(url: str) -> str:
    """Return a URL without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=user + parts.netloc.rpartition("@")[2]).geturl()


def translated(error: "psycopg.Error", url: str) -> AkjobError:
    """Return the error that a failure of the database means to the user and to akjobd."""
    text = " ".join(str(error).split())
    if isinstance(error, psycopg.errors.DiskFull | psycopg.errors.ReadOnlySqlTransaction):
        return LedgerFullError(
            f"{shown(url)}: the ledger cannot be written ({text})",
            hint="free space on the database's disk, or make it writable; akjobd holds what it has to write",
        )
    if isinstance(
        error, psycopg.OperationalError | psycopg.InterfaceError | psycopg.errors.IdleInTransactionSessionTimeout
    ):
        return LedgerBusyError(
            f"{shown(url)}: the database does not answer ({text})",
            hint="start PostgreSQL, or check [cluster] url; akjobd holds what it has to write and tries again",
        )
    return AkjobError(
        f"{shown(url)}: the ledger cannot be read ({text})",
        hint="check that the user of [cluster] url owns the database's tables",
    )
