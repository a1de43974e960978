"""What jobs are made of besides their job files: dill files, and the modules that a run imports first.

Several jobs may share one. A part that changes, or that others may now write to, makes the loader judge the files
again whose jobs use it.
"""

import hashlib
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Protocol

from msgspec import Struct, field

from akjob.errors import Problem
from akjob.jobset import scan, trust
from akjob.jobset.names import JobsFolder, folder_of
from akjob.jobset.scan import Signature
from akjob.jobset.trust import Access, Who
from akjob.spec.model import DillFile, DottedCallable, JobSpec

_CONTENT = slice(0, 4)  # of a Signature: size, time, inode, device


class Parts(Protocol):
    """One kind of parts. Files are paths below the folder of job files."""

    def follow(self, file: str, specs: Sequence[JobSpec], now_us: int) -> None:
        """Note which parts the jobs of a file use now."""

    def forget(self, file: str) -> None:
        """Note that a file is gone."""

    def scan(self, trusted: Who, now_us: int) -> set[str]:
        """Look at all parts; return the files that use one which changed."""

    def stamp(self, file: str) -> object:
        """Return what the parts of a file come to: while it is equal, the file need not be judged again."""

    def refusals(self, spec: JobSpec) -> Iterator[Problem]:
        """Yield why akjobd does not take a job with these parts."""


class _Dill(Struct):
    """A dill file. ``digest`` is None when it is not there, or cannot be read."""

    signature: Signature | None = None
    digest: bytes | None = None
    racy: bool = True
    files: set[str] = field(default_factory=set)


class DillFiles:
    """The dill files that jobs run. A file that is not there is the run's matter."""

    def __init__(self, folder: JobsFolder, trusted: Who) -> None:
        self._folder = folder
        self._trusted = trusted
        self._dills: dict[str, _Dill] = {}
        self._used: dict[str, frozenset[str]] = {}  # by job file
        self.files_read = 0

    def users(self, path: str) -> AbstractSet[str] | None:
        """Return the job files that use the dill file ``path``; None when it is not a dill file."""
        dill = self._dills.get(path)
        return None if dill is None else dill.files

    def digest(self, spec: JobSpec) -> bytes | None:
        """Return the hash of a job's dill file; None for a job without one, or whose file cannot be read."""
        dill = self._dills.get(_dill_of(spec) or "")
        return None if dill is None else dill.digest

    def follow(self, file: str, specs: Sequence[JobSpec], now_us: int) -> None:
        """Note which dill files the jobs of a file use now."""
        now = frozenset(path for path in map(_dill_of, specs) if path is not None)
        before = self._used.get(file, frozenset())
        if now == before:
            return
        self._release(file, before - now)
        for path in now - before:
            dill = self._dills.setdefault(path, _Dill())
            dill.files.add(file)
            self._refresh(path, dill, now_us)
        if now:
            self._used[file] = now

    def forget(self, file: str) -> None:
        """Note that a file is gone."""
        self._release(file, self._used.get(file, frozenset()))

    def _release(self, file: str, paths: Iterable[str]) -> None:
        self._used.pop(file, None)
        for path in paths:
            self._dills[path].files.discard(file)
            if not self._dills[path].files:
                del self._dills[path]

    def scan(self, trusted: Who, now_us: int) -> set[str]:
        """Look at all dill files; return the job files that use one which changed."""
        self._trusted = trusted
        changed: set[str] = set()
        for path, dill in self._dills.items():
            before = _stamp_of(dill)
            self._refresh(path, dill, now_us)
            if before != _stamp_of(dill):
                changed |= dill.files
        return changed

    def refresh(self, file: str, now_us: int) -> None:
        """Look at the dill files of one job file."""
        for path in self._used.get(file, ()):
            self._refresh(path, self._dills[path], now_us)

    def stamp(self, file: str) -> object:
        """Return the contents, and who may write to them, of the dill files of a job file."""
        used = self._used.get(file)
        return used and tuple((path, _stamp_of(self._dills[path])) for path in sorted(used))

    def refusals(self, spec: JobSpec) -> Iterator[Problem]:
        """Yield who may write to a job's dill file besides those who are trusted."""
        path = _dill_of(spec)
        dill = self._dills.get(path or "")
        if path is None or dill is None or dill.signature is None:
            return
        place, access = self._folder.path(path), access_of(dill.signature)
        problem = trust.problem_of(place, access, self._trusted, shown=self._folder.show(path))
        if problem is not None:
            yield problem

    def _refresh(self, path: str, dill: _Dill, now_us: int) -> None:
        place = self._folder.path(path)
        try:
            found = os.stat(place)
        except OSError:
            dill.signature, dill.digest, dill.racy = None, None, False
            return
        signature = scan.signature(found)
        if signature == dill.signature and not dill.racy:
            return
        if dill.signature is None or dill.racy or signature[_CONTENT] != dill.signature[_CONTENT]:
            dill.digest = _digest(place) if stat.S_ISREG(found.st_mode) else None
            self.files_read += 1
        dill.signature = signature
        dill.racy = scan.is_racy(signature, now_us)


class _Module(Struct):
    """A module, looked for from a working folder: why it is refused, if it is."""

    cwd: str
    name: str
    problem: Problem | None = None
    files: set[str] = field(default_factory=set)


class Modules:
    """The modules that runs import first: others than those who are trusted must not be able to write to them."""

    def __init__(self, root: str, pythonpath: Sequence[str], trusted: Who) -> None:
        self._root = root
        self._pythonpath = pythonpath
        self._trusted = trusted
        self._modules: dict[tuple[str, str], _Module] = {}
        self._used: dict[str, frozenset[tuple[str, str]]] = {}  # by job file

    def reconfigure(self, pythonpath: Sequence[str]) -> None:
        """Look for modules in other folders from the next scan on."""
        self._pythonpath = pythonpath

    def follow(self, file: str, specs: Sequence[JobSpec], now_us: int) -> None:  # noqa: ARG002 - of the protocol
        """Note which modules the jobs of a file import."""
        now = _modules_of(specs[0]) if len(specs) == 1 else frozenset().union(*map(_modules_of, specs))
        before = self._used.get(file, frozenset())
        if now == before:
            return
        self._release(file, before - now)
        for key in now - before:
            module = self._modules.get(key)
            if module is None:
                module = self._modules[key] = _Module(*key)
                module.problem = self._problem(module)
            module.files.add(file)
        if now:
            self._used[file] = now

    def forget(self, file: str) -> None:
        """Note that a file is gone."""
        self._release(file, self._used.get(file, frozenset()))

    def _release(self, file: str, keys: Iterable[tuple[str, str]]) -> None:
        self._used.pop(file, None)
        for key in keys:
            self._modules[key].files.discard(file)
            if not self._modules[key].files:
                del self._modules[key]

    def scan(self, trusted: Who, now_us: int) -> set[str]:  # noqa: ARG002 - of the protocol
        """Ask again who may write to the modules; return the job files for which the answer is another one."""
        self._trusted = trusted
        changed: set[str] = set()
        for module in self._modules.values():
            problem = self._problem(module)
            if problem != module.problem:
                module.problem = problem
                changed |= module.files
        return changed

    def stamp(self, file: str) -> object:
        """Return why modules of a job file are refused: None for most."""
        used = self._used.get(file)
        problems = [self._modules[key].problem for key in sorted(used)] if used else []
        return problems if any(problems) else None

    def refusals(self, spec: JobSpec) -> Iterator[Problem]:
        """Yield who may write to a job's modules besides those who are trusted."""
        for key in _modules_of(spec):
            module = self._modules.get(key)
            if module is not None and module.problem is not None:
                yield module.problem

    def _problem(self, module: _Module) -> Problem | None:
        own = [self._root, os.path.join(self._root, module.cwd)]
        folders = [*own, *(os.path.join(self._root, entry) for entry in self._pythonpath)]
        return trust.module_problem(self._root, folders, module.name, self._trusted)


def access_of(signature: Signature) -> Access:
    """Return who may write to a file."""
    return Access(signature[4], signature[5], signature[6])


def _stamp_of(dill: _Dill) -> object:
    return None if dill.signature is None else (dill.digest, access_of(dill.signature))


def _dill_of(spec: JobSpec) -> str | None:
    """Return the path of a job's dill file, below the folder of job files."""
    if not isinstance(spec.code, DillFile):
        return None
    return posixpath.normpath(posixpath.join(folder_of(spec.name), spec.code.file))


def _modules_of(spec: JobSpec) -> frozenset[tuple[str, str]]:
    targets = (*spec.run.setup, *((spec.code.target,) if isinstance(spec.code, DottedCallable) else ()))
    return _module_keys(spec.run.cwd or "", targets)


@lru_cache(maxsize=4096)
def _module_keys(cwd: str, targets: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    return frozenset((cwd, _module_of(target)) for target in targets)


def _module_of(target: str) -> str:
    return target.partition(":")[0] if ":" in target else target.rpartition(".")[0]


def _digest(path: str) -> bytes | None:
    """Hash a file, or None when it cannot be read."""
    try:
        with open(path, "rb", opener=_no_wait) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None


def _no_wait(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
