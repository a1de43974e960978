"""Answers that stay open: they end when their credential does, when the program does, and there is an upper number."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

from akjob.query.visibility import Principal
from akjob.web.problems import ProblemError
from akjob.web.store import WebStore

MOST = 1000
"""So many streams may be open at once, of all principals together."""

MOST_EACH = 200
"""So many streams one credential may hold open."""

_CHECK_S = 0.4


async def begun(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return a stream after its first bytes came: too many are refused while there is a status to say so."""
    return _after(await anext(stream), stream)


async def _after(head: bytes, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for piece in stream:
        yield piece


class Streams:
    """The open streams. While there is one, their credentials are looked up a few times a second."""

    def __init__(self, store: WebStore, clock: Callable[[], int], closing: asyncio.Event) -> None:
        self._store = store
        self._clock = clock
        self._closing = closing
        self._open: Counter[str] = Counter()
        self._ended: dict[str, asyncio.Event] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def count(self) -> int:
        """How many are open."""
        return self._open.total()

    @contextmanager
    def open(self, principal: Principal) -> Iterator[asyncio.Event]:
        """Count a stream while it is open; yields the event that is set when it has to end."""
        credential = principal.credential
        if self._open.total() >= MOST or self._open[credential] >= MOST_EACH:
            raise ProblemError("too-many-streams", "too many streams are open", "Close some of them, or ask later.")
        self._open[credential] += 1
        ended = self._ended.setdefault(credential, asyncio.Event())
        if self._closing.is_set():
            ended.set()
        if self._watch is None:
            self._watch = asyncio.create_task(self._look())
        try:
            yield ended
        finally:
            self._open[credential] -= 1
            if not self._open[credential]:
                del self._open[credential]
                del self._ended[credential]

    def end(self, credential: str) -> None:
        """End the streams of a credential at once."""
        if credential in self._ended:
            self._ended[credential].set()

    def end_all(self) -> None:
        """End every stream: the program is about to stop."""
        self._closing.set()
        for ended in self._ended.values():
            ended.set()

    async def _look(self) -> None:
        while self._open and not self._closing.is_set():
            for credential in [one for one in self._ended if not self._store.holds(one, self._clock())]:
                self.end(credential)
            await asyncio.sleep(_CHECK_S)
        self._watch = None
