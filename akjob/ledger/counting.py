"""What a transition counts: pure, so that every store counts alike.

A slot has one outcome: it ran (its first attempt ended), was skipped (a run cancelled before it started is, too) or
was missed; a row that stands for a stretch counts its slots.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from akjob.ledger.model import JobCounters, Transition

ENDED = ("succeeded", "failed", "timed_out", "cancelled", "lost")
FAILED = ("failed", "timed_out", "lost")
LATENESS_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
LATENESS = "start_lateness_seconds"

Key = tuple[str, tuple[tuple[str, str], ...]]  # a counter's name and its labels


def outcome(one: Transition) -> str | None:
    """Return what became of a slot by this transition: ran, skipped or missed; None when that is not decided by it."""
    if one.to_state in ("skipped", "missed"):
        return one.to_state
    if one.to_state not in ENDED or one.attempt != 1:
        return None
    return "skipped" if one.to_state == "cancelled" and one.detail.duration_s is None else "ran"


def sums(transitions: Iterable[Transition]) -> Mapping[Key, float]:
    """Return by how much these transitions raise each counter."""
    found: Counter[Key] = Counter()
    totals: dict[Key, float] = {}
    for one in transitions:
        if one.kind != "run":
            continue
        became = outcome(one)
        if became is not None:
            found["slots_total", (("outcome", became),)] += one.detail.count
        if one.to_state in ENDED:
            found["runs_total", (("state", one.to_state), ("trigger", one.detail.trigger or "schedule"))] += 1
        elif one.detail.late_s is not None:
            found[f"{LATENESS}_bucket", (("le", bucket(one.detail.late_s)),)] += 1
            totals[f"{LATENESS}_sum", ()] = totals.get((f"{LATENESS}_sum", ()), 0.0) + one.detail.late_s
    return totals | found


def bucket(late_s: float) -> str:
    """Return the upper bound of the one bucket of the histogram that a start falls into."""
    return next((str(bound) for bound in LATENESS_BUCKETS_S if late_s <= bound), "+Inf")


def count_jobs(
    transitions: Iterable[Transition], known: Callable[[str], JobCounters | None]
) -> Mapping[str, JobCounters]:
    """Return the new counters of every job that these transitions count for; ``known`` gives a job's old ones."""
    changed: dict[str, JobCounters] = {}
    for one in transitions:
        if one.kind != "run" or one.job is None or (outcome(one) is None and one.to_state not in ENDED):
            continue
        if one.job not in changed:
            changed[one.job] = known(one.job) or JobCounters()
        _count(changed[one.job], one)
    return changed


def _count(job: JobCounters, one: Transition) -> None:
    became = outcome(one)
    if became is not None:
        setattr(job, became, getattr(job, became) + one.detail.count)
    if one.to_state not in ENDED:
        return
    if one.detail.duration_s is not None:
        job.runs += 1
        job.run_s += one.detail.duration_s
        job.last_duration_s = one.detail.duration_s
        job.last_max_rss_bytes = one.detail.max_rss_bytes
    if one.to_state == "succeeded":
        job.last_success_us, job.failures = one.at_us, 0
    elif one.to_state in FAILED:
        job.last_failure_us = one.at_us
        job.failures += not one.detail.retried
