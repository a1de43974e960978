"""What becomes of the folders of runs that are accounted for: recycled for other runs, or removed when it is quiet."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

from akjob.config import socket_address
from akjob.run import folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from akjob.config import Paths

    Give = Callable[[Callable[[], Any], Callable[[Any], None], Callable[[Exception], None]], None]

POOL_SIZE = 64
"""At most this many folders are pooled: more than there are between two runs' ends and beginnings in a burst."""

_QUIET_US = 250_000
_MOST = 2_000


class FolderRecycler:
    """The folders that are not needed any more.

    ``give`` has work done off the loop, as a worker does, for a disk may take its time for each file; ``failed`` is
    called when that breaks; ``spool_asked`` is called when the collector was asked to read in a spool, after which the
    folder can go.
    """

    def __init__(
        self, paths: Paths, give: Give, spool_asked: Callable[[], None], failed: Callable[[Exception], None]
    ) -> None:
        self._paths = paths
        self._give = give
        self._spool_asked = spool_asked
        self._failed = failed
        self._over: list[str] = []
        self._rubbish: list[str] = []
        self._quiet_from_us = 0
        self.due_us: int | None = None

    def add(self, run: str) -> None:
        """Take over the folder of a run."""
        self._over.append(run)

    def step(self, now_us: int) -> None:
        """Do what is due now; call it again at :attr:`due_us`."""
        if self._over:
            runs, self._over = self._over, []
            self._give(lambda: _recycle(self._paths, runs), self._left, self._failed)
            self._quiet_from_us = now_us + _QUIET_US
        if self._rubbish:
            # In a burst the runs need disk and processors. A clock that was set back must not delay this.
            self._quiet_from_us = min(self._quiet_from_us, now_us + _QUIET_US)
            self.due_us = self._quiet_from_us
            if now_us >= self.due_us or len(self._rubbish) > _MOST:
                runs, self._rubbish = self._rubbish, []
                self.due_us = None
                self._give(lambda: _remove(self._paths.runs, runs), self._ask_spools, self._failed)

    def _left(self, runs: list[str]) -> None:
        self._rubbish += runs

    def _ask_spools(self, runs: list[str]) -> None:
        """Ask the collector to read spools in; it deletes them then, and the next sweep removes the rest."""
        for run in runs:
            self._spool_asked()
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, contextlib.suppress(OSError):
                # When the collector is away it looks for spools by itself when it starts.
                sock.setblocking(False)
                sock.connect(socket_address(self._paths.collector_socket))
                sock.send(b'{"v":1,"spool":"%b"}\n' % run.encode())


def _recycle(paths: Paths, runs: list[str]) -> list[str]:
    """Put folders of runs by for others, as far as some are wanted; return those that are left to be removed."""
    try:
        os.makedirs(paths.folder_pool, 0o700, exist_ok=True)
        wanted = max(0, POOL_SIZE - len(os.listdir(paths.folder_pool)))
    except OSError:
        return runs
    left = runs[wanted:]
    for run in runs[:wanted]:
        try:
            folder.recycle(f"{paths.runs}/{run}", f"{paths.folder_pool}/{run}")
        except OSError:  # var/runs is on another file system, or the folder is not fit for it
            left.append(run)
    return left


def _remove(folders: Path, runs: list[str]) -> list[str]:
    """Remove the folders of runs; return those that have a spool. What cannot be removed is left to the next sweep."""
    spools = []
    for run in runs:
        with contextlib.suppress(OSError):
            if not folder.remove(f"{folders}/{run}"):
                spools.append(run)
    return spools
