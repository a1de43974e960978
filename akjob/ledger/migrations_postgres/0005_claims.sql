-- Whoever claims a run has it.
ALTER TABLE runs ALTER COLUMN owner SET DEFAULT nullif(current_setting('akjob.node', TRUE), '');
