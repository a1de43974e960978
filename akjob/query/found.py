"""Which jobs a filter means: by what is kept of all jobs, so that an answer looks only at the jobs it shows."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from akjob.query.jobs import Snapshot
from akjob.query.orders import NEVER, Orders

Names = frozenset[str]


class Traits(Struct, frozen=True, kw_only=True):
    """What the definitions of a job set say that jobs are searched by: names, tags, owners, files."""

    lower: tuple[tuple[str, str], ...]
    """Each job's name in lower case, and as it is; sorted by name."""
    tags: Mapping[str, Names]
    owners: Mapping[str, Names]
    files: Mapping[str, tuple[str, ...]]
    downstreams: Mapping[str, tuple[str, ...]]
    """Of each job that others run after, these others, sorted."""

    def named(self, parts: Iterable[str]) -> list[str]:
        """Return the names that have all parts in them, sorted."""
        left: Sequence[tuple[str, str]] = self.lower
        for part in parts:
            low = part.lower()
            left = [one for one in left if low in one[0]]
        return [name for _, name in left]

    def owned(self, part: str) -> Names:
        """Return the jobs with a part in their owner."""
        return frozenset().union(*(names for owner, names in self.owners.items() if part.lower() in owner))

    def made_of(self, files: Iterable[str]) -> Names:
        """Return the jobs that are made of any of these files, which are below the root."""
        return frozenset().union(*(self.files.get(file, ()) for file in files))


def traits_of(snapshot: Snapshot) -> Traits:
    """Return what jobs are searched by."""
    tags: dict[str, set[str]] = {}
    owners: dict[str, set[str]] = {}
    files: dict[str, list[str]] = {}
    downstreams: dict[str, set[str]] = {}
    for name, spec in snapshot.jobset.jobs.items():
        for tag in spec.tags:
            tags.setdefault(tag, set()).add(name)
        if spec.owner is not None:
            owners.setdefault(spec.owner.lower(), set()).add(name)
        for file in spec.sources:
            files.setdefault(file, []).append(name)
        for upstream in spec.schedule.upstreams:
            downstreams.setdefault(upstream, set()).add(name)
    for name, broken in snapshot.jobset.broken.items():
        for file in broken.sources:
            files.setdefault(file, []).append(name)
    return Traits(
        lower=tuple((_lower(name), name) for name in snapshot.names()),
        tags=_frozen(tags),
        owners=_frozen(owners),
        files={
            file: tuple(names) for file, names in files.items()
        },  # most are of one job: a set takes four times as much
        downstreams={name: tuple(sorted(names)) for name, names in downstreams.items()},
    )


def _lower(name: str) -> str:
    """Return a name in lower case: the name itself, no copy, where it is that already."""
    low = name.lower()
    return name if low == name else low


def _frozen(found: Mapping[str, set[str]]) -> dict[str, Names]:
    return {key: frozenset(names) for key, names in found.items()}


def starting_within(orders: Orders, now_us: int, distance_us: int) -> Names:
    """Return the jobs that start within so long from now."""
    return _up_to(orders.ranked("next"), min(now_us + distance_us, NEVER - 1))


def ended_between(orders: Orders, now_us: int, within_us: int | None, before_us: int | None) -> Names:
    """Return the jobs whose last run ended within so long, and longer ago than so long, where that is given."""
    ranked = orders.ranked("last")  # the newest first: minus the instants
    found = _up_to(ranked, -1 if within_us is None else min(-1, within_us - now_us))
    return found if before_us is None else found - _up_to(ranked, before_us - now_us - 1)


def _up_to(ranked: list[tuple[int, str]], key: int) -> Names:
    return frozenset(name for _, name in ranked[: bisect_right(ranked, (key, "\U0010ffff"))])
