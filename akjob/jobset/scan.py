"""What lies in ``jobs.d/``: one look with ``stat`` alone, and one file read safely.

A look costs one ``stat`` a file and opens no file. What changed since the last look is read by
:mod:`akjob.jobset.loader`. The names in a folder are not read again while it is as it was when they were: whatever
comes, goes or takes another's place there moves its ``ctime``, which cannot be set.

Paths are relative to the folder looked at, with ``/`` between their parts: ``reports/nightly.toml``. The folder itself
is ``""``.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress

from msgspec import Struct

from akjob.config import DEFAULTS, is_ignored
from akjob.errors import Problem

SUFFIX = ".toml"
MAX_SIZE = 1024 * 1024
RACY_US = 2_000_000
NAME_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_LEFTOVER = re.compile(
    r"[._](?:LOCAL|REMOTE|BASE|BACKUP)[._][0-9]+\.toml\Z"  # git mergetool
    r"|(?:\A|/)Copy (?:\([0-9]+\) )?of [^/]*\.toml\Z"
    r"|[ (]SFConflict [^/]*\.toml\Z"  # Seafile
    r"|\.sync-conflict-[0-9]{8}-[0-9]{6}[^/]*\.toml\Z"  # Syncthing
    r"|_conflict-[0-9]{8}-[0-9]{6}\.toml\Z"  # ownCloud
    r"|[ (_-]conflicted[ _-]copy[^/]*\.toml\Z"  # Dropbox, Nextcloud
    r"| \((?:[^/]* )?(?:copy|Copy|Kopie|copie|copia)(?: [0-9]+)?\)\.toml\Z"  # file managers
    r"| (?:- )?(?:copy|Copy|Kopie|Copie)(?: \(?[0-9]+\)?)?\.toml\Z"
    r"| \([0-9]+\)\.toml\Z"
)
_COPIES = tuple(
    f".{word}.toml" for word in ("orig", "ORIG", "bak", "BAK", "old", "OLD", "tmp", "rej", "ours", "theirs", "Conflict")
)
"""Ends of names that a job may well have; beside the file without it, the file is a copy of that."""
_JOB_FILE = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]*/)*[A-Za-z0-9][A-Za-z0-9._-]*\.toml\Z")

Signature = tuple[int, int, int, int, int, int, int, int]
"""``(size, mtime_ns, inode, device, mode, uid, gid, ctime_ns)`` of what a name leads to, symlinks followed."""

_KIND, _REGULAR = 0o170000, stat.S_IFREG
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class Folder(Struct, frozen=True):
    """A folder as it was seen: who may write to it, and what it is."""

    device: int
    inode: int
    mode: int
    uid: int
    gid: int


class Names(Struct, frozen=True):
    """What lies in a folder of plain files and plain folders, as paths. ``stamp``: its ``mtime`` and ``ctime``."""

    stamp: tuple[int, int]
    files: tuple[str, ...]
    folders: tuple[str, ...]
    defaults: bool


class Listing(Struct, frozen=True, kw_only=True):
    """One look at the folder.

    ``files`` are the job files, ``defaults`` the ``_defaults.toml`` files by their folder. ``unreadable`` has the
    folders and files that are there but could not be looked at, with the reason: nothing is known of what is in them.
    ``missing`` says that the folder itself is not there. ``linked`` says that a symlink was followed somewhere, and
    ``links`` has the real paths of the files and folders that symlinks lead to. ``names`` has what was in each folder
    that had not been changed for two seconds: for the next look.
    """

    files: Mapping[str, Signature]
    defaults: Mapping[str, Signature]
    folders: Mapping[str, Folder]
    unreadable: Mapping[str, str]
    problems: tuple[Problem, ...]
    missing: bool = False
    linked: bool = False
    links: frozenset[str] = frozenset()
    names: Mapping[str, Names] = {}


class UnreadableFileError(Exception):
    """A file that is there and cannot be read: ``code``, ``message`` and ``hint`` are those of a Problem."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def problem(self, shown: str) -> Problem:
        """Return the Problem of the file, which messages call ``shown``."""
        return Problem(file=shown, code=self.code, message=self.message, hint=self.hint)


def signature(found: os.stat_result) -> Signature:
    """Return what is compared to tell whether a file may have changed."""
    # by index, which costs half of what the names of the fields do
    return (found[6], found.st_mtime_ns, found[1], found[2], found[0], found[4], found[5], found.st_ctime_ns)


def is_racy(seen: Signature, now_us: int) -> bool:
    """Return True if a file was written so recently that another write could leave its signature as it is."""
    return seen[1] // 1000 > now_us - RACY_US


def is_leftover(path: str) -> bool:
    """Return True for a file that a merge or sync tool, or a file manager, left next to the job file that it copies."""
    return _LEFTOVER.search(path) is not None


def original_of(path: str) -> str | None:
    """Return the file that ``x.orig.toml`` and the like are a copy of, if that lies beside it: ``x.toml``; or None."""
    if not path.endswith(_COPIES):
        return None
    stem = path.removesuffix(SUFFIX).rpartition(".")[0]
    return stem + SUFFIX if stem.rpartition("/")[2] else None


def copies_of(path: str) -> list[str]:
    """Return the names, of files that need not exist, that copies of a job file have: see :func:`original_of`."""
    return [path.removesuffix(SUFFIX) + end for end in _COPIES]


def has_original(path: str) -> bool:
    """Return True for a file that is a copy of the job file beside it: see :func:`original_of`."""
    original = original_of(path)
    return original is not None and os.path.isfile(original)


def is_job_path(path: str) -> bool:
    """Return whether a path can be a job file by its name alone: no part is ignored, the last ends in ``.toml``.

    None is empty either: an absolute path leads out of the folder.
    """
    if not path.endswith(SUFFIX) or is_leftover(path):
        return False
    return not any(not part or is_ignored(part) for part in path.split("/"))


def printable(path: str) -> str:
    """Return a path as text that can be printed and encoded, whatever bytes are in it."""
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def name_problem(path: str, shown: str) -> Problem | None:
    """Return what is wrong with the name of the job file ``path``, or None. ``shown`` is the file in the Problem."""
    if _JOB_FILE.match(path) is not None and not is_leftover(path):
        return None
    if is_leftover(path):
        message = f"{printable(path)} is named like a copy that a merge or sync tool makes, so it is ignored"
        return Problem(file=shown, code="bad-name", message=message, hint="give it another name")
    for part in path.removesuffix(SUFFIX).split("/"):
        if NAME_PART.match(part) is None:
            return Problem(
                file=shown,
                code="bad-name",
                message=f"the name {printable(part)!r} is not allowed",
                hint="rename it: letters, digits, '.', '_' and '-', beginning with a letter or a digit",
            )
    return None


def leftover(path: str, shown: str) -> Problem:
    """Return the Problem of a file that is passed over. ``shown`` is the file in it."""
    original = original_of(path)
    if original is None:
        message = "a merge or sync tool, or a file manager, left this copy behind; it is ignored"
    else:
        message = f"this is named like a copy of {printable(os.path.basename(original))} beside it; it is ignored"
    hint = "finish the merge and remove it; if it is a job, give it another name"
    return Problem(file=shown, severity="warning", code="leftover", message=message, hint=hint)


def scan(folder: str, shown: str = "jobs.d", before: Listing | None = None, now_us: int = 0) -> Listing:
    """Look at all of ``folder``. Never raises for what is in it; nothing is opened but folders.

    ``shown`` is what the folder is called in Problems. With the look ``before``, and the wall clock's instant, the
    names in folders that have not changed are taken from there.
    """
    return _FullScan(folder, shown, before, now_us).listing()


class _FullScan:
    """One walk through the folder, with what it found so far."""

    def __init__(self, folder: str, shown: str, before: Listing | None, now_us: int) -> None:
        self._folder = folder
        self._shown = shown
        self._before = before
        self._settled_ns = (now_us - RACY_US) * 1000
        self._names: dict[str, Names] = {}
        self._files: dict[str, Signature] = {}
        self._defaults: dict[str, Signature] = {}
        self._folders: dict[str, Folder] = {}
        self._unreadable: dict[str, str] = {}
        self._problems: list[Problem] = []
        self._linked = False
        self._links: set[str] = set()

    def listing(self) -> Listing:
        missing = False
        try:
            self._walk(self._folder, "", _ancestors(self._folder))
        except (FileNotFoundError, NotADirectoryError):
            missing = True
        except OSError as error:
            self._unreadable[""] = _reason(error)
        return Listing(
            files=self._files,
            defaults=self._defaults,
            folders=self._folders,
            unreadable=self._unreadable,
            problems=tuple(self._problems),
            missing=missing,
            linked=self._linked,
            links=frozenset(self._links),
            names=self._names,
        )

    def _walk(self, path: str, below: str, above: frozenset[tuple[int, int]]) -> None:
        found = os.stat(path)
        identity = (found.st_dev, found.st_ino)
        if identity in above:
            self._warn(below, "link-loop", "this symlink leads to a folder that it lies in; it is not followed")
            return
        folders: list[tuple[str, str]] = []
        seen = Folder(*identity, found.st_mode, found.st_uid, found.st_gid)
        stamp = (found.st_mtime_ns, found.st_ctime_ns)
        known = self._known(below, seen, stamp)
        try:
            if known is not None:
                self._look_at_known(path, below, known, seen)
                folders = [(f"{self._folder}/{deeper}", deeper) for deeper in known.folders]
            else:
                with os.scandir(path) as entries:
                    self._folders[below] = seen
                    plain = self._sort(entries, below, folders)
                if plain is not None and max(stamp) < self._settled_ns:
                    self._names[below] = Names(stamp, plain, tuple(one for _, one in folders), below in self._defaults)
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            self._unreadable[below] = _reason(error)
        above |= {identity}
        for deeper, name in folders:
            self._enter(deeper, name, above)

    def _known(self, below: str, seen: Folder, stamp: tuple[int, int]) -> Names | None:
        """Return what is in a folder, if that is known from the look before."""
        if self._before is None or self._before.folders.get(below) != seen:
            return None
        known = self._before.names.get(below)
        return known if known is not None and known.stamp == stamp else None

    def _look_at_known(self, path: str, below: str, known: Names, seen: Folder) -> None:
        """Look at the files of a folder whose names are known."""
        files, stat_of, start = self._files, os.stat, len(below) + 1 if below else 0
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._folders[below] = seen
            self._names[below] = known
            for file in known.files:
                try:
                    files[file] = signature(stat_of(file[start:], dir_fd=folder))
                except FileNotFoundError:
                    continue  # removed just now
                except OSError as error:
                    self._unreadable[file] = _reason(error)
            with suppress(FileNotFoundError):
                if known.defaults:
                    self._defaults[below] = signature(stat_of(DEFAULTS, dir_fd=folder))
        finally:
            os.close(folder)

    def _enter(self, path: str, below: str, above: frozenset[tuple[int, int]]) -> None:
        try:
            self._walk(path, below, above)
        except (FileNotFoundError, NotADirectoryError):
            return  # removed between the listing and now: as if it had never been there
        except OSError as error:
            self._unreadable[below] = _reason(error)

    def _sort(
        self, entries: Iterable["os.DirEntry[str]"], below: str, folders: list[tuple[str, str]]
    ) -> tuple[str, ...] | None:
        """Take in the files of one folder and add the folders in it to ``folders``, as (path, path below).

        Return the job files, or None when not all that concerns us here is plain: symlinks, what cannot be seen.
        """
        prefix = f"{below}/" if below else ""
        files = self._files
        own: list[str] = []
        plain = True
        for entry in entries:
            name = entry.name
            if name[0] in "._#~":
                if name == DEFAULTS:
                    plain = self._defaults_file(entry, below) and plain
            elif name.endswith(SUFFIX):
                # ten thousand files come along here at every look: nothing is called that need not be
                try:
                    found = entry.stat()
                except OSError as error:
                    self._no_stat(entry, prefix + name, error)
                    plain = False
                    continue
                if found.st_mode & _KIND == _REGULAR:
                    path = prefix + name
                    if is_leftover(name):
                        self._leftover(path)
                        plain = False
                        continue
                    files[path] = signature(found)
                    own.append(path)
                    if entry.is_symlink():
                        self._follow(os.path.realpath(entry.path))
                        plain = False
                else:
                    self._other(entry, prefix + name, found.st_mode, folders)
                    plain = False
            elif not name.endswith(("~", "#")):
                plain = self._take_folder(entry, prefix + name, folders) and plain
        return tuple(own) if not self._drop_copies(own) and plain else None

    def _drop_copies(self, own: Iterable[str]) -> bool:
        """Pass over the files of a folder whose originals lie beside them; return whether there are any."""
        copies = [path for path in own if original_of(path) in self._files]
        for path in copies:
            del self._files[path]
            self._leftover(path)
        return bool(copies)

    def _take_folder(self, entry: "os.DirEntry[str]", path: str, folders: list[tuple[str, str]]) -> bool:
        """Add an entry to the folders if it is one; return whether it is plain: no symlink, and to be seen."""
        linked = entry.is_symlink()
        try:
            if entry.is_dir():
                if linked:
                    self._follow(os.path.realpath(entry.path))
                folders.append((entry.path, path))
        except OSError as error:  # a symlink that leads to itself, or through a folder that is closed to us
            self._unreadable[path] = _reason(error)
            return False
        return not linked

    def _follow(self, real: str) -> None:
        self._linked = True
        self._links.add(real)

    def _no_stat(self, entry: "os.DirEntry[str]", path: str, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            self._unreadable[path] = _reason(error)
        elif entry.is_symlink():
            self._linked = True
            self._unreadable[path] = "the symlink leads to nothing"

    def _other(self, entry: "os.DirEntry[str]", path: str, mode: int, folders: list[tuple[str, str]]) -> None:
        """Note what has a job file's name and is not one: a folder, or something that must not be opened."""
        self._linked |= entry.is_symlink()
        if stat.S_ISDIR(mode):
            if entry.is_symlink():
                self._follow(os.path.realpath(entry.path))
            folders.append((entry.path, path))
        else:
            self._not_a_file(path, mode)

    def _defaults_file(self, entry: "os.DirEntry[str]", below: str) -> bool:
        """Take in a folder's defaults; return whether they are a plain file."""
        path = f"{below}/{DEFAULTS}" if below else DEFAULTS
        if entry.is_symlink():
            self._follow(os.path.realpath(entry.path))
        try:
            found = entry.stat()
        except OSError as error:
            self._unreadable[path] = _reason(error)
            return False
        if stat.S_ISREG(found.st_mode):
            self._defaults[below] = signature(found)
            return not entry.is_symlink()
        self._not_a_file(path, found.st_mode)
        return False

    def _leftover(self, path: str) -> None:
        self._problems.append(leftover(path, f"{self._shown}/{printable(path)}"))

    def _not_a_file(self, path: str, mode: int) -> None:
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        self._warn(path, "not-a-file", f"this is {kind}, not a regular file; it is not opened")

    def _warn(self, path: str, code: str, message: str) -> None:
        shown = f"{self._shown}/{printable(path)}" if path else self._shown
        hint = "remove it, or give it a name that begins with '.' or '_'"
        self._problems.append(Problem(file=shown, severity="warning", code=code, message=message, hint=hint))


def _ancestors(folder: str) -> frozenset[tuple[int, int]]:
    """Return what identifies every folder above ``folder``: a symlink to one of them would lead back here."""
    found = set()
    path = os.path.dirname(os.path.realpath(folder))
    while True:
        try:
            status = os.stat(path)
        except OSError:
            break
        found.add((status.st_dev, status.st_ino))
        if path == os.path.dirname(path):
            break
        path = os.path.dirname(path)
    return frozenset(found)


def _reason(error: OSError) -> str:
    return f"{os.strerror(error.errno) if error.errno else error}"


def read(path: str) -> tuple[bytes, Signature]:
    """Read a regular file of at most 1 MiB. Return its bytes and its signature as of the reading.

    Never waits on a pipe or a device that took the file's place. Raises FileNotFoundError when it is gone, else
    :class:`UnreadableFileError`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(error) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            code, message = "not-a-file", "this is not a regular file; it is not read"
            raise UnreadableFileError(code, message)
        if found.st_size > MAX_SIZE:
            raise _too_large(found.st_size)
        data = _read_all(descriptor, found.st_size)
        if len(data) > MAX_SIZE:
            raise _too_large(len(data))
        return data, signature(found)
    except OSError as error:
        raise _unreadable(error) from None
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, size: int) -> bytes:
    """Read to the end, and little more than MAX_SIZE of a file that grows meanwhile."""
    data = os.read(descriptor, size + 1)
    if len(data) == size:
        return data
    parts, length = [data], len(data)
    while length <= MAX_SIZE:
        more = os.read(descriptor, 65536)
        if not more:
            break
        parts.append(more)
        length += len(more)
    return b"".join(parts)


def _too_large(size: int) -> UnreadableFileError:
    return UnreadableFileError(
        "too-large",
        f"the file has {size:,} bytes; a job file has at most {MAX_SIZE:,}",
        "keep data in a file of its own and give the job its path",
    )


def _unreadable(error: OSError) -> UnreadableFileError:
    hint = (
        "let akjobd's user read it: chmod u+r, or chown" if error.errno == errno.EACCES else "look at the file system"
    )
    return UnreadableFileError("unreadable", f"the file cannot be read: {_reason(error)}", hint)
