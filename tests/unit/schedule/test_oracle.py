"""The engine against a walk through real time, on random schedules, limits, zones and changes of the clock."""

from itertools import pairwise
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from akjob.instants import from_datetime
from akjob.schedule import compile_schedule, count_between, next_slot, slots_between
from tests.unit.schedule.cases import Case, make_case
from tests.unit.schedule.oracle import slots

CASES = st.integers(0, 2**64).map(lambda seed: make_case(Random(seed)))  # noqa: S311 - repeatable, no secret
MODERATE = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def _found(case: Case) -> list[int]:
    start, end = from_datetime(case.start) - 1, from_datetime(case.end) - 1
    return slots_between(compile_schedule(case.schedule), start, end, 1_000_000)


@given(CASES)
@MODERATE
def test_the_slots_are_those_of_the_walk(case: Case) -> None:
    """Every slot that a walk finds is one, at the same microsecond, and there is no other."""
    assert _found(case) == slots(*case)


@given(CASES)
@MODERATE
def test_slots_strictly_increase(case: Case) -> None:
    """No slot comes twice, none comes late."""
    found = _found(case)
    assert all(earlier < later for earlier, later in pairwise(found))


@given(CASES, st.integers(0, 2**32))
@MODERATE
def test_a_restart_in_the_middle_changes_nothing(case: Case, seed: int) -> None:
    """Asking from any instant gives the rest of the same sequence."""
    found = _found(case)
    plan = compile_schedule(case.schedule)
    end = from_datetime(case.end) - 1
    random = Random(seed)  # noqa: S311 - repeatable, no secret
    for _ in range(5):
        after = (
            random.choice(found)
            if found and random.random() < 0.5
            else random.randrange(from_datetime(case.start), end)
        )
        rest = [slot for slot in found if slot > after]
        assert slots_between(plan, after, end, 50) == rest[:50]
        if rest:
            assert next_slot(plan, after) == rest[0]


@given(CASES)
@MODERATE
def test_counting_agrees_with_listing(case: Case) -> None:
    """The count, the first and the last are those of the list."""
    found = _found(case)
    expected = (len(found), found[0], found[-1]) if found else (0, None, None)
    start, end = from_datetime(case.start) - 1, from_datetime(case.end) - 1
    assert count_between(compile_schedule(case.schedule), start, end) == expected
