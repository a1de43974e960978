"""What needs attention among all jobs that the reader may know of."""

from collections.abc import Iterator

from msgspec import Struct

from akjob.control.status import BrokenFile
from akjob.instants import from_text, to_datetime
from akjob.query.delays import LONG, Delay
from akjob.query.sight import Sight
from akjob.query.text import plural, span

FAILED = frozenset({"failed", "timed_out", "lost"})
_SHORT = 8

Notice = tuple[str, str]
"""What needs attention, and the page that shows it."""


class Summary(Struct, frozen=True, kw_only=True):
    """Counts over all jobs. ``states`` has each state that a filter offers; ``attention`` is text and link."""

    total: int
    broken: int
    running: int
    states: dict[str, int]
    attention: tuple[Notice, ...]

    @property
    def trouble(self) -> int:
        """How many jobs need a person."""
        return self.broken + sum(self.states.get(state, 0) for state in FAILED)


NOTHING = Summary(total=0, broken=0, running=0, states={}, attention=())
"""What is said where the jobs cannot be read."""


def summarize(sight: Sight) -> Summary:
    """Return what there is to say of all jobs together."""
    tally = sight.tally()
    return Summary(
        total=tally.states.total(),
        broken=tally.broken,
        running=tally.running,
        states=dict(tally.states),
        attention=tuple(_attention(sight, tally.states, tally.broken)),
    )


def _attention(sight: Sight, states: dict[str, int], broken: int) -> Iterator[Notice]:
    failed = sum(states.get(state, 0) for state in FAILED)
    if failed:
        yield f"{plural(failed, 'job')} failed", "/?state=failed"
    late = sight.late()
    if late:
        yield _late(late), "/?q=late:"
    long = sight.long()
    if long:
        yield _long(long), f"/?q=slow:{LONG}+state:running"
    if broken:
        yield _broken(sight, sight.broken()), "/broken"
    if states.get("missed"):
        yield f"{plural(states['missed'], 'job')} missed a slot", "/?state=missed"


def _late(late: list[Delay]) -> str:
    most = span(late[0].by_us)
    return f"{len(late)} late by {'up to ' if len(late) > 1 else ''}{most}"


def _long(long: list[Delay]) -> str:
    if len(long) == 1:
        return f"1 running {long[0].times:.0f}× its usual"
    return f"{len(long)} running {LONG}× their usual or longer"


def _broken(sight: Sight, refused: list[BrokenFile]) -> str:
    """Return how many files are broken, since when, by whom and in which commit the newest of them came."""
    newest = max(refused, key=lambda one: one.since)
    files = len({one.file for one in refused})
    at = to_datetime(from_text(newest.since))
    is_today = at.date() == to_datetime(sight.now_us).date()
    since = f"{at:%H:%M} UTC" if is_today else f"{at:%Y-%m-%d %H:%M} UTC"
    commit = newest.git_commit
    note = None if commit is None or newest.git_dirty else sight.commit(commit)
    whose = "" if note is None else f" by {note.author} ({note.commit[:_SHORT]})"
    if commit is not None and newest.git_dirty:
        whose = f" (not committed, after {commit[:_SHORT]})"
    return f"{plural(files, 'file')} broken{', the newest' if files > 1 else ''} since {since}{whose}"
