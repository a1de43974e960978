"""What waits in the outbox, and when its time comes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.instants import DAY, HOUR, MINUTE, SECOND, from_text
from akjob.notify.outbox import PING, Outbox

NOW = from_text("2026-03-02T09:30:00Z")


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """Return an outbox of its own."""
    made = Outbox(tmp_path / "notify.db")
    yield made
    made.close()


def ping(outbox: Outbox, event: str, run: str) -> str:
    """Put a ping in; return its id."""
    return outbox.post(f"{PING}a", "ping", ["a"], {"event": event, "run": run}, NOW)


def due(outbox: Outbox, now_us: int) -> list[str]:
    """Return the ids of what is due."""
    return [one.id for one in outbox.due(now_us)]


def test_the_end_of_a_run_is_not_pinged_before_its_start(outbox: Outbox) -> None:
    """A start that arrived later would look like a run under way. Other runs' pings wait for neither."""
    start, end, other = ping(outbox, "run", "1"), ping(outbox, "complete", "1"), ping(outbox, "run", "2")
    assert due(outbox, NOW) == [start, other]
    for delivery in outbox.due(NOW):
        outbox.failed(delivery, "503", NOW)
    assert due(outbox, NOW + 9 * SECOND) == []
    assert outbox.wake_us() == NOW + 10 * SECOND
    assert outbox.wake_us({f"{PING}a"}) is None
    outbox.sent(outbox.due(NOW + 10 * SECOND)[0], NOW + 10 * SECOND)
    assert due(outbox, NOW + 10 * SECOND) == [end, other]


def test_a_ping_is_tried_five_times(outbox: Outbox) -> None:
    """At once, then after 10 s, 1, 5 and 15 minutes; its end has its own five tries after that."""
    start, end = ping(outbox, "run", "1"), ping(outbox, "fail", "1")
    tries, now = [], NOW
    while (found := outbox.due(now)) and found[0].id == start:
        tries.append(now - NOW)
        outbox.failed(found[0], "503", now)
        now = outbox.wake_us() or 0
        now = max(now, NOW)
        if due(outbox, now) == [end]:
            break
    waits = [0, 10 * SECOND, MINUTE + 10 * SECOND, 6 * MINUTE + 10 * SECOND, 21 * MINUTE + 10 * SECOND]
    assert tries == waits
    assert outbox.counts() == {}


def test_a_message_is_tried_for_a_day(outbox: Outbox) -> None:
    """After 10 s, 1, 5, 15 minutes and then each hour; then it is dead, which the status shows for a week."""
    outbox.post("ops", "failed", ["a"], {"id": ""}, NOW)
    waits, now = [], NOW
    while found := outbox.due(now):
        state = outbox.failed(found[0], "451", now)
        if state == "dead":
            break
        later = outbox.wake_us() or 0
        waits.append(later - now)
        now = later
    assert waits[:5] == [10 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR]
    assert set(waits[5:]) == {HOUR}
    assert DAY <= now - NOW < DAY + HOUR
    assert outbox.standing(now + MINUTE).dead == 1
    assert outbox.standing(now + 8 * DAY).dead == 0
    assert outbox.counts() == {("ops", "dead"): 1}
