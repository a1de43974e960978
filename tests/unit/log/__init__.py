"""The log: files, index, rotation, reading back, and the set-up of a job's process."""
