"""``on_change``: files that changed. What is here looks at files, and says when a change is a slot."""

import fnmatch
import glob
import os
import stat
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from akjob.instants import from_text, to_text
from akjob.ledger.model import Occurrence
from akjob.schedule.events import OnChange

Signature = tuple[int, int, int]
"""Of a file: when it was modified (ns), its size, its inode."""

Snapshot = Mapping[str, Signature]
"""Files by their absolute paths."""

LOOK_AGAIN_US = 30_000_000
"""Files are looked at again after this long, whatever was or was not heard of them."""


class FilesChanged(Struct, frozen=True, kw_only=True):
    """A slot of a job: the files that changed, from when until when, and what it has seen (None: the file is gone)."""

    job: str
    at_us: int
    first_us: int
    last_us: int
    files: tuple[str, ...]
    seen: Mapping[str, Signature | None]

    def occurrence(self, held: Occurrence | None = None, until_us: int | None = None) -> Occurrence:
        """Return what makes the job due, now or at ``until_us``, with the files of one that was held back."""
        first_us = (None if held is None else changed_since(held.cause)) or self.first_us
        files = self.files if held is None else tuple(sorted({*held.files, *self.files}))
        cause = msgspec.json.encode({"changed": len(files), "since": to_text(first_us)}).decode()
        return Occurrence(
            job=self.job,
            key=f"{OnChange.key}:{self.at_us}",
            at_us=self.at_us if until_us is None else until_us,
            slot_us=None if until_us is None else self.at_us,
            trigger="change",
            cause=cause,
            files=files,
        )


class FileWatch:
    """What one job has seen of its files, and what has changed since.

    ``seen`` is what its last slot saw; None: nothing yet, and what is there at first does not count as a change.
    After a restart what changed meanwhile is a slot at once.
    """

    def __init__(self, job: str, change: OnChange, seen: Snapshot | None) -> None:
        self.job = job
        self.change = change
        self._seen = None if seen is None else dict(seen)
        self._found: Snapshot = {} if seen is None else dict(seen)
        self._restarted = seen is not None
        self._first_us: int | None = None
        self._last_us = 0

    def note(self, now_us: int, found: Snapshot) -> FilesChanged | None:
        """Take in what is there now; return the slot that this comes to, or what was there at first."""
        if self._seen is None:
            self._seen, self._found = dict(found), found
            return FilesChanged(job=self.job, at_us=now_us, first_us=now_us, last_us=now_us, files=(), seen=dict(found))
        changed = self._changed(found)
        if not changed:
            self._first_us = None
        elif self._first_us is None or found != self._found:
            self._first_us, self._last_us = now_us if self._first_us is None else self._first_us, now_us
        self._found = found
        restarted, self._restarted = self._restarted, False
        due_us = now_us if restarted and changed else self.due_us
        if due_us is None or due_us > now_us:
            return None
        return self._slot(changed, due_us)

    @property
    def due_us(self) -> int | None:
        """When the changes so far are a slot, if nothing changes until then."""
        if self._first_us is None:
            return None
        return min(self._last_us + self.change.settle_us, self._first_us + self.change.at_most_us)

    def _changed(self, found: Snapshot) -> dict[str, Signature | None]:
        seen = self._seen or {}
        changed: dict[str, Signature | None] = {
            path: signature for path, signature in found.items() if seen.get(path) != signature
        }
        return changed | {path: None for path in seen if path not in found}

    def _slot(self, changed: Mapping[str, Signature | None], at_us: int) -> FilesChanged | None:
        """Return the slot; removed files make none unless the job asks for it."""
        first_us, last_us = (at_us, at_us) if self._first_us is None else (self._first_us, self._last_us)
        self._seen, self._first_us = dict(self._found), None
        files = tuple(sorted(path for path, one in changed.items() if one is not None or self.change.deleted))
        return FilesChanged(job=self.job, at_us=at_us, first_us=first_us, last_us=last_us, files=files, seen=changed)


def scan(root: str, change: OnChange) -> Snapshot:
    """Return the regular files that the patterns of a job find now."""
    found: dict[str, Signature] = {}
    for pattern in change.paths:
        for path in glob.iglob(os.path.join(root, pattern), recursive=True, include_hidden=True):
            name = os.path.basename(path)
            if any(fnmatch.fnmatchcase(name, ignored) for ignored in change.ignore):
                continue
            try:
                status = os.stat(path)
            except OSError:
                continue  # it is gone already, or may not be looked at
            if stat.S_ISREG(status.st_mode):
                found[os.path.abspath(path)] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def folders(root: str, change: OnChange) -> Iterator[str]:
    """Yield the folders in which a job's files are or will be: the part of each pattern before the first sign."""
    for pattern in change.paths:
        whole = os.path.join(root, pattern)
        parts = whole.split("/")
        fixed = next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
        yield "/".join(parts[:fixed]) or "/"


def changed_since(cause: str | None) -> int | None:
    """Return when the first of the changes was that made a run due; None for a run of another trigger."""
    since = msgspec.json.decode(cause).get("since") if cause else None
    return None if since is None else from_text(since)
