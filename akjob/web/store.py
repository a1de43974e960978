"""``var/web.db``: sessions, one-time codes, tokens, the audit, and what was answered under an Idempotency-Key.

The commands write it too, whether akjob-web is up or not. Secrets are stored as hashes only.
"""

import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any, Self

from msgspec import Struct

from akjob.errors import AkjobError
from akjob.instants import DAY, MINUTE, from_text, to_text
from akjob.processes import identity
from akjob.program import Holding, beside_database, is_database_in_place, put_database_back, use_write_ahead_log
from akjob.query.visibility import Principal, Scope

CODE_US = 10 * MINUTE
"""So long a code of ``akjob web`` is good for a login."""

SESSION_US = 7 * DAY
"""So long after its login a session ends, used or not."""

ANSWER_US = DAY
"""So long the answer to a request with an Idempotency-Key is kept."""

TOKEN_PREFIX = "akj_"  # noqa: S105 - no secret: secret scanners know a token by it
_SECRET_BYTES = 32
_USED_EVERY_US = MINUTE  # `last_used` is no more precise than this
_AUDIT_ROWS = 100_000
_BUSY_S = 10.0


class Token(Struct, frozen=True, kw_only=True):
    """A token as ``akjob token list`` shows it; the secret itself is shown once, when it is created."""

    id: str
    name: str
    scope: Scope
    jobs: str | None
    created: str
    expires: str | None
    last_used: str | None


class NewToken(Struct, frozen=True, kw_only=True):
    """A token just created, with its secret."""

    id: str
    name: str
    scope: Scope
    token: str


class AuditRow(Struct, frozen=True, kw_only=True):
    """One write that was asked for: what, of which job or run, why, and the status that was answered."""

    seq: int = 0
    at: str
    by: str
    credential: str
    action: str
    target: str
    reason: str | None = None
    status: int


class StoredAnswer(Struct, frozen=True):
    """What was answered to a request with an Idempotency-Key."""

    status: int
    headers: dict[str, str]
    body: bytes


class StoredRequest(Struct, frozen=True):
    """An earlier request with the same key: the digest of what it asked, and its answer, None while there is none."""

    digest: bytes
    answer: StoredAnswer | None


class WebStore:
    """``var/web.db`` of one root. Its methods may be called from any thread. Raises AkjobError."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._lock = Lock()
        self._used: dict[str, int] = {}
        self._identity = identity(path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open it, made or brought to the newest schema where need be."""
        try:
            _make(path)
            connection = _connect(path)
        except (OSError, sqlite3.Error) as error:
            raise AkjobError(f"{path} cannot be opened: {error}", hint=_hint(path)) from error
        store = cls(connection, path)
        try:
            with store._guarded():
                _prepare(connection, path)
        except AkjobError:
            connection.close()
            raise
        return store

    def holding(self) -> Holding:
        """Return the file as something that may be removed while it is open: all logins and tokens go on."""
        return Holding(self._path, self._is_in_place, self._put_back, beside_database(self._path))

    def _is_in_place(self) -> bool:
        return is_database_in_place(self._path, self._identity)

    def _put_back(self) -> None:
        """Write all of it to its path again; a file that another program put there stays, and is used from now on."""
        with self._guarded():
            if identity(self._path) in (None, self._identity):
                put_database_back(self._connection, self._path)
            else:
                self._connection.close()
            self._connection = _connect(self._path)
            _prepare(self._connection, self._path)
            self._identity = identity(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    # -- login

    def create_code(self, by: str, now_us: int) -> str:
        """Return a code that opens one session of this user."""
        code = secrets.token_urlsafe(_SECRET_BYTES)
        with self._transaction() as connection:
            connection.execute("DELETE FROM codes WHERE expires_at <= ?", (to_text(now_us),))
            connection.execute("INSERT INTO codes VALUES (?, ?, ?)", (_hash(code), by, to_text(now_us + CODE_US)))
        return code

    def log_in(self, code: str, now_us: int) -> str | None:
        """Use up a code; return the secret of the session it opens, or None for a code that is not good."""
        now = to_text(now_us)
        with self._transaction() as connection:
            row = connection.execute(
                "DELETE FROM codes WHERE hash = ? AND expires_at > ? RETURNING by", (_hash(code), now)
            ).fetchone()
            connection.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,))
            if row is None:
                return None
            secret = secrets.token_urlsafe(_SECRET_BYTES)
            values = (_hash(secret), _new_id(), row[0], now, to_text(now_us + SESSION_US))
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?, ?, ?)", values)
        return secret

    def session(self, secret: str, now_us: int) -> Principal | None:
        """Return whose session this is; None for one that has ended."""
        row = self._one("SELECT id, by FROM sessions WHERE hash = ? AND expires_at > ?", _hash(secret), to_text(now_us))
        return None if row is None else Principal(name=row[1], scope="admin", credential=f"session:{row[0]}")

    def log_out(self, credential: str) -> None:
        """End a session, here and for good."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM sessions WHERE id = ?", (credential.removeprefix("session:"),))

    # -- tokens

    def create_token(self, name: str, scope: Scope, jobs: str | None, expires_us: int | None, now_us: int) -> NewToken:
        """Create a token; its secret is in the answer and nowhere else. Raises AkjobError for a name that is taken."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        expires = None if expires_us is None else to_text(expires_us)
        values = (_new_id(), name, scope, jobs, _hash(token), to_text(now_us), expires)
        with self._transaction() as connection:
            if connection.execute("SELECT 1 FROM tokens WHERE name = ? OR id = ?", (name, name)).fetchone():
                message = f"there is a token {name!r} already"
                raise AkjobError(message, hint=f"Choose another name, or revoke it first: akjob token revoke {name}")
            connection.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", values)
        return NewToken(id=values[0], name=name, scope=scope, token=token)

    def tokens(self) -> list[Token]:
        """Return all tokens, the oldest first; those that have expired too."""
        rows = self._all("SELECT id, name, scope, jobs, created_at, expires_at, last_used_at FROM tokens")
        return sorted((Token(**dict(zip(Token.__struct_fields__, row, strict=True))) for row in rows), key=_created)

    def revoke_token(self, name: str) -> Token | None:
        """Revoke a token by its name or id; return what it was, or None where there is none."""
        found = next((token for token in self.tokens() if name in {token.name, token.id}), None)
        if found is not None:
            with self._transaction() as connection:
                connection.execute("DELETE FROM tokens WHERE id = ?", (found.id,))
        return found

    def token(self, secret: str, now_us: int) -> Principal | None:
        """Return whose token this is; None for one that is unknown, revoked or expired."""
        row = self._one("SELECT id, name, scope, jobs, expires_at FROM tokens WHERE hash = ?", _hash(secret))
        if row is None or (row[4] is not None and from_text(row[4]) <= now_us):
            return None
        self._note_use(row[0], now_us)
        return Principal(name=row[1], scope=row[2], jobs=row[3], credential=f"token:{row[0]}")

    def holds(self, credential: str, now_us: int) -> bool:
        """Return True if a session or a token is still good. What a proxy says is asked again with each request."""
        kind, _, number = credential.partition(":")
        table = {"session": "sessions", "token": "tokens"}.get(kind)
        if table is None:
            return True
        query = f"SELECT expires_at FROM {table} WHERE id = ?"  # noqa: S608 - one of the two above
        row = self._one(query, number)
        return row is not None and (row[0] is None or from_text(row[0]) > now_us)

    def _note_use(self, token: str, now_us: int) -> None:
        """Write when a token was used last, at most once a minute."""
        if now_us - self._used.get(token, 0) < _USED_EVERY_US:
            return
        self._used[token] = now_us
        with self._transaction() as connection:
            connection.execute("UPDATE tokens SET last_used_at = ? WHERE id = ?", (to_text(now_us), token))

    # -- what was done

    def audit(self, row: AuditRow) -> None:
        """Add a row to the audit; ``seq`` is given here."""
        values = (row.at, row.by, row.credential, row.action, row.target, row.reason, row.status)
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO audit (at, by, credential, action, target, reason, status) VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )
            connection.execute("DELETE FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - ?", (_AUDIT_ROWS,))

    def audit_rows(self, limit: int, before: int | None = None) -> list[AuditRow]:
        """Return the newest rows of the audit, newest first, those before a row where one is given."""
        rows = self._all(
            "SELECT seq, at, by, credential, action, target, reason, status FROM audit "
            "WHERE seq < ? ORDER BY seq DESC LIMIT ?",
            before if before is not None else 1 << 62,
            limit,
        )
        return [AuditRow(**dict(zip(AuditRow.__struct_fields__, row, strict=True))) for row in rows]

    # -- answers under a key

    def begin_answer(self, credential: str, key: str, digest: bytes, now_us: int) -> StoredRequest | None:
        """Claim a key for a request; return the earlier request that has it already, or None."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM answers WHERE at <= ?", (to_text(now_us - ANSWER_US),))
            row = connection.execute(
                "SELECT digest, status, headers, body FROM answers WHERE credential = ? AND key = ?", (credential, key)
            ).fetchone()
            if row is None:
                values = (credential, key, digest, to_text(now_us))
                connection.execute("INSERT INTO answers (credential, key, digest, at) VALUES (?, ?, ?, ?)", values)
                return None
        answer = None if row[1] is None else StoredAnswer(row[1], _headers(row[2]), row[3])
        return StoredRequest(row[0], answer)

    def finish_answer(self, credential: str, key: str, answer: StoredAnswer) -> None:
        """Keep what was answered under a key."""
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        with self._transaction() as connection:
            connection.execute(
                "UPDATE answers SET status = ?, headers = ?, body = ? WHERE credential = ? AND key = ?",
                (answer.status, headers, answer.body, credential, key),
            )

    def drop_answer(self, credential: str, key: str) -> None:
        """Give a key back: its request did nothing, and may be sent again."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM answers WHERE credential = ? AND key = ?", (credential, key))

    # -- sqlite

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        rows = self._all(query, *values)
        return rows[0] if rows else None

    def _all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._guarded():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._guarded():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise AkjobError(f"{self._path}: {error}", hint=_hint(self._path)) from error


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    use_write_ahead_log(connection, _BUSY_S)
    connection.execute("PRAGMA synchronous = NORMAL")
    _migrate(connection, path)


def _make(path: Path) -> None:
    """Make an empty file for its owner alone: the owner of ``var/``, also when root runs the command."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with closing(os.fdopen(fd)):
        os.fchmod(fd, 0o600)
        folder = path.parent.stat()
        if os.geteuid() == 0 and os.fstat(fd).st_uid != folder.st_uid:
            os.fchown(fd, folder.st_uid, folder.st_gid)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the numbered files that are missing, each in a transaction of its own."""
    found = sorted((files("akjob.web") / "migrations").iterdir(), key=lambda entry: entry.name)
    scripts = [(int(entry.name.split("_")[0]), entry) for entry in found if entry.name.endswith(".sql")]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > scripts[-1][0]:
        message = f"{path}: it has schema version {version}, this akjob supports versions up to {scripts[-1][0]}"
        raise AkjobError(message, hint="A newer akjob wrote it: install that version again, or a later one.")
    for number, entry in scripts:
        if number > version:
            script = f"BEGIN IMMEDIATE;\n{entry.read_text('utf-8')}\nPRAGMA user_version = {number};\nCOMMIT;"
            _apply(connection, script, number)


def _apply(connection: sqlite3.Connection, script: str, number: int) -> None:
    """Apply a migration, unless another program has done so meanwhile."""
    try:
        connection.executescript(script)
    except sqlite3.OperationalError:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if int(connection.execute("PRAGMA user_version").fetchone()[0]) < number:
            raise


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _new_id() -> str:
    return secrets.token_hex(4)


def _created(token: Token) -> tuple[str, str]:
    return token.created, token.id


def _headers(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines())


def _hint(path: Path) -> str:
    return f"{path} holds logins and tokens alone: with akjob-web stopped it may be deleted, and new ones made."
