"""From the files in ``jobs.d/`` to a JobSet: looking, comparing, last good definitions; watching; git; trust."""
