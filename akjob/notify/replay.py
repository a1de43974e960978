"""What would have been told: what the ledger keeps, through today's settings. Nothing is sent."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from akjob.config import Config
from akjob.instants import from_text, to_text
from akjob.jobset.garbage import without_collections
from akjob.ledger import Detail, Outcome, Reader, Transition
from akjob.notify.facts import JobFacts
from akjob.notify.gathering import GATHER_US, Pace, Parcel, paces_of, ripen
from akjob.notify.model import FAILURES, Note
from akjob.notify.policy import LONG_AT_LEAST_US, Policy
from akjob.run.ids import first_id
from akjob.spec.model import Notify
from akjob.units import parse_duration


class Sent(Struct, frozen=True, kw_only=True):
    """One message: when it goes out (UTC text), to which channel, of what kind, about which jobs."""

    at: str
    channel: str
    kind: str
    jobs: tuple[str, ...]


@without_collections()
def replay(reader: Reader, facts: JobFacts, config: Config, since_us: int, until_us: int) -> list[Sent]:
    """Return the messages that the ledger would have led to in this time, in order."""
    policy = Policy(rules=facts.notify, jitter_us=facts.jitter_us, usual_us=facts.usual_us)
    desk = _Desk(paces_of(config), since_us)
    jobs = reader.jobs()
    facts.take(jobs)
    late_us = _least((row["definition"] for row in jobs.values()), "late_after", Notify().late_after_us)
    long_us = _least((row["definition"] for row in jobs.values()), "long_after", LONG_AT_LEAST_US)
    named = [name for name, row in jobs.items() if '"succeeded"' in row["definition"]]
    outcomes = reader.outcomes(first_id(since_us), late_us, long_us, named)
    for change in sorted([*reader.events(), *transitions(outcomes)], key=lambda change: change.at_us):
        while policy.wake_us is not None and policy.wake_us <= change.at_us:
            desk.add(policy.tick(policy.wake_us), facts)
        policy.take((change,))
        desk.add(policy.take_notes(), facts)
    while policy.wake_us is not None and policy.wake_us <= until_us:
        desk.add(policy.tick(policy.wake_us), facts)
    desk.close()
    return sorted(desk.sent, key=lambda one: (one.at, one.channel))


def _least(definitions: Iterable[str], key: str, default_us: int) -> int:
    """Return the least that a key of any job has: to parse thousands of definitions for it would take too long."""
    found = re.findall(rf'^{key} = "(\w+)"', "\n".join(definitions), re.MULTILINE)
    return min([default_us, *(parse_duration(text) for text in set(found) - {"auto"})])


def transitions(outcomes: Sequence[Outcome]) -> list[Transition]:
    """Return the starts and ends that rows stand for, in the order of time."""
    attempts: dict[tuple[str, str], int] = {}
    for one in outcomes:
        key = (one.job, one.slot)
        attempts[key] = max(one.attempt, attempts.get(key, 0))
    changes = []
    for one in outcomes:
        retried = one.state in FAILURES and one.attempt < attempts[one.job, one.slot]
        if one.started_at is not None:
            started_us = from_text(one.started_at)
            trigger = Detail(trigger=one.trigger)
            # What akjobd came to late was not queued before: it was down, or asleep.
            queued_us = started_us if one.trigger == "missed" else min(from_text(one.slot), started_us)
            changes.append(_change(one, "queued", queued_us, trigger))
            changes.append(_change(one, "running", started_us, trigger))
        end = Detail(trigger=one.trigger, count=one.count, retried=retried)
        changes.append(_change(one, one.state, from_text(one.ended_at), end))
    return sorted(changes, key=lambda change: change.at_us)


def _change(one: Outcome, state: Any, at_us: int, detail: Detail) -> Transition:
    return Transition(
        at_us=at_us,
        kind="run",
        to_state=state,
        job=one.job,
        run=one.id,
        slot_us=from_text(one.slot),
        attempt=one.attempt,
        detail=detail,
    )


class _Desk:
    """The parcels of all channels, filled and sealed on the clock of the replay."""

    def __init__(self, paces: Mapping[str, Pace], since_us: int) -> None:
        self._paces = paces
        self._since_us = since_us
        self._open: dict[str, tuple[Parcel, list[Note]]] = {}
        self._sealed_us: dict[str, list[int]] = {}
        self.sent: list[Sent] = []

    def add(self, notes: Sequence[Note], facts: JobFacts) -> None:
        for note in notes:
            if note.at_us < self._since_us:
                continue
            for channel in facts.notify(note.job).channels:
                self._seal(channel, note.at_us)
                parcel = Parcel(id="", channel=channel, opened_us=note.at_us, due_us=note.at_us + GATHER_US)
                self._open.setdefault(channel, (parcel, []))[1].append(note)

    def close(self) -> None:
        """Send what is still open when its time comes."""
        for channel in list(self._open):
            while channel in self._open:
                self._seal(channel, self._open[channel][0].due_us)

    def _seal(self, channel: str, now_us: int) -> None:
        while channel in self._open and self._open[channel][0].due_us <= now_us:
            parcel, notes = self._open[channel]
            at_us, sealed = parcel.due_us, self._sealed_us.setdefault(channel, [])
            if not ripen(parcel, self._paces.get(channel, Pace()), sealed, at_us):
                continue
            del self._open[channel]
            sealed.append(at_us)
            kinds = {note.kind for note in notes}
            jobs = tuple(dict.fromkeys(note.job for note in notes))
            kind = kinds.pop() if len(kinds) == 1 else "several"
            self.sent.append(Sent(at=to_text(at_us), channel=channel, kind=kind, jobs=jobs))
