-- What makes jobs due besides the calendar, from when it happens until it is decided.
CREATE TABLE occurrences (
    job     TEXT NOT NULL,
    key     TEXT NOT NULL,
    at      TEXT NOT NULL,
    slot    TEXT,
    trigger TEXT NOT NULL,
    cause   TEXT,
    files   TEXT,
    PRIMARY KEY (job, key)
) WITHOUT ROWID;

-- Of a run whose slot had attempts before it: its first one. The files that a run was made due by, as a JSON array.
ALTER TABLE waits ADD COLUMN first_attempt INTEGER NOT NULL DEFAULT 1;
ALTER TABLE waits ADD COLUMN files TEXT;
