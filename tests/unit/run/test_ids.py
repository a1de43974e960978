"""Run ids sort by time and are never alike."""

from akjob.run.ids import RunIds


def test_ids_grow_within_a_millisecond_and_when_the_clock_goes_back() -> None:
    """Each id is greater than the one before, whatever the clock does."""
    make = RunIds()
    ids = [make(instant) for instant in (5_000_000, 5_000_000, 5_000_001, 4_000_000, 6_000_000)]
    assert ids == sorted(set(ids))
    assert {len(one) for one in ids} == {16}


def test_ids_of_different_processes_sort_by_their_instants() -> None:
    """An id made later sorts later, whoever made it."""
    assert RunIds()(1_000_000) < RunIds()(1_001_000) < RunIds()(1_800_000_000_000_000)


def test_two_processes_do_not_make_the_same_id() -> None:
    """Chance tells the ids of one instant apart."""
    assert len({RunIds()(1_000_000) for _ in range(100)}) == 100
