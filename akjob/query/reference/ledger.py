"""The tables of the ledger and their columns, from the migrations that make them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files

from akjob.query.reference.entry import Entry, texts

Column = tuple[str, str, bool]
"""A column's name, its type, and whether it may be NULL."""


def tables() -> dict[str, list[Column]]:
    """Return the columns of each table, in their order."""
    folder = files("akjob") / "ledger" / "migrations"
    scripts = sorted((one.name, one.read_text(encoding="utf-8")) for one in folder.iterdir())
    with closing(sqlite3.connect(":memory:")) as db:
        for name, script in scripts:
            if name.endswith(".sql"):
                db.executescript(script)
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")]
        return {
            name: [(row[1], row[2], not row[3]) for row in db.execute(f'PRAGMA table_info("{name}")')]
            for name in names
            if not name.startswith("sqlite_")
        }


def ledger_entries() -> Iterator[Entry]:
    """Yield each table, then its columns: ``runs``, ``runs.slot``."""
    written = texts("ledger")
    for table, columns in tables().items():
        names = ", ".join(name for name, _, _ in columns)
        yield Entry(name=table, kind="column", summary=written[table]["*"], facts=(("columns", names),))
        for name, kind, may_be_null in columns:
            facts = (("type", kind + (", may be NULL" if may_be_null else "")), ("where", f"the table {table}"))
            yield Entry(name=f"{table}.{name}", kind="column", summary=written[table][name], facts=facts)
