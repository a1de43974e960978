"""What is broken, told the same way by ``status``, ``list`` and ``show``: what was refused, since when, from where."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from akjob.cli.text import paint, plural, relative
from akjob.errors import visible
from akjob.instants import from_text

_NAMED = 3  # so many of the jobs that one mistake costs are named
_SHORT = 12


def lines(refusals: Iterable[Mapping[str, Any]], now_us: int, *, colour: bool) -> Iterator[str]:
    """Yield each mistake once, with the jobs that it costs; a mistake in defaults may cost many."""
    jobs: dict[tuple[str, str], list[str | None]] = {}
    for one in refusals:
        place = f"{one['file']}:{one['line']}:{one['column']}: {one['message']}"
        jobs.setdefault((place, _what_of_it(one, now_us)), []).append(one["job"])
    for (place, what), names in jobs.items():
        yield paint(visible(place), "red", on=colour)
        yield f"  {visible(_names(names))}{what}"


def origin(commit: str | None, *, dirty: bool | None, short: int | None = _SHORT) -> str:
    """Say which commit a refused version is from: nothing where there is none."""
    if commit is None:
        return ""
    return f"not committed, changed after commit {commit[:short]}" if dirty else f"from commit {commit[:short]}"


def _what_of_it(one: Mapping[str, Any], now_us: int) -> str:
    since = f"refused {relative(from_text(one['since']), now_us)}"
    if one["job"] is None:
        return "the default is in its place"
    source = origin(one.get("git_commit"), dirty=one.get("git_dirty"))
    kept = {None: "", True: "; the last good version runs", False: "; nothing of it runs"}
    return since + (f", {source}" if source else "") + kept[one.get("running_last_good")]


def _names(names: list[str | None]) -> str:
    known = [name for name in names if name is not None]
    if not known:
        return ""
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    named = ", ".join(known[:_NAMED]) + more
    return f"{named}, " if len(known) == 1 else f"{plural(len(known), 'job')}: {named}; each "
