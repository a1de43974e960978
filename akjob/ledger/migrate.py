"""Bringing a database to the newest schema, by the numbered files in ``migrations/``."""

import sqlite3
from functools import cache
from pathlib import Path

from akjob.errors import AkjobError


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Return the numbers and texts of all migrations, in order; the last number is the schema's version.

    They are read once: each question to the ledger compares its version with the newest one.
    """
    found = sorted(
        (int(file.name.split("_")[0]), file) for file in Path(__file__).with_name("migrations").glob("*.sql")
    )
    return tuple((number, file.read_text(encoding="utf-8")) for number, file in found)


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Apply what is missing, each file in a transaction of its own. Raises AkjobError for a newer schema."""
    version = check_version(connection, name)
    for number, sql in migrations():
        if number > version:
            connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;")


def check_version(connection: sqlite3.Connection, name: str) -> int:
    """Return the schema's version; raise AkjobError when a newer akjob has made it."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    newest = migrations()[-1][0]
    if version > newest:
        message = f"{name}: the ledger has schema version {version}, this akjob supports versions up to {newest}"
        raise AkjobError(message, hint="it was written by a newer akjob: install that version again, or a later one")
    return version
