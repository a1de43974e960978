"""Leases: who may write, who is lost, and who takes what it had."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from akjob.akjobd.loop import SystemClock
from akjob.errors import AkjobError
from akjob.instants import SECOND, to_text
from akjob.ledger import (
    Committed,
    JobRow,
    LedgerBusyError,
    LedgerStaleError,
    Legacy,
    Occurrence,
    Permit,
    RunRow,
    Wait,
    Writes,
    open_reader,
)
from akjob.ledger.model import BackfillRow, Join, SeenFiles, UpstreamEnd
from akjob.ledger.nodes import Me, Nodes
from akjob.ledger.postgres import PostgresStore, connect
from akjob.schedule.events import After
from akjob.sources.after import PART, answer
from tests import postgres
from tests.support import until
from tests.unit.ledger.samples import job_row, life, moved
from tests.unit.world import row
from tests.wires import Wire


@pytest.fixture
def nodes(url: str, stores: object) -> Iterator[Nodes]:  # noqa: ARG001 - they make the schema
    """Return the table of nodes."""
    opened = Nodes(url)
    yield opened
    opened.close()


def clock(off_s: float = 0.0) -> Callable[[], int]:
    """Return the clock of a node that is so far off; the database's is this machine's."""
    return lambda: SystemClock().now_us() + int(off_s * SECOND)


def me(node: str, **other: object) -> Me:
    """Return what a node says of itself."""
    values: dict[str, object] = {"tags": (), "slots": 4, "lease_us": 20 * SECOND, "version": "1"} | other
    return Me(node=node, **values)  # type: ignore[arg-type]


def end_lease(url: str, node: str) -> None:
    """Let the time of a node be over."""
    with connect(url) as connection:
        connection.execute(
            "UPDATE nodes SET lease_until = clock_timestamp() - interval '1 second' WHERE node = %s", [node]
        )


def test_a_node_that_renews_is_up(nodes: Nodes) -> None:
    """It is listed with what it says of itself, and lost to nobody."""
    assert [nodes.renew(me("a", tags=("gpu", "db"), git_commit="c0ffee"), clock(0.2)).lost for _ in "12"] == [(), ()]
    assert nodes.renew(me("b"), clock()).may_claim
    first, second = nodes.list()
    assert (first.node, first.state, first.tags, first.git_commit) == (
        "a", "up", ("gpu", "db"), "c0ffee",
    )  # fmt: skip
    assert 0.1 < first.clock_offset_s < 0.4  # as it was measured the time before
    assert (second.node, second.running) == ("b", 0)
    assert 0 <= first.lease_age_s < 20


def test_a_node_hears_when_the_first_lease_of_another_one_is_over(nodes: Nodes, url: str) -> None:
    """Its own does not count, nor one that is over."""
    assert nodes.renew(me("a"), clock()).next_over_us is None
    left_us = nodes.renew(me("b"), clock()).next_over_us
    assert left_us is not None
    assert 10 * SECOND < left_us <= 20 * SECOND
    end_lease(url, "a")
    assert nodes.renew(me("b"), clock()).next_over_us is None


def test_a_clock_that_is_off_claims_nothing(nodes: Nodes) -> None:
    """Half a second is too much, in both directions."""
    offsets = (0.4, 0.6, -0.6)
    assert [nodes.renew(me("a"), clock(offset)).may_claim for offset in offsets] == [True, False, False]


def test_a_node_is_drained_and_resumed(nodes: Nodes) -> None:
    """The next renewal says so; an unknown node is an error."""
    nodes.renew(me("a"), clock())
    nodes.drain("a", draining=True)
    assert nodes.list()[0].state == "draining"
    assert not nodes.renew(me("a"), clock()).may_claim
    nodes.drain("a", draining=False)
    assert nodes.renew(me("a"), clock()).may_claim
    with pytest.raises(AkjobError, match="there is no node x"):
        nodes.drain("x", draining=True)


def test_what_a_lost_node_had_is_taken_by_one(
    nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """Another node takes its open runs, once, and writes their end; what the lost one writes later is refused."""
    store, other = stores
    third = PostgresStore(url, "c")
    for node in "abc":
        nodes.renew(me(node), clock())
    store.commit(
        Writes(
            claims=[row("1", state="running", started_us=1), row("2", slot_us=2), row("3", slot_us=3, state="failed")],
            waits=[Wait(run="2", not_before_us=7)],
            transitions=[moved("1", None, "running"), moved("2", None, "queued")],
        )
    )
    assert nodes.renew(me("b"), clock()).lost == ()
    assert other.take_over(["a"]).open_runs == []
    end_lease(url, "a")
    assert [one.state for one in nodes.list()] == ["lost", "up", "up"]
    assert nodes.renew(me("b"), clock()).lost == ("a",)
    taken = other.take_over(["a"]).open_runs
    assert [(one.row.id, one.row.node) for one in taken] == [("1", "a"), ("2", "a")]
    assert taken[1].wait == Wait(run="2", not_before_us=7)
    assert third.take_over(["a"]).open_runs == []
    lost = Writes(changes=[row("1", state="lost", node="a")], transitions=[moved("1", "running", "lost")])
    assert len(other.commit(lost).transitions) == 1
    with pytest.raises(LedgerBusyError, match="the lease of node a is over"):
        store.commit(Writes(changes=[row("1", state="succeeded")]))
    nodes.renew(me("a"), clock())
    assert store.commit(Writes(changes=[row("1", state="succeeded")], transitions=life("1")[-1:])).transitions == ()
    assert open_reader(url).run("1")["state"] == "lost"
    assert open_reader(url).run("1")["node"] == "a"
    third.close()


def test_a_node_learns_that_another_one_took_what_it_had(
    nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """Only that: a lease that was over while nobody took anything changes nothing that the node knows."""
    a, b = stores
    known = [nodes.renew(me(node), clock()).taken for node in "ab"]
    end_lease(url, "a")
    assert nodes.renew(me("a"), clock()).taken == known[0]
    a.commit(Writes(claims=[row("1")]))
    assert b.take_over(["a"]).open_runs == []
    end_lease(url, "a")
    assert [one.row.id for one in b.take_over(["a"]).open_runs] == ["1"]
    assert [nodes.renew(me(node), clock()).taken for node in "ab"] == [known[0] + 1, known[1]]


def test_what_goes_on_without_its_node_is_taken_when_that_is_forgotten(
    nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """``on_partition = "continue"``: its order is out, and nobody knows what became of it."""
    a, b = stores
    for node in "ab":
        nodes.renew(me(node), clock())
    permits = [Permit(run=run, job="a", holds=(f"lock:{run}",), continues=run == "1") for run in "12"]
    a.commit(Writes(claims=[row("1"), row("2", slot_us=2)], permits=permits))
    end_lease(url, "a")
    assert nodes.renew(me("b"), clock()).lost == ("a",)
    assert [one.row.id for one in b.take_over(["a"]).open_runs] == ["2"]
    assert nodes.renew(me("b"), clock()).lost == ()
    nodes.forget("a")
    assert nodes.renew(me("b"), clock()).lost == ("a",)
    assert [one.row.id for one in b.take_over(["a"]).open_runs] == ["1"]


def test_what_was_decided_by_a_clock_that_is_ahead_is_not_written(
    nodes: Nodes, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """Late decisions are written, for they may have been held back; those of an instant to come are not."""
    store, _ = stores
    nodes.renew(me("a"), clock())
    store.commit(Writes(claims=[row("1", queued_us=clock(-300)())]))
    with pytest.raises(LedgerStaleError, match=r"the clock of node a is 300\.\d s ahead of the database's"):
        store.commit(Writes(claims=[row("2", slot_us=2, queued_us=clock(300)())]))
    assert [one.row.id for one in store.open_runs()] == ["1"]


def test_a_start_of_a_run_that_was_taken_is_refused(
    nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """It is another node's: it holds nothing for this one, and is started there."""
    a, b = stores
    for node in "ab":
        nodes.renew(me(node), clock())
    a.commit(Writes(claims=[row("1")]))
    end_lease(url, "a")
    b.take_over(["a"])
    nodes.renew(me("a"), clock())
    start = Writes(permits=[Permit(run="1", job="a", holds=("job:a",), queue="akjob:")])
    assert a.commit(start) == Committed(refused=frozenset({"1"}))
    a.commit(Writes(waits=[Wait(run="1", manual=True)]))
    assert [one.wait for one in b.open_runs()] == [None]
    assert [one.row.id for one in b.open_runs()] == ["1"]
    assert b.commit(start).handed == {"1"}


def test_two_ends_of_one_instant_on_two_nodes_are_two_attempts(stores: tuple[PostgresStore, PostgresStore]) -> None:
    """What is due by them has the same slot, and each its row; a slot of the calendar has one."""
    a, b = stores

    def due(run: str) -> Writes:
        claim = row(run, slot_us=SECOND, trigger="after", cause=f'{{"after":{{"up":"{run}"}}}}')
        return Writes(claims=[claim], transitions=[moved(run, None, "queued")], waits=[Wait(run=run, first_attempt=1)])

    assert a.commit(due("1")).renumbered == {}
    found = b.commit(due("2"))
    assert (found.refused, found.renumbered) == (frozenset(), {"2": 2})
    assert [one.attempt for one in found.transitions] == [2]
    ((opened, wait),) = [(one.row, one.wait) for one in b.open_runs()]
    assert wait is not None
    assert (opened.attempt, wait.first_attempt) == (2, 2)
    assert b.commit(Writes(claims=[row("3", slot_us=SECOND)])).refused == {"3"}


def test_ends_on_two_nodes_meet_in_one_commit(stores: tuple[PostgresStore, PostgresStore]) -> None:
    """The second one finds what the first one kept, and uses it up; of an end that is another node's nothing is met."""
    after = After(jobs=("a", "b"), on=("succeeded",), mode="all")

    def ends(job: str, run: str) -> Writes:
        ended = UpstreamEnd(job=job, run=run, state="succeeded", slot_us=1, slot_last_us=1, at_us=2)
        join = Join(job="c", ended=ended, prefix=PART, answer=lambda parts: answer("c", after, parts, ended))
        return Writes(changes=[row(run, state="succeeded")], joins=[join])

    for number, store in enumerate(stores):
        store.commit(Writes(claims=[row(str(number), slot_us=number)]))
    stores[1].commit(Writes(claims=[row("2", slot_us=2)]))
    a, b = stores
    assert a.commit(ends("b", "1")).met == ()  # the run is the other node's
    assert [found.what for _, found in a.commit(ends("a", "0")).met] == ["keep"]
    ((_, due),) = b.commit(ends("b", "1")).met
    assert due.what == "due"
    assert due.occurrence is not None
    assert due.occurrence.cause == '{"after":{"a":"0","b":"1"}}'
    assert (a.occurrences(), b.occurrences()) == ([], [due.occurrence])
    assert [found.what for _, found in b.commit(ends("b", "2")).met] == ["keep"]


def test_what_an_akjobd_that_died_had_on_its_way_is_waited_for(
    nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """The next one of this node reads the ledger once the database is done with it: what is over is not over twice."""
    a, _ = stores
    for node in "ab":
        nodes.renew(me(node), clock())
    a.commit(Writes(claims=[row("1")]))
    found: list[str] = []

    def start() -> None:
        following = PostgresStore(url, "a")
        found.extend(one.row.id for one in following.open_runs())
        following.close()

    following = threading.Thread(target=start)

    def waits() -> bool:
        with connect(url) as connection:
            waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return bool(connection.execute(waiting).fetchall())

    def amid() -> str:
        following.start()
        PostgresStore(url, "b").close()  # other nodes do not wait
        until(waits)
        return "c"

    a.commit_here = amid
    give = [Permit(run="2", job="a", holds=(), queue="akjob:")]
    a.commit(Writes(changes=[row("1", state="succeeded")], claims=[row("2", slot_us=2)], permits=give))
    following.join()
    assert found == []


def test_a_commit_that_arrives_late_is_waited_for(
    nodes: Nodes, url: str, server: postgres.Server, tmp_path: Path
) -> None:
    """The answer to a take is lost, and the take is done all the same: the store says so, and has the run then."""
    wire = Wire(tmp_path / "w", server.folder)
    nodes.renew(me("a"), clock())
    try:
        store = PostgresStore(wire.url(urlsplit(url).path[1:]), "a", 4 * SECOND)
        claims, permits = [row("1")], [Permit(run="1", job="a", holds=(), queue="akjob:")]
        assert store.commit(Writes(claims=claims, permits=permits)).handed == {"1"}

        def take() -> object:
            taken = store._take("1")
            wire.silence()
            until(lambda: wire.is_silent)
            return taken

        with pytest.raises(LedgerBusyError, match="no answer within 2 s"):
            store._given(take)
        assert store.has_unknown
        wire.mend()
        store.reached()
        assert store.take("1") is None
        assert [one.row.id for one in store.open_runs()] == ["1"]
        store.close()
    finally:
        wire.close()


def test_each_node_has_seen_its_own_files(nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]) -> None:
    """The same path is another file on another machine; what was copied is the first one's."""
    a, b = stores
    copied = PostgresStore(url)
    copied.commit(Writes(seen=[SeenFiles(job="j", files={"/in/x": (1, 1, 1), "/in/y": (1, 1, 2)})]))
    copied.close()
    assert a.seen_files() == {"j": {"/in/x": (1, 1, 1), "/in/y": (1, 1, 2)}}
    assert b.seen_files() == {}
    b.commit(Writes(seen=[SeenFiles(job="j", files={"/in/x": (7, 7, 7)})]))
    a.commit(Writes(seen=[SeenFiles(job="j", files={"/in/y": None})]))
    assert a.seen_files() == {"j": {"/in/x": (1, 1, 1)}}
    assert b.seen_files() == {"j": {"/in/x": (7, 7, 7)}}
    nodes.renew(me("b"), clock())
    end_lease(url, "b")
    nodes.forget("b")
    assert b.seen_files() == {}


def test_what_happened_on_a_node_is_its_own_until_it_is_lost(
    nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """Its occurrences and backfills: another node that starts leaves them alone, and takes them when it is lost."""
    a, b = stores
    occurrence = Occurrence(job="a", key="start:1", at_us=1, trigger="start")
    backfill = BackfillRow(id="f", job="a", at_us=1, from_us=1, until_us=9, slots=(1, 2))
    a.commit(Writes(occurrences=[occurrence], new_backfills=[backfill]))
    assert (a.occurrences(), a.open_backfills()) == ([occurrence], [backfill])
    assert (b.occurrences(), b.open_backfills()) == ([], [])
    for node in "ab":
        nodes.renew(me(node), clock())
    assert b.take_over(["a"]) == Legacy(open_runs=[], ordered=frozenset(), occurrences=[], backfills=[])
    end_lease(url, "a")
    assert nodes.renew(me("b"), clock()).lost == ("a",)
    assert b.take_over(["a"]) == Legacy(
        open_runs=[], ordered=frozenset(), occurrences=[occurrence], backfills=[backfill]
    )
    assert (b.occurrences(), b.open_backfills()) == ([occurrence], [backfill])
    assert nodes.renew(me("b"), clock()).lost == ()


def test_a_node_that_stopped_without_runs_is_down(nodes: Nodes, url: str) -> None:
    """It is not lost, comes back as up, and can be forgotten meanwhile; one that is up cannot."""
    nodes.renew(me("a"), clock())
    with pytest.raises(AkjobError, match="node a is up"):
        nodes.forget("a")
    nodes.stop("a")
    end_lease(url, "a")
    assert [one.state for one in nodes.list()] == ["down"]
    assert nodes.renew(me("b"), clock()).lost == ()
    nodes.renew(me("a"), clock())
    assert [one.state for one in nodes.list()] == ["up", "up"]
    end_lease(url, "a")
    nodes.forget("a")
    assert [one.node for one in nodes.list()] == ["b"]


def skipped(run: str, first_s: int, last_s: int) -> RunRow:
    """Return the row of several slots of a second each."""
    return row(
        run, slot_us=first_s * SECOND, slot_last_us=last_s * SECOND, count=last_s - first_s + 1, state="skipped",
        ended_us=last_s * SECOND,
    )  # fmt: skip


def stale(store: PostgresStore) -> None:
    """Let a node know what it knew at first: it has read nothing since."""
    store._known["a"] = job_row(watermark_us=10 * SECOND)


def test_slots_that_another_node_has_accounted_for_are_decided_again(
    url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """The row of a stretch neither covers slots that have rows, nor is it refused with some that have none."""
    a, b = stores
    a.commit(Writes(loaded=[job_row(watermark_us=10 * SECOND)]))
    b.jobs_state()
    first = skipped("1", 11, 20)
    a.commit(Writes(claims=[first], jobs=[job_row(watermark_us=20 * SECOND)]))
    for stretch in (skipped("2", 11, 25), skipped("3", 12, 15), row("4", slot_us=20 * SECOND)):
        late = Writes(
            claims=[stretch], jobs=[job_row(watermark_us=25 * SECOND)], transitions=[moved(stretch.id, None, "skipped")]
        )
        assert b.commit(late) == Committed(refused=frozenset({stretch.id}), behind={"a": 20 * SECOND})
        assert [one.watermark_us for one in a.jobs_state()] == [20 * SECOND]
        stale(b)
    b.jobs_state()
    grown = replace(first, slot_last_us=21 * SECOND, count=11)
    b.commit(Writes(claims=[skipped("5", 21, 25)], jobs=[job_row(watermark_us=25 * SECOND)]))
    assert a.commit(Writes(changes=[grown], jobs=[job_row(watermark_us=21 * SECOND)])).behind == {"a": 25 * SECOND}
    reader = open_reader(url)
    assert [(one["slot_last"], one["count"]) for one in reader.history("a")] == [
        (to_text(25 * SECOND), 5),
        (to_text(20 * SECOND), 10),
    ]


def test_what_was_not_committed_is_not_known(url: str, stores: tuple[PostgresStore, PostgresStore]) -> None:
    """A commit fails after all its statements: tried again, it is behind what another node wrote meanwhile."""
    a, b = stores
    a.commit(Writes(loaded=[job_row(watermark_us=10 * SECOND, runs_started=0)]))
    b.jobs_state()

    def fail() -> str:
        raise LedgerBusyError("the database is gone", hint="")

    give = [Permit(run="9", job="a", holds=(), queue="akjob:")]
    job = job_row(watermark_us=20 * SECOND, runs_started=1)
    late = Writes(claims=[skipped("1", 11, 19), row("9", slot_us=20 * SECOND)], jobs=[job], permits=give)
    a.commit_here = fail
    with pytest.raises(LedgerBusyError, match="gone"):
        a.commit(late)
    b.commit(Writes(claims=[skipped("2", 12, 15)], jobs=[job_row(watermark_us=15 * SECOND)]))
    a.commit_here = lambda: "c"
    assert a.commit(late).behind == {"a": 15 * SECOND}
    again = Writes(claims=[skipped("3", 16, 19)], jobs=[replace(job, watermark_us=19 * SECOND, runs_started=2)])
    assert a.commit(again).behind == {}
    with connect(url) as connection:
        assert connection.execute("SELECT id FROM runs").fetchall() == [("2",), ("3",)]
        assert connection.execute("SELECT runs_started FROM jobs").fetchall() == [(2,)]


def each(node: str, mark_s: int, **other: Any) -> JobRow:
    """Return the row of a job that runs on every node, as one of them has it."""
    return job_row(scope=node, watermark_us=mark_s * SECOND, **other)


def test_each_node_accounts_for_a_job_that_runs_on_every_node(
    url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """None is behind another; each goes on from its own watermark, also with the news of the other's."""
    a, b = stores
    first = Writes(loaded=[each("a", 5)], claims=[row("1", slot_us=5 * SECOND, scope="a")])
    assert a.commit(first) == Committed()
    b.jobs_state()
    a.commit(Writes(jobs=[each("a", 6)]))
    done = b.commit(Writes(loaded=[each("b", 3)], claims=[row("2", slot_us=3 * SECOND, scope="b")]))
    assert (done.behind, done.refused) == ({}, frozenset())
    b.commit(Writes(jobs=[each("b", 9, runs_started=2, again_from_us=8)]))
    a.commit(Writes(jobs=[each("a", 6, runs_started=1)], transitions=[moved("1", None, "queued")]))
    found = open_reader(url).job("a")
    assert found is not None
    assert (found["mark"], found["runs_started"], found["again_from"]) == (to_text(9 * SECOND), 2, to_text(8))
    for store, mark_s, started in ((a, 6, 1), (b, 9, 2)):
        (known,) = store.jobs_state()
        assert (known.watermark_us, known.runs_started, known.scope) == (mark_s * SECOND, started, store._node)
    (news,) = b.news(0).jobs
    assert (news.watermark_us, news.scope) == (9 * SECOND, "b")
    a.commit(Writes(loaded=[job_row(watermark_us=6 * SECOND)]))
    assert [(one.scope, one.watermark_us) for one in a.jobs_state()] == [("", 9 * SECOND)]


def test_a_lost_node_keeps_what_is_its_own(nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]) -> None:
    """What runs is lost; what waits, for the node itself, waits for it, or for the node to be forgotten."""
    a, b = stores
    for node in "ab":
        nodes.renew(me(node), clock())
    occurrence = Occurrence(job="a", key="start:1", at_us=1, trigger="start")
    backfill = BackfillRow(id="f", job="a", at_us=1, from_us=1, until_us=9, slots=(1, 2))
    claims = [row("1", scope="a"), row("2", slot_us=2, scope="a", state="running", started_us=2)]
    a.commit(Writes(loaded=[each("a", 0)], claims=claims, occurrences=[occurrence], new_backfills=[backfill]))
    end_lease(url, "a")
    assert nodes.renew(me("b"), clock()).lost == ("a",)
    left = b.take_over(["a"])
    assert ([one.row.id for one in left.open_runs], left.occurrences, left.backfills) == (["2"], [], [])
    b.commit(Writes(changes=[replace(left.open_runs[0].row, state="lost", ended_us=9)]))
    assert nodes.renew(me("b"), clock()).lost == ()
    nodes.forget("a")
    assert nodes.renew(me("b"), clock()).lost == ("a",)
    assert [one.row.id for one in b.take_over(["a"]).open_runs] == ["1"]
    assert (a.occurrences(), a.open_backfills()) == ([], [])
    assert a.jobs_state()[0].scope == ""


def test_what_may_have_started_is_told_apart(
    nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """Of a lost node's runs those are ordered that were permitted to start, and that have not come back."""
    a, b = stores
    for node in "ab":
        nodes.renew(me(node), clock())
    permits = [Permit(run=run, job="a", holds=("job:a",)) for run in "23"]
    a.commit(Writes(claims=[row(str(number), slot_us=number) for number in (1, 2, 3)], permits=permits))
    a.commit(Writes(freed=["3"]))
    end_lease(url, "a")
    left = b.take_over(["a"])
    assert ([one.row.id for one in left.open_runs], left.ordered) == (["1", "2", "3"], frozenset({"2"}))
    following = PostgresStore(url, "b")  # the akjobd that took them over has died before it wrote anything of them
    states = {one.row.id: one.row.state for one in following.open_runs()}
    following.close()
    assert states == {"1": "queued", "2": "running", "3": "queued"}


def test_what_a_node_frees_of_a_run_that_was_taken_stays_held(
    nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """It starts elsewhere by now: were it free, a third node would start it once more, should that one be lost, too."""
    a, b = stores
    for node in "ab":
        nodes.renew(me(node), clock())
    start = Writes(permits=[Permit(run="1", job="a", holds=("job:a",))])
    a.commit(Writes(claims=[row("1")], waits=[Wait(run="1", manual=True)]))
    end_lease(url, "a")
    b.take_over(["a"])
    b.commit(start)
    nodes.renew(me("a"), clock())
    a.commit(Writes(freed=["1"], changes=[row("1", state="skipped", ended_us=9)], waited=["1"]))
    assert [one.wait is not None for one in b.open_runs()] == [True]
    end_lease(url, "b")
    assert a.take_over(["b"]).ordered == {"1"}
