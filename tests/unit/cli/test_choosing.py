"""Several jobs in one command: names, patterns, tags, and the question before."""

import pytest

from akjob.control.requests import Done, PauseJob, Refused, RunsStopped
from tests.unit.cli.root import Root

TEXT = 'command = "x"\ntags = [{tags}]\n'
JOBS = {"reports/a": '"x", "y"', "reports/b": '"x"', "other": '"y"'}


@pytest.fixture
def jobs(root: Root) -> Root:
    """Write some jobs, two of them instances of one file."""
    for name in ("reports/a", "reports/b", "other"):
        root.job(name, TEXT.format(tags=JOBS[name]))
    root.job("mail", 'command = "x"\ninstances = ["emea", "apac"]\n')
    return root


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["reports/*"], ["reports/a", "reports/b"]),
        (["*@emea"], ["mail@emea"]),
        (["other", "reports/a", "reports/*"], ["other", "reports/a", "reports/b"]),
        (["--tag", "x"], ["reports/a", "reports/b"]),
        (["--tag", "x", "--tag", "y"], ["reports/a"]),
        (["reports/*", "--tag", "y"], ["reports/a"]),
        (["jobs.d/other.toml", "reports/b"], ["other", "reports/b"]),
    ],
)
def test_the_jobs_that_are_meant(jobs: Root, arguments: list[str], meant: list[str]) -> None:
    """Each once, in the order in which they are named."""
    with jobs.akjobd(lambda _: Done()) as asked:
        result = jobs.akjob("pause", *arguments, "--yes")
    assert result.exit_code == 0
    assert [one.job for one in asked if isinstance(one, PauseJob)] == meant
    assert result.stdout.splitlines() == [f"{name} is paused until `akjob resume {name}`." for name in meant]


@pytest.mark.parametrize("command", ["pause", "resume", "reset", "enable", "disable", "stop"])
def test_several_need_a_yes(jobs: Root, command: str) -> None:
    """Where nobody can be asked nothing is done, and the jobs are named."""
    before = (jobs.paths.jobs_d / "reports" / "a.toml").read_text()
    with jobs.akjobd(lambda _: Done()) as asked:
        result = jobs.akjob(command, "reports/*")
    assert (result.exit_code, asked) == (2, [])
    assert "2 jobs" in result.stderr
    assert "Add --yes. They are reports/a, reports/b." in result.stderr
    assert (jobs.paths.jobs_d / "reports" / "a.toml").read_text() == before


@pytest.mark.parametrize(("said", "exit_code", "count"), [("y\n", 0, 2), ("n\n", 1, 0)])
def test_a_person_is_asked(jobs: Root, monkeypatch: pytest.MonkeyPatch, said: str, exit_code: int, count: int) -> None:
    """With the list of the jobs; a no changes nothing."""
    monkeypatch.setattr("akjob.cli.choosing.can_ask", lambda: True)
    with jobs.akjobd(lambda _: Done()) as asked:
        result = jobs.akjob("resume", "reports/*", given=said)
    assert (result.exit_code, len(asked)) == (exit_code, count)
    assert "  reports/a\n  reports/b\nResume 2 jobs?" in result.stderr


def test_what_names_no_job_is_wrong_usage(jobs: Root) -> None:
    """Nothing at all, a pattern that fits none, a name that no job has."""
    for arguments in ([], ["nope*"], ["--tag", "nope"], ["reports/a", "nope"]):
        assert jobs.akjob("pause", *arguments, "--yes").exit_code == 2


def test_one_that_fails_does_not_keep_the_others(jobs: Root) -> None:
    """They are done, and the exit code says that one was not."""
    refused = Refused(message="reports/a is not paused")
    with jobs.akjobd(lambda one: refused if getattr(one, "job", "") == "reports/a" else Done()) as asked:
        result = jobs.akjob("resume", "reports/*", "--yes")
    assert (result.exit_code, len(asked)) == (1, 2)
    assert result.stdout == "reports/b is resumed.\n"
    assert "reports/a is not paused" in result.stderr


def test_files_of_several_jobs_are_edited(jobs: Root) -> None:
    """Instances in their own tables."""
    assert jobs.akjob("disable", "reports/*", "*@emea", "--yes").exit_code == 0
    assert {line["job"]: line["enabled"] for line in jobs.json("list")} == {
        "mail@apac": True,
        "mail@emea": False,
        "other": True,
        "reports/a": False,
        "reports/b": False,
    }


def test_runs_of_several_jobs_are_stopped(jobs: Root) -> None:
    """A run's id may stand among the names, which are not looked up then."""
    with jobs.akjobd(lambda one: RunsStopped(stopped=(f"run of {one.target}",))):  # type: ignore[attr-defined]
        result = jobs.akjob("stop", "other", "01m85ajw", "--yes")
    assert result.stdout == "stopping run of other\nstopping run of 01m85ajw\n"
