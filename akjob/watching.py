"""Hints that something under ``jobs.d/`` changed, by watchdog. They say where to look, never what is there.

Watched are the folder with all below, and every place where the folder itself can be replaced: its parent, and the
parents of the symlinks on the way to it. Reading does not count as a change.
"""

import contextlib
import errno
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct
from watchdog import events
from watchdog.observers import Observer

from akjob.config import DEFAULTS, Paths, is_ignored
from akjob.errors import Problem

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

SINGLE_US = 3_000
SOFT_US = 200_000
STORM_US = 50_000
LONGEST_US = 500_000
STORM = 16
MANY = 1_000

_KINDS = [
    events.FileClosedEvent,
    events.FileModifiedEvent,
    events.FileCreatedEvent,
    events.FileMovedEvent,
    events.FileDeletedEvent,
    events.DirCreatedEvent,
    events.DirMovedEvent,
    events.DirDeletedEvent,
    # a change of mode or owner; older versions of watchdog call it modified
    *(getattr(events, name) for name in ("FileAttribEvent", "DirAttribEvent") if hasattr(events, name)),
]
_REPLACED = [
    events.FileCreatedEvent,
    events.FileMovedEvent,
    events.FileDeletedEvent,
    events.DirCreatedEvent,
    events.DirMovedEvent,
    events.DirDeletedEvent,
]
"""What can put something else in a path's place. Beside ``jobs.d/``, jobs may write all the time."""
_SOFT = events.EVENT_TYPE_MODIFIED
_NO_CHANGE = {events.EVENT_TYPE_OPENED, events.EVENT_TYPE_CLOSED_NO_WRITE}


class Seen(Struct, frozen=True):
    """What came since the last ``take``: ``count`` events, of them ``soft`` by writers that go on writing."""

    count: int = 0
    soft: int = 0


class Hints(Struct, frozen=True):
    """Where to look: paths below ``jobs.d``, or None for everywhere."""

    paths: frozenset[str] | None = frozenset()


class Debouncer:
    """Decides when to scan: a single change at once, a storm when it is over, and after 0.5 s at the latest.

    Instants are of any steady clock. ``due_us`` is the instant to look at, None while nothing happened.
    """

    def __init__(self) -> None:
        self.due_us: int | None = None
        self._first_us = 0
        self._last = Seen()

    def note(self, now_us: int, seen: Seen) -> None:
        """Take in what the watcher has seen by ``now_us``."""
        if seen == self._last:
            return
        if self.due_us is None:
            self._first_us = now_us
        only_soft = seen.count - self._last.count == seen.soft - self._last.soft
        self._last = seen
        wait_us = STORM_US if seen.count > STORM else SINGLE_US
        wait_us = SOFT_US if only_soft else wait_us
        self.due_us = min(now_us + wait_us, self._first_us + LONGEST_US)

    def reset(self) -> None:
        """Begin again: everything was scanned."""
        self.due_us = None
        self._last = Seen()


class _WatchedPlace(Struct, frozen=True):
    """What is watched: the real folder and its identity, and (folder, names) pairs where it can be replaced.

    Symlinks in it lead elsewhere: ``links`` are the folders there, ``files`` (folder, names) pairs of the files.
    """

    real: str
    identity: tuple[int, int] | None
    anchors: tuple[tuple[str, frozenset[str]], ...]
    links: tuple[str, ...] = ()
    files: tuple[tuple[str, frozenset[str]], ...] = ()


class Watcher:
    """Collects hints from watchdog's thread. ``notify`` is called there, once until the next ``seen`` or ``take``.

    Nothing here raises: where the machine has no watches left, a Problem says so and the periodic look has to do.
    """

    def __init__(self, paths: Paths, notify: Callable[[], None]) -> None:
        self._folder = os.path.abspath(paths.jobs_d)
        self._shown = os.path.relpath(paths.jobs_d, paths.root)
        self._config = paths.config_file
        self._notify = notify
        self._lock = threading.Lock()
        self._paths: set[str] | None = set()
        self._count = 0
        self._soft = 0
        self._notified = False
        self._overflowed = False
        self._observer: BaseObserver | None = None
        self._place: _WatchedPlace | None = None
        self._problems: list[Problem] = []
        self._overflow = _Overflow(self._lost)

    def start(self) -> list[Problem]:
        """Begin to watch. Return why not, or why not all of it, is watched."""
        self._overflow.attach()
        self._place = _locate(self._folder)
        return self._watch(self._place)

    def stop(self) -> None:
        """End watching; when this returns no thread is left."""
        self._end_observer()
        self._overflow.detach()  # last: what watchdog logs while it ends would go to standard error
        self._place = None

    def rearm(self, links: frozenset[str] = frozenset()) -> list[Problem]:
        """Watch again if the folder was replaced, appeared, or events were lost; return what could not be done.

        To be called before every full look. ``links`` are files and folders to watch as well: ``Loader.links``. What
        has been said already is not said again.
        """
        place = _locate(self._folder, links)
        with self._lock:
            overflowed, self._overflowed = self._overflowed, False
        if place == self._place and not overflowed and self._observer is not None:
            return []
        self._end_observer()
        self._place = place
        with self._lock:
            self._paths = None
        said = self._problems
        return [problem for problem in self._watch(place) if problem not in said]

    def seen(self) -> Seen:
        """Return how much came since the last ``take``, and let the next event notify again."""
        with self._lock:
            self._notified = False
            return Seen(self._count, self._soft)

    def take(self) -> Hints:
        """Return the hints collected so far and forget them."""
        with self._lock:
            paths, self._paths = self._paths, set()
            self._count = self._soft = 0
            self._notified = False
        return Hints(None if paths is None else frozenset(paths))

    def _watch(self, place: _WatchedPlace) -> list[Problem]:
        self._problems = self._observe(place)
        return self._problems

    def _observe(self, place: _WatchedPlace) -> list[Problem]:
        try:
            observer = Observer()
        except OSError as error:
            return [self._no_watch(error)]
        handler = _Below(place.real, self._hint)
        try:
            observer.start()
            # First: of two watches on one folder the kernel keeps the events of the last.
            for folder, names in place.anchors:
                observer.schedule(_Anchor(names, self._everything), folder, event_filter=_REPLACED)
            if place.identity is not None:
                observer.schedule(handler, place.real, recursive=True, event_filter=_KINDS)
            if self._config.parent.is_dir():
                watch = _Anchor(frozenset({self._config.name}), self._everything)
                observer.schedule(watch, str(self._config.parent), event_filter=_KINDS)
            for folder, names in place.files:
                observer.schedule(_Anchor(names, self._everything), folder, event_filter=_KINDS)
            for folder in place.links:
                observer.schedule(_Anchor(None, self._everything), folder, recursive=True, event_filter=_KINDS)
        except OSError as error:
            observer.stop()
            if observer.is_alive():
                observer.join()
            return [self._no_watch(error)]
        self._observer = observer
        left_out = _unwatched(place.real) if place.identity is not None else 0
        if left_out:
            return [self._no_watch(OSError(errno.ENOSPC, ""), left_out)]
        return []

    def _end_observer(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join()

    def _no_watch(self, error: OSError, folders: int = 0) -> Problem:
        what = f"{folders} folders below it are" if folders else "it is"
        why = os.strerror(error.errno) if error.errno else str(error)
        hint = "look at the folder's permissions and the file system"
        if error.errno == errno.ENOSPC:
            why, hint = "inotify's watches are used up", "raise them: sysctl fs.inotify.max_user_watches=524288"
        elif error.errno == errno.EMFILE:
            why, hint = "inotify's instances are used up", "raise them: sysctl fs.inotify.max_user_instances=512"
        return Problem(
            file=self._shown,
            severity="warning",
            code="not-watched",
            message=f"{what} not watched: {why}; changes are seen at the next periodic look only",
            hint=hint,
        )

    # in watchdog's thread

    def _hint(self, path: str, soft: bool) -> None:
        with self._lock:
            self._count += 1
            self._soft += soft
            if self._paths is not None:
                self._paths.add(path)
                if len(self._paths) > MANY:
                    self._paths = None
            notified, self._notified = self._notified, True
        if not notified:
            self._notify()

    def _everything(self) -> None:
        with self._lock:
            self._count += 1
            self._paths = None
            notified, self._notified = self._notified, True
        if not notified:
            self._notify()

    def _lost(self) -> None:
        with self._lock:
            self._overflowed = True
        self._everything()


class _Below(events.FileSystemEventHandler):
    """Turns events below the folder into paths relative to it."""

    def __init__(self, real: str, hint: Callable[[str, bool], None]) -> None:
        self._real = real
        self._hint = hint

    def dispatch(self, event: events.FileSystemEvent) -> None:
        if event.event_type in _NO_CHANGE:
            return
        soft = event.event_type == _SOFT
        for path in (event.src_path, event.dest_path):
            relative = self._relative(os.fsdecode(path))
            if relative is not None:
                self._hint(relative, soft)

    def _relative(self, path: str) -> str | None:
        """Return the path below the folder, or None for what does not matter here: an editor's files, mostly."""
        if not path:
            return None
        if path == self._real:
            return ""
        relative = path.removeprefix(self._real + "/")
        if relative == path:
            return None
        *folders, name = relative.split("/")
        if name == DEFAULTS or relative.startswith(".."):
            ignored = any(is_ignored(part) for part in folders) and not relative.startswith("..")
        else:
            ignored = any(is_ignored(part) for part in (*folders, name))
        return None if ignored else relative


class _Anchor(events.FileSystemEventHandler):
    """Watches for certain names in a folder (None: for all): that of what is watched, or of a symlink to it."""

    def __init__(self, names: frozenset[str] | None, everything: Callable[[], None]) -> None:
        self._names = names
        self._everything = everything

    def dispatch(self, event: events.FileSystemEvent) -> None:
        if event.event_type in _NO_CHANGE or event.event_type == _SOFT:
            return
        names = {os.path.basename(os.fsdecode(path)) for path in (event.src_path, event.dest_path)}
        if self._names is None or names & self._names:
            self._everything()


class _Overflow(logging.Handler):
    """Reads in watchdog's log that the kernel dropped events, which nothing else reports."""

    def __init__(self, lost: Callable[[], None]) -> None:
        super().__init__(logging.WARNING)
        self._lost = lost

    def attach(self) -> None:
        logging.getLogger("watchdog").addHandler(self)

    def detach(self) -> None:
        logging.getLogger("watchdog").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage():
            self._lost()


def _locate(folder: str, links: frozenset[str] = frozenset()) -> _WatchedPlace:
    """Find out what to watch for ``folder``, an absolute path."""
    anchors: dict[str, set[str]] = {}
    for place, name in _links_on_the_way(folder):
        anchors.setdefault(place, set()).add(name)
    real = os.path.realpath(folder)
    parent, name = os.path.split(real)
    anchors.setdefault(_nearest(parent), set()).add(name if os.path.isdir(parent) else _next_part(parent))
    try:
        status = os.stat(real)
        identity = (status.st_dev, status.st_ino) if os.path.isdir(real) else None
    except OSError:
        identity = None
    folders: list[str] = []
    files: dict[str, set[str]] = {}
    for link in sorted(links):
        if f"{link}/".startswith(f"{real}/"):
            continue
        if not os.path.isdir(link):
            files.setdefault(os.path.dirname(link), set()).add(os.path.basename(link))
        elif os.path.commonpath([real, link]) != link and not any(link.startswith(f"{other}/") for other in folders):
            folders.append(link)  # not one above us, nor one within another
    return _WatchedPlace(real, identity, _watchable_pairs(anchors), tuple(folders), _watchable_pairs(files))


def _watchable_pairs(names: dict[str, set[str]]) -> tuple[tuple[str, frozenset[str]], ...]:
    return tuple((place, frozenset(found)) for place, found in sorted(names.items()) if os.path.isdir(place))


def _links_on_the_way(folder: str) -> Iterator[tuple[str, str]]:
    """Yield (real parent, name) of every symlink that is followed from ``/`` to ``folder``."""
    left = [part for part in reversed(folder.split("/")) if part]
    current = "/"
    for _ in range(255):  # as many parts as a path with loops of symlinks can make us walk
        if not left:
            return
        part = left.pop()
        if part == "..":
            current = os.path.dirname(current)
            continue
        path = os.path.join(current, part)
        try:
            target = os.readlink(path)
        except OSError:
            current = path
            continue
        yield current, part
        if target.startswith("/"):
            current = "/"
        left += [step for step in reversed(target.split("/")) if step and step != "."]


def _nearest(path: str) -> str:
    """Return the nearest folder upward that exists."""
    while not os.path.isdir(path) and path != "/":
        path = os.path.dirname(path)
    return path


def _next_part(path: str) -> str:
    """Return the name that has to appear in the nearest existing folder for ``path`` to come about."""
    return os.path.relpath(path, _nearest(path)).split("/")[0]


def _unwatched(folder: str) -> int:
    """Count the folders below ``folder`` that this process has no inotify watch on: watchdog does not tell."""
    watched = _watched_inodes()
    missing = 0
    for path, names, _ in os.walk(folder):
        names[:] = [name for name in names if not is_ignored(name)]
        try:
            missing += os.stat(path).st_ino not in watched
        except OSError:
            continue
    return missing


def _watched_inodes() -> set[int]:
    found: set[int] = set()
    for name in os.listdir("/proc/self/fdinfo"):
        try:
            if os.readlink(f"/proc/self/fd/{name}") != "anon_inode:inotify":
                continue
            with open(f"/proc/self/fdinfo/{name}", encoding="ascii") as lines:
                found.update(int(line.split("ino:")[1].split()[0], 16) for line in lines if line.startswith("inotify"))
        except OSError:
            continue
    return found


class FolderHints:
    """Calls ``notify`` in watchdog's thread when something in some folders, or below them, may have changed.

    A folder that is not there is waited for in the nearest one above that is. Nothing here raises: where the machine
    has no watches left, the looks that come anyway have to do.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._observer: BaseObserver | None = None
        self._watched: frozenset[tuple[str, bool]] = frozenset()

    def watch(self, folders: Iterable[str]) -> None:
        """Watch these folders from now on, and no others."""
        wanted = frozenset(_watchable(folder) for folder in folders)
        if wanted == self._watched:
            return
        self.stop()
        self._watched = wanted
        if wanted:
            self._observer = Observer()
            self._observer.start()
        for folder, recursive in sorted(wanted):
            with contextlib.suppress(OSError):
                self._observe(folder, recursive=recursive)

    def _observe(self, folder: str, *, recursive: bool) -> None:
        if self._observer is not None:
            self._observer.schedule(_AnyChange(self._notify), folder, recursive=recursive, event_filter=_KINDS)

    def stop(self) -> None:
        """End watching; when this returns no thread is left."""
        observer, self._observer = self._observer, None
        self._watched = frozenset()
        if observer is not None:
            observer.stop()
            observer.join()


class _AnyChange(events.FileSystemEventHandler):
    """Passes on that something changed."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify

    def dispatch(self, event: events.FileSystemEvent) -> None:
        """Take an event."""
        if event.event_type not in _NO_CHANGE:
            self._notify()


def _watchable(folder: str) -> tuple[str, bool]:
    """Return the folder that can be watched for another one, and True if that is the folder itself."""
    return (folder, True) if os.path.isdir(folder) else (_nearest(folder), False)
