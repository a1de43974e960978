"""The log of one run, wherever its lines are: in the files of this machine, or with the akjob-web of another node."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from akjob.config import Config, Paths
from akjob.errors import AkjobError
from akjob.instants import DAY, SECOND
from akjob.log.reading import read
from akjob.log.reading.read import Line

if TYPE_CHECKING:
    from http.client import HTTPResponse

NODE_LOG = "/nodes/{node}/runs/{id}/log"
"""The route by which a node answers other nodes; with ``after``, ``last`` and ``follow`` in the query."""

NODE_STREAM = "/nodes/{node}/log"
"""The route by which a node answers with its log stream; with STREAM_FILTERS, ``last`` and ``follow`` in the query."""

STREAM_FILTERS = ("job", "since_us", "level")

MOST_LAST = 5000
"""So many lines may be asked for as the last ones."""

_CONNECT_S = 2.0
_ANSWER_S = 10.0  # a node that follows a run sends something every few seconds
_LONGEST_LINE = 16 * 2**20
_PIECE = 256 * 1024
_DECODE = msgspec.json.Decoder(Line).decode


class LinesOfRun(Protocol):
    """The log of one run."""

    def lines(
        self, after: int | None = None, needle: bytes | None = None, most_bytes: int | None = None
    ) -> Iterator[Line]:
        """Yield the lines, those after a number where one is given, each once.

        ``needle`` may leave some out, and ``most_bytes`` what is further down.
        """

    def last(self, count: int) -> list[Line]:
        """Return the last lines."""


class LocalLog:
    """The log of a run whose lines are in the files of this root."""

    def __init__(self, paths: Paths, run: str) -> None:
        self._paths = paths
        self._run = run

    def lines(
        self, after: int | None = None, needle: bytes | None = None, most_bytes: int | None = None
    ) -> Iterator[Line]:
        """Yield the lines, those after a number where one is given, each once; of the others, those with the needle.

        No more than ``most_bytes`` are read.
        """
        return read.lines(self._paths, run=self._run, after=after, needle=needle, most_bytes=most_bytes)

    def last(self, count: int) -> list[Line]:
        """Return the last lines."""
        return read.last(self._paths, count, run=self._run)


class AwayError(AkjobError):
    """The lines of a run are on a node that does not give them."""

    def __init__(self, node: str, seen_us: int | None, why: str) -> None:
        self.node = node
        self.seen_us = seen_us
        self.why = why
        super().__init__(self.said(UTC, None), hint=why)

    def said(self, zone: tzinfo | None, now_us: int | None) -> str:
        """Return where the log is and when the node was seen last, with the day unless that is ``now_us``'s."""
        return f"log is on node {self.node}, {self.seen(zone, now_us)}"

    def seen(self, zone: tzinfo | None, now_us: int | None) -> str:
        """Return when the node was seen last."""
        if self.seen_us is None:
            return "which the cluster does not know any more"
        seen = datetime.fromtimestamp(self.seen_us / SECOND, zone)
        recent = now_us is not None and 0 <= now_us - self.seen_us < DAY
        return f"last seen {seen:{'%H:%M' if recent else '%Y-%m-%d %H:%M'}}"


class DistantLog:
    """The log of a run that executed on another node. Each question is one request, made in the thread that asks.

    Raises AwayError where that node does not answer.
    """

    def __init__(self, ledger_url: str, node: str, run: str) -> None:
        self.node = node
        self._ledger_url = ledger_url
        self._run = run

    def lines(
        self,
        after: int | None = None,
        needle: bytes | None = None,  # noqa: ARG002 - as LinesOfRun
        most_bytes: int | None = None,  # noqa: ARG002 - as above
    ) -> Iterator[Line]:
        """Yield the lines, those after a number where one is given, each once."""
        return self._ask({} if after is None or after < 0 else {"after": after})

    def last(self, count: int) -> list[Line]:
        """Return the last lines."""
        return list(self._ask({"last": count}))

    def follow(self, newest: int | None = None, stop: Callable[[], bool] | None = None) -> Iterator[Line]:
        """Yield the lines, or the last few and what is added, until the run has ended; ``stop`` is asked meanwhile."""
        return self._ask({"follow": 1} if newest is None else {"follow": 1, "last": newest}, stop)

    def _ask(self, query: dict[str, int], stop: Callable[[], bool] | None = None) -> Iterator[Line]:
        path = NODE_LOG.format(node=quote(self.node, safe=""), id=quote(self._run, safe=""))
        return _asked(self._ledger_url, self.node, path, query, stop)


class DistantStream:
    """The log stream of another node. Each question is one request; raises AwayError where the node does not answer."""

    def __init__(self, ledger_url: str, node: str, wanted: read.LineFilter) -> None:
        self.node = node
        self._ledger_url = ledger_url
        self._wanted = {key: value for key, value in wanted.items() if key in STREAM_FILTERS and value is not None}

    def lines(self, last: int | None = None, *, follow: bool = False) -> Iterator[Line]:
        """Yield the lines, or the last of them, oldest first; with ``follow`` what is added, too."""
        query: dict[str, object] = {**self._wanted}
        query |= {} if last is None else {"last": last}
        query |= {"follow": 1} if follow else {}
        return _asked(self._ledger_url, self.node, NODE_STREAM.format(node=quote(self.node, safe="")), query)


def _asked(
    ledger_url: str,
    node: str,
    path: str,
    query: Mapping[str, object],
    stop: Callable[[], bool] | None = None,
) -> Iterator[Line]:
    """Yield the lines that a node answers with. Raises AwayError."""
    from http.client import HTTPException  # noqa: PLC0415 - no command waits for what one in a cluster needs

    from akjob.ledger.nodes import Nodes  # noqa: PLC0415 - of the extra `cluster`

    with closing(Nodes(ledger_url)) as nodes:
        found, token = nodes.find(node), nodes.token()
    if found is None:
        raise AwayError(node, None, "`akjob nodes` lists those that it knows")
    if found.url is None:
        why = "it publishes no address: set listen or public_url in [web] of its etc/akjob.toml"
        raise AwayError(node, found.seen_us, why)
    if query:
        path += "?" + urlencode(query)
    try:
        yield from _lines(found.url, path, token, stop)
    except (OSError, HTTPException, ValueError, msgspec.MsgspecError) as error:
        why = f"its akjob-web at {found.url} does not answer: {_reason(error)}"
        raise AwayError(node, found.seen_us, why) from error


def run_log(paths: Paths, config: Config, node: str | None, run: str) -> LocalLog | DistantLog:
    """Return the log of a run, of which the ledger names the node."""
    cluster = config.cluster
    if cluster is None or node is None or node == cluster.name:
        return LocalLog(paths, run)
    return DistantLog(paths.ledger_url, node, run)


class _RefusedError(OSError):
    """What answers is not what was asked for."""


def _lines(url: str, path: str, token: str, stop: Callable[[], bool] | None) -> Iterator[Line]:
    """Yield the lines that another akjob-web sends. Redirects are not followed: the token is for that node alone."""
    from http.client import OK, HTTPConnection, HTTPSConnection  # noqa: PLC0415 - as above

    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    with closing(kind(parts.netloc, timeout=_CONNECT_S)) as connection:
        connection.connect()
        connection.sock.settimeout(_ANSWER_S)
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"})
        answer = connection.getresponse()
        if answer.status != OK:
            raise _RefusedError(_refusal(answer))
        rest = b""
        while piece := answer.read1(_PIECE):  # unlike readline(), it says where the connection was cut
            *whole, rest = (rest + piece).split(b"\n")
            yield from (_DECODE(text) for text in whole if text)
            if stop is not None and stop():
                return
            if len(rest) > _LONGEST_LINE:
                raise _RefusedError("a line is too long")
        if rest:
            raise _RefusedError("the connection was cut")


def _refusal(answer: "HTTPResponse") -> str:
    """Return what an answer without lines says."""
    try:
        problem: Any = msgspec.json.decode(answer.read(64 * 1024))
        return f"{answer.status} {problem['detail']}"
    except (msgspec.MsgspecError, TypeError, KeyError):
        return f"{answer.status} {answer.reason}"


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
