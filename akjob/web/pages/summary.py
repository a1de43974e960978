"""What needs attention: one look over all jobs that the reader may know of."""

from collections import Counter

from msgspec import Struct

from akjob.query.jobs import JobView
from akjob.query.sight import JobFilter, Sight
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
    counts: Counter[str] = Counter()
    broken = running = total = 0
    for view in sight.jobs(JobFilter()):
        total += 1
        counts[shown_state(view)] += 1
        broken += view.broken is not None
        running += bool(view.running)
    failed = sum(counts[state] for state in FAILED)
    attention = []
    if failed:
        attention.append((f"{plural(failed, 'job')} failed", "/?state=failed"))
    if broken:
        attention.append((f"{plural(broken, 'job')} with a broken file", "/broken"))
    if counts["missed"]:
        attention.append((f"{plural(counts['missed'], 'job')} missed a slot", "/?state=missed"))
    return Summary(total=total, broken=broken, running=running, states=dict(counts), attention=tuple(attention))


def shown_state(view: JobView) -> str:
    """Return the one word for a job: what needs a person first, then what runs, then what became of it last."""
    if view.state in {"broken", "disabled", "paused", "done"}:
        return view.state
    if view.running:
        return "running"
    return "ready" if view.last is None else view.last[0]
