"""Points at which a test can hold a program, to see what happens when something dies just there.

Nothing happens unless ``AKJOB_FAILPOINTS`` names a Unix socket. Then a program that comes to a point says so there,
and goes on when it is answered or the connection ends. Part of the zygote: it imports next to nothing.
"""

import _socket
import os

address = os.environ.get("AKJOB_FAILPOINTS")


def reached(step: str, run: str) -> None:
    """Report that this process has come to a step of a run's life, and wait to go on. Without a test: do nothing."""
    if address is None:
        return
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.connect(address)
        sock.sendall(f"{step} {run} {os.getpid()}\n".encode())
        sock.recv(1)
    except OSError:
        return
    finally:
        sock.close()
