"""Jobs folder by folder: each folder with how many jobs it has below it, and the worst of their words. Pure."""

from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from akjob.query.orders import WORST_FIRST


class FolderRow(Struct, frozen=True, kw_only=True):
    """One folder below another: its full name, how many jobs are below it, and how many have which word."""

    name: str
    jobs: int
    states: Mapping[str, int]
    worst: str


class Folded(Struct, frozen=True, kw_only=True):
    """What is in one folder: folders, and jobs of its own. ``name`` is empty for the top."""

    name: str
    folders: tuple[FolderRow, ...]
    jobs: tuple[str, ...]

    @property
    def total(self) -> int:
        """How many jobs are in the folder and below it."""
        return len(self.jobs) + sum(one.jobs for one in self.folders)


def folded(states: Mapping[str, str], folder: str) -> Folded:
    """Return what is in a folder, given the words of all jobs, sorted by name."""
    prefix = f"{folder}/" if folder else ""
    counts: dict[str, Counter[str]] = {}
    own: list[str] = []
    for name, word in states.items():
        if not name.startswith(prefix):
            continue
        inner, slash, _ = name[len(prefix) :].partition("/")
        if slash:
            counts.setdefault(inner, Counter())[word] += 1
        else:
            own.append(name)
    rows = [
        FolderRow(
            name=prefix + inner,
            jobs=found.total(),
            states=found,
            worst=min(found, key=WORST_FIRST.index),
        )
        for inner, found in counts.items()
    ]
    return Folded(name=folder, folders=tuple(rows), jobs=tuple(own))
