"""Opening a ledger by its URL: the one place that knows which kinds there are."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from akjob.errors import UsageError
from akjob.ledger.sqlite_reader import SqliteReader
from akjob.ledger.sqlite_store import SqliteStore
from akjob.ledger.store import Reader, Store


def open_store(url: str, node: str | None = None, lease_us: int | None = None) -> Store:
    """Open the writing side: ``sqlite:///PATH``, ``postgresql://…`` or ``memory:``; created or upgraded where needed.

    ``node`` is the name of this node of a cluster, and ``lease_us`` its lease, with PostgreSQL only.
    Raises AkjobError when the ledger is damaged or was written by a newer akjob, and LedgerBusyError or
    LedgerFullError when it cannot be written now.
    """
    if url == "memory:":
        from akjob.ledger.memory import MemoryStore  # noqa: PLC0415 - no program has its ledger there

        return MemoryStore()
    if is_postgres(url):
        from akjob.ledger.postgres import PostgresStore  # noqa: PLC0415 - of the extra `cluster`

        return PostgresStore(url, node, lease_us)
    return SqliteStore.open(_sqlite_path(url))


def open_reader(url: str) -> Reader:
    """Return the reading side of ``sqlite:///PATH`` or ``postgresql://…``, which may be empty, or of ``memory:``."""
    if url == "memory:":
        from akjob.ledger.memory import MemoryReader, MemoryStore  # noqa: PLC0415 - as above

        return MemoryReader(MemoryStore())
    if is_postgres(url):
        from akjob.ledger.postgres import PostgresReader  # noqa: PLC0415 - as above

        return PostgresReader(url)
    return SqliteReader(_sqlite_path(url))


def is_postgres(url: str) -> bool:
    """Return True for the URL of a ledger in PostgreSQL."""
    return url.startswith(("postgresql://", "postgres://"))


def _sqlite_path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or not parts.path.startswith("/"):
        raise UsageError(
            f"{url!r} is not the URL of a ledger",
            hint="write it as sqlite:///PATH, with an absolute path",
        )
    return Path("/" + unquote(parts.path).lstrip("/"))
