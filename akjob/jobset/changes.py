"""What two states of the jobs come to: a pure function from before and after to a JobSetChange."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import Struct

from akjob.jobset.model import BrokenJob, Changed, JobSet, JobSetChange
from akjob.spec.model import JobSpec

_V = TypeVar("_V")


class SeenJob(Struct, frozen=True, gc=False):
    """A job at one instant.

    ``code`` identifies the content of its dill file, None where that is not known. ``there`` is False for a job whose
    file is gone, or does not give it any more.
    """

    spec: JobSpec | None = None
    broken: BrokenJob | None = None
    code: bytes | None = None
    there: bool = True


NOTHING = SeenJob(there=False)


def change_of(jobset: JobSet, before: Mapping[str, SeenJob], after: Mapping[str, SeenJob], now_us: int) -> JobSetChange:
    """Return what changed, and the job set after it; ``before`` and ``after`` have the jobs that a scan touched."""
    added, changed, removed, repaired = [], [], [], []
    broken: list[BrokenJob] = []
    jobs, refused = _copy(jobset.jobs), _copy(jobset.broken)
    swapped = not jobset.loaded_us
    for name, old in sorted(before.items()):
        new = after.get(name, NOTHING)
        swapped |= _put(jobs, name, new.spec) | _put(refused, name, new.broken)
        if new.broken is not None and (old.broken is None or old.broken.content != new.broken.content):
            broken.append(new.broken)
        if old.broken is not None and new.broken is None and new.there:
            repaired.append(name)
        if new.spec is None:
            removed += [name] if old.spec is not None else []
        elif old.spec is None:
            added.append(name)
        else:
            changed += _difference(name, old, new)
    if swapped:
        jobset = JobSet(jobs=MappingProxyType(jobs), broken=MappingProxyType(refused), loaded_us=now_us)
    return JobSetChange(
        jobset=jobset,
        added=tuple(added),
        changed=tuple(changed),
        removed=tuple(removed),
        broken=tuple(broken),
        repaired=tuple(repaired),
        swapped=swapped,
    )


def _difference(job: str, before: SeenJob, after: SeenJob) -> list[Changed]:
    """Return what an edit means for a job: nothing for a comment, or another order of its keys."""
    old, new = before.spec, after.spec
    if old is new or old is None or new is None:
        return []
    other_code = before.code is not None and before.code != after.code
    if old.definition == new.definition and not other_code:
        return []
    schedule = old.schedule != new.schedule or old.runs != new.runs
    return [Changed(job=job, old=old, new=new, schedule=schedule)]


def _copy(values: Mapping[str, _V]) -> dict[str, _V]:
    """Copy a mapping: a proxy's own way is that of the dict in it, where ``dict()`` asks for each key."""
    return values.copy() if isinstance(values, MappingProxyType) else dict(values)


def _put(into: dict[str, Any], name: str, value: object) -> bool:
    """Set or remove one value. Return whether that made a difference."""
    if value is None:
        return into.pop(name, None) is not None
    before = into.get(name)
    into[name] = value
    return before is not value
