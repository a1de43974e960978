"""The way from a job's process to its shim: one message, one write, so that threads and forks cannot mix lines."""

from __future__ import annotations

import errno
import os
import sys
import time

from akjob.log.line import encode
from akjob.log.line.head import timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_SMALL = 4096
"""Bytes that every kind of pipe takes in one piece."""

_fd = -1
_identity: tuple[int, int] | None = None


def open_channel(fd: int) -> None:
    """Send messages here: a SOCK_SEQPACKET socket to the shim, or a pipe. Other programs do not inherit it."""
    global _fd, _identity
    os.set_inheritable(fd, False)
    status = os.fstat(fd)
    _fd, _identity = fd, (status.st_dev, status.st_ino)


def write(level: str, event: object, logger: str | None, fields: Mapping[str, object], now_ns: int = 0) -> None:
    """Send one message. Never raises: a job must not fail because of what it says."""
    when = timestamp(now_ns or time.time_ns())
    send(encode.message(when, level, event, logger, fields))


def send(data: bytes) -> None:
    """Send one finished message; where the channel is gone, to standard error, which is logged as output."""
    if is_open():
        try:
            os.write(_fd, data)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                return  # the shim is gone, and this process about to be ended
            _send_small(data)
        return
    try:
        sys.stderr.write(data.decode("utf-8") + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # closed, or None: no shim reads it
        return


def is_open() -> bool:
    """Return whether the descriptor is still the one that was given: a job may close it and open another file there."""
    try:
        status = os.fstat(_fd)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == _identity


def _send_small(data: bytes) -> None:
    """Send at least what happened, where the socket's buffer is smaller than is usual."""
    when = data[14:41].decode("ascii", "replace")
    try:
        os.write(_fd, encode.message(when, "info", data[:_SMALL].decode("utf-8", "replace"), None, {"truncated": True}))
    except OSError:
        return


def put_aside(fields: dict[str, object], key: str) -> None:
    """Give a field of the job's own another name, where akjob has something to say under its name."""
    if key in fields:
        aside = key + "_"
        while aside in fields:
            aside += "_"
        fields[aside] = fields.pop(key)


def with_failure(fields: dict[str, object]) -> dict[str, object]:
    """Return the fields with ``exc_info`` (True, an exception, or a triple) made a structured ``exception``."""
    given = fields.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()[1]
    elif isinstance(given, tuple):
        given = given[1]
    if isinstance(given, BaseException):
        from akjob.log.line import failure  # noqa: PLC0415 - loaded by those that fail

        put_aside(fields, "exception")
        try:
            fields["exception"] = failure.describe(given)
        except Exception as error:  # noqa: BLE001 - an exception too odd to be taken apart must not cost the line
            said = f"{type(given).__name__}, which cannot be described: {type(error).__name__}"
            fields["exception"] = {"type": type(given).__qualname__, "message": said, "frames": []}
    return fields
