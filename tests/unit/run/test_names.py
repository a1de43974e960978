"""What a run is told of itself."""

import pytest

from akjob.instants import from_text
from akjob.run.names import names_of
from akjob.schedule.model import Schedule
from akjob.spec.model import Command, JobSpec

SLOT = from_text("2026-03-30T00:30:00.000000Z")


def names(name: str = "a/b", schedule: Schedule | None = None, cause: str | None = None) -> dict[str, str]:
    """Return the names of a run of a job."""
    spec = JobSpec(
        name=name,
        file="jobs.d/a/b.toml",
        sources=(),
        definition="",
        sha256="",
        code=Command(None, "true"),
        schedule=schedule or Schedule(),
    )
    return names_of(spec, SLOT, "schedule", cause)


def test_the_slot_in_the_jobs_zone() -> None:
    """ISO 8601 with the offset of that day."""
    assert names(schedule=Schedule(zone="Europe/Berlin"))["AKJOB_SLOT_LOCAL"] == "2026-03-30T02:30:00+02:00"


@pytest.mark.parametrize(("name", "instance"), [("a/b@emea", "emea"), ("a/b", None)])
def test_the_instance(name: str, instance: str | None) -> None:
    """Of a file that gives several jobs."""
    assert names(name).get("AKJOB_INSTANCE") == instance


@pytest.mark.parametrize(
    ("cause", "job", "run"),
    [
        (None, None, None),
        ('{"backfill":"b1"}', None, None),
        ('{"after":{"a":"r1"}}', "a", "r1"),
        ('{"after":{"a":"r1","b/c":"r2"}}', "a,b/c", "r1,r2"),
    ],
)
def test_the_runs_that_it_waited_for(cause: str | None, job: str | None, run: str | None) -> None:
    """Several with a comma between, in the same order."""
    got = names(cause=cause)
    assert (got.get("AKJOB_AFTER_JOB"), got.get("AKJOB_AFTER_RUN")) == (job, run)
