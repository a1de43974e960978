"""The decision for one job, rule by rule. All instants are on 2 March 2026, a Monday, in UTC."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.due import AT_MOST_ALL, EARLY_US, FEW, FOREVER, GRACE_US, Decision, Known, decide, done, timing
from akjob.instants import DAY, HOUR, MINUTE, SECOND, to_text
from akjob.ledger.model import Occurrence
from akjob.schedule import Memory, jitter_us, slots_between
from akjob.spec.model import JobSpec
from tests.unit.world import job, us

HOURLY = '[schedule]\ncron = "0 * * * *"\n'
MINUTELY = '[schedule]\nevery = "1m"\n'


def asked(text: str | JobSpec, mark: str, now: str, until: str | None = None, **known: Any) -> Decision:
    """Decide about a job whose mark and time of day are given."""
    spec = job("a", text) if isinstance(text, str) else text
    memory = known.pop("memory", Memory(loaded_us=us(mark)))
    facts = Known(watermark_us=us(mark), memory=memory, **known)
    return decide(spec, timing(spec), facts, us(now), None if until is None else us(until))


def start(at: str) -> Occurrence:
    """Return an occurrence of akjobd's start or the machine's boot."""
    return Occurrence(job="a", key=f"on_start:{at}", at_us=us(at), trigger="start")


def told(decision: Decision) -> list[tuple[Any, ...]]:
    """Return (action, time of the first slot, trigger) of every verdict, with the count where it is not 1."""
    return [
        (one.action, to_text(one.slot_us)[11:19], one.trigger, *([one.count] if one.count > 1 else []))
        for one in decision.verdicts
    ]


def test_nothing_is_due_between_two_slots() -> None:
    """Before the next slot there is no verdict, the mark stays, and the wake is just ahead of the slot."""
    decision = asked(HOURLY, "10:00:00", "10:30:00")
    assert decision.verdicts == ()
    assert decision.watermark_us == us("10:00:00")
    assert decision.next_us == us("11:00:00")
    assert decision.wake_us == us("11:00:00") - EARLY_US


def test_a_slot_starts_when_its_time_comes() -> None:
    """On the slot it starts, the mark moves to it, and the next one is asked for."""
    decision = asked(HOURLY, "10:00:00", "11:00:00")
    assert told(decision) == [("start", "11:00:00", "schedule")]
    assert decision.verdicts[0].not_before_us == us("11:00:00")
    assert decision.watermark_us == us("11:00:00")
    assert decision.next_us == us("12:00:00")


def test_an_order_goes_out_ahead_of_its_slot() -> None:
    """20 ms before the slot it is claimed, to start on the slot; a moment earlier it is not."""
    spec = job("a", HOURLY)
    known = Known(watermark_us=us("10:00:00"), memory=Memory())
    at = us("11:00:00") - EARLY_US
    assert decide(spec, timing(spec), known, at - 1).verdicts == ()
    (verdict,) = decide(spec, timing(spec), known, at).verdicts
    assert (verdict.slot_us, verdict.not_before_us) == (us("11:00:00"), us("11:00:00"))


def test_lead_orders_further_ahead() -> None:
    """``lead`` moves the order, not the start."""
    text = HOURLY + '[run]\nlead = "5s"\n'
    assert asked(text, "10:00:00", "10:59:54").wake_us == us("10:59:55")
    decision = asked(text, "10:00:00", "10:59:55")
    assert told(decision) == [("start", "11:00:00", "schedule")]
    assert decision.verdicts[0].not_before_us == us("11:00:00")


def test_a_lock_is_never_taken_seconds_ahead() -> None:
    """A lead would hold the lock against slots that come before: with a lock, orders go out 20 ms ahead at most."""
    text = HOURLY + '[run]\nlead = "5s"\nlock = "db"\n'
    assert asked(text, "10:00:00", "10:59:56").wake_us == us("11:00:00") - EARLY_US


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"busy": "run R still runs"}, "a run that may still end, or not"),
        ({"ahead": False}, "no place for it"),
        ({"paused_until_us": us("11:00:00") + 1}, "a pause that covers the slot"),
    ],
)
def test_what_is_open_is_decided_at_the_slot(known: dict[str, Any], why: str) -> None:
    """No order goes out ahead while something may still change the decision; the wake is the slot itself."""
    decision = asked(HOURLY, "10:00:00", "10:59:59", **known)
    assert (decision.verdicts, decision.wake_us) == ((), us("11:00:00")), why


@pytest.mark.parametrize(
    ("overlap", "queued", "action", "reason"),
    [
        ("skip", False, "skipped", "run R still runs"),
        ("queue", False, "queue", None),
        ("queue", True, "skipped", "a slot is queued already"),
        ("replace", False, "replace", None),
        ("allow", False, "start", None),
    ],
)
def test_overlap(overlap: str, queued: bool, action: str, reason: str | None) -> None:
    """A slot that finds its job busy is decided by ``overlap``; ``queue`` queues one."""
    text = HOURLY + f'[run]\noverlap = "{overlap}"\n'
    decision = asked(text, "10:00:00", "11:00:00", busy="run R still runs", queued=queued)
    (verdict,) = decision.verdicts
    assert (verdict.action, verdict.reason) == (action, reason)
    assert decision.watermark_us == us("11:00:00")


def test_two_slots_within_the_grace_meet_each_other() -> None:
    """When akjobd comes to two slots at once, the second one finds the first one running."""
    decision = asked('[schedule]\nevery = "1s"\n', "10:00:00", "10:00:02")
    assert told(decision) == [("start", "10:00:01", "schedule"), ("skipped", "10:00:02", "schedule")]


def test_the_grace_is_two_seconds() -> None:
    """A start that has passed by 2 s exactly is on time; by more it is late."""
    spec = job("a", HOURLY)
    known = Known(watermark_us=us("10:00:00"), memory=Memory())
    on_time = decide(spec, timing(spec), known, us("11:00:00") + GRACE_US)
    late = decide(spec, timing(spec), known, us("11:00:00") + GRACE_US + 1)
    assert [one.trigger for one in (*on_time.verdicts, *late.verdicts)] == ["schedule", "missed"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ('missed = "skip"', [("missed", t, "schedule") for t in ("11:00:00", "12:00:00", "13:00:00")]),
        (
            'missed = "latest"\nmissed_within = "6h"',
            [("missed", "11:00:00", "schedule"), ("missed", "12:00:00", "schedule"), ("start", "13:00:00", "missed")],
        ),
        (
            'missed = "latest"\nmissed_within = "10m"',
            [("missed", t, "schedule") for t in ("11:00:00", "12:00:00", "13:00:00")],
        ),
        (
            'missed = "all"\nmissed_within = "6h"',
            [
                ("start", "11:00:00", "missed"),
                ("after_previous", "12:00:00", "missed"),
                ("after_previous", "13:00:00", "missed"),
            ],
        ),
        (
            'missed = "all"\nmissed_within = "100m"',
            [
                ("missed", "11:00:00", "schedule"),
                ("start", "12:00:00", "missed"),
                ("after_previous", "13:00:00", "missed"),
            ],
        ),
    ],
)
def test_missed(policy: str, expected: list[tuple[str, str, str]]) -> None:
    """After a downtime from 10:30 to 13:30, each policy accounts for the three slots in its own way."""
    decision = asked(HOURLY + f"[run]\n{policy}\n", "10:00:00", "13:30:00")
    assert told(decision) == expected
    assert decision.watermark_us == us("13:00:00")
    assert decision.next_us == us("14:00:00")


def test_missed_within_includes_its_bound() -> None:
    """A slot of exactly that age is made up for, one that is older by a microsecond is not."""
    spec = job("a", HOURLY + '[run]\nmissed_within = "10m"\n')
    known = Known(watermark_us=us("10:00:00"), memory=Memory())
    for late, action in ((0, "start"), (1, "missed")):
        (verdict,) = decide(spec, timing(spec), known, us("11:10:00") + late).verdicts
        assert (verdict.action, verdict.slot_us) == (action, us("11:00:00"))


def test_a_slot_that_is_due_now_stands_for_the_latest_missed_one() -> None:
    """``latest`` starts one run, not two, when akjobd comes back on a slot."""
    decision = asked(HOURLY, "10:00:00", "13:00:01")
    assert told(decision) == [
        ("missed", "11:00:00", "schedule"),
        ("missed", "12:00:00", "schedule"),
        ("start", "13:00:00", "schedule"),
    ]


def test_all_makes_up_for_a_hundred_slots_at_most() -> None:
    """The oldest hundred run, one after another; what is left is one missed row."""
    decision = asked(MINUTELY + '[run]\nmissed = "all"\nmissed_within = "1d"\n', "10:00:00", "13:00:30")
    actions = [one.action for one in decision.verdicts]
    assert actions == ["start", *["after_previous"] * (AT_MOST_ALL - 1), "missed"]
    assert decision.verdicts[-1].count == 180 - AT_MOST_ALL
    assert decision.watermark_us == us("13:00:00")


def test_a_short_stretch_is_rows_and_a_long_one_is_one() -> None:
    """Up to ten slots have a verdict each, eleven have one with a count."""
    text = MINUTELY + '[run]\nmissed = "skip"\n'
    short = asked(text, "10:00:00", "10:10:30").verdicts
    assert [(one.count, one.slot_us) for one in short] == [(1, us("10:00:00") + n * MINUTE) for n in range(1, FEW + 1)]
    (long,) = asked(text, "10:00:00", "10:11:30").verdicts
    assert (long.count, long.slot_us, long.slot_last_us) == (11, us("10:01:00"), us("10:11:00"))


def test_a_month_of_seconds_is_one_row_and_no_walk() -> None:
    """A downtime of a month costs a job that is due every second no more than one of an hour."""
    text = '[schedule]\nevery = "1s"\n[run]\nmissed = "skip"\n'
    decision = asked(text, "10:00:00", "2026-04-02T10:00:00.5Z")
    assert decision.verdicts[0].count == 31 * DAY // SECOND - 2
    assert len(decision.verdicts) <= 4


def test_slots_of_a_pause_are_skipped() -> None:
    """A start that falls into the pause is skipped with its reason; the first one after it starts."""
    decision = asked(
        HOURLY, "10:00:00", "13:00:00", paused_until_us=us("12:30:00"), pause_reason="the job is paused by ann"
    )
    assert told(decision) == [
        ("skipped", "11:00:00", "schedule"),
        ("skipped", "12:00:00", "schedule"),
        ("start", "13:00:00", "schedule"),
    ]
    assert decision.verdicts[0].reason == "the job is paused by ann"


def test_a_pause_without_an_end_skips_all() -> None:
    """Paused until further notice: skipped, whatever ``missed`` says, and woken for the next slot."""
    decision = asked(HOURLY, "10:00:00", "12:30:00", paused_until_us=FOREVER)
    assert [one.action for one in decision.verdicts] == ["skipped", "skipped"]
    assert decision.wake_us == us("13:00:00")


def test_a_start_at_the_end_of_the_pause_is_not_paused() -> None:
    """A pause ends at its instant: the slot of that instant starts."""
    assert told(asked(HOURLY, "10:00:00", "11:00:00", paused_until_us=us("11:00:00"))) == [
        ("start", "11:00:00", "schedule")
    ]


def test_jitter_moves_the_start_and_not_the_slot() -> None:
    """The slot keeps its nominal time, the start comes the job's own offset later, and lateness counts from there."""
    spec = job("a", '[schedule]\ncron = "0 * * * *"\njitter = "10m"\n')
    offset = jitter_us(spec.schedule, "a")
    assert 0 < offset < 10 * MINUTE
    known = Known(watermark_us=us("10:00:00"), memory=Memory())
    before = decide(spec, timing(spec), known, us("11:00:00") + offset - EARLY_US - 1)
    assert (before.verdicts, before.wake_us) == ((), us("11:00:00") + offset - EARLY_US)
    (verdict,) = decide(spec, timing(spec), known, us("11:00:00") + offset + GRACE_US).verdicts
    assert (verdict.slot_us, verdict.not_before_us) == (us("11:00:00"), us("11:00:00") + offset)
    assert verdict.trigger == "schedule"


def test_a_pause_meets_the_start_not_the_slot() -> None:
    """With jitter a slot before the pause whose start is in it is skipped."""
    spec = job("a", '[schedule]\ncron = "0 * * * *"\njitter = "10m"\n')
    start = us("11:00:00") + jitter_us(spec.schedule, "a")
    paused = Known(watermark_us=us("10:00:00"), memory=Memory(), paused_until_us=start + 1)
    open_ = Known(watermark_us=us("10:00:00"), memory=Memory(), paused_until_us=start)
    assert [one.action for one in decide(spec, timing(spec), paused, start).verdicts] == ["skipped"]
    assert [one.action for one in decide(spec, timing(spec), open_, start).verdicts] == ["start"]


def test_a_disabled_job_has_no_slots() -> None:
    """Nothing is due, skipped or missed, and nobody is woken."""
    assert asked("enabled = false\n" + HOURLY, "10:00:00", "13:00:00") == Decision(
        verdicts=(), watermark_us=us("10:00:00"), next_us=None, wake_us=None
    )


def test_runs_ends_the_slots() -> None:
    """With one run left of three, one slot starts, and the later ones are no slots any more."""
    text = HOURLY + "[limits]\nruns = 3\n[run]\n" + 'missed = "all"\nmissed_within = "6h"\n'
    decision = asked(text, "10:00:00", "13:30:00", started=2)
    assert told(decision) == [("start", "11:00:00", "missed")]
    assert decision.wake_us is None
    assert asked(text, "10:00:00", "13:30:00", started=3).verdicts == ()
    assert done(job("a", text), 3)
    assert not done(job("a", text), 2)


def test_skipped_and_missed_slots_do_not_count_as_runs() -> None:
    """``runs`` counts what was started."""
    text = HOURLY + '[limits]\nruns = 1\n[run]\nmissed_within = "6h"\n'
    assert told(asked(text, "10:00:00", "12:30:00")) == [
        ("missed", "11:00:00", "schedule"),
        ("start", "12:00:00", "missed"),
    ]


def test_a_clock_that_steps_back_starts_nothing() -> None:
    """Before the mark nothing is due, however often it is asked."""
    decision = asked(HOURLY, "11:00:00", "10:00:00")
    assert (decision.verdicts, decision.watermark_us) == ((), us("11:00:00"))
    assert decision.next_us == us("12:00:00")


def test_on_start_is_never_late() -> None:
    """``on_start`` waits for akjobd, so it starts even if akjobd took a while; its slot is akjobd's start."""
    text = '[schedule]\non_start = true\n[run]\nmissed = "skip"\n'
    decision = asked(text, "10:00:00", "10:05:00", occurrences=(start("10:00:05"),))
    assert told(decision) == [("start", "10:00:05", "start")]
    assert decision.decided == (start("10:00:05"),)
    assert told(asked(text, "10:00:05", "10:05:00")) == []


def test_on_boot_is_never_late() -> None:
    """akjobd may come long after the boot."""
    decision = asked("[schedule]\non_boot = true\n", "10:00:00", "12:00:01", occurrences=(start("10:00:05"),))
    assert told(decision) == [("start", "10:00:05", "start")]


def test_on_start_among_missed_slots() -> None:
    """The start's own slot runs although a later slot of the calendar was missed, and each is accounted for."""
    text = '[schedule]\non_start = true\ncron = "* * * * *"\n[run]\nmissed = "skip"\noverlap = "allow"\n'
    decision = asked(text, "09:59:00", "10:01:40", occurrences=(start("10:00:30"),))
    assert told(decision) == [
        ("missed", "10:00:00", "schedule"),
        ("missed", "10:01:00", "schedule"),
        ("start", "10:00:30", "start"),
    ]
    assert decision.watermark_us == us("10:01:00")


def test_a_paused_on_start_is_skipped() -> None:
    """A pause holds for ``on_start`` too."""
    known: dict[str, Any] = {"occurrences": (start("10:00:30"),), "paused_until_us": FOREVER}
    decision = asked("[schedule]\non_start = true\n", "10:00:00", "10:01:00", **known)
    assert [one.action for one in decision.verdicts] == ["skipped"]


def test_an_occurrence_that_the_limits_forbid_is_no_slot() -> None:
    """It is not put off: it is over without a row."""
    text = "[schedule]\non_start = true\n[limits]\nhours = { from = 11:00:00, until = 12:00:00 }\n"
    decision = asked(text, "10:00:00", "10:01:00", occurrences=(start("10:00:30"),))
    assert (decision.verdicts, decision.decided) == ((), (start("10:00:30"),))
    assert decision.wake_us is None


def test_limits_look_at_the_instant_and_not_at_the_slot() -> None:
    """An occurrence may make a slot of the past due: it starts now, under the limits of now."""
    text = "[limits]\nhours = { from = 10:00:00, until = 11:00:00 }\n"
    late = Occurrence(job="a", key="after:1", at_us=us("10:30:00"), trigger="start", slot_us=us("02:00:00"))
    (verdict,) = asked(text, "10:00:00", "10:30:00", occurrences=(late,)).verdicts
    assert (verdict.action, verdict.slot_us, verdict.not_before_us) == ("start", us("02:00:00"), us("10:30:00"))


def test_an_occurrence_wakes_at_its_instant() -> None:
    """One that is still to come is left alone, and akjobd is woken for it."""
    decision = asked(HOURLY, "10:00:00", "10:01:00", occurrences=(start("10:30:00"),))
    assert (decision.verdicts, decision.decided, decision.wake_us) == ((), (), us("10:30:00"))


def test_a_slot_of_the_calendar_and_an_occurrence_of_one_instant_are_one_slot() -> None:
    """The triggers are a union: one slot, with the trigger that says more."""
    decision = asked(HOURLY, "10:00:00", "11:00:00", occurrences=(start("11:00:00"),))
    assert told(decision) == [("start", "11:00:00", "start")]
    assert decision.next_us == us("12:00:00")


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_all_makes_up_for_the_fresh_slot_too(overlap: str) -> None:
    """A slot that is on time lines up behind those that are made up for, and so do those that come meanwhile."""
    text = HOURLY + f'[run]\nmissed = "all"\nmissed_within = "6h"\noverlap = "{overlap}"\n'
    assert told(asked(text, "10:00:00", "13:00:01")) == [
        ("start", "11:00:00", "missed"),
        ("after_previous", "12:00:00", "missed"),
        ("after_previous", "13:00:00", "schedule"),
    ]
    meanwhile = asked(text, "13:00:00", "14:00:00", busy="run R still runs", queued=True, catching_up=True)
    assert told(meanwhile) == [("after_previous", "14:00:00", "schedule")]


def test_again_after_has_one_slot_in_a_downtime() -> None:
    """``again_after`` counts from an end: a long downtime has one such slot, and the next follows from its run."""
    text = '[schedule]\nagain_after = "1m"\n[run]\nmissed_within = "1d"\n'
    memory = Memory(loaded_us=us("09:00:00"), last_end_us=us("10:00:10"))
    decision = asked(text, "10:00:00", "12:00:00", memory=memory)
    assert told(decision) == [("start", "10:01:10", "missed")]


def test_again_after_goes_on_after_a_slot_that_started_nothing() -> None:
    """A missed slot of ``again_after`` does not end the job: the next one counts from when akjobd came to it."""
    text = '[schedule]\nagain_after = "1m"\n[run]\nmissed = "skip"\n'
    memory = Memory(loaded_us=us("09:00:00"), last_end_us=us("10:00:10"))
    decision = asked(text, "10:00:00", "12:00:00", memory=memory)
    assert told(decision) == [("missed", "10:01:10", "schedule")]
    assert decision.next_us == us("12:01:00")


def test_an_edited_schedule_accounts_up_to_the_loading() -> None:
    """Up to the loading each nominal slot is decided, one whose jittered start is still to come included."""
    spec = job("a", '[schedule]\ncron = "0 * * * *"\njitter = "10m"\n')
    decision = asked(spec, "10:00:00", "11:00:01", until="11:00:01")
    (verdict,) = decision.verdicts
    assert (verdict.action, verdict.slot_us) == ("start", us("11:00:00"))
    assert verdict.not_before_us == us("11:00:00") + jitter_us(spec.schedule, "a")


def test_a_taken_slot_is_passed_over() -> None:
    """A slot after the mark that has a row of its own is not decided again."""
    decision = asked(HOURLY, "10:00:00", "11:00:00", claimed=frozenset({us("11:00:00")}))
    assert (decision.verdicts, decision.watermark_us) == ((), us("11:00:00"))


POLICIES = st.sampled_from(["skip", "latest", "all"])
OVERLAPS = st.sampled_from(["skip", "queue", "replace", "allow"])


@settings(max_examples=60, deadline=None)
@given(
    missed=POLICIES,
    overlap=OVERLAPS,
    within=st.integers(1, 7200),
    steps=st.lists(st.integers(0, 4000 * SECOND), min_size=1, max_size=12),
    paused=st.none() | st.integers(0, 6 * HOUR),
    busy=st.booleans(),
)
def test_every_slot_gets_one_verdict(  # noqa: PLR0913, PLR0917 - all that a decision depends on
    missed: str, overlap: str, within: int, steps: list[int], paused: int | None, busy: bool
) -> None:
    """However the time goes on, the verdicts are the schedule's slots, each once, in order."""
    text = (
        '[schedule]\nevery = "37s"\ndaily = [10:20:00, 11:05:00]\n'
        f'[run]\nmissed = "{missed}"\nmissed_within = "{within}s"\noverlap = "{overlap}"\n'
    )
    spec = job("a", text)
    when = timing(spec)
    begin = now = mark = us("10:00:00")
    counted, last = 0, begin
    for step in steps:
        now += step
        known = Known(
            watermark_us=mark,
            memory=Memory(),
            paused_until_us=None if paused is None else begin + paused,
            busy="run R still runs" if busy else "",
        )
        decision = decide(spec, when, known, now)
        for verdict in decision.verdicts:
            assert verdict.slot_us > last
            assert verdict.count == len(slots_between(when.plan, last, verdict.slot_last_us, 10_000))
            last = verdict.slot_last_us
            counted += verdict.count
        mark = decision.watermark_us
        assert decision.wake_us is not None
        assert decision.wake_us > now
    assert counted == len(slots_between(when.plan, begin, mark, 100_000))
    assert slots_between(when.plan, mark, now, 1) == []
