"""End the runs that go on without akjobd, by what their shims read in ``var/runs``."""

import os
import signal
from contextlib import suppress
from pathlib import Path

from akjob.cli.draining import Signals, Waiting
from akjob.config import Paths
from akjob.processes import lock_holder
from akjob.query.orphans import runs
from akjob.query.status import Running
from akjob.run import folder
from akjob.run.shims import read_note

_RETRY_S = 0.2


def end(paths: Paths, signals: Signals, reason: str) -> list[Running]:
    """End them, show which, and wait until they have ended or SIGTERM or SIGHUP comes; return those that go on."""
    shown = Waiting(killing=True)
    asked: set[str] = set()
    try:
        while (left := runs(paths)) and not signals.ends:
            shown.show(left)
            for one in left:
                if one.run not in asked and one.shim_pid is not None:
                    _stop(paths.runs / one.run, one.shim_pid, reason)
                    asked.add(one.run)
            signals.wait(timeout_s=_RETRY_S)
    finally:
        shown.clear()
    return left


def _stop(where: Path, shim: int, reason: str) -> None:
    """Ask a shim to end its run, as akjobd does."""
    with suppress(ProcessLookupError, FileNotFoundError):  # it ends just now
        pidfd = os.pidfd_open(shim)
        try:
            if lock_holder(where / folder.LOCK) != shim:  # the number may be another process's by now
                return
            _, _, call_signal = read_note(str(where))
            folder.write(str(where), folder.STOP, folder.stop_text("cancelled", reason, kill=False))
            signal.pidfd_send_signal(pidfd, call_signal)
        finally:
            os.close(pidfd)
