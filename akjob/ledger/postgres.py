"""The ledger in PostgreSQL, which the nodes of a cluster share."""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any, TypeVar
from urllib.parse import urlsplit

from akjob.errors import AkjobError
from akjob.ledger import rows, statements
from akjob.ledger.model import Committed, OpenRun, RunRow, Writes
from akjob.ledger.no_file import NoFile
from akjob.ledger.sql_reader import Session, SqlReader
from akjob.ledger.sql_store import SqlStore
from akjob.ledger.store import LedgerBusyError, LedgerFullError

try:
    import psycopg
except ModuleNotFoundError as missing:
    raise AkjobError(
        f"a ledger in PostgreSQL needs the package {missing.name}",
        hint="install it with `pip install 'akjob[cluster]'`",
    ) from missing

T = TypeVar("T")

_CONNECT_S = 5
_STATEMENT_MS = 10_000  # a lock that is held for longer is a fault of whoever holds it
_SCHEMA_LOCK = 0x616B6A6F62  # of an advisory lock: two nodes that start at once bring the schema up to date one by one
_OWNED = " AND (?::text IS NULL OR owner = ?)"
_CHANGE_OWN = statements.CHANGE.replace("node = ? WHERE", "node = coalesce(?, node) WHERE") + _OWNED + " RETURNING id"
_OPEN_OF_NODE = statements.SELECT_OPEN.replace(" ORDER BY", " AND (?::text IS NULL OR runs.owner = ?) ORDER BY")


class PostgresSession:
    """A connection that is made when it is needed, and again when it was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None

    def transaction(self, work: Callable[[], T]) -> T:
        """Do ``work`` in one transaction; translate what goes wrong."""
        try:
            with self.connected().transaction():
                return work()
        except psycopg.Error as error:
            raise translated(error, self._url) from error

    def connected(self) -> "psycopg.Connection[Any]":
        """Return the connection. Raises psycopg.Error."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url)
        return self._connection

    def ask(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run one statement and return its rows."""
        return _ask(self.connected(), sql, values)

    def many(self, sql: str, values: Iterable[Sequence[Any]]) -> int:
        """Run a statement for each of ``values``; return how many rows it changed."""
        with self.connected().cursor() as cursor:
            cursor.executemany(_placed(sql), [_storable(one) for one in values])
            return cursor.rowcount

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class PostgresStore(NoFile, SqlStore):
    """:class:`akjob.ledger.Store` for one node of a cluster, or for the only one, whose ``node`` is None.

    A connection that is lost is made again by the next call; until then each call raises LedgerBusyError. A commit
    whose answer was lost is found when the same Writes are tried again, and is not done twice.
    """

    def __init__(self, url: str, node: str | None = None) -> None:
        super().__init__()
        self._session = PostgresSession(url)
        self._url = url
        self._node = node
        self._writer = f"{node or ''}/{secrets.token_hex(8)}"
        self._tried: tuple[Writes, str] | None = None  # the last Writes, and the token of their commit
        try:
            self._transaction(lambda: migrate(self._ask, url))
        except AkjobError:
            self.close()
            raise

    # ------------------------------------------------------------------ a turn

    def commit(self, writes: Writes) -> Committed:
        """Write a turn's changes in one transaction, on disk when this returns."""
        again = self._tried is not None and self._tried[0] is writes
        token = self._tried[1] if again and self._tried is not None else secrets.token_hex(16)
        self._tried = (writes, token)
        committed = self._transaction(lambda: (again and self._found(token, writes)) or self._once(token, writes))
        self._tried = None
        return committed

    def _once(self, token: str, writes: Writes) -> Committed:
        self._check_lease()
        for row in writes.claims if self._node is not None else ():
            row.node = self._node
        committed = self._write(writes)
        numbers = [one.seq for one in committed.transitions]
        self._many(_KEEP_COMMIT, [(self._writer, token, min(numbers, default=1), max(numbers, default=0))])
        return committed

    def _check_lease(self) -> None:
        """Raise LedgerBusyError where this node's lease is over: others may have taken its runs."""
        if self._node is None:
            return
        over = "SELECT 1 FROM nodes WHERE node = ? AND lease_until < clock_timestamp()"
        if self._ask(over, (self._node,)):
            raise LedgerBusyError(
                f"the lease of node {self._node} is over",
                hint="akjobd renews it, and writes then; if it stays so, look at the machine's load and clock",
            )

    def _claim(self, claims: list[RunRow]) -> frozenset[str]:
        refused = super()._claim(claims)
        if self._node is not None:
            self._ask("UPDATE runs SET owner = ? WHERE id = ANY(?)", (self._node, [row.id for row in claims]))
        return refused

    def take_over(self, nodes: Sequence[str]) -> list[OpenRun]:
        """Take the open runs of nodes that are lost, and return them: from now on only this node may write of them."""
        return self._transaction(lambda: self._take_over(nodes))

    def _take_over(self, nodes: Sequence[str]) -> list[OpenRun]:
        self._check_lease()
        taken = "UPDATE runs SET owner = ?, fence = fence + 1 WHERE owner = ANY(?) AND state IN ('queued', 'running') "
        lost = "AND owner IN (SELECT node FROM nodes WHERE lease_until < clock_timestamp()) RETURNING id"
        ids = {row[0] for row in self._ask(taken + lost, (self._node, list(nodes)))}
        found = self._ask(_OPEN_OF_NODE, (self._node, self._node)) if ids else []
        return [one for one in map(rows.open_run, found) if one.row.id in ids]

    def _found(self, token: str, writes: Writes) -> Committed | None:
        """Return what a commit came to that was made, although its answer was lost."""
        found = self._ask(
            "SELECT first_seq, last_seq FROM commits WHERE writer = ? AND token = ?", (self._writer, token)
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
        return Committed(refused, tuple(rows.transition(row) for row in self._ask(between, found[0])))

    def _change(self, changes: list[RunRow]) -> frozenset[str]:
        written = {
            row[0]
            for change in changes
            for row in self._ask(_CHANGE_OWN, (*rows.change_values(change), self._node, self._node))
        }
        return frozenset(row.id for row in changes if row.id not in written)

    def _first_seq(self, count: int) -> int:
        last = self._ask("UPDATE transition_seq SET last = last + ? RETURNING last", (count,))[0][0]
        return int(last) - count + 1

    def _job_counters(self, job: str) -> Any:
        self._ask("SELECT 1 FROM job_counters WHERE job = ? FOR UPDATE", (job,))
        return super()._job_counters(job)

    def _boot_key(self) -> str:
        return f"boot {self._node}" if self._node is not None else "boot"

    def open_runs(self) -> list[OpenRun]:
        """Return the runs of this node that are queued or running, oldest first."""
        return [rows.open_run(row) for row in self._read(_OPEN_OF_NODE, (self._node, self._node))]

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
        return self._session.transaction(work)

    def _ask(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return self._session.ask(sql, values)

    def _many(self, sql: str, values: Iterable[Sequence[Any]]) -> int:
        return self._session.many(sql, values)


_KEEP_COMMIT = (
    "INSERT INTO commits VALUES (?, ?, ?, ?) ON CONFLICT (writer) DO UPDATE SET token = excluded.token, "
    "first_seq = excluded.first_seq, last_seq = excluded.last_seq"
)


class PostgresReader(SqlReader):
    """Questions to a ledger in PostgreSQL. Every call opens and closes a connection, so a reader may be kept."""

    def __init__(self, url: str) -> None:
        self._url = url

    def size_bytes(self) -> int:
        """Return the size of the database."""
        with self._session() as (ask, _):
            return 0 if ask is None else int(ask("SELECT pg_database_size(current_database())", ())[0][0])

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with connect(self._url, read_only=True) as connection:
                if not _ask(connection, "SELECT to_regclass('runs') IS NOT NULL", ())[0][0]:
                    yield None, 0
                    return
                _check_version(lambda sql, values=(): _ask(connection, sql, values), self._url)
                yield (lambda sql, values: _ask(connection, sql, values)), _NEWEST
        except psycopg.Error as error:
            raise translated(error, self._url) from error


# this database has had all columns and tables from its first version on
_NEWEST = max(statements.BACKFILLS_SINCE, *statements.SINCE.values())


def connect(url: str, *, read_only: bool = False) -> "psycopg.Connection[Any]":
    """Connect; each statement is a transaction of its own unless one is begun. Raises psycopg.Error."""
    return psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=_CONNECT_S,
        options=f"-c statement_timeout={_STATEMENT_MS} -c default_transaction_read_only={read_only}",
        application_name="akjob",
    )


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


def _migrations() -> list[tuple[int, str]]:
    folder = files("akjob.ledger") / "migrations_postgres"
    found = [(int(one.name.split("_")[0]), one) for one in folder.iterdir() if one.name.endswith(".sql")]
    return [(number, one.read_text(encoding="utf-8")) for number, one in sorted(found, key=lambda pair: pair[0])]


def _check_version(ask: Callable[..., list[Any]], url: str) -> int:
    found = ask("SELECT version FROM akjob_schema", ())
    version = int(found[0][0]) if found else 0
    newest = _migrations()[-1][0]
    if version > newest:
        message = f"{shown(url)}: the ledger has schema version {version}, this akjob knows versions up to {newest}"
        raise AkjobError(message, hint="it was written by a newer akjob: install that version on this node, too")
    return version


def _ask(connection: "psycopg.Connection[Any]", sql: str, values: Sequence[Any] = ()) -> list[Any]:
    cursor = connection.execute(_placed(sql), _storable(values) or None)
    return cursor.fetchall() if cursor.description is not None else []


def _placed(sql: str) -> Any:
    """Return a statement with psycopg's placeholders; none of the ledger's has a question mark in a string."""
    return sql.replace("?", "%s")


def _storable(values: Sequence[Any]) -> list[Any]:
    """Return values as PostgreSQL takes them: a text cannot have a NUL in it."""
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
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return LedgerBusyError(
            f"{shown(url)}: the database does not answer ({text})",
            hint="start PostgreSQL, or check [cluster] url; akjobd holds what it has to write and tries again",
        )
    return AkjobError(
        f"{shown(url)}: the ledger cannot be read ({text})",
        hint="check that the user of [cluster] url owns the database's tables",
    )
