"""What akjobd would do with jobs: its own decisions on a clock that jumps, with runs that are only pretended."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from akjob import simulate
from akjob.config import Config, Paths, load_config
from akjob.errors import AkjobError
from akjob.query.jobs import load as load_root
from akjob.schedule import get_zone
from akjob.spec import JobSpec, parse_job
from akjob.testing.job import TestJob, checked
from akjob.testing.times import Span, Time, instant_of, span_of

Jobs = Iterable[TestJob] | Mapping[str, str] | str | Path


class Simulation:
    """Jobs from ``start`` on: those of a root, TestJobs, or the text of job files by their names.

    Times without an offset are UTC. What is said about the future (``down``, ``fail``, ``takes``) holds from then on;
    ``run`` lets the time pass.
    """

    def __init__(self, jobs: Jobs, start: Time) -> None:
        self._zone = get_zone("UTC")
        self._config = Config()
        specs = self._specs(jobs, start)
        self._simulated = simulate.Simulator(
            specs,
            instant_of(start, self._zone),
            max_running=self._config.max_running,
            pools=self._config.pools,
        )

    def run(self, until: Time) -> "Simulation":
        """Let the time pass until then, that instant included."""
        self._simulated.run(instant_of(until, self._zone))
        return self

    def down(self, a: Time, b: Time) -> None:
        """Let akjobd be down from ``a`` until ``b``; runs that are under way go on."""
        self._simulated.down(instant_of(a, self._zone), instant_of(b, self._zone))

    def fail(self, job: str, slot: Time | None = None, exit_code: int = 1) -> None:
        """Let the runs of a job fail, or only those of one slot."""
        self._simulated.fail(job, None if slot is None else instant_of(slot, self._zone), exit_code)

    def takes(self, job: str, duration: Span) -> None:
        """Let the runs of a job take so long."""
        self._simulated.takes(job, span_of(duration))

    def edit(self, job: str, text: str) -> None:
        """Save a job's file, or a new one."""
        self._simulated.edit(parsed(job, text, self._config))

    def remove(self, job: str) -> None:
        """Delete a job's file."""
        self._simulated.remove(job)

    def pause(self, job: str, until: Time | None = None) -> None:
        """Pause a job, until then or until the end."""
        self._simulated.pause(job, None if until is None else instant_of(until, self._zone))

    def clock_step(self, duration: Span) -> None:
        """Set the wall clock forward, or with a negative timedelta back."""
        self._simulated.clock_step(span_of(duration))

    def rows(self, job: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of all jobs or of one, as ``akjob history --json`` has them, in the order of their slots."""
        return [dict(row) for row in self._simulated.rows(job)]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages that would have been sent so far: ``at``, ``channel``, ``kind`` and ``jobs`` of each.

        Channels are those of the root's settings, and ``[notify]`` is that of each job.
        """
        from akjob.notify.facts import JobFacts  # noqa: PLC0415 - hardly a test asks
        from akjob.notify.replay import replay  # noqa: PLC0415

        self._simulated.rows()  # writes what was gathered
        reader = self._simulated.store.reader()
        facts = JobFacts(self._paths, self._config, reader)
        sent = replay(reader, facts, self._config, 0, self._simulated.now_us)
        return [{**asdict(one), "jobs": list(one.jobs)} for one in sent]

    def _specs(self, jobs: Jobs, start: Time) -> list[JobSpec]:
        if isinstance(jobs, str | Path):
            self._paths = Paths(Path(jobs))
            self._config, _ = load_config(self._paths.config_file)
            snapshot = load_root(self._paths, self._config, instant_of(start, self._zone))
            if snapshot.jobset.broken:
                one = next(iter(snapshot.jobset.broken.values()))
                raise AkjobError(f"{one.file}:{one.line}:{one.column}: {one.message}", hint=one.hint)
            return list(snapshot.jobset.jobs.values())
        if isinstance(jobs, Mapping):
            return [parsed(name, text, self._config) for name, text in jobs.items()]
        return [job.spec for job in jobs]


def parsed(name: str, text: str, config: Config) -> JobSpec:
    """Return what the text of a job file means. Raises AkjobError with everything that is wrong."""
    return checked(parse_job(name, f"jobs.d/{name}.toml", text, config=config))
