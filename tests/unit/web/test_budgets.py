"""What a page may cost, counted: statements, steps of the database, bytes. The same on every machine."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import akjob
from akjob.instants import MINUTE, SECOND, to_text
from akjob.ledger import RunRow, Writes, sqlite_reader
from akjob.query.jobs import JobView, Snapshot
from tests.unit.cli.root import NOW_US, Root
from tests.unit.web.serving import Served, served

JOBS = 120
FEW, MANY = 6_000, 60_000
ASKED = {
    "jobs": "/api/v1/jobs?limit=50",
    "one job": "/api/v1/jobs/job-007",
    "runs": "/api/v1/runs",
    "failed runs": "/api/v1/runs?state=failed",
    "runs of a job": "/api/v1/runs?job=job-007",
    "one run": "/api/v1/runs/{run}",
    "slots": "/api/v1/slots/job-007",
    "why": "/api/v1/why/job-007",
    "status": "/api/v1/status",
    "home": "/",
    "page of failed runs of a job": "/runs?job=job-007&state=failed",
    "page of a failed run": "/runs/{failed}",
    "timeline of a quarter of an hour": "/timeline?span=15+min",
}
STATEMENTS = {"jobs": 60, "home": 60, "page of a failed run": 20, "timeline of a quarter of an hour": 104}
GROWTH = 1.3


class Counted:
    """What the ledger was asked: connections, statements, and steps of its machine in hundreds."""

    def __init__(self) -> None:
        self.connections = 0
        self.statements = 0
        self.steps = 0

    def watch(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        """Count what a connection does."""
        self.connections += 1
        connection.set_trace_callback(self._statement)
        connection.set_progress_handler(self._step, 100)
        return connection

    def _statement(self, text: str) -> None:
        self.statements += text.startswith("SELECT")

    def _step(self) -> int:
        self.steps += 1
        return 0


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """Count what the ledger is asked while the block runs."""
    found, connect = Counted(), sqlite_reader._connect
    with monkeypatch.context() as patched:
        patched.setattr(sqlite_reader, "_connect", lambda path: found.watch(connect(path)))
        yield found


def filled(folder: Path, rows: int) -> Root:
    """Make a root with jobs, and a ledger with so many rows."""
    folder.mkdir()
    root = Root(folder)
    names = [f"job-{number:03}" for number in range(JOBS)]
    for name in names:
        spec = root.job(name, 'command = ["true"]\n[schedule]\nevery = "1m"\n')
        assert spec is not None
        root.loaded(spec, last_state="succeeded", last_run=run_id(0), last_ended_us=NOW_US)
    claims = []
    for number in range(rows):
        slot_us = NOW_US - number // JOBS * MINUTE
        times: dict[str, Any] = {
            "slot_us": slot_us,
            "slot_last_us": slot_us,
            "queued_us": slot_us,
            "started_us": slot_us,
        }
        row = RunRow(id=run_id(rows - number), job=names[number % JOBS], ended_us=slot_us + SECOND, **times)
        row.state = "failed" if number % 97 == 0 else "succeeded"
        claims.append(row)
    root.ledger(Writes(claims=claims))
    return root


def run_id(number: int) -> str:
    """Return an id; they sort by number."""
    return f"01m8{number:012}"


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Root]:
    """Make a root with a short ledger, and one with a long one."""
    folder = tmp_path_factory.mktemp("budgets")
    return {rows: filled(folder / str(rows), rows) for rows in (FEW, MANY)}


def cost(site: Served, path: str, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Return what an answer costs once the jobs are known, and of each what its last runs say."""
    client = site.token("admin")
    assert client.get("/api/v1/jobs?limit=1").status_code == 200
    if path == "/":
        assert client.get(path).status_code == 200
    with counted(monkeypatch) as found:
        assert client.get(path).status_code == 200
    return found


@pytest.mark.parametrize("what", ASKED)
def test_the_cost_does_not_grow_with_the_ledger(
    roots: dict[int, Root], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten times the rows cost about the same, and no answer asks the ledger often."""
    found = {}
    for rows, root in roots.items():
        with served(root) as site:
            found[rows] = cost(site, ASKED[what].format(run=run_id(rows - 3), failed=run_id(rows - 97)), monkeypatch)
    assert found[MANY].statements == found[FEW].statements <= STATEMENTS.get(what, 12)
    assert found[MANY].steps <= found[FEW].steps * GROWTH + 20


@pytest.mark.parametrize("path", ["/jobs/job-007", "/runs/{failed}", "/", "/timeline"])
def test_a_page_opens_the_ledger_once_a_stretch(
    roots: dict[int, Root], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once to look what is new, once for the page, once for the run that it is about: not for each question."""
    with served(roots[FEW]) as site:
        client = site.token("admin")
        assert client.get(path.format(failed=run_id(FEW - 97))).status_code == 200
        with counted(monkeypatch) as found:
            assert client.get(path.format(failed=run_id(FEW - 97))).status_code == 200
    assert 1 <= found.connections <= 3


def test_the_list_of_runs_counts_no_more_rows_than_a_question_may_read(
    roots: dict[int, Root], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 60,000 runs it says that there are 20,000 at the least; of those that failed the number."""
    with served(roots[MANY]) as site:
        client = site.token("admin")
        assert client.get("/api/v1/jobs?limit=1").status_code == 200
        with counted(monkeypatch) as found:
            text = client.get("/runs").text
    assert "≥ 20,000" in text
    assert f"{-(-MANY // 97):,}" in text
    assert found.steps * 100 < 4 * 20_000


VIEWS = {"/": 50, "/?q=state:succeeded": 50, "/?q=job-01": 10, "/jobs/job-007": 1, "/runs": 0, "/broken": 0}


@pytest.mark.parametrize("path", VIEWS)
def test_a_page_looks_only_at_the_jobs_that_it_shows(
    roots: dict[int, Root], path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts and attention are kept: a page of fifty jobs costs fifty looks, however many jobs there are."""
    looks: list[str] = []
    look = Snapshot.job

    def noted(snapshot: Snapshot, name: str) -> JobView:
        looks.append(name)
        return look(snapshot, name)

    with served(roots[FEW]) as site:
        client = site.token("admin")
        assert client.get("/api/v1/jobs?limit=1").status_code == 200
        monkeypatch.setattr(Snapshot, "job", noted)
        assert client.get(path).status_code == 200
    assert len(looks) <= VIEWS[path]


def test_a_list_of_jobs_is_small(roots: dict[int, Root]) -> None:
    """Fifty jobs with their strips, on the wire."""
    with served(roots[FEW]) as site:
        answer = site.token("read").get("/api/v1/jobs?limit=50")
        assert len(answer.json()["items"]) == 50
        assert len(answer.json()["items"][0]["strip"]) == 30
        assert len(answer.content) < 50 * 4_500


WIRE = {"/": 20, "/jobs/job-007": 20, "/runs": 20, "/timeline": 60, "/system": 20, "/broken": 20, "/tv": 20}
STATIC_WIRE = {"akjob.css": 8, "akjob.js": 11, "akjob-events.js": 1}


def on_the_wire(client: httpx.Client, path: str) -> int:
    """Return how many bytes the body of an answer has as a browser gets it."""
    with client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.status_code == 200
        return sum(map(len, answer.iter_raw()))


def test_pages_are_small_on_the_wire(roots: dict[int, Root]) -> None:
    """Each page by its budget in KiB; all that a first visit loads within 60."""
    with served(roots[FEW]) as site:
        client = site.token("admin")
        found = {path: on_the_wire(client, path) for path in WIRE}
        static = {name: on_the_wire(client, f"/static/{name}") for name in STATIC_WIRE}
    assert {path: size for path, size in found.items() if size > WIRE[path] * 1024} == {}
    assert {name: size for name, size in static.items() if size > STATIC_WIRE[name] * 1024} == {}
    assert found["/"] + sum(static.values()) <= 60 * 1024


def test_the_jobs_are_read_once(roots: dict[int, Root], monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as nothing happened, an answer does not read all jobs again."""
    with served(roots[FEW]) as site:
        client = site.token("read")
        client.get("/api/v1/jobs")
        with counted(monkeypatch) as found:
            client.get("/api/v1/jobs/job-001")
        assert found.statements <= 2


def test_instants_of_the_filters_are_those_of_the_rows(roots: dict[int, Root]) -> None:
    """Since is inclusive, until exclusive, of the slot."""
    with served(roots[FEW]) as site:
        query = {"job": "job-007", "since": to_text(NOW_US - 5 * MINUTE), "until": to_text(NOW_US - 2 * MINUTE)}
        found = [row["slot"] for row in site.token("read").get("/api/v1/runs", params=query).json()["items"]]
    assert found == [to_text(NOW_US - minutes * MINUTE) for minutes in (3, 4, 5)]


def test_no_file_of_the_program_is_read_for_a_page(roots: dict[int, Root], monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not change while the program runs was read once: templates, styles, migrations."""
    read: list[str] = []
    with served(roots[FEW]) as site:
        client = site.token("admin")
        pages = ("/", "/timeline", "/jobs/job-007")
        assert {client.get(path).status_code for path in pages} == {200}
        opened = Path.open

        def noted(path: Path, *given: Any, **options: Any) -> Any:
            read.append(str(path))
            return opened(path, *given, **options)

        monkeypatch.setattr(Path, "open", noted)
        assert {client.get(path).status_code for path in pages} == {200}
    program = str(Path(akjob.__file__).parent)
    assert [path for path in read if path.startswith(program)] == []
