"""What a failed run has in common with others: with those of its own job before it, and with other jobs' failures."""

from collections.abc import Iterable, Sequence
from statistics import median_high

from msgspec import Struct

from akjob.instants import from_text
from akjob.query.runs import Run, took_us


class OtherFailure(Struct, frozen=True, kw_only=True):
    """Another job that failed near the run, and what both have in common."""

    job: str
    run: str
    at_us: int
    same: tuple[str, ...]


class Likeness(Struct, frozen=True, kw_only=True):
    """How a run compares: its time and its memory with the median of the successes, its exit code, other failures.

    ``times_usual`` is its time as a multiple of the median; None without successes. ``code_seen`` counts the failures
    before it that ended alike, among the last ``failures``.
    """

    usual_us: int | None
    times_usual: float | None
    usual_bytes: int | None
    code_seen: int
    failures: int
    others: tuple[OtherFailure, ...]


def likeness_of(run: Run, rows: Iterable[Run], failures: Sequence[Run], others: Iterable[Run], now_us: int) -> Likeness:
    """Return the likeness of a run with its job's newest rows, its job's failures before it, and other jobs'."""
    good = [one for one in rows if one.state == "succeeded"]
    times = [took for one in good if (took := took_us(one, now_us)) is not None]
    sizes = [one.max_rss_bytes for one in good if one.max_rss_bytes is not None]
    usual_us, took = (median_high(times) if times else None), took_us(run, now_us)
    return Likeness(
        usual_us=usual_us,
        times_usual=None if not usual_us or took is None else took / usual_us,
        usual_bytes=median_high(sizes) if sizes else None,
        code_seen=sum((one.exit_code, one.signal) == (run.exit_code, run.signal) for one in failures),
        failures=len(failures),
        others=tuple(_others(run, others)),
    )


def _others(run: Run, others: Iterable[Run]) -> Iterable[OtherFailure]:
    """Yield the newest failure of each other job that has a commit, a host or a node in common with the run."""
    seen = {run.job}
    for one in others:
        pairs = (
            ("commit", one.git_commit, run.git_commit),
            ("host", one.host, run.host),
            ("node", one.node, run.node),
        )
        same = tuple(name for name, its, own in pairs if its is not None and its == own)
        if same and one.job not in seen:
            seen.add(one.job)
            yield OtherFailure(job=one.job, run=one.id, at_us=from_text(one.ended_at or one.slot), same=same)
