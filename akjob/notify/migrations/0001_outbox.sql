-- How far the transitions were read, and the number of the next incident.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- What is remembered of a job between two of its transitions.
CREATE TABLE jobs (
    job      TEXT PRIMARY KEY NOT NULL,
    failures INTEGER NOT NULL,
    paused   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE incidents (
    number          INTEGER PRIMARY KEY NOT NULL,
    job             TEXT NOT NULL,
    trouble         TEXT NOT NULL,
    kind            TEXT NOT NULL,
    opened_at       TEXT NOT NULL,
    told_at         TEXT NOT NULL,
    run             TEXT,
    slot            TEXT,
    acknowledged_at TEXT,
    acknowledged_by TEXT,
    reason          TEXT,
    closed_at       TEXT
);
CREATE INDEX incidents_open ON incidents (job) WHERE closed_at IS NULL;

-- One row for what one channel is sent at once. `payload` is NULL until it is sealed: notes may join it before.
CREATE TABLE deliveries (
    id        TEXT PRIMARY KEY NOT NULL,
    channel   TEXT NOT NULL,
    kind      TEXT NOT NULL,
    incident  INTEGER,
    jobs      TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    due_at    TEXT NOT NULL,
    sealed_at TEXT,
    ended_at  TEXT,
    state     TEXT NOT NULL,
    attempts  INTEGER NOT NULL DEFAULT 0,
    error     TEXT,
    payload   TEXT
);
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE state IN ('pending', 'held');
CREATE INDEX deliveries_sealed ON deliveries (channel, sealed_at) WHERE sealed_at IS NOT NULL;

CREATE TABLE notes (
    delivery TEXT NOT NULL,
    number   INTEGER NOT NULL,
    note     TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) WITHOUT ROWID;

-- The first message of an incident on a channel: later mails refer to it.
CREATE TABLE threads (
    incident INTEGER NOT NULL,
    channel  TEXT NOT NULL,
    delivery TEXT NOT NULL,
    PRIMARY KEY (incident, channel)
) WITHOUT ROWID;

-- What each channel was sent, and what it never took; outlives the rows above.
CREATE TABLE counters (
    channel TEXT NOT NULL,
    result  TEXT NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (channel, result)
) WITHOUT ROWID;
