"""`akjob plan`: the slots of jobs, patterns, files and commits, and the hours that they add up to."""

import msgspec
import pytest

from tests.unit.cli.root import NOW_US, Root

HOURLY = 'command = "x"\n[schedule]\nevery = "1h"\n'
MINUTE_US = 60_000_000


def test_plan_has_the_documented_keys(root: Root) -> None:
    """The slots of a day in order; what a run takes is the median of those that succeeded."""
    spec = root.job("tick", HOURLY)
    assert spec is not None
    root.loaded(spec)
    for number, took in enumerate((3, 5, 4)):
        start = NOW_US - (number + 1) * 60 * MINUTE_US
        end = start + took * 1_000_000
        root.run(f"r{number}", "tick", -60 * (number + 1), state="succeeded", started_us=start, ended_us=end)
    found = root.json("plan")
    assert len(found) == 24
    at = "2026-03-28T12:00:00.000000Z"
    assert found[0] == {"slot": at, "job": "tick", "starts_at": at, "expected_s": 4.0}


def test_plan_summary_has_the_documented_keys(root: Root) -> None:
    """An object for each hour."""
    root.job("tick", HOURLY)
    found = root.json("plan", "--from", "2026-03-29T00:00:00Z", "--until", "3h", "--summary")
    assert found[0] == {"hour": "2026-03-29T00:00:00.000000Z", "slots": 1, "peak": 1, "jobs": 1}
    assert len(found) == 3


def test_plan_of_some_jobs(root: Root) -> None:
    """By name and by pattern; a name that fits none is wrong usage."""
    for name in ("reports/a", "reports/b", "other"):
        root.job(name, HOURLY)
    named = ["plan", "--until", "1h", "--json"]
    shown = [msgspec.json.decode(line)["job"] for line in root.akjob(*named, "reports/*").stdout.splitlines()]
    assert shown == ["reports/a", "reports/b"]
    assert root.akjob("plan", "report").exit_code == 2


def test_plan_of_a_file_and_of_a_commit(root: Root) -> None:
    """What is not loaded yet can be planned: a file, which needs no root, and another revision."""
    root.job("tick", HOURLY)
    commit = root.commit()
    root.job("tick", HOURLY.replace("1h", "2h"))
    assert len(root.json("plan")) == 12
    assert len(root.json("plan", "jobs.d/tick.toml")) == 12
    assert len(root.json("plan", "--rev", commit)) == 24


@pytest.mark.parametrize("arguments", [["--until", "91d"], ["--until", "2020-01-01"], ["--from", "soon"]])
def test_plan_of_no_time(root: Root, arguments: list[str]) -> None:
    """At most ninety days, and not none."""
    root.job("tick", HOURLY)
    assert root.akjob("plan", *arguments).exit_code == 2


def test_plan_for_people(root: Root) -> None:
    """The slots, a line a day with a sign an hour, and the peak; 80 columns are enough."""
    root.job("tick", HOURLY)
    lines = root.akjob("plan", "--from", "2026-03-28T22:00:00Z", "--until", "3h").stdout.splitlines()
    assert lines[:2] == ["SLOT                        JOB", "2026-03-28 22:00:00 +00:00  tick"]
    assert lines[5:8] == [
        "DAY         0     3     6     9     12    15    18    21      SLOTS  PEAK",
        "Sat 28 Mar                                              @ @       2     1",
        "Sun 29 Mar  @                                                     1     1",
    ]
    assert lines[-1] == "3 slots; at most 1 run at once, in the hour of 2026-03-28 22:00:00 +00:00."
    assert max(map(len, lines)) <= 80


def test_more_slots_than_a_plan_holds_are_refused(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted first: by ``runs``, by ``again_after`` and up to the end; disabled jobs are not."""
    monkeypatch.setattr("akjob.query.plan.MOST_SLOTS", 100)
    root.job("a", 'command = "x"\n[schedule]\nevery = "15m"\n')
    root.job("b", 'command = "x"\n[schedule]\nevery = "1s"\n[limits]\nruns = 2\n')
    root.job("c", 'command = "x"\n[schedule]\nagain_after = "12h"\n')
    root.job("d", 'command = "x"\nenabled = false\n[schedule]\nevery = "1s"\n')
    assert root.akjob("plan", "--until", "1d", "--summary").exit_code == 0
    done = root.akjob("plan", "--until", "1d", "--json", "--from", "2026-03-28T00:00:00Z", "--until", "30h")
    assert done.exit_code == 2
    assert "there are 124 slots in this time, and a plan holds 100" in done.output
    assert "Give a nearer --until, or name some of the jobs." in done.output
