"""Which commit the job files are from, and which of them differ from it, by git's command line.

git is asked with hooks and the file system monitor off, without taking locks, and with the folder marked safe, so that
a repository of another owner answers too. None of the caller's ``GIT_*`` variables count.
"""

import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from akjob.config import Paths
from akjob.errors import AkjobError, UsageError

TIMEOUT_S = 20.0
CONFIG = "etc/akjob.toml"

_CONFIG = ("core.hooksPath=/dev/null", "core.fsmonitor=false", "safe.directory=*")
_OPTIONS = [part for setting in _CONFIG for part in ("-c", setting)]

_PLACES = ("--show-toplevel", "--absolute-git-dir", "--git-common-dir")

Mark = tuple[tuple[int, int, int] | None, ...]


class Revision(Struct, frozen=True):
    """The commit that is checked out, or None, and the files that differ from it, below the root.

    A name in ``dirty`` that ends in ``/`` is a folder that is a repository of its own. ``config`` says that
    ``etc/akjob.toml`` differs, which is not a job file. ``fresh`` is False while something has changed and git has not
    answered yet.
    """

    commit: str | None = None
    dirty: frozenset[str] = frozenset()
    fresh: bool = True
    config: bool = False

    def is_dirty(self, sources: Iterable[str]) -> bool | None:
        """Return whether any of ``sources`` (paths below the root) differs from the commit; None without a commit."""
        if self.commit is None:
            return None
        if not self.dirty and not self.config:
            return False
        return any(self._differs(source) for source in sources)

    def _differs(self, source: str) -> bool:
        if source in self.dirty:
            return True
        if source == CONFIG:
            return self.config
        folder = source
        while folder := folder.rpartition("/")[0]:
            if folder + "/" in self.dirty:
                return True
        return False


class Provenance:
    """Answers at once which commit the job files are from; git itself runs in a thread.

    ``notify`` is called in that thread when there is an answer; the owner then takes it in with ``collect``. The owner
    says when files changed (``refresh``); commits, checkouts and the like are noticed by ``current`` itself, by looking
    at git's own files.
    """

    def __init__(self, paths: Paths, notify: Callable[[], None] | None = None) -> None:
        self._jobs_d = str(paths.jobs_d)
        self._shown = os.path.relpath(paths.jobs_d, paths.root)
        self._config = str(paths.config_file)
        self._notify = notify or _nothing
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._wanted = self._asked = 0  # the numbers of the last question, and of the last that git was asked
        self._answer: tuple[int, _Answer] | None = None
        self._call = _Call()
        self._revision = Revision(fresh=False)
        self._watched: tuple[str, ...] = ()
        self._mark: Mark = ()

    @property
    def commit(self) -> str | None:
        """The commit of :meth:`current`."""
        return self.current().commit

    @property
    def dirty(self) -> frozenset[str]:
        """The files of :meth:`current` that differ from the commit."""
        return self.current().dirty

    def current(self) -> Revision:
        """Return what is known. When git's files show that it is outdated, it is marked so and git is asked."""
        self.collect()
        if self._watched and mark_of(self._watched) != self._mark:
            self.refresh()
        return self._revision

    def refresh(self) -> None:
        """Ask git again, in the background: files changed."""
        self._revision = replace(self._revision, fresh=False)
        with self._lock:
            self._wanted += 1
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._work, name="akjob-git", daemon=True)
                self._thread.start()

    def collect(self) -> None:
        """Take in git's answer, if there is a new one."""
        with self._lock:
            answered, self._answer = self._answer, None
            wanted = self._wanted
        if answered is not None:
            number, answer = answered
            self._take(answer, fresh=number == wanted)

    def refresh_now(self) -> Revision:
        """Ask git and wait for the answer: for commands, which have no loop to hold up."""
        self._take(_ask(self._jobs_d, self._shown, self._config, self._call), fresh=True)
        return self._revision

    def dirty_for(self, sources: Iterable[str]) -> bool | None:
        """Return whether any of ``sources`` differs from the commit; None outside a repository."""
        return self.current().is_dirty(sources)

    def stop(self) -> None:
        """End a git that runs; when this returns no thread is left."""
        with self._lock:
            self._stopped = True
            thread = self._thread
        self._call.stop()
        if thread is not None:
            thread.join()

    def _take(self, answer: "_Answer", *, fresh: bool) -> None:
        self._watched, self._mark = answer.watched, answer.mark
        self._revision = Revision(answer.commit, answer.dirty, fresh=fresh, config=answer.config)

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._asked == self._wanted or self._stopped:
                    self._thread = None
                    return
                number = self._asked = self._wanted
            answer = _ask(self._jobs_d, self._shown, self._config, self._call)
            with self._lock:
                self._answer = number, answer
            if not self._stopped:
                self._notify()


class _Answer(Struct, frozen=True):
    """What git said, and the files whose change means that it has to be asked again, as they were before."""

    commit: str | None = None
    dirty: frozenset[str] = frozenset()
    watched: tuple[str, ...] = ()
    mark: Mark = ()
    config: bool = False


def _nothing() -> None:
    """Report nothing."""


def _ask(folder: str, shown: str, config: str, call: "_Call") -> _Answer:
    """Ask for the state of ``folder``, and of the file ``config`` where it lies in the same repository."""
    real = os.path.realpath(folder)
    places = call.run(["rev-parse", *_PLACES], real)
    lines = [] if places is None else os.fsdecode(places).splitlines()
    if len(lines) != len(_PLACES):
        return _Answer()  # no repository, or a bare one, which has no files
    top, own, common = lines
    watched = tuple(_ref_files(own, os.path.join(real, common)))
    mark = mark_of(watched)  # before git looks: what changes meanwhile is noticed afterwards
    options = ["--porcelain=v2", "--branch", "-z", "--no-renames", "--untracked-files=all", "--ignored=traditional"]
    beside = os.path.realpath(config)
    inside = beside.startswith(top + "/")
    status = call.run(["status", *options, "--", ".", *([os.path.relpath(beside, real)] if inside else [])], real)
    if status is None:
        return _Answer(watched=watched, mark=mark)
    commit, changed = parse_status(status)
    others = [path for path in changed if os.path.join(top, path) != beside]
    below = (os.path.relpath(os.path.join(top, path), real) + ("/" if path.endswith("/") else "") for path in others)
    dirty = frozenset(f"{shown}/{path}" for path in below)
    return _Answer(commit, dirty, watched, mark, config=len(others) < len(changed))


def parse_status(text: bytes) -> tuple[str | None, list[str]]:
    """Read ``git status --porcelain=v2 --branch -z --no-renames``: the commit, and the paths that differ from it."""
    commit = None
    paths = []
    fields = {b"1": 8, b"u": 10, b"?": 1, b"!": 1}
    for line in text.split(b"\0"):
        kind = line[:1]
        if line.startswith(b"# branch.oid "):
            oid = line[13:].decode("ascii")
            commit = None if oid.startswith("(") else oid
        elif kind in fields:
            paths.append(os.fsdecode(line.split(b" ", fields[kind])[-1]))
    return commit, paths


def _ref_files(own: str, common: str) -> Iterator[str]:
    """Yield the files that change when another commit is checked out or the branch gets another commit.

    ``own`` is the git folder of this work tree, ``common`` that of its repository; they differ in linked work trees.
    """
    head = os.path.join(own, "HEAD")
    yield head
    yield os.path.join(own, "logs", "HEAD")
    yield os.path.join(common, "packed-refs")
    yield os.path.join(common, "reftable", "tables.list")
    try:
        with open(head, encoding="utf-8", errors="surrogateescape") as file:
            target = file.read(4096).strip()
    except OSError:
        return
    if target.startswith("ref: "):
        yield os.path.join(common, target[5:])


def mark_of(files: Iterable[str]) -> Mark:
    """Return what changes when any of the files does."""
    return tuple(_mark(file) for file in files)


def _mark(file: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class _Call:
    """Runs git, one at a time; ``stop`` ends it from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, arguments: list[str], folder: str) -> bytes | None:
        """Return what git printed, or None when it failed, is not there, or took too long."""
        with self._lock:
            if self._stopped:
                return None
            try:
                self._process = subprocess.Popen(
                    ["git", *_OPTIONS, *arguments],
                    cwd=folder,
                    env=environment(os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            except OSError:
                return None
        with self._process as process:
            try:
                output, _ = process.communicate(timeout=TIMEOUT_S)
            except (subprocess.TimeoutExpired, OSError):
                process.kill()
                return None
        return output if process.returncode == 0 else None

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._process is not None:
                with suppress(ProcessLookupError):
                    self._process.kill()


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which git answers for the folder it is asked about, and prompts for nothing."""
    kept = {name: value for name, value in given.items() if not name.startswith("GIT_")}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}


def run(arguments: list[str], folder: str, *, given: bytes = b"") -> bytes:
    """Run git for a command and return what it printed. Raises AkjobError with what git said."""
    try:
        done = subprocess.run(
            ["git", *_OPTIONS, *arguments],
            cwd=folder,
            env=environment(os.environ),
            input=given,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise UsageError(f"git cannot be run: {error}", hint="install git") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().removeprefix("fatal: ")
        raise UsageError(f"git {arguments[0]}: {said}", hint="look at `git status` in the root")
    return done.stdout


def commit_of(folder: str, revision: str) -> str:
    """Return the full name of the commit that ``revision`` means. Raises AkjobError (exit code 2)."""
    if revision.startswith("-"):
        raise UsageError(f"{revision!r} is not a revision", hint="name a branch, a tag or a commit")
    try:
        return run(["rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}"], folder).decode("ascii").strip()
    except AkjobError as error:
        if isinstance(error.__cause__, OSError):
            raise
        hint = "name a branch, a tag or a commit of the repository that the root lies in"
        raise UsageError(f"{revision!r} is not a revision", hint=hint) from error


def merge_base(folder: str, one: str, other: str) -> str:
    """Return the last commit that two revisions have in common. Raises AkjobError (exit code 2)."""
    commits = commit_of(folder, one), commit_of(folder, other)
    try:
        return run(["merge-base", *commits], folder).decode("ascii").strip()
    except AkjobError as error:
        message = f"{one} and {other} have no commit in common"
        raise UsageError(message, hint=f"compare the two themselves: {one}..{other}") from error


def contents(folder: str, oids: Sequence[str]) -> Iterator[bytes]:
    """Yield the contents of these objects, in their order. Raises AkjobError."""
    if not oids:
        return
    text = run(["cat-file", "--batch"], folder, given="".join(f"{oid}\n" for oid in oids).encode("ascii"))
    at = 0
    for _ in oids:
        end = text.index(b"\n", at)
        size = int(text[at:end].split(b" ")[2])
        yield text[end + 1 : end + 1 + size]
        at = end + size + 2
