"""``var/run/akjobd.sock``, akjobd's side: connections that never block, requests in, answers out."""

import selectors
import socket
from collections.abc import Callable

import msgspec

from akjob.control.requests import Answer, AnyRequest, Refused, decode_request
from akjob.program import is_own_user

_LINE_BYTES = 4 << 20

Serve = Callable[["Peer", AnyRequest], Answer | None]
"""Answers a request of a connection; None: the answer is sent later."""


class Peer:
    """One connected command. Never blocks."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self._inbox = b""
        self._outbox = b""

    def requests(self) -> list[AnyRequest | Refused] | None:
        """Return the requests that have arrived whole; None when the peer is gone, or its line never ends."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data or len(self._inbox) > _LINE_BYTES:
            return None
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        return [decode_request(line) for line in lines]

    def send(self, answer: Answer) -> None:
        """Queue an answer and send what there is room for."""
        self._outbox += msgspec.json.encode(answer) + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as there is room."""
        try:
            while self._outbox:
                self._outbox = self._outbox[self.socket.send(self._outbox) :]
        except BlockingIOError:
            return
        except OSError:
            self._outbox = b""

    @property
    def wants_write(self) -> bool:
        """Return whether an answer waits for room."""
        return bool(self._outbox)


class Server:
    """The connections of a listening socket, in the selector of a loop that calls what a key holds.

    ``serve`` answers a request; ``gone`` is called with a connection that was closed.
    """

    def __init__(
        self, listener: socket.socket, selector: selectors.BaseSelector, serve: Serve, gone: Callable[[Peer], None]
    ) -> None:
        self._selector = selector
        self._serve = serve
        self._gone = gone
        self._peers: set[Peer] = set()
        self._listener = listener
        selector.register(listener, selectors.EVENT_READ, self._accept)

    def replace(self, listener: socket.socket) -> None:
        """Listen with another socket; the connections stay."""
        self._selector.unregister(self._listener)
        self._listener.close()
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ, self._accept)

    def send(self, peer: Peer, answer: Answer) -> None:
        """Send an answer, if the connection is still there."""
        if peer in self._peers:
            peer.send(answer)
            self._watch(peer)

    def close(self) -> None:
        """Close the socket and all connections."""
        self._selector.unregister(self._listener)
        self._listener.close()
        for peer in list(self._peers):
            self._hang_up(peer)

    def _accept(self, _mask: int) -> None:
        peer = accept(self._listener)
        if peer is not None:
            self._peers.add(peer)
            self._selector.register(peer.socket, selectors.EVENT_READ, lambda mask: self._ready(peer, mask))

    def _ready(self, peer: Peer, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            peer.flush()
        requests = peer.requests() if mask & selectors.EVENT_READ else []
        if requests is None:
            self._hang_up(peer)
            return
        for request in requests:
            answer = request if isinstance(request, Refused) else self._serve(peer, request)
            if answer is not None:
                peer.send(answer)
        self._watch(peer)

    def _watch(self, peer: Peer) -> None:
        """Let the selector wait for what there is to read, and for room for what there is to send."""
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.wants_write else 0)
        if self._selector.get_key(peer.socket).events != mask:
            self._selector.modify(peer.socket, mask, lambda mask: self._ready(peer, mask))

    def _hang_up(self, peer: Peer) -> None:
        self._peers.discard(peer)
        self._selector.unregister(peer.socket)
        peer.socket.close()
        self._gone(peer)


def accept(listener: socket.socket) -> Peer | None:
    """Take a connection; None when there is none, or when it is neither root's nor our own user's."""
    try:
        connection, _ = listener.accept()
    except OSError:
        return None
    peer = Peer(connection)
    if is_own_user(connection):
        return peer
    peer.send(Refused(message="akjobd answers its own user and root alone", kind="unreachable"))
    connection.close()
    return None
