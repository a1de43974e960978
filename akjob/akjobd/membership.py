"""This akjobd as a node of a cluster: its lease, its clock, and the runs of nodes that are lost.

The database is asked in a thread of its own: while it is away, the loop goes on.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from akjob import __version__
from akjob.agenda import Agenda
from akjob.akjobd.loop import Loop
from akjob.akjobd.worker import Worker
from akjob.config import Config, Paths
from akjob.config.cluster import ClusterConfig, places
from akjob.config.web import WebConfig, published_url
from akjob.errors import AkjobError
from akjob.jobset.git import Revision
from akjob.ledger import Store
from akjob.run import lease

if TYPE_CHECKING:
    from akjob.ledger.nodes import Standing

_RENEWALS = 4  # so often within a lease
_STOP, _DEAD = 0.75, 0.9  # of a lease that is not renewed: runs are to end, and are killed


def node_name(config: Config) -> str | None:
    """Return the name of this node; None without a cluster."""
    return None if config.cluster is None else config.cluster.name


class Membership:
    """Renews the lease every quarter of it, and tells the agenda what follows.

    Nothing is claimed while people drain the node, while its clock is off, or once its lease can have run out; then
    runs with ``on_partition = "stop"`` are ended, for another node will take them for lost.
    """

    def __init__(self, loop: Loop, paths: Paths, cluster: ClusterConfig, web: WebConfig) -> None:
        from akjob.ledger.nodes import Nodes  # noqa: PLC0415 - of the extra `cluster`

        self._loop = loop
        self._cluster = cluster
        self._web = web
        self._node = cluster.name
        self._nodes = Nodes(paths.ledger_url)
        self._worker = Worker("lease", loop.wake)
        self._renewed_us: int | None = None
        self._held = ""
        self._lease_file = str(paths.lease)
        loop.when_woken(self._worker.collect)

    def serve(self, agenda: Agenda, store: Store, say: Callable[..., None], revision: Callable[[], Revision]) -> None:
        """Begin to renew the lease."""
        self._agenda, self._store, self._say, self._revision = agenda, store, say, revision
        quarter_us = self._cluster.lease_us // _RENEWALS
        self._renewal = self._loop.timer("lease", self._renew, quarter_us)
        self._partition = self._loop.timer("partition", self._part, 3 * quarter_us)
        self._renewal.at_us = self._loop.clock.now_us()

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
        self._renewal.at_us = now_us + self._cluster.lease_us // _RENEWALS
        if not self._worker.waiting:
            commit = self._revision().commit
            self._worker.give(lambda: self._ask(now_us, commit), self._renewed, self._failed)

    def _ask(self, now_us: int, commit: str | None) -> "tuple[int, Standing]":
        from akjob.ledger.nodes import Me  # noqa: PLC0415 - as above

        clock, cluster = self._loop.clock, self._cluster
        before_us, boot_s = clock.now_us(), lease.boot_s()
        offset_s = ((before_us + clock.now_us()) // 2 - self._nodes.now_us()) / 1e6
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
        standing = self._nodes.renew(me, offset_s)
        lease_s = cluster.lease_us / 1e6
        lease.write(self._lease_file, boot_s + _STOP * lease_s, boot_s + _DEAD * lease_s)
        return now_us, standing

    def _renewed(self, found: "tuple[int, Standing]") -> None:
        at_us, standing = found
        before_us, self._renewed_us = self._renewed_us, at_us
        if before_us is not None and at_us - before_us > self._cluster.lease_us:
            message = "the lease was over: what this akjobd knew may be another node's; it starts again from the ledger"
            self._say("warning", "node.rejoined", node=self._node, message=message)
            self._loop.stop()
            return
        self._partition.at_us = at_us + self._cluster.lease_us * 3 // 4
        self._hold(_why_not(standing))
        if standing.lost and standing.may_claim:
            self._take_over(standing.lost)

    def _failed(self, error: Exception) -> None:
        message = error.message if isinstance(error, AkjobError) else f"{type(error).__name__}: {error}"
        self._say("warning", "node.lease_not_renewed", node=self._node, message=message)

    def _hold(self, why: str) -> None:
        """Claim nothing for a reason, or again."""
        if why == self._held:
            return
        now_us = self._loop.clock.now_us()
        if why:
            self._agenda.drain(now_us)
            self._say("warning", "node.held", node=self._node, message=why)
        else:
            self._agenda.draining = False
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
        store: Any = self._store
        if not hasattr(store, "take_over"):
            return
        now_us = self._loop.clock.now_us()
        try:
            open_runs = store.take_over(nodes)
            occurrences, backfills = store.take_over_rest(nodes)
        except AkjobError as error:
            self._failed(error)
            return
        self._agenda.restore((), (), now_us, (), occurrences)
        self._agenda.restore_backfills(backfills)
        if open_runs:
            names = ", ".join(nodes)
            self._say("warning", "node.lost", node=names, runs=len(open_runs))
            reason = f"node {names} did not renew its lease"
            self._agenda.inherit(open_runs, now_us, reason)


def _why_not(standing: "Standing") -> str:
    if standing.draining:
        return "the node is drained: `akjob nodes resume` ends that"
    if not standing.may_claim:
        return f"the clock is off by {standing.clock_offset_s:+.1f} s: at most 0.5 s are allowed"
    return ""
