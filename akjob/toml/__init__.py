"""TOML with positions: text to table, and from a key path to line and column.

:mod:`~akjob.toml.read` reads a file's bytes, :mod:`~akjob.toml.scan` finds where each key and value is,
:mod:`~akjob.toml.faults` collects what is wrong and turns it into Problems, :mod:`~akjob.toml.near` guesses what was
meant. :mod:`~akjob.toml.wire` carries single values through JSON.
"""
