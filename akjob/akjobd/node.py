"""This akjobd as a node of a cluster: its membership, the news of other nodes, and the runs that it takes."""

from collections.abc import Callable

from akjob.agenda import Agenda, FarStop
from akjob.akjobd.loop import Loop
from akjob.akjobd.membership import Away, Membership
from akjob.akjobd.news import NewsReader
from akjob.akjobd.taking import Taking
from akjob.akjobd.writer import Writer
from akjob.config import Paths
from akjob.config.cluster import ClusterConfig
from akjob.config.web import WebConfig
from akjob.control.requests import RunTaken
from akjob.daemon_log import Say
from akjob.jobset.git import Revision
from akjob.ledger.postgres import PostgresStore
from akjob.run.early import Early

_HANDED_FIRST_US, _HANDED_LEAST_US, _HANDED_MOST_US = 50_000, 10_000, 250_000


class ClusterNode:
    """The :class:`~akjob.akjobd.cluster.Cluster` of a root that is in one."""

    is_leased = True

    def __init__(  # noqa: PLR0913, PLR0917 - all that makes a node
        self, loop: Loop, paths: Paths, cluster: ClusterConfig, web: WebConfig, store: PostgresStore, say: Say
    ) -> None:
        self._loop = loop
        self._cluster = cluster
        self._handing_over = Early(_HANDED_FIRST_US, _HANDED_LEAST_US, _HANDED_MOST_US)
        self.node = cluster.name
        self._store = store
        self._say = say
        self._membership = Membership(loop, paths, cluster, web)
        self._news = NewsReader(loop, paths.ledger_url, store, say)

    @property
    def away(self) -> Away | None:
        """Since when the ledger cannot be written, as far as this node has noticed; None: it can."""
        away = self._membership.away
        held_us = self._writer.held_since_us
        if held_us is None or (away is not None and away.since_us <= held_us):
            return away
        return Away(held_us, self._writer.held_why)

    @property
    def held(self) -> str:
        """Why this node claims and takes nothing; an empty string: it does."""
        return self._membership.held

    def join(self, agenda: Agenda, revision: Callable[[], Revision]) -> None:
        """Begin to renew the lease, and let the agenda share its jobs with the other nodes."""
        self._agenda = agenda
        self._store.commit_here = lambda: revision().commit
        self._membership.serve(agenda, self._store, self._say, revision)
        agenda.share(self._cluster.name, self._cluster.tags)
        self._taking = Taking(
            cluster=self._cluster,
            store=self._store,
            agenda=agenda,
            membership=self._membership,
            revision=revision,
            now_us=self._loop.clock.now_us,
            handed_over=self._handing_over.add,
        )

    @property
    def early_us(self) -> int:
        """So much earlier an order goes out than this machine alone needs: another node takes it by then."""
        return self._handing_over.us

    def claim(self) -> None:
        """Renew the lease: what this node had is its own from here on. Raises AkjobError."""
        self._membership.begin()

    def begin(self, writer: Writer, now_us: int) -> None:
        """Take in what other nodes have under way, and listen from now on. Raises AkjobError."""
        self._writer = writer
        self._news.begin(self._agenda, writer, self._taking, now_us)

    def step(self, now_us: int) -> None:
        """Take in what other nodes wrote; call it after the writer has written."""
        if self._agenda.pending and self._writer.due_us is None:
            self._loop.wake()  # what the cluster did not permit is to be written
        self._news.step(now_us)

    def take(self, run: str, now_us: int) -> RunTaken:
        """Take a run that was delivered to this node, or give it back. Raises AkjobError while the database is away."""
        return self._taking.take(run, now_us)

    def stop_elsewhere(self, stops: list[FarStop]) -> None:
        """End runs that wait for a node, and have other nodes end theirs."""
        self._news.stop_elsewhere(stops)

    def catch_up(self, now_us: int) -> bool:
        """Take in what other nodes wrote until now, where that can be done at once; return whether there was news."""
        return self._news.catch_up(now_us)

    def stop_backfill(self, target: str, by: str | None) -> str | None:
        """Have another node end a backfill, by its id or the beginning of it; return its id. Raises AkjobError."""
        found = self._store.backfills_elsewhere(target) if target else []
        if len(found) != 1:
            return None
        backfill, node = found[0]
        self._store.ask_stop([(backfill, node, f"stopped by {by}", by)])
        return backfill

    def begin_again(self, why: str) -> None:
        """End this akjobd, for the next one to go on from the ledger."""
        self._membership.begin_again(why)

    def leave(self, *, running: int) -> None:
        """Let the lease run out, and listen no more; ``running`` runs go on without akjobd."""
        self._membership.leave(running=running)
        self._news.close()
