"""g. How cost grows: with the number of definitions, of simultaneous runs, and of rows in the ledger.

For 10, 100, 1,000 and 10,000 definitions: how soon akjobd is ready, how soon an edit is live, and akjobd's CPU time for
one due run among them. For 1, 10, 100 and 1,000 jobs due at once: when the last one starts, and CPU per run. With
500,000 runs in the ledger: what ``akjob history`` takes more than with none.
"""

import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import closing

from akjob.ledger import Ledger
from benchmarks import burst, many
from benchmarks.book import AKJOB, Book
from benchmarks.machine import cpu_s, pss_bytes
from benchmarks.place import Place

DEFINITIONS = (10, 100, 1_000, 10_000)
AT_ONCE = (1, 10, 100, 1_000)
ROWS = 500_000
_DUE_S = 6


def measure(book: Book, rounds: int, definitions: tuple[int, ...] = DEFINITIONS) -> None:
    """Measure so many rounds."""
    for _ in range(rounds):
        for files in definitions:
            _definitions(book, files)
        for jobs in AT_ONCE:
            burst.akjob(book, "callable", jobs, measure="g", titled=f"{jobs:,} at once")
    _ledger(book)


def _definitions(book: Book, files: int) -> None:
    with Place() as place:
        many.fill(place, files)
        book.add("g", f"{files:,} definitions: ready", AKJOB, place.start(), "s")
        many.reload(book, place, files, 15, measure="g")
        pid = place.pid("akjobd")
        book.add("g", f"{files:,} definitions: akjobd (PSS)", AKJOB, pss_bytes([pid]) / 1e6, "MB")
        place.job("tick", 'command = ["/bin/true"]\n[schedule]\nevery = "1s"\n')
        time.sleep(2.5)
        before, rows = cpu_s(pid), _rows(place)
        time.sleep(_DUE_S)
        used, runs = cpu_s(pid) - before, _rows(place) - rows
        book.add("g", f"{files:,} definitions: akjobd's CPU per due run", AKJOB, used / max(1, runs) * 1e3, "ms")


def _rows(place: Place) -> int:
    return int(place.sql("SELECT count(*) FROM runs")[0][0])


def _ledger(book: Book) -> None:
    with Place() as place:
        Ledger.open(place.paths.db).close()
        empty = _history_s(place)
        with closing(sqlite3.connect(place.paths.db)) as connection, connection:
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                "INSERT INTO runs (id, job, slot, slot_last, attempt, trigger, state, queued_at, started_at, "
                "ended_at, host) "
                "SELECT printf('%020d', i), 'job' || (i % 1000), t, t, 1, 'schedule', 'succeeded', t, t, t, 'here' "
                "FROM (SELECT i, strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1700000000 + i, 'unixepoch') AS t FROM n)",
                (ROWS,),
            )
        full = _history_s(place)
        book.add("g", "history: no rows", AKJOB, empty, "s")
        book.add("g", f"history: {ROWS:,} rows", AKJOB, full, "s")
        book.add("g", f"history: {ROWS:,} rows against none", AKJOB, full - empty, "s")


def _history_s(place: Place) -> float:
    took = []
    for _ in range(6):
        began = time.perf_counter()
        subprocess.run(
            [
                sys.executable,
                "-c",
                "from akjob.cli import main; main()",
                "--root",
                str(place.root),
                "history",
                "--json",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])  # the first one warms what later ones find warm
