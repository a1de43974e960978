-- What the jobs have seen of the files of each node: every machine has a disk of its own. `seen_files` has what any of
-- them wrote last, for a ledger of one machine that this one is copied into.
CREATE TABLE seen_by_node (
    node     TEXT COLLATE "C" NOT NULL,
    job      TEXT COLLATE "C" NOT NULL,
    path     TEXT COLLATE "C" NOT NULL,
    mtime_ns BIGINT NOT NULL,
    size     BIGINT NOT NULL,
    inode    BIGINT NOT NULL,
    PRIMARY KEY (node, job, path)
);
