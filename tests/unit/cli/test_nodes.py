"""akjob nodes: who is there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.akjobd.loop import SystemClock
from akjob.instants import SECOND
from akjob.ledger import open_store
from akjob.ledger.nodes import Me, Nodes
from tests import postgres
from tests.unit.cli.root import Root


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    """Return a root that is a node of a cluster of two."""
    with postgres.running() as server:
        url = server.database()
        root = Root(tmp_path)
        root.paths.config_file.parent.mkdir()
        root.paths.config_file.write_text(f'[cluster]\nurl = "{url}"\nnode = "a"\n')
        open_store(url, "a").close()
        table = Nodes(url)
        clock = SystemClock()

        def ahead() -> int:
            return clock.now_us() + 250_000

        for node in ("a", "b2"):
            for _ in "12":  # each renewal writes the offset that the one before has measured
                table.renew(Me(node=node, tags=("gpu",), slots=4, lease_us=20 * SECOND, version="1"), ahead)
        table.close()
        yield root


@postgres.needs_postgres
def test_nodes_are_listed_drained_and_forgotten(root: Root) -> None:
    """For people and as JSON; what is done to a node shows in its state."""
    first, second = root.json("nodes")
    keys = "node state tags slots running lease_age_s clock_offset_s git_commit version since"
    assert list(first) == keys.split()
    assert (first["node"], first["state"], first["tags"]) == ("a", "up", ["gpu"])
    assert 0.15 < first["clock_offset_s"] < 0.45
    assert second["node"] == "b2"
    shown = root.akjob("nodes").stdout.splitlines()
    assert shown[0].split()[:3] == ["NODE", "STATE", "TAGS"]
    assert shown[2].split()[:5] == ["b2", "up", "gpu", "0", "4"]
    assert max(map(len, shown)) <= 80
    assert "VERSION" not in shown[0]  # it is one
    assert root.akjob("nodes", "drain", "b2").exit_code == 0
    assert [one["state"] for one in root.json("nodes")] == ["up", "draining"]
    assert root.akjob("nodes", "resume", "b2").exit_code == 0
    refused = root.akjob("nodes", "forget", "b2")
    assert (refused.exit_code, "node b2 is up" in refused.stderr) == (1, True)
    unknown = root.akjob("nodes", "drain", "x")
    assert (unknown.exit_code, "there is no node x" in unknown.stderr) == (2, True)


def test_a_root_without_a_cluster_has_no_nodes(tmp_path: Path) -> None:
    """The error says what makes it a node."""
    result = Root(tmp_path).akjob("nodes")
    assert result.exit_code == 2
    assert "[cluster] url in etc/akjob.toml" in result.stderr
