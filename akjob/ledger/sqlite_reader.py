"""The ledger in SQLite, the reading side: read-only, without akjobd, and fine where there is no ledger."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from akjob.ledger.migrate import check_version
from akjob.ledger.sql_reader import Ask, Session, SqlReader
from akjob.ledger.sqlite_store import BUSY_MS, translated


class SqliteReader(SqlReader):
    """Questions to a ledger in a file. Each opens and closes it, or some do together: a reader may be kept for long."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def size_bytes(self) -> int:
        """Return the size of the database and its write-ahead log."""
        files = (self._path, Path(f"{self._path}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    @contextmanager
    def _opened(self) -> Iterator[Session]:
        """Open the file for one question or a few."""
        if not self._path.exists() or not self._path.stat().st_size:
            yield None, 0
            return
        try:
            with closing(_connect(self._path)) as connection:
                version = check_version(connection, str(self._path))
                yield (
                    self._asking(connection) if version else None,
                    version,
                )  # a version of 0 is a ledger about to be created
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def _asking(self, connection: sqlite3.Connection) -> Ask:
        def ask(sql: str, values: Sequence[Any]) -> list[Any]:
            try:
                return connection.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise translated(error, self._path) from error

        return ask


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=10 * BUSY_MS / 1000, isolation_level=None)
    try:
        connection.execute("PRAGMA user_version")
    except sqlite3.Error as error:
        connection.close()
        if not isinstance(error, sqlite3.OperationalError) or error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise
        # On a read-only medium nothing writes, and the WAL's index cannot be created: read the file as it stands.
        return sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
    return connection
