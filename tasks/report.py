"""What happened lately, from akjob's own ledger. The example packs this function into jobs.d/report.dill."""

import os
import sqlite3
from contextlib import closing


def runs_of_a_day() -> dict[str, int]:
    """Print for each job how many runs of the last 24 hours ended how; return the count of each state."""
    address = f"file:{os.environ['AKJOB_ROOT']}/var/akjob.db?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as ledger:
        rows = ledger.execute(
            """
            SELECT job, state, sum(count) FROM runs
            WHERE slot > strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-1 day')
            GROUP BY job, state ORDER BY job, state
            """
        ).fetchall()
    states: dict[str, int] = {}
    for job, state, count in rows:
        print(f"{job:<24} {state:<10} {count:>6}")
        states[state] = states.get(state, 0) + count
    return states
