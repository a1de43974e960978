"""What git says of a commit, and of the newest one of some files: who made it, when, which files it touched."""

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

from akjob.errors import AkjobError
from akjob.instants import MINUTE
from akjob.jobset import git

_NAME = re.compile(r"[0-9a-f]{4,64}")
_FORMAT = "--format=%H%x00%an%x00%cI%x00%s%x00"
_KEPT = 512


class CommitNote(Struct, frozen=True, kw_only=True):
    """A commit: its full name, its author, when it was made (RFC 3339), its subject, the files that it touched."""

    commit: str
    author: str
    at: str
    subject: str
    files: tuple[str, ...] = ()


class FileNote(Struct, frozen=True, kw_only=True):
    """The newest commit of some files, None where there is none, and those of them that differ from it."""

    commit: CommitNote | None
    dirty: tuple[str, ...] = ()


def commit_note(root: Path, commit: str, now_us: int) -> CommitNote | None:
    """Return what there is to say of a commit, named by its beginning; None where git knows none of that name."""
    name = commit.lower()
    return _asked(str(root), name, now_us // MINUTE) if _NAME.fullmatch(name) else None


@lru_cache(maxsize=_KEPT)
def _asked(root: str, commit: str, _minute: int) -> CommitNote | None:
    """Ask git. What it says of a name is kept for a minute: the commit may come with the next fetch."""
    arguments = [
        "show",
        _FORMAT,
        "--name-only",
        "-z",
        "--relative",
        "-m",
        "--first-parent",
        f"{commit}^{{commit}}",
        "--",
    ]
    try:
        return _note(git.run(arguments, root))
    except AkjobError:
        return None


def file_note(root: Path, files: Sequence[str], now_us: int) -> FileNote:
    """Return the newest commit that touched files below the root, and which of them are not as committed."""
    return _looked_up(str(root), tuple(files), _stamps(root, files), now_us // MINUTE)


def _stamps(root: Path, files: Sequence[str]) -> tuple[int, ...]:
    found = []
    for file in files:
        try:
            found.append(os.stat(root / file).st_mtime_ns)
        except OSError:
            found.append(0)
    return tuple(found)


@lru_cache(maxsize=_KEPT)
def _looked_up(root: str, files: tuple[str, ...], _stamps: tuple[int, ...], _minute: int) -> FileNote:
    try:
        text = git.run(["log", "--max-count=1", _FORMAT, "--", *files], root)
        changed = git.run(["status", "--porcelain=v1", "-z", "--no-renames", "--", *files], root)
        prefix = git.run(["rev-parse", "--show-prefix"], root).decode("utf-8", "replace").strip()
    except AkjobError:
        return FileNote(commit=None)
    names = [one[3:].removeprefix(prefix) for one in changed.decode("utf-8", "replace").split("\x00") if one]
    return FileNote(commit=_note(text) if text.strip() else None, dirty=tuple(sorted(names)))


def _note(answer: bytes) -> CommitNote:
    full, author, at, subject, *files = answer.decode("utf-8", "replace").split("\x00")
    touched = tuple(file.strip("\n") for file in files if file.strip("\n"))
    return CommitNote(commit=full.strip(), author=author, at=at, subject=subject, files=touched)
