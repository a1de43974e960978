"""Waking a coroutine up when something in a folder is written."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from akjob.inotify import FolderWatch


class Written:
    """Waits until something in a folder is written; where the kernel does not tell, it looks at it again and again.

    A context manager; for one coroutine. ``folder`` is None where there is none to watch.
    """

    def __init__(self, folder: Path | None, look_s: float) -> None:
        self._watch = None if folder is None else FolderWatch(folder)
        self._event = asyncio.Event()
        self._look_s = None if self._watch is not None and self._watch.fileno() >= 0 else look_s

    def __enter__(self) -> Self:
        if self._watch is not None and self._look_s is None:
            asyncio.get_running_loop().add_reader(self._watch.fileno(), self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._watch is not None:
            if self._look_s is None:
                asyncio.get_running_loop().remove_reader(self._watch.fileno())
            self._watch.__exit__(kind, error, at)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait for a write since the last call, so long at most, or until it is time to look again."""
        given = [one for one in (seconds, self._look_s) if one is not None]
        try:
            await asyncio.wait_for(self._event.wait(), min(given, default=None))
        except TimeoutError:
            return
        self._event.clear()

    def _note(self) -> None:
        if self._watch is not None:
            self._watch.drain()
        self._event.set()
