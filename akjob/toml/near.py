"""Guess the word that was meant: ``evry`` is near ``every``."""

from collections.abc import Iterable

_LONGEST = 80  # no word that could be meant is longer, and comparing takes the square of it


def near(word: object, known: Iterable[str]) -> str | None:
    """Return the one of ``known`` that looks most like ``word``, or None. Case does not count."""
    if not isinstance(word, str) or not word.strip() or len(word) > _LONGEST:
        return None
    from difflib import SequenceMatcher, get_close_matches  # noqa: PLC0415 - not needed while nothing is wrong

    by_lower = {candidate.lower(): candidate for candidate in known}
    asked = word.strip().lower().replace("-", "_") if "-" in word else word.strip().lower()
    for attempt in (word.strip().lower(), asked):
        if attempt in by_lower:
            return by_lower[attempt]
    found = get_close_matches(asked, by_lower, n=3, cutoff=0.6)
    if not found:
        return None
    best = SequenceMatcher(None, found[0], asked).ratio()
    alike = [one for one in found if SequenceMatcher(None, one, asked).ratio() == best]
    return by_lower[next((one for one in alike if one[0] == asked[0]), found[0])]  # few mistype the first letter


def did_you_mean(word: object, known: Iterable[str], mark: str = "`") -> str:
    """Return ``; did you mean `every`?`` to end a message with, or nothing."""
    found = near(word, known)
    return f"; did you mean {mark}{found}{mark}?" if found else ""
