"""Looks at the files of all jobs with ``on_change``, in a thread of its own: patterns may lead over large folders."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from akjob.schedule.events import OnChange
from akjob.sources.change import LOOK_AGAIN_US, FilesChanged, FileWatch, Snapshot, folders, scan
from akjob.spec.model import JobSpec
from akjob.watching import FolderHints

_GAP_US = 50_000  # between two looks: a storm of events is a few looks


def looked_at(jobs: Mapping[str, JobSpec], names: Iterable[str]) -> dict[str, OnChange]:
    """Return what some jobs have as ``on_change``; none for a job that is not enabled, or is gone."""
    found = {}
    for name in names:
        spec = jobs.get(name)
        change = spec.schedule.event(OnChange) if spec is not None and spec.enabled else None
        if change is not None:
            found[name] = change
    return found


class ChangeLooker:
    """Hands out the slots of changed files. ``notify`` is called in its thread when there are some.

    watchdog says when to look; what has changed is what differs from what was there before.
    """

    def __init__(self, root: str, notify: Callable[[], None], now_us: Callable[[], int]) -> None:
        self._root = root
        self._notify = notify
        self._now_us = now_us
        self._wakeup = threading.Event()
        self._lock = threading.Lock()
        self._watches: dict[str, FileWatch] = {}
        self._found: deque[FilesChanged] = deque()
        self._hints = FolderHints(self._wakeup.set)
        self._thread: threading.Thread | None = None
        self._stopped = False

    def watch(self, names: Iterable[str], jobs: Mapping[str, OnChange], seen: Mapping[str, Snapshot]) -> None:
        """Look at the files of ``jobs`` from now on; of ``names``, those that are not among them look at none any more.

        ``seen`` is what their last slots saw, where there were any. What does not concern the thread does not wake it.
        """
        gone = [name for name in names if name not in jobs and name in self._watches]
        if not jobs and not gone:
            return
        new = {
            name: self._kept(name, change) or FileWatch(name, change, seen.get(name)) for name, change in jobs.items()
        }
        with self._lock:
            self._watches.update(new)
            for name in gone:
                del self._watches[name]
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
            self._thread.start()
        self._wakeup.set()

    def _kept(self, name: str, change: OnChange) -> FileWatch | None:
        """Return the watch of a job that looks at the same files as before; other settings hold from now on."""
        old = self._watches.get(name)
        if old is None or (old.change.paths, old.change.ignore) != (change.paths, change.ignore):
            return None
        old.change = change
        return old

    def take(self) -> list[FilesChanged]:
        """Return what was found since the last time."""
        found = []
        while self._found:
            found.append(self._found.popleft())
        return found

    def stop(self) -> None:
        """End; when this returns no thread is left."""
        self._stopped = True
        self._wakeup.set()
        if self._thread is not None:
            self._thread.join()
        self._hints.stop()

    def _run(self) -> None:
        while not self._stopped:
            now_us = self._now_us()
            with self._lock:
                watches = list(self._watches.values())
            self._hints.watch({folder for one in watches for folder in folders(self._root, one.change)})
            self._wakeup.clear()
            dues = [due for one in watches if (due := self._look(one, now_us)) is not None]
            wait_us = max(_GAP_US, min([LOOK_AGAIN_US, *(due - self._now_us() for due in dues)]))
            time.sleep(_GAP_US / 1e6)  # noqa: TID251 - what comes meanwhile is seen with the next look
            self._wakeup.wait((wait_us - _GAP_US) / 1e6)

    def _look(self, watch: FileWatch, now_us: int) -> int | None:
        """Look at one job's files; return when to look again."""
        found = watch.note(now_us, scan(self._root, watch.change))
        if found is not None:
            self._found.append(found)
            self._notify()
        return watch.due_us
