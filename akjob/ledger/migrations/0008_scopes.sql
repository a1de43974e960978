-- A slot has one row for each attempt in each scope: that of the whole ledger, '', or a node's own (`where = "every"`).
ALTER TABLE runs ADD COLUMN scope TEXT NOT NULL DEFAULT '';
DROP INDEX runs_claim;
CREATE UNIQUE INDEX runs_claim ON runs (job, slot, attempt, scope);
