"""A value that is in a file of its own, so that neither git nor the ledger ever holds it."""

from pathlib import Path

from msgspec import Struct

from akjob.errors import AkjobError


class SecretFile(Struct, frozen=True, gc=False, omit_defaults=True):
    """``{ file = "/run/secrets/x" }``: read when it is needed, one final newline cut; relative to the root."""

    file: str


Secret = str | SecretFile


def reveal(secret: Secret, root: Path) -> str:
    """Return the value. Raises AkjobError where its file cannot be read."""
    if isinstance(secret, str):
        return secret
    path = root / secret.file
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise AkjobError(
            f"{path} cannot be read: {reason}", hint="its owner is the user that akjobd runs as"
        ) from error
