-- A slot has one row for each attempt in each scope: that of the whole cluster, '', or a node's own (`where = "every"`).
ALTER TABLE runs ADD COLUMN scope TEXT COLLATE "C" NOT NULL DEFAULT '';
DROP INDEX runs_claim;
CREATE UNIQUE INDEX runs_claim ON runs (job, slot, attempt, scope);

-- What each node has accounted for of the jobs that run on every node; of the others `jobs` has it.
CREATE TABLE job_nodes (
    job          TEXT COLLATE "C" NOT NULL,
    node         TEXT COLLATE "C" NOT NULL,
    mark         TEXT NOT NULL,
    runs_started BIGINT NOT NULL,
    again_from   TEXT,
    PRIMARY KEY (job, node)
);
