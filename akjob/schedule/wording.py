"""Durations and lists in words."""

from collections.abc import Sequence

from akjob.instants import SECOND

_UNITS = (("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))


def duration_words(duration_us: int, *, single: bool = True) -> str:
    """Return ``1 hour 30 minutes``; a single unit without its 1 (``every hour``) where ``single`` is False."""
    seconds, rest = divmod(duration_us, SECOND)
    parts = []
    for name, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    if rest:
        parts.append(f"{rest / 1000:g} ms")
    if not single and len(parts) == 1 and parts[0].startswith("1 "):
        return parts[0][2:]
    return " ".join(parts)


def list_words(items: Sequence[str], word: str = "and") -> str:
    """Return ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"
