"""``after``: other jobs' ends.

An end that fits is kept with the job that waits for it until a slot uses it: its *part* of what the job waits for. With
one job, or with the mode "any", an end is all that it takes.
"""

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter

import msgspec

from akjob.ledger.model import EndMeaning, Occurrence, UpstreamEnd
from akjob.schedule.events import After
from akjob.sources.kind import NOTHING, Kind
from akjob.spec.model import JobSpec

PART = "after-part:"
"""What the key of a part begins with; the upstream job's name follows, so that a later end replaces an earlier one."""


class AfterEnd(Kind):
    """The ends of other jobs."""

    part = PART

    def __init__(self) -> None:
        super().__init__(After)

    def joins(self, spec: JobSpec) -> bool:
        """Return True if an end of each of the jobs is waited for."""
        after = spec.schedule.event(After)
        return after is not None and after.mode == "all" and len(after.jobs) > 1

    def on_end(self, spec: JobSpec, parts: Mapping[str, Occurrence], ended: UpstreamEnd) -> EndMeaning:
        """Return what an end means for the job."""
        after = spec.schedule.event(After)
        return NOTHING if after is None else answer(spec.name, after, parts, ended)

    def survives(self, spec: JobSpec, occurrence: Occurrence) -> bool:
        """Return True if the job still runs after the job whose end it was, or after any with several."""
        after = spec.schedule.event(After)
        if after is None:
            return False
        if occurrence.key.startswith(PART):
            return occurrence.key.removeprefix(PART) in after.jobs
        return any(job in after.jobs for job in upstream_runs(occurrence.cause))


def answer(name: str, after: After, parts: Mapping[str, Occurrence], ended: UpstreamEnd) -> EndMeaning:
    """Return what the end of one of the jobs in ``after`` means; ``parts`` are the fitting ends so far, by job."""
    fits = ended.state in after.on
    others = [job for job in after.jobs if job != ended.job] if after.mode == "all" else []
    kept = [parts[job] for job in others if job in parts]
    complete = len(kept) == len(others) and all(_is_fresh(part, after, ended) for part in kept)
    if not complete:
        return EndMeaning(what="keep", occurrence=_part(name, ended)) if fits else NOTHING
    used = (*kept, *([parts[ended.job]] if after.mode == "all" and ended.job in parts else ()))
    ends = [*kept, _part(name, ended)] if fits else [_part(name, ended)]
    return EndMeaning(what="due" if fits else "misfit", occurrence=_together(name, after, ends, ended), used=used)


def upstream_runs(cause: str | None) -> dict[str, str]:
    """Return the runs after which a run was due, by job; none for a run of another trigger."""
    runs: dict[str, str] = msgspec.json.decode(cause).get("after", {}) if cause else {}
    return runs


def circles(upstreams: Mapping[str, Collection[str]]) -> list[tuple[str, ...]]:
    """Return the circles of jobs that wait for each other, each in the order of its jobs' ends."""
    left = {job: set(jobs) for job, jobs in upstreams.items()}
    found: list[tuple[str, ...]] = []
    while True:
        try:
            TopologicalSorter(left).prepare()
        except CycleError as error:
            circle: list[str] = error.args[1][:-1]
            found.append(tuple(circle))
            for job in circle:
                left[job] -= set(circle)
        else:
            return found


def _is_fresh(part: Occurrence, after: After, ended: UpstreamEnd) -> bool:
    return after.within_us is None or ended.at_us - part.at_us <= after.within_us


def _part(name: str, ended: UpstreamEnd) -> Occurrence:
    return Occurrence(
        job=name,
        key=PART + ended.job,
        at_us=ended.at_us,
        trigger="after",
        slot_us=ended.slot_last_us,
        cause=_cause({ended.job: ended.run}),
    )


def _together(name: str, after: After, ends: list[Occurrence], ended: UpstreamEnd) -> Occurrence:
    """Return the one occurrence that several ends come to; its slot is the latest of theirs."""
    runs = {job: run for end in ends for job, run in upstream_runs(end.cause).items()}
    return Occurrence(
        job=name,
        key=f"{After.key}:{ended.run}:{ended.slot_last_us}",
        at_us=ended.at_us,
        trigger="after",
        slot_us=max(end.slot for end in ends),
        cause=_cause({job: runs[job] for job in after.jobs if job in runs}),
    )


def _cause(runs: Mapping[str, str]) -> str:
    return msgspec.json.encode({"after": runs}).decode()
