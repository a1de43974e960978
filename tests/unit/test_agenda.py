"""The agenda: what becomes of jobs and runs, told by scripted events on a fake clock and a real ledger."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from akjob import due
from akjob.agenda import TRANSITIONS, WAITS, Agenda, End, last_good
from akjob.agenda.jobs import backoff_us
from akjob.agenda.life import LiveRun
from akjob.due import EARLY_US, GRACE_US
from akjob.errors import AkjobError
from akjob.instants import MINUTE, SECOND, to_text
from akjob.jobset.git import Revision
from akjob.jobset.model import BrokenJob, JobSet, JobSetChange, RefusedVersion
from akjob.ledger import JobRow, Writes
from akjob.schedule import next_slot
from akjob.spec import load_definition
from akjob.spec.model import Retry
from tests.unit.world import World, change, close_all, first_attempts, job, row, run_id, us

HOURLY = '[schedule]\ncron = "0 * * * *"\n'
LEAD = HOURLY + '[run]\nlead = "1m"\n'
MINUTELY = '[schedule]\nevery = "1m"\n'
DOWN = AkjobError("akjobd is being stopped")


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what the test has opened."""
    yield
    close_all()


def alone(*, started_us: int, boot_us: int | None = None, booted: bool = False) -> Agenda:
    """Return the agenda of an akjobd that starts, without a ledger."""
    return Agenda(
        host="h",
        max_running=None,
        new_run_id=run_id,
        started_us=started_us,
        last_attempt=first_attempts,
        boot_us=boot_us,
        booted=booted,
    )


def test_every_phase_of_the_table_leads_to_an_end() -> None:
    """No run can stay for ever in a phase: from each of the table's phases an end can be reached."""
    leads: dict[str, set[str]] = {phase: set(events.values()) for phase, events in TRANSITIONS.items()}
    ends = set().union(*leads.values()) - set(TRANSITIONS)
    reached = set(ends)
    while True:
        more = {phase for phase, next_ones in leads.items() if reached & next_ones} - reached
        if not more:
            break
        reached |= more
    assert set(TRANSITIONS) <= reached
    assert ends == {"succeeded", "failed", "timed_out", "cancelled", "lost", "skipped", "missed"}


def test_whatever_a_run_waits_for_it_can_come_to_its_order() -> None:
    """From each row of the table of waits a run can get into the queue, and a run that waits can be closed."""
    can: set[str] = {"max_running"}
    while True:
        more = {waiting_for for waiting_for, events in WAITS.items() if can & set(events.values())} - can
        if not more:
            break
        can |= more
    assert can == set(WAITS)
    assert {"skip", "miss", "cancel", "order"} <= set(TRANSITIONS["waiting"])


def test_a_run_whose_order_is_out_waits_for_nothing() -> None:
    """The second table is asked in the phase ``waiting`` only: leaving the phase ends the wait."""
    run = LiveRun(row=row("1"), job="a", seq=1, not_before_us=0)
    assert run.wait("queue")
    assert not run.wait("too_early")
    assert run.wait("lock_held")
    before = run.waiting_for
    assert run.advance("skip")
    assert (before, run.waiting_for) == ("lock", "nothing")
    assert not run.wait("queue")


def test_the_claim_is_in_the_ledger_before_the_order_goes_out(tmp_path: Path) -> None:
    """The turn that orders a run claims its slot in the same effects: row first, then the start."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    effects = world.turn("10:59:59.98")
    (start,) = effects.starts
    (claim,) = effects.writes.claims
    assert (claim.id, claim.slot_us, claim.state, claim.trigger) == (start.run, us("11:00:00"), "queued", "schedule")
    assert (start.not_before_us, start.attempt, start.kwargs) == (us("11:00:00"), 1, None)
    (written,) = world.rows()
    assert written["definition_sha256"] == start.spec.sha256
    assert world.reader.definition(start.spec.sha256) == start.spec.definition


def test_a_run_from_claim_to_end(tmp_path: Path) -> None:
    """One run is one row, and one insert and two updates at most; its end is the job's last outcome."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.until("11:00:30")
    assert world.table() == [("11:00:00", "succeeded", 1)]
    (written,) = world.rows()
    assert (written["pid"], written["git_commit"], written["git_dirty"]) == (7, "c0ffee", False)
    assert (world.reader.jobs()["a"]["last_state"], world.reader.jobs()["a"]["last_ended"]) == (
        "succeeded",
        written["ended_at"],
    )
    assert sum(len(effects.writes.claims) for effects in world.seen) == 1
    assert sum(len(effects.writes.changes) for effects in world.seen) <= 2
    assert world.started[0][0] == us("11:00:00")


def test_news_that_come_twice_are_ignored(tmp_path: Path) -> None:
    """A start after the end and a second end change nothing."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.go("11:00:00")
    run = world.only()
    world.finish(run, "failed")
    world.finish(run, "succeeded")
    world.agenda.started(run, pid=8, shim_pid=9, at_us=world.now)
    world.turn()
    assert world.table() == [("11:00:00", "failed", 1)]
    assert world.agenda.under_way == 0


def test_an_end_without_a_start_is_an_end(tmp_path: Path) -> None:
    """The notice of a start may be lost; the end file has it all."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.turn("11:00:00")
    (run,) = world.orders
    end = End(state="failed", ended_us=us("11:00:02"), started_us=us("11:00:00"), exit_code=3, pid=12)
    world.agenda.ended(run, end, us("11:00:03"))
    world.turn()
    (written,) = world.rows()
    assert (written["state"], written["exit_code"], written["pid"]) == ("failed", 3, 12)
    assert written["started_at"] == "2026-03-02T11:00:00.000000Z"


def moves(world: World) -> list[tuple[str | None, str | None, str]]:
    """Return from where to where each run and each job went, in order, without akjobd's own."""
    return [(one.job, one.from_state, one.to_state) for one in world.reader.transitions(0) if one.kind != "daemon"]


def test_every_change_of_a_run_is_a_transition(tmp_path: Path) -> None:
    """Claim, start and end are numbered in the commits that make them; an end says whether a retry follows."""
    text = MINUTELY + '[run]\nretry = { attempts = 2, delay = "10s" }\n'
    world = World(tmp_path, job("a", text), now=us("10:00:30"))
    world.go("10:01:00")
    world.now = us("10:01:02")
    world.finish(world.only(), "failed")
    world.turn("10:02:00")
    assert moves(world) == [
        ("a", None, "loaded"),
        ("a", None, "queued"),
        ("a", "queued", "running"),
        ("a", "running", "failed"),
        ("a", None, "queued"),
        ("a", None, "skipped"),
    ]
    ended = world.reader.transitions(0)[4]
    assert (ended.attempt, ended.detail.retried, ended.detail.duration_s) == (1, True, 2.0)
    assert [one.seq for one in world.reader.transitions(0)] == list(range(1, 8))


def test_a_row_that_grows_counts_what_it_grows_by(tmp_path: Path) -> None:
    """The counters come to the slots of the rows, however many a row stands for."""
    world = World(tmp_path, job("a", MINUTELY), now=us("10:00:30"))
    world.until("10:30:30", lasts_us=None)
    outcomes = {one.labels["outcome"]: one.value for one in world.reader.counters() if one.name == "slots_total"}
    assert outcomes == {"skipped": 29}


def test_what_happens_to_a_job_is_a_transition(tmp_path: Path) -> None:
    """Loaded, changed, paused, resumed, done, removed: each once, with who did it."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.edit("a", HOURLY + "[limits]\nruns = 1\n")
    world.agenda.pause("a", None, "disk", "ann", world.now)
    world.agenda.resume("a", world.now, "bob")
    world.until("11:30:00")
    world.remove("a")
    jobs = [one for one in world.reader.transitions(0) if one.kind == "job"]
    assert [one.to_state for one in jobs] == ["loaded", "changed", "paused", "resumed", "done", "removed"]
    assert [one.detail.by for one in jobs[2:4]] == ["ann", "bob"]
    assert jobs[2].detail.reason == "disk"


# ---------------------------------------------------------------------- overlap


def test_skip_skips_what_meets_a_run(tmp_path: Path) -> None:
    """The default: the slot is skipped with the reason, and told once in the log."""
    world = World(tmp_path, job("a", MINUTELY), now=us("10:00:30"))
    world.go("10:01:00")
    run = world.only()
    world.turn("10:02:00")
    assert world.table() == [("10:01:00", "running", 1), ("10:02:00", "skipped", 1)]
    assert world.rows()[1]["reason"] == f"run {run} still runs"
    assert [event["event"] for event in world.events] == ["run.skipped"]


def test_a_long_stretch_of_skips_becomes_one_growing_row(tmp_path: Path) -> None:
    """The first ten have a row each, then one row grows; the slots add up, and a run begins a new stretch."""
    world = World(tmp_path, job("a", MINUTELY), now=us("10:00:30"))
    world.until("10:30:30", lasts_us=None)
    assert world.table()[:3] == [("10:01:00", "running", 1), ("10:02:00", "skipped", 1), ("10:03:00", "skipped", 1)]
    assert world.table()[-1] == ("10:11:00", "skipped", 20)
    assert world.rows()[-1]["slot_last"] == "2026-03-02T10:30:00.000000Z"
    assert sum(count for _, _, count in world.table()) == 30
    world.finish(world.only())
    world.until("10:32:30", lasts_us=None)
    assert world.table()[-2:] == [("10:31:00", "running", 1), ("10:32:00", "skipped", 1)]


def test_a_run_ends_a_stretch(tmp_path: Path) -> None:
    """A row never stands for slots before and after a run, even when the reason is the same."""
    world = World(tmp_path, job("a", MINUTELY), now=us("10:00:30"))
    world.agenda.pause("a", us("10:15:00"), "", "ann", world.now)
    world.until("10:15:30")
    world.agenda.pause("a", None, "", "ann", world.now)
    world.until("10:30:30")
    covered = [(row_["slot"] <= "2026-03-02T10:15" <= row_["slot_last"]) for row_ in world.rows() if row_["count"] > 1]
    assert covered == [False, False]


def test_queue_lets_one_wait(tmp_path: Path) -> None:
    """One slot waits for the run's end, the next is skipped; the row that waits is the row that runs."""
    world = World(tmp_path, job("a", MINUTELY + '[run]\noverlap = "queue"\n'), now=us("10:00:30"))
    world.go("10:01:00")
    world.turn("10:02:00")
    world.turn("10:03:00")
    assert world.table() == [("10:01:00", "running", 1), ("10:02:00", "queued", 1), ("10:03:00", "skipped", 1)]
    world.now = us("10:03:30")
    world.finish(world.only())
    assert world.go("10:03:30") == ["a"]
    assert world.table()[1] == ("10:02:00", "running", 1)


def test_a_queued_slot_survives_a_restart(tmp_path: Path) -> None:
    """It was queued on purpose, so it is not late: it runs when the run before it ends, whatever ``missed`` says."""
    text = MINUTELY + '[run]\noverlap = "queue"\nmissed = "skip"\n'
    world = World(tmp_path, job("a", text), now=us("10:00:30"))
    world.go("10:01:00")
    first = world.only()
    world.turn("10:02:00")
    world.crash()
    world.now = us("10:02:30")
    world.boot()
    world.finish(first)
    assert world.go("10:02:40") == ["a"]
    assert world.table() == [("10:01:00", "succeeded", 1), ("10:02:00", "running", 1)]


def test_replace_ends_the_old_run_first(tmp_path: Path) -> None:
    """The old run is cancelled for the new slot, which starts only when the old one has ended."""
    world = World(tmp_path, job("a", MINUTELY + '[run]\noverlap = "replace"\n'), now=us("10:00:30"))
    world.go("10:01:00")
    old = world.only()
    effects = world.turn("10:02:00")
    assert [(stop.run, stop.state) for stop in effects.stops] == [(old, "cancelled")]
    assert effects.starts == []
    world.open_gates()
    world.turn()
    assert world.table() == [("10:01:00", "cancelled", 1), ("10:02:00", "running", 1)]
    assert world.rows()[0]["reason"] == "replaced by the slot 2026-03-02T10:02:00.000000Z"


def test_the_last_of_several_replacements_wins(tmp_path: Path) -> None:
    """While the old run takes its time to end, a later slot replaces the one that waits."""
    world = World(tmp_path, job("a", MINUTELY + '[run]\noverlap = "replace"\n'), now=us("10:00:30"))
    world.go("10:01:00")
    old = world.only()
    for at in ("10:02:00", "10:03:00"):
        world.agenda.turn(us(at))
        effects = world.agenda.effects()
        world.ledger.commit(effects.writes)
    world.now = us("10:03:30")
    world.finish(old, "cancelled")
    assert world.go("10:03:30") == ["a"]
    assert world.table() == [("10:01:00", "cancelled", 1), ("10:02:00", "skipped", 1), ("10:03:00", "running", 1)]


def test_allow_lets_all_run(tmp_path: Path) -> None:
    """Each slot has its run."""
    world = World(tmp_path, job("a", MINUTELY + '[run]\noverlap = "allow"\n'), now=us("10:00:30"))
    world.until("10:03:30", lasts_us=None)
    assert [state for _, state, _ in world.table()] == ["running"] * 3


# ---------------------------------------------------------------------- missed slots


def test_missed_slots_run_one_after_another(tmp_path: Path) -> None:
    """``all``: the oldest first, the next when that one has ended, and then the schedule goes on."""
    text = HOURLY + '[run]\nmissed = "all"\nmissed_within = "1d"\n'
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.crash()
    world.now = us("13:30:00")
    world.boot()
    for expected in ("11:00:00", "12:00:00", "13:00:00"):
        assert world.go("13:30:00") == ["a"]
        assert world.live[world.only()].slot_us == us(expected)
        world.finish(world.only())
    assert world.go("13:30:00") == []
    assert [row_["trigger"] for row_ in world.rows()] == ["missed"] * 3
    assert world.agenda.wake_us == us("14:00:00") - EARLY_US


def test_slots_that_come_while_catching_up_wait_their_turn(tmp_path: Path) -> None:
    """``all`` means all: the fresh slot, and one that falls due while runs are made up for, run as well."""
    text = HOURLY + '[run]\nmissed = "all"\nmissed_within = "1d"\n'
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.crash()
    world.now = us("13:00:01")
    world.boot()
    world.until("17:30:00", lasts_us=50 * MINUTE)
    rows = [(row_["slot"][11:13], row_["state"], row_["trigger"]) for row_ in world.rows()]
    assert rows == [
        ("11", "succeeded", "missed"),
        ("12", "succeeded", "missed"),
        ("13", "succeeded", "schedule"),
        ("14", "succeeded", "schedule"),
        ("15", "skipped", "schedule"),
        ("16", "skipped", "schedule"),
        ("17", "running", "schedule"),
    ]


def test_catching_up_goes_on_after_a_restart(tmp_path: Path) -> None:
    """What was claimed to be made up for is made up for by the next akjobd, each slot once."""
    text = HOURLY + '[run]\nmissed = "all"\nmissed_within = "1d"\n'
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.crash()
    world.now = us("13:30:00")
    world.boot()
    world.crash()
    world.boot()
    world.until("13:50:00")
    assert [state for _, state, _ in world.table()] == ["succeeded"] * 3
    assert world.twice() == []


def test_a_forward_jump_of_the_clock_is_a_downtime(tmp_path: Path) -> None:
    """Suspend or a clock that is set: what lies between is missed, the latest of it runs."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    assert world.go("12:30:00") == ["a"]
    assert world.table() == [("11:00:00", "missed", 1), ("12:00:00", "running", 1)]
    assert [event["event"] for event in world.events] == ["run.missed"]


def test_a_backward_step_starts_nothing_twice(tmp_path: Path) -> None:
    """After a step back the slots that have been are not due again."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.until("12:30:00")
    world.now = us("10:45:00")
    world.turn()
    world.until("13:30:00")
    assert world.table() == [(f"{hour}:00:00", "succeeded", 1) for hour in (11, 12, 13)]
    assert world.twice() == []


def test_a_clock_that_was_far_ahead_is_said(tmp_path: Path) -> None:
    """The log names jobs that wait for a clock to get past their watermarks, and ``reset`` frees them."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.until("2027-03-02T10:30:00Z")
    world.events.clear()
    world.turn("12:30:00")
    assert [(event["event"], event["jobs"]) for event in world.events] == [("jobs.ahead", 1)]
    world.agenda.reset("a", world.now)
    world.until("13:30:00")
    assert world.started[-1][1].slot_us == us("2027-03-02T10:00:00Z")  # the slot of 13:00 has its row already
    assert world.twice() == []


# ---------------------------------------------------------------------- retries


def test_retries_back_off(tmp_path: Path) -> None:
    """Each failure claims the next attempt in the same commit, later each time; the last failure is the end."""
    text = HOURLY + '[run]\nretry = { attempts = 3, delay = "10s", factor = 2.0 }\n'
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.go("11:00:00")
    world.now = us("11:00:01")
    world.finish(world.only(), "failed")
    world.turn()
    assert world.table() == [("11:00:00", "failed", 1), ("11:00:00", "queued", 1)]
    assert world.agenda.wake_us == us("11:00:11") - EARLY_US
    assert world.go("11:00:11") == ["a"]
    second = world.live[world.only()]
    assert (second.attempt, second.trigger, second.slot_us) == (2, "retry", us("11:00:00"))
    world.finish(world.only(), "timed_out")
    assert world.go("11:00:30") == []
    assert world.go("11:00:31") == ["a"]
    world.finish(world.only(), "lost")
    world.until("11:59:00")
    assert [(row_["attempt"], row_["state"]) for row_ in world.rows()] == [(1, "failed"), (2, "timed_out"), (3, "lost")]
    assert [event["event"] for event in world.events] == ["run.retrying", "run.retrying"]


def test_codes_bound_what_is_retried(tmp_path: Path) -> None:
    """A failure is retried only with one of the codes; a run that timed out or was lost is retried as without them."""
    text = HOURLY + "[run]\nretry = { attempts = 4, codes = [75] }\n"
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.go("11:00:00")
    for state, code in (("failed", 75), ("timed_out", None), ("failed", 1)):
        end = End(state=state, ended_us=world.now, exit_code=code)  # type: ignore[arg-type]
        world.agenda.ended(world.live.popitem()[0], end, world.now)
        world.go("11:00:00")
    assert [(row_["attempt"], row_["state"]) for row_ in world.rows()] == [
        (1, "failed"),
        (2, "timed_out"),
        (3, "failed"),
    ]
    assert world.orders == {}


def test_a_pool_has_places_in_the_order_of_slots(tmp_path: Path) -> None:
    """Of all jobs in it so many run at a time; the others wait, and another size holds at once."""
    specs = [job(f"j{n}", HOURLY + '[run]\npool = "db"\n') for n in range(5)]
    world = World(tmp_path, *specs, now=us("10:30:00"), pools={"db": 2})
    assert len(world.go("11:00:00")) == 2
    assert world.agenda.queued() == {"pool": 3}
    world.finish(next(iter(world.live)))
    assert len(world.go("11:00:10")) == 1
    world.agenda.set_bounds(None, {"db": 4})
    assert len(world.go("11:00:20")) == 2
    world.crash()
    world.boot()
    assert world.go("11:00:30") == []


def test_a_lock_and_a_pool_are_both_needed(tmp_path: Path) -> None:
    """A run that waits for its lock holds no place in the pool."""
    both = HOURLY + '[run]\nlock = "x"\npool = "db"\n'
    specs = [job("a", both), job("b", both), job("c", HOURLY + '[run]\npool = "db"\n')]
    world = World(tmp_path, *specs, now=us("10:30:00"), pools={"db": 2})
    assert sorted(world.go("11:00:00")) == ["a", "c"]
    assert world.agenda.queued() == {"lock": 1}
    for run in [run for run, start in world.live.items() if start.job == "a"]:
        world.finish(run)
    assert world.go("11:00:10") == ["b"]


def test_a_cancelled_run_is_not_retried(tmp_path: Path) -> None:
    """Whoever stopped it does not want it back."""
    world = World(tmp_path, job("a", HOURLY + "[run]\nretry = { attempts = 3 }\n"), now=us("10:30:00"))
    world.go("11:00:00")
    assert world.agenda.ask_stop("a", "ann", world.now) == [world.only()]
    world.turn()
    assert world.table() == [("11:00:00", "cancelled", 1)]
    assert world.rows()[0]["reason"] == "stopped by ann"


def test_a_run_that_was_to_be_stopped_is_not_retried(tmp_path: Path) -> None:
    """It failed by itself before the stop reached it: whoever asked for the stop still does not want it back."""
    world = World(tmp_path, job("a", HOURLY + "[run]\nretry = { attempts = 3 }\n"), now=us("10:30:00"))
    world.go("11:00:00")
    world.agenda.ask_stop("a", "ann", world.now)
    world.agenda.effects()
    world.finish(world.only(), "failed")
    world.turn()
    assert world.table() == [("11:00:00", "failed", 1)]


def test_a_retry_survives_a_restart(tmp_path: Path) -> None:
    """Its instant is in the ledger; one that has passed meanwhile starts at once."""
    world = World(tmp_path, job("a", HOURLY + '[run]\nretry = { attempts = 2, delay = "10m" }\n'), now=us("10:30:00"))
    world.go("11:00:00")
    world.finish(world.only(), "failed")
    world.turn()
    world.crash()
    world.now = us("11:05:00")
    world.boot()
    assert world.agenda.wake_us == us("11:10:00") - EARLY_US
    world.crash()
    world.now = us("11:20:00")
    world.boot()
    assert world.go("11:20:00") == ["a"]
    assert world.rows()[1]["state"] == "running"


def test_a_slot_that_waits_for_its_retry_is_not_over(tmp_path: Path) -> None:
    """The next slot meets it, as it would meet a run."""
    world = World(tmp_path, job("a", MINUTELY + '[run]\nretry = { attempts = 2, delay = "90s" }\n'), now=us("10:00:30"))
    world.go("10:01:00")
    world.finish(world.only(), "failed")
    world.turn("10:02:00")
    assert world.table() == [("10:01:00", "failed", 1), ("10:01:00", "queued", 1), ("10:02:00", "skipped", 1)]
    assert "waits for its retry" in (world.rows()[2]["reason"] or "")


def test_what_is_queued_waits_for_the_retry_too(tmp_path: Path) -> None:
    """One slot of a job is in progress at a time: all attempts of one, then the first of the next."""
    text = '[run]\noverlap = "queue"\nretry = { attempts = 2, delay = "90s" }\n'
    world = World(tmp_path, job("a", MINUTELY + text), now=us("10:00:30"))
    world.go("10:01:00")
    world.turn("10:02:00")
    world.finish(world.only(), "failed")
    assert world.go("10:02:01") == []
    assert world.go("10:03:30") == ["a"]
    assert world.live[world.only()].attempt == 2
    world.finish(world.only(), "failed")
    assert world.go("10:03:31") == ["a"]
    assert world.live[world.only()].slot_us == us("10:02:00")


def test_a_manual_run_does_not_wait_for_a_retry(tmp_path: Path) -> None:
    """It runs in the meantime; the retry waits for it when its own time comes first."""
    world = World(tmp_path, job("a", HOURLY + '[run]\nretry = { attempts = 2, delay = "10s" }\n'), now=us("10:30:00"))
    world.go("11:00:00")
    world.finish(world.only(), "failed")
    world.turn()
    manual = world.agenda.ask_run("a", None, us("11:00:05"))
    assert world.go("11:00:05") == ["a"]
    assert world.go("11:00:10") == []
    world.finish(manual)
    assert world.go("11:00:11") == ["a"]
    assert world.live[world.only()].attempt == 2


def test_a_retry_does_not_come_before_its_slot(tmp_path: Path) -> None:
    """An attempt that failed while it was prepared has the next one wait for the slot, as it would have itself."""
    text = HOURLY + '[run]\nlead = "15s"\nretry = { attempts = 2, delay = "1s" }\n'
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.turn("10:59:45")
    (run,) = world.orders
    world.now = us("10:59:46")
    world.finish(run, "failed")
    world.turn()
    assert world.go("10:59:59") == []
    assert world.go("11:00:00") == ["a"]
    assert world.live[world.only()].attempt == 2


def test_the_backoff_has_a_bound() -> None:
    """``delay`` x ``factor`` ** (n - 1), at most ``max_delay``, however many attempts."""
    retry = Retry(attempts=99, delay_us=SECOND, factor=3.0, max_delay_us=MINUTE)
    assert [backoff_us(retry, n) // SECOND for n in (1, 2, 3, 4, 5, 2000)] == [1, 3, 9, 27, 60, 60]


def test_a_retry_waits_as_long_when_the_clock_is_set_back(tmp_path: Path) -> None:
    """It keeps its delay, not the old clock's instant."""
    world = World(tmp_path, job("a", HOURLY + '[run]\nretry = { attempts = 2, delay = "10s" }\n'), now=us("10:30:00"))
    world.go("11:00:00")
    world.finish(world.only(), "failed")
    world.turn()
    world.turn("09:00:00")
    assert world.go("09:00:10") == ["a"]


def test_no_run_ends_before_it_started_when_the_clock_is_set_back(tmp_path: Path) -> None:
    """Its row ends with its start; what follows goes by the clock of now."""
    world = World(tmp_path, job("a", HOURLY + '[run]\nretry = { attempts = 2, delay = "10s" }\n'), now=us("10:30:00"))
    world.go("11:00:00")
    run = world.only()
    world.turn("10:55:00")
    world.finish(run, "failed")
    world.turn()
    (first, _) = world.rows("a")
    assert first["ended_at"] == first["started_at"] == to_text(us("11:00:00"))
    assert world.go("10:55:10") == ["a"], "the retry waits for its delay alone"


# ---------------------------------------------------------------------- locks and max_running


def test_a_lock_lets_one_run_in_the_order_of_slots(tmp_path: Path) -> None:
    """Of all jobs with the lock one runs, whoever has the oldest slot next; others are not held up."""
    locked = '[run]\nlock = "db"\n'
    world = World(
        tmp_path,
        job("c", "[schedule]\ndaily = 11:00:02\n" + locked),
        job("a", "[schedule]\ndaily = 11:00:00\n" + locked),
        job("b", "[schedule]\ndaily = 11:00:01\n" + locked),
        job("free", "[schedule]\ndaily = 11:00:02\n"),
        now=us("10:30:00"),
    )
    assert world.go("11:00:00") == ["a"]
    assert world.go("11:00:01") == []
    assert world.go("11:00:02") == ["free"]
    assert [row_["state"] for name in "bc" for row_ in world.rows(name)] == ["queued", "queued"]
    for run, expected in ((next(iter(world.live)), "b"), (None, "c")):
        world.finish(run or next(one for one, start in world.live.items() if start.job == "b"))
        assert world.go("11:00:10") == [expected]


def test_a_lock_goes_on_when_the_next_one_is_given_up(tmp_path: Path) -> None:
    """The lock passes by a run that was stopped while it waited."""
    locked = '[schedule]\ncron = "0 * * * *"\n[run]\nlock = "db"\n'
    world = World(tmp_path, *(job(name, locked) for name in "abc"), now=us("10:30:00"))
    assert world.go("11:00:00") == ["a"]
    world.finish(world.only())
    world.agenda.ask_stop("b", "ann", world.now)
    assert world.go("11:00:01") == ["c"]


def test_the_lock_of_a_running_job_is_held_after_a_restart(tmp_path: Path) -> None:
    """An adopted run still has its lock."""
    locked = '[run]\nlock = "db"\n'
    a, b = job("a", "[schedule]\ndaily = 11:00:00\n" + locked), job("b", "[schedule]\ndaily = 12:00:00\n" + locked)
    world = World(tmp_path, a, b, now=us("10:30:00"))
    world.go("11:00:00")
    run = world.only()
    world.crash()
    world.boot()
    assert world.go("12:00:00") == []
    world.finish(run)
    assert world.go("12:00:01") == ["b"]


def test_max_running_is_a_fair_queue(tmp_path: Path) -> None:
    """No more than so many at once; the oldest slot is next, and no job is passed over for ever."""
    names = "abcde"
    world = World(tmp_path, *(job(name, HOURLY) for name in names), now=us("10:30:00"), max_running=2)
    begun = world.go("11:00:00")
    assert len(begun) == 2
    assert sorted(row_["state"] for row_ in world.rows()) == ["queued"] * 3 + ["running"] * 2
    while world.live:
        world.finish(next(iter(world.live)))
        begun += world.go("11:00:05")
        assert world.agenda.under_way <= 2
    assert sorted(begun) == list(names)


def test_max_running_can_be_raised(tmp_path: Path) -> None:
    """Another bound holds from the next turn on."""
    world = World(tmp_path, *(job(name, HOURLY) for name in "abc"), now=us("10:30:00"), max_running=1)
    assert len(world.go("11:00:00")) == 1
    world.agenda.set_bounds(None, {})
    assert len(world.go("11:00:01")) == 2


def test_a_burst_goes_on_in_the_next_turn(tmp_path: Path) -> None:
    """Of three hundred jobs that are due at once a turn takes some, so that commands are answered in between."""
    world = World(tmp_path, *(job(f"j{number}", HOURLY) for number in range(300)), now=us("10:30:00"))
    begun = []
    while True:
        starts = world.turn("11:00:00").starts
        begun.append(len(starts))
        wake = world.agenda.wake_us
        if wake is None or wake > us("11:00:00"):
            break
    assert begun == [16] * 18 + [12]
    assert len({row_["job"] for row_ in world.rows()}) == 300


def test_an_order_ahead_does_not_overtake(tmp_path: Path) -> None:
    """Where there is no place, the slot is claimed when it comes, not ahead."""
    world = World(tmp_path, job("a", HOURLY), job("b", HOURLY), now=us("10:30:00"), max_running=1)
    world.turn("10:59:59.98")
    assert len(world.orders) == 1
    assert len(world.rows()) == 1
    world.turn("11:00:00")
    assert len(world.rows()) == 2


def test_as_many_are_prepared_ahead_as_have_a_place(tmp_path: Path) -> None:
    """With ``lead`` and ``max_running`` all of a burst go ahead that will have a place on their slot."""
    world = World(tmp_path, *(job(name, LEAD) for name in "abcd"), now=us("10:30:00"), max_running=3)
    world.turn("10:59:00")
    assert len(world.orders) == 3
    assert len(world.go("11:00:00")) == 3


def test_what_is_prepared_ahead_keeps_nobody_from_running(tmp_path: Path) -> None:
    """Whose slot comes first has the place; what was prepared is called back and ordered again on its own slot."""
    often = job("often", "[schedule]\ndaily = [10:59:30, 10:59:40, 10:59:50]\n")
    world = World(tmp_path, job("led", LEAD), often, now=us("10:58:50"), max_running=1)
    world.until("11:00:10", lasts_us=SECOND)
    begun = [(start.job, moment) for moment, start in world.started]
    assert begun == [
        ("often", us("10:59:30")), ("often", us("10:59:40")), ("often", us("10:59:50")), ("led", us("11:00:00"))
    ]  # fmt: skip
    assert sum(len(effects.recalls) for effects in world.seen) == 1


def test_an_edit_frees_what_waits_for_a_lock(tmp_path: Path) -> None:
    """What you read is what runs: without the lock it has nothing to wait for."""
    locked = HOURLY + '[run]\nlock = "db"\n'
    world = World(tmp_path, job("a", locked), job("b", locked), now=us("10:30:00"))
    assert world.go("11:00:00") == ["a"]
    world.now = us("11:00:05")
    world.edit("b", HOURLY)
    assert world.go("11:00:05") == ["b"]


# ---------------------------------------------------------------------- edits


def test_an_edit_of_the_code_leaves_the_mark(tmp_path: Path) -> None:
    """Only schedule and limits touch the slots; the next run has the new definition."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.now = us("10:40:00")
    world.edit("a", HOURLY + "[run]\nnice = 5\n")
    world.until("11:30:00")
    assert world.table() == [("11:00:00", "succeeded", 1)]
    assert world.started[0][1].spec.run.nice == 5
    assert world.rows()[0]["definition_sha256"] == world.specs["a"].sha256


def test_the_old_schedule_accounts_for_its_slots_up_to_the_loading(tmp_path: Path) -> None:
    """A slot of the old schedule at the very instant of the edit runs, and the new schedule goes on from there."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.now = us("11:00:01")
    world.edit("a", '[schedule]\ncron = "30 * * * *"\n')
    world.until("12:40:00")
    assert world.table() == [(time, "succeeded", 1) for time in ("11:00:00", "11:30:00", "12:30:00")]


def test_the_old_schedule_accounts_for_a_downtime(tmp_path: Path) -> None:
    """Edited while akjobd was down: the old slots up to its start are missed, by the policy that is written now."""
    world = World(tmp_path, job("a", HOURLY + '[run]\nmissed = "skip"\n'), now=us("10:30:00"))
    world.crash()
    world.specs["a"] = job("a", '[schedule]\ncron = "15 * * * *"\n')
    world.now = us("13:30:00")
    world.boot()
    world.until("14:30:00")
    assert world.table() == [
        ("11:00:00", "missed", 1),
        ("12:00:00", "missed", 1),
        ("13:00:00", "succeeded", 1),
        ("14:15:00", "succeeded", 1),
    ]


def test_a_new_job_is_due_from_its_loading(tmp_path: Path) -> None:
    """What its schedule would have had before is nobody's matter."""
    world = World(tmp_path, now=us("10:00:00"))
    world.now = us("12:30:00")
    world.add(job("a", HOURLY))
    world.until("13:30:00")
    assert world.table() == [("13:00:00", "succeeded", 1)]


def test_an_edit_prepares_a_waiting_order_anew(tmp_path: Path) -> None:
    """With ``lead`` the order is out: it is called back, and goes out with the new definition under the same claim."""
    text = HOURLY + '[run]\nlead = "10s"\n'
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.turn("10:59:55")
    (old,) = world.orders.values()
    world.edit("a", text + "nice = 5\n")
    (new,) = world.orders.values()
    assert (new.run, new.slot_us, new.spec.run.nice) == (old.run, old.slot_us, 5)
    assert new is not old
    world.until("11:30:00")
    assert world.table() == [("11:00:00", "succeeded", 1)]
    assert world.rows()[0]["definition_sha256"] == world.specs["a"].sha256


def test_an_order_whose_slot_was_edited_away_is_skipped(tmp_path: Path) -> None:
    """The schedule no longer has the slot: its row says so, and the new schedule counts from the edit."""
    lead = '[run]\nlead = "10m"\n'
    world = World(tmp_path, job("a", HOURLY + lead), now=us("10:30:00"))
    world.turn("10:55:00")
    world.edit("a", '[schedule]\ncron = "58 * * * *"\n' + lead)
    world.until("11:30:00")
    assert world.table() == [("10:58:00", "succeeded", 1), ("11:00:00", "skipped", 1)]
    assert world.rows()[1]["reason"] == "the schedule was changed before the slot"


def test_an_order_whose_slot_is_in_both_schedules_keeps_its_claim(tmp_path: Path) -> None:
    """Old and new schedule share the slot: it runs once, and the new slots before it run too."""
    lead = '[run]\nlead = "10m"\noverlap = "allow"\n'
    world = World(tmp_path, job("a", HOURLY + lead), now=us("10:30:00"))
    world.turn("10:55:00")
    world.edit("a", '[schedule]\ncron = "0,58 * * * *"\n' + lead)
    world.until("11:30:00")
    assert world.table() == [("10:58:00", "succeeded", 1), ("11:00:00", "succeeded", 1)]
    assert world.twice() == []


def test_a_removed_job_starts_nothing_more(tmp_path: Path) -> None:
    """What waits ends as skipped, what runs goes on; a retry of a removed job is not an error."""
    text = HOURLY + '[run]\nlead = "10s"\noverlap = "allow"\nretry = { attempts = 2 }\n'
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.go("11:00:00")
    world.turn("11:59:55")
    world.remove("a")
    world.now = us("12:30:00")
    world.finish(world.only(), "failed")
    world.until("14:00:00")
    assert world.table() == [("11:00:00", "failed", 1), ("12:00:00", "skipped", 1)]
    assert world.rows()[1]["reason"] == "the job was removed"


def test_a_job_removed_in_a_downtime_leaves_its_slots_accounted_for(tmp_path: Path) -> None:
    """Nobody knows when the file went: the slots up to the start are missed or skipped, none is silent."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.crash()
    del world.specs["a"]
    world.now = us("12:30:00")
    world.boot()
    world.until("14:00:00")
    assert world.table() == [("11:00:00", "missed", 1), ("12:00:00", "skipped", 1)]


def test_a_job_that_comes_back_is_new(tmp_path: Path) -> None:
    """It is due from its loading, but the count of its runs has outlived its file."""
    text = HOURLY + "[limits]\nruns = 2\n"
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.until("11:30:00")
    world.remove("a")
    world.now = us("15:30:00")
    world.add(job("a", text))
    world.until("18:30:00")
    assert [time for time, _, _ in world.table()] == ["11:00:00", "16:00:00"]


@pytest.mark.parametrize("text", ["[limits]\nruns = 2\n", '[limits]\nruns = 2\n[run]\nlead = "10s"\n'])
def test_a_job_whose_runs_are_used_up_holds_nothing_up(text: str, tmp_path: Path) -> None:
    """It has no more slots to account for; the instant up to which all have their rows goes on, over a restart too."""
    world = World(tmp_path, job("a", HOURLY + text), job("b", HOURLY), now=us("10:30:00"))
    world.until("14:30:00")
    assert [time for time, _, _ in world.table("a")] == ["11:00:00", "12:00:00"]
    assert world.agenda.accounted_until(world.now) == world.now
    world.crash()
    world.boot()
    world.until("16:30:00")
    assert world.agenda.accounted_until(world.now) == world.now


def test_disabling_ends_what_waits_and_enabling_begins_anew(tmp_path: Path) -> None:
    """A disabled job has no slots: between the two edits nothing is due, skipped or missed."""
    world = World(tmp_path, job("a", HOURLY + '[run]\nlead = "10s"\n'), now=us("10:30:00"))
    world.turn("10:59:55")
    world.edit("a", HOURLY)
    world.turn()
    world.specs["a"], old = job("a", "enabled = false\n" + HOURLY), world.specs["a"]
    world.load(changed=[change(world.specs["a"], old)])
    assert world.table() == [("11:00:00", "skipped", 1)]
    assert world.rows()[0]["reason"] == "the job is disabled"
    world.turn("13:30:00")
    world.specs["a"], old = job("a", HOURLY), world.specs["a"]
    world.load(changed=[change(world.specs["a"], old)])
    world.until("14:30:00")
    assert [time for time, _, _ in world.table()] == ["11:00:00", "14:00:00"]


def test_disabled_over_a_downtime(tmp_path: Path) -> None:
    """Edited to disabled while akjobd was down: the old slots are accounted for, but none starts."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.crash()
    world.specs["a"] = job("a", "enabled = false\n" + HOURLY)
    world.now = us("12:30:00")
    world.boot()
    world.until("14:30:00")
    assert world.table() == [("11:00:00", "missed", 1), ("12:00:00", "skipped", 1)]


def test_the_first_load_writes_what_changed_only(tmp_path: Path) -> None:
    """A start on an unchanged folder writes no job's row."""
    world = World(tmp_path, job("a", HOURLY), job("b", HOURLY), now=us("10:30:00"))
    assert len(world.seen[0].writes.loaded) == 2
    world.crash()
    world.seen.clear()
    world.boot()
    writes = world.seen[0].writes
    assert [(one.kind, one.to_state) for one in writes.transitions] == [("daemon", "started")]
    assert not msgspec.structs.replace(writes, transitions=[])


# ---------------------------------------------------------------------- runs, when_done, start


def test_runs_and_when_done(tmp_path: Path) -> None:
    """After its last run has ended the job's file is to be deleted, once; ``reset`` lets it begin again."""
    text = HOURLY + '[limits]\nruns = 2\nwhen_done = "delete"\n'
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.until("15:30:00")
    assert [time for time, _, _ in world.table()] == ["11:00:00", "12:00:00"]
    assert [file for effects in world.seen for file in effects.delete_files] == ["jobs.d/a.toml"]
    world.agenda.reset("a", world.now)
    world.until("16:30:00")
    assert [time for time, _, _ in world.table()] == ["11:00:00", "12:00:00", "16:00:00"]


def test_a_claim_that_never_started_is_no_run(tmp_path: Path) -> None:
    """``runs`` counts what started: an order called back by a pause does not use one up."""
    text = HOURLY + "[limits]\nruns = 1\n[run]\n" + 'lead = "10s"\n'
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.turn("10:59:55")
    world.agenda.pause("a", us("11:30:00"), "", "ann", world.now)
    world.until("13:30:00")
    assert world.table() == [("11:00:00", "skipped", 1), ("12:00:00", "succeeded", 1)]


def test_on_start_runs_at_each_start_and_never_on_reload(tmp_path: Path) -> None:
    """Also for a job that is seen for the first time as akjobd starts; the trigger is ``start``."""
    text = "[schedule]\non_start = true\n"
    world = World(tmp_path, job("a", text), job("c", HOURLY), now=us("10:30:00"))
    world.until("10:31:00")
    world.edit("a", text + "[run]\nnice = 5\n")
    world.edit("c", text)
    world.add(job("b", text))
    world.until("10:32:00")
    world.crash()
    world.now = us("11:00:00")
    world.boot()
    world.until("11:01:00")
    rows = [(row_["job"], row_["slot"][11:19], row_["trigger"]) for row_ in world.rows()]
    assert sorted(rows) == [("a", "10:30:00", "start"), *((name, "11:00:00", "start") for name in "abc")]


def test_on_start_runs_although_the_mark_is_ahead(tmp_path: Path) -> None:
    """A clock that was ahead once does not put it off; its slot is the start, and no regular slot comes twice."""
    world = World(tmp_path, job("a", HOURLY + "on_start = true\n"), now=us("12:30:00"))
    world.until("13:00:30")
    world.crash()
    world.now = us("10:30:00")
    world.boot()
    world.until("14:00:30")
    rows = [(row_["slot"][11:19], row_["state"], row_["trigger"]) for row_ in world.rows()]
    assert rows == [
        ("10:30:00", "succeeded", "start"),
        ("12:30:00", "succeeded", "start"),
        ("13:00:00", "succeeded", "schedule"),
        ("14:00:00", "succeeded", "schedule"),
    ]


def test_on_start_comes_before_a_slot_that_is_prepared(tmp_path: Path) -> None:
    """With ``lead`` the next slot is claimed at the start: its order is called back, and it starts on its slot."""
    world = World(tmp_path, job("a", HOURLY + 'on_start = true\n[run]\nlead = "10m"\n'), now=us("10:30:00"))
    world.until("10:55:00", lasts_us=SECOND)
    world.crash()
    world.now = us("10:55:10")
    world.boot()
    world.until("11:10:00", lasts_us=SECOND)
    rows = [(row_["slot"][11:19], row_["state"], row_["trigger"]) for row_ in world.rows()]
    assert rows == [
        ("10:30:00", "succeeded", "start"),
        ("10:55:10", "succeeded", "start"),
        ("11:00:00", "succeeded", "schedule"),
    ]
    assert [moment for moment, _ in world.started] == [us("10:30:00"), us("10:55:10"), us("11:00:00")]


def test_a_skipped_start_is_a_start(tmp_path: Path) -> None:
    """Its row has the trigger ``start``, as one that runs has."""
    world = World(tmp_path, job("a", "[schedule]\non_start = true\n"), now=us("10:30:00"))
    world.go("10:30:00")
    world.crash()
    world.now = us("10:31:00")
    world.boot()
    world.turn()
    rows = [(row_["slot"][11:19], row_["state"], row_["trigger"]) for row_ in world.rows()]
    assert rows == [("10:30:00", "running", "start"), ("10:31:00", "skipped", "start")]


def test_on_boot_runs_although_the_mark_is_ahead() -> None:
    """A machine whose clock lost the time boots into the past: its boot is due once all the same."""
    spec = job("a", "[schedule]\non_boot = true\n")
    ran: list[list[str]] = []
    rows: list[JobRow] = []
    starts = (("12:00:00", "11:59:00", True), ("10:00:10", "10:00:00", True), ("10:00:20", "10:00:00", False))
    for start, boot, booted in starts:
        agenda = Agenda(
            host="h",
            max_running=None,
            new_run_id=run_id,
            last_attempt=first_attempts,
            started_us=us(start),
            boot_us=us(boot),
            booted=booted,
        )
        agenda.restore(rows, [], us(start))
        agenda.load(JobSetChange(jobset=JobSet(jobs={"a": spec}, broken={}, loaded_us=us(start))), us(start))
        agenda.turn(us(start))
        effects = agenda.effects()
        rows = [*effects.writes.loaded, *effects.writes.jobs] or rows
        ran.append([to_text(one.slot_us)[11:19] for one in effects.starts])
    assert ran == [[], ["10:00:00"], []]


def test_a_reset_takes_again_after_out_of_the_future(tmp_path: Path) -> None:
    """Also what ``again_after`` counts from was set by a clock that was ahead."""
    world = World(tmp_path, job("a", '[schedule]\nagain_after = "10m"\n'), now=us("12:00:00"))
    world.until("12:15:00")
    world.crash()
    world.now = us("10:00:00")
    world.boot()
    assert world.agenda.wake_us is None or world.agenda.wake_us > us("12:00:00")
    world.agenda.reset("a", world.now)
    world.until("10:10:30")
    assert ("10:10:00", "succeeded", 1) in world.table()


def test_on_boot_runs_once_a_boot() -> None:
    """The boot's slot is one, however often akjobd starts after it."""
    spec = job("a", "[schedule]\non_boot = true\n")
    booted = us("10:00:00")
    ran = []
    rows: list[JobRow] = []
    for start in (us("09:00:00"), booted + 10 * SECOND, booted + 20 * SECOND):
        boot = booted if start > booted else us("01:00:00")
        agenda = alone(started_us=start, boot_us=boot)
        agenda.restore(rows, [], start)
        agenda.load(JobSetChange(jobset=JobSet(jobs={"a": spec}, broken={}, loaded_us=start)), start)
        agenda.turn(start)
        effects = agenda.effects()
        rows = [*effects.writes.loaded, *effects.writes.jobs] or rows
        ran.append([one.slot_us for one in effects.starts])
    assert ran == [[], [booted], []]


def test_again_after_counts_from_the_end_of_any_run(tmp_path: Path) -> None:
    """First from the loading, then from each end, a manual run's too; not while a run lasts."""
    world = World(tmp_path, job("a", '[schedule]\nagain_after = "10m"\n'), now=us("10:00:00"))
    assert world.go("10:10:00") == ["a"]
    assert world.go("10:25:00") == []
    world.finish(world.only())
    assert world.go("10:34:00") == []
    world.agenda.ask_run("a", None, world.now)
    assert world.go("10:34:30") == ["a"]
    world.now = us("10:34:40")
    world.finish(world.only())
    world.turn()
    assert world.go("10:44:39") == []
    assert world.go("10:44:40") == ["a"]
    assert [row_["trigger"] for row_ in world.rows()] == ["schedule", "manual", "schedule"]


def test_again_after_goes_on_after_a_pause(tmp_path: Path) -> None:
    """Slots in the pause are skipped, and the job comes back by itself."""
    world = World(tmp_path, job("a", '[schedule]\nagain_after = "10m"\n'), now=us("10:00:00"))
    world.agenda.pause("a", us("10:15:00"), "", "ann", world.now)
    world.until("10:45:00", lasts_us=5 * MINUTE)
    assert world.table() == [("10:10:00", "skipped", 1), ("10:20:00", "succeeded", 1), ("10:35:00", "succeeded", 1)]


# ---------------------------------------------------------------------- pauses


def test_a_pause_skips_and_is_kept_over_a_restart(tmp_path: Path) -> None:
    """Until it is resumed, over restarts and downtimes, each slot is skipped with who, and why."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.agenda.pause("a", None, "disk swap", "ann", world.now)
    world.until("11:30:00")
    world.crash()
    world.now = us("12:30:00")
    world.boot()
    world.agenda.resume("a", world.now)
    world.until("13:30:00")
    assert world.table() == [("11:00:00", "skipped", 1), ("12:00:00", "skipped", 1), ("13:00:00", "succeeded", 1)]
    assert world.rows()[0]["reason"] == "the job is paused by ann: disk swap"


def test_a_pause_that_runs_out_in_a_downtime(tmp_path: Path) -> None:
    """Slots before its end are skipped, those after it missed or made up for."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.agenda.pause("a", us("11:30:00"), "", "ann", world.now)
    world.turn()
    world.crash()
    world.now = us("12:30:00")
    world.boot()
    world.until("12:40:00")
    assert world.table() == [("11:00:00", "skipped", 1), ("12:00:00", "succeeded", 1)]
    job_row = world.reader.job("a")
    assert job_row is not None
    assert job_row["paused_at"] is None


def test_a_pause_calls_an_order_back(tmp_path: Path) -> None:
    """Until the slot nothing has happened yet: the claim ends as skipped; a retry that waits does too."""
    text = HOURLY + '[run]\nlead = "10s"\nretry = { attempts = 2, delay = "1h" }\n'
    world = World(tmp_path, job("a", text), job("b", text), now=us("10:30:00"))
    world.go("11:00:00")
    world.finish(next(run for run, start in world.live.items() if start.job == "b"), "failed")
    world.finish(world.only())
    world.turn("11:59:55")
    for name in "ab":
        world.agenda.pause(name, None, "", "ann", world.now)
    world.turn()
    assert world.orders == {}
    assert [(row_["attempt"], row_["state"]) for row_ in world.rows("a")] == [(1, "succeeded"), (1, "skipped")]
    assert [(row_["attempt"], row_["state"]) for row_ in world.rows("b")] == [(1, "failed"), (2, "skipped")]


def test_an_order_that_was_quicker_than_the_pause_runs(tmp_path: Path) -> None:
    """When it cannot be called back any more, it has started, and runs on."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.turn("10:59:59.99")
    world.agenda.pause("a", None, "", "ann", world.now)
    effects = world.agenda.effects()
    assert len(effects.recalls) == 1
    world.ledger.commit(effects.writes)
    world.now = us("11:00:00")
    world.open_gates()
    world.turn()
    assert world.table() == [("11:00:00", "running", 1)]


# ---------------------------------------------------------------------- by hand


def test_a_manual_run_ignores_enabled_pauses_and_limits(tmp_path: Path) -> None:
    """Whoever asks, means it: disabled, paused, out of its runs, it runs, with the arguments given."""
    text = "[limits]\nruns = 1\n"
    world = World(tmp_path, job("a", "enabled = false\n" + text), now=us("10:30:00"))
    world.agenda.pause("a", None, "", "ann", world.now)
    run = world.agenda.ask_run("a", None, us("10:31:00"))
    assert world.go("10:31:00") == ["a"]
    assert world.only() == run
    (written,) = world.rows()
    assert (written["trigger"], written["slot"][11:19]) == ("manual", "10:31:00")


def test_two_manual_runs_in_one_microsecond_are_two_slots(tmp_path: Path) -> None:
    """Asked twice at once, with ``overlap = "allow"``: two rows, and neither takes a scheduled slot's place."""
    world = World(tmp_path, job("a", HOURLY + '[run]\noverlap = "allow"\n'), now=us("10:59:00"))
    world.now = us("11:00:00")
    for _ in range(2):
        world.agenda.ask_run("a", None, world.now)
    assert world.go("11:00:00") == ["a", "a", "a"]
    assert len({row_["slot"] for row_ in world.rows()}) == 3


def test_two_at_once_need_allow(tmp_path: Path) -> None:
    """The answer names the run, and what to do."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:59:00"))
    world.go("11:00:00")
    with pytest.raises(AkjobError) as raised:
        world.agenda.ask_run("a", None, world.now)
    assert raised.value.message == f"a is busy: run {world.only()} still runs"
    assert raised.value.hint == '`akjob stop a` ends it; overlap = "allow" in the job file lets two run at once'


def test_arguments_of_a_manual_run_survive_a_restart(tmp_path: Path) -> None:
    """A manual run that waits for its turn is started by the next akjobd, with its arguments."""
    call = load_definition("b", "jobs.d/b.toml", 'callable = "os:getpid"\n')
    world = World(tmp_path, job("a", ""), call, now=us("10:30:00"), max_running=1)
    world.agenda.ask_run("a", None, world.now)
    world.go("10:30:00")
    first = world.only()
    world.agenda.ask_run("b", {"n": 3}, world.now)
    world.turn()
    world.crash()
    world.now = us("10:40:00")
    world.boot()
    world.finish(first)
    assert world.go("10:40:00") == ["b"]
    assert world.live[world.only()].kwargs == {"n": 3}


@pytest.mark.parametrize(
    ("ask", "message", "hint", "exit_code"),
    [
        (lambda agenda: agenda.ask_run("repots", None, 0), "there is no job repots", "did you mean reports?", 2),
        (
            lambda agenda: agenda.ask_run("reports", {"n": 1}, 0),
            "reports runs a command, which takes no --arg",
            "put the value into the command or its env",
            1,
        ),
        (
            lambda agenda: agenda.ask_stop("reports", "ann", 0),
            "reports is not running",
            "`akjob status` shows what runs",
            1,
        ),
        (
            lambda agenda: agenda.ask_stop("0001", "ann", 0),
            "'0001' is neither a job nor a run that is under way",
            "`akjob status` shows what runs, `akjob list` the jobs",
            2,
        ),
        (
            lambda agenda: agenda.resume("reports", 0),
            "reports is not paused",
            "`akjob show` says what else may keep it from running",
            1,
        ),
        (
            lambda agenda: agenda.pause("reports", us("10:00:00"), "", "ann", us("10:30:00")),
            "2026-03-02T10:00:00.000000Z has passed",
            "give an instant that is still to come",
            1,
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, ask: Callable[[Agenda], Any], message: str, hint: str, exit_code: int
) -> None:
    """Each refusal says what, and what to do; a name that nothing has is wrong usage."""
    world = World(tmp_path, job("reports", HOURLY), now=us("10:30:00"))
    with pytest.raises(AkjobError) as raised:
        ask(world.agenda)
    assert (raised.value.message, raised.value.hint, raised.value.exit_code) == (message, hint, exit_code)


@pytest.mark.parametrize("ask", ["pause", "resume", "reset", "stop", "run"])
def test_an_unknown_job_is_wrong_usage(tmp_path: Path, ask: str) -> None:
    """For whatever is asked of it."""
    agenda = World(tmp_path, job("reports", HOURLY), now=us("10:30:00")).agenda
    asks: dict[str, Callable[[], object]] = {
        "pause": lambda: agenda.pause("nope", None, "", "ann", us("10:30:00")),
        "resume": lambda: agenda.resume("nope", us("10:30:00")),
        "reset": lambda: agenda.reset("nope", us("10:30:00")),
        "stop": lambda: agenda.ask_stop("nope", "ann", us("10:30:00")),
        "run": lambda: agenda.ask_run("nope", None, us("10:30:00")),
    }
    with pytest.raises(AkjobError) as raised:
        asks[ask]()
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("overlap", "state", "then"),
    [("skip", "skipped", []), ("queue", "queued", ["a"]), ("replace", "queued", ["a"])],
)
def test_a_manual_run_may_come_between_an_order_and_its_slot(
    tmp_path: Path, overlap: str, state: str, then: list[str]
) -> None:
    """With ``lead`` a job is not busy before its slot: the order is called back, ``overlap`` decides at the slot."""
    text = HOURLY + f'[run]\nlead = "10m"\noverlap = "{overlap}"\n'
    world = World(tmp_path, job("a", text), now=us("10:30:00"))
    world.turn("10:50:00")
    manual = world.agenda.ask_run("a", None, us("10:51:00"))
    assert world.go("10:51:00") == ["a"]
    assert world.only() == manual
    world.now = us("11:00:00")
    world.agenda.turn(world.now)
    effects = world.agenda.effects()
    assert [stop.run for stop in effects.stops] == ([manual] if overlap == "replace" else [])
    world.ledger.commit(effects.writes)
    assert world.table()[1] == ("11:00:00", state, 1)
    world.now = us("11:00:05")
    world.finish(manual, "cancelled")
    assert world.go("11:00:05") == then


def test_an_order_called_back_for_a_manual_run_goes_out_again(tmp_path: Path) -> None:
    """When the manual run is over before the slot, the slot is prepared again and starts on time."""
    world = World(tmp_path, job("a", HOURLY + '[run]\nlead = "10m"\n'), now=us("10:30:00"))
    world.turn("10:50:00")
    manual = world.agenda.ask_run("a", None, us("10:51:00"))
    world.go("10:51:00")
    world.finish(manual)
    world.until("11:10:00")
    assert world.table() == [("10:51:00", "succeeded", 1), ("11:00:00", "succeeded", 1)]
    assert world.started[-1][0] == us("11:00:00")


def test_the_slot_of_a_manual_run_is_when_it_was_asked_for(tmp_path: Path) -> None:
    """Also after the clock was set back; two of one instant differ by a microsecond."""
    world = World(tmp_path, job("a", '[run]\noverlap = "allow"\n'), now=us("11:30:00"))
    asked = [us("11:30:00.5"), us("11:30:00.5"), us("11:30:00.5"), us("10:00:00.5")]
    runs = [world.agenda.ask_run("a", None, moment) for moment in asked]
    world.turn()
    slots = {row_["id"]: row_["slot"][11:26] for row_ in world.rows()}
    assert [slots[run] for run in runs] == ["11:30:00.500000", "11:30:00.500001", "11:30:00.500002", "10:00:00.500000"]


def test_a_broken_job_cannot_be_run(tmp_path: Path) -> None:
    """The answer names file, line and message."""
    world = World(tmp_path, now=us("10:30:00"))
    broken = BrokenJob(
        job="a", file="jobs.d/a.toml", line=3, column=1, message="unknown key evry", hint="did you mean every?",
        code="unknown-key", since_us=0, content="x", problems=(), running_last_good=False,
    )  # fmt: skip
    world.load(broken={"a": broken})
    with pytest.raises(AkjobError, match=r"a cannot be loaded: jobs.d/a.toml:3:1: unknown key evry") as raised:
        world.agenda.ask_run("a", None, world.now)
    assert raised.value.exit_code == 1


def test_a_waiting_run_is_stopped_without_having_run(tmp_path: Path) -> None:
    """It ends as cancelled at once; an order that is out is called back."""
    world = World(tmp_path, job("a", HOURLY + '[run]\nlead = "1m"\n'), now=us("10:30:00"))
    world.turn("10:59:30")
    (run,) = world.orders
    assert world.agenda.ask_stop(run[:-1], "ann", world.now) == [run]
    world.turn()
    assert world.table() == [("11:00:00", "cancelled", 1)]
    assert [event["event"] for event in world.events] == ["run.finished"]


def test_a_stop_that_comes_too_late_to_call_back_stops_the_run(tmp_path: Path) -> None:
    """The order was quicker: then the run is stopped as soon as it has started."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.turn("10:59:59.99")
    (run,) = world.orders
    world.agenda.ask_stop("a", "ann", world.now)
    assert [recall.run for recall in world.agenda.effects().recalls] == [run]
    world.agenda.started(run, pid=1, shim_pid=2, at_us=us("11:00:00"))
    assert [(stop.run, stop.reason) for stop in world.agenda.effects().stops] == [(run, "stopped by ann")]


# ---------------------------------------------------------------------- orders that come to nothing


def test_an_order_that_never_started_goes_out_again(tmp_path: Path) -> None:
    """In time it is ordered again at once; when that fails too, after a growing while."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.turn("11:00:00")
    for _ in range(3):
        (order,) = world.orders.values()
        world.orders.clear()
        world.agenda.never_started(order.run, world.now, "the zygote died")
        world.turn()
        if not world.orders:
            wake = world.agenda.wake_us
            assert wake is not None
            world.now = wake
            world.turn()
    assert world.now == us("11:00:03")
    assert len(world.rows()) == 1


@pytest.mark.parametrize(
    ("policy", "after", "state"),
    [
        ('missed = "skip"', "11:00:02", "queued"),
        ('missed = "skip"', "11:00:03", "missed"),
        ('missed = "latest"', "11:30:00", "queued"),
        ('missed = "latest"\nmissed_within = "10m"', "11:30:00", "missed"),
    ],
)
def test_a_claim_that_was_never_forked_follows_missed(tmp_path: Path, policy: str, after: str, state: str) -> None:
    """After a crash between claim and order the slot starts if it is in time or ``missed`` allows, else is missed."""
    world = World(tmp_path, job("a", HOURLY + f"[run]\n{policy}\n"), now=us("10:30:00"))
    world.turn("11:00:00")
    world.orders.clear()
    world.crash()
    world.now = us(after)
    world.boot()
    assert world.table() == [("11:00:00", state, 1)]
    assert len(world.orders) == (state == "queued")


def test_a_refused_claim_starts_nothing(tmp_path: Path) -> None:
    """The ledger has the slot already: whatever the mark says, it does not start again."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.ledger.commit(Writes(claims=[row("0", slot_us=us("11:00:00"), slot_last_us=us("11:00:00"))]))
    world.until("12:30:00")
    assert [start.slot_us for _, start in world.started] == [us("12:00:00")]
    assert world.agenda.under_way == 0


def test_a_lost_run_is_an_end(tmp_path: Path) -> None:
    """A shim that is gone without an end: lost, and the job goes on."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.go("11:00:00")
    world.agenda.lost(world.only(), us("11:10:00"), "its shim is gone")
    world.live.clear()
    world.until("12:30:00")
    assert world.table() == [("11:00:00", "lost", 1), ("12:00:00", "succeeded", 1)]
    assert world.rows()[0]["reason"] == "its shim is gone"


def test_a_run_that_goes_on_over_a_restart_is_adopted(tmp_path: Path) -> None:
    """It keeps its row, its job stays busy, and its end is claimed down by the new akjobd."""
    world = World(tmp_path, job("a", MINUTELY), now=us("10:00:30"))
    world.go("10:01:00")
    run = world.only()
    world.crash()
    world.now = us("10:01:30")
    world.boot()
    world.agenda.started(run, pid=7, shim_pid=99, at_us=world.now)
    assert [(one.run, one.shim_pid, one.pid) for one in world.agenda.running()] == [(run, 99, 7)]
    world.turn("10:02:00")
    world.finish(run)
    world.until("10:03:30")
    assert world.table() == [("10:01:00", "succeeded", 1), ("10:02:00", "skipped", 1), ("10:03:00", "succeeded", 1)]


# ---------------------------------------------------------------------- going down


def test_draining_starts_nothing_and_keeps_what_waits(tmp_path: Path) -> None:
    """Runs go on, orders ahead are called back, and the next akjobd has all that waited."""
    world = World(tmp_path, job("a", HOURLY + '[run]\nlead = "1h"\noverlap = "allow"\n'), now=us("10:30:00"))
    world.go("11:00:00")
    world.turn("11:30:00")
    assert len(world.orders) == 1
    world.agenda.drain("down", DOWN, world.now)
    world.turn()
    assert world.orders == {}
    assert world.agenda.under_way == 1
    world.finish(world.only())
    world.turn("12:00:00")
    assert world.agenda.under_way == 0
    assert world.agenda.wake_us is None
    with pytest.raises(AkjobError, match="is being stopped"):
        world.agenda.ask_run("a", None, world.now)
    world.crash()
    world.now = us("12:10:00")
    world.boot()
    world.until("12:20:00")
    assert world.table()[:2] == [("11:00:00", "succeeded", 1), ("12:00:00", "succeeded", 1)]


def test_a_node_that_is_resumed_does_not_end_the_drain_of_akjob_down(tmp_path: Path) -> None:
    """Each reason is ended by who gave it; a person hears the one that holds."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.agenda.drain("node", AkjobError("node a starts nothing: the node is drained"), world.now)
    with pytest.raises(AkjobError, match="the node is drained"):
        world.agenda.ask_run("a", None, world.now)
    world.agenda.drain("down", DOWN, world.now)
    world.agenda.end_drain("node")
    assert (world.agenda.draining, world.agenda.is_drained_by("down")) == (True, True)
    assert world.go("11:00:00") == []
    world.agenda.end_drain("down")
    assert world.go("11:00:01") == ["a"]


def test_draining_with_kill_ends_all(tmp_path: Path) -> None:
    """What runs is cancelled with the reason."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.go("11:00:00")
    world.agenda.drain("down", DOWN, world.now, kill=True)
    world.turn()
    assert world.table() == [("11:00:00", "cancelled", 1)]
    assert world.rows()[0]["reason"] == "akjob down --kill"


# ---------------------------------------------------------------------- cost and books


def test_only_due_jobs_cost_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among 10,000 jobs a turn looks at those that are due, and asks for one next slot each."""
    specs = [job(f"j{n}", f'[schedule]\ncron = "{n % 60} 12 * * *"\n') for n in range(60)]
    many = {f"{spec.name}-{k}": spec for spec in specs for k in range(167)}
    agenda = alone(started_us=us("10:00:00"))
    jobs = {name: msgspec.structs.replace(spec, name=name) for name, spec in many.items()}
    agenda.load(JobSetChange(jobset=JobSet(jobs=jobs, broken={}, loaded_us=0)), us("10:00:00"))
    agenda.turn(us("10:00:00"))
    agenda.effects()
    calls = []

    def counted(*args: Any) -> int | None:
        calls.append(args)
        return next_slot(*args)

    monkeypatch.setattr(due, "next_slot", counted)
    agenda.turn(us("11:59:00"))
    assert calls == []
    for _ in range(11):
        agenda.turn(us("12:00:00"))  # a burst takes several turns
    assert len(agenda.effects().starts) == 167
    assert len(calls) == 167


def test_the_last_good_definitions_come_from_the_ledger(tmp_path: Path) -> None:
    """What the loader needs after a restart: all loaded jobs, none that was removed, with what was refused since."""
    world = World(tmp_path, job("a", HOURLY), job("b", HOURLY), now=us("10:30:00"))
    world.remove("b")
    broken = BrokenJob(
        job="a", file="jobs.d/a.toml", line=1, column=1, message="m", hint="", code="c", since_us=5, content="sha",
        problems=(), running_last_good=True,
    )  # fmt: skip
    jobset = JobSet(jobs=world.specs, broken={"a": broken}, loaded_us=world.now)
    world.agenda.load(JobSetChange(jobset=jobset, broken=(broken,)), world.now)
    world.turn()
    good = last_good(world.ledger.jobs_state())
    assert set(good) == {"a"}
    assert good["a"].definition == world.specs["a"].definition
    assert good["a"].refused is not None
    assert (good["a"].refused.content, good["a"].refused.since_us) == ("sha", 5)
    world.agenda.load(JobSetChange(jobset=JobSet(jobs=world.specs, broken={}, loaded_us=0), repaired=("a",)), world.now)
    world.turn()
    assert last_good(world.ledger.jobs_state())["a"].refused is None


def broken_job(name: str, since_us: int = 5, content: str = "sha") -> BrokenJob:
    """Return a job whose file was refused."""
    return BrokenJob(
        job=name, file=f"jobs.d/{name}.toml", line=1, column=1, message="m", hint="", code="c", since_us=since_us,
        content=content, problems=(), running_last_good=True, sources=(f"jobs.d/{name}.toml",),
    )  # fmt: skip


def refuse(world: World, *broken: BrokenJob) -> None:
    """Hand over that these jobs are broken, and no others."""
    jobset = JobSet(jobs=world.specs, broken={one.job: one for one in broken}, loaded_us=world.now)
    world.agenda.load(JobSetChange(jobset=jobset, broken=broken), world.now)
    world.turn()


def test_which_commit_was_refused(tmp_path: Path) -> None:
    """The one that is checked out then: it stays, whatever is checked out later, until something else is refused."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    refuse(world, broken_job("a"))
    assert world.agenda.unattributed
    world.agenda.attribute(Revision(commit=None))
    assert world.agenda.refused_by("a") == (None, None)
    world.agenda.attribute(Revision(commit="first"))
    assert not world.agenda.unattributed
    world.agenda.attribute(Revision(commit="second"))
    world.turn()
    (row,) = world.ledger.jobs_state()
    assert (row.refused_commit, row.refused_dirty) == ("first", False)
    refuse(world, broken_job("a", content="other"))
    world.agenda.attribute(Revision(commit="third"))
    assert world.agenda.refused_by("a") == ("third", False)
    refuse(world)
    assert world.agenda.refused_by("a") == (None, None)
    (row,) = world.ledger.jobs_state()
    assert (row.refused, row.refused_us, row.refused_commit, row.refused_dirty) == (None, None, None, None)
    refuse(world, broken_job("a", since_us=9))
    world.agenda.attribute(Revision(commit="fourth"))
    assert world.agenda.refused_by("a") == ("fourth", False)


def test_an_uncommitted_mistake_is_followed_until_a_commit_has_it(tmp_path: Path) -> None:
    """Also over a restart: until then the first commit that it was seen with is told, with a mark."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    refuse(world, broken_job("a"))
    dirty = frozenset({"jobs.d/a.toml"})
    world.agenda.attribute(Revision(commit="first", dirty=dirty))
    world.agenda.attribute(Revision(commit="second", dirty=dirty))
    assert world.agenda.refused_by("a") == ("first", True)
    world.turn()
    world.crash()
    world.boot(broken={"a": broken_job("a")})
    assert world.agenda.refused_by("a") == ("first", True)
    world.agenda.attribute(Revision(commit="third", dirty=dirty))
    assert world.agenda.refused_by("a") == ("first", True)
    world.agenda.attribute(Revision(commit="fourth"))
    assert world.agenda.refused_by("a") == ("fourth", False)


def test_what_never_was_good_is_noted_too(tmp_path: Path) -> None:
    """After a restart it is known since when it is refused; once its file is good or gone, nothing of that is left."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    refuse(world, broken_job("never"), broken_job("gone"))
    good = last_good(world.ledger.jobs_state())
    assert {name for name, one in good.items() if not one.definition} == {"never", "gone"}
    assert good["never"].refused == RefusedVersion(content="sha", since_us=5)
    world.crash()
    world.specs["never"] = job("never", HOURLY)
    world.boot()
    assert {name: one.refused for name, one in last_good(world.ledger.jobs_state()).items()} == {
        "a": None, "never": None,
    }  # fmt: skip


def test_the_grace_holds_for_an_order_that_is_late(tmp_path: Path) -> None:
    """A loop that comes 2 s late starts the slot as if on time."""
    world = World(tmp_path, job("a", HOURLY + '[run]\nmissed = "skip"\n'), now=us("10:30:00"))
    world.now = us("11:00:00") + GRACE_US
    world.turn()
    assert len(world.orders) == 1
