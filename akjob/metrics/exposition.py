"""The metrics of a whole root: below 300 lines, however many jobs there are."""

from collections.abc import Iterable, Iterator

from msgspec import UNSET

from akjob import __version__
from akjob.errors import AkjobError
from akjob.ledger.counting import LATENESS, LATENESS_BUCKETS_S
from akjob.metrics.facts import MetricFacts

try:
    from prometheus_client import CollectorRegistry, Metric, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.registry import Collector
except ModuleNotFoundError as missing:  # pragma: no cover - the tests have it
    raise AkjobError(
        f"metrics need the package {missing.name}", hint="install it with `pip install 'akjob[web]'`"
    ) from missing

OUTCOMES = ("ran", "skipped", "missed")
WAITS_FOR = ("lock", "pool", "max_running", "overlap")
STATUSES = ("loaded", "broken", "paused", "disabled", "done")


def render(facts: MetricFacts) -> bytes:
    """Return the metrics of the root in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(facts))
    return generate_latest(registry)


class _Families(Collector):
    """Hands the families to prometheus_client."""

    def __init__(self, facts: MetricFacts) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        """Return all families."""
        facts = self._facts
        return [*_of_akjobd(facts), *_of_jobs(facts), *_of_counters(facts), *_of_messages(facts), *_of_files(facts)]


def _of_akjobd(facts: MetricFacts) -> Iterator[Metric]:
    yield _gauge("akjob_build_info", "The version of akjob.", [(("version", __version__), 1)])
    yield _gauge("akjob_up", "1 while akjobd answers.", [((), float(facts.status is not None))])
    accounted = "All slots before this instant have a row in the ledger."
    yield _gauge("akjob_accounted_until_timestamp_seconds", accounted, [((), facts.accounted_us / 1e6)])
    revision = None if facts.status is None else facts.status.revision
    if revision is not None and revision.git_commit is not None:
        yield _info(
            "akjob_revision_info",
            "The commit that is checked out, and whether the files differ from it.",
            {"git_commit": revision.git_commit, "git_dirty": str(bool(revision.git_dirty)).lower()},
        )
    queued = {} if facts.status is None or facts.status.queued is UNSET else facts.status.queued
    waiting = [(("waits_for", what), float(queued.get(what, 0))) for what in WAITS_FOR]
    yield _gauge("akjob_runs_queued", "Runs that wait, by what they wait for.", waiting)
    running = float(sum(facts.snapshot.running.values()))
    yield _gauge("akjob_runs_running", "Runs that are under way.", [((), running)])


def _of_jobs(facts: MetricFacts) -> Iterator[Metric]:
    counts = dict.fromkeys(STATUSES, 0)
    for job in facts.snapshot.jobs():
        counts["loaded"] += job.spec is not None
        counts["broken"] += job.broken is not None
        counts["disabled"] += job.spec is not None and not job.spec.enabled
        counts["paused"] += job.pause is not None
        counts["done"] += job.done
    about = "Jobs that are loaded, and how many are broken, paused, disabled or done; a job may be several of these."
    yield _gauge("akjob_jobs", about, [(("status", status), float(number)) for status, number in counts.items()])


def _of_counters(facts: MetricFacts) -> Iterator[Metric]:
    of = {(one.name, *sorted(one.labels.values())): one.value for one in facts.counters}
    slots = CounterMetricFamily("akjob_slots", "Slots accounted for.", labels=["outcome"])
    for outcome in OUTCOMES:
        slots.add_metric([outcome], of.get(("slots_total", outcome), 0.0))
    yield slots
    runs = CounterMetricFamily("akjob_runs", "Runs that ended.", labels=["state", "trigger"])
    for one in facts.counters:
        if one.name == "runs_total":
            runs.add_metric([one.labels["state"], one.labels["trigger"]], one.value)
    yield runs
    total, buckets = 0.0, []
    for bound in (*map(str, LATENESS_BUCKETS_S), "+Inf"):
        total += of.get((f"{LATENESS}_bucket", bound), 0.0)
        buckets.append((bound, total))
    lateness = HistogramMetricFamily("akjob_start_lateness_seconds", "How much later than due scheduled runs started.")
    lateness.add_metric([], buckets, of.get((f"{LATENESS}_sum",), 0.0))
    yield lateness


def _of_messages(facts: MetricFacts) -> Iterator[Metric]:
    sent = CounterMetricFamily("akjob_notifications", "Messages, by what became of them.", labels=["channel", "result"])
    for (channel, result), count in sorted(facts.messages.counts.items()):
        sent.add_metric([channel, result], count)
    yield sent
    yield _gauge("akjob_notifications_pending", "Messages that wait to be sent.", [((), float(facts.messages.pending))])


def _of_files(facts: MetricFacts) -> Iterator[Metric]:
    yield _gauge("akjob_ledger_bytes", "The size of the ledger.", [((), float(facts.ledger_bytes))])
    yield _gauge("akjob_log_bytes", "The size of all log files.", [((), float(facts.log_bytes))])


def _gauge(name: str, about: str, samples: Iterable[tuple[tuple[str, str] | tuple[()], float]]) -> Metric:
    samples = list(samples)
    family = GaugeMetricFamily(name, about, labels=[label[0] for label, _ in samples[:1] if label])
    for label, value in samples:
        family.add_metric([label[1]] if label else [], value)
    return family


def _info(name: str, about: str, labels: dict[str, str]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=list(labels))
    family.add_metric(list(labels.values()), 1.0)
    return family
