"""What would become of the jobs of a root in a stretch of time: the real decisions, with pretended runs."""

from collections.abc import Mapping, Sequence
from random import Random
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from akjob.config import Config
from akjob.instants import SECOND, from_text
from akjob.ledger import RunColumns
from akjob.query.jobs import Snapshot
from akjob.query.slots import runs_left
from akjob.simulate import Simulation
from akjob.spec.model import JobSpec


class Scenario(Struct, frozen=True, kw_only=True):
    """What is pretended in [from, until): downtimes, jobs or single slots that fail, how long jobs take.

    How long others take is the median of their last runs; with a ``seed`` it is one of them, by chance.
    """

    from_us: int
    until_us: int
    downs: tuple[tuple[int, int], ...] = ()
    failures: tuple[tuple[str, int | None], ...] = ()
    takes: Mapping[str, int] = {}
    seed: int | None = None


def simulate(
    snapshot: Snapshot, config: Config, durations: Mapping[str, Sequence[float]], scenario: Scenario
) -> list[RunColumns]:
    """Return the rows, in the order of slots. ``durations`` are those of the last runs of each job, in seconds.

    Pauses that hold now go on, ``runs`` counts what was started so far. The same arguments give the same rows.
    """
    simulation = Simulation(
        [_with_runs_left(snapshot, spec) for spec in snapshot.jobset.jobs.values()],
        scenario.from_us - 1,  # a job is due after the instant at which it is loaded
        max_running=config.max_running,
        takes=lambda job, slot_us: _takes(job, slot_us, durations.get(job, ()), scenario),
    )
    for name in snapshot.jobset.jobs:
        pause = snapshot.job(name).pause
        if pause is not None:
            simulation.pause(name, pause.until_us, pause.reason, pause.by)
    for down in scenario.downs:
        simulation.down(*down)
    for job, slot_us in scenario.failures:
        simulation.fail(job, slot_us)
    simulation.run(scenario.until_us - 1)
    return [row for row in simulation.rows() if scenario.from_us <= from_text(row["slot"]) < scenario.until_us]


def _with_runs_left(snapshot: Snapshot, spec: JobSpec) -> JobSpec:
    left = runs_left(spec, snapshot.rows.get(spec.name))
    if left == 0:
        return replace(spec, enabled=False)
    return replace(spec, runs=left)


def _takes(job: str, slot_us: int, samples: Sequence[float], scenario: Scenario) -> int | None:
    if job in scenario.takes:
        return scenario.takes[job]
    if not samples:
        return None
    if scenario.seed is None:
        return round(median(samples) * SECOND)
    chance = Random(f"{scenario.seed} {job} {slot_us}")  # noqa: S311 - repeatable, not secret
    return round(chance.choice(samples) * SECOND)
