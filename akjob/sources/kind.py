"""What the agenda asks of every kind of occurrence."""

from collections.abc import Iterator, Mapping

from msgspec import convert

from akjob.ledger.model import EndMeaning, Occurrence, Trigger, UpstreamEnd
from akjob.schedule.event import Event, Loaded
from akjob.spec.model import JobSpec

NOTHING = EndMeaning(what="nothing")


class Kind:
    """One kind of occurrence: those of an event. What does not concern a kind stays as it is here."""

    def __init__(self, event: type[Event]) -> None:
        self.event = event
        self.trigger: Trigger = convert(event.trigger, Trigger)

    part = ""
    """What the keys of its parts begin with; the upstream job's name follows."""

    @property
    def name(self) -> str:
        """The trigger's key in ``[schedule]``. The key of each of its occurrences begins with it."""
        return self.event.key

    def on_load(self, spec: JobSpec, loaded: Loaded) -> Iterator[Occurrence]:
        """Yield the occurrences that the loading of a definition comes to."""
        event = spec.schedule.event(self.event)
        for at_us in () if event is None else event.due(loaded):
            yield Occurrence(job=spec.name, key=f"{self.name}:{at_us}", at_us=at_us, trigger=self.trigger)

    def on_end(self, spec: JobSpec, parts: Mapping[str, Occurrence], ended: UpstreamEnd) -> EndMeaning:
        """Return what the end of a job that the event names means; ``parts`` are the ends kept so far, by job."""
        del spec, parts, ended
        return NOTHING

    def joins(self, spec: JobSpec) -> bool:
        """Return True if what an end means depends on the parts that are kept of other ends."""
        del spec
        return False

    def survives(self, spec: JobSpec, occurrence: Occurrence) -> bool:
        """Return True if an occurrence that is not decided yet holds under another definition of its job."""
        del occurrence
        return spec.schedule.event(self.event) is not None
