"""The other side of a webhook as a process of its own: ``python -m tests.system.receiver PORT FILE``.

It prints the port that it listens on. What it takes is on disk, a line for each request, before it answers.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def main(port: int, file: Path) -> None:
    """Take messages until killed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            line = {"id": self.headers["Akjob-Delivery"], "jobs": [one["job"] for one in message["jobs"]]}
            os.write(out, json.dumps(line).encode() + b"\n")
            os.fsync(out)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        print(server.server_address[1], flush=True)  # noqa: T201 - the answer
        server.serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
