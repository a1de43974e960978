"""What happened lately, as a principal may know it: the jobs and the runs that some transitions are about."""

from collections.abc import Iterable

from msgspec import Struct

from akjob.ledger import Transition
from akjob.query.visibility import Principal, visible


class Change(Struct, frozen=True, kw_only=True):
    """What changed up to the transition ``seq``: names of jobs and ids of runs, and nothing else of them."""

    seq: int
    jobs: list[str]
    runs: list[str]


def change(principal: Principal, transitions: Iterable[Transition]) -> Change | None:
    """Return what some transitions changed that the principal may know of; None for nothing."""
    seen = [one for one in transitions if visible(principal, one.job)]
    if not seen:
        return None
    jobs = dict.fromkeys(one.job for one in seen if one.job is not None)
    runs = dict.fromkeys(one.run for one in seen if one.run is not None)
    return Change(seq=seen[-1].seq, jobs=list(jobs), runs=list(runs))
