"""The job set that is kept over many questions."""

from pathlib import Path

import pytest

from akjob.config import Config, Paths
from akjob.instants import SECOND
from akjob.query.jobs import JobSetView

NOW_US = 1_774_699_200 * SECOND


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Make a root with two jobs."""
    found = Paths(tmp_path)
    found.jobs_d.mkdir()
    for name in ("a", "b"):
        (found.jobs_d / f"{name}.toml").write_text('command = "x"\n')
    return found


def test_a_second_look_reads_only_what_changed(paths: Paths) -> None:
    """A page that asks again and again does not parse the folder again and again."""
    folder = JobSetView(paths, Config())
    before = folder.snapshot(NOW_US)
    (paths.jobs_d / "b.toml").write_text('command = "longer"\n')
    (paths.jobs_d / "c.toml").write_text("evry = 1\n")
    found = folder.snapshot(NOW_US + SECOND)
    assert [(job.name, job.state) for job in found.jobs()] == [("a", "ready"), ("b", "ready"), ("c", "broken")]
    assert found.jobset.jobs["a"] is before.jobset.jobs["a"]
    assert found.jobset.jobs["b"] != before.jobset.jobs["b"]
