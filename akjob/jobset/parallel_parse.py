"""Half of the job files of a large folder, parsed by a second process while the first parses the others.

It is an interpreter of its own, never a fork, for akjobd has threads. What it sends is what the cache keeps, and counts
by the same rules: akjobd looks at each file itself, so at worst the work was in vain.
"""

import hashlib
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from akjob.config import Config, Paths, load_config
from akjob.jobset import cache, judge, scan
from akjob.jobset.contexts import Contexts
from akjob.jobset.garbage import without_collections
from akjob.jobset.names import JobsFolder

WORTH_IT = 2_000  # files to parse; for fewer a second interpreter starts in vain
_PART = 115  # of 256: it has to start and to send what it found, so it gets less than half
_PROGRAM = ("-m", "akjob.jobset.parallel_parse")


def is_theirs(path: str) -> bool:
    """Return True if a job file is one of the second process's."""
    return zlib.crc32(path.encode("utf-8", "surrogateescape")) & 255 < _PART


def is_worth_it(files: int) -> bool:
    """Return True if so many files are parsed sooner by two, and there is a processor for the second."""
    return files >= WORTH_IT and len(os.sched_getaffinity(0)) > 1


class SecondProcess:
    """The second process, seen from the first."""

    def __init__(self, root: str, own_uid: int, now_us: int) -> None:
        command = [sys.executable, "-I", *_PROGRAM, root, str(own_uid), str(now_us)]
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:
            return

    def answer(self) -> bytes:
        """Return all that it sent, once it has ended; nothing where it failed."""
        if self._process is None:
            return b""
        data, _ = self._process.communicate()
        return data if self._process.returncode == 0 else b""


def parse_theirs(paths: Paths, own_uid: int, now_us: int) -> bytes:
    """Return the second process's half of the folder, parsed, as the cache keeps it."""
    config, _ = load_config(paths.config_file)
    folder = JobsFolder.of(paths)
    contexts = Contexts(folder, config.trust, own_uid)
    listing = scan.scan(folder.folder, folder.shown)
    contexts.scan(listing, now_us)

    def records() -> Iterator[cache.Record]:
        for path in listing.files:
            if is_theirs(path) and path.isascii():
                yield from _record(path, folder, contexts, config, now_us)

    with without_collections():
        return cache.encode(cache.fingerprint() + cache.stamp_of(config), records())


def _record(path: str, folder: JobsFolder, contexts: Contexts, config: Config, now_us: int) -> Iterator[cache.Record]:
    """Yield what a file of one good job parsed to."""
    try:
        data, signature = scan.read(folder.path(path))
    except (FileNotFoundError, scan.UnreadableFileError):
        return
    context = contexts.of(path)
    verdicts = judge.parsed(path, folder.show(path), data, context.chain, config, now_us)
    if len(verdicts) == 1 and verdicts[0].spec is not None and not verdicts[0].problems:
        settled = max(signature[1], signature[7]) < (now_us - scan.RACY_US) * 1000
        yield cache.Record(path, signature, settled, hashlib.sha256(data).digest(), context.stamp, verdicts[0].spec)


def main() -> None:
    """Be the second process, for ROOT, UID and INSTANT on the command line."""
    root, own_uid, now_us = sys.argv[1:]
    sys.stdout.buffer.write(parse_theirs(Paths(Path(root)), int(own_uid), int(now_us)))


if __name__ == "__main__":
    main()
