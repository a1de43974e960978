"""What the transitions of a job and of akjobd say of an instant in the past."""

from collections.abc import Sequence

from msgspec import Struct

from akjob.instants import from_text
from akjob.ledger import Transition

_DEFINES = ("loaded", "changed", "repaired")


class PauseThen(Struct, frozen=True, kw_only=True):
    """A pause that held at an instant in the past."""

    since_us: int
    by: str
    reason: str


class Down(Struct, frozen=True, kw_only=True):
    """A time in which akjobd was down. ``since_us`` is None where it did not end in order; ``until_us``: until now."""

    since_us: int | None
    until_us: int | None


def pause_at(events: Sequence[Transition], at_us: int) -> PauseThen | None:
    """Return the pause that held at an instant; None where there was none, or nothing is known of it."""
    for event in reversed(events):
        if event.kind != "job" or event.at_us > at_us or event.to_state not in {"paused", "resumed"}:
            continue
        until = event.detail.until
        if event.to_state == "resumed" or (until is not None and from_text(until) <= at_us):
            return None
        return PauseThen(since_us=event.at_us, by=event.detail.by or "", reason=event.detail.reason or "")
    return None


def definition_at(events: Sequence[Transition], at_us: int) -> str | None:
    """Return the hash of the definition that was loaded at an instant; None where that is not known."""
    for event in reversed(events):
        if event.kind == "job" and event.at_us <= at_us and event.to_state in _DEFINES:
            return event.detail.definition_sha256
    return None


def was_removed(events: Sequence[Transition], at_us: int) -> bool:
    """Return True if the job had no file at an instant, as far as it is known."""
    past = [event for event in events if event.kind == "job" and event.at_us <= at_us]
    states = [event.to_state for event in past if event.to_state in {*_DEFINES, "removed"}]
    return bool(states) and states[-1] == "removed"


def was_done(events: Sequence[Transition], at_us: int) -> bool:
    """Return True if the job had had all its ``runs`` before an instant."""
    return any(event.kind == "job" and event.to_state == "done" and event.at_us <= at_us for event in events)


def down_at(events: Sequence[Transition], at_us: int, seen_us: int | None) -> Down | None:
    """Return the downtime that an instant lies in. ``seen_us`` is when akjobd came to it; None: it has not yet.

    An akjobd that was killed leaves no word of its end: a start between the instant and ``seen_us`` tells all the same.
    """
    daemon = [event for event in events if event.kind == "daemon"]
    before = [event for event in daemon if event.at_us <= at_us]
    starts = [event.at_us for event in daemon if event.to_state == "started" and event.at_us > at_us]
    starts = [start_us for start_us in starts if seen_us is None or start_us <= seen_us]
    stopped_us = before[-1].at_us if before and before[-1].to_state == "stopping" else None
    if stopped_us is None and not starts:
        return None
    return Down(since_us=stopped_us, until_us=starts[0] if starts else None)
