"""Secrets out of outgoing text: replaced before anything is cut, for half a secret is one too."""

from collections.abc import Iterable

MASK = "***"
_SHORTEST = 3
"""A shorter value stands in too many words, and is worth nothing as a secret."""


class Redactor:
    """Replaces each of the values that it was given, wherever it stands."""

    def __init__(self, values: Iterable[str]) -> None:
        lines = {line for value in values for line in (value, *value.splitlines()) if len(line) >= _SHORTEST}
        self._values = sorted(lines, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without the secrets."""
        for value in self._values:
            text = text.replace(value, MASK)
        return text
