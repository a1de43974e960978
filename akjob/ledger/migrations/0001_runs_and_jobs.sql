-- One row for every slot that ran, was skipped or was missed. Instants are UTC text with six decimals and Z, so that they sort.
CREATE TABLE runs (
    id                TEXT PRIMARY KEY NOT NULL,
    job               TEXT NOT NULL,
    slot              TEXT NOT NULL,
    slot_last         TEXT NOT NULL,
    attempt           INTEGER NOT NULL DEFAULT 1,
    trigger           TEXT NOT NULL,
    state             TEXT NOT NULL,
    reason            TEXT,
    count             INTEGER NOT NULL DEFAULT 1,
    queued_at         TEXT NOT NULL,
    started_at        TEXT,
    ended_at          TEXT,
    exit_code         INTEGER,
    signal            INTEGER,
    error             TEXT,
    result            TEXT,
    pid               INTEGER,
    host              TEXT,
    user_cpu_s        REAL,
    system_cpu_s      REAL,
    max_rss_bytes     INTEGER,
    definition_sha256 TEXT,
    git_commit        TEXT,
    git_dirty         INTEGER
);

-- The claim: whoever inserts first has the slot. Also the history of one job, newest first.
CREATE UNIQUE INDEX runs_claim ON runs (job, slot, attempt);

-- What a restart has to look at, whatever the length of the ledger.
CREATE INDEX runs_open ON runs (id) WHERE state IN ('queued', 'running');

-- The exceptions, among millions that succeeded: of all jobs, and of one.
CREATE INDEX runs_exceptions ON runs (state, id)
    WHERE state IN ('failed', 'timed_out', 'cancelled', 'lost', 'skipped', 'missed');
CREATE INDEX runs_exceptions_of_job ON runs (job, state, slot, attempt)
    WHERE state IN ('failed', 'timed_out', 'cancelled', 'lost', 'skipped', 'missed');

-- What a queued run needs beyond its row; gone once the run has ended.
CREATE TABLE waits (
    run        TEXT PRIMARY KEY NOT NULL,
    not_before TEXT,
    behind     INTEGER NOT NULL DEFAULT 0,
    manual     INTEGER NOT NULL DEFAULT 0,
    kwargs     TEXT
) WITHOUT ROWID;

CREATE TABLE jobs (
    job               TEXT PRIMARY KEY NOT NULL,
    mark              TEXT NOT NULL,
    runs_started      INTEGER NOT NULL DEFAULT 0,
    paused_at         TEXT,
    paused_until      TEXT,
    pause_reason      TEXT,
    paused_by         TEXT,
    again_from        TEXT,
    last_run          TEXT,
    last_state        TEXT,
    last_ended        TEXT,
    first_loaded_at   TEXT NOT NULL,
    last_loaded_at    TEXT NOT NULL,
    removed_at        TEXT,
    file              TEXT NOT NULL,
    definition_sha256 TEXT NOT NULL,
    definition        TEXT NOT NULL,
    -- The content of a later version of the file that was refused, and since when; NULL while the file is as loaded.
    refused           TEXT,
    refused_since     TEXT
);

-- The text of every definition that a run in the ledger was made from.
CREATE TABLE definitions (
    sha256       TEXT PRIMARY KEY NOT NULL,
    file         TEXT NOT NULL,
    definition   TEXT NOT NULL,
    last_used_at TEXT NOT NULL
);

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) WITHOUT ROWID;
