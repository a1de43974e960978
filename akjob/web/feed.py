"""The ledger's transitions as they come, read once for all streams. While there is no listener nothing is watched."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import takewhile
from typing import TypeVar

import msgspec

from akjob.config import Paths
from akjob.errors import AkjobError
from akjob.ledger import Transition, open_reader
from akjob.query.happened import change
from akjob.query.visibility import Principal
from akjob.web.written import Written

T = TypeVar("T")
Event = tuple[bytes, int]

KEPT = 10_000
"""So many transitions are kept for streams that are behind; who is further behind has to ask for everything."""

_AT_ONCE = 1000
_AFTER_WRITE_S = 0.02  # a reader sees a commit when the file was written and synced
_AGAIN_S = 0.25
_LOOK_S = 1.0  # where nothing tells of a write: another database, or a kernel out of watches


class Feed:
    """The newest transitions, and who waits for more."""

    def __init__(self, paths: Paths, threads: ThreadPoolExecutor) -> None:
        self._paths = paths
        self._threads = threads
        self._reader = open_reader(paths.ledger_url)
        self._kept: deque[Transition] = deque(maxlen=KEPT)
        self._listeners: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._seq = 0
        self._events: dict[tuple[str | None, int], Event] = {}

    @contextmanager
    def listen(self) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever there are more transitions, while the block runs."""
        news = asyncio.Event()
        self._listeners.add(news)
        if self._task is None:
            self._task = asyncio.create_task(self._watch())
        try:
            yield news
        finally:
            self._listeners.discard(news)
            if not self._listeners and self._task is not None:
                self._task.cancel()
                self._task = None

    async def last_seq(self) -> int:
        """Return the number of the newest transition."""
        return await self._ask(self._reader.last_seq)

    async def event(self, principal: Principal, seq: int) -> Event:
        """Return the event for what changed after a number, empty for nothing, and the number to go on after.

        Streams that have come equally far, and may know of the same jobs, share it.
        """
        key, newest = (principal.jobs, seq), self._seq
        found = self._events.get(key)
        if found is None:
            found = await self._event(principal, seq)
            if newest == self._seq:
                self._events[key] = found
        return found

    async def _event(self, principal: Principal, seq: int) -> Event:
        found = await self.since(seq)
        if found is None:
            newest = await self.last_seq()
            return f"event: refetch\nid: {newest}\ndata: {{}}\n\n".encode(), newest
        if not found:
            return b"", seq
        told = change(principal, found)
        if told is None:
            return b"", found[-1].seq
        return b"event: change\nid: %d\ndata: %s\n\n" % (told.seq, msgspec.json.encode(told)), found[-1].seq

    async def since(self, seq: int) -> list[Transition] | None:
        """Return the transitions after a number; None for too many, or some that are pruned."""
        if self._kept and self._kept[0].seq <= seq + 1:
            newer = list(takewhile(lambda one: one.seq > seq, reversed(self._kept)))  # few of very many
            return newer[::-1]
        found = await self._ask(lambda: self._reader.transitions(seq, _AT_ONCE))
        is_whole = not found or (found[0].seq == seq + 1 and len(found) < _AT_ONCE)
        return found if is_whole else None

    async def _watch(self) -> None:
        self._kept.clear()
        self._events.clear()
        self._seq = await self.last_seq()
        in_files = self._paths.ledger_url.startswith("sqlite:")
        with Written(self._paths.var if in_files else None, _LOOK_S) as written:
            while True:
                await written.wait()
                await asyncio.sleep(_AFTER_WRITE_S)
                if not await self._take():
                    await written.wait(_AGAIN_S)
                    await self._take()

    async def _take(self) -> bool:
        """Read what is new; return True if something is."""
        try:
            found = await self._ask(lambda: self._reader.transitions(self._seq, _AT_ONCE))
        except AkjobError:  # it cannot be read just now: the next write, or look, tries again
            return False
        if not found:
            return False
        self._kept.extend(found)
        self._seq = found[-1].seq
        self._events.clear()
        for news in self._listeners:
            news.set()
        if len(found) == _AT_ONCE:
            await self._take()
        return True

    async def _ask(self, question: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, question)
