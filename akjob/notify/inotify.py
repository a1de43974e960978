"""Waking up when the ledger or the settings are written: inotify(7) on two folders, by the names of files."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_IN_MODIFY, _IN_CLOSE_WRITE, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x2, 0x8, 0x80, 0x100, 0x200
_MASK = _IN_MODIFY | _IN_CLOSE_WRITE | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE
_HEAD = struct.Struct("iIII")


class Inotify:
    """Reports which of some files were written, made, moved or removed. Raises OSError where there is no inotify."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify cannot be used")
        self._names: dict[int, dict[str, Path]] = {}
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = self._libc.inotify_add_watch(self._fd, os.fsencode(file.parent), _MASK)
            if descriptor < 0:
                raise OSError(ctypes.get_errno(), "inotify cannot watch it", str(file.parent))
            self._names.setdefault(descriptor, {})[file.name] = file

    def fileno(self) -> int:
        """Return the descriptor, to wait for."""
        return int(self._fd)

    def changed(self) -> set[Path]:
        """Return which of the files something happened to since the last call."""
        found: set[Path] = set()
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return found
        at = 0
        while at < len(data):
            descriptor, _, _, length = _HEAD.unpack_from(data, at)
            name = data[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0").decode("utf-8", "surrogateescape")
            at += _HEAD.size + length
            file = self._names.get(descriptor, {}).get(name)
            if file is not None:
                found.add(file)
        return found

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)
