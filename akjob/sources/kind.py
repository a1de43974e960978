"""What the agenda asks of every kind of occurrence."""

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct, convert

from akjob.ledger.model import Occurrence, State, Trigger
from akjob.schedule.event import Event, Loaded
from akjob.spec.model import JobSpec


class UpstreamEnd(Struct, frozen=True, kw_only=True):
    """The end of a slot's last attempt, or of ``count`` slots up to ``slot_last_us`` that were skipped or missed."""

    job: str
    run: str
    state: State
    slot_us: int
    slot_last_us: int
    at_us: int
    count: int = 1


class EndMeaning(Struct, frozen=True, kw_only=True):
    """What an end means for a job that runs after it.

    ``nothing``; ``keep`` the part in ``occurrence``; the job is ``due`` by ``occurrence``; or it would have been, but
    for this end: a ``misfit``. ``used`` are the parts that are used up with it.
    """

    what: Literal["nothing", "keep", "due", "misfit"]
    occurrence: Occurrence | None = None
    used: tuple[Occurrence, ...] = ()


NOTHING = EndMeaning(what="nothing")


class Kind:
    """One kind of occurrence: those of an event. What does not concern a kind stays as it is here."""

    def __init__(self, event: type[Event]) -> None:
        self.event = event
        self.trigger: Trigger = convert(event.trigger, Trigger)

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

    def survives(self, spec: JobSpec, occurrence: Occurrence) -> bool:
        """Return True if an occurrence that is not decided yet holds under another definition of its job."""
        del occurrence
        return spec.schedule.event(self.event) is not None
