"""akjobd: the daemon that knows when each job is due, has it started, and writes the ledger."""
