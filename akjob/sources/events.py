"""``on_start``, ``on_boot`` and what else :mod:`akjob.schedule.events` has: due at a loading."""

from collections.abc import Iterator

from akjob.ledger.model import Occurrence
from akjob.schedule.events import Event, Loaded
from akjob.sources.kind import Kind
from akjob.spec.model import JobSpec


class AnEvent(Kind):
    """The occurrences of one event."""

    def __init__(self, event: Event) -> None:
        self.name = event.name
        self._event = event

    def on_load(self, spec: JobSpec, loaded: Loaded) -> Iterator[Occurrence]:
        """Yield the event, or the instant that the job wants after it, where the loading makes the job due."""
        delay_us = spec.schedule.delay_us(self.name)
        if delay_us is None:
            return
        for at_us in self._event.due(delay_us, loaded):
            yield Occurrence(job=spec.name, key=f"{self.name}:{at_us}", at_us=at_us, trigger="start")

    def survives(self, spec: JobSpec, occurrence: Occurrence) -> bool:
        """Return True if the job still has this trigger."""
        del occurrence
        return spec.schedule.delay_us(self.name) is not None
