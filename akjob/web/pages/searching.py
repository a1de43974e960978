"""What is typed to search jobs: parts of the name, and words such as ``tag:db`` and ``next:<1h``."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from msgspec import Struct

from akjob.query.orders import ORDERS, By
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
    "slow:": "took twice as long as usual, or longer; slow:5 five times",
    "late:": "is due and has not started",
    "paused:": "is paused",
    "broken:": "has a file that cannot be loaded",
    "commit:1a2b3c": "has a file that the commit touched",
}
"""The words with an example each, and what they mean."""

SLOW = 2.0
"""So many times as long as usual is slow."""

_KEYS = frozenset(word.partition(":")[0] for word in WORDS)
_COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")
_MOST_PAGES = 10_000


class Search(Struct, frozen=True, kw_only=True):
    """What the list is narrowed to, as the URL has it."""

    q: str
    state: str
    sort: str
    page: int
    folder: str | None
    wanted: JobFilter

    def url(self, **other: str | int | None) -> str:
        """Return the list with something else in its URL; an empty value is left out."""
        values = {"q": self.q, "state": self.state, "sort": self.sort} | other
        query = urlencode({name: value for name, value in values.items() if value not in ("", None)})
        return f"/?{query}" if query else "/"

    def sorted_by(self, name: str) -> str:
        """Return the list in another order, or in the same one turned round."""
        return self.url(sort=f"-{name}" if self.sort == name or (name == "job" and not self.sort) else name)

    @property
    def by(self) -> By | None:
        """The order, None for that of the names."""
        name = self.sort.removeprefix("-")
        return next((one for one in ORDERS if one == name), None)

    @property
    def backwards(self) -> bool:
        """True if the order is turned round."""
        return self.sort.startswith("-")


class Condition(NamedTuple):
    """One word of a search, and the search without it."""

    word: str
    without: str


def search_of(call: Call) -> Search:
    """Return what the URL asks for. Raises ProblemError for what is too long, or a word with a wrong value."""
    page = text_of(call, "page") or "1"
    number = int(page) if page.isascii() and page.isdigit() and len(page) <= len(str(_MOST_PAGES)) else 1
    q, state = text_of(call, "q") or "", text_of(call, "state") or ""
    sort = text_of(call, "sort") or ""
    return Search(
        q=q,
        state=state,
        sort=sort if sort.removeprefix("-") in {*ORDERS, "job"} else "",
        page=max(1, number),
        folder=None if call.query("folder") is None else (text_of(call, "folder") or "").strip("/"),
        wanted=filter_of(q, state),
    )


def conditions_of(q: str) -> list[Condition]:
    """Return the words of a search, each with what is left without it."""
    words = q.split()
    return [Condition(word, " ".join(words[:at] + words[at + 1 :])) for at, word in enumerate(words)]


def filter_of(q: str, state: str = "", folder: str = "") -> JobFilter:
    """Return the filter of what is typed, and of a state and a folder that are chosen besides. Raises ProblemError."""
    parts: list[str] = []
    found: dict[str, list[str]] = {}
    for word in q.split():
        key, colon, value = word.partition(":")
        if colon and key in _KEYS:
            found.setdefault(key, []).append(value)
        else:
            parts.append(word)
    last = found.get("last", [""])[-1]
    chosen = [
        *found.get("state", ()),
        *(key for key in ("paused", "broken") if key in found),
        *([state] if state else ()),
    ]
    states = [frozenset(_kinds(one)) for one in chosen]
    return JobFilter(
        part=" ".join(parts) or None,
        tags=tuple(found.get("tag", ())),
        shown=frozenset.intersection(*states) if states else None,
        owner=found.get("owner", [None])[-1],
        next_within_us=_distance("next", found["next"][-1], "<") if "next" in found else None,
        ended_within_us=_distance("last", last, "<") if last and not last.startswith(">") else None,
        ended_before_us=_distance("last", last, ">") if last.startswith(">") else None,
        slow=_times(found["slow"][-1]) if "slow" in found else None,
        late="late" in found,
        folder=folder.strip("/"),
        commit=_commit(found["commit"][-1]) if "commit" in found else None,
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


def _times(text: str) -> float:
    """Return how many times as long as usual is meant; without a number SLOW. Raises ProblemError."""
    number = text.removeprefix(">")
    if not number:
        return SLOW
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,2})?", number):
        raise ProblemError("bad-parameter", f"slow:{text[:40]} is not a number", "Write slow:3, or slow: alone.")
    return float(number)


def _commit(text: str) -> str:
    """Return the beginning of a commit's name. Raises ProblemError for anything else."""
    if not _COMMIT.fullmatch(text):
        said = f"commit:{text[:40]} is not the name of a commit"
        raise ProblemError("bad-parameter", said, "Write four of its hexadecimal digits or more.")
    return text.lower()
