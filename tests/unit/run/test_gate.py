"""The gate of a run, on a clock that is an argument."""

import pytest

from akjob.run.gate import BEGINNING_US, PATIENCE_US, Gate

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


def test_nothing_is_heard_while_a_job_begins() -> None:
    """From its wait at the gate until it has begun; then the shim wakes, and hears that it passed."""
    gate = Gate(SLOT, imports_ahead=False)
    assert gate.is_quiet(SLOT - 250_000)
    assert gate.wait_s(SLOT - 250_000) == 0.25 + BEGINNING_US / 1e6
    assert gate.is_quiet(SLOT + BEGINNING_US - 1)
    assert not gate.is_quiet(SLOT + BEGINNING_US)
    assert gate.wait_s(SLOT + BEGINNING_US) == (PATIENCE_US - BEGINNING_US) / 1e6


def test_a_job_that_imports_is_heard() -> None:
    """What it logs is shown while it imports, and its shim learns that it is ready."""
    gate = Gate(SLOT, imports_ahead=True)
    assert not gate.is_quiet(SLOT - 250_000)
    gate.ready = True
    assert gate.is_quiet(SLOT - 250_000)
