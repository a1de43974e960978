"""Two nodes with roots of their own and one ledger in PostgreSQL: real programs, a real database."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from akjob.akjobd.loop import SystemClock
from akjob.errors import AkjobError, UsageError
from akjob.instants import SECOND, from_text, to_text
from akjob.ledger import Reader, open_reader
from akjob.ledger.nodes import Nodes
from akjob.ledger.postgres import connect
from tests import postgres
from tests.process import test_storm as storm
from tests.roots import Place, read_so_far
from tests.support import until

pytestmark = [pytest.mark.process, postgres.needs_postgres]

EVERY_SECOND = 'command = ["true"]\n[schedule]\nevery = "1s"\n'
LONG = 'command = ["sleep", "300"]\n[run]\nretry = { attempts = 2 }\n'


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
def nodes(tmp_path: Path, url: str) -> Iterator[list[Place]]:
    """Make two nodes; a test starts them."""
    places = []
    for name in ("a", "b"):
        root = tmp_path / name
        for folder in ("jobs.d", "etc", "var/run"):
            (root / folder).mkdir(parents=True)
        places.append(Place(root))
        configure(places[-1], url)
    yield places
    for place in places:
        place.stop()


def configure(place: Place, url: str, more: str = "") -> None:
    """Write the settings of a node that is called as its folder."""
    settings = f'[cluster]\nurl = "{url}"\nnode = "{place.root.name}"\nlease = "4s"\nrollout_grace = "2s"\n{more}'
    (place.root / "etc/akjob.toml").write_text(settings)


def states(url: str) -> dict[str, str]:
    """Return the state of each node."""
    table = Nodes(url)
    found: dict[str, str] = {one.node: one.state for one in table.list()}
    table.close()
    return found


def test_two_nodes_run_each_slot_once(nodes: list[Place], url: str) -> None:
    """Both decide about every slot; each has one row, and starts on one node."""
    for place in nodes:
        start(place)
    for place in nodes:
        place.job("tick", EVERY_SECOND)
    reader = open_reader(url)
    until(lambda: len([row for row in ended(reader, "tick") if row["state"] == "succeeded"]) >= 8, 60.0)
    rows = sorted(ended(reader, "tick"), key=lambda row: str(row["slot"]))
    assert len({row["slot"] for row in rows}) == len(rows)
    assert {row["state"] for row in rows} <= {"succeeded", "skipped"}
    assert {row["node"] for row in rows} <= {"a", "b"}
    ran = {str(row["id"]): row for row in rows if row["state"] == "succeeded"}
    for row in rows:  # on a slow machine the run before may not be over: then it, and nothing else, is the reason
        if row["state"] == "skipped":
            before = ran[str(row["reason"]).split()[1]]
            assert str(before["slot"]) < str(row["slot"])
            assert from_text(str(row["slot"])) - SECOND < from_text(str(before["ended_at"]))  # decided a little ahead
    assert states(url) == {"a": "up", "b": "up"}


def test_a_job_for_every_node_runs_on_each(nodes: list[Place], url: str) -> None:
    """Each slot once a node, and retried there; the row has the node. What is asked for runs where it is asked for."""
    second_fails = 'command = "[ $AKJOB_ATTEMPT = 2 ] || [ $(basename $AKJOB_ROOT) = a ]"\n'
    every = '[schedule]\nevery = "1s"\n[run]\nwhere = "every"\nretry = { attempts = 2, delay = "0s" }\n'
    gpu = 'command = ["true"]\n[schedule]\nevery = "1s"\n[run]\nwhere = "every"\nneeds = ["gpu"]\n'
    configure(nodes[1], url, 'tags = ["gpu"]\n')
    first, second = started(nodes, each=second_fails + every, gpu=gpu)
    reader = open_reader(url)

    def slots(state: str) -> dict[str, set[str]]:
        rows = [row for row in ended(reader, "each") if row["state"] == state]
        return {node: {str(row["slot"]) for row in rows if row["node"] == node} for node in "ab"}

    until(lambda: len(slots("succeeded")["a"] & slots("succeeded")["b"]) >= 4, 60.0)
    rows = ended(reader, "each")
    assert len({(row["slot"], row["attempt"], row["node"]) for row in rows}) == len(rows)
    assert {(row["node"], row["attempt"]) for row in rows if row["state"] == "succeeded"} == {("a", 1), ("b", 2)}
    assert {row["node"] for row in ended(reader, "gpu")} == {"b"}
    first.ask("pause", job="each")
    until(lambda: not [one for one in reader.open_runs() if one["job"] == "each"], 30.0)
    run = until(lambda: asked_again(second, "each"), 30.0)
    assert second.ask("wait", run=run)["row"]["node"] == "b"
    done = [row["slot"] for row in ended(reader, "each") if row["node"] == "b"]
    second.stop()
    second.start()
    until(second.loaded, 30.0)
    first.ask("resume", job="each")
    until(lambda: max(slots("succeeded")["b"]) > max(map(str, done)), 60.0)
    rows = ended(reader, "each")
    assert len({(row["slot"], row["attempt"], row["node"]) for row in rows}) == len(rows)


def asked_again(place: Place, job: str) -> str | None:
    """Ask for a run, until the job is idle; return its id."""
    try:
        return place.run(job)
    except AkjobError:
        return None


def test_the_runs_of_a_dead_node_are_lost_and_retried_elsewhere(nodes: list[Place], url: str) -> None:
    """Nobody trusts the dead node: when its lease is over, another one takes what it had."""
    for place in nodes:
        place.job("long", LONG)
        start(place)
    first, second = nodes
    run = first.run("long")
    reader = open_reader(url)
    until(lambda: reader.run(run)["state"] == "running", 30.0)
    shim = first.own_runs()[0]["shim_pid"]
    job = first.own_runs()[0]["pid"]
    first.abandon()
    for pid in (first.pid("akjobd"), first.pid("akjob-node"), shim, job):
        os.kill(pid, signal.SIGKILL)
    until(lambda: reader.run(run)["state"] == "lost", 30.0)
    assert reader.run(run)["reason"] == "node a did not renew its lease"
    assert reader.run(run)["node"] == "a"
    assert states(url)["a"] == "lost"
    until(lambda: bool(second.own_runs()), 30.0)
    (again,) = (row for row in reader.history("long") if row["attempt"] == 2)
    assert (again["node"], again["trigger"]) == ("b", "retry")


def test_ten_runs_of_a_node_that_is_killed_are_made_up_for(
    nodes: list[Place], url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """All its programs die at once: each run is lost within the lease and five seconds, and dead before its retry."""
    jobs = {f"long{number}": LONG for number in range(10)}
    for place in nodes:
        configure(place, url, "slots = 20\n")
    first, second = started(nodes, **jobs)
    reader = open_reader(url)
    runs = {first.run(name): name for name in jobs}
    until(lambda: all(reader.run(run)["state"] == "running" for run in runs), 60.0)
    shims = {one["run"]: one["shim_pid"] for one in first.own_runs()}
    pids = {one["job"]: one["pid"] for one in first.own_runs()}
    programs = [first.pid("akjobd"), first.pid("zygote"), first.pid("akjob-node"), first.pid("akjob-collector")]
    first.abandon()
    killed_us = time_us()
    for pid in (*programs, *shims.values()):
        os.kill(pid, signal.SIGKILL)
    alive_beside: set[str] = set()

    def retried() -> bool:
        again = {one["job"] for one in second.own_runs()}
        alive_beside.update(job for job in again if Path(f"/proc/{pids[job]}").exists())
        return again == set(jobs)

    until(retried, 60.0)
    rows = [reader.run(run) for run in runs]
    assert {row["state"] for row in rows} == {"lost"}
    took_s = [(from_text(str(row["ended_at"])) - killed_us) / SECOND for row in rows]
    again = [row for name in jobs for row in reader.history(name) if row["attempt"] == 2]
    places = {str(row["node"]) for row in again}
    with capfd.disabled():
        sys.stdout.write(
            f"\nkill -9 of a node with {len(runs)} runs, lease 4 s: "
            f"lost after {min(took_s):.1f} to {max(took_s):.1f} s; "
            f"{len(again)} retries on {', '.join(sorted(places))}; "
            f"alive beside their retries: {len(alive_beside)}\n"
        )
    assert max(took_s) < 4 + 5
    assert (len(again), places, alive_beside) == (10, {"b"}, set())


def test_a_drained_node_claims_nothing(nodes: list[Place], url: str) -> None:
    """Until it is resumed every slot is the other one's."""
    for place in nodes:
        place.job("tick", EVERY_SECOND)
        start(place)
    table = Nodes(url)
    until(lambda: states(url) == {"a": "up", "b": "up"}, 30.0)
    table.drain("a", draining=True)
    reader = open_reader(url)
    until(lambda: first_is_held(nodes[0]), 30.0)
    seen = len(ended(reader, "tick"))
    until(lambda: len(ended(reader, "tick")) >= seen + 4, 60.0)
    newest = [row for row in reader.history("tick", 6) if row["ended_at"]]  # one that is claimed ahead has no node yet
    table.close()
    assert {row["node"] for row in newest[:3]} == {"b"}


def start(place: Place) -> None:
    """Start the programs of a node, and wait until its queues are listened to."""
    before = workers(place.paths.ledger_url)
    place.start()
    place.start("akjob-node")
    until(lambda: workers(place.paths.ledger_url) > before, 30.0)


def workers(url: str) -> int:
    """Return how many akjob-node there are or were."""
    with connect(url) as connection:
        (known,) = connection.execute("SELECT to_regclass('procrastinate_workers') IS NOT NULL").fetchone() or (False,)
        (found,) = (
            connection.execute("SELECT count(*) FROM procrastinate_workers").fetchone() or (0,) if known else (0,)
        )
        return int(found)


def started(nodes: list[Place], **jobs: str) -> list[Place]:
    """Give both nodes the same jobs, and start them."""
    for place in nodes:
        start(place)
    for place in nodes:
        for name, text in jobs.items():
            place.job(name, text)
    reader = open_reader(nodes[0].paths.ledger_url)
    until(lambda: jobs.keys() <= reader.jobs().keys(), 30.0)
    return nodes


def test_overlap_holds_for_all_nodes_together(nodes: list[Place], url: str) -> None:
    """While a run goes on on one node no other starts one: by hand it is refused, and the schedule skips its slots."""
    text = 'command = ["sleep", "300"]\n[schedule]\nevery = "2s"\n'
    started(nodes, long=text)
    reader = open_reader(url)
    until(lambda: [row for row in reader.history("long", 100) if row["state"] == "skipped"][2:], 60.0)
    rows = reader.history("long", 100)
    (run,) = (row for row in rows if row["state"] == "running")
    reasons = {str(row["reason"]) for row in rows if row["state"] == "skipped"}
    assert all(run["id"] in reason and "still runs" in reason for reason in reasons)
    (other,) = (place for place in nodes if not place.own_runs())
    with pytest.raises(AkjobError, match=f"long is busy: run {run['id']} on node {run['node']} still runs"):
        other.run("long")


def test_ends_on_all_nodes_make_due_once(nodes: list[Place], url: str) -> None:
    """One job comes after each end of two others, one after both have ended, while the programs of both nodes die."""
    outcome = 'overlap = "allow"\nmissed = "all"\nmissed_within = "1d"\n'
    ten = f'command = "true"\n[schedule]\nevery = "1s"\n[limits]\nruns = 10\n[run]\n{outcome}where = "node:'
    after = (
        'command = "true"\n[schedule]\nafter = {{ jobs = ["a", "b"], on = "ended", mode = "{}" }}\n[run]\n' + outcome
    )
    started(nodes, each=after.format("any"), both=after.format("all"), a=f'{ten}a"\n', b=f'{ten}b"\n')
    reader, dice = open_reader(url), random.Random(9)  # noqa: S311 - no secret

    def over() -> bool:
        storm.kill(dice.choice(nodes), dice.choice(("akjobd", "akjob-node")))
        until(lambda: all(place.loaded() for place in nodes), 60.0)
        return all(len(ended(reader, name)) == 10 for name in "ab")

    until(over, 180.0, 1.0)
    ends = Counter(str(row["id"]) for name in "ab" for row in ended(reader, name))

    def caused(name: str) -> list[dict[str, str]]:
        return [json.loads(str(row["cause"]))["after"] for row in ended(reader, name)]

    until(lambda: len(caused("each")) == 20 and not reader.open_runs(), 120.0)
    assert Counter(run for cause in caused("each") for run in cause.values()) == ends
    until(lambda: pending(url) <= {"a"} or pending(url) <= {"b"}, 60.0)
    assert all(cause.keys() == {"a", "b"} for cause in caused("both"))
    used = Counter(run for cause in caused("both") for run in cause.values())
    assert set(used.values()) == {1}
    assert used.keys() <= ends.keys()
    last = {str(max(ended(reader, name), key=lambda row: str(row["ended_at"]))["id"]) for name in "ab"}
    assert last & used.keys()


def pending(url: str) -> set[str]:
    """Return the jobs whose ends wait for one of the other job."""
    with connect(url) as connection:
        return {key.rpartition(":")[2] for (key,) in connection.execute("SELECT key FROM occurrences").fetchall()}


def test_a_lock_is_one_for_all_nodes(nodes: list[Place], url: str) -> None:
    """Two jobs with one lock, asked for on two nodes: the second waits, and starts as soon as the first ends."""
    text = 'command = ["sleep", "300"]\n[run]\nlock = "crm"\n'
    first, second = started(nodes, one=text, two=text)
    reader = open_reader(url)
    holder = first.run("one")
    until(lambda: reader.run(holder)["state"] == "running", 30.0)
    waiting = second.run("two")
    until(lambda: second.own_runs() == [] and reader.run(waiting)["state"] == "queued", 30.0)
    first.ask("stop", target=holder)
    until(lambda: reader.run(waiting)["state"] == "running", 30.0)
    assert (reader.run(holder)["state"], reader.run(waiting)["node"]) == ("cancelled", "b")
    assert str(reader.run(waiting)["started_at"]) > str(reader.run(holder)["ended_at"])


def test_any_node_ends_the_runs_of_all(nodes: list[Place], url: str) -> None:
    """It passes the word on; the row says who asked."""
    first, second = started(nodes, long='command = ["sleep", "300"]\n')
    reader = open_reader(url)
    run = first.run("long")
    until(lambda: reader.run(run)["state"] == "running", 30.0)
    until(lambda: run in stopped(second, run), 30.0)
    row = until(lambda: ended(reader, "long"), 30.0)[0]
    assert (row["state"], row["reason"], row["by"], row["node"]) == ("cancelled", "stopped by me", "me", "a")


def stopped(place: Place, run: str) -> list[str]:
    """Ask a node to end a run; it may not have heard of it yet."""
    try:
        return list(place.ask("stop", target=run, by="me")["stopped"])
    except UsageError:
        return []


def test_a_pause_holds_on_all_nodes(nodes: list[Place], url: str) -> None:
    """Paused on one node, resumed on the other; in between each slot is skipped for that reason."""
    first, second = started(nodes, tick=EVERY_SECOND)
    reader = open_reader(url)
    until(lambda: ended(reader, "tick"), 30.0)
    first.ask("pause", job="tick", reason="inventory", by="me")
    before = {row["id"] for row in ended(reader, "tick")}
    until(lambda: len([row for row in ended(reader, "tick") if row["id"] not in before]) >= 6, 60.0)
    since = [row for row in ended(reader, "tick") if row["state"] == "skipped"]
    assert len(since) >= 3
    assert {row["reason"] for row in since} == {"the job is paused by me: inventory"}
    assert len({row["slot"] for row in ended(reader, "tick")}) == len(ended(reader, "tick"))
    until(lambda: resumed(second), 30.0)
    newest = str(reader.history("tick", 1)[0]["slot"])
    until(lambda: [row for row in ended(reader, "tick") if row["state"] == "succeeded" and str(row["slot"]) > newest])


def resumed(place: Place) -> bool:
    """Ask a node to resume the job; it may not have heard of the pause yet."""
    try:
        place.ask("resume", job="tick")
    except AkjobError:
        return False
    return True


def test_runs_are_counted_over_all_nodes(nodes: list[Place], url: str) -> None:
    """Five scheduled slots in all, whoever starts them; then the job is done."""
    started(nodes, five='command = ["true"]\n[schedule]\nevery = "1s"\n[limits]\nruns = 5\n')
    reader = open_reader(url)
    until(lambda: len(ended(reader, "five")) >= 5, 60.0)
    job = reader.job("five")
    assert job is not None
    assert job["runs_started"] == 5
    beyond = from_text(str(reader.history("five", 1)[0]["slot"])) + 3 * SECOND
    until(lambda: time_us() > beyond, 30.0)
    assert [row["state"] for row in ended(reader, "five")] == ["succeeded"] * 5


def test_runs_go_to_nodes_that_have_what_they_need(nodes: list[Place], url: str) -> None:
    """A tag, or the node itself, whichever node decides about the slot, and by hand too."""
    configure(nodes[0], url, 'tags = ["gpu", "db"]\n')
    every = 'command = ["true"]\n[schedule]\nevery = "1s"\n[run]\n'
    first, _ = started(nodes, gpu=f'{every}needs = ["gpu"]\n', pinned=f'{every}where = "node:b"\n')
    reader = open_reader(url)
    until(lambda: len(ended(reader, "gpu")) >= 5 and len(ended(reader, "pinned")) >= 5, 60.0)
    assert {row["node"] for row in ended(reader, "gpu") if row["state"] == "succeeded"} == {"a"}
    assert {row["node"] for row in ended(reader, "pinned") if row["state"] == "succeeded"} == {"b"}
    first.ask("pause", job="pinned")
    until(lambda: not [one for one in reader.open_runs() if one["job"] == "pinned"], 30.0)
    run = first.run("pinned")
    assert first.ask("wait", run=run)["row"]["node"] == "b"


def test_a_node_takes_no_more_than_its_slots(nodes: list[Place], url: str) -> None:
    """What comes on top waits, and goes to whoever has room."""
    for place in nodes:
        configure(place, url, "slots = 1\n")
    text = 'command = ["sleep", "3"]\n[schedule]\nevery = "10s"\n'
    started(nodes, **{f"job{number}": text for number in range(4)})
    reader = open_reader(url)
    until(lambda: len([row for row in reader.history(n=100) if row["state"] == "succeeded"]) >= 4, 60.0)
    rows = [row for row in reader.history(n=100) if row["started_at"] and row["ended_at"]]
    for node in ("a", "b"):
        spans = sorted((str(row["started_at"]), str(row["ended_at"])) for row in rows if row["node"] == node)
        assert len(spans) >= 1
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_a_definition_that_no_checkout_has_fails_after_the_grace(nodes: list[Place]) -> None:
    """The node that it is for does not have it: the delivery is given back for a while, then the run fails."""
    commits = [committed(place.root) for place in nodes]
    first, second = started(nodes)
    second.job("pinned", 'command = ["false"]\n')
    first.job("pinned", 'command = ["true"]\n[run]\nwhere = "node:b"\n')
    run = str(until(lambda: runs(first, "pinned"), 30.0))
    row = first.ask("wait", run=run)["row"]
    assert (row["state"], row["started_at"]) == ("failed", None)
    here, there = (commit[:8] for commit in reversed(commits))
    asked = f"the checkout of this node ({here}) does not have the definition that the run was claimed with ({there})"
    assert row["reason"] == asked


def committed(root: Path) -> str:
    """Make a repository of a node's root, with one commit; return it."""
    git = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", root.name]):
        subprocess.run([*git, *command], check=True)
    found = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def runs(place: Place, job: str) -> str | None:
    """Ask for a run of a job that may not be loaded yet; return its id."""
    try:
        return place.run(job)
    except UsageError:
        return None


def test_a_run_that_waits_for_a_node_can_be_stopped(nodes: list[Place], url: str) -> None:
    """No node has it: whoever is asked ends it."""
    first, second = started(nodes, never='command = ["true"]\n[run]\nneeds = ["nobody-has-it"]\n')
    run = first.run("never")
    reader = open_reader(url)
    until(lambda: run in stopped(second, run), 30.0)
    until(lambda: reader.run(run)["state"] == "cancelled", 30.0)
    assert (reader.run(run)["reason"], reader.run(run)["by"]) == ("stopped by me", "me")


def test_a_message_is_told_once_by_the_node_that_wrote_the_end(nodes: list[Place], url: str, tmp_path: Path) -> None:
    """All nodes follow the incident: one tells of the failure, and another one that it is over."""
    flag, told = tmp_path / "flag", {place.root.name: tmp_path / f"told-{place.root.name}" for place in nodes}
    for place in nodes:
        configure(place, url, f'[channels.ops]\ncommand = ["sh", "-c", "cat >> {told[place.root.name]}"]\n')
    first, second = started(nodes, check=f'command = ["test", "-e", "{flag}"]\n[notify]\nchannels = ["ops"]\n')
    for place in nodes:
        place.start("akjob-notify")
        until(lambda place=place: read_so_far(place.paths) is not None, 30.0)  # type: ignore[misc]
    assert first.ask("wait", run=first.run("check"))["row"]["state"] == "failed"
    until(lambda: told["a"].exists() and told["a"].read_text(), 60.0)
    assert json.loads(told["a"].read_text())["kind"] == "failed"
    flag.touch()
    assert second.ask("wait", run=second.run("check"))["row"]["state"] == "succeeded"
    until(lambda: told["b"].exists() and told["b"].read_text(), 60.0)
    assert json.loads(told["b"].read_text())["kind"] == "recovered"
    assert json.loads(told["a"].read_text())["kind"] == "failed"  # one object: it has told nothing more


def test_a_run_of_a_stopped_node_is_dead_before_its_retry_begins(nodes: list[Place], url: str) -> None:
    """akjobd cannot end it, for it is stopped itself: its shim does, also where the job does not mind SIGTERM."""
    text = 'command = "trap \'\' TERM; sleep 300"\n[run]\nkill_after = "25s"\nretry = { attempts = 2 }\n'
    first, second = started(nodes, stubborn=text)
    reader = open_reader(url)
    run = first.run("stubborn")
    job = int(until(lambda: first.running(run), 30.0)["pid"])
    stopped_pid = first.pid("akjobd")
    os.kill(stopped_pid, signal.SIGSTOP)
    try:
        retry = until(lambda: [one for one in second.own_runs() if one["job"] == "stubborn"], 30.0)[0]
        assert not Path(f"/proc/{job}").exists()
        assert reader.run(run)["state"] == "lost"
        assert reader.run(str(retry["run"]))["attempt"] == 2
    finally:
        os.kill(stopped_pid, signal.SIGCONT)
    until(first.loaded, 30.0)
    assert reader.run(run)["state"] == "lost"


def test_runs_go_on_after_the_database_was_restarted(nodes: list[Place]) -> None:
    """Nothing starts while it is away; then slots run again, on nodes that nobody has restarted, and each once."""
    with postgres.running(postgres.SAFE) as own:  # what was committed outlives it
        url = own.database()
        for place in nodes:
            configure(place, url)
        started(nodes, tick=EVERY_SECOND)
        reader = open_reader(url)
        until(lambda: ended(reader, "tick"), 30.0)
        own.stop("immediate")
        own.start()
        since = to_text(time_us())
        until(lambda: [row for row in ended(reader, "tick") if row["started_at"] and str(row["started_at"]) > since])
        rows = ended(reader, "tick")
        assert len({(row["slot"], row["attempt"]) for row in rows}) == len(rows)
        for place in nodes:
            place.stop()


def test_an_idle_node_asks_the_database_little(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """At most twenty statements a minute: counted for a quarter of one, from the database's own log."""
    with postgres.running(f"{postgres.SAFE} -c log_line_prefix='<%a> '") as own:
        place = Place(tmp_path)
        for folder in ("jobs.d", "etc", "var/run"):
            (tmp_path / folder).mkdir(parents=True)
        (tmp_path / "etc/akjob.toml").write_text(f'[cluster]\nurl = "{own.database()}"\nnode = "a"\n')
        start(place)
        log = own.folder / "log"
        with connect(place.paths.ledger_url) as connection:
            connection.execute("ALTER SYSTEM SET log_statement = 'all'")
            connection.execute("SELECT pg_reload_conf()")
        until(lambda: "update_heartbeat" in log.read_text(), 60.0)  # what a start asks is over by then
        before, since_us = len(ASKED.findall(log.read_text())), time_us()
        until(lambda: time_us() > since_us + 15 * SECOND, 60.0, 0.2)
        asked = ASKED.findall(log.read_text())[before:]
        place.stop()
    with capfd.disabled():
        sys.stdout.write(f"\nan idle node asks {len(asked)} statements in 15 s\n")
    assert len(asked) <= 20 * 15 / 60 + 3  # what falls into it of what comes at intervals


ASKED = re.compile(r"^<akjob(?:-node)?> LOG:  (?:statement|execute [^:]*): (?!BEGIN|COMMIT|ROLLBACK)", re.MULTILINE)


def test_an_akjobd_whose_runs_were_taken_starts_again(nodes: list[Place], url: str) -> None:
    """What it knew is another node's by now: it forgets it, and goes on from the ledger."""
    first, second = started(nodes, long='command = ["sleep", "300"]\n')
    reader = open_reader(url)
    run = first.run("long")
    until(lambda: first.running(run), 30.0)
    before = first.pid("akjobd")
    os.kill(before, signal.SIGSTOP)
    until(lambda: reader.run(run)["state"] == "lost", 30.0)
    os.kill(before, signal.SIGCONT)
    until(lambda: first.pid("akjobd") != before and first.loaded(), 30.0)
    until(lambda: states(url) == {"a": "up", "b": "up"}, 30.0)
    assert second.loaded()
    assert reader.run(run)["state"] == "lost"


def time_us() -> int:
    """Return the wall clock."""
    return SystemClock().now_us()


def first_is_held(place: Place) -> bool:
    """Return True if akjobd starts nothing."""
    return "drained" in place.status().get("held", "")


def ended(reader: Reader, job: str) -> list[dict[str, object]]:
    """Return the rows of runs that are over."""
    return [dict(row) for row in reader.history(job, 1000) if row["ended_at"] is not None]
