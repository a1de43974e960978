"""Which nodes of a cluster may run a job, and what people read where none may."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from akjob.akjobd.loop import SystemClock
from akjob.instants import SECOND
from akjob.ledger import JobRow, NodeTags, Transition, Writes, open_store
from akjob.ledger.nodes import Me, Nodes
from akjob.query.placing import unplaced
from tests import postgres
from tests.unit.cli.root import Root
from tests.unit.world import job, row

UP = (NodeTags("a", "up", ("db",)), NodeTags("b", "up", ("gpu", "ssd")))


@pytest.mark.parametrize(
    ("run", "why"),
    [
        ("", ""),
        ('needs = ["gpu"]', ""),
        ('where = "node:a"', ""),
        ('needs = ["tpu"]', "no node has the tag tpu"),
        ('needs = ["tpu", "gpu"]', "no node has the tag tpu"),
        ('needs = ["tpu", "fpga"]', "no node has the tags fpga, tpu"),
        ('needs = ["db", "gpu"]', "no node has the tags db, gpu together"),
        ('where = "node:c"', "the cluster has no node c"),
        ('where = "node:a"\nneeds = ["gpu"]', "node a does not have the tag gpu"),
    ],
)
def test_what_is_lacking_is_named(run: str, why: str) -> None:
    """Each tag that no node has; tags that no node has together; a node that is not there."""
    assert unplaced(job("a", f"[run]\n{run}\n"), UP) == why


def test_nodes_that_are_not_up_are_named_with_their_state() -> None:
    """A node that is drained or lost would do, and does not now; without nodes nothing is known."""
    gone = (UP[0], NodeTags("b", "draining", ("gpu",)), NodeTags("c", "lost", ("gpu",)))
    assert unplaced(job("a", '[run]\nneeds = ["gpu"]\n'), gone) == (
        "no node with the tag gpu is up: b is drained, c is lost"
    )
    assert unplaced(job("a", '[run]\nwhere = "node:c"\n'), gone) == "no node is up: c is lost"
    assert unplaced(job("a", '[run]\nneeds = ["gpu"]\n'), ()) == ""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    """Return a root of a cluster with one node, and a run that waits for a tag."""
    with postgres.running() as server:
        url = server.database()
        root = Root(tmp_path)
        root.paths.config_file.parent.mkdir()
        root.paths.config_file.write_text(f'[cluster]\nurl = "{url}"\nnode = "a"\n')
        spec = root.job("train", 'command = "true"\n[run]\nneeds = ["gpu"]\n')
        assert spec is not None
        with closing(Nodes(url)) as table, closing(open_store(url, "a")) as store:
            me = Me(node="a", tags=("db",), slots=4, lease_us=600 * SECOND, version="1")
            table.renew(me, SystemClock().now_us)
            now_us = SystemClock().now_us()
            loaded = JobRow(
                job="train", watermark_us=now_us, first_loaded_us=now_us, last_loaded_us=now_us,
                file="jobs.d/train.toml", definition_sha256=spec.sha256, definition=spec.definition,
            )  # fmt: skip
            waits = row("waits", job="train", slot_us=now_us - SECOND, trigger="schedule")
            moved = Transition(at_us=now_us, kind="run", run="waits", job="train", to_state="queued")
            store.commit(Writes(loaded=[loaded], claims=[waits], transitions=[moved]))
            store._session.once("UPDATE runs SET owner = NULL, node = NULL, queue = 'akjob:gpu'")  # type: ignore[attr-defined]
        yield root


@postgres.needs_postgres
def test_a_run_that_no_node_takes_is_explained(root: Root) -> None:
    """In why and in validate, with the tag; when a node has it nothing of that is left."""
    said = root.json("why", "train")[0]
    assert (said["verdict"], said["because"]) == (
        "queued",
        [{"kind": "pool", "message": "it waits for a node: no node has the tag gpu"}],
    )
    warned = root.akjob("validate")
    assert (warned.exit_code, "the job runs nowhere: no node has the tag gpu" in warned.stdout) == (0, True)
    assert "warning[no-node]" in warned.stdout
    with closing(Nodes(root.paths.ledger_url)) as table:
        me = Me(node="b", tags=("gpu",), slots=4, lease_us=600 * SECOND, version="1")
        table.renew(me, SystemClock().now_us)
    assert "waits for a node" not in root.akjob("why", "train").stdout
    assert "no-node" not in root.akjob("validate").stdout
