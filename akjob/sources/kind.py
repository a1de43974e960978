"""What the agenda asks of every kind of occurrence."""

from collections.abc import Iterator

from akjob.ledger.model import Occurrence
from akjob.schedule.events import Loaded
from akjob.spec.model import JobSpec


class Kind:
    """One kind of occurrence. What does not concern a kind stays as it is here."""

    name = ""
    """The trigger's key in ``[schedule]``. The key of each of its occurrences begins with it."""

    def on_load(self, spec: JobSpec, loaded: Loaded) -> Iterator[Occurrence]:
        """Yield the occurrences that the loading of a definition comes to."""
        del spec, loaded
        yield from ()

    def survives(self, spec: JobSpec, occurrence: Occurrence) -> bool:
        """Return True if an occurrence that is not decided yet holds under another definition of its job."""
        raise NotImplementedError
