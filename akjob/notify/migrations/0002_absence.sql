-- A time in which akjobd was down, while what it cost is being gathered: one row, as JSON.
CREATE TABLE absence (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    state TEXT NOT NULL
);
