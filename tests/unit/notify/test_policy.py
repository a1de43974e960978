"""What is worth a message: a year and its rules, without a clock."""

import itertools
from typing import Any

import msgspec
import pytest

from akjob.instants import DAY, HOUR, MINUTE, SECOND, from_text
from akjob.ledger import Detail, Transition
from akjob.notify.model import Note, Remembered
from akjob.notify.policy import Policy
from akjob.spec.model import Notify

START = from_text("2026-01-01T00:00:00Z")
ALL = frozenset({"failed", "recovered", "missed", "late", "long", "broken", "skipped", "cancelled", "repaired"})


class Desk:
    """A policy, the rules of its jobs, and what it told so far."""

    def __init__(self, usual_us: int | None = None, **rules: Any) -> None:
        self.rules = Notify(channels=("ops",), **rules)
        self.numbers = itertools.count(1)
        self.notes: list[Note] = []
        self.usual_us = usual_us
        self.policy = self.opened()

    def opened(self, remembered: Remembered | None = None) -> Policy:
        """Return a policy that goes on from what a former one remembered."""
        return Policy(
            rules=lambda _job: self.rules,
            jitter_us=lambda _job: 0,
            usual_us=lambda _job: self.usual_us,
            remembered=remembered,
        )

    def restart(self, seen_us: int) -> None:
        """Go on in another program, from what is kept."""
        policy = self.policy
        kept = Remembered(next_incident=policy.next_incident, jobs=policy.jobs, seen_us=seen_us, absence=policy.absence)
        self.policy = self.opened(msgspec.json.decode(msgspec.json.encode(kept), type=Remembered))

    def run(self, at_us: int, state: str, run: str = "r1", job: str = "a", **other: Any) -> list[str]:
        """Take one change of a run; return the kinds told of."""
        detail = Detail(**{key: other.pop(key) for key in list(other) if key in Detail.__struct_fields__})
        other.setdefault("slot_us", at_us)
        return self._take("run", at_us, state, detail, job=job, run=run, **other)

    def job(self, at_us: int, state: str, job: str = "a", **detail: Any) -> list[str]:
        """Take one change of a job; return the kinds told of."""
        return self._take("job", at_us, state, Detail(**detail), job=job)

    def daemon(self, at_us: int, state: str) -> list[str]:
        """Take a start or an end of akjobd; return the kinds told of."""
        return self._take("daemon", at_us, state, Detail())

    def _take(self, kind: Any, at_us: int, state: Any, detail: Detail, **other: Any) -> list[str]:
        seq = next(self.numbers)
        self.policy.take([Transition(seq=seq, at_us=at_us, kind=kind, to_state=state, detail=detail, **other)])
        return self.tick(at_us)

    def tick(self, at_us: int) -> list[str]:
        """Let the time pass; return the kinds told of."""
        notes = self.policy.tick(at_us)
        self.notes += notes
        return [note.kind for note in notes]


def test_a_failure_is_told_once_and_its_end_too() -> None:
    """One message opens the incident, the next failures are silent, a success ends it."""
    desk = Desk()
    assert desk.run(START, "failed", exit_code=3) == ["failed"]
    assert desk.run(START + HOUR, "failed") == []
    assert desk.run(START + 2 * HOUR, "succeeded") == ["recovered"]
    assert [(note.incident, note.failures) for note in desk.notes] == [(1, 1), (1, 2)]
    assert desk.run(START + 3 * HOUR, "succeeded") == []
    assert desk.run(START + 4 * HOUR, "failed") == ["failed"]
    assert desk.notes[-1].incident == 2


def test_a_failure_that_is_retried_is_none() -> None:
    """Only the last attempt counts."""
    desk = Desk()
    assert desk.run(START, "failed", retried=True) == []
    assert desk.run(START + MINUTE, "timed_out", attempt=2, retried=True) == []
    assert desk.run(START + 2 * MINUTE, "lost", attempt=3) == ["lost"]
    assert desk.notes[0].failures == 1


def test_after_three_failed_slots_in_a_row() -> None:
    """``after = 3``: two are silent, and a success in between begins the count again."""
    desk = Desk(after=3)
    days = [
        desk.run(START + day * DAY, state)
        for day, state in enumerate(["failed", "failed", "succeeded", "failed", "failed", "failed", "succeeded"])
    ]
    assert days == [[], [], [], [], [], ["failed"], ["recovered"]]
    assert desk.notes[0].failures == 3


@pytest.mark.parametrize(
    ("on", "state", "told"),
    [
        ({"failed"}, "timed_out", ["timed_out"]),
        ({"failed"}, "lost", ["lost"]),
        ({"failed", "timed_out"}, "lost", []),
        ({"failed", "timed_out"}, "timed_out", ["timed_out"]),
        ({"lost"}, "failed", []),
        ({"succeeded"}, "succeeded", ["succeeded"]),
        ({"skipped"}, "skipped", ["skipped"]),
        ({"failed"}, "skipped", []),
        ({"cancelled"}, "cancelled", ["cancelled"]),
        ({"missed"}, "missed", ["missed"]),
        (set(), "failed", []),
    ],
)
def test_on_says_what_is_told(on: set[str], state: str, told: list[str]) -> None:
    """``failed`` covers ``timed_out`` and ``lost`` where these are not named beside it."""
    assert Desk(on=frozenset(on)).run(START, state) == told


def test_recovered_is_told_only_after_a_message_of_failure() -> None:
    """A failure that nobody was told of has no end to tell of either."""
    desk = Desk(on=frozenset({"recovered"}))
    assert desk.run(START, "failed") == []
    assert desk.run(START + HOUR, "succeeded") == []


def test_an_open_trouble_is_repeated_until_it_is_acknowledged() -> None:
    """Every ``repeat`` a reminder, with the newest run; none once somebody has acknowledged it."""
    desk = Desk(repeat_us=HOUR)
    desk.run(START, "failed", run="r1")
    desk.run(START + MINUTE, "failed", run="r2")
    assert desk.tick(START + 59 * MINUTE) == []
    assert desk.tick(START + 60 * MINUTE) == ["failed"]
    assert (desk.notes[-1].run, desk.notes[-1].again, desk.notes[-1].failures) == ("r2", True, 2)
    assert desk.tick(START + 119 * MINUTE) == []
    assert desk.tick(START + 120 * MINUTE) == ["failed"]
    assert desk.policy.acknowledge(1, START + 121 * MINUTE) is not None
    assert desk.tick(START + 10 * HOUR) == []
    assert desk.run(START + 11 * HOUR, "succeeded") == ["recovered"]


def test_repeat_none_tells_once() -> None:
    """``repeat = "none"``."""
    desk = Desk(repeat_us=None)
    desk.run(START, "failed")
    assert desk.tick(START + 400 * DAY) == []


def test_a_due_run_that_does_not_start_is_late() -> None:
    """After ``late_after`` from its slot; a run that starts in time, or by hand, is none; it ends with the start."""
    desk = Desk(late_after_us=MINUTE)
    desk.run(START - SECOND, "queued", slot_us=START, trigger="schedule")
    desk.run(START, "queued", run="manual", trigger="manual")
    desk.run(START, "queued", run="r2", job="b", trigger="schedule")
    desk.run(START + 5, "running", run="r2", job="b")
    assert desk.tick(START + 59 * SECOND) == []
    assert desk.tick(START + 60 * SECOND) == ["late"]
    assert (desk.notes[0].job, desk.notes[0].run) == ("a", "r1")
    assert desk.run(START + 90 * SECOND, "running") == []
    assert desk.policy.open_incidents() == []


def test_a_run_that_takes_unusually_long() -> None:
    """``auto``: three times the usual, not before five minutes; a duration is taken as it is; unknown is silent."""
    auto = Desk(usual_us=20 * MINUTE)
    auto.run(START, "running")
    assert auto.tick(START + 19 * MINUTE) == []
    assert auto.tick(START + 20 * MINUTE) == ["long"]
    short = Desk(usual_us=SECOND)
    short.run(START, "running")
    assert short.tick(START + 4 * MINUTE) == []
    assert short.tick(START + 5 * MINUTE) == ["long"]
    given = Desk(long_after_us=SECOND)
    given.run(START, "running")
    assert given.tick(START + 2 * SECOND) == ["long"]
    unknown = Desk()
    unknown.run(START, "running")
    assert unknown.tick(START + DAY) == []


def test_pauses_are_silent() -> None:
    """A slot that is skipped because of a pause is not news."""
    desk = Desk(on=ALL)
    desk.job(START, "paused")
    assert desk.run(START + HOUR, "skipped") == []
    assert desk.run(START + HOUR, "missed") == []
    desk.job(START + 2 * HOUR, "resumed")
    assert desk.run(START + 3 * HOUR, "skipped") == ["skipped"]


def test_a_file_that_cannot_be_loaded_and_its_repair() -> None:
    """``broken`` says where and why, once; ``repaired`` only where it is asked for."""
    desk = Desk(on=ALL)
    assert desk.job(START, "broken", file="jobs.d/a.toml", line=3, column=1, message="unknown key `x`") == ["broken"]
    assert desk.notes[0].message == "jobs.d/a.toml:3:1: unknown key `x`"
    assert desk.job(START + 1, "broken", file="jobs.d/a.toml", line=4, column=1, message="unknown key `y`") == []
    assert desk.job(START + 2, "repaired") == ["repaired"]
    silent = Desk()
    silent.job(START, "broken")
    assert silent.job(START + 2, "repaired") == []


def test_what_akjobds_absence_cost_is_one_note_a_job() -> None:
    """Missed slots and those made up for are told together, and not one by one."""
    desk = Desk()
    desk.run(START, "succeeded")
    back = START + 5 * HOUR
    desk.daemon(back, "started")
    assert desk.run(back + SECOND, "missed", slot_us=START + HOUR, count=4) == []
    assert desk.run(back + SECOND, "queued", run="r9", slot_us=START + 4 * HOUR, trigger="missed") == []
    assert desk.run(back + SECOND, "missed", job="b", slot_us=START + HOUR) == []
    assert desk.tick(back + 9 * SECOND) == []
    assert desk.tick(back + 10 * SECOND) == ["down", "down"]
    first, second = desk.notes
    assert (first.job, first.count, first.made_up, first.at_us) == ("a", 4, 1, back)
    assert (second.job, second.count, second.made_up) == ("b", 1, 0)
    assert desk.run(back + MINUTE, "missed") == ["missed"]


def test_a_downtime_is_one_note_also_when_this_program_was_down_too() -> None:
    """The machine was off: the first transition that is read is akjobd's start; and a kill amid the gathering."""
    desk = Desk()
    back = START + 5 * HOUR
    desk.restart(START)
    desk.daemon(back, "started")
    assert desk.run(back + SECOND, "missed", slot_us=START + HOUR, count=4) == []
    desk.restart(back + SECOND)
    assert desk.run(back + 2 * SECOND, "missed", slot_us=START + HOUR, job="b") == []
    assert desk.tick(back + 10 * SECOND) == ["down", "down"]
    assert [(note.job, note.count) for note in desk.notes] == [("a", 4), ("b", 1)]


def test_how_long_akjobd_was_down() -> None:
    """From its last word to its start; of one that was killed no more is known than what it could not come to."""
    back = START + 5 * HOUR
    for stops, since_us in ((True, START + 3 * HOUR), (False, START + 4 * HOUR)):
        desk = Desk()
        desk.run(START, "succeeded")
        if stops:
            desk.daemon(START + 3 * HOUR, "stopping")
            desk.restart(START + 3 * HOUR)
            assert desk.tick(START + 4 * HOUR) == []
        desk.daemon(back, "started")
        desk.run(back + SECOND, "queued", run="r2", slot_us=START + 4 * HOUR, trigger="missed")
        assert desk.tick(back + 10 * SECOND) == ["down"]
        assert (desk.notes[-1].since_us, desk.notes[-1].at_least) == (since_us, not stops)


def test_an_akjobd_that_starts_twice_has_one_downtime() -> None:
    """It ended again before it had come to everything: nothing of the first start is forgotten."""
    desk = Desk()
    desk.run(START, "succeeded")
    back = START + 5 * HOUR
    desk.daemon(back, "started")
    desk.run(back + SECOND, "missed", slot_us=START + HOUR, count=4)
    desk.daemon(back + 2 * SECOND, "started")
    desk.run(back + 3 * SECOND, "missed", slot_us=START + HOUR, job="b")
    assert desk.tick(back + 12 * SECOND) == ["down", "down"]
    assert [(note.job, note.count) for note in desk.notes] == [("a", 4), ("b", 1)]


def test_a_job_that_is_removed_has_no_open_trouble() -> None:
    """Its reminders end with it."""
    desk = Desk(repeat_us=HOUR)
    desk.run(START, "failed")
    desk.job(START + MINUTE, "removed")
    assert desk.tick(START + DAY) == []


def test_nobody_is_told_where_there_are_no_channels() -> None:
    """``channels = []``: failures are counted, and nothing is opened."""
    desk = Desk()
    desk.rules = Notify()
    assert desk.run(START, "failed") == []
    assert desk.policy.open_incidents() == []


def test_what_is_remembered_goes_on_in_the_next_program() -> None:
    """A restart between two failures tells neither again, and reminds at the same time."""
    desk = Desk(repeat_us=HOUR)
    desk.run(START, "failed")
    desk.restart(START)
    assert desk.run(START + MINUTE, "failed") == []
    assert desk.tick(START + HOUR) == ["failed"]
    assert desk.run(START + 2 * HOUR, "succeeded") == ["recovered"]
    assert desk.run(START + 3 * HOUR, "failed") == ["failed"]
    assert desk.notes[-1].incident == 2


def test_a_simulated_year() -> None:
    """A job an hour for a year, down for a week in it and failing each tenth day: each trouble told once, in order."""
    desk = Desk()
    at, down = START, range(100, 107)
    for day in range(365):
        for hour in range(24):
            at = START + day * DAY + hour * HOUR
            run = f"{day}-{hour}"
            if day in down:
                continue
            if (day, hour) == (down.stop, 0):
                desk.daemon(at, "started")
                desk.run(at, "missed", run="gap", slot_us=START + down.start * DAY, count=24 * len(down))
            desk.run(at, "queued", run=run, trigger="schedule")
            desk.run(at + 1, "running", run=run, slot_us=at)
            desk.run(at + MINUTE, "failed" if day % 10 == 9 else "succeeded", run=run, slot_us=at)
    reminders = [note for note in desk.notes if note.again]
    assert {note.at_us for note in reminders} == {START + day * DAY + MINUTE for day in (100, *down)}
    kinds = [note.kind for note in desk.notes if not note.again]
    failing = [day for day in range(9, 365, 10) if day not in down]
    assert kinds.count("failed") == len(failing)
    assert kinds.count("recovered") == len(failing)
    assert kinds.count("down") == 1
    assert set(kinds) == {"failed", "recovered", "down"}
    numbers = [note.incident for note in desk.notes if note.kind == "failed" and not note.again]
    assert numbers == list(range(1, len(failing) + 1))
    assert desk.policy.open_incidents() == []
