"""One module and one function for each way to deliver: ``send(channel, message)``, which raises DeliveryError.

They run in a child of akjob-notify (:mod:`akjob.notify.sending`), one for each batch of a channel: a server that hangs
holds up no other channel, and what a library needs is loaded only there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from akjob.config.secrets import Secret

TRY_S = 30.0
"""How long one try may take."""


class DeliveryError(Exception):
    """A message was not taken: why, in words for ``akjob notify list``. It never holds a secret."""


class Message(Struct, frozen=True, kw_only=True):
    """One message to deliver: ``payload`` as webhooks get it, ``thread`` the id of the incident's first, if another."""

    id: str
    payload: Mapping[str, Any]
    thread: str | None = None


def secret(value: Secret, root: Path) -> str:
    """Return a secret: as it stands, or from ``{ file = "…" }`` with its final newline cut. Raises DeliveryError."""
    if isinstance(value, str):
        return value
    path = root / value.file
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DeliveryError(f"the secret's file {path} cannot be read: {reason}") from error
