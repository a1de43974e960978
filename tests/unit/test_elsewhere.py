"""Other nodes' runs as an agenda sees them: overlap, requests, starts that are not permitted, rows of jobs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from akjob.agenda.backfills import Asked
from akjob.agenda.life import FarStop
from akjob.errors import AkjobError
from akjob.instants import MINUTE, SECOND, to_text
from akjob.ledger import Blocked, Legacy, News, Occurrence, OpenRun, Writes
from akjob.sources import EndMeaning
from akjob.sources.after import PART
from tests.unit.world import World, close_all, job, row, us

EVERY = '[schedule]\nevery = "1m"\n'


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what the test has opened."""
    yield
    close_all()


def world(tmp_path: Path, rest: str = "", schedule: str = EVERY) -> World:
    """Return a node of a cluster at 10:00:30, with one job."""
    found = World(tmp_path, job("a", schedule + rest), now=us("10:00:30"))
    found.agenda.share("here", [])
    return found


def other(run: str = "far", state: Any = "running", **values: Any) -> News:
    """Return the news that another node has a run of job ``a``."""
    slot = us("10:00:00")
    given = row(run, slot_us=slot, state=state, node="b2", **values)
    return News(seq=1, open_runs=(OpenRun(given, None),))


def over(run: str = "far") -> News:
    """Return the news that it has ended."""
    return News(seq=2, over=frozenset({run}))


def test_a_slot_is_skipped_while_another_node_runs_the_job(tmp_path: Path) -> None:
    """The row says which run, and where; once that has ended slots start again."""
    w = world(tmp_path)
    w.agenda.hear(other(), w.now)
    assert w.go("10:01:00") == []
    assert w.rows("a")[0]["reason"] == "run far on node b2 still runs"
    w.agenda.hear(over(), w.now)
    assert w.go("10:02:00") == ["a"]


def test_a_queued_slot_starts_when_the_run_elsewhere_ends(tmp_path: Path) -> None:
    """``queue`` and ``replace`` wait for it; ``replace`` has it ended."""
    for overlap, stops in (("queue", []), ("replace", [FarStop(run="far", node="b2", reason="", by=None)])):
        folder = tmp_path / overlap
        folder.mkdir()
        w = world(folder, f'[run]\noverlap = "{overlap}"\n')
        w.agenda.hear(other(), w.now)
        assert w.go("10:01:00") == []
        told = [one for effects in w.seen for one in effects.far_stops]
        assert [msgspec.structs.replace(one, reason="") for one in told] == stops
        w.agenda.hear(over(), w.now)
        assert w.go("10:01:10") == ["a"]


def test_a_run_by_hand_is_refused_while_another_node_has_one(tmp_path: Path) -> None:
    """As it is for a run of its own; ``stop`` reaches it."""
    w = world(tmp_path)
    w.agenda.hear(other(), w.now)
    with pytest.raises(AkjobError, match="a is busy: run far on node b2 still runs"):
        w.agenda.ask_run("a", None, w.now)
    assert w.agenda.ask_stop("a", "ann", w.now) == ["far"]
    (stop,) = w.turn().far_stops
    assert stop == FarStop(run="far", node="b2", reason="stopped by ann", by="ann")


def test_a_run_that_was_handed_over_is_not_decided_about_any_more(tmp_path: Path) -> None:
    """It was blocked before, and is another run once this node takes it: what has become possible concerns that one."""
    w = world(tmp_path)
    w.turn("10:01:00")
    (run,) = w.orders
    w.agenda.blocked([Blocked(run, "lock", "run far on node b2")], w.now)
    w.turn("10:01:05")
    w.agenda.handed([run], w.now)
    del w.orders[run]
    (mine,) = w.ledger.open_runs()
    w.agenda.take(mine, w.specs["a"], w.now)
    w.turn()
    w.agenda.hear(over(), w.now)
    w.turn("10:01:10")
    assert [(one["id"], one["state"]) for one in w.rows("a")] == [(run, "queued")]
    w.open_gates()
    w.finish(run)
    w.turn()
    assert [(one["id"], one["state"]) for one in w.rows("a")] == [(run, "succeeded")]


def test_each_start_asks_for_what_it_needs(tmp_path: Path) -> None:
    """Its job, its lock, its pool with the pool's size; ``allow`` does not ask for the job."""
    w = World(
        tmp_path,
        job("a", f'{EVERY}[run]\nlock = "crm"\npool = "db"\n'),
        job("b", f'{EVERY}[run]\noverlap = "allow"\n'),
        now=us("10:00:30"),
        pools={"db": 3},
    )
    w.agenda.share("here", [])
    first, second = sorted(w.turn("10:01:00").writes.permits, key=lambda one: one.job)
    assert first.needs == (("lock:crm", 1), ("pool:db", 3), ("job:a", 1), ("backfill:a", 1))
    assert (first.holds, first.pausable) == (("job:a", "lock:crm", "pool:db"), True)
    assert (second.needs, second.holds) == ((), ("job:b",))


def test_an_end_means_something_with_the_ends_on_other_nodes(tmp_path: Path) -> None:
    """What it means is asked in the commit: the job is due then, or its slot skipped for an end that does not fit."""
    c = '[schedule]\nafter = { jobs = ["x", "y"] }\n'
    w = World(tmp_path, job("x", EVERY), job("y", ""), job("c", c), now=us("10:00:30"))
    w.agenda.share("here", [])
    far = Occurrence(job="c", key=f"{PART}y", at_us=us("10:00:40"), trigger="after", cause='{"after":{"y":"far"}}')

    def answered(end: Any) -> EndMeaning:
        w.until("10:01:00" if end == "succeeded" else "10:02:00", lasts_us=None)
        (run,) = [run for run, start in w.live.items() if start.job == "x"]
        w.finish(run, end)
        w.turn()
        join = [one for effects in w.seen for one in effects.writes.joins][-1]
        found = join.answer({"y": far})
        w.agenda.met([(join, found)], w.now)
        w.turn()
        return found

    assert answered("succeeded").what == "due"
    (first,) = w.rows("c")
    assert json.loads(str(first["cause"])) == {"after": {"x": w.rows("x")[0]["id"], "y": "far"}}
    w.open_gates()
    w.finish(first["id"])
    found = answered("failed")
    assert (found.what, found.used) == ("misfit", (far,))
    assert [one["reason"] for one in w.rows("c") if one["state"] == "skipped"] == ["after x: failed"]


def test_a_run_whose_slot_has_a_row_of_another_node_gets_the_next_attempt(tmp_path: Path) -> None:
    """So its retries count from there."""
    w = world(tmp_path, "[run]\nretry = { attempts = 2, delay = '0s' }\n")
    w.turn("10:01:00")
    (run,) = w.orders
    w.agenda.renumbered({run: 4})
    w.open_gates()
    w.finish(run, "failed")
    w.turn()
    assert [one["attempt"] for one in w.rows("a") if one["trigger"] == "retry"] == [5]


def test_nothing_is_asked_without_a_cluster(tmp_path: Path) -> None:
    """A ledger of one's own needs no permits."""
    w = World(tmp_path, job("a", EVERY), now=us("10:00:30"))
    assert w.turn("10:01:00").writes.permits == []


def blocked(w: World, kind: Any, reason: str) -> str:
    """Take the run that is ordered, and let the cluster not permit its start."""
    (run,) = w.orders
    del w.orders[run]
    w.agenda.blocked([Blocked(run, kind, reason)], w.now)
    w.turn()
    return run


def test_a_start_that_meets_a_run_elsewhere_skips_its_slot(tmp_path: Path) -> None:
    """The news of that run was under way while the slot was decided; a pause likewise."""
    w = world(tmp_path)
    w.turn("10:01:00")
    blocked(w, "job", "run far on node b2")
    w.turn("10:02:00")
    blocked(w, "pause", "the job is paused by ann")
    assert [(row["state"], row["reason"]) for row in w.rows("a")] == [
        ("skipped", "run far on node b2 still runs"),
        ("skipped", "the job is paused by ann"),
    ]
    assert w.agenda.under_way == 0


@pytest.mark.parametrize("kind", ["lock", "pool"])
def test_a_start_that_is_not_permitted_waits(tmp_path: Path, kind: str) -> None:
    """For the news of an end, or for some seconds where that was lost."""
    w = world(tmp_path, f'[run]\n{kind} = "x"\n')
    w.turn("10:01:00")
    run = blocked(w, kind, "run far on node b2")
    assert (list(w.orders), w.agenda.under_way) == ([], 0)
    w.agenda.hear(over(), w.now)
    w.turn()
    assert list(w.orders) == [run]
    blocked(w, kind, "run far on node b2")
    assert w.agenda.wake_us == w.now + 5 * SECOND
    w.now += 5 * SECOND
    w.turn()
    assert list(w.orders) == [run]


def test_a_run_that_comes_back_holds_nothing(tmp_path: Path) -> None:
    """Its gates are given up in the commit that writes so."""
    w = world(tmp_path)
    w.turn("10:01:00")
    (run,) = w.orders
    del w.orders[run]
    w.agenda.never_started(run, w.now, "the zygote could not fork")
    effects = w.turn()
    assert effects.writes.freed == [run]


def test_the_row_of_a_job_is_taken_over(tmp_path: Path) -> None:
    """A pause, the runs counted and the watermark that others wrote hold here from then on."""
    w = world(tmp_path, "[limits]\nruns = 5\n")
    (mine,) = w.ledger.jobs_state()
    theirs = msgspec.structs.replace(mine, runs_started=4, watermark_us=us("10:02:00"))
    w.agenda.hear(News(seq=1, jobs=(theirs,)), w.now)
    w.until_us(us("10:02:30"))
    assert w.rows("a") == []
    w.until_us(us("10:09:00"))
    assert w.table("a") == [("10:03:00", "succeeded", 1)]
    paused = msgspec.structs.replace(w.ledger.jobs_state()[0], runs_started=0, paused_at_us=w.now, paused_by="ann")
    w.agenda.hear(News(seq=2, jobs=(paused,)), w.now)
    w.until_us(us("10:10:00"))
    assert w.rows("a")[-1]["reason"] == "the job is paused by ann"


def test_a_stop_that_another_node_passed_on_ends_the_run(tmp_path: Path) -> None:
    """With the reason and the name of whoever asked there."""
    w = world(tmp_path)
    w.go("10:01:00")
    run = w.only()
    w.agenda.hear(News(seq=1, stops=((run, "stopped by ann", "ann"), ("unknown", "", None))), w.now)
    w.turn()
    (found,) = w.rows("a")
    assert (found["state"], found["reason"], found["by"]) == ("cancelled", "stopped by ann", "ann")


def test_a_run_elsewhere_whose_time_is_to_come_keeps_nobody_busy(tmp_path: Path) -> None:
    """It was claimed ahead; a retry that waits does."""
    w = world(tmp_path)
    w.agenda.hear(other(state="queued"), us("10:00:00") - MINUTE)
    assert w.go("10:01:00") == ["a"]
    w.finish(w.only())
    w.agenda.hear(other(state="queued", trigger="retry"), us("10:00:00") - MINUTE)
    assert w.go("10:02:00") == []
    assert w.rows("a")[-1]["reason"] == "run far on node b2 waits for its retry"


def start_of(w: World, run: str) -> None:
    """Hand a run over: its row and its definition are in the ledger."""
    del w.orders[run]
    w.agenda.handed([run], w.now)
    w.turn()


def test_a_start_waits_in_the_queue_of_what_it_needs(tmp_path: Path) -> None:
    """What was asked for here, and what happened to this node, stays where it fits."""
    w = World(
        tmp_path,
        job("a", f'{EVERY}[run]\nneeds = ["gpu", "db"]\n'),
        job("b", f'{EVERY}[run]\nwhere = "node:b2"\n'),
        job("c", EVERY),
        job("d", '[run]\nneeds = ["gpu"]\n'),
        now=us("10:00:30"),
    )
    w.agenda.share("here", ["db"])
    permits = {one.job: one.queue for one in w.turn("10:01:00").writes.permits}
    assert permits == {"a": "akjob:db+gpu", "b": "akjob:node:b2", "c": "akjob:"}
    for run in list(w.orders):
        start_of(w, run)
        w.agenda.hear(over(run), w.now)
    for name in ("c", "d"):
        w.agenda.ask_run(name, None, w.now)
    by_hand = {one.job: one.queue for one in w.turn().writes.permits}
    assert by_hand == {"c": None, "d": "akjob:gpu"}


def test_a_run_that_was_handed_over_keeps_its_job_busy(tmp_path: Path) -> None:
    """Until the news that it has ended; nothing is running here meanwhile."""
    w = world(tmp_path)
    w.turn("10:01:00")
    (run,) = w.orders
    start_of(w, run)
    assert (w.agenda.under_way, w.agenda.knows(run), w.agenda.is_elsewhere(run)) == (0, False, True)
    w.turn("10:02:00")
    assert w.rows("a")[-1]["reason"] == f"run {run} is queued"
    w.agenda.hear(over(run), w.now)
    assert w.go("10:03:00") == ["a"]


def taken(w: World, run: str) -> OpenRun:
    """Return a run that was handed over as the ledger has it."""
    (found,) = (one for one in w.ledger.open_runs() if one.row.id == run)
    return found


def test_a_run_that_was_taken_starts_at_once(tmp_path: Path) -> None:
    """By the definition that it was claimed with, also if the file has changed since; nothing is asked again."""
    w = world(tmp_path)
    w.turn("10:01:00")
    (run,) = w.orders
    start_of(w, run)
    before = w.specs["a"]
    w.edit("a", f'{EVERY}[run]\ntimeout = "5m"\n')
    one = taken(w, run)
    spec = w.agenda.definition_of(one.row)
    assert spec is not None
    assert spec.sha256 == before.sha256
    assert w.agenda.fits(spec)
    w.agenda.take(one, spec, w.now)
    effects = w.turn()
    assert effects.writes.permits == []
    assert w.orders[run].spec.sha256 == before.sha256
    w.open_gates()
    w.finish(run)
    w.turn()
    assert w.table("a") == [("10:01:00", "succeeded", 1)]


def test_a_definition_that_was_never_here_is_not_known(tmp_path: Path) -> None:
    """The checkout of another node is ahead, or behind."""
    w = world(tmp_path)
    assert w.agenda.definition_of(row("1", definition_sha256="beef")) is None
    assert w.agenda.definition_of(row("1", job="unknown", definition_sha256="beef")) is None
    assert w.agenda.is_gone("unknown")
    assert not w.agenda.is_gone("a")


@pytest.mark.parametrize("end", ["failed", "skipped", "cancelled"])
def test_a_run_that_nobody_can_take_ends(tmp_path: Path, end: str) -> None:
    """It failed, its job is gone, or somebody stopped it."""
    w = world(tmp_path)
    w.turn("10:01:00")
    (run,) = w.orders
    start_of(w, run)
    one = taken(w, run)
    if end == "failed":
        w.agenda.fail(one, "no checkout has it", w.now)
    elif end == "skipped":
        w.agenda.skip(one, "no checkout has it", w.now)
    else:
        w.agenda.cancel(one, "no checkout has it", "ann", w.now)
    w.turn()
    (found,) = w.rows("a")
    assert (found["state"], found["reason"]) == (end, "no checkout has it")
    assert (w.agenda.under_way, w.agenda.is_elsewhere(run)) == (0, False)


EACH = f'{EVERY}[run]\nwhere = "every"\nretry = {{ attempts = 2 }}\n'


def of_each(tmp_path: Path, rest: str = "", **other: Any) -> World:
    """Return the node ``here`` of a cluster, with a job that runs on every node."""
    return World(tmp_path, job("a", EACH + rest), now=us("10:00:30"), node="here", **other)


def test_a_job_for_every_node_is_claimed_by_each_for_itself(tmp_path: Path) -> None:
    """It stays here, holds what is this node's, and another node's run of it keeps nothing busy; ``stop`` ends both."""
    w = of_each(tmp_path, 'lock = "crm"\n')
    w.agenda.hear(other(scope="b2"), w.now)
    effects = w.turn("10:01:00")
    (permit,) = effects.writes.permits
    assert (permit.queue, permit.holds) == (None, ("job:a:here", "lock:crm"))
    assert permit.needs == (("lock:crm", 1), ("job:a:here", 1), ("backfill:a:here", 1))
    assert [one.scope for one in effects.writes.claims] == ["here"]
    assert sorted(w.agenda.ask_stop("a", "ann", w.now)) == sorted([*w.orders, "far"])


def test_a_retry_is_the_same_node_s(tmp_path: Path) -> None:
    """Also when the row was read from the ledger again."""
    w = of_each(tmp_path)
    w.go("10:01:00")
    w.crash()
    w.boot()
    w.finish(w.only(), state="failed")
    w.turn()
    assert [(one.row.attempt, one.row.scope) for one in w.ledger.open_runs()] == [(2, "here")]


def test_a_node_without_what_it_needs_has_no_slot(tmp_path: Path) -> None:
    """The job runs on every node that has the tag; on another one it cannot be asked for."""
    w = of_each(tmp_path, 'needs = ["gpu"]\n')
    w.until_us(us("10:05:00"))
    assert w.rows("a") == []
    asked = "a runs on every node with the tags gpu, and node here does not have them"
    with pytest.raises(AkjobError, match=asked):
        w.agenda.ask_run("a", None, w.now)
    with pytest.raises(AkjobError, match=asked):
        w.agenda.ask_backfill(Asked(job="a", from_us=us("10:00:00"), until_us=us("10:02:00")), w.now)
    (tmp_path / "gpu").mkdir()
    fits = of_each(tmp_path / "gpu", 'needs = ["gpu"]\n', tags=["gpu"])
    fits.until_us(us("10:05:00"))
    assert len(fits.rows("a")) == 5


def test_a_single_machine_has_one_run(tmp_path: Path) -> None:
    """Without a cluster ``every`` is as ``any``."""
    w = World(tmp_path, job("a", EACH), now=us("10:00:30"))
    claims = w.turn("10:01:00").writes.claims
    assert [one.scope for one in claims] == [""]


def test_an_edit_makes_slots_the_node_s_own_and_back(tmp_path: Path) -> None:
    """From the next slot on."""
    w = of_each(tmp_path)
    w.until("10:01:30")
    w.edit("a", EVERY)
    w.until("10:02:30")
    w.edit("a", EACH)
    w.until("10:03:30")
    scopes = [row["scope"] for row in rows_of(w)]
    assert scopes == ["here", "", "here"]


def rows_of(w: World) -> list[dict[str, Any]]:
    """Return slots and scopes as the ledger has them."""
    found = w.ledger._ask("SELECT slot, scope FROM runs ORDER BY slot")
    return [{"slot": slot, "scope": scope} for slot, scope in found]


def left_over(w: World, *runs: Any, ordered: tuple[str, ...] = ()) -> None:
    """Take over what a lost node had."""
    w.ledger.commit(Writes(claims=list(runs)))
    opened = [OpenRun(one, None) for one in runs]
    left = Legacy(open_runs=opened, ordered=frozenset(ordered), occurrences=[], backfills=[])
    w.agenda.inherit(left, w.now, "node b2 did not renew its lease")
    w.turn()


def test_a_run_of_a_lost_node_that_did_not_start_goes_on_here(tmp_path: Path) -> None:
    """It waited; one whose order was to go out may have started: it is lost."""
    w = world(tmp_path, schedule="")
    slot = us("10:00:25")
    waited = row("waited", slot_us=slot, node="b2")
    left_over(w, waited, row("ordered", slot_us=slot + 1, node="b2"), ordered=("ordered",))
    assert [(one["id"], one["state"]) for one in w.rows("a") if one["ended_at"]] == [("ordered", "lost")]
    assert list(w.orders) == ["waited"]


def test_a_run_of_a_lost_node_whose_clock_was_ahead_ends_with_its_start(tmp_path: Path) -> None:
    """What it wrote is by its own clock; no row says that a run ended before it started."""
    w = world(tmp_path, schedule="")
    ahead = w.now + 300 * SECOND
    left_over(w, row("running", slot_us=us("10:00:25"), state="running", started_us=ahead, node="b2"))
    assert [(one["state"], one["ended_at"]) for one in w.rows("a")] == [("lost", to_text(ahead))]


def test_what_a_lost_node_had_for_itself_is_not_retried_elsewhere(tmp_path: Path) -> None:
    """Each node has a run of its own; one that waits is missed once its node is forgotten."""
    w = of_each(tmp_path)
    slot = us("10:00:00")
    running = row("running", slot_us=slot, state="running", started_us=slot, node="b2", scope="b2")
    left_over(w, running, row("waited", slot_us=slot + 1, node="b2", scope="b2"))
    found = {one["id"]: one["state"] for one in w.rows("a")}
    assert found == {"running": "lost", "waited": "missed"}
