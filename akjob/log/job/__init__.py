"""The log inside a run: what a job's own logging calls become."""
