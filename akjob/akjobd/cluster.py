"""akjobd's side of a cluster. A root that is in none has :class:`Alone`, where there is nothing to do."""

from collections.abc import Callable
from typing import Protocol

from msgspec import UNSET, UnsetType

from akjob.agenda import Agenda, FarStop
from akjob.akjobd.loop import Loop
from akjob.akjobd.membership import Away
from akjob.akjobd.writer import Writer
from akjob.config import Config, Paths
from akjob.control.requests import RunTaken
from akjob.daemon_log import Say
from akjob.errors import UsageError
from akjob.jobset.git import Revision
from akjob.ledger import Store


class Cluster(Protocol):
    """What akjobd asks of its cluster, in the order of its life."""

    is_leased: bool
    """True if other nodes take over the runs of this one once its lease is over."""

    @property
    def node(self) -> str | UnsetType:
        """The name of this node; unset without a cluster."""

    @property
    def away(self) -> Away | None:
        """Since when the shared ledger cannot be written; None: it can, or there is none."""

    @property
    def held(self) -> str:
        """Why this node claims and takes nothing; an empty string: it does."""

    @property
    def early_us(self) -> int:
        """So much earlier an order goes out than this machine alone needs."""

    def join(self, agenda: Agenda, revision: Callable[[], Revision]) -> None:
        """Begin to be one of the nodes."""

    def claim(self) -> None:
        """Make sure that what this node had is its own; call it before the ledger is read. Raises AkjobError."""

    def begin(self, writer: Writer, now_us: int) -> None:
        """Take in what other nodes have under way; call it when the agenda has its own runs. Raises AkjobError."""

    def step(self, now_us: int) -> None:
        """Take in what other nodes wrote; call it after the writer has written."""

    def take(self, run: str, now_us: int) -> RunTaken:
        """Take a run that was delivered to this node. Raises AkjobError."""

    def stop_elsewhere(self, stops: list[FarStop]) -> None:
        """End runs that are not this node's."""

    def catch_up(self, now_us: int) -> bool:
        """Take in what other nodes wrote until now, where that can be done at once; return whether there was news."""

    def stop_backfill(self, target: str, by: str | None) -> str | None:
        """Have another node end a backfill, by its id or the beginning of it; return its id. Raises AkjobError."""

    def begin_again(self, why: str) -> None:
        """End this akjobd, for the next one to go on from the ledger."""

    def leave(self, *, running: int) -> None:
        """End; ``running`` runs go on without akjobd."""


class Alone:
    """The cluster of a root that is in none."""

    early_us = 0
    is_leased = False
    node: str | UnsetType = UNSET
    held = ""
    away: Away | None = None

    def join(self, agenda: Agenda, revision: Callable[[], Revision]) -> None:
        """Do nothing."""

    def claim(self) -> None:
        """Do nothing."""

    def begin(self, writer: Writer, now_us: int) -> None:
        """Do nothing."""

    def step(self, now_us: int) -> None:
        """Do nothing."""

    def take(self, run: str, now_us: int) -> RunTaken:  # noqa: ARG002 - of a Cluster
        """Refuse."""
        raise UsageError("this root is not a node of a cluster", hint="[cluster] in etc/akjob.toml makes it one")

    def stop_elsewhere(self, stops: list[FarStop]) -> None:
        """Do nothing."""

    def catch_up(self, now_us: int) -> bool:  # noqa: ARG002 - of a Cluster
        """Return False: there are no other nodes."""
        return False

    def stop_backfill(self, target: str, by: str | None) -> str | None:  # noqa: ARG002 - as above
        """Return None: there are no other nodes."""
        return None

    def begin_again(self, why: str) -> None:
        """Do nothing."""

    def leave(self, *, running: int) -> None:
        """Do nothing."""


def cluster_of(loop: Loop, paths: Paths, config: Config, store: Store, say: Say) -> Cluster:
    """Return the cluster that the settings name. Raises AkjobError where its ledger is not a shared one."""
    if config.cluster is None:
        return Alone()
    from akjob.akjobd.node import ClusterNode  # noqa: PLC0415 - of the extra `cluster`
    from akjob.ledger.postgres import PostgresStore  # noqa: PLC0415 - as above

    if not isinstance(store, PostgresStore):
        raise UsageError(f"{paths.ledger_url!r} is not shared", hint="[cluster] url is the address of a PostgreSQL")
    return ClusterNode(loop, paths, config.cluster, config.web, store, say)
