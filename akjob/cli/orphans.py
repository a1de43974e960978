"""The runs that go on without akjobd: their shims hold locks in ``var/runs``, and hear words that are left there."""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from akjob.cli.draining import Signals, Waiting
from akjob.config import Paths
from akjob.instants import to_text
from akjob.processes import lock_holder
from akjob.run import folder
from akjob.run.shims import read_note

_LOOK_S = 0.2


def runs(paths: Paths) -> list[dict[str, Any]]:
    """Return the runs that have a shim and have not ended, as ``akjob status`` tells of them."""
    found = []
    for where in sorted(paths.runs.iterdir()) if paths.runs.is_dir() else ():
        shim = lock_holder(where / folder.LOCK)
        if not shim or (where / folder.END).exists():
            continue
        pid, started_us, _ = read_note(str(where))
        started_at = to_text(started_us) if started_us else None
        found.append(
            {
                "job": _job(shim, where.name),
                "run": where.name,
                "pid": pid or None,
                "shim_pid": shim,
                "started_at": started_at,
            }
        )
    return found


def end(paths: Paths, signals: Signals, reason: str) -> list[dict[str, Any]]:
    """End them, show which, and wait until they have ended or SIGTERM or SIGHUP comes; return those that go on."""
    shown = Waiting(killing=True)
    told: set[str] = set()
    try:
        while (left := runs(paths)) and not signals.ends:
            shown.show(left)
            for one in left:
                if one["run"] not in told:
                    _tell(paths.runs / one["run"], one["shim_pid"], reason)
                    told.add(one["run"])
            signals.wait(timeout_s=_LOOK_S)
    finally:
        shown.clear()
    return left


def _tell(where: Path, shim: int, reason: str) -> None:
    """Tell a shim to end its run, as akjobd does."""
    with suppress(ProcessLookupError, FileNotFoundError):  # it ends just now
        pidfd = os.pidfd_open(shim)
        try:
            if lock_holder(where / folder.LOCK) != shim:  # the number may be another's by now
                return
            _, _, call_signal = read_note(str(where))
            folder.write(str(where), folder.STOP, folder.stop_text("cancelled", reason, kill=False))
            signal.pidfd_send_signal(pidfd, call_signal)
        finally:
            os.close(pidfd)


def _job(shim: int, run: str) -> str:
    """Return the job as the shim's title has it; empty where that is too long for a title."""
    head, tail = "akjob: shim of ", f" {run}"
    with suppress(OSError):
        title = Path("/proc", str(shim), "cmdline").read_bytes().rstrip(b"\0").decode("utf-8", "replace")
        if title.startswith(head) and title.endswith(tail):
            return title[len(head) : -len(tail)]
    return ""
