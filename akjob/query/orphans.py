"""The runs that go on without akjobd: their shims hold locks in ``var/runs``."""

from contextlib import suppress
from pathlib import Path

from akjob.config import Paths
from akjob.control.status import RunningRun
from akjob.instants import to_text
from akjob.processes import lock_holder
from akjob.run import folder
from akjob.run.folder_reader import read_note


def runs(paths: Paths) -> list[RunningRun]:
    """Return the runs that have a shim and have not ended."""
    found = []
    for where in sorted(paths.runs.iterdir()) if paths.runs.is_dir() else ():
        shim = lock_holder(where / folder.LOCK)
        if not shim or (where / folder.END).exists():
            continue
        note = read_note(str(where))
        started_at = to_text(note.started_us) if note.started_us else None
        job = _job(shim, where.name)
        found.append(RunningRun(job=job, run=where.name, pid=note.pid or None, shim_pid=shim, started_at=started_at))
    return found


def _job(shim: int, run: str) -> str:
    """Return the job as the shim's title has it; empty where that is too long for a title."""
    head, tail = "akjob: shim of ", f" {run}"
    with suppress(OSError):
        title = Path("/proc", str(shim), "cmdline").read_bytes().rstrip(b"\0").decode("utf-8", "replace")
        if title.startswith(head) and title.endswith(tail):
            return title[len(head) : -len(tail)]
    return ""
