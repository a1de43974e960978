"""One module and one function for each way to deliver: ``send(channel, message)``, which raises DeliveryError.

They run in a child of akjob-notify (:mod:`akjob.notify.sending`), one for each batch of a channel: a server that hangs
holds up no other channel, and what a library needs is loaded only there.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from akjob.config.secrets import Secret, reveal
from akjob.errors import AkjobError

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
    try:
        return reveal(value, root)
    except AkjobError as error:
        raise DeliveryError(f"the secret's file {error.message}") from error
