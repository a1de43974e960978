"""akjob-collector: the one process that writes the log stream."""
