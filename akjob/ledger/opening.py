"""Opening a ledger by its URL: the one place that knows which kinds there are."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from akjob.errors import UsageError
from akjob.ledger.memory import MemoryReader, MemoryStore
from akjob.ledger.sqlite_reader import SqliteReader
from akjob.ledger.sqlite_store import SqliteStore
from akjob.ledger.store import Reader, Store


def open_store(url: str) -> Store:
    """Open the writing side: ``sqlite:///PATH`` or ``memory:``. It is created, or brought up to date, where needed.

    Raises AkjobError when the ledger is damaged or was written by a newer akjob, and LedgerBusyError or
    LedgerFullError when it cannot be written now.
    """
    if url == "memory:":
        return MemoryStore()
    return SqliteStore.open(_sqlite_path(url))


def open_reader(url: str) -> Reader:
    """Return the reading side: ``sqlite:///PATH``, which need not exist yet, or ``memory:``, which is empty."""
    if url == "memory:":
        return MemoryReader(MemoryStore())
    return SqliteReader(_sqlite_path(url))


def _sqlite_path(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or not parts.path.startswith("/"):
        raise UsageError(
            f"{url!r} is not the URL of a ledger",
            hint="write it as sqlite:///PATH, with an absolute path",
        )
    return Path("/" + unquote(parts.path).lstrip("/"))
