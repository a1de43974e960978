-- The queue of a run that no node has taken yet. The delivery in it is transport: this row says whether it is wanted.
ALTER TABLE runs ADD COLUMN queue TEXT;
CREATE INDEX runs_of_nobody ON runs (id) WHERE state = 'queued' AND owner IS NULL;
