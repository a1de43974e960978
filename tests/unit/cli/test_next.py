"""`akjob next`: the slots of jobs and of files, to the letter."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from akjob.cli import cli
from tests.unit.cli.root import NOW_US, Root

BERLIN = 'command = "x"\n[schedule]\ntimezone = "Europe/Berlin"\ndaily = 02:30:00\n'
HOUR_US = 3_600_000_000


def test_slots_are_written_in_the_job_s_time_zone(root: Root) -> None:
    """The hour that does not exist, the offset before and behind it, exactly these two keys."""
    root.job("reports/nightly", BERLIN)
    assert root.json("next", "reports/nightly", "--after", "2026-03-28T00:00:00+01:00", "-n", "3") == [
        {
            "job": "reports/nightly",
            "next": ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        }
    ]


def test_after_is_exclusive_and_defaults_to_now(root: Root) -> None:
    """A slot at TIME itself is over."""
    root.job("tick", 'command = "x"\n[schedule]\nevery = "1h"\n')
    at = "2026-03-28T13:00:00Z"
    assert root.json("next", "tick", "--after", at, "-n1")[0]["next"] == ["2026-03-28T14:00:00+00:00"]
    assert root.json("next", "tick", "--count", "1")[0]["next"] == ["2026-03-28T13:00:00+00:00"]


def test_many_arguments_are_answered_in_their_order(root: Root) -> None:
    """One line for each argument, jobs and files mixed, twice where it is given twice; a file is named by its stem."""
    root.job("b", BERLIN)
    root.job("sub/a", 'command = "x"\n')
    names = [line["job"] for line in root.json("next", "b", "jobs.d/sub/a.toml", "sub/a", "b")]
    assert names == ["b", "a", "sub/a", "b"]


def test_without_names_all_jobs(root: Root) -> None:
    """In the order of their names as JSON, for people in the order in which they are due."""
    root.job("b", 'command = "x"\n[schedule]\nevery = "1h"\n')
    root.job("a", BERLIN)
    root.job("hand", 'command = "x"\n')
    assert [line["job"] for line in root.json("next")] == ["a", "b", "hand"]
    assert root.akjob("next").stdout.splitlines() == [
        "NEXT                                 JOB",
        "2026-03-28 13:00:00 +00:00  in 1 h   b",
        "2026-03-29 03:00:00 +02:00  in 13 h  a",
        "no fixed time                        hand  by hand only",
    ]


def test_a_schedule_that_ends_gives_fewer(root: Root) -> None:
    """What is over is over, and nothing is made up."""
    root.job("once", 'command = "x"\n[schedule]\nat = [2026-03-28T11:00:00Z, 2026-03-28T13:00:00Z]\n')
    root.job("never", 'command = "x"\n')
    assert root.json("next", "once")[0]["next"] == ["2026-03-28T13:00:00+00:00"]
    assert root.json("next", "never") == [{"job": "never", "next": []}]


def test_a_job_without_a_calendar_names_its_events(root: Root) -> None:
    """In place of a time; a job whose instants are over is never due again, and a JSON list is empty."""
    root.job("boot", 'command = "x"\n[schedule]\non_boot = true\nafter = "hand"\n')
    root.job("hand", 'command = "x"\n')
    root.job("over", 'command = "x"\n[schedule]\nat = 2026-03-28T11:00:00Z\n')
    root.job("mixed", 'command = "x"\n[schedule]\nat = 2026-03-28T11:00:00Z\non_start = true\n[limits]\nruns = 3\n')
    assert root.akjob("next").stdout.splitlines() == [
        "NEXT           JOB",
        "no fixed time  boot   once after each boot of the machine; after hand has succeeded",
        "no fixed time  hand   by hand only",
        "no fixed time  mixed  each time akjobd starts",
        "never          over",
    ]
    assert root.akjob("next", "boot").stdout.splitlines()[1:] == [
        "  once after each boot of the machine; after hand has succeeded"
    ]
    assert root.json("next", "boot") == [{"job": "boot", "next": []}]


def test_runs_cuts_the_list_by_what_was_started(root: Root) -> None:
    """Of five runs two were started: three are left; of a file none was started."""
    spec = root.job("five", 'command = "x"\n[schedule]\nevery = "1h"\n[limits]\nruns = 5\n')
    assert spec is not None
    root.loaded(spec, runs_started=2)
    assert len(root.json("next", "five", "-n", "9")[0]["next"]) == 3
    assert len(root.json("next", "jobs.d/five.toml", "-n", "9")[0]["next"]) == 5


def test_again_after_counts_as_if_each_run_ended_at_once(root: Root) -> None:
    """From the last end where there was one, from now on in a file."""
    spec = root.job("again", 'command = "x"\n[schedule]\nagain_after = "40m"\n')
    assert spec is not None
    root.loaded(spec, again_from_us=NOW_US - HOUR_US // 2)
    assert root.json("next", "again", "-n2")[0]["next"] == ["2026-03-28T12:10:00+00:00", "2026-03-28T12:50:00+00:00"]
    late = root.json("next", "again", "-n1", "--after", "2026-03-28T13:00:00Z")
    assert late[0]["next"] == ["2026-03-28T13:30:00+00:00"]
    assert root.json("next", "jobs.d/again.toml", "-n1")[0]["next"] == ["2026-03-28T12:40:00+00:00"]


def test_on_start_is_not_shown(root: Root) -> None:
    """Nobody knows when akjobd will start."""
    root.job("start", 'command = "x"\n[schedule]\non_start = true\non_boot = true\n')
    assert root.json("next", "start") == [{"job": "start", "next": []}]


def test_disabled_and_paused_jobs_are_shown_too(root: Root) -> None:
    """When they would be due, with a word on why they won't start."""
    spec = root.job("off", "enabled = false\n" + BERLIN)
    paused = root.job("paused", BERLIN)
    assert spec is not None
    assert paused is not None
    root.loaded(paused, paused_at_us=NOW_US - 1)
    assert len(root.json("next", "off", "paused")[1]["next"]) == 5
    out = root.akjob("next", "off", "paused", "-n1").stdout
    assert out.splitlines()[0] == "off  (disabled)"
    assert out.splitlines()[2] == "paused  (paused)"
    assert "  Sun  2026-03-29 03:00:00 +02:00  in 13 h" in out


@pytest.mark.usefixtures("root")
def test_a_file_needs_no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of any root its zone is UTC unless it says another."""
    file = tmp_path / "draft.toml"
    file.write_text('command = "x"\n[schedule]\ndaily = 06:00:00\n')
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, ["next", str(file), "draft.toml", "-n1", "--json"])
    assert result.exit_code == 0
    assert result.stdout == '{"job":"draft","next":["2026-03-29T06:00:00+00:00"]}\n' * 2


def test_a_file_below_jobs_d_has_the_defaults_of_its_root(root: Root) -> None:
    """The nearest _defaults.toml wins over those above and over etc/akjob.toml."""
    root.paths.etc.mkdir()
    root.paths.config_file.write_text('timezone = "America/New_York"\n')
    root.job("a", 'command = "x"\n[schedule]\ndaily = 06:00:00\n')
    root.job("sub/b", 'command = "x"\n[schedule]\ndaily = 06:00:00\n')
    (root.paths.jobs_d / "sub" / "_defaults.toml").write_text('[schedule]\ntimezone = "Asia/Tokyo"\n')
    found = root.json("next", "jobs.d/a.toml", "jobs.d/sub/b.toml", "-n1")
    assert [line["next"][0][-6:] for line in found] == ["-04:00", "+09:00"]


def test_a_broken_file_is_answered_too_and_said(root: Root) -> None:
    """Its line has no slots, the error goes to standard error, the exit code is 1."""
    root.job("good", BERLIN)
    (root.paths.jobs_d / "bad.toml").write_text("command = 1\n")
    result = root.akjob("next", "jobs.d/bad.toml", "good", "-n1", "--json")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == '{"job":"bad","next":[]}'
    assert '"good"' in result.stdout.splitlines()[1]
    assert "jobs.d/bad.toml:1:" in result.stderr
    assert root.akjob("next").exit_code == 0


def test_a_mistake_that_costs_many_jobs_is_said_once(root: Root) -> None:
    """For all jobs, with their number; each of them is shown as broken."""
    for number in range(5):
        root.job(f"sub/job{number}", BERLIN)
    root.job("sub/_defaults", '[run]\ntimeout = "5 minutes"\n')
    root.job("bad", "command = 1\n")
    result = root.akjob("next")
    assert result.exit_code == 0
    assert result.stderr.count("5 minutes") == 1
    assert "  5 jobs: sub/job0, sub/job1, sub/job2 and 2 more; each refused " in result.stderr
    assert "\n6 jobs broken: `akjob validate` says why.\n" in result.stderr
    assert len(result.stderr.splitlines()) == 5
    assert result.stdout.count("broken") == 6


def test_what_is_not_there_is_wrong_usage(root: Root) -> None:
    """Unknown names come with the nearest ones, times without offset with how to write them."""
    root.job("reports/nightly", BERLIN)
    unknown = root.akjob("next", "nightly")
    assert unknown.exit_code == 2
    assert "Did you mean reports/nightly?" in unknown.stderr
    assert root.akjob("next", "no/such.toml").exit_code == 2
    for text in ("2026-03-28T00:00:00", "tomorrow", "2026-13-01T00:00:00Z"):
        wrong = root.akjob("next", "--after", text)
        assert wrong.exit_code == 2
        assert "2026-03-29T02:00:00+01:00" in wrong.stderr
