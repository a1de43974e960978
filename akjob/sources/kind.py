"""What the agenda asks of every kind of occurrence."""

from collections.abc import Iterator

from msgspec import Struct

from akjob.ledger.model import Occurrence
from akjob.spec.model import JobSpec


class Loaded(Struct, frozen=True, kw_only=True):
    """The loading of a definition, as the kinds of occurrences see it.

    ``started_us`` is akjobd's start, ``boot_us`` the instant that stands for the machine's boot (None: unknown).
    ``first``: akjobd has just started; ``booted``: and no akjobd has since the boot; ``is_new``: the job has no
    history; ``watermark_us`` is the instant up to which all is accounted for.
    """

    now_us: int
    started_us: int
    boot_us: int | None
    first: bool
    booted: bool
    is_new: bool
    watermark_us: int


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
