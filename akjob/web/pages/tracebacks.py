"""A traceback as a page shows it: the frames of the root's own code open, those of libraries folded. Pure."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from msgspec import Struct

from akjob.log.reading.failure_text import failure_text
from akjob.query.text import plural

_NOT_OWN = ("/site-packages/", "/dist-packages/", "/.venv/", "/akjob/")


class TracePart(Struct, frozen=True, kw_only=True):
    """Some lines of a traceback, under ``folded`` where it has a title: that of what is hidden at first."""

    text: str
    folded: str = ""


def trace_parts(failure: dict[str, Any], root: str) -> list[TracePart]:
    """Return a traceback in parts. One with several exceptions keeps what came before whole, but folded."""
    if failure.get("exceptions") or not failure.get("frames"):
        return [TracePart(text="\n".join(_lines(failure)))]
    own = failure | {"cause": None, "context": None}
    before = failure.get("cause") or failure.get("context")
    parts = []
    if isinstance(before, dict):
        parts.append(TracePart(text="\n".join(_lines(before)), folded=f"What was raised before: {_title(before)}"))
    return [*parts, *_of_one(own, root)]


def _of_one(failure: dict[str, Any], root: str) -> Iterator[TracePart]:
    frames = [frame for frame in failure["frames"] if isinstance(frame, dict)]
    if not any(_is_own(frame, root) for frame in frames):
        yield TracePart(text="\n".join(_lines(failure)))
        return
    yield TracePart(text="Traceback (most recent call last):")
    for is_own, some in groupby(frames, key=lambda frame: _is_own(frame, root)):
        found = list(some)
        text = "\n".join(_lines({"frames": found, "text": " "})[1:-1])
        yield TracePart(text=text, folded="" if is_own else f"{plural(len(found), 'frame')} of libraries")
    yield TracePart(text="\n".join(_lines(failure | {"frames": []})))


def _is_own(frame: dict[str, Any], root: str) -> bool:
    file = str(frame.get("file"))
    return (file.startswith(f"{root}/") or not file.startswith(("/", "<"))) and not any(
        one in file.removeprefix(root) for one in _NOT_OWN
    )


def _title(failure: dict[str, Any]) -> str:
    return str(failure.get("type", "an exception"))


def _lines(failure: dict[str, Any]) -> list[str]:
    return failure_text(failure).split("\n")
