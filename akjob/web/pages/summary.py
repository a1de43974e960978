"""What needs attention among all jobs that the reader may know of."""

from msgspec import Struct

from akjob.query.sight import Sight
from akjob.query.text import plural

FAILED = frozenset({"failed", "timed_out", "lost"})


class Summary(Struct, frozen=True, kw_only=True):
    """Counts over all jobs. ``states`` has each state that a filter offers; ``attention`` is text and link."""

    total: int
    broken: int
    running: int
    states: dict[str, int]
    attention: tuple[tuple[str, str], ...]

    @property
    def trouble(self) -> int:
        """How many jobs need a person."""
        return self.broken + sum(self.states.get(state, 0) for state in FAILED)


NOTHING = Summary(total=0, broken=0, running=0, states={}, attention=())
"""What is said where the jobs cannot be read."""


def summarize(sight: Sight) -> Summary:
    """Return what there is to say of all jobs together."""
    tally = sight.tally()
    counts, broken = tally.states, tally.broken
    failed = sum(counts[state] for state in FAILED)
    attention = []
    if failed:
        attention.append((f"{plural(failed, 'job')} failed", "/?state=failed"))
    if broken:
        attention.append((f"{plural(broken, 'job')} with a broken file", "/broken"))
    if counts["missed"]:
        attention.append((f"{plural(counts['missed'], 'job')} missed a slot", "/?state=missed"))
    return Summary(
        total=counts.total(), broken=broken, running=tally.running, states=dict(counts), attention=tuple(attention)
    )
