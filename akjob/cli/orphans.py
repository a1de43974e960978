"""End the runs that go on without akjobd, by what their shims read in ``var/runs``."""

import os
from pathlib import Path

from akjob.cli.draining import DrainWait, Signals
from akjob.config import Paths
from akjob.control.status import RunningRun
from akjob.query.orphans import runs
from akjob.run import folder, folder_reader

_RETRY_S = 0.2


def end(paths: Paths, signals: Signals, reason: str) -> list[RunningRun]:
    """End them, show which, and wait until they have ended or SIGTERM or SIGHUP comes; return those that go on."""
    shown = DrainWait(killing=True)
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
    pid, pidfd = folder_reader.open_shim(str(where))
    if pid == shim:
        word = folder.stop_text("cancelled", reason, kill=False)
        folder_reader.tell_to_stop(str(where), pidfd, folder_reader.read_note(str(where)).call_signal, word)
    if pidfd >= 0:
        os.close(pidfd)
