"""The environment variables that a run has from akjob."""

from collections.abc import Iterator

from akjob.query.reference.entry import Entry, texts


def variable_entries() -> Iterator[Entry]:
    """Yield the variables."""
    where = ("where", "the environment of each run; `env` and `env_file` cannot set it")
    for name, summary in texts("variables").items():
        yield Entry(name=name, kind="variable", summary=summary, facts=(where,))
