"""Until when this machine may run what it runs: written by akjobd of a node with each renewal, read by the shims.

So that a run ends in time also while akjobd is stopped. Instants are of CLOCK_BOOTTIME, which counts on in a suspended
machine.
"""

from __future__ import annotations

import os
import time

REASON = "its node could not renew its lease: another one takes it for lost"


def boot_s() -> float:
    """Return the clock that the instants are of, seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def write(path: str, stop_at_s: float, dead_at_s: float) -> None:
    """Let runs end at an instant, and be dead at another one. Raises OSError."""
    draft = f"{path}.new"
    with open(draft, "w", encoding="ascii") as file:
        file.write(f"{stop_at_s} {dead_at_s}")
    os.replace(draft, path)


def read(path: str) -> tuple[float, float] | None:
    """Return when runs are to end and to be dead; None: nothing is known."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        stop_at, dead_at = os.read(fd, 100).split()
        return float(stop_at), float(dead_at)
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)
