"""Dotted callables, dill files and commands: a call in the run, facts everywhere else."""
