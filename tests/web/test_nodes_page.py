"""The nodes of a cluster in a browser: what is seen of them on a phone too, and draining one."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from akjob.akjobd.loop import SystemClock
from akjob.instants import SECOND
from akjob.ledger.nodes import Me, Nodes
from tests import postgres
from tests.web.conftest import CHROMIUM, Site, served

pytestmark = [pytest.mark.process, postgres.needs_postgres]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve node a of a cluster, which another one has joined."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not there: apt-get install chromium")
    with postgres.running() as server:
        url = server.database()
        settings = f'[cluster]\nurl = "{url}"\nnode = "a"\n'
        with served(
            tmp_path_factory.mktemp("node"), lambda place: place.job("tick", 'command = "true"\n'), settings
        ) as here:
            with closing(Nodes(url)) as nodes:
                tags = ("gpu", "a-tag-that-is-rather-long", "another-one")
                nodes.renew(
                    Me(node="a-node-with-a-long-name", tags=tags, slots=4, lease_us=600 * SECOND, version="1"),
                    SystemClock().now_us,
                )
            yield here


@pytest.fixture
def nodes_of(site: Site) -> Iterator[Nodes]:
    """Return the cluster's table of nodes."""
    with closing(Nodes(site.place.paths.ledger_url)) as nodes:
        yield nodes


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_nodes_fit_on_every_screen(site: Site, theme: str) -> None:
    """At 390, 1024 and 1600 px nothing is wider than the screen, and each node is there."""
    for width in (390, 1024, 1600):
        page = site.page(width=width, theme=theme)
        page.goto(f"{site.url}/system")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        table = page.get_by_role("region", name="Nodes")
        assert table.get_by_text("a-node-with-a-long-name", exact=True).is_visible()
        assert table.get_by_text("another-one").is_visible()
        page.context.close()


def test_a_node_is_drained_and_resumed_by_its_button(site: Site) -> None:
    """Without JavaScript too; the audit has who did it."""
    page = site.page(javascript=False)
    page.goto(f"{site.url}/system")
    page.get_by_role("button", name="Drain node a-node-with-a-long-name").click()
    page.get_by_role("region", name="Nodes").get_by_text("draining").wait_for()
    page.get_by_role("button", name="Resume node a-node-with-a-long-name").click()
    page.get_by_role("button", name="Drain node a-node-with-a-long-name").wait_for()
    audit = page.get_by_role("region", name="Audit").inner_text()
    assert "node.drain" in audit
    assert "ada" in audit
    page.context.close()


def test_a_node_that_does_not_come_back_is_forgotten_by_its_button(site: Site, nodes_of: Nodes) -> None:
    """Only one that is down or lost has the button; afterwards the page is without it, and the audit has it."""
    page = site.page(javascript=False)
    page.goto(f"{site.url}/system")
    assert not page.get_by_role("button", name="Forget node").count()
    nodes_of.renew(Me(node="gone", tags=(), slots=1, lease_us=600 * SECOND, version="1"), SystemClock().now_us)
    nodes_of.stop("gone")
    page.goto(f"{site.url}/system")
    page.get_by_role("button", name="Forget node gone").click()
    table = page.get_by_role("region", name="Nodes")
    table.get_by_text("a-node-with-a-long-name", exact=True).wait_for()
    assert not table.get_by_text("gone", exact=True).count()
    assert "node.forget" in page.get_by_role("region", name="Audit").inner_text()
    page.context.close()
