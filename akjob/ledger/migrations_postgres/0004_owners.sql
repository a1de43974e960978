-- The node that decides about what happened on it, and the one that goes on with a backfill.
ALTER TABLE occurrences ADD COLUMN owner TEXT DEFAULT nullif(current_setting('akjob.node', TRUE), '');
ALTER TABLE backfills ADD COLUMN owner TEXT DEFAULT nullif(current_setting('akjob.node', TRUE), '');
