"""The SQL of the ledger, as far as both databases take it. Placeholders are SQLite's."""

from collections.abc import Iterable, Mapping

from akjob.ledger.columns import JOB_COLUMNS, RUN_COLUMNS

# The migration that brought a column, for those that did not come with the first.
SINCE: Mapping[str, int] = {"refused_commit": 2, "refused_dirty": 2, "by": 3, "cause": 3, "node": 3}
TRANSITIONS_SINCE = 3

_CHANGING_JOB_COLUMNS = JOB_COLUMNS[1:11]  # those before first_loaded_at change as the job runs


# One walk over the rows: ends in the minute or second of their slot, which are most, are told by their text alone.
# julianday() counts days.
OUTCOMES = """
WITH found AS (
    SELECT id, job, slot, state FROM runs
    WHERE id >= ? AND ended_at IS NOT NULL AND (
        state <> 'succeeded'
        OR substr(ended_at, 1, {same}) <> substr(slot, 1, {same}) AND (
            (julianday(started_at) - julianday(slot)) * 86400.0 >= ?
            OR (julianday(ended_at) - julianday(started_at)) * 86400.0 >= ?
        )
    )
)
SELECT id, job, slot, attempt, "trigger", state, "count", started_at, ended_at FROM runs WHERE id IN (
    SELECT id FROM found
    UNION SELECT (
        SELECT good.id FROM runs AS good
        WHERE good.job = found.job AND good.slot >= found.slot AND good.state = 'succeeded' AND good.id > found.id
        ORDER BY good.slot, good.attempt LIMIT 1
    ) FROM found WHERE state <> 'succeeded'
    UNION SELECT id FROM runs WHERE id >= ? AND ended_at IS NOT NULL AND job IN ({besides})
) ORDER BY ended_at, id
"""


def _quoted(columns: Iterable[str]) -> str:
    """Return a list of columns; `trigger`, `count` and `by` are words of SQL's."""
    return ", ".join(f'"{column}"' for column in columns)


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _replacing(columns: Iterable[str]) -> str:
    return ", ".join(f'"{column}" = excluded."{column}"' for column in columns)


def select(table: str, columns: Iterable[str], version: int | None = None) -> str:
    """Return a SELECT of columns; NULL stands for those that a schema of an older ``version`` does not have."""
    known = (f'"{one}"' if version is None or SINCE.get(one, 1) <= version else f'NULL AS "{one}"' for one in columns)
    return f"SELECT {', '.join(known)} FROM {table}"  # noqa: S608 - our own names


CLAIM = (
    f"INSERT INTO runs ({_quoted(RUN_COLUMNS)}, scope) VALUES ({_marks(len(RUN_COLUMNS) + 1)}) "  # noqa: S608
    "ON CONFLICT (job, slot, attempt, scope) DO NOTHING"
)
CHANGE = (
    'UPDATE runs SET slot_last = ?, state = ?, reason = ?, "count" = ?, started_at = ?, ended_at = ?, exit_code = ?, '
    "signal = ?, error = ?, result = ?, pid = ?, host = ?, user_cpu_s = ?, system_cpu_s = ?, max_rss_bytes = ?, "
    'definition_sha256 = ?, git_commit = ?, git_dirty = ?, "by" = ?, cause = ?, node = ? WHERE id = ?'
)
LOADED = (
    f"INSERT INTO jobs ({_quoted(JOB_COLUMNS)}) VALUES ({_marks(len(JOB_COLUMNS))}) "  # noqa: S608
    f"ON CONFLICT (job) DO UPDATE SET {_replacing(JOB_COLUMNS[1:])}"
)
JOB = f"UPDATE jobs SET {', '.join(f'{column} = ?' for column in _CHANGING_JOB_COLUMNS)} WHERE job = ?"  # noqa: S608
DEFINE = (
    "INSERT INTO definitions VALUES (?, ?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET last_used_at = "
    "excluded.last_used_at"
)
WAIT_COLUMNS = ("run", "not_before", "behind", "manual", "kwargs", "first_attempt", "files")
WAIT = (
    f"INSERT INTO waits ({_quoted(WAIT_COLUMNS)}) VALUES ({_marks(len(WAIT_COLUMNS))}) "  # noqa: S608
    f"ON CONFLICT (run) DO UPDATE SET {_replacing(WAIT_COLUMNS[1:])}"
)
WAITED = "DELETE FROM waits WHERE run = ?"
OPEN = "state IN ('queued', 'running')"
SELECT_OPEN = (
    f"SELECT {', '.join(f'runs.{chr(34)}{column}{chr(34)}' for column in RUN_COLUMNS)}, runs.scope, "  # noqa: S608
    f"{', '.join(f'waits.{column}' for column in WAIT_COLUMNS)} FROM runs LEFT JOIN waits ON "
    f"waits.run = runs.id WHERE runs.{OPEN} ORDER BY runs.id"
)
OCCURRENCE_COLUMNS = ("job", "key", "at", "slot", "trigger", "cause", "files")
OCCUR = (
    f"INSERT INTO occurrences ({_quoted(OCCURRENCE_COLUMNS)}) VALUES ({_marks(len(OCCURRENCE_COLUMNS))}) "  # noqa: S608
    f"ON CONFLICT (job, key) DO UPDATE SET {_replacing(OCCURRENCE_COLUMNS[2:])}"
)
DECIDED = "DELETE FROM occurrences WHERE job = ? AND key = ?"
SELECT_OCCURRENCES = f"{select('occurrences', OCCURRENCE_COLUMNS)} ORDER BY at, job, key"
SELECT_LAST_ATTEMPT = "SELECT max(attempt) FROM runs WHERE job = ? AND slot = ?"
SEEN_COLUMNS = ("job", "path", "mtime_ns", "size", "inode")
SAW = (
    f"INSERT INTO seen_files ({_quoted(SEEN_COLUMNS)}) VALUES ({_marks(len(SEEN_COLUMNS))}) "  # noqa: S608
    f"ON CONFLICT (job, path) DO UPDATE SET {_replacing(SEEN_COLUMNS[2:])}"
)
SEE_NO_MORE = "DELETE FROM seen_files WHERE job = ? AND path = ?"
SELECT_SEEN = select("seen_files", SEEN_COLUMNS)
BACKFILL_COLUMNS = (
    "id", "job", "at", "from", "until", "only", "parallel", "newest_first", "by", "slots", "slot_count", "position",
    "done", "failed", "state",
)  # fmt: skip
BACKFILLS_SINCE = 6
NEW_BACKFILL = f"INSERT INTO backfills ({_quoted(BACKFILL_COLUMNS)}) VALUES ({_marks(len(BACKFILL_COLUMNS))})"  # noqa: S608
BACKFILL = "UPDATE backfills SET position = ?, done = ?, failed = ?, state = ? WHERE id = ?"
BACKFILL_IS_OPEN = "(state = 'running' OR done < position)"
SELECT_OPEN_BACKFILLS = f"{select('backfills', BACKFILL_COLUMNS)} WHERE {BACKFILL_IS_OPEN} ORDER BY id"
SELECT_BACKFILLS = (
    'SELECT id, job, "from", until, slot_count, done, failed, position - done, state, "by" FROM backfills '
    "ORDER BY id DESC"
)
SELECT_OUTCOMES = (
    "SELECT slot, attempt, state FROM runs WHERE job = ? AND slot >= ? AND slot < ? ORDER BY slot, attempt"
)
TRANSITION_COLUMNS = ("seq", "at", "kind", "job", "run", "slot", "attempt", "from_state", "to_state", "detail")
TRANSITION = f"INSERT INTO transitions ({_quoted(TRANSITION_COLUMNS)}) VALUES ({_marks(len(TRANSITION_COLUMNS))})"  # noqa: S608
SELECT_TRANSITIONS = f"{select('transitions', TRANSITION_COLUMNS)} WHERE seq > ? ORDER BY seq LIMIT ?"
# Two questions, each of which its index answers: for a condition with OR, all transitions would be read.
_OF_NO_RUN = f"{select('transitions', TRANSITION_COLUMNS)} WHERE kind <> 'run' AND job"
SELECT_JOB_TRANSITIONS = f"{_OF_NO_RUN} = ? UNION ALL {_OF_NO_RUN} IS NULL ORDER BY seq"
SELECT_EVENTS = f"{select('transitions', TRANSITION_COLUMNS)} WHERE kind <> 'run'"
SELECT_DURATIONS = (
    "SELECT (julianday(ended_at) - julianday(started_at)) * 86400.0 FROM (SELECT * FROM runs WHERE job = ? "
    "ORDER BY slot DESC, attempt DESC LIMIT ?) AS newest WHERE state = 'succeeded' AND started_at IS NOT NULL LIMIT ?"
)
KEEP = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
COUNT = (
    "INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT (name, labels) DO UPDATE SET "
    "value = counters.value + excluded.value"
)
SELECT_COUNTERS = "SELECT name, labels, value FROM counters ORDER BY name, labels"
JOB_COUNTER_COLUMNS = (
    "ran", "skipped", "missed", "runs", "run_s", "last_success", "last_failure", "last_duration_s",
    "last_max_rss_bytes", "failures",
)  # fmt: skip
SELECT_JOB_COUNTERS = select("job_counters", ("job", *JOB_COUNTER_COLUMNS))
COUNT_JOB = (
    f"INSERT INTO job_counters (job, {_quoted(JOB_COUNTER_COLUMNS)}) "  # noqa: S608
    f"VALUES ({_marks(len(JOB_COUNTER_COLUMNS) + 1)}) ON CONFLICT (job) DO UPDATE SET {_replacing(JOB_COUNTER_COLUMNS)}"
)
KEEP_TRANSITIONS = 10_000  # however old they are: who reads them may have been away for long
SELECT_NEWEST = (
    'SELECT slot, state, id, started_at, ended_at, "count", "trigger" FROM runs WHERE job = ? '
    "ORDER BY slot DESC, attempt DESC LIMIT ?"
)
SELECT_TIMES = (
    'SELECT id, slot, state, trigger, "count", queued_at, started_at, ended_at, cause, user_cpu_s + system_cpu_s, '
    "max_rss_bytes, node FROM runs WHERE job = ? AND {} ORDER BY slot DESC, attempt DESC LIMIT ?"
)
SELECT_TIMES_WITHIN = SELECT_TIMES.format("slot >= ? AND slot < ?")
SELECT_TIMES_BEFORE = SELECT_TIMES.format("slot < ?")
SELECT_COUNTS_BY_HOUR = (
    "SELECT substr(slot, 1, 13), count(*) FROM (SELECT slot FROM runs WHERE job = ? AND slot >= ? AND slot < ? "
    "ORDER BY slot DESC LIMIT ?) AS newest GROUP BY substr(slot, 1, 13) ORDER BY substr(slot, 1, 13)"
)
# A row that stands for a stretch counts for all its slots. What was left out on purpose says nothing of success.
# Of a slot that every node runs each node's run counts.
_SLOT_TALLY = (
    'SELECT count(DISTINCT {one}) + coalesce(sum("count" - 1), 0), '
    "count(DISTINCT CASE WHEN state = 'succeeded' THEN {one} END), min(slot) FROM (SELECT {all}, state, \"count\" "
    "FROM runs WHERE job = ? AND slot >= ? ORDER BY slot DESC, attempt DESC LIMIT ?) AS newest "
    "WHERE state NOT IN ('queued', 'running', 'skipped', 'cancelled')"
)
SCOPES_SINCE = 8


def select_slot_tally(version: int) -> str:
    """Return what counts the slots of a job in a schema of a ``version``."""
    return _SLOT_TALLY.format(**({"one": "slot", "all": "slot"} if version < SCOPES_SINCE else _OF_SCOPES))


_OF_SCOPES = {"one": "slot || scope", "all": "slot, scope"}
SELECT_MEASURED = (
    "SELECT slot, state, id, started_at, ended_at, user_cpu_s + system_cpu_s, max_rss_bytes, definition_sha256, "
    "git_commit FROM (SELECT slot, state, id, started_at, ended_at, user_cpu_s, system_cpu_s, max_rss_bytes, "
    "definition_sha256, git_commit FROM runs WHERE job = ? ORDER BY slot DESC, attempt DESC LIMIT ?) AS newest "
    "WHERE started_at IS NOT NULL AND ended_at IS NOT NULL"
)
EXCEPTIONS = "state IN ('failed', 'timed_out', 'cancelled', 'lost', 'skipped', 'missed')"
# Rows and slots by day and state; with the state NULL all rows of a day. Indexes answer all of it: the successes, which
# are nearly all rows, are what the others leave, so none of them is read.
SELECT_DAYS = f"""
WITH RECURSIVE begin (slot) AS (
    SELECT coalesce((
        SELECT slot FROM runs WHERE job = ? AND slot >= ? ORDER BY slot DESC, attempt DESC LIMIT 1 OFFSET ?
    ), ?)
), days (day) AS (
    SELECT substr(max(slot), 1, 10) FROM runs WHERE job = ? AND slot >= (SELECT slot FROM begin)
    UNION ALL
    SELECT (
        SELECT substr(max(slot), 1, 10) FROM runs
        WHERE job = ? AND slot >= (SELECT slot FROM begin) AND slot < day
    ) FROM days WHERE day IS NOT NULL
)
SELECT day, NULL, (
    SELECT count(*) FROM runs WHERE job = ?
    AND slot >= CASE WHEN day < (SELECT slot FROM begin) THEN (SELECT slot FROM begin) ELSE day END
    AND slot < day || 'Z'
), 0 FROM days WHERE day IS NOT NULL
UNION ALL
SELECT substr(slot, 1, 10), state, count(*), sum("count") FROM runs
WHERE job = ? AND {EXCEPTIONS} AND slot >= (SELECT slot FROM begin) GROUP BY 1, 2
UNION ALL
SELECT substr(slot, 1, 10), state, count(*), sum("count") FROM (
    SELECT job, slot, state, "count" FROM runs WHERE {OPEN} ORDER BY id LIMIT 20000
) AS under_way WHERE job = ? AND slot >= (SELECT slot FROM begin) GROUP BY 1, 2
"""  # noqa: S608 - our own names
