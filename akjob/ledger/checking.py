"""What must hold in a ledger, whatever keeps it. Each question returns the rows that break a rule."""

from collections.abc import Iterator

from msgspec import Struct

from akjob.ledger.model import STATES
from akjob.ledger.sql_store import SqlStore

_SAMPLE = 5
_STATES = ", ".join(f"'{state}'" for state in STATES)
_RUNS = "SELECT id FROM runs WHERE"
_ENDED = "state NOT IN ('queued', 'running')"

_GAPS = (
    "SELECT seq FROM transitions AS one WHERE seq > (SELECT min(seq) FROM transitions) "
    "AND NOT EXISTS (SELECT 1 FROM transitions AS before WHERE before.seq = one.seq - 1)"
)

RULES = (
    ("a run has a state that akjob does not know", f"{_RUNS} state NOT IN ({_STATES})"),
    ("a run is over but has no end", f"{_RUNS} {_ENDED} AND ended_at IS NULL"),
    ("a run is not over but has an end", f"{_RUNS} NOT ({_ENDED}) AND ended_at IS NOT NULL"),
    ("a run ended before it started", "SELECT id FROM runs WHERE ended_at < started_at"),
    ("a row counts less than one slot", 'SELECT id FROM runs WHERE "count" < 1 OR slot_last < slot'),
    (
        "a slot has two rows for one attempt",
        "SELECT min(id) FROM runs GROUP BY job, slot, attempt, scope HAVING count(*) > 1",
    ),
    (
        "something waits for a run that is over or not there",
        f"SELECT run FROM waits WHERE run NOT IN ({_RUNS} NOT ({_ENDED}))",  # noqa: S608 - ours
    ),
    (
        "a run has a job that is not in the table of jobs",
        "SELECT DISTINCT job FROM runs WHERE job NOT IN (SELECT job FROM jobs)",
    ),
    (
        "the numbers of the transitions have a gap",
        _GAPS,
    ),
    ("a counter is negative", "SELECT name FROM counters WHERE value < 0"),
)


class Flaw(Struct, frozen=True):
    """A rule that is broken, how often, and some of the rows that break it."""

    rule: str
    count: int
    rows: tuple[str, ...]


def check(store: SqlStore) -> Iterator[Flaw]:
    """Yield what is wrong: first what the database itself finds, then the rules."""
    for fault in store.integrity():
        yield Flaw(f"the database is damaged: {fault}", 1, ())
    for rule, question in RULES:
        found = store.ask(question)
        if found:
            yield Flaw(rule, len(found), tuple(str(row[0]) for row in found[:_SAMPLE]))
