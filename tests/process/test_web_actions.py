"""The API in front of a real akjobd: run, wait, stop, pause, follow."""

import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from akjob.config import Paths
from akjob.web.program import now_us
from akjob.web.store import WebStore
from tests.roots import Place
from tests.support import until

SLEEPER = 'command = ["sleep", "60"]\n[run]\nkill_after = "1s"\n'
ECHO = 'command = ["sh", "-c", "echo one; echo two; echo three"]\n'
FAILS = 'command = ["sh", "-c", "exit 3"]\n'


class Web:
    """The API of a place, asked by a token."""

    def __init__(self, place: Place, port: int) -> None:
        self.place = place
        self.url = f"http://127.0.0.1:{port}"
        with WebStore.open(place.paths.web_db) as store:
            token = store.create_token("deploy", "operate", None, None, now_us()).token
        # No connection is kept between tests: on a busy machine it would expire, and another be one test's leak.
        limits, headers = httpx.Limits(max_keepalive_connections=0), {"Authorization": f"Bearer {token}"}
        self.client = httpx.Client(base_url=self.url, headers=headers, timeout=30, limits=limits)

    def run(self, job: str, *, wait: str | None = None, **body: Any) -> httpx.Response:
        """Ask for a run."""
        params = {} if wait is None else {"wait": wait}
        return self.client.post("/api/v1/runs", params=params, json={"job": job, **body})

    def state(self, run: str) -> str:
        """Return the state of a run."""
        return str(self.client.get(f"/api/v1/runs/{run}").json()["state"])

    def ready(self) -> bool:
        """Return True if it serves."""
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Run akjobd, the collector and akjob-web."""
    root = tmp_path_factory.mktemp("web")
    yield from serve(root)


def serve(root: Path) -> Iterator[Web]:
    """Serve a new root while the block runs."""
    port = free_port()
    (root / "jobs.d").mkdir()
    (root / "etc").mkdir()
    (root / "etc" / "akjob.toml").write_text(f'[web]\nlisten = "127.0.0.1:{port}"\n')
    place = Place(root)
    for name, text in {"sleeper": SLEEPER, "echo": ECHO, "fails": FAILS}.items():
        place.job(name, text)
    try:
        place.start()
        place.start("akjob-web")
        served = Web(place, port)
        until(served.ready)
        yield served
        served.client.close()
    finally:
        place.stop()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_run_is_accepted_and_can_be_followed(web: Web) -> None:
    """202, where it is, and its row with who asked for it."""
    answer = web.run("echo", reason="to see it")
    row = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, f"/api/v1/runs/{row['id']}")
    assert (row["job"], row["trigger"], row["by"]) == ("echo", "manual", "deploy")
    until(lambda: web.state(row["id"]) == "succeeded")


def test_wait_answers_when_it_ended(web: Web) -> None:
    """200 with the row of the run that has ended; it failed, the request did not."""
    answer = web.run("fails", wait="30s")
    assert (answer.status_code, answer.json()["state"], answer.json()["exit_code"]) == (200, "failed", 3)


def test_a_wait_that_is_too_short_answers_with_what_there_is(web: Web) -> None:
    """202: it runs. And stop ends it."""
    answer = web.run("sleeper", wait="250ms")
    assert (answer.status_code, answer.json()["state"] in {"queued", "running"}) == (202, True)
    run = answer.json()["id"]
    until(lambda: web.state(run) == "running")
    stopped = web.client.post(f"/api/v1/runs/{run}/stop", json={"reason": "enough"})
    assert stopped.status_code == 202
    until(lambda: web.state(run) == "cancelled")
    again = web.client.post(f"/api/v1/runs/{run}/stop", json={})
    assert (again.status_code, again.json()["code"]) == (409, "refused")


def test_a_key_runs_a_job_once(web: Web) -> None:
    """The same request is answered the same; another one with its key is 422."""
    headers = {"Idempotency-Key": "monday"}
    first = web.client.post("/api/v1/runs", json={"job": "echo"}, headers=headers)
    second = web.client.post("/api/v1/runs", json={"job": "echo"}, headers=headers)
    assert (second.status_code, second.content, second.headers["location"]) == (
        first.status_code,
        first.content,
        first.headers["location"],
    )
    other = web.client.post("/api/v1/runs", json={"job": "fails"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key-reused")


def test_pause_and_resume(web: Web) -> None:
    """Both answer with the job; the reason is required."""
    without = web.client.post("/api/v1/pauses", json={"job": "echo", "until": None, "reason": " "})
    assert without.status_code == 422
    paused = web.client.post("/api/v1/pauses", json={"job": "echo", "reason": "moving"})
    assert (paused.status_code, paused.json()["paused"], paused.json()["pause_reason"]) == (200, True, "moving")
    assert paused.json()["paused_by"] == "deploy"
    resumed = web.client.delete("/api/v1/pauses/echo")
    assert (resumed.status_code, resumed.json()["paused"]) == (200, False)


def test_what_was_done_is_in_the_audit_and_in_the_log(web: Web) -> None:
    """One row and one event for each write, refused ones too."""
    run = web.run("echo", wait="30s").json()["id"]
    web.client.post("/api/v1/runs", json={"job": "echo", "args": {"x": 1}})
    with WebStore.open(web.place.paths.web_db) as store:
        rows = [(row.by, row.action, row.target, row.status) for row in store.audit_rows(2)]
    assert [row[:3] for row in rows] == [("deploy", "run.start", "echo")] * 2
    assert (rows[1][3], rows[0][3] >= 400) == (200, True)
    until(lambda: actions(web.place.paths)[-2:] == [("run.start", "echo", "deploy", one[3]) for one in reversed(rows)])
    assert run


def actions(paths: Paths) -> list[tuple[str, str, str, int]]:
    """Return the events of akjob-web."""
    lines = [msgspec.json.decode(line) for line in paths.log.read_bytes().splitlines()]
    found = [line for line in lines if line["event"] == "web.action" and line["source"] == "web"]
    return [(line["action"], line["target"], line["by"], line["status"]) for line in found]


def test_the_log_of_a_run(web: Web) -> None:
    """Objects, filtered; the output's bytes, whole and in ranges."""
    run = web.run("echo", wait="30s").json()["id"]
    url = f"/api/v1/runs/{run}/log"
    until(lambda: web.client.get(url, params={"raw": 1}).content == b"one\ntwo\nthree\n")
    lines = [msgspec.json.decode(line) for line in web.client.get(url).content.splitlines()]
    assert [line["event"] for line in lines][:1] == ["run.started"]
    found = web.client.get(url, params={"grep": "tw."})
    assert [msgspec.json.decode(line)["line"] for line in found.content.splitlines()] == ["two"]
    part = web.client.get(url, params={"raw": 1}, headers={"Range": "bytes=4-6"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"two", "bytes 4-6/14")
    parts = web.client.get(url, params={"raw": 1}, headers={"Range": "bytes=0-2,-6"})
    assert parts.status_code == 206
    assert parts.content.count(b"Content-Range: ") == 2
    many = web.client.get(url, params={"raw": 1}, headers={"Range": "bytes=" + ",".join(["0-1"] * 9)})
    assert (many.status_code, many.json()["code"]) == (416, "bad-range")


def test_changes_come_as_events_and_are_resumed(web: Web) -> None:
    """The job and the run, by name; after Last-Event-ID what was missed."""
    seen: list[dict[str, Any]] = []
    begun = threading.Event()
    before = ""

    def listen() -> None:
        with httpx.stream("GET", f"{web.url}/api/v1/events", headers=web.client.headers, timeout=30) as stream:
            for line in stream.iter_lines():
                begun.set()
                if line.startswith("data: "):
                    seen.append(msgspec.json.decode(line.removeprefix("data: ")))
                if seen and run and any(run[0] in one["runs"] for one in seen):
                    return

    run: list[str] = []
    thread = threading.Thread(target=listen)
    thread.start()
    assert begun.wait(20)
    run.append(web.run("echo", wait="30s").json()["id"])
    thread.join(20)
    told = next(one for one in seen if run[0] in one["runs"])
    assert told["jobs"] == ["echo"]
    before = str(told["seq"] - 1)
    headers = {**web.client.headers, "Last-Event-ID": before}
    with httpx.stream("GET", f"{web.url}/api/v1/events", headers=headers, timeout=30) as stream:
        first = next(line for line in stream.iter_lines() if line.startswith("data: "))
    assert msgspec.json.decode(first.removeprefix("data: "))["seq"] >= told["seq"]


def test_a_stream_ends_with_its_token(web: Web) -> None:
    """Within a second after it was revoked."""
    with WebStore.open(web.place.paths.web_db) as store:
        token = store.create_token("brief", "read", None, None, now_us()).token
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.stream("GET", f"{web.url}/api/v1/events", headers=headers, timeout=5) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("id: ")
            store.revoke_token("brief")
            assert list(lines)[-1:] == [""]


@pytest.fixture
def restarted(tmp_path: Path) -> Iterator[Web]:
    """Run the programs for one test, which ends one of them."""
    yield from serve(tmp_path)


def test_sigterm_ends_open_streams(restarted: Web) -> None:
    """The program does not wait for who reads them, and no run notices."""
    run = restarted.run("sleeper").json()["id"]
    until(lambda: restarted.state(run) == "running")
    with httpx.stream("GET", f"{restarted.url}/api/v1/events", headers=restarted.client.headers, timeout=5) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("id: ")
        pid = restarted.place.pid("akjob-web")
        restarted.place.kill("akjob-web", signal.SIGTERM)
        list(lines)
    until(lambda: restarted.place.pid("akjob-web") != pid)
    until(restarted.ready)
    assert restarted.state(run) == "running"
    restarted.client.post(f"/api/v1/runs/{run}/stop")
    until(lambda: restarted.state(run) == "cancelled")


def test_a_backfill_runs_each_slot_once(web: Web) -> None:
    """A dry run names the slots; the backfill runs them, is listed, and is not begun twice with one key."""
    web.place.job("daily", 'command = ["true"]\n[schedule]\ndaily = 03:00:00\n')
    until(lambda: web.client.get("/api/v1/jobs/daily").status_code == 200)
    asked = {"job": "daily", "from": "2026-03-01T00:00:00Z", "until": "2026-03-06T00:00:00Z"}
    dry = web.client.post("/api/v1/backfills", json=asked | {"dry_run": True})
    slots = [f"2026-03-0{day}T03:00:00.000000Z" for day in range(1, 6)]
    assert (dry.status_code, dry.json()) == (200, {"job": "daily", "slots": slots})
    headers = {"Idempotency-Key": "march"}
    begun = web.client.post("/api/v1/backfills", json=asked, headers=headers)
    again = web.client.post("/api/v1/backfills", json=asked, headers=headers)
    assert begun.status_code == 202
    assert again.json() == begun.json()
    assert {key: value for key, value in begun.json().items() if key != "id"} == {
        "job": "daily",
        "slots": 5,
        "first": slots[0],
        "last": slots[-1],
    }

    def listed() -> dict[str, Any] | None:
        items = web.client.get("/api/v1/backfills").json()["items"]
        return next((one for one in items if one["id"] == begun.json()["id"] and one["state"] == "done"), None)

    done = until(listed, deadline=60)
    assert (done["slots"], done["done"], done["failed"], done["by"]) == (5, 5, 0, "deploy")
    rows = web.client.get("/api/v1/runs", params={"job": "daily"}).json()["items"]
    assert sorted(row["slot"] for row in rows if row["trigger"] == "backfill") == slots
    stopped = web.client.post(f"/api/v1/backfills/{begun.json()['id']}/stop", json={})
    assert (stopped.status_code, stopped.json()["code"]) == (409, "refused")
    assert web.client.post("/api/v1/backfills/none/stop", json={}).status_code == 404
    wrong = web.client.post("/api/v1/backfills", json=asked | {"until": asked["from"]})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "bad-body")
