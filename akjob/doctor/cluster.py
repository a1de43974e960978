"""Checks of a node of a cluster: the database, the clock, akjob-node, tags that no node has, and the other nodes."""

import importlib.util
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from akjob.config.cluster import ClusterConfig
from akjob.doctor.diagnosis import Diagnosis, Subject
from akjob.errors import AkjobError
from akjob.ledger import NodeTags
from akjob.program import find
from akjob.query.distant import AwayError, DistantLog
from akjob.query.jobs import load
from akjob.query.placing import unplaced
from akjob.query.text import plural

if TYPE_CHECKING:
    from akjob.ledger.nodes import DatabaseFacts, Node

_OLDEST = 150_000
_MOST_ASKED = 20
_NO_RUN = "0"  # the id of no run: a node that answers for it with no line is the one that is meant, and has the token


def cluster(subject: Subject) -> Iterator[Diagnosis]:
    """Look at what a node of a cluster needs; nothing without ``[cluster]``, or without its extra."""
    config = subject.config.cluster
    if config is None or importlib.util.find_spec("psycopg") is None:
        return
    from akjob.ledger.nodes import Nodes  # noqa: PLC0415 - of the extra `cluster`

    try:
        with closing(Nodes(subject.paths.ledger_url)) as table:
            before_us = time.time_ns() // 1000
            facts = table.database()
            offset_s = ((before_us + time.time_ns() // 1000) / 2 - facts.now_us) / 1e6
            nodes = table.list() if facts.has_tables else []
    except AkjobError as error:
        yield Diagnosis("cluster", "wrong", error.message, error.hint)
        return
    found = list(_database(facts, offset_s))
    if facts.may_write:
        found += [*_programs(subject), *_tags(subject, nodes), *_others(subject, config, nodes)]
    yield from found
    if not found:
        up = plural(sum(one.state == "up" for one in nodes), "node")
        message = f"node {config.name}; PostgreSQL {facts.version // 10_000}, {up} up, clock {offset_s:+.3f} s"
        yield Diagnosis("cluster", "fine", message)


def _database(facts: "DatabaseFacts", offset_s: float) -> Iterator[Diagnosis]:
    from akjob.ledger.nodes import CLOCK_LIMIT_S  # noqa: PLC0415 - as above

    if facts.version < _OLDEST:
        message = f"the database is PostgreSQL {facts.version // 10_000}, and 15 is the oldest that is tested"
        yield Diagnosis("cluster", "warning", message, "Upgrade the server.")
    if not facts.may_write:
        message = f"{facts.user} may not create or write the ledger's tables in the database"
        hint = f'ALTER DATABASE … OWNER TO "{facts.user}", or give the tables to that user.'
        yield Diagnosis("cluster", "wrong", message, hint)
    if abs(offset_s) > CLOCK_LIMIT_S:
        message = f"the clock is off by {offset_s:+.1f} s against the database's: this node claims nothing"
        yield Diagnosis("cluster", "wrong", message, "Run chrony, or the like, on both machines.")


def _programs(subject: Subject) -> Iterator[Diagnosis]:
    if subject.status is not None and find(subject.paths, "akjob-node", subject.now_us) is None:
        message = "akjob-node does not run: this node claims slots and takes no runs"
        hint = "Look into var/log/akjob-node.out; an old etc/supervisord.conf lacks [program:akjob-node]."
        yield Diagnosis("cluster", "wrong", message, hint)


def _tags(subject: Subject, nodes: "Sequence[Node]") -> Iterator[Diagnosis]:
    """Look for jobs that no node may run."""
    try:
        specs = load(subject.paths, subject.config, subject.now_us).jobset.jobs.values()
    except AkjobError:  # said by the check of the jobs
        return
    there = [NodeTags(one.node, one.state, one.tags) for one in nodes]
    for spec in specs:
        why = unplaced(spec, there)
        if why:
            message = f"{spec.name} runs nowhere: {why}"
            yield Diagnosis("cluster", "warning", message, "Correct [run] of the job, or tags in [cluster] of a node.")


def _others(subject: Subject, config: ClusterConfig, nodes: "Sequence[Node]") -> Iterator[Diagnosis]:
    """Ask akjob-web of the nodes that are up, this one too, as for the lines of a run."""
    for one in [one for one in nodes if one.state in {"up", "draining"}][:_MOST_ASKED]:
        try:
            DistantLog(subject.paths.ledger_url, one.node, _NO_RUN).last(1)
        except AwayError as error:
            own = " This is the node itself: so others find it." if one.node == config.name else ""
            hint = "Set public_url, or an address in listen that the other nodes reach, in [web] of that node." + own
            yield Diagnosis("cluster", "warning", f"the logs of node {one.node}: {error.why}", hint)
