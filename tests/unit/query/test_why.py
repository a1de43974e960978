"""One answer for any instant: each verdict and each kind of reason, from rows, transitions and definitions."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from akjob.config import Config, Paths
from akjob.instants import DAY, HOUR, MINUTE, from_text, to_text
from akjob.jobset.model import BrokenJob, JobSet
from akjob.ledger import Definition, Detail, JobRow, RunRow, Transition, Writes
from akjob.ledger.memory import MemoryStore
from akjob.ledger.model import DaemonEvent, JobEvent
from akjob.query.jobs import Snapshot
from akjob.query.why import Why, ask
from akjob.schedule.calendars import Calendars
from akjob.schedule.daysets import pack
from akjob.schedule.model import DaySet
from akjob.spec import parse_job
from akjob.spec.model import JobSpec

NOW = "2026-03-28T12:30:00Z"
NOW_US = from_text(NOW)
NOON_US = NOW_US - 30 * MINUTE
HOURLY = 'command = "x"\n[schedule]\nevery = "1h"\n'
DAYS = {
    "moving": DaySet("moving", pack([date(2026, 3, 28)])),
    "inventory": DaySet("inventory", pack([date(2026, 3, 27)])),
}
CONFIG = Config(pools={"db": 1}, calendars=Calendars(DAYS, {}, (), ()))
BERLIN = 'command = "x"\n[schedule]\ntimezone = "Europe/Berlin"\ndaily = 02:30:00\n'


class Story:
    """A job with what the ledger has of it."""

    def __init__(self, text: str = HOURLY, **row: Any) -> None:
        self.spec = spec_of(text)
        self.store = MemoryStore()
        values: dict[str, Any] = {
            "job": "tick",
            "watermark_us": NOON_US,
            "first_loaded_us": NOW_US - 9 * DAY,
            "last_loaded_us": NOW_US - 9 * DAY,
            "file": "jobs.d/tick.toml",
            "definition_sha256": self.spec.sha256,
            "definition": self.spec.definition,
        }
        self.row = JobRow(**{**values, **row})
        self.others: dict[str, JobSpec] = {}
        self.store.commit(Writes(loaded=[self.row], definitions=[_definition(self.spec)]))

    def run(self, slot: str, state: str, **values: Any) -> None:
        """Put a row into the ledger."""
        slot_us = from_text(slot)
        fields: dict[str, Any] = {"job": "tick", "slot_us": slot_us, "slot_last_us": slot_us, "queued_us": slot_us}
        self.store.commit(Writes(claims=[RunRow(**{"id": f"r-{slot}", "state": state, **fields, **values})]))

    def event(self, at: str, to_state: JobEvent | DaemonEvent, **detail: Any) -> None:
        """Put a transition of the job or of akjobd into the ledger."""
        of_daemon = to_state in {"started", "stopping"}
        moved = Transition(
            at_us=from_text(at),
            kind="daemon" if of_daemon else "job",
            to_state=to_state,
            job=None if of_daemon else "tick",
            detail=Detail(**detail),
        )
        self.store.commit(Writes(transitions=[moved]))

    def was(self, text: str, at: str) -> None:
        """Let the job have had another definition from an instant on."""
        spec = spec_of(text)
        self.store.commit(Writes(definitions=[_definition(spec)]))
        self.event(at, "loaded", definition_sha256=spec.sha256)

    def why(self, at: str | None, broken: BrokenJob | None = None, *, good: bool = True) -> Why:
        """Ask; of a job that is ``broken`` and that was ``good`` before."""
        reader = self.store.reader()
        jobs = {"tick": self.spec, **self.others} if good else self.others
        jobset = JobSet(jobs=jobs, broken={"tick": broken} if broken else {}, loaded_us=NOW_US)
        snapshot = Snapshot(paths=Paths(Path("/r")), jobset=jobset, rows=reader.jobs(), running={}, now_us=NOW_US)
        return ask(reader, snapshot, snapshot.job("tick"), None if at is None else from_text(at))


def spec_of(text: str, name: str = "tick") -> JobSpec:
    """Parse a job file."""
    spec = parse_job(name, f"jobs.d/{name}.toml", text, defaults=(), config=CONFIG).spec
    assert spec is not None
    return spec


def _definition(spec: JobSpec) -> Definition:
    return Definition(spec.sha256, spec.file, spec.definition, NOW_US)


def kinds(answer: Why) -> list[str]:
    """Return the kinds of an answer's reasons."""
    return [one.kind for one in answer.because]


NOON = "2026-03-28T12:00:00.000000Z"
TWO = "2026-03-28T14:00:00.000000Z"


# -- rows


def test_it_ran() -> None:
    """The run, why it ended so, and what made it due."""
    story = Story()
    story.run(NOON, "failed", exit_code=3, started_us=NOON_US, definition_sha256=story.spec.sha256)
    answer = story.why(NOON)
    assert (answer.job, answer.at, answer.slot, answer.verdict, answer.run) == ("tick", NOON, NOON, "ran", f"r-{NOON}")
    assert answer.reason == "exit code 3"
    assert kinds(answer) == ["schedule"]
    assert "every hour" in answer.because[0].message


def test_the_last_attempt_counts() -> None:
    """Of a slot that was tried twice."""
    story = Story()
    story.run(NOON, "failed", id="r1", started_us=NOON_US)
    story.run(NOON, "succeeded", id="r2", attempt=2, trigger="retry", started_us=NOON_US)
    answer = story.why(NOON)
    assert (answer.verdict, answer.run) == ("ran", "r2")
    assert "attempt 2" in answer.because[1].message


def test_of_a_slot_that_every_node_runs_the_failure_counts() -> None:
    """Each node has a run of its own, with attempts of its own; the others are named."""
    story = Story()
    story.run(NOON, "failed", id="r1", started_us=NOON_US, scope="a", node="a")
    story.run(NOON, "failed", id="r2", started_us=NOON_US, scope="b", node="b")
    story.run(NOON, "succeeded", id="r3", attempt=2, trigger="retry", started_us=NOON_US, scope="b", node="b")
    answer = story.why(NOON)
    assert (answer.verdict, answer.run) == ("ran", "r1")
    assert [one.message for one in answer.because][1:] == ["on node b it is run r3: succeeded"]


@pytest.mark.parametrize(
    ("trigger", "kind", "words"),
    [
        ("manual", "schedule", "by hand by ann"),
        ("backfill", "schedule", "a backfill by ann"),
        ("start", "schedule", "had started"),
        ("after", "schedule", "comes after"),
        ("change", "schedule", "files had changed"),
        ("missed", "missed", "made up for it"),
    ],
)
def test_what_made_a_run_due(trigger: str, kind: str, words: str) -> None:
    """Also what is not the calendar."""
    story = Story()
    story.run(NOON, "succeeded", trigger=trigger, by="ann", started_us=NOON_US)
    (because,) = story.why(NOON).because
    assert because.kind == kind
    assert words in because.message


def test_it_had_another_definition_then() -> None:
    """Which one, and which it has today."""
    story = Story()
    story.run(NOON, "succeeded", started_us=NOON_US, definition_sha256="f" * 64)
    assert kinds(story.why(NOON)) == ["schedule", "definition"]


def test_it_runs() -> None:
    """Of its slot, and of now, where nobody names an instant."""
    story = Story()
    story.run(NOON, "running", started_us=NOON_US)
    assert story.why(NOON).verdict == "running"
    assert (story.why(None).verdict, story.why(None).slot) == ("running", NOON)
    assert story.why(to_text(NOW_US)).verdict == "no_slot"


def test_it_waits_for_a_lock() -> None:
    """The job that has it is named."""
    story = Story(HOURLY + '[run]\nlock = "db"\n')
    story.others["other"] = spec_of('command = "x"\n[run]\nlock = "db"\n', "other")
    story.run(NOON, "running", id="o1", job="other", started_us=NOON_US)
    story.run(NOON, "queued", id="r1")
    (because,) = story.why(NOON).because
    assert because.kind == "lock"
    assert "the lock db, which other has (run o1)" in because.message


def test_it_waits_for_a_place_in_its_pool() -> None:
    """The jobs that have the places are named."""
    story = Story(HOURLY + '[run]\npool = "db"\n')
    story.others["other"] = spec_of('command = "x"\n[run]\npool = "db"\n', "other")
    story.run(NOON, "queued", id="r1")
    assert "max_running" in story.why(NOON).because[0].message
    story.run(NOON, "running", id="o1", job="other", started_us=NOON_US)
    (because,) = story.why(NOON).because
    assert (because.kind, because.message) == ("pool", "it waits for a place in the pool db, which has runs of other")


def test_it_waits_for_the_run_before_or_for_a_place() -> None:
    """Another run of the job is an overlap; where neither is, only the number of places is left."""
    story = Story()
    story.run(NOON, "queued", id="r2")
    assert kinds(story.why(NOON)) == ["pool"]
    story.run("2026-03-28T11:00:00Z", "running", id="r1", started_us=NOON_US)
    assert kinds(story.why(NOON)) == ["overlap"]


def test_it_is_prepared_ahead_of_its_slot() -> None:
    """A run of the future that is queued already says when it starts."""
    story = Story()
    story.run(TWO, "queued")
    answer = story.why(TWO)
    assert answer.verdict == "queued"
    assert "starts at" in answer.because[0].message


def test_it_was_skipped_by_a_pause() -> None:
    """As the transitions have it, or the pause that still holds."""
    story = Story()
    story.run(NOON, "skipped", reason="the job is paused by ann")
    story.event("2026-03-28T11:30:00Z", "paused", by="ann", reason="the move")
    answer = story.why(NOON)
    assert (answer.verdict, answer.reason, kinds(answer)) == ("skipped", "the job is paused by ann", ["pause"])
    held = Story(paused_at_us=NOON_US - MINUTE)
    held.run(NOON, "skipped", reason="the job is paused")
    assert kinds(held.why(NOON)) == ["pause"]
    over = Story()
    over.event("2026-03-28T10:00:00Z", "paused", until=to_text(NOON_US - HOUR))
    over.run(NOON, "skipped", reason="run r1 still runs")
    assert kinds(over.why(NOON)) == ["overlap"]


def test_it_was_missed_while_akjobd_was_down() -> None:
    """With when it stopped, and when it came back; of a kill only the latter is known."""
    story = Story()
    story.run(NOON, "missed", reason="a later slot stands for it", queued_us=NOON_US + 20 * MINUTE)
    assert kinds(story.why(NOON)) == ["missed"]
    story.event("2026-03-28T12:10:00Z", "started")
    assert [one.message for one in story.why(NOON).because][1].endswith("down until 2026-03-28T12:10:00.000000Z")
    down = Story()
    down.event("2026-03-28T11:50:00Z", "stopping")
    down.event("2026-03-28T12:10:00Z", "started")
    down.run(NOON, "missed", queued_us=NOON_US + 20 * MINUTE)
    assert "down since 2026-03-28T11:50:00.000000Z until 2026-03-28T12:10" in down.why(NOON).because[1].message


def test_one_row_of_a_stretch_answers_for_each_of_its_slots() -> None:
    """And not for the instants in between."""
    story = Story()
    last_us = from_text("2026-03-28T09:00:00Z")
    story.run("2026-03-27T12:00:00Z", "missed", slot_last_us=last_us, count=22)
    within, between = story.why("2026-03-28T03:00:00Z"), story.why("2026-03-28T03:30:00Z")
    assert (within.verdict, within.slot) == ("missed", "2026-03-28T03:00:00.000000Z")
    assert between.verdict == "no_slot"


# -- the past without a row


def test_a_disabled_job_lets_slots_pass_by() -> None:
    """They have no row; the definition of then says why."""
    story = Story()
    story.was("enabled = false\n" + HOURLY, "2026-03-27T00:00:00Z")
    answer = story.why("2026-03-28T10:00:00Z")
    assert (answer.verdict, answer.run, kinds(answer)) == ("skipped", None, ["disabled"])


def test_a_job_that_is_done_lets_slots_pass_by() -> None:
    """It had its runs."""
    story = Story(HOURLY + "[limits]\nruns = 3\n", runs_started=3)
    story.event("2026-03-27T00:00:00Z", "done")
    assert kinds(story.why("2026-03-28T10:00:00Z")) == ["done"]
    coming = story.why(TWO)
    assert (coming.verdict, kinds(coming)) == ("will_skip", ["done"])


def test_nothing_is_guessed() -> None:
    """Before the job was loaded, while it had no file, what is pruned, and what akjobd has not come to."""
    story = Story()
    story.run("2026-03-26T10:00:00Z", "succeeded", started_us=NOON_US)
    before = story.why("2026-03-01T10:00:00Z")
    assert (before.verdict, before.slot, kinds(before)) == ("no_slot", None, ["definition"])
    pruned = story.why("2026-03-25T10:00:00Z")
    assert (pruned.verdict, kinds(pruned)) == ("unknown", ["pruned"])
    odd = story.why("2026-03-27T10:00:00Z")
    assert (odd.verdict, kinds(odd)) == ("unknown", ["definition"])
    late = Story(watermark_us=NOON_US - HOUR)
    assert (late.why(NOON).verdict, kinds(late.why(NOON))) == ("unknown", ["down"])
    late.event("2026-03-28T11:30:00Z", "stopping")
    assert 'its next start decides, by missed = "latest"' in late.why(NOON).because[0].message
    story.event("2026-03-27T00:00:00Z", "removed")
    removed = story.why("2026-03-28T10:00:00Z")
    assert (removed.verdict, "no file" in removed.because[0].message) == ("no_slot", True)


def test_a_definition_that_the_ledger_has_no_longer() -> None:
    """What was due by it is unknown."""
    story = Story()
    story.run("2026-03-20T10:00:00Z", "succeeded", started_us=NOON_US)
    story.event("2026-03-27T00:00:00Z", "loaded", definition_sha256="f" * 64)
    answer = story.why("2026-03-28T10:30:00Z")
    assert (answer.verdict, kinds(answer)) == ("unknown", ["definition"])


# -- the future


def test_it_will_run() -> None:
    """Because it is due; the slot after a pause that is over by then, too."""
    answer = Story().why(TWO)
    assert (answer.verdict, answer.slot, answer.run, answer.reason) == ("will_run", TWO, None, None)
    assert kinds(answer) == ["schedule"]
    assert Story(paused_at_us=NOON_US, paused_until_us=from_text(TWO)).why(TWO).verdict == "will_run"


@pytest.mark.parametrize(
    ("text", "row", "kind"),
    [
        ("enabled = false\n" + HOURLY, {}, "disabled"),
        (HOURLY, {"paused_at_us": NOON_US, "pause_reason": "the move", "paused_by": "ann"}, "pause"),
        (HOURLY, {"paused_at_us": NOON_US, "paused_until_us": from_text(TWO) + 1}, "pause"),
        (HOURLY + "[limits]\nruns = 1\n", {}, "done"),
    ],
)
def test_it_will_be_skipped(text: str, row: dict[str, Any], kind: str) -> None:
    """As far as it is certain today; the first reason is the answer's reason."""
    answer = Story(text, **row).why(TWO)
    assert (answer.verdict, kinds(answer), answer.reason) == ("will_skip", [kind], answer.because[0].message)


# -- no slot


def test_an_instant_that_is_no_slot() -> None:
    """The nearest one before for the past, after for the future; and what the schedule says."""
    past, future = Story().why("2026-03-28T10:20:00Z"), Story().why("2026-03-28T14:20:00Z")
    assert (past.verdict, past.slot, kinds(past)) == ("no_slot", "2026-03-28T10:00:00.000000Z", ["schedule"])
    assert (future.verdict, future.slot) == ("no_slot", "2026-03-28T15:00:00.000000Z")
    assert "every hour" in future.because[0].message


@pytest.mark.parametrize(
    ("head", "kind", "words"),
    [
        ("enabled = false\n", "disabled", "feed does not run: it is disabled (enabled = false)"),
        (None, "definition", "feed does not run: there is no such job"),
        ("", None, None),
    ],
)
def test_what_it_comes_after_does_not_run(head: str | None, kind: str | None, words: str | None) -> None:
    """It will not be due until that changes: the job that holds it up is named."""
    story = Story('command = "x"\n[schedule]\nafter = "feed"\n')
    if head is not None:
        story.others["feed"] = spec_of(head + HOURLY, "feed")
    said = [(one.kind, one.message) for one in story.why("2026-03-28T15:20:00Z").because[1:]]
    assert said == ([] if kind is None else [(kind, words)])
    assert all("feed does" not in one.message for one in story.why("2026-03-28T10:20:00Z").because)


@pytest.mark.parametrize(
    ("limits", "keys"),
    [
        ('weekdays = ["sun"]', ["weekdays"]),
        ("hours = { from = 02:00:00, until = 03:00:00 }", ["hours"]),
        ("dates = { first = 2027-01-01 }", ["dates"]),
        ('months = ["jan"]\nmonth_days = [1]', ["months", "month_days"]),
        ("except_dates = [2026-03-28]", ["except_dates"]),
    ],
)
def test_the_limits_that_exclude_it_are_named(limits: str, keys: list[str]) -> None:
    """All of them."""
    answer = Story(f"{HOURLY}[limits]\n{limits}\n").why(TWO)
    assert (answer.verdict, set(kinds(answer))) == ("no_slot", {"limit"})
    assert sorted(one.message.split()[0] for one in answer.because) == sorted(f"limits.{key}" for key in keys)


@pytest.mark.parametrize(("key", "calendar"), [("not_on", "moving"), ("only_on", "inventory")])
def test_a_calendar_that_excludes_it_is_named(key: str, calendar: str) -> None:
    """It is another kind than the limits that are not calendars."""
    answer = Story(f'{HOURLY}[limits]\n{key} = ["{calendar}"]\n').why(TWO)
    assert (answer.verdict, kinds(answer), answer.reason) == (
        "no_slot",
        ["calendar"],
        f"limits.{key} does not allow it",
    )


@pytest.mark.parametrize(
    ("at", "verdict", "words"),
    [
        ("2026-03-29T03:00:00+02:00", "will_run", "the clock jumps from 02:00 to 03:00"),
        ("2026-03-29T02:30:00+01:00", "no_slot", "its slot is 2026-03-29T03:00:00+02:00"),
        ("2026-10-25T02:30:00+02:00", "will_run", ""),
        ("2026-10-25T02:30:00+01:00", "no_slot", "the first of the two, 2026-10-25T02:30:00+02:00"),
    ],
)
def test_what_the_clock_does(at: str, verdict: str, words: str) -> None:
    """An hour that does not exist, and one that there is twice."""
    answer = Story(BERLIN).why(at)
    assert answer.verdict == verdict
    said = [one.message for one in answer.because if one.kind == "dst"]
    assert any(words in one for one in said) if words else not said


def test_a_broken_job() -> None:
    """The last good version decides; without one nothing is known, and the mistake is named."""
    broken = BrokenJob(
        job="tick", file="jobs.d/tick.toml", line=3, column=1, message="unknown key", hint="", code="unknown-key",
        since_us=NOON_US, content="x", problems=(), running_last_good=True,
    )  # fmt: skip
    kept, lost = Story().why(TWO, broken), Story().why(TWO, broken, good=False)
    assert (kept.verdict, kinds(kept)) == ("will_run", ["schedule", "broken"])
    assert (lost.verdict, lost.slot, kinds(lost)) == ("unknown", None, ["broken"])
    never = Story(definition="", definition_sha256="").why(None, broken, good=False)
    assert (never.verdict, never.slot, kinds(never)) == ("unknown", None, ["broken"])
    assert "jobs.d/tick.toml:3:1: unknown key" in lost.because[0].message
