"""Half of the job files of a large folder, parsed by a second process while the first parses the others.

It is an interpreter of its own, never a fork, for akjobd has threads. What it sends is what is remembered over
restarts, and counts by the same rules: akjobd looks at each file itself, so at worst the work was in vain.
"""

import os
import subprocess
import sys
import zlib

_CODE = "from akjob.jobset.loader import parse_ahead; parse_ahead()"
WORTH_IT = 2_000  # files to parse; for fewer a second interpreter starts in vain
_PART = 115  # of 256: it has to start and to send what it found, so it gets less than half


def is_theirs(path: str) -> bool:
    """Say whether a job file is one of the second process's."""
    return zlib.crc32(path.encode("utf-8", "surrogateescape")) & 255 < _PART


class Ahead:
    """The second process. :meth:`answer` waits for what it found; empty where nothing came of it."""

    def __init__(self, root: str, own_uid: int, now_us: int) -> None:
        command = [sys.executable, "-I", "-c", _CODE, root, str(own_uid), str(now_us)]
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:
            return

    def answer(self) -> bytes:
        """Return all that it sent, once it has ended."""
        if self._process is None:
            return b""
        data, _ = self._process.communicate()
        return data if self._process.returncode == 0 else b""


def is_worth_it(files: int) -> bool:
    """Say whether so many files are parsed sooner by two, and there is a processor for the second."""
    return files >= WORTH_IT and len(os.sched_getaffinity(0)) > 1
