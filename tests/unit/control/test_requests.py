"""Requests and answers on the wire, and a server in a selector that the test turns."""

import os
import selectors
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from akjob.config import Paths
from akjob.control.client import Client
from akjob.control.requests import (
    OPERATIONS,
    UPGRADED,
    Answer,
    AnyRequest,
    Done,
    Drain,
    GetStatus,
    PauseJob,
    Refused,
    Request,
    RunClaimed,
    RunJob,
    WaitForRun,
    decode_answer,
    decode_request,
)
from akjob.control.server import Peer, Serve, Server
from akjob.errors import AkjobError, UnreachableError, UsageError
from akjob.program import listen

Begin = Callable[[Serve], Server]


@pytest.mark.parametrize("one", [GetStatus(), Drain(kill=True), PauseJob(job="a", by="ann"), RunJob(job="a")])
def test_a_request_reads_back(one: Request[Any]) -> None:
    """What the client sends is what the server serves; ``op`` says which it is."""
    line = msgspec.json.encode(one)
    assert decode_request(line) == one
    assert OPERATIONS[msgspec.json.decode(line)["op"]] is type(one)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"op":"fly"}', "akjobd does not know the request 'fly'"),
        (b'{"op":"run","job":"a","speed":3}', "akjobd cannot read the request: "),
        (b'{"op":"run"}', "akjobd cannot read the request: "),
        (b"[]", "akjobd cannot read the request: "),
        (b"{", "akjobd cannot read the request: "),
    ],
)
def test_a_request_of_another_version_is_answered_with_what_to_do(line: bytes, said: str) -> None:
    """An upgrade leaves the old akjobd running, until somebody restarts it."""
    answer = decode_request(line)
    assert isinstance(answer, Refused)
    assert answer.message.startswith(said)
    assert answer.hint == UPGRADED == "restart akjobd after an upgrade"


def test_an_answer_of_another_version_says_what_to_do() -> None:
    """An akjobd of the version before answers in another form."""
    with pytest.raises(AkjobError) as caught:
        decode_answer(b'{"ok":true,"run":"r1"}', RunJob(job="a"))
    assert caught.value.hint == UPGRADED


@pytest.mark.parametrize("kind", [AkjobError, UsageError, UnreachableError])
def test_a_refusal_is_raised_as_what_it_was(kind: type[AkjobError]) -> None:
    """Message, hint and the kind of error, and with it the command's exit code, cross the wire."""
    line = msgspec.json.encode(Refused.of(kind("no", hint="ask again")))
    with pytest.raises(AkjobError) as caught:
        decode_answer(line, GetStatus())
    assert (type(caught.value), caught.value.message, caught.value.hint) == (kind, "no", "ask again")


class Turned:
    """A server whose selector a thread turns until the test is over."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.gone: list[Peer] = []
        self._selector = selectors.DefaultSelector()
        self._out, self._in = os.pipe()
        self._selector.register(self._out, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._turn)
        self.server: Server | None = None

    def begin(self, serve: Serve) -> Server:
        """Listen, and serve from now on."""
        self.server = Server(listen(self.paths.control_socket), self._selector, serve, self.gone.append)
        self._thread.start()
        return self.server

    def _turn(self) -> None:
        while True:
            for key, mask in self._selector.select():
                if key.data is None:
                    return
                key.data(mask)

    def end(self) -> None:
        """Close everything."""
        os.write(self._in, b"x")
        self._thread.join()
        assert self.server is not None
        self.server.close()
        self._selector.close()
        os.close(self._out)
        os.close(self._in)


@pytest.fixture
def turned() -> Iterator[Turned]:
    """Yield a server that is not begun yet, at a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="akjob-") as name:
        one = Turned(Paths(Path(name)))
        yield one
        one.end()


def test_answers_come_back_in_order(turned: Turned) -> None:
    """Two requests in one packet are two answers; a refusal between them is one of them."""

    def serve(_: Peer, request: AnyRequest) -> Answer | None:
        return RunClaimed(run=f"run of {request.job}") if isinstance(request, RunJob) else Done()

    turned.begin(serve)
    with Client(turned.paths) as client:
        client.connect().sendall(b'{"op":"run","job":"a"}\n{"op":"fly"}\n{"op":"run","job":"b"}\n')
        assert client.answer(RunJob(job="a")).run == "run of a"
        with pytest.raises(AkjobError, match="fly"):
            client.answer(Drain())
        assert client.answer(RunJob(job="b")).run == "run of b"


def test_an_answer_may_come_later(turned: Turned) -> None:
    """``None`` keeps the connection waiting; whoever hung up meanwhile is known to be gone."""
    waiting: list[Peer] = []

    def serve(peer: Peer, request: AnyRequest) -> Answer | None:
        if isinstance(request, WaitForRun):
            waiting.append(peer)
            return None
        for one in waiting:
            server.send(one, Refused(message="no such run"))
        return Done()

    server = turned.begin(serve)
    with Client(turned.paths) as first, Client(turned.paths) as second, Client(turned.paths) as third:
        first.send(WaitForRun(run="r1"))
        third.send(WaitForRun(run="r2"))
        third.close()
        assert second.call(Drain()) == Done()
        with pytest.raises(AkjobError, match="no such run"):
            first.answer(WaitForRun(run="r1"))


def test_a_large_answer_needs_several_turns(turned: Turned) -> None:
    """What the connection has no room for is sent when it has."""
    turned.begin(lambda _peer, _request: RunClaimed(run="x" * 4_000_000))
    with Client(turned.paths) as client:
        assert len(client.call(RunJob(job="a")).run) == 4_000_000


def test_another_socket_can_take_the_place_of_the_first(turned: Turned) -> None:
    """The connections of the first go on."""
    server = turned.begin(lambda _peer, _request: Done())
    with Client(turned.paths) as before:
        assert before.call(Drain()) == Done()
        turned.paths.control_socket.unlink()
        with pytest.raises(UnreachableError):
            Client(turned.paths).connect()
        server.replace(listen(turned.paths.control_socket))
        assert before.call(Drain()) == Done()
        with Client(turned.paths) as after:
            assert after.call(Drain()) == Done()
