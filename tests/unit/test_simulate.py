"""A simulation decides as akjobd does: the same rows as the agenda with a real ledger, whatever is made to happen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.agenda.deciding import Deciding
from akjob.instants import DAY, HOUR, MINUTE, SECOND, to_text
from akjob.ledger import RunColumns
from akjob.simulate import Simulator
from akjob.spec.model import JobSpec
from tests.unit.world import World, close_all, job, us

HOURLY = '[schedule]\ncron = "0 * * * *"\n'
START = us("10:30:00")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what the test has opened."""
    yield
    close_all()


def simulated(*specs: JobSpec) -> Simulator:
    """Return a simulation that begins at half past ten."""
    return Simulator(specs, START)


def told(simulation: Simulator, name: str | None = None) -> list[tuple[str, str, str, int]]:
    """Return time of the slot, state, trigger and attempt of every row."""
    return [(row["slot"][11:19], row["state"], row["trigger"], row["attempt"]) for row in simulation.rows(name)]


def test_it_has_the_rows_of_the_agenda_with_a_real_ledger(tmp_path: Path) -> None:
    """The same jobs, outcomes and time: the same rows, but for ids."""
    specs = [
        job("a", '[schedule]\nevery = "7m"\n[run]\nlock = "x"\n'),
        job("b", '[schedule]\ncron = "*/5 * * * *"\njitter = "4m"\n[run]\nlock = "x"\noverlap = "queue"\n'),
        job("c", '[schedule]\nagain_after = "11m"\n'),
        job("d", "[schedule]\non_start = true\n"),
    ]
    world = World(tmp_path, *specs, now=START)
    world.until("16:00:00", lasts_us=MINUTE)
    simulation = Simulator(specs, START)
    for spec in specs:
        simulation.takes(spec.name, MINUTE)
    simulation.run(us("16:00:00"))
    keys = ("job", "slot", "attempt", "trigger", "state", "reason", "count", "queued_at", "started_at", "ended_at")
    expected = [{key: row[key] for key in keys} for row in world.rows()]  # type: ignore[literal-required]
    found = [{key: row[key] for key in keys} for row in simulation.rows()]  # type: ignore[literal-required]
    assert len(found) > 100
    assert found == sorted(expected, key=lambda row: (row["slot"], row["job"], row["attempt"]))


def test_an_ordinary_decision_is_what_all_rules_come_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most decisions are made by a shorter way; asked all rules each time, the rows are the same, to the last value."""
    specs = [
        job("plain", '[schedule]\nevery = "7m"\n'),
        job("long", '[schedule]\ncron = "*/5 * * * *"\n'),
        job("side-by-side", '[schedule]\ncron = "30,31,32 * * * *"\n[run]\noverlap = "allow"\n'),
        job("spread", '[schedule]\ncron = "*/6 * * * *"\njitter = "4m"\n[run]\nlead = "2m"\n'),
        job("locked", '[schedule]\nevery = "3m"\n[run]\nlock = "x"\noverlap = "queue"\n'),
        job("locked-too", '[schedule]\nevery = "4m"\n[run]\nlock = "x"\nmissed = "all"\nmissed_within = "1d"\n'),
        job("limited", '[schedule]\nevery = "11m"\n[limits]\nhours = { from = 11:00:00, until = 15:00:00 }\n'),
        job("thrice", '[schedule]\nevery = "9m"\n[limits]\nruns = 3\n'),
        job("fails", '[schedule]\nevery = "30m"\n[run.retry]\nattempts = 2\n'),
    ]

    def rows() -> list[RunColumns]:
        simulation = Simulator(specs, START, max_running=5)
        simulation.takes("long", 7 * MINUTE)
        simulation.takes("side-by-side", 12 * MINUTE)
        simulation.takes("locked", MINUTE)
        simulation.fail("fails")
        simulation.down(us("13:01:00"), us("14:07:00"))
        simulation.run(us("12:00:00"))
        simulation.pause("plain", us("12:40:00"))
        simulation.run(us("18:00:00"))
        return simulation.rows()

    shorter = rows()
    monkeypatch.setattr(Deciding, "_is_ordinary", lambda *_: False)
    assert len(shorter) > 300
    assert shorter == rows()


def test_the_same_call_gives_the_same_rows() -> None:
    """Ids too."""
    both = [simulated(job("a", HOURLY)), simulated(job("a", HOURLY))]
    for simulation in both:
        simulation.run(us("20:00:00"))
    assert both[0].rows() == both[1].rows()
    assert len(both[0].rows()) == 10


def test_a_downtime() -> None:
    """Runs go on without akjobd; what it missed is accounted for when it is back, as each job's ``missed`` says."""
    simulation = simulated(job("a", HOURLY), job("b", '[schedule]\ncron = "55 * * * *"\n'))
    simulation.takes("b", 20 * MINUTE)
    simulation.down(us("11:00:00") - MINUTE, us("13:30:00"))
    simulation.run(us("14:00:00"))
    assert told(simulation, "a") == [
        ("11:00:00", "missed", "schedule", 1),
        ("12:00:00", "missed", "schedule", 1),
        ("13:00:00", "succeeded", "missed", 1),
        ("14:00:00", "running", "schedule", 1),
    ]
    first = simulation.rows("b")[0]
    assert (first["slot"][11:16], first["state"], (first["ended_at"] or "")[11:16]) == ("10:55", "succeeded", "11:15")


def test_failures_are_retried() -> None:
    """A slot that is to fail fails in each attempt, and no other."""
    simulation = simulated(job("a", HOURLY + '[run]\nretry = { attempts = 2, delay = "1m" }\n'))
    simulation.fail("a", us("11:00:00"), exit_code=3)
    simulation.run(us("12:30:00"))
    assert told(simulation) == [
        ("11:00:00", "failed", "schedule", 1),
        ("11:00:00", "failed", "retry", 2),
        ("12:00:00", "succeeded", "schedule", 1),
    ]
    assert simulation.rows()[0]["exit_code"] == 3


def test_a_run_that_takes_too_long_is_timed_out() -> None:
    """With the reason that akjobd gives; slots that it meets are skipped."""
    simulation = simulated(job("a", '[schedule]\nevery = "10m"\n[run]\ntimeout = "15m"\n'))
    simulation.takes("a", HOUR)
    simulation.run(us("10:58:00"))
    rows = simulation.rows()
    assert [row["state"] for row in rows] == ["timed_out", "skipped", "running"]
    assert rows[0]["reason"] == "still running after its timeout of 900 s"


def test_edits_removals_and_pauses() -> None:
    """What is done to a job holds from that instant on."""
    simulation = simulated(job("a", HOURLY), job("b", HOURLY), job("c", HOURLY))
    simulation.run(us("11:30:00"))
    simulation.edit(job("a", '[schedule]\ncron = "45 * * * *"\n'))
    simulation.remove("b")
    simulation.pause("c", us("12:30:00"), "disk", "ann")
    simulation.edit(job("d", HOURLY))
    simulation.run(us("13:10:00"))
    assert [slot for slot, *_ in told(simulation, "a")] == ["11:00:00", "11:45:00", "12:45:00"]
    assert [slot for slot, *_ in told(simulation, "b")] == ["11:00:00"]
    assert [state for _, state, *_ in told(simulation, "c")] == ["succeeded", "skipped", "succeeded"]
    assert [slot for slot, *_ in told(simulation, "d")] == ["12:00:00", "13:00:00"]


def test_a_clock_that_is_set_back_starts_nothing_twice() -> None:
    """A run under way takes as long as before, and no slot is due again."""
    simulation = simulated(job("a", HOURLY))
    simulation.takes("a", 10 * MINUTE)
    simulation.run(us("12:05:00"))
    simulation.clock_step(-90 * MINUTE)
    simulation.run(us("13:30:00"))
    assert [(slot, state) for slot, state, *_ in told(simulation)] == [
        ("11:00:00", "succeeded"),
        ("12:00:00", "succeeded"),
        ("13:00:00", "succeeded"),
    ]


def test_a_clock_that_jumps_ahead_is_a_downtime() -> None:
    """Suspend, or a clock that is set: the latest slot of the time between is made up for."""
    simulation = simulated(job("a", HOURLY))
    simulation.clock_step(2 * HOUR + 30 * MINUTE)
    simulation.run(us("13:30:00"))
    assert told(simulation) == [
        ("11:00:00", "missed", "schedule", 1),
        ("12:00:00", "missed", "schedule", 1),
        ("13:00:00", "succeeded", "schedule", 1),
    ]


def test_places_are_given_as_akjobd_gives_them() -> None:
    """With one place the runs go one after another, the oldest slot first."""
    specs = [job(name, HOURLY) for name in ("a", "b", "c")]
    simulation = Simulator(specs, START, max_running=1, takes=lambda _job, _slot: 60 * SECOND)
    simulation.run(us("11:30:00"))
    assert sorted((row["started_at"] or "")[11:16] for row in simulation.rows()) == ["11:00", "11:01", "11:02"]


def test_a_year_of_many_jobs() -> None:
    """Through both DST changes each daily slot of a hundred jobs has its row, and no other."""
    specs = [
        job(f"j{n}", f'[schedule]\ntimezone = "Europe/Berlin"\ncron = "{n % 60} {n % 24} * * *"\n') for n in range(100)
    ]
    begin = us("2026-01-01T00:00:00Z")
    simulation = Simulator(specs, begin)
    simulation.run(begin + 365 * DAY)
    rows = simulation.rows()
    assert len(rows) == 36_500
    assert {row["state"] for row in rows} == {"succeeded"}
    assert max(row["slot"] for row in rows) <= to_text(begin + 365 * DAY)
