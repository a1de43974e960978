"""The sockets of ``listen``: each address, or why it cannot be had."""

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from akjob.config import Paths, socket_address
from akjob.config.web import Address
from akjob.errors import AkjobError

_BACKLOG = 512
_SOCKET_MASK = 0o117  # a Unix socket is for the owner and the group: the proxy is a member of it


def open_all(paths: Paths, addresses: Sequence[Address]) -> tuple[list[socket.socket], list[AkjobError]]:
    """Return a listening socket for each address that can be had, and an error for each of the others."""
    sockets, errors = [], []
    for address in addresses:
        try:
            sockets.append(_open_unix(paths, address) if address.path else _open_tcp(address))
        except OSError as error:
            errors.append(_explain(address, error))
    return sockets, errors


def _open_tcp(address: Address) -> socket.socket:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, where = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _open_unix(paths: Paths, address: Address) -> socket.socket:
    """Listen at a path below the root. The program's lock allows to replace a socket that was left behind there."""
    path = paths.root / address.path
    where = socket_address(path)
    if path.is_socket():
        with suppress(FileNotFoundError):
            path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(_SOCKET_MASK)
    try:
        listener.bind(where)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


def _explain(address: Address, error: OSError) -> AkjobError:
    setting = "choose another address in listen of [web] in etc/akjob.toml and restart akjob-web"
    if error.errno == errno.EADDRINUSE:
        message = f"another program listens on {address}"
        return AkjobError(message, hint=f"Stop it, or {setting}; nothing else of akjob needs the page.")
    return AkjobError(f"cannot listen on {address}: {error.strerror or error}", hint=f"Or {setting}.")
