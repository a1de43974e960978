"""Ten mistakes that programs of this kind have made, each asked of all routes there are.

1 (open by default), 2 (exemptions by a URL's text), 3 (a second door) and 5 (other sites) are in test_gate.
"""

import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from akjob.query.visibility import Principal, matches, visible
from akjob.web import bodies, server
from akjob.web.app import ROUTES
from akjob.web.routes import Route
from akjob.web.store import WebStore
from tests.support import until
from tests.unit.cli.root import Root, output
from tests.unit.web.asked import IN_A_PATH, READING, asked, body, label, path_of, status
from tests.unit.web.serving import Served, served

MINE, THEIRS = "mine/one", "theirs/canary"
MY_RUN, THEIR_RUN = "01m85ajwkd1sc8zp", "01m85ajwkd2canary"
SECRET = "s3cr3t-canary-value"  # noqa: S105 - what must not be seen
ESCAPES = (
    "..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fvar%2fweb.db", "..%252f..%252fvar%252fweb",
    "%00", "tick%00.toml", "....//....//var/web.db", "%c0%ae%c0%ae%2fvar%2fweb.db", "%ef%bc%8e%ef%bc%8e%2fvar",
    "/etc/passwd", "file:///etc/passwd", "..\\..\\var", "~root", "a" * 3000,
)  # fmt: skip


@pytest.fixture
def two(root: Root) -> Iterator[Served]:
    """Serve a root with a job that one principal may see, and one that it may not, broken files and logs of both."""
    for job, run in ((MINE, MY_RUN), (THEIRS, THEIR_RUN)):
        spec = root.job(job, f'command = ["echo", "{job}"]\ntags = ["{job}-tag"]\n[schedule]\nevery = "1h"\n')
        assert spec is not None
        root.loaded(spec, last_state="failed", last_run=run, last_ended_us=0)
        root.run(run, job, -5, state="failed", reason=f"reason of {job}", definition_sha256=spec.sha256)
        root.log(output(run, 1, f"line of {job}", job=job))
        root.job(f"{job}-broken", f'command = "x"\nunknown_{job.replace("/", "_")} = 1\n')
    with served(root) as site:
        yield site


def everything(client: httpx.Client, route: Route) -> Iterator[bytes]:
    """Yield the answers of a route for both jobs and runs, with filters that name them, without what was asked."""
    for name, run in ((MINE, MY_RUN), (THEIRS, THEIR_RUN), (f"{THEIRS}-broken", THEIR_RUN)):
        path = path_of(route, name=name, id=run)
        for query in ({}, {"q": "canary"}, {"job": name}, {"tag": f"{THEIRS}-tag"}, {"grep": "line"}, {"raw": "1"}):
            found = body(client, route, path, params=query, headers={"Accept": "application/json"})
            yield without_what_was_asked(found, (name, run, *query.values()))


def without_what_was_asked(found: bytes, asked_for: Iterable[str]) -> bytes:
    """Return an answer without the words of its own question: in a problem, in a form's field, in a link's query."""
    for word in asked_for:
        for form in (f"'{word}'", f'value="{word}"', f"={quote(word, safe='')}", f"\u201c{word}\u201d"):
            found = found.replace(form.encode(), b"")
    return found


@pytest.mark.parametrize("route", READING, ids=label)
def test_6_no_byte_of_anothers_job(two: Served, route: Route) -> None:
    """Not in lists, counts, searches, strips, logs, events, broken files, metrics, nor in hints."""
    client = two.token("metrics" if route.needs == "metrics" else "read", jobs="mine/**")
    for found in everything(client, route):
        assert b"canary" not in found
        assert b"theirs" not in found


@pytest.mark.parametrize(
    "route", [route for route in IN_A_PATH if "{name" in route.path or "{id}" in route.path], ids=label
)
def test_6_anothers_job_is_as_if_it_were_not_there(two: Served, route: Route) -> None:
    """The same answer as for one that does not exist, names aside; in a path and in a body."""
    client = two.token("operate", jobs="mine/**")
    hidden = path_of(route, name=THEIRS, id=THEIR_RUN)
    absent = path_of(route, name="theirs/absent", id="01m85ajwkd9absent")
    with asked(client, route, hidden) as one, asked(client, route, absent) as other:
        assert one.status_code == other.status_code == 404
        said = one.read().replace(b"canary", b"absent").replace(b"01m85ajwkd2absent", b"01m85ajwkd9absent")
        assert said == other.read()


def test_6_anothers_job_in_a_body_is_404(two: Served) -> None:
    """Writes name their job in the body."""
    client = two.token("operate", jobs="mine/**")
    for path in ("/api/v1/runs", "/api/v1/pauses"):
        assert client.post(path, json={"job": THEIRS, "reason": "why"}).status_code == 404, path


def test_6_counts_are_of_what_may_be_seen(two: Served) -> None:
    """The status counts no job of another."""
    mine = two.token("read", jobs="mine/**").get("/api/v1/status").json()
    both = two.token("read").get("/api/v1/status").json()
    assert (mine["jobs"], both["jobs"]) == ({"loaded": 1, "broken": 1}, {"loaded": 2, "broken": 2})


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    job=st.lists(st.sampled_from(["a", "b", "ab", "x-1", "*", "**", "?"]), min_size=1, max_size=4).map("/".join),
    glob=st.lists(st.sampled_from(["a", "b", "a*", "*", "**", "?", "x-1"]), min_size=1, max_size=4).map("/".join),
)
def test_6_a_glob_means_what_it_says(job: str, glob: str) -> None:
    """``*`` does not cross a slash, ``**`` does; checked against a second way to decide it."""
    principal = Principal(name="x", scope="read", jobs=glob)
    assert visible(principal, job) is matches(glob, job) is slowly(glob.split("/"), job.split("/"))


def slowly(glob: list[str], job: list[str]) -> bool:
    """Return True if the parts of a name fit those of a glob, part by part."""
    if not glob:
        return not job
    head, *rest = glob
    if head == "**":
        if not rest:
            return bool(job)
        return any(slowly(rest, job[cut:]) for cut in range(len(job) + 1))
    return bool(job) and within(head, job[0]) and slowly(rest, job[1:])


def within(glob: str, part: str) -> bool:
    """Return True if one part fits; ``*`` is anything, ``?`` any one character."""
    if not glob:
        return not part
    if glob[0] == "*":
        return any(within(glob[1:], part[cut:]) for cut in range(len(part) + 1))
    return bool(part) and glob[0] in {"?", part[0]} and within(glob[1:], part[1:])


@pytest.mark.parametrize("route", IN_A_PATH, ids=label)
def test_4_no_path_leads_out_of_the_table(two: Served, route: Route) -> None:
    """Names go to the job set, ids to the ledger; no file is opened by what a request says."""
    client = two.token("admin")
    prefix = route.path[: route.path.index("{")]
    for escape in ESCAPES:
        with asked(client, route, prefix + escape) as answer:
            if not answer.url.path.startswith(prefix):
                continue  # the client itself resolved the dots: it asked for another route
            assert answer.status_code in {400, 401, 404, 405}, escape
            found = answer.read()
        assert b"root:" not in found
        assert b"SQLite" not in found


@pytest.mark.parametrize("route", READING, ids=label)
def test_7_no_secret_is_shown(root: Root, route: Route) -> None:
    """Of a variable from a file there is the file's name; tokens and codes are in no answer."""
    (root.paths.root / "secret").write_text(SECRET)
    spec = root.job("tick", 'command = ["true"]\n[run]\nenv = { PASSWORD = { file = "secret" } }\n')
    assert spec is not None
    root.loaded(spec)
    root.run(MY_RUN, "tick", -5, state="succeeded", definition_sha256=spec.sha256)
    with served(root) as site:
        client = site.token("admin")
        token = client.headers["authorization"].removeprefix("Bearer ")
        found = body(client, route)
        assert SECRET.encode() not in found
        assert token.encode() not in found


def test_7_no_token_is_taken_from_a_url(site: Served) -> None:
    """URLs stand in histories and in logs of proxies."""
    token = site.token("read").headers["authorization"].removeprefix("Bearer ")
    for name in ("token", "access_token", "code", "api_key"):
        assert site.nobody().get("/api/v1/status", params={name: token}).status_code == 401


def test_8_the_server_loads_no_code_of_jobs() -> None:
    """Neither pickles nor dill, and no module of a job: they stay in the run."""
    code = (
        "import sys, akjob.web.app, akjob.web.program; "
        "print(sorted({'dill', 'pickle', 'structlog', 'akjob.code.load', 'akjob.run.zygote'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(eval(done.stdout)) <= {"pickle"}  # noqa: S307 - our own output; asyncio's parent imports pickle's module


def test_9_what_a_job_says_is_text(root: Root) -> None:
    """Names, descriptions, reasons and errors are escaped; JSON is never taken for a page."""
    evil = "<script>alert(1)</script>"
    spec = root.job("tick", f'command = ["true"]\ndescription = "{evil}"\n')
    assert spec is not None
    root.loaded(spec)
    root.run(MY_RUN, "tick", -5, state="failed", reason=evil, error=evil)
    with served(root) as site:
        client = site.browser()
        for route in READING:
            with asked(client, route, headers={"Accept": "text/html"}) as answer:
                if answer.headers.get("content-type", "").startswith("text/html"):
                    assert evil.encode() not in answer.read(), route.path
                else:
                    assert answer.headers["x-content-type-options"] == "nosniff"


class TestExhaustion:
    """10: every parameter has a maximum, and whoever is slow is cut."""

    @pytest.mark.parametrize("route", READING, ids=label)
    def test_a_long_parameter_costs_nothing(self, two: Served, route: Route) -> None:
        """Each is refused or passed over; none is a failure of the server."""
        client = two.token("admin")
        for name in ("q", "tag", "state", "job", "since", "cursor", "limit", "at", "after", "grep", "level", "code"):
            assert status(client, route, params={name: "9" * 5000}) != 500, name

    @pytest.mark.parametrize("limit", ["0", "1001", "-1", "1e3", "٣", "", "9" * 400, "1.0", "0x10"])
    def test_a_limit_is_from_1_to_1000(self, two: Served, limit: str) -> None:
        """Anything else is 422 with the code."""
        for path in ("/api/v1/jobs", "/api/v1/runs", "/api/v1/broken", f"/api/v1/slots/{MINE}"):
            answer = two.token("read").get(path, params={"limit": limit})
            assert (answer.status_code, answer.json()["code"]) == (422, "bad-parameter")

    def test_a_large_body_is_refused(self, two: Served) -> None:
        """413 for more than a form or a request of this API needs."""
        client = two.token("operate")
        answer = client.post("/api/v1/runs", content=b" " * (bodies.MOST_BYTES + 1))
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")

    def test_a_deep_body_is_refused(self, two: Served) -> None:
        """Nested beyond measure: 422, and the server goes on."""
        client = two.token("operate")
        deep = b'{"job":"mine/one","args":{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"}}"
        answer = client.post("/api/v1/runs", content=deep, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert client.get("/healthz").status_code == 200

    @pytest.mark.parametrize("pattern", ["(a+)+$", ".*.*.*=", "(a|a)*b*", r"(a)\1+x*", "(?:a{1,99}){1,99}", "("])
    def test_a_pattern_that_may_take_for_ever_is_refused(self, two: Served, pattern: str) -> None:
        """422; plain ones are taken."""
        client = two.token("read")
        url = f"/api/v1/runs/{MY_RUN}/log"
        assert client.get(url, params={"grep": pattern}).status_code == 422
        assert client.get(url, params={"grep": "line.*one"}).text.count("\n") == 1

    def test_who_is_slow_with_the_head_of_a_request_is_cut(self, site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        """A byte now and then holds no connection for long."""
        monkeypatch.setattr(server, "HEAD_S", 0.2)
        with socket.create_connection(("127.0.0.1", site.port)) as slow:
            slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127")
            slow.settimeout(20)
            assert slow.recv(100) == b""

    def test_who_is_slow_with_a_body_is_cut(self, site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        """408, and no action."""
        monkeypatch.setattr(bodies, "BODY_S", 0.2)
        token = site.token("operate").headers["authorization"]
        head = f"POST /api/v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {token}\r\nContent-Length: 9\r\n\r\n"
        with socket.create_connection(("127.0.0.1", site.port)) as slow:
            slow.sendall(head.encode() + b"{")
            slow.settimeout(20)
            assert slow.recv(1000).startswith(b"HTTP/1.1 408")

    def test_who_takes_nothing_of_an_answer_is_cut(
        self, two: Served, root: Root, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The answer does not wait for ever; whoever reads on gets all of it."""
        monkeypatch.setattr(server, "STALLED_S", 0.2)
        lost: list[object] = []
        close = server.Protocol.connection_lost

        def connection_lost(protocol: server.Protocol, exc: Exception | None) -> None:
            lost.append(exc)
            close(protocol, exc)

        monkeypatch.setattr(server.Protocol, "connection_lost", connection_lost)
        root.log(*(output(MY_RUN, seq, "x" * 100_000, job=MINE) for seq in range(100, 200)))
        client = two.token("read")
        head = f"GET /api/v1/runs/{MY_RUN}/log?raw=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        head += f"Authorization: {client.headers['authorization']}\r\n\r\n"
        with socket.socket() as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.connect(("127.0.0.1", two.port))
            stalled.sendall(head.encode())
            until(lambda: lost)
        assert len(client.get(f"/api/v1/runs/{MY_RUN}/log?raw=1").content) > 10_000_000

    def test_streams_have_an_upper_number(self, site: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of one credential and of all together; one that is closed makes room."""
        monkeypatch.setattr("akjob.web.streams.MOST_EACH", 2)
        client = site.token("read")
        with client.stream("GET", "/api/v1/events"), client.stream("GET", "/api/v1/events"):
            answer = client.get("/api/v1/events")
            assert (answer.status_code, answer.json()["code"]) == (429, "too-many-streams")
            assert site.token("read").get("/api/v1/status").status_code == 200
        until(lambda: status(client, next(route for route in ROUTES if route.path == "/api/v1/events")) == 200)


def test_tokens_of_another_root_are_nothing(site: Served, tmp_path: Path) -> None:
    """Each root has its own."""
    with WebStore.open(tmp_path / "elsewhere" / "web.db") as other:
        token = other.create_token("x", "admin", None, None, site.clock.now_us).token
    assert site.nobody().get("/", headers={"Authorization": f"Bearer {token}"}).status_code == 401
