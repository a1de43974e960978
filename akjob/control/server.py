"""``var/run/akjobd.sock``: what the commands ask of akjobd.

One JSON object a line, one line of answer for each: ``{"op": "stop", "target": "backup"}`` is answered with
``{"ok": true, …}`` or ``{"ok": false, "message": …, "hint": …, "exit_code": 1}``. Answers come in the order of the
questions, but for ``wait`` and ``drain``, which are answered when what they wait for has happened; such a connection
should ask nothing else.
"""

import socket
from collections.abc import Iterator
from typing import Any, Self

import msgspec

from akjob.config import Paths, socket_address
from akjob.errors import AkjobError
from akjob.instants import to_text
from akjob.jobset.model import BrokenJob
from akjob.program import is_own_user

_LINE_BYTES = 4 << 20
_CONNECT_S = 5.0
ANSWER_S = 10.0
_IN_GOOD_TIME = frozenset({"wait", "drain"})


def refusal(broken: BrokenJob, commit: str | None, *, dirty: bool | None) -> dict[str, Any]:
    """Return what ``akjob status --json`` says of a broken job, whether akjobd says it or a command that found out."""
    fields = {key: getattr(broken, key) for key in ("job", "file", "line", "column", "message", "hint")}
    return {
        **fields,
        "since": to_text(broken.since_us),
        "git_commit": commit,
        "git_dirty": dirty,
        "running_last_good": broken.running_last_good,
    }


class Client:
    """A connection to akjobd. Every method raises AkjobError with exit code 3 when akjobd cannot be reached.

    An akjobd that hangs does not keep a command for ever: it has ANSWER_S seconds for each answer, ``wait`` and
    ``drain`` aside.
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
        """Let go."""
        self.close()

    def connect(self) -> None:
        """Connect, if that was not done yet."""
        if self._socket is not None:
            return
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(_CONNECT_S)
        try:
            sock.connect(socket_address(self._paths.control_socket))
        except PermissionError as error:
            sock.close()
            raise AkjobError(
                f"akjobd of {self._paths.root} answers its own user and root alone",
                hint="run the command as that user, or with sudo",
                exit_code=3,
            ) from error
        except OSError as error:
            sock.close()
            raise AkjobError(
                f"akjobd of {self._paths.root} cannot be reached: {error.strerror or error}",
                hint="start it with `akjob up`, or look at it with `akjob status`",
                exit_code=3,
            ) from error
        sock.settimeout(ANSWER_S)
        self._socket = sock

    def close(self) -> None:
        """Let go of the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._rest = b""

    def fileno(self) -> int:
        """Return the descriptor, to wait for an answer beside other things. Connects."""
        self.connect()
        assert self._socket is not None  # noqa: S101 - connect() has made it or raised
        return self._socket.fileno()

    def ask(self, op: str, **values: Any) -> None:
        """Send a question without waiting for its answer."""
        self.connect()
        assert self._socket is not None  # noqa: S101 - as above
        self._socket.settimeout(None if op in _IN_GOOD_TIME else ANSWER_S)
        try:
            self._socket.sendall(msgspec.json.encode({"op": op, **values}) + b"\n")
        except OSError as error:
            raise self._gone() from error

    def answer(self) -> dict[str, Any]:
        """Wait for the next answer. Raises AkjobError with what akjobd said when it refused."""
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
        answer: dict[str, Any] = msgspec.json.decode(line)
        if not answer.get("ok"):
            raise AkjobError(
                answer.get("message", "akjobd refused"),
                hint=answer.get("hint", ""),
                exit_code=answer.get("exit_code", 1),
            )
        return answer

    def call(self, op: str, **values: Any) -> dict[str, Any]:
        """Ask and wait for the answer."""
        self.ask(op, **values)
        return self.answer()

    def silent(self) -> AkjobError:
        """Let go of an akjobd that did not answer in time; return the error that says so."""
        self.close()
        return AkjobError(
            f"akjobd of {self._paths.root} does not answer",
            hint="it hangs, is stopped, or waits for its disk: see var/log/akjobd.out, and try again; "
            "`supervisorctl restart akjobd` restarts it, and leaves the runs alone",
            exit_code=3,
        )

    def _gone(self) -> AkjobError:
        self.close()
        return AkjobError(
            f"akjobd of {self._paths.root} went away before it answered",
            hint="it is being restarted, most likely: try again, or look with `akjob status`",
            exit_code=3,
        )


class Peer:
    """One connected command, on akjobd's side. Never blocks."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.socket = connection
        self._inbox = b""
        self._outbox = b""
        self.waits_for: str | None = None  # a run that it wants to hear the end of, or "" for all of them

    def requests(self) -> Iterator[dict[str, Any]] | None:
        """Return the questions that have arrived whole; None when the peer is gone or sends nonsense."""
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return iter(())
        except OSError:
            return None
        if not data or len(self._inbox) > _LINE_BYTES:
            return None
        *lines, self._inbox = (self._inbox + data).split(b"\n")
        try:
            found = [msgspec.json.decode(line) for line in lines]
        except msgspec.DecodeError:
            return None
        return iter(found) if all(isinstance(one, dict) for one in found) else None

    def send(self, answer: dict[str, Any]) -> None:
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
        """Whether an answer waits for room."""
        return bool(self._outbox)


def accept(listener: socket.socket) -> Peer | None:
    """Take a connection; None when there is none, or when it is neither root's nor our own user's."""
    try:
        connection, _ = listener.accept()
    except OSError:
        return None
    peer = Peer(connection)
    if is_own_user(connection):
        return peer
    peer.send({"ok": False, "message": "akjobd answers its own user and root alone", "exit_code": 3})
    connection.close()
    return None
