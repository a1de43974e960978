"""What the reference says of keys that meet each other is what happens."""

from datetime import datetime, timedelta

import pytest

from akjob.testing import Simulation

START = "2027-03-01T10:00:00Z"
MINUTE = timedelta(minutes=1)
Row = tuple[str, int, str, str]


def at(text: str) -> str:
    """Return a time of that day."""
    return f"2027-03-01T{text}:00Z"


def rows(simulation: Simulation, job: str = "job") -> list[Row]:
    """Return slot, attempt, trigger and state of each row that is over."""
    return [
        (row["slot"][11:16], row["attempt"], row["trigger"], row["state"])
        for row in simulation.rows(job)
        if row["ended_at"] is not None
    ]


def simulation(text: str, **others: str) -> Simulation:
    """Return one of a job that is due every ten minutes, or as its text says."""
    schedule = "" if "[schedule]" in text else '[schedule]\nevery = "10m"\n'
    return Simulation({"job": f'command = "true"\n{schedule}{text}', **others}, start=START)


def test_limits_are_not_asked_again_for_a_retry() -> None:
    """The slot was allowed; its second attempt is long after the window. A slot after the window does not exist."""
    one = simulation(
        "[limits]\nhours = { from = 10:00:00, until = 10:05:00 }\n[run]\nretry = { attempts = 2, delay = '15m' }\n"
    )
    one.fail("job")
    one.run(at("10:45"))
    assert rows(one) == [("10:00", 1, "schedule", "failed"), ("10:00", 2, "retry", "failed")]


def test_limits_are_not_asked_again_for_what_is_queued_or_made_up_for() -> None:
    """Both start after the window of their slots."""
    queued = simulation("[limits]\nhours = { from = 10:00:00, until = 10:15:00 }\n[run]\noverlap = 'queue'\n")
    queued.takes("job", 20 * MINUTE)
    queued.run(at("10:59"))
    assert rows(queued) == [("10:00", 1, "schedule", "succeeded"), ("10:10", 1, "schedule", "succeeded")]
    assert queued.rows("job")[1]["started_at"] >= at("10:20")[:-1]
    late = simulation("[limits]\nhours = { from = 10:00:00, until = 10:15:00 }\n")
    late.run(at("10:05"))
    late.down(at("10:06"), at("10:30"))
    late.run(at("10:40"))
    assert rows(late)[1:] == [("10:10", 1, "missed", "succeeded")]


def test_waiting_for_a_lock_does_not_count_into_timeout() -> None:
    """It waits eight minutes with a time limit of five."""
    other = 'command = "true"\n[schedule]\nevery = "1h"\n[run]\nlock = "db"\ntimeout = "5m"\n'
    one = simulation('[schedule]\nevery = "1h"\n[run]\nlock = "db"\n', other=other)
    one.takes("job", 8 * MINUTE)
    one.takes("other", 4 * MINUTE)
    one.run(at("10:20"))
    (row,) = one.rows("other")
    assert (row["started_at"][11:16], row["state"]) == ("10:08", "succeeded")


def test_missed_all_and_overlap_skip_no_slot() -> None:
    """A slot that comes while others are made up for waits its turn."""
    one = simulation("[run]\nmissed = 'all'\n")
    one.takes("job", 4 * MINUTE)
    one.run(at("10:05"))
    one.down(at("10:06"), at("10:45"))
    one.run(at("11:15"))
    assert [(slot, trigger) for slot, _, trigger, state in rows(one) if state == "succeeded"] == [
        ("10:00", "schedule"),
        *((slot, "missed") for slot in ("10:10", "10:20", "10:30", "10:40")),
        *((slot, "schedule") for slot in ("10:50", "11:00", "11:10")),
    ]


def test_missed_latest_makes_up_for_one() -> None:
    """The others have a row each."""
    one = simulation("")
    one.run(at("10:05"))
    one.down(at("10:06"), at("10:35"))
    one.run(at("10:41"))
    states = [(slot, trigger, state) for slot, _, trigger, state in rows(one)]
    assert states[1:3] == [("10:10", "schedule", "missed"), ("10:20", "schedule", "missed")]
    assert states[3] == ("10:30", "missed", "succeeded")


@pytest.mark.parametrize("fails", [False, True])
def test_again_after_counts_from_the_end_whatever_it_was(*, fails: bool) -> None:
    """With retries from the end of the last attempt."""
    one = simulation('[schedule]\nagain_after = "10m"\n[run]\nretry = { attempts = 2, delay = "3m" }\n')
    if fails:
        one.fail("job")
    one.takes("job", MINUTE)
    one.run(at("10:40"))
    starts = [row["started_at"][11:16] for row in one.rows("job")]
    assert starts[:4] == (["10:10", "10:14", "10:25", "10:29"] if fails else ["10:10", "10:21", "10:32"])[:4]


def test_a_retry_meets_overlap_and_counts_once_in_runs() -> None:
    """A slot that comes while an attempt waits is skipped; ``runs`` counts slots."""
    one = simulation("[run]\nretry = { attempts = 2, delay = '12m' }\n[limits]\nruns = 2\n")
    one.fail("job", slot=at("10:00"))
    one.run(at("11:00"))
    assert rows(one) == [
        ("10:00", 1, "schedule", "failed"),
        ("10:00", 2, "retry", "failed"),
        ("10:10", 1, "schedule", "skipped"),
        ("10:20", 1, "schedule", "succeeded"),
    ]


def test_slots_of_a_disabled_job_are_not_made_up_for() -> None:
    """There is no row for them either."""
    text = 'command = "true"\n[schedule]\nevery = "10m"\n'
    one = simulation("")
    one.run(at("10:15"))
    one.edit("job", f"enabled = false\n{text}")
    one.run(at("10:35"))
    one.edit("job", text)
    one.run(at("10:45"))
    assert [datetime.fromisoformat(row["slot"]).minute for row in one.rows("job")] == [0, 10, 40]
