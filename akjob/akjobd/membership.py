"""This akjobd as a node of a cluster: its lease, its clock, and the runs of nodes that are lost.

The database is asked in a thread of its own: while it is away, the loop goes on.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from akjob import __version__
from akjob.agenda import Agenda
from akjob.akjobd.loop import Loop
from akjob.akjobd.worker import Worker
from akjob.config import Config, Paths
from akjob.config.cluster import ClusterConfig, places
from akjob.config.web import WebConfig, published_url
from akjob.errors import AkjobError
from akjob.instants import SECOND, to_text
from akjob.jobset.git import Revision
from akjob.run import lease

if TYPE_CHECKING:
    from akjob.ledger.nodes import Standing
    from akjob.ledger.postgres import PostgresStore

_RENEWALS = 4  # so often within a lease
_AFTER_US = SECOND // 10  # so long after the lease of another node it is looked whether that was renewed
_SOON = 16  # so much of a lease passes before a renewal that failed is tried again
_STOP, _DEAD = 0.75, 0.9  # of a lease that is not renewed: runs are to end, and are killed


def node_name(config: Config) -> str | None:
    """Return the name of this node; None without a cluster."""
    return None if config.cluster is None else config.cluster.name


class Away(Struct, frozen=True):
    """Since when the shared ledger cannot be written, and why."""

    since_us: int
    message: str

    @property
    def said(self) -> str:
        """What people are told."""
        return f"the ledger has not been writable since {to_text(self.since_us)}: {self.message}"


class Membership:
    """Renews the lease every quarter of it, and tells the agenda what follows.

    Nothing is claimed while people drain the node, while its clock is off, or once its lease can have run out; then
    runs with ``on_partition = "stop"`` are ended, for another node will take them for lost. ``away`` is known while the
    database does not answer.
    """

    def __init__(self, loop: Loop, paths: Paths, cluster: ClusterConfig, web: WebConfig) -> None:
        from akjob.ledger.nodes import Nodes  # noqa: PLC0415 - of the extra `cluster`

        self._loop = loop
        self._cluster = cluster
        self._web = web
        self._node = cluster.name
        self._nodes = Nodes(paths.ledger_url, cluster.lease_us)
        self._worker = Worker("lease", loop.wake)
        self._taken = 0
        self._held = ""
        self.away: Away | None = None
        self._lease_file = str(paths.lease)
        loop.when_woken(self._worker.collect)

    def serve(
        self, agenda: Agenda, store: "PostgresStore", say: Callable[..., None], revision: Callable[[], Revision]
    ) -> None:
        """Get the timers of the lease."""
        self._agenda, self._store, self._say, self._revision = agenda, store, say, revision
        quarter_us = self._cluster.lease_us // _RENEWALS
        self._renewal = self._loop.timer("lease", self._renew, 2 * quarter_us)
        self._partition = self._loop.timer("partition", self._part, 3 * quarter_us)

    def begin(self) -> None:
        """Renew the lease before anything is read from the ledger, and go on from then. Raises AkjobError.

        What this node had is its own from here on; a clock that is off decides nothing.
        """
        at_us, standing = self._ask(self._loop.clock.now_us(), None)
        self._taken = standing.taken
        self._renewal.at_us = self._loop.clock.now_us()
        self._partition.at_us = at_us + self._cluster.lease_us * 3 // 4
        self._hold(_why_not(standing))

    @property
    def held(self) -> str:
        """Why this node claims and takes nothing; an empty string: it does."""
        return self._held

    def leave(self, *, running: int) -> None:
        """Let the lease run out. Without a run under way the node is down, and counts as stopped, not as lost."""
        if not running:
            self._worker.give(lambda: self._nodes.stop(self._node), lambda _done: None, lambda _error: None)
        self._worker.give(self._nodes.close, lambda _done: None, lambda _error: None)
        self._worker.stop()

    # ------------------------------------------------------------------ the lease

    def _renew(self, now_us: int) -> None:
        """Renew the lease, half as often while nothing runs."""
        quarter_us = self._cluster.lease_us // _RENEWALS
        self._renewal.at_us = now_us + (quarter_us if self._agenda.under_way else 2 * quarter_us)
        if not self._worker.waiting:
            commit = self._revision().commit
            self._worker.give(lambda: self._ask(now_us, commit), self._renewed, self._failed)

    def _ask(self, now_us: int, commit: str | None) -> "tuple[int, Standing]":
        from akjob.ledger.nodes import Me  # noqa: PLC0415 - as above

        cluster, boot_s = self._cluster, lease.boot_s()
        slots = places(cluster, None)
        me = Me(
            node=self._node,
            tags=cluster.tags,
            slots=slots,
            lease_us=cluster.lease_us,
            version=__version__,
            git_commit=commit,
            url=published_url(self._web, self._nodes.own_address()),
        )
        standing = self._nodes.renew(me, self._loop.clock.now_us)
        lease_s = cluster.lease_us / 1e6
        lease.write(self._lease_file, boot_s + _STOP * lease_s, boot_s + _DEAD * lease_s)
        return now_us, standing

    def _renewed(self, found: "tuple[int, Standing]") -> None:
        at_us, standing = found
        self.away = None
        self._store.reached()
        if standing.taken != self._taken:
            self.begin_again("the lease was over, and another node has taken what this one had")
            return
        if self._store.has_unknown:
            self.begin_again("an answer of the database was lost, and with it what this node was given")
            return
        self._partition.at_us = at_us + self._cluster.lease_us * 3 // 4
        self._hold(_why_not(standing))
        if standing.next_over_us is not None:  # an idle node would look up to half a lease later
            self._renewal.bring_forward(self._loop.clock.now_us() + standing.next_over_us + _AFTER_US)
        if standing.lost and standing.may_claim:
            self._take_over(standing.lost)

    def begin_again(self, why: str) -> None:
        """End this akjobd: what it knew does not hold any more, and the next one goes on from the ledger."""
        self._say("warning", "node.rejoined", node=self._node, message=f"{why}: akjobd starts again from the ledger")
        self._loop.stop()

    def _failed(self, error: Exception) -> None:
        message = error.message if isinstance(error, AkjobError) else f"{type(error).__name__}: {error}"
        self._say("warning", "node.lease_not_renewed", node=self._node, message=message)
        now_us = self._loop.clock.now_us()
        self.away = Away(now_us if self.away is None else self.away.since_us, message)
        soon_us = now_us + self._cluster.lease_us // _SOON
        self._renewal.at_us = min(soon_us, self._renewal.at_us or soon_us)

    def _hold(self, why: str) -> None:
        """Claim nothing for a reason, or again."""
        if why == self._held:
            return
        now_us = self._loop.clock.now_us()
        if why:
            hint = "ask another node: `akjob nodes` lists them"
            self._agenda.drain("node", AkjobError(f"node {self._node} starts nothing: {why}", hint=hint), now_us)
            self._say("warning", "node.held", node=self._node, message=why)
        else:
            self._agenda.end_drain("node")
            self._say("info", "node.resumed", node=self._node)
        self._held = why

    def _part(self, now_us: int) -> None:
        """Claim nothing, and end what another node will take for lost: the lease can run out at any moment."""
        self._hold(f"the lease of node {self._node} could not be renewed")
        for running in self._agenda.running():
            if self._agenda.stops_on_partition(running.job):
                self._agenda.ask_stop(running.run, f"node {self._node}", now_us)

    # ------------------------------------------------------------------ other nodes

    def _take_over(self, nodes: tuple[str, ...]) -> None:
        now_us = self._loop.clock.now_us()
        try:
            left = self._store.take_over(nodes)
        except AkjobError as error:
            self._failed(error)
            return
        self._agenda.restore((), (), now_us, (), left.occurrences)
        self._agenda.restore_backfills(left.backfills)
        if left.open_runs:
            names = ", ".join(nodes)
            self._say("warning", "node.lost", node=names, runs=len(left.open_runs))
            self._agenda.inherit(left, now_us, f"node {names} did not renew its lease")


def _why_not(standing: "Standing") -> str:
    if standing.draining:
        return "the node is drained: `akjob nodes resume` ends that"
    if not standing.may_claim:
        return f"the clock is off by {standing.clock_offset_s:+.1f} s: at most 0.5 s are allowed"
    return ""
