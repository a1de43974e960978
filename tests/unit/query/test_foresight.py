"""What the rows of a simulation come to."""

from akjob.instants import HOUR, MINUTE, from_text
from akjob.query.foresight import COLUMNS, Outlook, outlook
from akjob.query.scenarios import Scenario
from akjob.simulate import Simulator
from akjob.spec.model import JobSpec
from tests.unit.world import job

END = "2026-03-29T03"
HALF = MINUTE // 2
BEGIN = from_text("2026-03-29T00:00:00Z")


def seen(
    *specs: JobSpec, hours: int = 6, takes: dict[str, int] | None = None, down: tuple[int, int] = (0, 0)
) -> Outlook:
    """Simulate some hours of the night in which Berlin's clock goes forward."""
    downs = ((BEGIN + down[0], BEGIN + down[1]),) if down[1] else ()
    scenario = Scenario(from_us=BEGIN, until_us=BEGIN + hours * HOUR, downs=downs)
    simulation = Simulator(specs, BEGIN - 1)
    for name, took in (takes or {}).items():
        simulation.takes(name, took)
    for one in downs:
        simulation.down(*one)
    simulation.run(scenario.until_us - 1)
    return outlook(simulation.rows(), {spec.name: spec for spec in specs}, scenario)


def test_slots_are_counted_by_their_last_attempt() -> None:
    """Retries are none of their own; a stretch counts as many as it stands for."""
    paused = job("b", '[schedule]\nevery = "1m"\n[limits]\nruns = 3\n')
    scenario = Scenario(
        from_us=BEGIN, until_us=BEGIN + 3 * HOUR, downs=((BEGIN + 30 * MINUTE + HALF, BEGIN + 150 * MINUTE + HALF),)
    )
    simulation = Simulator([job("a", '[schedule]\nevery = "1m"\n[run]\nretry = { attempts = 2 }\n'), paused], BEGIN - 1)
    simulation.fail("a")
    simulation.down(*scenario.downs[0])
    simulation.run(scenario.until_us - 1)
    found = outlook([row for row in simulation.rows() if row["slot"] < END], {}, scenario)
    a, b = found.jobs
    assert (a.job, a.slots, a.failed, a.missed, a.made_up) == ("a", 180, 61, 119, 1)
    assert (b.job, b.slots, b.succeeded, b.trouble) == ("b", 3, 3, 0)
    assert (found.totals.slots, found.totals.failed, found.totals.missed) == (183, 61, 119)


def test_the_load_and_its_peak() -> None:
    """Each column has the most that runs, and the most that waits, at once; a long run reaches over many columns."""
    specs = [job(name, '[schedule]\ndaily = 01:00:00\n[run]\nlock = "x"\n') for name in "ab"]
    found = seen(
        *specs,
        job("c", '[schedule]\ndaily = 01:00:00\n[run]\ntimeout = "3h"\n'),
        takes={"a": HOUR, "b": HOUR, "c": 2 * HOUR},
        hours=4,
    )
    assert (found.peak, found.peak_us) == (2, BEGIN + HOUR)
    quarter = COLUMNS // 4
    assert [(one.running, one.waiting) for one in found.load[:: quarter // 2]] == [
        (0, 0), (0, 0), (2, 1), (2, 1), (2, 1), (2, 0), (1, 0), (0, 0),
    ]  # fmt: skip
    (wait,) = [one for one in found.meetings if one.about in {"a", "b"}]
    assert wait.message == "waits 1 time for a lock, a pool, a place or the run before; the longest wait is 1 h"


def test_crowds_and_overlaps() -> None:
    """Who starts with whom, and whose slots meet the run before."""
    found = seen(
        *(job(f"n{number}", "[schedule]\ndaily = 02:00:00\n") for number in range(5)),
        job("slow", '[schedule]\nevery = "30m"\n'),
        takes={"slow": 40 * MINUTE},
    )
    said = {one.about: one.message for one in found.meetings}
    assert said["start together"].startswith("6 jobs start at 2026-03-29 02:00:00 UTC")
    assert said["slow"].startswith("6 slots skipped, the first at 2026-03-29 00:30:00 UTC: run ")


def test_what_missed_does_after_a_downtime() -> None:
    """By job, with the reasons; slots outside of the downtime do not count."""
    found = seen(
        job("all", '[schedule]\nevery = "30m"\n[run]\nmissed = "all"\n'),
        job("none", '[schedule]\nevery = "30m"\n[run]\nmissed = "skip"\n'),
        job("not", "[schedule]\ndaily = 05:30:00\n"),
        down=(MINUTE, 3 * HOUR + MINUTE),
    )
    (down,) = found.downs
    assert (down.made_up, down.missed) == (2, 10)
    assert [(one.about, one.message.partition(" (")[0]) for one in down.jobs] == [
        ("all", "2 made up for, 4 missed"),
        ("none", "0 made up for, 6 missed"),
    ]
    assert "missed_within (1h)" in down.jobs[0].message


def test_the_clock_changes() -> None:
    """A time that does not exist, one that exists twice; what follows elapsed time is not concerned."""
    berlin = '[schedule]\ntimezone = "Europe/Berlin"\n'
    found = seen(
        job("gap", berlin + "daily = [02:15:00, 06:00:00]\n"),
        job("tick", berlin + 'every = "10m"\ncron = "0 * * * *"\n'),
    )
    assert [(one.about, one.message) for one in found.clock] == [
        ("gap", "on 2026-03-29 the clock jumps from 02:00 to 03:00: what falls in between starts at that instant"),
    ]
    begin = from_text("2026-10-25T00:00:00Z")
    spec = job("fold", berlin + "daily = 02:30:00\n")
    scenario = Scenario(from_us=begin, until_us=begin + 6 * HOUR)
    simulation = Simulator([spec], begin - 1)
    simulation.run(scenario.until_us - 1)
    (note,) = outlook(simulation.rows(), {"fold": spec}, scenario).clock
    assert note.message.startswith("02:30:00 exists twice on 2026-10-25: the slot is the first of the two")
