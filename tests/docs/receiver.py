"""Servers for the pages, in the background: ``python -m tests.docs.receiver KIND HOST:PORT FOLDER``.

KIND is ``smtp``, ``http``, or ``tunnel``: a proxy at which every ``https://`` address ends, with the certificate
``FOLDER/tls.pem``. What arrives is kept in FOLDER as the files 1, 2, 3, …. The program ends once the server listens.
"""

import email
import email.policy
import itertools
import os
import socketserver
import ssl
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

Keep = Callable[[str], None]


class Mail(socketserver.StreamRequestHandler):
    """One SMTP conversation."""

    def handle(self) -> None:
        """Take what is sent."""
        self._say("220 a page ESMTP")
        for line in iter(self.rfile.readline, b""):
            if line[:4].upper() == b"DATA":
                self._say("354 go on")
                self._keep(b"".join(iter(self.rfile.readline, b".\r\n")).replace(b"\r\n..", b"\r\n."))
            self._say("221 bye" if line[:4].upper() == b"QUIT" else "250 fine")

    def _keep(self, data: bytes) -> None:
        mail = email.message_from_bytes(data, policy=email.policy.default)
        shown = ("Subject", "From", "To", "Message-ID", "References")
        head = "".join(f"{name}: {mail[name]}\n" for name in shown if name in mail)
        assert isinstance(mail, email.message.EmailMessage)
        self.server.keep(f"{head}\n{mail.get_content()}")  # type: ignore[attr-defined]

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class Web(BaseHTTPRequestHandler):
    """One HTTP request, or a tunnel to whatever address: it ends here."""

    protocol_version = "HTTP/1.1"
    where = ""

    def do_POST(self) -> None:
        """Keep a request."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.keep(f"{self.command} {self.where}{self.path}\n" + (f"{body}\n" if body else ""))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_POST  # noqa: N815 - the base class's name

    def do_CONNECT(self) -> None:
        """Be the server that the client asks for."""
        self.send_response_only(200)
        self.end_headers()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server.folder / "tls.pem")  # type: ignore[attr-defined]
        self.close_connection = False  # a client of HTTP/1.0 goes on all the same
        self.where = f"https://{self.path.removesuffix(':443')}"
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Server(socketserver.ThreadingTCPServer):
    """Numbers what arrives."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[socketserver.BaseRequestHandler], folder: Path) -> None:
        super().__init__(address, handler)
        self.folder = folder
        self._numbers = itertools.count(1)

    def keep(self, text: str) -> None:
        """Write what arrived to the next file, whole or not at all."""
        draft = self.folder / ".draft"
        draft.write_text(text, encoding="utf-8")
        draft.rename(self.folder / str(next(self._numbers)))


def main(kind: str, address: str, folder: Path) -> None:
    """Listen, and serve in the background."""
    folder.mkdir(exist_ok=True)
    host, _, port = address.partition(":")
    server = Server((host, int(port)), Mail if kind == "smtp" else Web, folder.resolve())
    if os.fork() == 0:
        os.setsid()
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
