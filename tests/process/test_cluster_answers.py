"""What people ask of any node of a cluster, also of one that has nothing of it: real programs, a real database."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from akjob.errors import AkjobError
from akjob.instants import SECOND, from_text, to_text
from akjob.ledger import open_reader
from tests import postgres
from tests.process.test_cluster import configure, ended, started, time_us
from tests.roots import Place
from tests.support import until
from tests.wires import Wire

pytestmark = [pytest.mark.process, postgres.needs_postgres]

AKJOB = (sys.executable, "-c", "from akjob.cli import main; main()")
LONG = 'command = ["sleep", "300"]\n'
ON_A = '[run]\nwhere = "node:a"\n'


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """Run PostgreSQL."""
    with postgres.running() as found:
        yield found


@pytest.fixture
def url(server: postgres.Server) -> str:
    """Make a database."""
    return server.database()


@pytest.fixture
def nodes(root: Path, url: str) -> Iterator[list[Place]]:
    """Make two nodes; a test starts them."""
    places = []
    for name in ("a", "b"):
        for folder in ("jobs.d", "etc", "var/run", "var/log"):
            (root / name / folder).mkdir(parents=True)
        places.append(Place(root / name))
        configure(places[-1], url, f'[web]\nlisten = "127.0.0.1:{free_port()}"\n')
    yield places
    for place in places:
        place.stop()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def akjob(place: Place, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command on a node."""
    return subprocess.run(
        [*AKJOB, *arguments],
        env=place.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_status_has_the_runs_of_all_nodes(nodes: list[Place]) -> None:
    """On a node that has none: as JSON with their node, for people in a column; without akjobd from the ledger."""
    first, second = started(nodes, long=LONG)
    run = first.run("long")
    until(lambda: first.running(run), 30.0)
    shown = until(lambda: second.status()["running"], 30.0)
    pid = first.running(run)["pid"]  # type: ignore[index]
    assert [(one["job"], one["run"], one["node"], one["pid"], one["shim_pid"]) for one in shown] == [
        ("long", run, "a", pid, None)
    ]
    assert first.status()["running"][0]["node"] == "a"
    lines = akjob(second, "status").stdout.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("JOB"))
    assert lines[head].split()[:4] == ["JOB", "RUN", "NODE", "PID"]
    assert lines[head + 1].split()[:4] == ["long", run, "a", str(pid)]
    second.stop()
    (found,) = json.loads(akjob(second, "status", "--json").stdout)["running"]
    assert (found["run"], found["node"]) == (run, "a")


def test_a_node_that_has_nothing_ends_pauses_and_runs_what_another_one_has(nodes: list[Place], url: str) -> None:
    """It is asked at once, before it can have heard of the run, the pause or the backfill."""
    first, second = started(nodes, long=LONG + ON_A, quick='command = ["true"]\n' + ON_A)
    reader = open_reader(url)
    run = first.run("long")
    assert second.ask("stop", target=run[:20], by="me")["stopped"] == [run]
    until(lambda: reader.run(run)["state"] == "cancelled", 30.0)
    again = second.run("long")
    until(lambda: first.running(again), 30.0)
    assert second.ask("stop", target="long")["stopped"] == [again]
    assert second.ask("wait", run=again)["row"]["node"] == "a"
    first.ask("pause", job="quick", by="me")
    second.ask("resume", job="quick")
    second.ask("pause", job="quick", by="me")
    first.ask("resume", job="quick")
    assert second.ask("wait", run=second.run("quick"))["row"]["state"] == "succeeded"


def test_a_backfill_is_stopped_from_any_node(nodes: list[Place], url: str) -> None:
    """The node that has it starts no more runs of it; the run under way can be ended, too."""
    first, second = started(nodes, fill=LONG + '[schedule]\nevery = "1h"\n')
    reader = open_reader(url)
    now = time_us()
    begun = first.ask("backfill", job="fill", begin=to_text(now - 10 * 3600 * SECOND), until=to_text(now))
    until(first.own_runs, 30.0)
    assert second.ask("stop", target=begun["id"], by="me")["stopped"] == [begun["id"]]
    (run,) = (one["run"] for one in first.own_runs())
    until(lambda: [one["state"] for one in reader.backfills()] == ["stopped"], 30.0)
    assert second.ask("stop", target=run)["stopped"] == [run]
    until(lambda: ended(reader, "fill"), 30.0)
    assert [row["id"] for row in ended(reader, "fill")] == [run]
    refused = akjob(second, "stop", begun["id"])
    assert (refused.returncode, "neither a job nor a run" in refused.stderr) == (2, True)


def test_run_follows_a_run_of_another_node_to_its_end(nodes: list[Place]) -> None:
    """Its output, each stream on its own, and its exit code."""
    first, second = started(nodes, talk='command = "echo one; echo two >&2; exit 7"\n' + ON_A)
    first.start("akjob-web")
    found = akjob(second, "run", "talk")
    assert (found.returncode, found.stdout) == (7, "one\n")
    assert "\ntwo\n" in found.stderr
    assert "failed in" in found.stderr


def test_run_without_the_other_nodes_page_says_where_the_log_is(nodes: list[Place]) -> None:
    """The end is waited for all the same, and its exit code arrives."""
    _, second = started(nodes, talk='command = "echo one; exit 7"\n' + ON_A)
    found = akjob(second, "run", "talk")
    assert (found.returncode, found.stdout) == (7, "")
    assert "log is on node a, last seen" in found.stderr
    assert "Its end is waited for here all the same." in found.stderr


def test_status_names_the_runs_that_no_node_takes(nodes: list[Place]) -> None:
    """On any node, with what is lacking; once the run is over nothing of that is left."""
    first, second = started(nodes, never='command = ["true"]\n[run]\nneeds = ["tpu"]\n')
    run = first.run("never")
    for place in (first, second):
        waiting = json.loads(akjob(place, "status", "--json").stdout)["waiting"]
        assert waiting == [{"job": "never", "run": run, "reason": "no node has the tag tpu"}]
    lines = akjob(second, "status").stdout.splitlines()
    assert "1 run that no node takes:" in lines
    assert [line.split(maxsplit=2) for line in lines if line.startswith("never")] == [
        ["never", run, "no node has the tag tpu"]
    ]
    second.ask("stop", target=run)
    until(lambda: "waiting" not in json.loads(akjob(second, "status", "--json").stdout), 30.0)


def test_logs_are_those_of_all_nodes_in_the_order_of_time(nodes: list[Place]) -> None:
    """On any node; with -n, --grep and -f, too. A node that does not answer is named, and the rest is shown."""
    first, second = started(nodes, talk='command = "echo here is $(basename $AKJOB_ROOT)"\n')
    for place in nodes:
        place.start("akjob-web")
    runs = []
    for place in (first, second, first, second):
        runs.append(place.run("talk"))
        place.ask("wait", run=runs[-1])
    for place in nodes:
        until(lambda place=place: said(place) == ["here is a", "here is b"] * 2, 30.0)  # type: ignore[misc]
    lines = [json.loads(line) for line in akjob(second, "logs", "talk", "--json").stdout.splitlines()]
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)
    assert [line["run"] for line in lines if line["event"] == "run.output"] == runs
    assert said(first, "-n", "3", "--grep", "here is b") == ["here is b"] * 2
    assert said(first, "-n", "2", "--grep", "here is") == ["here is a", "here is b"]
    with (first.root / "followed").open("wb") as out:
        command = [*AKJOB, "logs", "-f", "talk", "--json"]
        follower = subprocess.Popen(command, env=first.environment, stdout=out)
    try:
        for place, name in ((second, "b"), (first, "a")):
            run = place.run("talk")
            place.ask("wait", run=run)
            until(lambda run=run, name=name: (run, f"here is {name}") in followed(first), 30.0)  # type: ignore[misc]
    finally:
        follower.kill()
        follower.wait()
    assert [line for _, line in followed(first)][-2:] == ["here is b", "here is a"]
    assert len(followed(first)) == 6
    first.stop()
    shown = akjob(second, "logs", "talk")
    assert (shown.returncode, shown.stdout.count("here is b"), shown.stdout.count("here is a")) == (0, 3, 0)
    assert re.search("the lines of node a are missing: last seen [0-9]+:[0-9]+", shown.stderr)


def said(place: Place, *arguments: str) -> list[str]:
    """Return what the runs of the job have printed, as a node shows it."""
    shown = akjob(place, "logs", "talk", "--json", *arguments).stdout.splitlines()
    return [line["line"] for line in map(json.loads, shown) if line["event"] == "run.output"]


def followed(place: Place) -> list[tuple[str, str]]:
    """Return the runs and the lines that were printed and followed."""
    text = (place.root / "followed").read_bytes().rpartition(b"\n")[0]
    return [(one["run"], one["line"]) for one in map(json.loads, text.splitlines()) if one["event"] == "run.output"]


@pytest.fixture
def wire(root: Path, server: postgres.Server) -> Iterator[Wire]:
    """Make the way of node b to the database."""
    found = Wire(root / "w", server.folder)
    yield found
    found.close()


@pytest.mark.parametrize("how", ["cut", "silence"])
def test_akjobd_answers_while_the_database_is_away(nodes: list[Place], url: str, wire: Wire, how: str) -> None:
    """Status says since when; what needs the ledger is refused, what runs here can be ended; then all goes on."""
    configure(nodes[1], wire.url(urlsplit(url).path[1:]))
    first, second = started(nodes, long=LONG + '[run]\non_partition = "continue"\n', other=LONG)
    reader = open_reader(url)
    run = second.run("long")
    until(lambda: second.running(run), 30.0)
    getattr(wire, how)()
    since = time_us()
    away = until(lambda: second.status()["programs"]["akjobd"].get("trouble"), 30.0)
    found = re.search(r"nothing starts: the ledger has not been writable since (\S+Z): .*does not answer", away)
    assert found, away
    assert since <= from_text(found[1]) <= time_us()
    shown = akjob(second, "status")
    assert shown.returncode == 1
    assert "akjobd: nothing starts: the ledger has not been writable since" in shown.stdout
    for arguments in (("pause", "other"), ("run", "other"), ("resume", "other"), ("reset", "other")):
        refused = akjob(second, *arguments)
        assert (refused.returncode, "the ledger has not been writable since" in refused.stderr) == (1, True), refused
        assert "or on a node that reaches it" in refused.stderr
    listed = akjob(second, "list")
    assert (listed.returncode, "the database does not answer" in listed.stderr) == (1, True)
    assert first.status()["programs"]["akjobd"]["state"] == "running"
    assert second.ask("stop", target=run, by="me")["stopped"] == [run]
    until(lambda: second.own_runs() == [], 30.0)
    wire.mend()
    until(lambda: reader.run(run)["state"] == "cancelled", 30.0)
    until(lambda: second.status()["programs"]["akjobd"]["state"] == "running", 30.0)
    until(lambda: succeeds(lambda: second.ask("pause", job="other")), 30.0)


def succeeds(act: Callable[[], object]) -> bool:
    """Return True if it is not refused."""
    with suppress(AkjobError):
        act()
        return True
    return False
