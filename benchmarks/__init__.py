"""What akjob costs, beside the bare machine and its peers: ``python -m benchmarks``, or ``make bench``."""
