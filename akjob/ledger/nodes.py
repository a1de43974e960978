"""The nodes of a cluster: until when each may claim slots, and which are lost, by the clock of the database."""

import os
import socket
from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any, Literal

from msgspec import Struct

from akjob.errors import AkjobError, UsageError
from akjob.instants import SECOND
from akjob.ledger.postgres import CLOCK_LIMIT_US, NODE_STATE, OF_ITS_NODE, Patience, PostgresSession

NodeState = Literal["up", "draining", "down", "lost"]
CLOCK_LIMIT_S = CLOCK_LIMIT_US / SECOND


class Me(Struct, frozen=True, kw_only=True):
    """What a node reports with each renewal of its lease."""

    node: str
    tags: Sequence[str]
    slots: int
    lease_us: int
    version: str
    git_commit: str | None = None
    url: str | None = None


class Standing(Struct, frozen=True):
    """What a renewal came to: whether people drain the node, how far its clock is off, and which nodes are lost.

    ``taken`` is how often another node took what this one had, since it is known. ``next_over_us`` is how long it is
    until the first lease of another node is over, unless that is renewed; None where no other node has one.
    """

    draining: bool
    clock_offset_s: float
    lost: tuple[str, ...]
    taken: int = 0
    next_over_us: int | None = None

    @property
    def may_claim(self) -> bool:
        """Return True if the node may claim slots."""
        return not self.draining and abs(self.clock_offset_s) <= CLOCK_LIMIT_S


class Node(Struct, frozen=True, kw_only=True):
    """One node, as ``akjob nodes --json`` prints it. ``since`` is UTC text."""

    node: str
    state: NodeState
    tags: tuple[str, ...]
    slots: int
    running: int
    lease_age_s: float
    clock_offset_s: float
    git_commit: str | None
    version: str
    since: str


class Whereabouts(Struct, frozen=True, kw_only=True):
    """Where the akjob-web of a node is, and when the node renewed its lease last, in microseconds."""

    url: str | None
    seen_us: int


class DatabaseFacts(Struct, frozen=True, kw_only=True):
    """What a database is: its ``version`` as 150004, its clock, and what ``user`` may do there."""

    version: int
    now_us: int
    user: str
    has_tables: bool
    may_write: bool


class Held(Struct, frozen=True, kw_only=True):
    """What a run holds while it runs: a lock, or a place in a pool."""

    kind: str
    name: str
    run: str
    job: str
    node: str


# A node that has gone for good leaves nothing to take: only those that left something are of interest. A run that goes
# on without its node (`on_partition = "continue"`) stays that node's until the node is forgotten.
_LOST = f"""
SELECT node FROM nodes WHERE node <> ? AND {NODE_STATE} IN ('lost', 'down') AND EXISTS (
    SELECT 1 FROM runs WHERE runs.owner = nodes.node AND runs.state IN ('queued', 'running')
    AND (NOT nodes.stopped OR nodes.lease_until < clock_timestamp()) AND NOT (runs.continues AND runs.gates <> '{{}}')
    AND NOT (runs.state = 'queued' AND runs.scope <> '')
    UNION ALL SELECT 1 FROM occurrences WHERE occurrences.owner = nodes.node AND NOT nodes.stopped
    AND NOT {OF_ITS_NODE.format("occurrences")}
    UNION ALL SELECT 1 FROM backfills WHERE backfills.owner = nodes.node AND NOT nodes.stopped AND state = 'running'
    AND NOT {OF_ITS_NODE.format("backfills")}
) UNION SELECT owner FROM runs WHERE state IN ('queued', 'running') AND owner NOT IN (SELECT node FROM nodes)
"""  # noqa: S608 - ours
# Asked before `_LOST`: a lease that ends in between is in both, not in neither.
_NEXT_OVER = """
SELECT (extract(epoch FROM min(lease_until) - clock_timestamp()) * 1000000)::bigint
FROM nodes WHERE node <> ? AND lease_until >= clock_timestamp()
"""
_RENEW = f"""
WITH renewed AS (
    INSERT INTO nodes (node, tags, slots, lease_until, clock_offset_s, git_commit, version, url)
    VALUES (?, ?, ?, clock_timestamp() + ? * interval '1 microsecond', coalesce(?, 0), ?, ?, ?)
    ON CONFLICT (node) DO UPDATE SET
        tags = excluded.tags, slots = excluded.slots, renewed_at = clock_timestamp(),
        lease_until = excluded.lease_until, clock_offset_s = excluded.clock_offset_s,
        git_commit = excluded.git_commit, version = excluded.version, url = excluded.url,
        since = CASE WHEN nodes.stopped THEN clock_timestamp() ELSE nodes.since END, stopped = FALSE
    RETURNING draining, taken
)
SELECT draining, taken, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, ({_NEXT_OVER}), ARRAY({_LOST})
FROM renewed
"""  # noqa: S608 - ours
_LIST = f"""
SELECT node, {NODE_STATE}, tags, slots,
    (SELECT count(*) FROM runs WHERE runs.node = nodes.node AND runs.state = 'running'),
    extract(epoch FROM clock_timestamp() - renewed_at)::float8, clock_offset_s, git_commit, version, since
FROM nodes ORDER BY node
"""  # noqa: S608 - ours


_FACTS = """
SELECT current_setting('server_version_num')::int, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    current_user::text, to_regclass('nodes') IS NOT NULL,
    CASE WHEN to_regclass('runs') IS NULL THEN coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE)
    ELSE (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('runs')) END
"""
# What is the node's alone goes with it; what it shares with others another node takes.
_FORGET = f"""
WITH of_its_own AS (
    DELETE FROM occurrences WHERE owner = ? AND {OF_ITS_NODE.format("occurrences")}
), filled AS (
    UPDATE backfills SET state = 'stopped' WHERE owner = ? AND {OF_ITS_NODE.format("backfills")}
), accounted AS (
    DELETE FROM job_nodes WHERE node = ?
), seen AS (
    DELETE FROM seen_by_node WHERE node = ?
)
DELETE FROM nodes WHERE node = ? RETURNING 1
"""  # noqa: S608 - ours
_WHERE = "SELECT url, (extract(epoch FROM renewed_at) * 1000000)::bigint FROM nodes WHERE node = ?"
_MADE_ONCE = (
    "INSERT INTO node_token SELECT 'akjn_' || replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '') "
    "WHERE NOT EXISTS (SELECT 1 FROM node_token) ON CONFLICT DO NOTHING"
)
_HELD = """
SELECT split_part(gate, ':', 1), substr(gate, strpos(gate, ':') + 1), id, job, node FROM runs, unnest(gates) AS gate
WHERE state IN ('queued', 'running') AND node IS NOT NULL AND gate ~ '^(lock|pool):' ORDER BY 1, 2, 3
"""


class Nodes:
    """The table of nodes, on a connection of its own; for one thread at a time."""

    def __init__(self, url: str, lease_us: int | None = None) -> None:
        self._session = PostgresSession(url, patience=None if lease_us is None else Patience.within(lease_us))
        self._offset_s: float | None = None  # as the last renewal measured it; each writes that of the one before

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def renew(self, me: Me, now_us: Callable[[], int]) -> Standing:
        """Renew a node's lease, also one that was over; ``now_us`` reads the node's clock, which is compared.

        Raises LedgerBusyError while the database is away.
        """
        values = (me.node, list(me.tags), me.slots, me.lease_us, self._offset_s, me.git_commit, me.version, me.url)
        self._session.connect()  # so that the time of one statement alone is measured
        before_us = now_us()
        found = self._session.once(_RENEW, (*values, me.node, me.node))[0]
        draining, taken, there_us, next_over_us, lost = found
        self._offset_s = ((before_us + now_us()) // 2 - there_us) / 1e6
        return Standing(draining, self._offset_s, tuple(lost), taken, next_over_us)

    def database(self) -> DatabaseFacts:
        """Return what is known of the database, also of one without the ledger's tables."""
        found = self._session.transaction(lambda: self._session.ask(_FACTS)[0])
        return DatabaseFacts(version=found[0], now_us=found[1], user=found[2], has_tables=found[3], may_write=found[4])

    def own_address(self) -> str:
        """Return the address of this machine towards the database; the loopback address for one on this machine."""
        with socket.socket(fileno=os.dup(self._session.connected().fileno())) as link:
            return "127.0.0.1" if link.family == socket.AF_UNIX else str(link.getsockname()[0])

    def find(self, node: str) -> Whereabouts | None:
        """Return where a node is; None for one that is not there."""
        found = self._session.transaction(lambda: self._session.ask(_WHERE, (node,)))
        return Whereabouts(url=found[0][0], seen_us=int(found[0][1])) if found else None

    def token(self) -> str:
        """Return the secret by which nodes ask each other for the logs of runs; it is made where there is none."""

        def work() -> str:
            self._session.ask(_MADE_ONCE)
            return str(self._session.ask("SELECT token FROM node_token")[0][0])

        return self._session.transaction(work)

    def held(self) -> "list[Held]":
        """Return the locks and the places in pools that runs hold, by name."""
        rows = self._session.transaction(lambda: self._session.ask(_HELD))
        return [Held(kind=kind, name=name, run=run, job=job, node=node) for kind, name, run, job, node in rows]

    def list(self) -> "list[Node]":
        """Return all nodes, by name."""
        return [_node(row) for row in self._session.once(_LIST)]

    def drain(self, node: str, *, draining: bool) -> None:
        """Let a node claim nothing more, or again. Raises AkjobError for one that is not there."""
        self._change("UPDATE nodes SET draining = ? WHERE node = ? RETURNING 1", (draining, node), node)

    def stop(self, node: str) -> None:
        """Note that a node was stopped: it is down, not lost."""
        self._change("UPDATE nodes SET stopped = TRUE WHERE node = ? RETURNING 1", (node,), node)

    def forget(self, node: str) -> None:
        """Remove a node that is down or lost. Raises AkjobError for one that is up."""
        found = next((one for one in self.list() if one.node == node), None)
        if found is not None and found.state in ("up", "draining"):
            raise AkjobError(f"node {node} is {found.state}", hint="stop its akjobd first")
        self._change(_FORGET, (node,) * 5, node)

    def _change(self, sql: str, values: Sequence[object], node: str) -> None:
        if not self._session.once(sql, values):
            raise UsageError(f"there is no node {node}", hint="`akjob nodes` lists them")


def _node(row: Sequence[Any]) -> Node:
    name, state, tags, slots, running, age_s, offset_s, commit, version, since = row
    return Node(
        node=name, state=state, tags=tuple(tags), slots=slots, running=running, lease_age_s=round(age_s, 3),
        clock_offset_s=offset_s, git_commit=commit, version=version,
        since=since.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z",
    )  # fmt: skip
