"""What each folder hands down to the job files in it: defaults, and what is wrong for all of them."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping

from msgspec import Struct

from akjob.config import TrustConfig
from akjob.errors import Problem
from akjob.jobset import scan, trust
from akjob.jobset.defaults import DefaultsChain, unreadable_defaults
from akjob.jobset.names import JobsFolder, defaults_in, folder_of
from akjob.jobset.parts import access_of
from akjob.jobset.scan import Folder, Listing, Signature
from akjob.jobset.trust import Access
from akjob.spec import Defaults, parse_defaults


class Context(Struct, frozen=True):
    """What holds for the job files of one folder. ``chain`` has the defaults, the outermost first.

    With one of the ``errors`` all of them are refused. ``stamp`` identifies both.
    """

    chain: tuple[Defaults, ...]
    errors: tuple[Problem, ...]
    stamp: bytes


class _DefaultsFile(Struct, frozen=True):
    """A ``_defaults.toml`` as it was read. ``mistrust`` is what is wrong with who may write to it."""

    signature: Signature | None
    digest: bytes
    racy: bool
    value: Defaults
    mistrust: tuple[Problem, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        return (*self.mistrust, *self.value.problems)


class Contexts:
    """The contexts of all folders, from the last scan on. ``files_read`` counts the defaults that were read."""

    def __init__(self, folder: JobsFolder, config: TrustConfig, own_uid: int) -> None:
        self._folder = folder
        self._config = config
        self._own_uid = own_uid
        self.trusted = trust.who(config, own_uid=own_uid)
        self._root_seen: Folder | None = None
        self._defaults: dict[str, _DefaultsFile] = {}
        self._by_folder: Mapping[str, Context] = {}
        self._folders: Mapping[str, Folder] = {}
        self._seen: object = None  # what the contexts were made of, by the last scan
        self.files_read = 0

    def reconfigure(self, config: TrustConfig) -> None:
        """Trust others from the next scan on, and read everything again."""
        self._config = config
        self._defaults, self._by_folder, self._seen = {}, {}, None

    def of(self, path: str) -> Context:
        """Return what holds for a job file."""
        return self._by_folder[folder_of(path)]

    def scan(self, listing: Listing, now_us: int) -> bool:
        """Take over what a scan found. Return True if what any folder hands down may be another than before.

        The context of a folder is the same object as before where it comes to the same.
        """
        trusted = trust.who(self._config, own_uid=self._own_uid)
        root_seen = folder_seen(self._folder.root)
        seen = (trusted, root_seen, listing.folders, listing.defaults, listing.unreadable)
        if seen == self._seen and not any(file.racy for file in self._defaults.values()):
            return False
        self._seen, self._folders, self._root_seen, self.trusted = seen, listing.folders, root_seen, trusted
        self._defaults = {
            folder: self._read_defaults(folder, signature, now_us) for folder, signature in listing.defaults.items()
        }
        before, self._by_folder = self._by_folder, self._built(listing)
        same = self._by_folder.keys() == before.keys()
        return not (same and all(self._by_folder[folder] is before[folder] for folder in before))

    def _built(self, listing: Listing) -> dict[str, Context]:
        chains = DefaultsChain(lambda folder: self._defaults[folder].value if folder in self._defaults else None)
        contexts: dict[str, Context] = {}
        outermost = Context((), self._folder_errors(self._folder.root, ".", self._root_seen), b"")
        for folder in sorted(listing.folders):
            above = contexts[folder_of(folder)] if folder else outermost
            context = self._context_of(folder, above, chains, listing)
            known = self._by_folder.get(folder)
            contexts[folder] = known if known is not None and known.stamp == context.stamp else context
        return contexts

    def _context_of(self, folder: str, above: Context, chains: DefaultsChain, listing: Listing) -> Context:
        seen = listing.folders[folder]
        errors = [*above.errors, *self._folder_errors(self._folder.path(folder), self._folder.show(folder), seen)]
        path = defaults_in(folder)
        file = self._defaults.get(folder)
        if file is not None:
            errors += [problem for problem in file.problems if problem.severity == "error"]
        elif path in listing.unreadable:
            message = f"the file cannot be read: {listing.unreadable[path]}"
            errors.append(Problem(file=self._folder.show(path), code="unreadable", message=message))
        stamp = hashlib.sha256(above.stamp + (b"" if file is None else file.digest))
        for problem in errors:
            stamp.update(str(problem).encode())
        return Context(chains.of_folder(folder), tuple(errors), stamp.digest())

    def _folder_errors(self, path: str, shown: str, seen: Folder | None) -> tuple[Problem, ...]:
        if seen is None:
            return ()
        problem = trust.problem_of(path, _access(seen), self.trusted, shown=shown)
        return (problem,) if problem is not None and problem.severity == "error" else ()

    def _read_defaults(self, folder: str, signature: Signature, now_us: int) -> _DefaultsFile:
        known = self._defaults.get(folder)
        if known is not None and known.signature == signature and not known.racy:
            return known
        path = defaults_in(folder)
        place, shown = self._folder.path(path), self._folder.show(path)
        refusal = trust.problem_of(place, access_of(signature), self.trusted, shown=shown)
        mistrust = () if refusal is None else (refusal,)
        try:
            data, signature = scan.read(place)
        except (FileNotFoundError, scan.UnreadableFileError) as error:
            value = unreadable_defaults(shown, read_problem(shown, error))
            return _DefaultsFile(None, repr(error).encode(), True, value, mistrust)
        self.files_read += 1
        digest = hashlib.sha256(data).digest()
        value = known.value if known is not None and known.digest == digest else parse_defaults(shown, data)
        return _DefaultsFile(signature, digest, scan.is_racy(signature, now_us), value, mistrust)

    def warnings(self) -> Iterator[Problem]:
        """Yield the warnings about folders and defaults, each once however many jobs are below."""
        for file in self._defaults.values():
            yield from (problem for problem in file.problems if problem.severity != "error")
        seen = [(self._folder.root, ".", self._root_seen)]
        seen += [(self._folder.path(at), self._folder.show(at), folder) for at, folder in self._folders.items()]
        for path, shown, folder in seen:
            if folder is not None and folder.mode & stat.S_IWGRP:
                problem = trust.problem_of(path, _access(folder), self.trusted, shown=shown)
                if problem is not None and problem.severity != "error":
                    yield problem


def read_problem(shown: str, error: FileNotFoundError | scan.UnreadableFileError) -> Problem:
    """Return the problem of a file that could not be read."""
    if isinstance(error, scan.UnreadableFileError):
        return error.problem(shown)
    return Problem(file=shown, code="unreadable", message="the file has just been removed")


def folder_seen(path: str) -> Folder | None:
    """Look at a folder; None when it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Folder(found.st_dev, found.st_ino, found.st_mode, found.st_uid, found.st_gid)


def _access(folder: Folder) -> Access:
    return Access(folder.mode, folder.uid, folder.gid)
