"""The gate of a run, on a clock that is an argument."""

import pytest

from akjob.run.gate import PATIENCE_US, Gate

SLOT = 1_700_000_000_000_000


@pytest.mark.parametrize(
    ("imports_ahead", "ready", "opens_after_us"),
    [
        (False, False, PATIENCE_US),  # the job passes it by itself; its shim waits for that
        (True, False, 0),  # its code is not imported yet: the run begins all the same
        (True, True, PATIENCE_US),
    ],
)
def test_when_the_shim_opens_it(*, imports_ahead: bool, ready: bool, opens_after_us: int) -> None:
    """Not a microsecond earlier."""
    gate = Gate(SLOT, imports_ahead=imports_ahead)
    gate.ready = gate.ready or ready
    assert not gate.opens(SLOT + opens_after_us - 1)
    assert gate.opens(SLOT + opens_after_us)


def test_an_instant_that_has_passed_is_not_ahead() -> None:
    """0 means at once."""
    assert Gate(SLOT, imports_ahead=False).is_ahead(SLOT - 1)
    assert not Gate(SLOT, imports_ahead=False).is_ahead(SLOT)
    assert not Gate(0, imports_ahead=False).is_ahead(SLOT)


def test_a_long_wait_is_looked_at_now_and_then() -> None:
    """The wall clock can be set meanwhile; a wait that is over is none."""
    gate = Gate(SLOT, imports_ahead=True)
    assert gate.wait_s(SLOT - 3_600_000_000) == 1.0
    assert gate.wait_s(SLOT - 250_000) == 0.25
    assert gate.wait_s(SLOT + 1) == 0.0
