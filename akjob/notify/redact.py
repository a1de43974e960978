"""Secrets out of outgoing text: replaced before anything is cut, for half a secret is one too."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from akjob.config.secrets import Secret
from akjob.notify.transports import DeliveryError, secret

MASK = "***"
_SHORTEST = 3
"""A shorter value is in too many words, and is worth nothing as a secret."""


class Redactor:
    """Replaces each of the values that it was given, wherever it is."""

    def __init__(self, values: Iterable[str]) -> None:
        lines = {line for value in values for line in (value, *value.splitlines()) if len(line) >= _SHORTEST}
        self._values = sorted(lines, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without the secrets."""
        for value in self._values:
            text = text.replace(value, MASK)
        return text


def values_of(secrets: Iterable[Secret], root: Path) -> Iterator[str]:
    """Yield each secret, and the password in it if it is a URL. A file that cannot be read gave no program a secret."""
    for one in secrets:
        with suppress(DeliveryError, ValueError):
            value = secret(one, root)
            yield value
            password = urlsplit(value).password
            if password:
                yield from (password, unquote(password))
