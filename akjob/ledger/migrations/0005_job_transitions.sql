-- What became of jobs and of akjobd is asked for job by job; there is little of it among the transitions of runs.
CREATE INDEX transitions_of_jobs ON transitions (job, seq) WHERE kind <> 'run';
