"""Real servers for the tests, on loopback: SMTP (RFC 5321, as far as smtplib speaks it) and HTTP."""

import email
import email.policy
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from msgspec import Struct


class MailServer:
    """Takes mails; ``refuse`` answers the data of each with 451 while it is set."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.refuse = False
        self.port = 0


class _Smtp(socketserver.StreamRequestHandler):
    """One SMTP conversation."""

    def handle(self) -> None:
        mail_server: MailServer = self.server.mail_server  # type: ignore[attr-defined]
        self._say("220 tests ESMTP")
        for line in iter(self.rfile.readline, b""):
            verb = line[:4].upper()
            if verb == b"DATA":
                self._say("354 go on")
                data = b"".join(iter(self.rfile.readline, b".\r\n"))
                if mail_server.refuse:
                    self._say("451 the disk is full")
                    continue
                parsed = email.message_from_bytes(data.replace(b"\r\n..", b"\r\n."), policy=email.policy.default)
                assert isinstance(parsed, EmailMessage)
                mail_server.mails.append(parsed)
            self._say("221 bye" if verb == b"QUIT" else "250 fine")
            if verb == b"QUIT":
                return

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class _Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """Run an SMTP server on a free port of loopback."""
    state = MailServer()
    with _Threads(("127.0.0.1", 0), _Smtp) as server:
        server.mail_server = state  # type: ignore[attr-defined]
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


class Request(Struct, kw_only=True):
    """One HTTP request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body, read as JSON."""
        return json.loads(self.body)


class WebServer:
    """Takes requests; ``answer`` says with which status each is answered. An instance is one address."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], int] = lambda _request: 200
        self.port = 0

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def web_server(port: int = 0) -> Iterator[WebServer]:
    """Run an HTTP server on a free port of loopback, or on this one."""
    state = WebServer()

    class Handler(BaseHTTPRequestHandler):
        def _take(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(method=self.command, path=self.path, headers=dict(self.headers), body=body)
            status = state.answer(request)
            state.requests.append(request)
            self.send_response(status)
            if status in {301, 302, 307, 308}:
                self.send_header("Location", state.url + "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = do_PUT = _take  # noqa: N815 - the base class's names

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", port), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
