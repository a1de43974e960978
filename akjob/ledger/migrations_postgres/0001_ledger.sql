-- The tables of SQLite's migrations 1 to 5, and what a cluster needs besides. Text sorts by its bytes, as instants do.
CREATE TABLE runs (
    id                TEXT COLLATE "C" PRIMARY KEY,
    job               TEXT COLLATE "C" NOT NULL,
    slot              TEXT COLLATE "C" NOT NULL,
    slot_last         TEXT COLLATE "C" NOT NULL,
    attempt           INTEGER NOT NULL DEFAULT 1,
    trigger           TEXT NOT NULL,
    state             TEXT NOT NULL,
    reason            TEXT,
    count             BIGINT NOT NULL DEFAULT 1,
    queued_at         TEXT COLLATE "C" NOT NULL,
    started_at        TEXT COLLATE "C",
    ended_at          TEXT COLLATE "C",
    exit_code         INTEGER,
    signal            INTEGER,
    error             TEXT,
    result            TEXT,
    pid               BIGINT,
    host              TEXT,
    user_cpu_s        DOUBLE PRECISION,
    system_cpu_s      DOUBLE PRECISION,
    max_rss_bytes     BIGINT,
    definition_sha256 TEXT,
    git_commit        TEXT,
    git_dirty         BOOLEAN,
    "by"              TEXT,
    cause             TEXT,
    node              TEXT,
    -- The node that may write about it, and how often it was taken from a node: what that one writes is refused.
    owner             TEXT,
    fence             BIGINT NOT NULL DEFAULT 0
);

-- The claim: whoever inserts first has the slot, in the whole cluster.
CREATE UNIQUE INDEX runs_claim ON runs (job, slot, attempt);
CREATE INDEX runs_open ON runs (id) WHERE state IN ('queued', 'running');
CREATE INDEX runs_open_of_owner ON runs (owner) WHERE state IN ('queued', 'running');
CREATE INDEX runs_exceptions ON runs (state, id)
    WHERE state IN ('failed', 'timed_out', 'cancelled', 'lost', 'skipped', 'missed');
CREATE INDEX runs_exceptions_of_job ON runs (job, state, slot, attempt)
    WHERE state IN ('failed', 'timed_out', 'cancelled', 'lost', 'skipped', 'missed');

CREATE TABLE waits (
    run           TEXT COLLATE "C" PRIMARY KEY,
    not_before    TEXT,
    behind        BOOLEAN NOT NULL DEFAULT FALSE,
    manual        BOOLEAN NOT NULL DEFAULT FALSE,
    kwargs        TEXT,
    first_attempt INTEGER NOT NULL DEFAULT 1,
    files         TEXT
);

CREATE TABLE occurrences (
    job     TEXT COLLATE "C" NOT NULL,
    key     TEXT COLLATE "C" NOT NULL,
    at      TEXT COLLATE "C" NOT NULL,
    slot    TEXT,
    trigger TEXT NOT NULL,
    cause   TEXT,
    files   TEXT,
    PRIMARY KEY (job, key)
);

CREATE TABLE jobs (
    job               TEXT COLLATE "C" PRIMARY KEY,
    mark              TEXT NOT NULL,
    runs_started      BIGINT NOT NULL DEFAULT 0,
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
    refused           TEXT,
    refused_since     TEXT,
    refused_commit    TEXT,
    refused_dirty     BOOLEAN
);

CREATE TABLE definitions (
    sha256       TEXT COLLATE "C" PRIMARY KEY,
    file         TEXT NOT NULL,
    definition   TEXT NOT NULL,
    last_used_at TEXT COLLATE "C" NOT NULL
);

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- `seq` comes from `transition_seq`, whose one row each writer locks until its commit: no gaps, and in order.
CREATE TABLE transitions (
    seq        BIGINT PRIMARY KEY,
    at         TEXT COLLATE "C" NOT NULL,
    kind       TEXT NOT NULL,
    job        TEXT COLLATE "C",
    run        TEXT,
    slot       TEXT,
    attempt    INTEGER,
    from_state TEXT,
    to_state   TEXT NOT NULL,
    detail     TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX transitions_of_jobs ON transitions (job, seq) WHERE kind <> 'run';

CREATE TABLE transition_seq (
    last BIGINT NOT NULL
);
INSERT INTO transition_seq VALUES (0);

CREATE TABLE counters (
    name   TEXT COLLATE "C" NOT NULL,
    labels TEXT COLLATE "C" NOT NULL,
    value  DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name, labels)
);

CREATE TABLE job_counters (
    job                TEXT COLLATE "C" PRIMARY KEY,
    ran                BIGINT NOT NULL,
    skipped            BIGINT NOT NULL,
    missed             BIGINT NOT NULL,
    runs               BIGINT NOT NULL,
    run_s              DOUBLE PRECISION NOT NULL,
    last_success       TEXT,
    last_failure       TEXT,
    last_duration_s    DOUBLE PRECISION,
    last_max_rss_bytes BIGINT,
    failures           BIGINT NOT NULL
);

-- The last commit of each writer. One whose answer was lost is found here when it is tried again.
CREATE TABLE commits (
    writer    TEXT PRIMARY KEY,
    token     TEXT NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq  BIGINT NOT NULL
);

-- All instants of these rows are the database's own.
CREATE TABLE nodes (
    node           TEXT COLLATE "C" PRIMARY KEY,
    tags           TEXT[] NOT NULL DEFAULT '{}',
    slots          INTEGER NOT NULL,
    since          TIMESTAMPTZ NOT NULL DEFAULT now(),
    renewed_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    lease_until    TIMESTAMPTZ NOT NULL,
    clock_offset_s DOUBLE PRECISION NOT NULL DEFAULT 0,
    draining       BOOLEAN NOT NULL DEFAULT FALSE,
    stopped        BOOLEAN NOT NULL DEFAULT FALSE,
    git_commit     TEXT,
    version        TEXT NOT NULL,
    url            TEXT
);

-- SQLite's function, for statements that both databases take.
CREATE FUNCTION julianday(instant TEXT) RETURNS DOUBLE PRECISION LANGUAGE SQL IMMUTABLE STRICT
    RETURN extract(epoch FROM instant::timestamp) / 86400.0 + 2440587.5;

CREATE TABLE backfills (
    id           TEXT COLLATE "C" PRIMARY KEY,
    job          TEXT NOT NULL,
    at           TEXT NOT NULL,
    "from"       TEXT NOT NULL,
    until        TEXT NOT NULL,
    "only"       TEXT NOT NULL,
    parallel     INTEGER NOT NULL,
    newest_first INTEGER NOT NULL,
    "by"         TEXT,
    slots        TEXT NOT NULL,
    slot_count   INTEGER NOT NULL,
    position     INTEGER NOT NULL DEFAULT 0,
    done         INTEGER NOT NULL DEFAULT 0,
    failed       INTEGER NOT NULL DEFAULT 0,
    state        TEXT NOT NULL DEFAULT 'running'
);

CREATE TABLE seen_files (
    job      TEXT COLLATE "C" NOT NULL,
    path     TEXT COLLATE "C" NOT NULL,
    mtime_ns BIGINT NOT NULL,
    size     BIGINT NOT NULL,
    inode    BIGINT NOT NULL,
    PRIMARY KEY (job, path)
);
