"""What the tests of the importers share: jobs that must be jobs, and their tables."""

import tomllib
from typing import Any

from akjob.imports import Import
from akjob.spec import parse_defaults, parse_job


def tables(made: Import) -> dict[str, dict[str, Any]]:
    """Return the table of each job by its name; whatever comes out must be a job, above its defaults."""
    defaults = [parse_defaults("jobs.d/_defaults.toml", made.defaults)] if made.defaults else []
    found = {}
    for job in made.jobs:
        result = parse_job(job.name, f"jobs.d/{job.name}.toml", job.text, defaults=defaults)
        assert result.spec is not None, (job.text, result.problems)
        found[job.name] = tomllib.loads(job.text)
    assert len(found) == len(made.jobs)
    return found


def only(made: Import) -> dict[str, Any]:
    """Return the table of the one job."""
    (table,) = tables(made).values()
    return table


def notes(made: Import) -> list[str]:
    """Return what is said, without the places."""
    return [note.message for note in made.notes]
