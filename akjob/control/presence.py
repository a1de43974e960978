"""``var/run/akjob-web.json``: whether akjob-web serves, for the commands that print its URL or its state."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from akjob.config import Paths
from akjob.processes import lock_holder
from akjob.program import Holding, lock_file

NAME = "akjob-web"


class Presence(Struct, frozen=True, kw_only=True):
    """What akjob-web, the process ``pid``, reports: whether it ``serves``, and what keeps it from an address.

    ``off``: there is no page, because the settings turn it off or the packages are not installed.
    """

    pid: int
    serves: bool = False
    off: bool = False
    trouble: str = ""


def write(paths: Paths, found: Presence) -> None:
    """Replace the file."""
    file = _file(paths)
    draft = file.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(found))
    os.replace(draft, file)


def read(paths: Paths) -> Presence | None:
    """Return what akjob-web wrote; None where it does not run, whatever one that was killed has left."""
    try:
        found = msgspec.json.decode(_file(paths).read_bytes(), type=Presence)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if lock_holder(lock_file(paths, NAME)) == found.pid else None


def holding(paths: Paths, found: Callable[[], Presence]) -> Holding:
    """Return the file as something that may be removed while akjob-web runs; ``found`` is what it says."""
    file = _file(paths)
    return Holding(file, file.exists, lambda: write(paths, found()))


def remove(paths: Paths) -> None:
    """Remove the file: akjob-web ends."""
    with suppress(OSError):
        _file(paths).unlink()


def _file(paths: Paths) -> Path:
    return paths.run_dir / "akjob-web.json"
