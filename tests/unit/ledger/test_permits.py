"""What the nodes of a cluster decide together: permits to start, rows of jobs, stops, and how each hears of it."""

import pytest

from akjob.instants import SECOND
from akjob.ledger import Blocked, Committed, Permit, Transition, Wait, Writes
from akjob.ledger.postgres import CommitListener, PostgresStore
from tests.unit.ledger.samples import job_row, moved
from tests.unit.world import row


def start(store: PostgresStore, run: str, slot: int, *needs: tuple[str, int], pausable: bool = True) -> Committed:
    """Claim a run of job ``a`` and ask for its start; it holds all that it needs."""
    holds = tuple(name for name, _ in needs)
    permit = Permit(run=run, job="a", holds=holds or ("job:a",), needs=needs, pausable=pausable)
    return store.commit(
        Writes(claims=[row(run, slot_us=slot)], permits=[permit], transitions=[moved(run, None, "queued")])
    )


def again(run: str, *needs: tuple[str, int]) -> Writes:
    """Ask for the start of a run that is claimed."""
    return Writes(permits=[Permit(run=run, job="a", holds=tuple(name for name, _ in needs), needs=needs)])


def test_a_gate_is_one_for_all_nodes(stores: tuple[PostgresStore, PostgresStore]) -> None:
    """The claim is written, the start is not permitted, until the run that holds the gate ends or comes back."""
    a, b = stores
    lock = ("lock:crm", 1)
    assert start(a, "1", 1, lock).blocked == ()
    found = start(b, "2", 2, lock)
    assert (found.refused, found.blocked) == (frozenset(), (Blocked("2", "lock", "run 1 on node a"),))
    a.commit(Writes(changes=[row("1", slot_us=1, state="succeeded")]))
    assert b.commit(again("2", lock)).blocked == ()
    assert start(a, "3", 3, lock).blocked == (Blocked("3", "lock", "run 2 on node b"),)
    b.commit(Writes(freed=["2"]))
    assert a.commit(again("3", lock)).blocked == ()


def test_a_pool_has_room_for_as_many_as_it_says(stores: tuple[PostgresStore, PostgresStore]) -> None:
    """Those of one commit count too."""
    a, b = stores
    pool = ("pool:db", 3)
    assert start(a, "1", 1, pool).blocked == ()
    two = [Permit(run=run, job="a", holds=("pool:db",), needs=(pool,)) for run in ("2", "3", "4")]
    found = b.commit(Writes(claims=[row(one.run, slot_us=int(one.run)) for one in two], permits=two))
    assert [one.run for one in found.blocked] == ["4"]


def test_nothing_starts_while_its_job_is_paused(stores: tuple[PostgresStore, PostgresStore]) -> None:
    """A pause that another node wrote holds before this one has heard of it; runs by hand start all the same."""
    a, b = stores
    a.commit(Writes(loaded=[job_row()]))
    a.jobs_state()
    paused = job_row(paused_at_us=1, pause_reason="stock", paused_by="ann")
    a.commit(Writes(jobs=[paused], transitions=[Transition(at_us=1, kind="job", job="a", to_state="paused")]))
    assert start(b, "1", 1).blocked == (Blocked("1", "pause", "the job is paused by ann: stock"),)
    assert start(b, "2", 2, pausable=False).blocked == ()
    over = job_row(paused_at_us=1, paused_until_us=2)
    a.commit(Writes(jobs=[over], transitions=[Transition(at_us=3, kind="job", job="a", to_state="paused")]))
    assert start(b, "3", 3).blocked == ()


def test_an_answer_that_was_lost_blocks_the_same_starts(stores: tuple[PostgresStore, PostgresStore]) -> None:
    """The commit was made: what it permitted is permitted, and the rest asks again."""
    a, b = stores
    start(a, "1", 1, ("lock:crm", 1))
    permits = [
        Permit(run="2", job="a", holds=("lock:crm",), needs=(("lock:crm", 1),)),
        Permit(run="3", job="a", holds=("job:a",)),
    ]
    writes = Writes(claims=[row("2", slot_us=2), row("3", slot_us=3)], permits=permits)
    done = b._transaction(lambda: b._once("t", writes))
    b._tried = (writes, "t")
    assert [one.run for one in b.commit(writes).blocked] == [one.run for one in done.blocked] == ["2"]


def test_nodes_add_to_a_row_of_jobs(stores: tuple[PostgresStore, PostgresStore]) -> None:
    """Counts add up, the watermark only rises unless a node lowers it, and a pause is not written over."""
    a, b = stores
    a.commit(Writes(loaded=[job_row(watermark_us=5 * SECOND, runs_started=1)]))
    b.commit(Writes(loaded=[job_row(watermark_us=4 * SECOND, runs_started=1)]))
    assert [(one.runs_started, one.watermark_us) for one in a.jobs_state()] == [(2, 5 * SECOND)]
    moved_ = [Transition(at_us=1, kind="job", job="a", to_state="paused")]
    a.commit(Writes(jobs=[job_row(watermark_us=5 * SECOND, runs_started=2, paused_at_us=1)], transitions=moved_))
    b.commit(Writes(jobs=[job_row(watermark_us=9 * SECOND, runs_started=3, last_run="7", last_ended_us=9)]))
    a.commit(Writes(jobs=[job_row(watermark_us=5 * SECOND, runs_started=3, last_run="6", last_ended_us=8)]))
    (found,) = b.news(0).jobs
    assert (found.runs_started, found.watermark_us, found.paused_at_us) == (5, 9 * SECOND, 1)
    assert (found.last_run, found.last_ended_us) == ("7", 9)
    b.commit(Writes(jobs=[job_row(watermark_us=7 * SECOND, runs_started=0)]))
    assert [(one.runs_started, one.watermark_us) for one in a.jobs_state()] == [(0, 7 * SECOND)]


def test_a_node_hears_of_the_runs_of_others(stores: tuple[PostgresStore, PostgresStore]) -> None:
    """Those that are open with what they wait for, and those that are over; its own are not news."""
    a, b = stores
    waiting = Writes(
        claims=[row("1", slot_us=1)], waits=[Wait(run="1", not_before_us=9)], transitions=[moved("1", None, "queued")]
    )
    a.commit(waiting)
    b.commit(Writes(claims=[row("2", slot_us=2)], transitions=[moved("2", None, "queued")]))
    assert [one.row.id for one in b.elsewhere().open_runs] == ["1"]
    news = b.news(0)
    assert [(one.row.id, one.row.node, one.wait) for one in news.open_runs] == [
        ("1", "a", Wait(run="1", not_before_us=9))
    ]
    a.commit(Writes(changes=[row("1", slot_us=1, state="succeeded")], transitions=[moved("1", "queued", "succeeded")]))
    later = b.news(news.seq)
    assert (len(later.open_runs), later.seq) == (0, 3)
    assert later.over == {"1"}
    assert b.news(later.seq).seq == 3


def test_a_stop_reaches_the_node_that_has_the_run(stores: tuple[PostgresStore, PostgresStore]) -> None:
    """Once."""
    a, b = stores
    a.ask_stop([("1", "b", "stopped by ann", "ann"), ("2", "c", "replaced", None)])
    assert b.news(0).stops == (("1", "stopped by ann", "ann"),)
    assert b.news(0).stops == ()


@pytest.mark.parametrize("announced", [True, False])
def test_a_commit_is_announced_to_the_others(
    url: str, stores: tuple[PostgresStore, PostgresStore], *, announced: bool
) -> None:
    """A node does not hear itself. Behind a pooler, where nothing is announced, the listener looks by itself."""
    a, b = stores
    listener = CommitListener(url, b.writer)
    assert listener.wait(0.05, 0.05) is True  # whatever was before
    assert listener.wait(0.05, 0.05) is False
    if not announced:
        listener._session.ask("UNLISTEN *")
        listener._announced = False
    b.commit(Writes(claims=[row("1", slot_us=1)]))
    assert listener.wait(0.05, 0.05) is False
    a.commit(Writes(claims=[row("2", slot_us=2)], transitions=[moved("2", None, "queued")]))
    assert listener.wait(60.0 if announced else 0.05, 0.05) is True
    listener._session.close()
