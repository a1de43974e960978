"""A value that stands in a file of its own, so that neither git nor the ledger ever holds it."""

from msgspec import Struct


class SecretFile(Struct, frozen=True, gc=False, omit_defaults=True):
    """``{ file = "/run/secrets/x" }``: read when it is needed, one final newline cut; relative to the root."""

    file: str


Secret = str | SecretFile
