"""Which jobs wait for which: names that no job has, and circles, over the whole folder."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from akjob.code.static import Finding
from akjob.toml.near import did_you_mean

Upstream = Mapping[str, Mapping[str, str]]
"""The jobs that each job waits for, with the trigger that names them."""


def findings(upstream: Upstream, names: AbstractSet[str]) -> Iterator[tuple[str, Finding]]:
    """Yield what is wrong with it, by job; ``names`` are all jobs."""
    for job, others in sorted(upstream.items()):
        for other, trigger in others.items():
            if other not in names:
                yield job, _unknown(other, trigger, names)
    for job, circle in _circles(upstream):
        around = [*circle, circle[0]]
        shown = " after ".join(around)
        message = f"the jobs wait for each other in a circle: {shown}"
        hint = "give one of them another trigger"
        yield job, Finding(("schedule", upstream[job][around[1]]), "error", "after-circle", message, hint)


def _unknown(name: str, trigger: str, names: AbstractSet[str]) -> Finding:
    instances = sorted(one for one in names if one.partition("@")[0] == name)
    if instances:
        hint = f"its file gives {', '.join(instances[:5])}{', …' if len(instances) > 5 else ''}"  # noqa: PLR2004
        message = f'there is no job "{name}" to run after'
    else:
        hint = "write the name of a job: its path below jobs.d without .toml"
        message = f'there is no job "{name}" to run after' + did_you_mean(name, names, '"')
    return Finding(("schedule", trigger), "error", "after-unknown", message, hint)


def _circles(upstream: Upstream) -> Iterator[tuple[str, list[str]]]:
    """Yield each job that waits for itself, over however many others, with the shortest way round."""
    for job in sorted(upstream):
        way = _way_back(job, upstream)
        if way is not None:
            yield job, way


def _way_back(job: str, upstream: Upstream) -> list[str] | None:
    """Return the jobs on the shortest way from a job back to itself, beginning with it."""
    before: dict[str, str] = {}
    waiting = [job]
    for one in waiting:
        for other in upstream.get(one, ()):
            if other == job:
                way = [one]
                while way[-1] != job:
                    way.append(before[way[-1]])
                return way[::-1]
            if other not in before:
                before[other] = one
                waiting.append(other)
    return None
