"""``akjob nodes``: the nodes of a cluster."""

from typing import TYPE_CHECKING

import click

from akjob.cli.common import colours, examples, find_paths, json_option, now_us, say, say_json
from akjob.cli.text import Cell, table
from akjob.config import read_cluster_of
from akjob.errors import UsageError
from akjob.instants import from_text
from akjob.query.text import relative

if TYPE_CHECKING:
    from collections.abc import Callable

    from akjob.ledger.nodes import Node, Nodes

_COLOURS = {"up": "green", "draining": "yellow", "lost": "red", "down": ""}


@click.group(
    name="nodes",
    invoke_without_command=True,
    epilog=examples(
        "akjob nodes", "akjob nodes --json | jq -r 'select(.state == \"lost\").node'", "akjob nodes drain b2"
    ),
)
@json_option
@click.pass_context
def command(context: click.Context, *, as_json: bool) -> None:
    """List the nodes of the cluster: state, tags, runs, the age of the lease, the clock, the commit.

    The version is shown where the nodes differ in it; --json has it always, and all instants whole.

    down means stopped without a run under way; lost that a node did not renew its lease: its runs are lost with it.
    """
    if context.invoked_subcommand is not None:
        return
    nodes = _nodes()
    try:
        found = nodes.list()
    finally:
        nodes.close()
    if as_json:
        say_json(*found)
        return
    now = now_us()
    heads = ("NODE", "STATE", "TAGS", "RUNNING", "SLOTS", "LEASE", "CLOCK", "COMMIT", "VERSION", "SINCE")
    is_mixed = len({node.version for node in found}) > 1
    say(table(heads, [_row(node, now, with_version=is_mixed) for node in found], colour=colours()))


@command.command(name="drain", epilog=examples("akjob nodes drain b2"))
@click.argument("node", metavar="NODE")
def drain(node: str) -> None:
    """Let a node claim nothing more; what runs there goes on to its end."""
    _change(lambda nodes: nodes.drain(node, draining=True))


@command.command(name="resume", epilog=examples("akjob nodes resume b2"))
@click.argument("node", metavar="NODE")
def resume(node: str) -> None:
    """Let a node that was drained claim slots again."""
    _change(lambda nodes: nodes.drain(node, draining=False))


@command.command(name="forget", epilog=examples("akjob nodes forget b2"))
@click.argument("node", metavar="NODE")
def forget(node: str) -> None:
    """Remove a node that is down or lost and does not come back."""
    _change(lambda nodes: nodes.forget(node))


def _change(change: "Callable[[Nodes], None]") -> None:
    nodes = _nodes()
    try:
        change(nodes)
    finally:
        nodes.close()


def _nodes() -> "Nodes":
    paths = find_paths()
    if read_cluster_of(paths) is None:
        raise UsageError("this root is not a node of a cluster", hint="[cluster] url in etc/akjob.toml makes it one")
    from akjob.ledger.nodes import Nodes

    return Nodes(paths.ledger_url)


def _row(node: "Node", now: int, *, with_version: bool) -> tuple[str | Cell, ...]:
    since = from_text(node.since)
    state = Cell(node.state, _COLOURS[node.state])
    age, clock = f"{node.lease_age_s:.1f} s", f"{node.clock_offset_s:+.3f} s"
    commit = (node.git_commit or "")[:8]
    counts = (str(node.running), str(node.slots))
    return (
        node.node,
        state,
        ",".join(node.tags),
        *counts,
        age,
        clock,
        commit,
        node.version if with_version else "",
        relative(since, now),
    )
