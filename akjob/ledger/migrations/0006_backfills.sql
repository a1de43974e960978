-- Runs of slots that are over, which somebody asked for. The slots are a JSON array of microseconds since 1970.
CREATE TABLE backfills (
    id           TEXT PRIMARY KEY NOT NULL,
    job          TEXT NOT NULL,
    at           TEXT NOT NULL,
    "from"       TEXT NOT NULL,
    until        TEXT NOT NULL,
    only         TEXT NOT NULL,
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
