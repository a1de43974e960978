"""The log streams of all nodes of a cluster as one, in the order of time."""

import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue

from akjob.config import Paths
from akjob.errors import AkjobError
from akjob.ledger import open_reader
from akjob.log.reading import read
from akjob.log.reading.read import Line
from akjob.query.distant import MOST_LAST, AwayError, DistantStream

_STILL_S = 0.3  # so long nothing more comes before what has come is put in order
_GROUP = 10_000

Tell = Callable[[AkjobError], None]
"""Is given why lines are missing."""


class Everywhere:
    """The stream of this node and those of the others. A node that does not answer is left out; ``tell`` is called."""

    def __init__(self, paths: Paths, own: str, wanted: read.LineFilter, tell: Tell) -> None:
        self._paths = paths
        self._wanted = wanted
        self._tell = tell
        try:
            names = [one.node for one in open_reader(paths.ledger_url).nodes() if one.node != own]
        except AkjobError as error:
            tell(error)
            names = []
        self._others = [DistantStream(paths.ledger_url, name, wanted) for name in names]

    def lines(self, count: int | None = None) -> Iterator[Line]:
        """Yield the lines, or the last of them, oldest first."""
        if count is None:
            return self._merged(read.lines(self._paths, **self._wanted), None)
        own = iter(read.last(self._paths, count, **self._wanted))
        is_all_theirs = self._wanted.get("grep") is None and count <= MOST_LAST
        return iter(deque(self._merged(own, count if is_all_theirs else None), maxlen=count))

    def follow(self, count: int | None) -> Iterator[Line]:
        """Yield the lines, or the last of them, and what is added: what comes at about the same time in its order."""
        come: SimpleQueue[Line | AkjobError] = SimpleQueue()
        own = read.follow(self._paths, newest=count, **self._wanted)
        last = None if count is None else min(count, MOST_LAST)
        for source in (own, *(self._chosen(one.lines(last, follow=True)) for one in self._others)):
            threading.Thread(target=_pump, args=(source, come), name="log of a node", daemon=True).start()
        most = count
        while True:
            group = sorted(self._group(come), key=_time)
            yield from group if most is None else deque(group, maxlen=most)
            most = most if not group else None

    def _group(self, come: "SimpleQueue[Line | AkjobError]") -> Sequence[Line]:
        """Return what comes at about the same time, once something has come."""
        found: list[Line] = []
        timeout: float | None = None
        while len(found) < _GROUP:
            try:
                one = come.get(timeout=timeout)
            except Empty:
                break
            timeout = _STILL_S
            if isinstance(one, AkjobError):
                self._tell(one)
            else:
                found.append(one)
        return found

    def _merged(self, own: Iterator[Line], last: int | None) -> Iterator[Line]:
        others = (self._guarded(self._chosen(one.lines(last))) for one in self._others)
        return heapq.merge(own, *others, key=_time)

    def _chosen(self, lines: Iterator[Line]) -> Iterator[Line]:
        return read.choose(lines, **self._wanted)

    def _guarded(self, lines: Iterator[Line]) -> Iterator[Line]:
        try:
            yield from lines
        except AwayError as error:
            self._tell(error)


def _pump(source: Iterator[Line], come: "SimpleQueue[Line | AkjobError]") -> None:
    try:
        for line in source:
            come.put(line)
    except AkjobError as error:
        come.put(error)


def _time(line: Line) -> str:
    return str(line.get("timestamp", ""))
