"""The files of a commit as a look at its checkout would find them: symlinks and submodules are followed.

Everything is read from git's objects, nothing is checked out. A submodule's objects are in its own repository, so what
is in one is known where it is checked out, at whatever commit.
"""

import os
import posixpath
from collections.abc import Iterator, Mapping

from msgspec import Struct

from akjob.config import DEFAULTS, is_ignored
from akjob.errors import AkjobError, Problem
from akjob.jobset import git, scan

_LINK, _FOLDER, _SUBMODULE = "120000", "040000", "160000"
_MOST_LINKS = 40  # as the kernel: more are a loop


class Contents(Struct, frozen=True):
    """What is in a folder of a commit, by path below it: the job files and ``_defaults.toml`` files.

    A file that is there and cannot be read is a Problem. ``unseen`` has the files and folders of which the commit does
    not tell what is in them, with a problem for each of them.
    """

    files: Mapping[str, bytes | Problem]
    unseen: Mapping[str, Problem]


class UnseenPathError(Exception):
    """A path whose content is not in the commit: why, and what to do."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint

    def problem(self, shown: str) -> Problem:
        """Return it as a problem."""
        message = f"{self.why}: what it leads to is not compared"
        return Problem(file=shown, severity="warning", code="not-in-commit", message=message, hint=self.hint)


class _TreeEntry(Struct, frozen=True):
    """A file or folder: ``folder`` is where its repository is checked out."""

    mode: str
    oid: str
    folder: str


class Tree:
    """All files of a commit. ``folder`` lies in the checkout; paths are relative to it. Raises AkjobError."""

    def __init__(self, folder: str, commit: str) -> None:
        self._top = os.fsdecode(git.run(["rev-parse", "--show-toplevel"], folder)).strip("\n")
        self._prefix = os.fsdecode(git.run(["rev-parse", "--show-prefix"], folder)).strip("\n")
        self._entries: dict[str, _TreeEntry] = {"": _TreeEntry(_FOLDER, "", self._top)}
        self._names: dict[str, list[str]] = {}
        self._links: dict[str, str] = {}
        self._take("", self._top, commit)

    def read(self, path: str) -> bytes | None:
        """Return a file's content, None when there is no such file. Raises UnseenPathError."""
        entry = self._entries.get(self._resolve(self._prefix + path) or "")
        if entry is None or entry.mode in {_FOLDER, _SUBMODULE}:
            return None
        return next(git.contents(entry.folder, [entry.oid]))

    def contents(self, below: str) -> Contents:
        """Return all of a folder, as :func:`akjob.jobset.scan.scan` does; what is shown is named below it."""
        found: dict[str, _TreeEntry | Problem] = {}
        unseen: dict[str, Problem] = {}
        try:
            real = self._resolve(self._prefix + below)
        except UnseenPathError as error:
            return Contents({}, {"": error.problem(below)})
        if real is not None and self._entries[real].mode == _FOLDER:
            above = {real, *_folders_above(real)}
            for path, what in self._walk(real, "", above, below):
                if isinstance(what, Problem) and what.code == "not-in-commit":
                    unseen[path] = what
                else:
                    found[path] = what
        return Contents(self._contents(found), unseen)

    def _walk(self, real: str, path: str, above: set[str], shown: str) -> Iterator[tuple[str, _TreeEntry | Problem]]:
        """Yield what is in the folder ``real``, which is called ``path``, with what is wrong."""
        names = self._names.get(real, ())
        for name in sorted(names):
            if (is_ignored(name) and name != DEFAULTS) or scan.original_of(name) in names:
                continue
            own = f"{path}/{name}" if path else name
            counts = name == DEFAULTS or scan.is_job_path(own)
            try:
                target = self._resolve(f"{real}/{name}" if real else name)
            except UnseenPathError as error:
                if counts or not os.path.isfile(os.path.join(self._top, real, name)):
                    yield own, error.problem(f"{shown}/{scan.printable(own)}")
                continue
            if target is None:
                if counts:
                    yield own, _leads_to_nothing(f"{shown}/{scan.printable(own)}")
            elif self._entries[target].mode != _FOLDER:
                if counts:
                    yield own, self._entries[target]
            elif name != DEFAULTS and target not in above:
                yield from self._walk(target, own, above | {target}, shown)

    def _contents(self, found: Mapping[str, _TreeEntry | Problem]) -> dict[str, bytes | Problem]:
        """Read what was found, with one call for each repository."""
        read: dict[str, bytes | Problem] = {}
        wanted: dict[str, list[tuple[str, str]]] = {}
        for path, what in found.items():
            if isinstance(what, Problem):
                read[path] = what
            else:
                wanted.setdefault(what.folder, []).append((path, what.oid))
        for folder, files in wanted.items():
            contents = git.contents(folder, [oid for _, oid in files])
            read.update(zip((path for path, _ in files), contents, strict=True))
        return read

    def _resolve(self, path: str) -> str | None:
        """Return where a path leads to, without links; None when it leads to nothing. Raises UnseenPathError."""
        rest = path.split("/")[::-1]
        at, followed = "", 0
        while rest:
            part = rest.pop()
            if part == "..":
                if not at:
                    raise UnseenPathError("it leads out of the repository", "keep what is there in the repository")
                at = posixpath.dirname(at)
            if part in {"", ".", ".."}:
                continue
            here = f"{at}/{part}" if at else part
            entry = self._entries.get(here)
            if entry is None:
                return None
            if entry.mode == _LINK:
                followed += 1
                if followed > _MOST_LINKS:
                    return None
                target = self._links[here]
                if target.startswith("/"):
                    at, target = "", os.path.relpath(target, self._top)
                rest += target.split("/")[::-1]
                continue
            if entry.mode == _SUBMODULE:
                self._enter(here, entry)
            at = here
        return at

    def _enter(self, at: str, entry: _TreeEntry) -> None:
        """Take in a submodule where it is checked out."""
        folder = os.path.join(self._top, at)
        hint = "git submodule update --init --recursive"
        if not os.path.lexists(os.path.join(folder, ".git")):
            raise UnseenPathError("its submodule is not checked out", hint)
        try:
            self._take(at, folder, entry.oid)
        except AkjobError as error:
            raise UnseenPathError(
                f"the submodule that is checked out does not have its commit {entry.oid[:10]}", hint
            ) from error
        self._entries[at] = _TreeEntry(_FOLDER, entry.oid, folder)

    def _take(self, at: str, folder: str, commit: str) -> None:
        """Take in the files of a commit of the repository that is checked out in ``folder``, as the folder ``at``."""
        links: dict[str, str] = {}
        for line in git.run(["ls-tree", "-r", "-t", "-z", "--full-tree", commit], folder).split(b"\0"):
            if line:
                facts, _, raw = line.partition(b"\t")
                mode, _, oid = facts.decode("ascii").split(" ")
                path = f"{at}/{os.fsdecode(raw)}" if at else os.fsdecode(raw)
                self._entries[path] = _TreeEntry(mode, oid, folder)
                self._names.setdefault(posixpath.dirname(path), []).append(posixpath.basename(path))
                if mode == _LINK:
                    links[path] = oid
        self._links.update(zip(links, map(os.fsdecode, git.contents(folder, list(links.values()))), strict=True))


def _folders_above(path: str) -> Iterator[str]:
    while path:
        path = posixpath.dirname(path)
        yield path


def _leads_to_nothing(shown: str) -> Problem:
    hint = "fix the link, or remove it"
    return Problem(file=shown, code="unreadable", message="the symlink leads to nothing", hint=hint)
