-- Whoever claims a run has it.
ALTER TABLE runs ALTER COLUMN owner SET DEFAULT nullif(current_setting('akjob.node', TRUE), '');

-- How often another node took what a node had, whose lease was over.
ALTER TABLE nodes ADD COLUMN taken BIGINT NOT NULL DEFAULT 0;

-- A run that goes on while its node cannot renew its lease.
ALTER TABLE runs ADD COLUMN continues BOOLEAN NOT NULL DEFAULT FALSE;
