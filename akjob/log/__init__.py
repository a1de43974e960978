"""The log: its one writer, reading it back, and what a job says on it."""
