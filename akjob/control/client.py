"""A connection to akjobd, for the commands and the other programs."""

import socket
from typing import Any, Self

import msgspec

from akjob.config import Paths, socket_address
from akjob.control.requests import SLOW, A, Request, decode_answer
from akjob.errors import UnreachableError

_CONNECT_S = 5.0
ANSWER_S = 10.0


class Client:
    """A connection to akjobd. Every method raises UnreachableError when akjobd cannot be reached.

    An akjobd that hangs does not keep a command for ever: it has ANSWER_S seconds for each answer, those of SLOW
    requests aside.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._socket: socket.socket | None = None
        self._rest = b""

    def __enter__(self) -> Self:
        """Connect."""
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def connect(self) -> socket.socket:
        """Return the connection; make it, if that was not done yet."""
        if self._socket is None:
            self._socket = self._connected()
        return self._socket

    def _connected(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(_CONNECT_S)
        try:
            sock.connect(socket_address(self._paths.control_socket))
        except PermissionError as error:
            sock.close()
            raise UnreachableError(
                f"akjobd of {self._paths.root} answers its own user and root alone",
                hint="run the command as that user, or with sudo",
            ) from error
        except OSError as error:
            sock.close()
            raise UnreachableError(
                f"akjobd of {self._paths.root} cannot be reached: {error.strerror or error}",
                hint="start it with `akjob up`",
            ) from error
        sock.settimeout(ANSWER_S)
        return sock

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._rest = b""

    def fileno(self) -> int:
        """Return the descriptor, to wait for an answer among other things. Connects."""
        return self.connect().fileno()

    def send(self, request: Request[Any]) -> None:
        """Send a request without waiting for its answer."""
        sock = self.connect()
        sock.settimeout(None if isinstance(request, SLOW) else ANSWER_S)
        try:
            sock.sendall(msgspec.json.encode(request) + b"\n")
        except OSError as error:
            raise self._gone() from error

    def answer(self, request: Request[A]) -> A:
        """Wait for the answer to a request that was sent. Raises AkjobError with what akjobd said when it refused."""
        return decode_answer(self._line(), request)

    def call(self, request: Request[A]) -> A:
        """Send a request and return its answer."""
        self.send(request)
        return self.answer(request)

    def silent(self) -> UnreachableError:
        """Close the connection to an akjobd that did not answer in time; return the error that says so."""
        self.close()
        return UnreachableError(
            f"akjobd of {self._paths.root} does not answer",
            hint="it hangs, is stopped, or waits for its disk: see var/log/akjobd.out, and try again; "
            "`supervisorctl restart akjobd` restarts it, and leaves the runs alone",
        )

    def _line(self) -> bytes:
        if self._socket is None:
            raise self._gone()
        while b"\n" not in self._rest:
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError as error:
                raise self.silent() from error
            except OSError as error:
                raise self._gone() from error
            if not data:
                raise self._gone()
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _gone(self) -> UnreachableError:
        self.close()
        return UnreachableError(
            f"akjobd of {self._paths.root} went away before it answered",
            hint="it is being restarted, most likely: try again, or look with `akjob status`",
        )
