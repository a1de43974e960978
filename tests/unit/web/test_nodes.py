"""The log of a run that executed on another node: asked of that node by a token that opens no other door."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from akjob.akjobd.loop import SystemClock
from akjob.config import Config
from akjob.config.cluster import ClusterConfig
from akjob.instants import SECOND
from akjob.ledger import open_store
from akjob.ledger.nodes import Me, Nodes
from akjob.ledger.postgres import connect
from akjob.query.distant import AwayError, DistantLog
from tests import postgres
from tests.support import until
from tests.unit.cli.root import NOW_US, Root, later, output
from tests.unit.web.asked import CLOSED, label, status
from tests.unit.web.serving import Served, served

pytestmark = postgres.needs_postgres

RUN = "01m85ajwkd1sc8zp"
LOG = f"/nodes/b/runs/{RUN}/log"
END: dict[str, Any] = {"event": "run.finished", "state": "succeeded", "duration_s": 1.5}


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """Run PostgreSQL."""
    with postgres.running() as found:
        yield found


@pytest.fixture
def url(server: postgres.Server) -> str:
    """Make a database with the ledger's tables."""
    url = server.database()
    open_store(url).close()
    return url


def node(folder: Path, url: str) -> Root:
    """Make the root of a node that is called as its folder; all nodes have the same job."""
    folder.mkdir()
    root = Root(folder)
    root.paths.config_file.parent.mkdir()
    root.paths.config_file.write_text(f'[cluster]\nurl = "{url}"\nnode = "{folder.name}"\n')
    root.job("tick", 'command = ["true"]\n')
    return root


def join(url: str, name: str, address: str | None) -> None:
    """Let a node renew its lease, which publishes its address."""
    with closing(Nodes(url)) as nodes:
        nodes.renew(
            Me(node=name, tags=(), slots=1, lease_us=20 * SECOND, version="1", url=address), SystemClock().now_us
        )


def token(url: str) -> str:
    """Return the cluster's token."""
    with closing(Nodes(url)) as nodes:
        return nodes.token()


@contextmanager
def serving(root: Root, url: str) -> Iterator[Served]:
    """Serve a node, and let the cluster know of it."""
    config = Config(cluster=ClusterConfig(url=url, node=root.paths.root.name))
    with served(root, config=config) as site:
        join(url, root.paths.root.name, site.url)
        yield site


@pytest.fixture
def there(tmp_path: Path, url: str) -> Root:
    """Return node b, which has executed the run and has its lines."""
    root = node(tmp_path / "b", url)
    spec = root.job("tick", 'command = ["true"]\n')
    assert spec is not None
    root.loaded(spec)
    root.run(
        RUN,
        "tick",
        -5,
        state="succeeded",
        node="b",
        started_us=NOW_US - 300 * SECOND,
        ended_us=NOW_US - 299 * SECOND,
        definition_sha256=spec.sha256,
    )
    first = output(RUN, 1, "careful", level="warning")
    root.log(
        first, output(RUN, 2, "to stderr", stream="stderr"), *(output(RUN, seq, f"line {seq}") for seq in range(3, 31))
    )
    return root


@pytest.fixture
def b(there: Root, url: str) -> Iterator[Served]:
    """Serve it."""
    with serving(there, url) as site:
        yield site


@pytest.fixture
def here(tmp_path: Path, url: str) -> Root:
    """Return node a, which has not a line of the run."""
    return node(tmp_path / "a", url)


@pytest.fixture
def a(here: Root, url: str) -> Iterator[Served]:
    """Serve it."""
    with serving(here, url) as site:
        yield site


def test_the_api_of_any_node_has_the_lines(a: Served, b: Served) -> None:
    """The same bytes as from the node that has them."""
    for query in ("", "?level=warning", "?grep=line+1.", "?stream=stderr", "?raw=1", "?raw=1&stream=stderr"):
        asked = f"/api/v1/runs/{RUN}/log{query}"
        found = a.token().get(asked)
        assert found.status_code == 200
        assert found.content == b.token().get(asked).content != b""


def test_a_range_of_the_output_is_that_of_the_other_node(a: Served, b: Served) -> None:
    """206, with the same bytes."""
    path, headers = f"/api/v1/runs/{RUN}/log?raw=1", {"Range": "bytes=5-20"}
    found, wanted = a.token().get(path, headers=headers), b.token().get(path, headers=headers)
    assert (found.status_code, found.content) == (206, wanted.content)
    assert found.headers["content-range"] == wanted.headers["content-range"]


@pytest.mark.usefixtures("b")
def test_the_page_of_any_node_has_the_log(a: Served) -> None:
    """Its end, a stretch of it, and what a search finds; and which node it was."""
    client = a.browser()
    text = client.get(f"/runs/{RUN}").text
    assert "line 30" in text
    assert "<dt>Node</dt><dd>b</dd>" in text
    found = client.get(f"/runs/{RUN}", params={"grep": "line 17"}).text
    assert "1 line found" in found
    assert 'id="L17"' in found
    assert 'id="L18"' not in found


@pytest.mark.usefixtures("there")
def test_runs_and_lanes_have_their_node(a: Served) -> None:
    """In the list, and in what a bar of the timeline says."""
    a.clock.now_us += 1
    client = a.browser()
    row = client.get("/runs").text.partition(f'href="/runs/{RUN}"')[2].partition("</tr>")[0]
    assert '<td class="small">b</td>' in row
    assert " on node b" in client.get("/timeline").text


@pytest.mark.usefixtures("there")
def test_the_page_says_where_a_log_is_that_cannot_be_had(a: Served, url: str) -> None:
    """The node and when it was seen last; the rest of the page is there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        join(url, "b", f"http://127.0.0.1:{free.getsockname()[1]}")
    text = a.browser().get(f"/runs/{RUN}").text
    assert "The log is on node b, last seen" in text
    assert "Connection refused" in text
    assert "From due to done" in text
    answer = a.token().get(f"/api/v1/runs/{RUN}/log")
    assert (answer.status_code, answer.json()["code"]) == (502, "log-elsewhere")


@pytest.mark.usefixtures("b")
def test_who_may_not_see_the_job_does_not_see_its_lines_from_elsewhere(a: Served) -> None:
    """What the asking side's principal may know decides; the answer is that for a run that is not there."""
    client = a.token("admin", jobs="other/**")
    for path in (f"/api/v1/runs/{RUN}/log", f"/runs/{RUN}"):
        hidden, absent = client.get(path), client.get(path.replace(RUN, "01m85ajwkd9absent"))
        assert hidden.status_code == absent.status_code == 404
        assert hidden.text.replace(RUN, "") == absent.text.replace("01m85ajwkd9absent", "")


class TestCommands:
    """``akjob logs RUN`` on a node that has not executed it."""

    @pytest.mark.usefixtures("b")
    def test_logs_come_from_the_node_that_has_them(self, here: Root) -> None:
        """All of them, the last ones, those that match, and the output's bytes; as JSON too."""
        assert [line["seq"] for line in here.json("logs", RUN)] == list(range(1, 31))
        assert [line["seq"] for line in here.json("logs", RUN[:10], "-n", "3")] == [28, 29, 30]
        assert [line["seq"] for line in here.json("logs", RUN, "-n", "2", "--grep", "line .5")] == [15, 25]
        assert [line["seq"] for line in here.json("logs", RUN, "--level", "warning")] == [1]
        assert "line 30" in here.akjob("logs", RUN).stdout
        assert here.akjob("logs", RUN, "--raw", "--stream", "stderr").stdout == "to stderr\n"

    @pytest.mark.usefixtures("there")
    def test_the_history_names_the_node(self, here: Root) -> None:
        """In a column that a root without a cluster does not have."""
        heads, row = here.akjob("history").stdout.splitlines()
        assert heads.split()[-2:] == ["NODE", "RUN"]
        assert row.split()[-2:] == ["b", RUN]

    @pytest.mark.usefixtures("there")
    def test_a_node_that_is_gone_is_named(self, here: Root, url: str) -> None:
        """Where the log is and when the node was seen last; exit code 1 and nothing else."""
        join(url, "b", None)
        for more in ((), ("--raw",), ("-f",)):
            result = here.akjob("logs", RUN, *more)
            assert (result.exit_code, result.stdout) == (1, "")
            assert "log is on node b, last seen " in result.stderr
            assert "it publishes no address" in result.stderr
        with closing(Nodes(url)) as nodes:
            nodes.stop("b")
            nodes.forget("b")
        assert "log is on node b, which the cluster does not know any more" in here.akjob("logs", RUN).stderr

    def test_a_run_that_goes_on_is_followed(self, here: Root, there: Root, b: Served) -> None:
        """Until its last line, also when there is none for a while."""
        assert b.site is not None
        found: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: found.extend(here.json("logs", RUN, "-f", "-n", "2")))
        thread.start()
        until(lambda: b.site is not None and b.site.streams.count == 1)
        there.log(output(RUN, 31, "one more", at=later(1)))
        there.log(output(RUN, 32, "", at=later(2), **END))
        thread.join(20)
        assert [line["seq"] for line in found] == [29, 30, 31, 32]


class TestTheDoor:
    """What the cluster's token opens, and what opens its door."""

    def test_the_token_opens_no_other_route(self, b: Served, url: str) -> None:
        """401, as for any token that is not one."""
        asking = client(b, token(url))
        for route in CLOSED:
            assert status(asking, route) == 401, label(route)

    def test_nothing_else_opens_it(self, b: Served, url: str) -> None:
        """No session, no token of any scope, none that is near, none in the URL or in another header."""
        good = token(url)
        assert client(b, good).get(LOG).status_code == 200
        others = [b.nobody(), b.browser(), *(b.token(scope) for scope in ("read", "operate", "admin", "metrics"))]
        others += [client(b, good[:-1]), client(b, good + "x"), client(b, "\u00e4")]
        for other in others:
            answer = other.get(LOG, params={"token": good}, headers={"Accept": "text/html", "X-Token": good})
            assert answer.status_code == 401
            assert "line 30" not in answer.text
        assert b.nobody().get(LOG, headers={"Authorization": f"Basic {good}"}).status_code == 401
        assert client(b, good).post(LOG).status_code == 401
        assert client(b, good).get(LOG, headers={"Host": "evil.example.org"}).status_code == 421

    def test_a_root_without_a_cluster_has_no_such_door(self, site: Served) -> None:
        """401 whatever is sent."""
        assert client(site, "x").get(LOG).status_code == 401
        assert client(site, "akjn_x").get(LOG).status_code == 401

    def test_what_is_no_run_is_not_looked_for(self, b: Served, url: str) -> None:
        """404 without a look at any file."""
        asking = client(b, token(url))
        for run in ("..%2f..%2fvar%2fweb.db", "%00", "x%22%2c%22job", "A" * 16, "a" * 65, "*", "%2e%2e"):
            answer = asking.get(f"/nodes/b/runs/{run}/log")
            assert answer.status_code in {401, 404}, run
            assert "line" not in answer.text

    def test_another_node_than_the_one_that_is_meant_does_not_answer(self, b: Served, url: str) -> None:
        """An address of this machine, published by two: the wrong one says so."""
        join(url, "c", b.url)
        with pytest.raises(AwayError, match="log is on node c, last seen") as caught:
            DistantLog(url, "c", RUN).last(1)
        assert "404 this is node b" in caught.value.hint

    def test_parameters_have_bounds(self, b: Served, url: str) -> None:
        """422."""
        asking = client(b, token(url))
        for query in ("last=0", "last=5001", "last=x", "after=-1", "after=" + "9" * 20, "follow=2"):
            assert asking.get(f"{LOG}?{query}").status_code == 422, query

    def test_followers_have_an_upper_number(self, b: Served, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """429 for more than one credential may hold open."""
        monkeypatch.setattr("akjob.web.streams.MOST_EACH", 1)
        asking = client(b, token(url))
        with asking.stream("GET", f"{LOG}?follow=1") as first:
            pieces = first.iter_raw()
            assert next(pieces) == b"\n"
            assert asking.get(f"{LOG}?follow=1").status_code == 429
            del pieces  # which would have closed the stream

    def test_another_token_takes_its_place(self, b: Served, url: str) -> None:
        """Once the row is another one, who comes with the new token is let in, and the old one is not any more."""
        old = token(url)
        assert client(b, old).get(LOG).status_code == 200
        with connect(url) as connection:
            connection.execute("DELETE FROM node_token")
        new = token(url)
        assert new != old
        until(lambda: client(b, new).get(LOG).status_code == 200)
        assert client(b, old).get(LOG).status_code == 401

    def test_no_page_shows_the_token(self, b: Served, url: str) -> None:
        """Not to admins either."""
        seen = b.browser()
        for path in ("/system", f"/runs/{RUN}", "/api/v1/status"):
            assert token(url) not in seen.get(path).text


def client(site: Served, secret: str) -> httpx.Client:
    """Return a client with a token."""
    found = site.nobody()
    found.headers.update(httpx.Headers([(b"Authorization", f"Bearer {secret}".encode())]))
    return found


@contextmanager
def stranger(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Answer every request with the same bytes; yield where, and what was asked."""
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                asked.append(peer.recv(4096))
                peer.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "302 Found"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "the connection was cut"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n", "IncompleteRead"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx\n", "malformed"),
        (b"SSH-2.0\r\n", "SSH"),
    ],
    ids=("elsewhere", "cut", "cut between chunks", "no JSON", "no HTTP"),
)
def test_what_another_node_answers_is_not_trusted(url: str, answer: bytes, said: str) -> None:
    """No redirect is followed with the token; what is not a whole answer is an error that says so."""
    with stranger(answer) as (address, asked):
        join(url, "b", address)
        with pytest.raises(AwayError) as caught:
            list(DistantLog(url, "b", RUN).lines())
        assert said in caught.value.hint
        assert len(asked) == 1


class TestSystem:
    """The nodes on the page."""

    def test_it_shows_the_nodes_and_what_they_hold(self, a: Served, b: Served, url: str) -> None:
        """State, tags, free places, the clock; which run has a lock."""
        assert b.site is not None
        with closing(Nodes(url)) as nodes:
            nodes.renew(Me(node="far", tags=("gpu",), slots=4, lease_us=20 * SECOND, version="1"), SystemClock().now_us)
        with connect(url) as connection:
            connection.execute("UPDATE nodes SET clock_offset_s = -0.7 WHERE node = 'far'")
            connection.execute("UPDATE runs SET state = 'running', gates = '{lock:crm,pool:db}' WHERE id = %s", (RUN,))
        text = a.browser().get("/system").text
        row = text.partition('<th scope="row">far')[2].partition("</tr>")[0]
        assert all(part in row for part in ("gpu", 'data-head="free">4<', "-700 ms", "s-lost"))
        assert "this one" in text.partition('<th scope="row">a')[2].partition("</th>")[0]
        held = text.partition('aria-label="Locks and pools"')[2].partition("</table>")[0]
        assert all(part in held for part in ("lock crm", "pool db", "<td>b</td>", RUN))
        now = text.partition("What runs now")[2].partition("</ul>")[0]
        assert all(part in now for part in (RUN, "on node b"))
        assert RUN not in a.token(jobs="other/**").get("/system").text

    def test_a_node_is_drained_and_resumed_by_admins_alone(self, a: Served, url: str) -> None:
        """The buttons, their rows in the audit, and who may not."""
        browser = a.browser()
        assert 'action="/do/drain-node"' in browser.get("/system").text
        assert "/do/drain-node" not in a.token("operate").get("/system").text
        answer = browser.post("/do/drain-node", data={"node": "a", "reason": "new memory"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/system#nodes")
        assert states(url) == {"a": "draining"}
        assert 'action="/do/resume-node"' in browser.get("/system").text
        assert a.token("operate").post("/do/resume-node", data={"node": "a"}).status_code == 403
        assert browser.post("/do/resume-node", data={"node": "a"}).status_code == 303
        assert states(url) == {"a": "up"}
        assert browser.post("/do/drain-node", data={"node": "x"}).status_code == 422
        found = [(row.action, row.target, row.reason, row.status) for row in a.store.audit_rows(10)]
        assert found == [
            ("node.drain", "x", None, 422),
            ("node.resume", "a", None, 303),
            ("node.drain", "a", "new memory", 303),
        ]

    def test_a_root_without_a_cluster_has_no_nodes(self, site: Served) -> None:
        """No heading, and no button that works."""
        assert "Nodes" not in site.browser().get("/system").text
        assert site.browser().post("/do/drain-node", data={"node": "a"}).status_code == 404


def states(url: str) -> dict[str, str]:
    """Return the state of each node."""
    with closing(Nodes(url)) as nodes:
        return {one.node: one.state for one in nodes.list()}


def test_the_stream_of_a_node_is_for_other_nodes_alone(b: Served, url: str) -> None:
    """With the cluster's token, filtered; for no user; and not where another node is meant."""
    asked = "/nodes/b/log?job=tick&level=warning"
    assert httpx.get(b.url + asked).status_code == 401
    assert b.token().get(asked).status_code in {401, 403}
    bearer = {"Authorization": f"Bearer {token(url)}"}
    found = httpx.get(b.url + asked, headers=bearer)
    assert found.status_code == 200
    assert [line["line"] for line in map(json.loads, found.text.splitlines())] == ["careful"]
    assert len(httpx.get(f"{b.url}/nodes/b/log?last=3", headers=bearer).text.splitlines()) == 3
    assert httpx.get(f"{b.url}/nodes/b/log?job=other", headers=bearer).text == ""
    for path, code in (("/nodes/a/log", 404), ("/nodes/b/log?last=0", 422), ("/nodes/b/log?since_us=x", 422)):
        assert httpx.get(b.url + path, headers=bearer).status_code == code
