"""What is typed to search jobs: parts of the name, and words such as ``tag:db`` and ``next:<1h``."""

from collections.abc import Mapping

from msgspec import Struct

from akjob.query.sight import JobFilter
from akjob.units import parse_duration
from akjob.web.api.lists import text_of
from akjob.web.pages.summary import FAILED
from akjob.web.problems import ProblemError
from akjob.web.site import Call

STATES = (
    "failed", "running", "broken", "missed", "paused", "skipped", "cancelled", "succeeded", "ready", "disabled", "done",
)  # fmt: skip
"""The words to narrow by, what needs a person first; ``failed`` stands for all kinds of failure."""

WORDS: Mapping[str, str] = {
    "state:failed": "by what became of it, or what holds it",
    "tag:db": "repeat it to require several",
    "owner:data": "a part of the owner",
    "next:<1h": "starts within the hour",
    "last:<1h": "ended within the hour; last:>1d longer ago than a day",
}
"""The words with an example each, and what they mean."""

_MOST_PAGES = 10_000


class Search(Struct, frozen=True, kw_only=True):
    """What the list is narrowed to, as the URL has it."""

    q: str
    state: str
    sort: str
    page: int
    wanted: JobFilter


def search_of(call: Call) -> Search:
    """Return what the URL asks for. Raises ProblemError for what is too long, or a word with a wrong value."""
    page = text_of(call, "page") or "1"
    number = int(page) if page.isascii() and page.isdigit() and len(page) <= len(str(_MOST_PAGES)) else 1
    q, state = text_of(call, "q") or "", text_of(call, "state") or ""
    return Search(
        q=q,
        state=state,
        sort=text_of(call, "sort") or "",
        page=max(1, number),
        wanted=filter_of(q, state),
    )


def filter_of(q: str, state: str = "") -> JobFilter:
    """Return the filter of what is typed, and of a state that is chosen besides. Raises ProblemError."""
    parts: list[str] = []
    found: dict[str, list[str]] = {}
    for word in q.split():
        key, colon, value = word.partition(":")
        if colon and key in {"state", "tag", "owner", "next", "last"}:
            found.setdefault(key, []).append(value)
        else:
            parts.append(word)
    last = found.get("last", [""])[-1]
    states = [frozenset(_kinds(one)) for one in (*found.get("state", ()), *((state,) if state else ()))]
    return JobFilter(
        part=" ".join(parts) or None,
        tags=tuple(found.get("tag", ())),
        shown=frozenset.intersection(*states) if states else None,
        owner=found.get("owner", [None])[-1],
        next_within_us=_distance("next", found["next"][-1], "<") if "next" in found else None,
        ended_within_us=_distance("last", last, "<") if last and not last.startswith(">") else None,
        ended_before_us=_distance("last", last, ">") if last.startswith(">") else None,
    )


def _kinds(state: str) -> frozenset[str]:
    return FAILED if state == "failed" else frozenset({state})


def _distance(word: str, text: str, sign: str) -> int:
    """Return the duration of ``<1h``. Raises ProblemError."""
    try:
        return parse_duration(text.removeprefix(sign))
    except ValueError:
        said = f"{word}:{text[:40]} is not a duration"
        raise ProblemError("bad-parameter", said, f"Write {word}:{sign}1h30m, or leave it out.") from None
