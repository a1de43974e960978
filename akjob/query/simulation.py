"""What would become of the jobs of a root in a stretch of time: the real decisions, with pretended runs."""

from collections.abc import Mapping, Sequence
from random import Random
from statistics import median

from akjob.agenda.jobs import new_row
from akjob.config import Config
from akjob.config.cluster import places
from akjob.instants import SECOND, from_text, to_text
from akjob.jobset.garbage import without_collections
from akjob.ledger import RunColumns
from akjob.ledger.model import JobRow
from akjob.query.jobs import Snapshot
from akjob.query.scenarios import Scenario
from akjob.simulate import Simulator
from akjob.spec.model import JobSpec


def simulate(
    snapshot: Snapshot,
    config: Config,
    durations: Mapping[str, Sequence[float]],
    scenario: Scenario,
    jobs: Mapping[str, JobSpec] | None = None,
) -> list[RunColumns]:
    """Return the rows, in the order of slots. ``durations`` are those of the last runs of each job, in seconds.

    ``jobs`` are those of another revision; None: those that are loaded.

    akjobd is up at the beginning, and has of each job what the ledger has now: pauses go on, ``runs`` and
    ``again_after`` count on. Nothing runs at the beginning. The same arguments give the same rows.
    """
    with without_collections():  # a year is some million values, none of them in a cycle
        specs = snapshot.jobset.jobs if jobs is None else jobs
        begin_us = scenario.from_us - 1  # a job is due after the instant at which it is loaded
        simulation = Simulator(
            specs.values(),
            begin_us,
            max_running=_most_at_once(config, scenario.machines),
            pools=config.pools,
            takes=lambda job, slot_us: _takes(job, slot_us, durations.get(job, ()), scenario),
            known=[_known(snapshot, spec, begin_us) for spec in specs.values()],
        )
        for down in scenario.downs:
            simulation.down(*down)
        for job, slot_us in scenario.failures:
            simulation.fail(job, slot_us)
        simulation.run(scenario.until_us - 1)
        begin, end = to_text(scenario.from_us), to_text(scenario.until_us)
        return [row for row in simulation.rows() if begin <= row["slot"] < end]


def _most_at_once(config: Config, machines: int | None) -> int | None:
    """Return how many runs so many machines have at once; None: as many as are due."""
    if machines is None:
        return config.max_running
    return machines * places(config.cluster, config.max_running)


def _known(snapshot: Snapshot, spec: JobSpec, begin_us: int) -> JobRow:
    """Return what akjobd has of a job at the beginning: what the ledger has now, every slot before accounted for."""
    row = new_row(spec, begin_us, begin_us)
    kept = snapshot.rows.get(spec.name)
    if kept is None:
        return row
    row.runs_started = kept["runs_started"]
    row.first_loaded_us = min(begin_us, from_text(kept["first_loaded_at"]))
    if kept["again_from"] is not None:
        row.again_from_us = min(begin_us, from_text(kept["again_from"]))
    pause = snapshot.job(spec.name).pause
    if pause is not None:
        row.paused_at_us, row.paused_until_us = pause.since_us, pause.until_us
        row.pause_reason, row.paused_by = pause.reason, pause.by
    return row


def _takes(job: str, slot_us: int, samples: Sequence[float], scenario: Scenario) -> int | None:
    if job in scenario.takes:
        return scenario.takes[job]
    if not samples:
        return None
    if scenario.seed is None:
        return round(median(samples) * SECOND)
    chance = Random(f"{scenario.seed} {job} {slot_us}")  # noqa: S311 - repeatable, not secret
    return round(chance.choice(samples) * SECOND)
