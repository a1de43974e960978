"""Runs that were delivered to this node of a cluster: they are taken, given back, or ended where no node has them."""

from collections.abc import Callable

from akjob.agenda import Agenda, FarStop
from akjob.akjobd.membership import Membership
from akjob.config.cluster import ClusterConfig
from akjob.control import requests as asked
from akjob.instants import SECOND
from akjob.jobset.git import Revision
from akjob.ledger import RunRow
from akjob.ledger.postgres import PostgresStore

_KEPT = 10_000


class Taking:
    """Decides about one delivery at a time. The row in the ledger is the truth, not the delivery."""

    def __init__(  # noqa: PLR0913 - what a run is taken by
        self,
        *,
        cluster: ClusterConfig,
        store: PostgresStore,
        agenda: Agenda,
        membership: Membership,
        revision: Callable[[], Revision],
        now_us: Callable[[], int],
        handed_over: Callable[[int], None],
    ) -> None:
        self._grace_us = cluster.rollout_grace_us
        self._store = store
        self._agenda = agenda
        self._membership = membership
        self._revision = revision
        self._now_us = now_us
        self._handed_over = handed_over
        self._lacking: dict[str, int] = {}  # since when runs are offered that this checkout has no definition of

    def take(self, run: str, now_us: int) -> asked.RunTaken:
        """Take a run, if no node has it and this one can run it. Raises AkjobError while the database is away."""
        if self._agenda.knows(run):
            return asked.RunTaken(state="taken")
        row = self._store.waiting(run)
        if row is None:
            return asked.RunTaken(state="gone")
        if self._membership.held:
            return asked.RunTaken(state="not_here", reason=self._membership.held)
        spec = self._agenda.definition_of(row)
        if spec is None:
            return self._lack(row, now_us)
        if not self._agenda.fits(spec):
            return asked.RunTaken(state="not_here", reason="the job may not run on this node")
        taken = self._store.take(run)
        if taken is None:
            return asked.RunTaken(state="gone")
        if (
            row.slot_us - SECOND < row.queued_us < row.slot_us
        ):  # it went out just ahead of its slot, to be taken by then
            self._handed_over(now_us - row.queued_us)
        self._agenda.take(taken, spec, now_us)
        return asked.RunTaken(state="taken")

    def _lack(self, row: RunRow, now_us: int) -> asked.RunTaken:
        """Give back a run of a definition that this checkout does not have, unless no node has had it for long."""
        since_us = self._lacking.setdefault(row.id, now_us)
        if len(self._lacking) > _KEPT:
            del self._lacking[next(iter(self._lacking))]
        here, there = _short(self._revision().commit), _short(row.git_commit)
        reason = (
            f"the checkout of this node ({here}) does not have the definition that the run was claimed with ({there})"
        )
        if now_us - since_us < self._grace_us:
            return asked.RunTaken(state="not_here", reason=reason)
        taken = self._store.take(row.id)
        if taken is not None and self._agenda.is_gone(row.job):
            self._agenda.skip(taken, "the file of the job is gone", now_us)
        elif taken is not None:
            self._agenda.fail(taken, reason, now_us)
        return asked.RunTaken(state="gone")

    def cancel(self, stops: list[FarStop]) -> list[FarStop]:
        """End the runs that no node has taken; return those that one has."""
        left = []
        for stop in stops:
            taken = None if stop.node else self._store.take(stop.run)
            node = stop.node or (self._store.owner(stop.run) if taken is None else None)
            if taken is not None:
                self._agenda.cancel(taken, stop.reason, stop.by, self._now_us())
            elif node:
                left.append(FarStop(run=stop.run, node=node, reason=stop.reason, by=stop.by))
        return left


def _short(commit: str | None) -> str:
    return "no commit" if commit is None else commit[:8]
