"""The page and the HTTP API: the program akjob-web, which reads the ledger and the log, and asks akjobd to act."""
