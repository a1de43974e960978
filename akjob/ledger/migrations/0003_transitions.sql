-- Who asked for a run or for its end, what made it due, and the node of a cluster that has it.
ALTER TABLE runs ADD COLUMN "by" TEXT;
ALTER TABLE runs ADD COLUMN cause TEXT;
ALTER TABLE runs ADD COLUMN node TEXT;

-- Every change of a run, a job and akjobd, numbered without gaps in the commit that made it.
CREATE TABLE transitions (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         TEXT NOT NULL,
    kind       TEXT NOT NULL,
    job        TEXT,
    run        TEXT,
    slot       TEXT,
    attempt    INTEGER,
    from_state TEXT,
    to_state   TEXT NOT NULL,
    detail     TEXT NOT NULL DEFAULT '{}'
);

-- Sums over all that ever happened, bumped in the transaction of what they count and never pruned.
CREATE TABLE counters (
    name   TEXT NOT NULL,
    labels TEXT NOT NULL,
    value  REAL NOT NULL,
    PRIMARY KEY (name, labels)
) WITHOUT ROWID;

CREATE TABLE job_counters (
    job                TEXT PRIMARY KEY NOT NULL,
    ran                INTEGER NOT NULL,
    skipped            INTEGER NOT NULL,
    missed             INTEGER NOT NULL,
    runs               INTEGER NOT NULL,
    run_s              REAL NOT NULL,
    last_success       TEXT,
    last_failure       TEXT,
    last_duration_s    REAL,
    last_max_rss_bytes INTEGER,
    failures           INTEGER NOT NULL
) WITHOUT ROWID;

-- What the rows of before still tell.
INSERT INTO counters
SELECT 'runs_total', json_object('state', state, 'trigger', trigger), count(*) FROM runs
WHERE state IN ('succeeded', 'failed', 'timed_out', 'cancelled', 'lost') GROUP BY state, trigger;

INSERT INTO counters
SELECT 'slots_total', json_object('outcome', outcome), sum(slots) FROM (
    SELECT CASE
        WHEN state IN ('skipped', 'missed') THEN state
        WHEN state = 'cancelled' AND started_at IS NULL THEN 'skipped'
        ELSE 'ran'
    END AS outcome, count AS slots FROM runs
    WHERE state NOT IN ('queued', 'running') AND (attempt = 1 OR state IN ('skipped', 'missed'))
) GROUP BY outcome;

INSERT INTO job_counters
SELECT
    job,
    sum(
        attempt = 1 AND state NOT IN ('queued', 'running', 'skipped', 'missed')
        AND NOT (state = 'cancelled' AND started_at IS NULL)
    ),
    sum(CASE WHEN state = 'skipped' OR (state = 'cancelled' AND started_at IS NULL) THEN count ELSE 0 END),
    sum(CASE state WHEN 'missed' THEN count ELSE 0 END),
    count(CASE WHEN ended_at IS NOT NULL THEN started_at END),
    coalesce(sum(julianday(ended_at) - julianday(started_at)) * 86400.0, 0.0),
    max(CASE state WHEN 'succeeded' THEN ended_at END),
    max(CASE WHEN state IN ('failed', 'timed_out', 'lost') THEN ended_at END),
    NULL, NULL, 0
FROM runs GROUP BY job;
