-- What each job with on_change has seen of its files with its last slot. The path is JSON: it may be other than UTF-8.
-- A job that has seen anything, or nothing, has a row with an empty path.
CREATE TABLE seen_files (
    job      TEXT NOT NULL,
    path     TEXT NOT NULL,
    mtime_ns INTEGER NOT NULL,
    size     INTEGER NOT NULL,
    inode    INTEGER NOT NULL,
    PRIMARY KEY (job, path)
) WITHOUT ROWID;
