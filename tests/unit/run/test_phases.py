"""The life of a shim's run is a table: every phase can be reached, and every one leads to the end."""

from akjob.run import shim


def reachable(phase: str) -> set[str]:
    """Return the phases that can follow a phase, itself included."""
    found, fresh = set[str](), {phase}
    while fresh:
        found |= fresh
        fresh = {to for (source, _), to in shim.PHASES.items() if source in fresh} - found
    return found


def test_every_phase_leads_to_the_end() -> None:
    """From the first one all others are reached; the last is left by nothing."""
    phases = {source for source, _ in shim.PHASES} | set(shim.PHASES.values())
    assert reachable(shim.GATED) == phases
    assert all(shim.OVER in reachable(phase) for phase in phases)
    assert reachable(shim.OVER) == {shim.OVER}


def test_nothing_leads_back() -> None:
    """A run that was told to end does not run again, and one that has ended does not begin."""
    order = [shim.GATED, shim.RUNNING, shim.STOPPING, shim.CLEARING, shim.OVER]
    assert all(order.index(source) <= order.index(to) for (source, _), to in shim.PHASES.items())


def test_the_table_in_the_head_is_the_table() -> None:
    """Each phase and each event is named in the module's docstring."""
    head = shim.__doc__ or ""
    phases = {source for source, _ in shim.PHASES} | set(shim.PHASES.values())
    assert [phase for phase in phases if f"``{phase}``" not in head] == []
    events = {event.removeprefix("job ") for _, event in shim.PHASES}
    assert [event for event in events if event not in head] == []
