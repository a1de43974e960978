"""What changes from one side to the other: jobs added, removed, renamed; keys old and new; the next slots."""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from akjob.config import DEFAULTS
from akjob.diff.side import Side
from akjob.errors import Problem
from akjob.instants import to_datetime
from akjob.jobset.names import file_of
from akjob.schedule import Memory, compile_schedule, get_zone, next_slots
from akjob.spec import JobSpec
from akjob.spec.canonical import value_text
from akjob.spec.table import job_table

SLOTS = 5


class KeyChange(Struct, frozen=True):
    """One key, dotted, and its values as TOML text; None where it has its default."""

    key: str
    old: str | None
    new: str | None


class JobChange(Struct, frozen=True, kw_only=True):
    """A job that means something else. The slots are local texts; both are empty when the schedule is the same."""

    job: str
    keys: tuple[KeyChange, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


class Rename(Struct, frozen=True):
    """A job whose name changed: to the ledger it is another job, with a count and a history of its own.

    What else changed in it is a JobChange of the new name.
    """

    old: str
    new: str


class Addition(Struct, frozen=True):
    """A job that was not there, or was refused, and its next slots."""

    job: str
    after: tuple[str, ...]


class RefusedJob(Struct, frozen=True):
    """A job that akjobd would refuse, and why.

    ``keeps`` says that the definition before would go on, ``before`` that it was refused before, for the same reasons.
    """

    job: str
    keeps: bool
    problems: tuple[Problem, ...]
    before: bool = False


class Difference(Struct, frozen=True, kw_only=True):
    """Everything that changes from one side to the other."""

    old: str
    new: str
    added: tuple[Addition, ...]
    repaired: tuple[Addition, ...]
    removed: tuple[str, ...]
    renamed: tuple[Rename, ...]
    changed: tuple[JobChange, ...]
    refused: tuple[RefusedJob, ...]
    problems: tuple[Problem, ...]

    @property
    def is_empty(self) -> bool:
        """Return whether nothing changes."""
        news = any(not one.before for one in self.refused) or bool(self.problems)
        return not (news or self.added or self.repaired or self.removed or self.renamed or self.changed)

    @property
    def is_wrong(self) -> bool:
        """Return whether something of the newer side would be refused, whether it was before or not."""
        return bool(self.refused) or any(problem.severity == "error" for problem in self.problems)


def compare(old: Side, new: Side, now_us: int) -> Difference:
    """Return what changes from ``old`` to ``new``; slots are those after ``now_us``.

    What one side does not show is left out on both, and said.
    """
    unseen = {**old.unseen, **new.unseen}
    old, new = _shown_of(old, unseen), _shown_of(new, unseen)
    names = old.jobs.keys() | old.refused.keys()
    fresh, gone = sorted(new.jobs.keys() - names), sorted(names - new.jobs.keys() - new.refused.keys())
    renamed = _renamed([old.jobs[name] for name in gone if name in old.jobs], [new.jobs[name] for name in fresh])
    before, after = {one.old for one in renamed}, {one.new for one in renamed}
    pairs = [(name, name) for name in old.jobs.keys() & new.jobs.keys()] + [(one.old, one.new) for one in renamed]
    changed = (_job_change(old.jobs[was], new.jobs[name], now_us) for was, name in sorted(pairs, key=itemgetter(1)))
    refused = [
        RefusedJob(name, name in old.jobs, problems, old.refused.get(name) == problems)
        for name, problems in sorted(new.refused.items())
    ]
    errors = (one for one in new.problems if one.severity == "error" and one not in old.problems)
    taken_as_now = (one for one in (*old.problems, *new.problems) if one.code == "not-in-commit")
    return Difference(
        old=old.title,
        new=new.title,
        added=tuple(Addition(name, slot_texts(new.jobs[name], now_us)) for name in fresh if name not in after),
        repaired=tuple(
            Addition(name, slot_texts(new.jobs[name], now_us)) for name in sorted(new.jobs.keys() & old.refused.keys())
        ),
        removed=tuple(name for name in gone if name not in before),
        renamed=tuple(renamed),
        changed=tuple(change for change in changed if change is not None),
        refused=tuple(refused),
        problems=tuple(dict.fromkeys([*errors, *taken_as_now, *unseen.values()])),
    )


def _shown_of(side: Side, unseen: Mapping[str, Problem]) -> Side:
    """Return a side without the jobs whose files, or whose folders, are among what is not seen."""
    if not unseen:
        return side
    hidden = {posixpath.dirname(place) if posixpath.basename(place) == DEFAULTS else place for place in unseen}

    def is_shown(name: str) -> bool:
        path = file_of(name)
        while path and path not in hidden:
            path = posixpath.dirname(path)
        return path not in hidden

    return replace(
        side,
        jobs={name: spec for name, spec in side.jobs.items() if is_shown(name)},
        refused={name: problems for name, problems in side.refused.items() if is_shown(name)},
    )


def _renamed(gone: list[JobSpec], fresh: list[JobSpec]) -> list[Rename]:
    """Pair jobs of the same definition; of several the ones with the same last part of their name, then in order.

    Of those that are left, the one that runs the same code under the same last part of its name is the same job, moved
    to another folder, with its defaults, or edited.
    """
    pairs: list[Rename] = []
    keys: tuple[tuple[Callable[[JobSpec], Any], bool], ...] = (
        (lambda spec: (spec.definition, posixpath.basename(spec.name)), False),
        (lambda spec: spec.definition, False),
        (lambda spec: (spec.code, posixpath.basename(spec.name)), True),
    )
    for key, alone in keys:
        found = list(_paired(gone, fresh, key, alone=alone))
        pairs += found
        before, after = {one.old for one in found}, {one.new for one in found}
        gone = [spec for spec in gone if spec.name not in before]
        fresh = [spec for spec in fresh if spec.name not in after]
    return sorted(pairs, key=lambda one: one.old)


def _paired(
    gone: list[JobSpec], fresh: list[JobSpec], key: Callable[[JobSpec], Any], *, alone: bool
) -> Iterator[Rename]:
    """Yield the jobs of both sides that have the same key, in order; or only where there is one on each side."""
    old, new = _grouped(gone, key), _grouped(fresh, key)
    for value, specs in old.items():
        others = new.get(value, [])
        if not alone or len(specs) == len(others) == 1:
            yield from (Rename(one.name, other.name) for one, other in zip(specs, others, strict=False))


def _grouped(specs: list[JobSpec], key: Callable[[JobSpec], Any]) -> dict[Any, list[JobSpec]]:
    found: dict[Any, list[JobSpec]] = {}
    for spec in specs:
        found.setdefault(key(spec), []).append(spec)
    return found


def _job_change(old: JobSpec, new: JobSpec, now_us: int) -> JobChange | None:
    if old.definition == new.definition:
        return None
    before, after = dict(_flat(job_table(old))), dict(_flat(job_table(new)))
    keys = [
        KeyChange(key, before.get(key), after.get(key))
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]
    if not keys:
        return None
    same = old.schedule == new.schedule and old.runs == new.runs and old.enabled == new.enabled
    return JobChange(
        job=new.name,
        keys=tuple(keys),
        before=() if same else slot_texts(old, now_us),
        after=() if same else slot_texts(new, now_us),
    )


def _flat(table: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted keys and their values as TOML text; arrays are one value."""
    for key, value in table.items():
        name = f"{above}.{key}" if above else key
        if isinstance(value, dict) and value:
            yield from _flat(value, name)
        else:
            yield name, value_text(value)


def slot_texts(spec: JobSpec, now_us: int) -> tuple[str, ...]:
    """Return the next slots of a job in its own time zone; none for one that is disabled."""
    if not spec.enabled:
        return ()
    count = SLOTS if spec.runs is None else min(SLOTS, spec.runs)
    zone = get_zone(spec.schedule.zone)
    slots = next_slots(compile_schedule(spec.schedule), now_us, count, Memory(loaded_us=now_us))
    return tuple(_local(to_datetime(slot).astimezone(zone)) for slot in slots)


def _local(moment: datetime) -> str:
    return f"{moment:%a} {moment.isoformat(sep=' ')}"
