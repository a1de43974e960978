"""The read model: what the job set, the ledger and akjobd say of jobs and runs, as values."""
