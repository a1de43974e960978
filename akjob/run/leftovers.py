"""What a lost shim left: processes of a run whose shim was killed, and which the kernel did not end with it."""

import contextlib
import os
import signal
from pathlib import Path


def end(run: str) -> int:
    """Kill the processes whose environment or title names the run. Return how many there were.

    The job's own process dies with its shim (PDEATHSIG); what it started does not. What was executed has the run in its
    environment, what was only forked has the job's title, which a fork inherits.
    """
    killed: set[int] = set()
    while found := {pid for pid in _processes_of(run) if pid not in killed}:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed |= found
    return len(killed)


def killed(count: int) -> str:
    """Return what a reason says of so many of them; an empty string for none."""
    return (
        f"; {count} process{'es' if count > 1 else ''} that it left {'were' if count > 1 else 'was'} killed"
        if count
        else ""
    )


def _processes_of(run: str) -> list[int]:
    variable = f"AKJOB_RUN={run}".encode()
    title = f" {run}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            environment = Path("/proc", name, "environ").read_bytes()
            command = Path("/proc", name, "cmdline").read_bytes().rstrip(b"\0")
        except OSError:
            continue
        if variable in environment.split(b"\0") or (command.startswith(b"akjob: ") and command.endswith(title)):
            found.append(int(name))
    return found
