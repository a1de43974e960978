"""The metrics of each job. Written line by line: prometheus_client takes 35 µs a sample, and a job has some fifteen."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct

from akjob.ledger import JobCounters
from akjob.metrics.intervals import Intervals
from akjob.query.jobs import JobView, Snapshot
from akjob.query.visibility import matches

MANY = 2000  # above so many jobs only those with the tag `metrics` have series, unless others are asked for
TAG = "metrics"

Sample = tuple[str, str, float | None]  # what follows the name, the labels as text, the value; None is left out
_NO_COUNTERS = JobCounters()


class Selection(Struct, frozen=True, kw_only=True):
    """Which jobs have series: with this tag, with a name that fits this glob; ``may_see`` is asked of each name."""

    tag: str | None = None
    match: str | None = None
    may_see: Callable[[str], bool] | None = None

    def of(self, snapshot: Snapshot) -> list[JobView]:
        """Return the jobs that are selected; only these are looked at."""
        found = [name for name in snapshot.names() if self.may_see is None or self.may_see(name)]
        tag = TAG if self.tag is None and self.match is None and len(found) > MANY else self.tag
        if self.match is not None:
            found = [name for name in found if matches(self.match, name)]
        if tag is not None:
            specs = snapshot.jobset.jobs
            found = [name for name in found if name in specs and tag in specs[name].tags]
        return [snapshot.job(name) for name in found]


def render_jobs(
    snapshot: Snapshot, counters: Mapping[str, JobCounters], selection: Selection, intervals: Intervals | None = None
) -> bytes:
    """Return the metrics of the selected jobs in Prometheus' text format; ``intervals`` is kept between calls."""
    intervals = Intervals() if intervals is None else intervals
    jobs = [_Job(view, counters, intervals) for view in selection.of(snapshot)]
    lines: list[str] = []
    for name, kind, about, samples in _FAMILIES:
        lines += (f"# HELP {name} {about}", f"# TYPE {name} {kind}")
        lines += (
            f"{name}{suffix}{{{labels}}} {value!r}"
            for job in jobs
            for suffix, labels, value in samples(job)
            if value is not None
        )
    return ("\n".join(lines) + "\n").encode()


class _Job:
    """A job with what is counted of it, and its label."""

    def __init__(self, view: JobView, counters: Mapping[str, JobCounters], intervals: Intervals) -> None:
        self.view = view
        self.label = f'job_name="{_escaped(view.name)}"'
        self.counters = counters.get(view.name, _NO_COUNTERS)
        self._intervals = intervals

    def gap_s(self) -> float | None:
        """Return the expected interval between two successes."""
        view = self.view
        gap = None if view.spec is None else self._intervals.gap_us(view.spec, view.now_us)
        return _seconds(gap)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _seconds(us: int | None) -> float | None:
    return None if us is None else us / 1e6


def _info(job: _Job) -> Iterator[Sample]:
    spec = job.view.spec
    if spec is not None:
        zone, tags, owner = (_escaped(text) for text in (spec.schedule.zone, ",".join(spec.tags), spec.owner or ""))
        yield "", f'{job.label},timezone="{zone}",tags="{tags}",owner="{owner}"', 1.0


def _outcomes(job: _Job) -> Iterator[Sample]:
    counters = job.counters
    for outcome, number in (("ran", counters.ran), ("skipped", counters.skipped), ("missed", counters.missed)):
        yield "", f'{job.label},outcome="{outcome}"', float(number)


def _durations(job: _Job) -> Iterator[Sample]:
    yield "_sum", job.label, job.counters.run_s
    yield "_count", job.label, float(job.counters.runs)


def _one(value: Callable[[_Job], float | None]) -> Callable[[_Job], Iterable[Sample]]:
    return lambda job: (("", job.label, value(job)),)


# Name, kind, help, and the samples of one job.
_FAMILIES: tuple[tuple[str, str, str, Callable[[_Job], Iterable[Sample]]], ...] = (
    ("akjob_job_info", "gauge", "The job's timezone, tags and owner.", _info),
    (
        "akjob_job_next_slot_timestamp_seconds",
        "gauge",
        "The next slot that will start.",
        _one(lambda job: _seconds(job.view.next_start_us)),
    ),
    (
        "akjob_job_last_success_timestamp_seconds",
        "gauge",
        "When the last run that succeeded ended.",
        _one(lambda job: _seconds(job.counters.last_success_us)),
    ),
    (
        "akjob_job_last_failure_timestamp_seconds",
        "gauge",
        "When the last run that failed, timed out or was lost ended.",
        _one(lambda job: _seconds(job.counters.last_failure_us)),
    ),
    (
        "akjob_job_last_duration_seconds",
        "gauge",
        "How long the last run took.",
        _one(lambda job: job.counters.last_duration_s),
    ),
    (
        "akjob_job_last_peak_memory_bytes",
        "gauge",
        "The peak memory of the last run.",
        _one(lambda job: None if job.counters.last_max_rss_bytes is None else float(job.counters.last_max_rss_bytes)),
    ),
    (
        "akjob_job_consecutive_failures",
        "gauge",
        "How many slots in a row failed, with all their attempts.",
        _one(lambda job: float(job.counters.failures)),
    ),
    ("akjob_job_paused", "gauge", "1 while the job is paused.", _one(lambda job: float(job.view.pause is not None))),
    ("akjob_job_broken", "gauge", "1 while the file is refused.", _one(lambda job: float(job.view.broken is not None))),
    ("akjob_job_running", "gauge", "Runs of the job that are under way.", _one(lambda job: float(job.view.running))),
    (
        "akjob_job_expected_interval_seconds",
        "gauge",
        "The gap between the slots before and after now, by the exact schedule.",
        _one(_Job.gap_s),
    ),
    ("akjob_job_slots_total", "counter", "Slots accounted for.", _outcomes),
    ("akjob_job_run_seconds", "summary", "How long the job's runs took.", _durations),
)
