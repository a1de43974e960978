"""The nodes of a cluster on the page: what each has and holds, and draining or forgetting one."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.responses import Response

from akjob.instants import from_text
from akjob.query.sight import Sight
from akjob.query.text import span
from akjob.web.acting import Action, act
from akjob.web.api.actions import reason_of
from akjob.web.problems import ProblemError
from akjob.web.site import Call

if TYPE_CHECKING:
    from akjob.ledger.nodes import Held, Node, Nodes

GLYPHS = {"up": "✓", "draining": "‖", "down": "·", "lost": "✗"}
_CLASSES = {"up": "succeeded", "draining": "paused", "down": "disabled", "lost": "lost"}


class ShownNode(Struct, frozen=True, kw_only=True):
    """A line of the table. ``look`` is the class of its state, ``offset`` and ``is_off`` say what its clock does."""

    node: "Node"
    look: str
    glyph: str
    free: int
    age: str
    offset: str
    is_off: bool
    since_us: int
    is_here: bool


class ShownCluster(Struct, frozen=True, kw_only=True):
    """The nodes, and what runs hold."""

    nodes: Sequence[ShownNode]
    held: "Sequence[Held]"


def cluster_of(call: Call, sight: Sight) -> ShownCluster | None:
    """Return the nodes and what they hold; None for a root that is not in a cluster. Raises AkjobError."""
    cluster = call.site.config.cluster
    if cluster is None:
        return None
    from akjob.ledger.nodes import CLOCK_LIMIT_S, Nodes  # noqa: PLC0415 - of the extra `cluster`

    with closing(Nodes(call.site.paths.ledger_url)) as table:
        nodes, held = table.list(), table.held()
    shown = [
        ShownNode(
            node=one,
            look=_CLASSES[one.state],
            glyph=GLYPHS[one.state],
            free=max(0, one.slots - one.running) if one.state == "up" else 0,
            age=span(round(one.lease_age_s * 1e6)),
            offset=f"{round(one.clock_offset_s * 1000):+d} ms",
            is_off=abs(one.clock_offset_s) > CLOCK_LIMIT_S,
            since_us=from_text(one.since),
            is_here=one.node == cluster.name,
        )
        for one in nodes
    ]
    return ShownCluster(nodes=shown, held=[one for one in held if sight.sees(one.job)])


async def drain(call: Call, form: Mapping[str, str]) -> str:
    """Let a node claim and take nothing more; what runs there goes on to its end."""
    return await _change(call, form, "node.drain", lambda table, node: table.drain(node, draining=True))


async def resume_node(call: Call, form: Mapping[str, str]) -> str:
    """Let a node that was drained claim and take runs again."""
    return await _change(call, form, "node.resume", lambda table, node: table.drain(node, draining=False))


async def forget(call: Call, form: Mapping[str, str]) -> str:
    """Remove a node that is down or lost and does not come back."""
    return await _change(call, form, "node.forget", lambda table, node: table.forget(node))


async def _change(call: Call, form: Mapping[str, str], name: str, do: Callable[["Nodes", str], None]) -> str:
    node, reason = form.get("node", ""), reason_of(form.get("reason"))
    if call.site.config.cluster is None:
        raise ProblemError("not-found", "this root is not a node of a cluster", "[cluster] url makes it one.")

    def change() -> None:
        from akjob.ledger.nodes import Nodes  # noqa: PLC0415 - as above

        with closing(Nodes(call.site.paths.ledger_url)) as table:
            do(table, node)

    async def work() -> Response:
        await call.site.act(change)
        return Response(status_code=HTTPStatus.SEE_OTHER)

    await act(call, Action(name=name, target=node[:200], reason=reason), work)
    return "/system#nodes"
