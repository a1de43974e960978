-- What a run holds while its order is out: its job, its lock, a place in its pool. No other node starts a run against it.
ALTER TABLE runs ADD COLUMN gates TEXT[] NOT NULL DEFAULT '{}';

-- The node that wrote a transition: its akjob-notify tells of it, and no other one.
ALTER TABLE transitions ADD COLUMN node TEXT DEFAULT nullif(current_setting('akjob.node', TRUE), '');

-- Runs that people want ended, and the node that has them, until that node has taken note.
CREATE TABLE stops (
    run    TEXT PRIMARY KEY,
    node   TEXT NOT NULL,
    reason TEXT NOT NULL,
    "by"   TEXT
);
