"""How far ahead orders go out: a value of what the machine needed lately."""

import pytest

from akjob.run.early import AWAKE_US, LEAST_US, MOST_US, Early


def after(*needed: int) -> int:
    """Return how far ahead orders go out after these times."""
    early = Early()
    for one in needed:
        early.add(one)
    return early.us


@pytest.mark.parametrize(
    ("needed", "us"),
    [
        ((), LEAST_US),
        ((1_500, 2_000), LEAST_US),
        ((1_500, 90_000), 95_000),
        ((5_000_000,), MOST_US),
        ((-1, 61_000_000), LEAST_US),  # the clock was set meanwhile
    ],
)
def test_what_was_needed_within_bounds(needed: tuple[int, ...], us: int) -> None:
    """Never less than 20 ms, never more than a second; akjobd itself needs a moment to wake."""
    assert after(*needed) == us


def test_other_bounds() -> None:
    """What is known of nothing, and the least and the most."""
    early = Early(50, 10_000, 20_000)
    found = [early.us]
    for needed in (1, 8_000, 90_000):
        early.add(needed)
        found.append(early.us)
    assert found == [50, 10_000, 13_000, 20_000]


def test_one_in_a_hundred_may_be_late() -> None:
    """The 99th percentile, not the worst."""
    assert after(*[30_000] * 99, 800_000) == 35_000
    assert after(*[30_000] * 98, 800_000) == 805_000


def test_what_was_needed_long_ago_is_forgotten() -> None:
    """A machine that is warm again needs no more than before."""
    assert after(900_000, 900_000, *[30_000] * 128) == 35_000


def test_a_lone_run_stays_awake_before_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another one starts in the same moment, or orders go out together, all sleep: they share the processors."""
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    early = Early()
    second = 1_000_000
    assert early.awake_us([]) == 0
    assert early.awake_us([second]) == AWAKE_US
    assert early.awake_us([second + 5_000]) == 0
    assert early.awake_us([2 * second, 2 * second]) == 0
    assert early.awake_us([3 * second]) == AWAKE_US
    assert early.awake_us([2 * second]) == AWAKE_US  # the clock was set back


def test_all_but_one_processor_may_stay_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is for everything else; a machine of one processor has none to spare, but a lone run may."""
    second = 1_000_000
    for processors, together, awake in ((8, 7, True), (8, 8, False), (1, 1, True), (1, 2, False)):
        monkeypatch.setattr("os.cpu_count", lambda count=processors: count)
        assert (Early().awake_us([second] * together) == AWAKE_US) is awake, (processors, together)
