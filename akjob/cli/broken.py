"""What is broken, printed the same way by ``status``, ``list`` and ``next``: what was refused, and since when."""

from collections.abc import Iterable, Iterator

from akjob.cli.text import paint
from akjob.control.status import BrokenFile
from akjob.errors import escape_control
from akjob.query.broken import Mistake, mistakes
from akjob.query.text import plural, relative

_NAMED = 3  # so many of the jobs that one mistake costs are named
_SHORT = 12
_KEPT = {None: "", True: "; the last good version runs", False: "; nothing of it runs"}


def lines(refused: Iterable[BrokenFile], now_us: int, *, colour: bool) -> Iterator[str]:
    """Yield each mistake once, with the jobs that it costs; a mistake in defaults may cost many."""
    for mistake in mistakes(refused):
        yield paint(escape_control(f"{mistake.place}: {mistake.message}"), "red", on=colour)
        yield f"  {escape_control(_names(mistake.jobs))}{_consequence(mistake, now_us)}"


def origin(commit: str | None, *, dirty: bool | None, short: int | None = _SHORT) -> str:
    """Return which commit a refused version is from; empty where there is none."""
    if commit is None:
        return ""
    return f"not committed, changed after commit {commit[:short]}" if dirty else f"from commit {commit[:short]}"


def _consequence(mistake: Mistake, now_us: int) -> str:
    if not mistake.jobs:
        return "the default is used instead"
    source = origin(mistake.git_commit, dirty=mistake.git_dirty)
    since = f"refused {relative(mistake.since_us, now_us)}"
    return since + (f", {source}" if source else "") + _KEPT[mistake.running_last_good]


def _names(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    named = ", ".join(names[:_NAMED]) + more
    return f"{named}, " if len(names) == 1 else f"{plural(len(names), 'job')}: {named}; each "
