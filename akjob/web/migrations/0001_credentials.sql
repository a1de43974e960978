-- Secrets are kept as SHA-256 of random bytes: nobody can log in with what is here. Instants are text as in the ledger.

-- Codes of `akjob web`: each is good for one login.
CREATE TABLE codes (
    hash       BLOB PRIMARY KEY NOT NULL,
    by         TEXT NOT NULL,
    expires_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sessions (
    hash       BLOB PRIMARY KEY NOT NULL,
    id         TEXT UNIQUE NOT NULL,
    by         TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY NOT NULL,
    name         TEXT UNIQUE NOT NULL,
    scope        TEXT NOT NULL,
    jobs         TEXT,
    hash         BLOB UNIQUE NOT NULL,
    created_at   TEXT NOT NULL,
    expires_at   TEXT,
    last_used_at TEXT
) WITHOUT ROWID;

-- Every write that was asked for, and what was answered.
CREATE TABLE audit (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         TEXT NOT NULL,
    by         TEXT NOT NULL,
    credential TEXT NOT NULL,
    action     TEXT NOT NULL,
    target     TEXT NOT NULL,
    reason     TEXT,
    status     INTEGER NOT NULL
);

-- What was answered to a request with an Idempotency-Key; status is NULL while it is being answered.
CREATE TABLE answers (
    credential TEXT NOT NULL,
    key        TEXT NOT NULL,
    digest     BLOB NOT NULL,
    at         TEXT NOT NULL,
    status     INTEGER,
    headers    TEXT,
    body       BLOB,
    PRIMARY KEY (credential, key)
) WITHOUT ROWID;
CREATE INDEX answers_at ON answers (at);
