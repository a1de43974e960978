"""What the examples in jobs.d/ run. A job's code may live anywhere that Python finds it; the root comes first."""
