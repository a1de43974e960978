"""`akjob simulate`: what would become of the slots of a root."""

import pytest

from tests.unit.cli.root import NOW_US, Root

HOURLY = 'command = "x"\n[schedule]\nevery = "1h"\n'
HOUR_US = 3_600_000_000


@pytest.fixture
def jobs(root: Root) -> Root:
    """Write a job whose runs took three minutes, and an instance."""
    spec = root.job("tick", HOURLY + '[run]\ntimeout = "2h"\n')
    assert spec is not None
    root.loaded(spec)
    for number, took in enumerate((170, 180, 190)):
        start = NOW_US - (number + 1) * HOUR_US
        end = start + took * 1_000_000
        root.run(f"r{number}", "tick", -60 * (number + 1), state="succeeded", started_us=start, ended_us=end)
    root.job("mail", 'command = "x"\n[schedule]\nevery = "1h"\n[instances.emea]\n')
    return root


def told(root: Root, *arguments: str) -> list[tuple[str, str]]:
    """Return the hour and the state of the rows of ``tick``."""
    return [(row["slot"][11:13], row["state"]) for row in root.json("simulate", *arguments) if row["job"] == "tick"]


def test_rows_are_those_of_history(jobs: Root) -> None:
    """From the beginning, which counts, until the end, which does not; runs take the median."""
    rows = jobs.json("simulate", "--from", "2026-03-28T12:00:00Z", "--until", "3h")
    assert list(rows[0]) == list(jobs.json("history")[0])
    assert [(row["slot"][11:13], row["job"]) for row in rows] == [
        ("12", "mail@emea"), ("12", "tick"), ("13", "mail@emea"), ("13", "tick"), ("14", "mail@emea"), ("14", "tick"),
    ]  # fmt: skip
    assert rows[1]["ended_at"] == "2026-03-28T12:03:00.000000Z"


def test_the_same_call_gives_the_same_rows(jobs: Root) -> None:
    """With a seed too, where runs take what one of the last ones took."""
    seeded = [jobs.json("simulate", "--seed", seed) for seed in ("7", "7", "8")]
    assert seeded[0] == seeded[1] != seeded[2]
    ends = {row["ended_at"][14:19] for row in seeded[0] if row["job"] == "tick" and row["ended_at"]}
    assert ends <= {"02:50", "03:00", "03:10"}


def test_what_is_pretended(jobs: Root) -> None:
    """A downtime, a slot that fails, runs that take long."""
    down = "2026-03-28T12:30:00Z..2026-03-28T14:10:00Z"
    assert told(jobs, "--until", "4h", "--down", down) == [
        ("12", "succeeded"), ("13", "missed"), ("14", "succeeded"), ("15", "succeeded"),
    ]  # fmt: skip
    assert told(jobs, "--until", "2h", "--fail", "tick@2026-03-28T13:00:00Z") == [("12", "succeeded"), ("13", "failed")]
    assert told(jobs, "--until", "3h", "--takes", "tick=70m", "--fail", "mail@emea") == [
        ("12", "succeeded"), ("13", "skipped"), ("14", "running"),
    ]  # fmt: skip


def test_pauses_and_counts_of_today_go_on(root: Root) -> None:
    """A job that is paused or done is so in the simulation too."""
    spec = root.job("tick", HOURLY + "[limits]\nruns = 3\n")
    assert spec is not None
    root.loaded(spec, runs_started=1, paused_at_us=NOW_US - 1, paused_until_us=NOW_US + HOUR_US // 2)
    assert told(root, "--until", "5h") == [("12", "skipped"), ("13", "succeeded"), ("14", "succeeded")]


def test_akjobd_is_up_at_the_beginning(root: Root) -> None:
    """Its start makes nothing due, unless it was down; ``again_after`` counts from the last end in the ledger."""
    for trigger in ("on_start = true", 'on_start = "5m"'):
        root.job("tick", f'command = "x"\n[schedule]\n{trigger}\n')
        assert told(root, "--until", "1h") == []
    down = "2026-03-28T12:30:00Z..2026-03-28T13:10:00Z"
    assert told(root, "--until", "2h", "--down", down) == [("13", "succeeded")]
    spec = root.job("tick", 'command = "x"\n[schedule]\nagain_after = "2h"\n')
    assert spec is not None
    root.loaded(spec, again_from_us=NOW_US - HOUR_US + HOUR_US // 60)
    (row,) = root.json("simulate", "--until", "2h")
    assert row["slot"] == "2026-03-28T13:01:00.000000Z"


def test_pools_hold_and_stop_at_ends_runs(root: Root) -> None:
    """As the settings and the job say: one after another, and none later than that."""
    root.paths.config_file.parent.mkdir()
    root.paths.config_file.write_text("[pools]\ndb = 1\n")
    for name in "ab":
        root.job(name, HOURLY + '[run]\npool = "db"\nstop_at = 12:30:00\n')
    rows = root.json("simulate", "--until", "1h", "--takes", "a=20m", "--takes", "b=20m")
    assert [(row["job"], row["started_at"][11:16], row["ended_at"][11:16], row["state"]) for row in rows] == [
        ("a", "12:00", "12:20", "succeeded"), ("b", "12:20", "12:30", "timed_out"),
    ]  # fmt: skip
    assert rows[1]["reason"] == "still running at 12:30:00, its stop_at"


def test_machines_share_the_runs(root: Root) -> None:
    """So many times what one has at once: max_running, or the slots of [cluster] if they are fewer."""
    root.paths.config_file.parent.mkdir()
    root.paths.config_file.write_text("max_running = 1\n")
    for name in "abc":
        root.job(name, HOURLY)
    takes = [f"--takes={name}=10m" for name in "abc"]

    def starts(*more: str) -> list[str]:
        return [row["started_at"][14:16] for row in root.json("simulate", "--until", "1h", *takes, *more)]

    assert starts() == ["00", "10", "20"]
    assert starts("--machines", "2") == ["00", "00", "10"]
    assert starts("--machines", "3") == ["00", "00", "00"]
    assert root.akjob("simulate", "--machines", "0").exit_code == 2


def test_another_revision(root: Root) -> None:
    """The jobs of a commit, without those that are broken in it, or as their files are now."""
    root.job("tick", HOURLY)
    root.job("bad", "evry = 1\n")
    root.commit()
    root.job("tick", HOURLY.replace("1h", "2h"))
    root.job("new", HOURLY)
    told_then = root.akjob("simulate", "--rev", "HEAD", "--until", "3h", "--json")
    assert told_then.stdout.count('"job":"tick"') == 3
    assert '"job":"new"' not in told_then.stdout
    assert "bad is broken at HEAD, and left out" in told_then.stderr
    assert root.akjob("simulate", "--rev", ".", "--until", "3h", "--json").stdout.count('"job":"new"') == 3
    assert root.akjob("simulate", "--rev", "nope").exit_code == 2
    assert root.akjob("simulate", "--rev", "HEAD", "--fail", "new").exit_code == 2


def test_a_year(jobs: Root) -> None:
    """A simulation may be longer than a plan."""
    assert len(told(jobs, "--until", "365d")) == 365 * 24


@pytest.mark.parametrize(
    "arguments",
    [
        ["--down", "x"],
        ["--down", "5h..2026-03-28T12:00:00Z"],
        ["--fail", "nope"],
        ["--takes", "tick"],
        ["--takes", "nope=3m"],
        ["--until", "2026-03-27T12:00:00Z"],
    ],
)
def test_what_cannot_be_pretended(jobs: Root, arguments: list[str]) -> None:
    """Wrong usage, with how it is written."""
    result = jobs.akjob("simulate", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_simulate_for_people(jobs: Root) -> None:
    """The table of history."""
    out = jobs.akjob("simulate", "--until", "1h").stdout
    assert out.splitlines()[0].split()[:3] == ["SLOT", "JOB", "STATE"]
