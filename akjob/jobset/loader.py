"""The loader: from the files in ``jobs.d/`` to an immutable JobSet, one bad file costing one job.

A look stats everything and reads what changed. What decides about a job is its file's content, the ``_defaults.toml``
files above it, its dill file's content, and who may write to any of them; a job is judged again when one of these
changed.
"""

import gc
import hashlib
import os
import posixpath
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from akjob.config import Config, Paths, load_config
from akjob.errors import AkjobError, Problem
from akjob.jobset import cache, parallel_parse, scan, trust
from akjob.jobset.model import Broken, Change, Changed, JobSet, LastGood, Refused
from akjob.jobset.scan import DEFAULTS, RACY_US, SUFFIX, Folder, Listing, Signature
from akjob.jobset.trust import Access
from akjob.spec import Defaults, load_definition, parse_defaults, parse_job
from akjob.spec.model import DillFile, DottedCallable, JobSpec

SETTLE_US = 400_000
SECOND_LOOK_US = 5_000_000
REMEMBERED = 100  # of fewer files parsing costs less than remembering
MANY = 200  # of that many files a full look costs no more

_CONTENT = slice(0, 4)  # of a Signature: size, time, inode, device
_ACCESS = slice(4, 7)  # mode, owner, group


class _Context(Struct, frozen=True):
    """What a folder hands down to the job files in it: defaults, outermost first, and what is wrong for all of them."""

    chain: tuple[Defaults, ...]
    errors: tuple[Problem, ...]
    stamp: bytes


class _Watched(Struct):
    """A file that is part of others, a ``_defaults.toml`` or a dill file. ``digest`` is None when it is not there."""

    signature: Signature | None = None
    digest: bytes | None = None
    racy: bool = True


class _DefaultsFile(_Watched):
    value: Defaults | None = None
    problems: tuple[Problem, ...] = ()


class _Dill(_Watched):
    jobs: set[str] = msgspec.field(default_factory=set)


class _Module(Struct):
    """A module that jobs import, looked for from a working folder: why it is refused, if it is."""

    cwd: str
    name: str
    problem: Problem | None = None
    jobs: set[str] = msgspec.field(default_factory=set)


class _Entry(Struct, gc=False):
    """What is known of one job file. ``signature`` None means: look again, whatever it is."""

    path: str
    name: str
    signature: Signature | None = None
    digest: bytes = b""
    racy: bool = False
    context: _Context | None = None
    dill: str | None = None
    dill_stamp: tuple[object, ...] = ()
    modules: frozenset[tuple[str, str]] = frozenset()
    code: object = None  # the dill file's digest when ``spec`` was taken
    spec: JobSpec | None = None
    broken: Broken | None = None
    warnings: tuple[Problem, ...] = ()
    seed: LastGood | None = None
    refused: Refused | None = None  # what had been refused before the restart


class _Twins:
    """Paths that are one when case does not count. Hardly any is, so that a path by itself takes little memory."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._one: dict[str, str] = {}
        self._several: dict[str, set[str]] = {}
        for path in paths:
            self.add(path)

    def add(self, path: str) -> None:
        folded = path.casefold()
        other = self._one.setdefault(path if folded == path else folded, path)
        if other != path:
            self._several.setdefault(folded, {other}).add(path)

    def discard(self, path: str) -> None:
        folded = path.casefold()
        paths = self._several.get(folded, set())
        paths.discard(path)
        if self._one.get(folded) == path:
            del self._one[folded]
            if paths:
                self._one[folded] = next(iter(paths))
        if len(paths) < 2:  # noqa: PLR2004 - twins are two
            self._several.pop(folded, None)

    def several(self) -> Iterable[set[str]]:
        return self._several.values()


class _Turn(Struct):
    """What one look has touched so far: the state before, by the job file's path."""

    now_us: int
    before: dict[str, tuple[JobSpec | None, Broken | None, object]] = msgspec.field(default_factory=dict)
    problems: list[Problem] = msgspec.field(default_factory=list)
    fresh: set[str] = msgspec.field(default_factory=set)
    again_us: list[int] = msgspec.field(default_factory=list)
    trusted: dict[Access, bool] = msgspec.field(default_factory=dict)
    files_read: int = 0
    emptied: int = 0


class Loader:
    """Keeps the job set of one root. ``load`` looks and returns what changed; only the thread that owns it calls it.

    ``last_good`` seeds the last good definitions of an earlier process, by job. ``own_uid`` is the user that akjobd
    runs as. ``settle_us``: a file that is wrong and was written less than this long ago is, but for the first look,
    given the time to become right, for it may be half written. ``remember_in`` is a file, best below ``var/``, that
    keeps over restarts what contents parsed to.
    """

    def __init__(  # noqa: PLR0913 - the last ones have defaults that are right for nearly everybody
        self,
        paths: Paths,
        config: Config,
        last_good: Mapping[str, LastGood] | None = None,
        *,
        own_uid: int | None = None,
        settle_us: int = SETTLE_US,
        remember_in: Path | None = None,
    ) -> None:
        self._root = str(paths.root)
        self._folder = str(paths.jobs_d)
        self._shown = os.path.relpath(self._folder, self._root)
        self._config = config
        self._config_stamp = _stamp(config)
        self._own_uid = os.geteuid() if own_uid is None else own_uid
        self._settle_us = settle_us
        self._seeds = dict(last_good or {})
        self._entries: dict[str, _Entry] = {}
        self._defaults: dict[str, _DefaultsFile] = {}
        self._dills: dict[str, _Dill] = {}
        self._modules: dict[tuple[str, str], _Module] = {}
        self._contexts: dict[str, _Context] = {}
        self._unsettled: set[str] = set()  # to be read again at the next full look, whatever stat says
        self._held: set[str] = set()  # wrong, but too young to be refused
        self._listing: Listing | None = None
        self._root_seen: Folder | None = None
        self._trusted = trust.who(config.trust, own_uid=self._own_uid)
        self._remember_in = remember_in
        self._remembered: dict[str, cache.Record] = {}
        self._stamp = b""  # of what is remembered
        self._to_remember = False
        self._began_us = 0
        if remember_in is not None:
            self._stamp = cache.fingerprint() + self._config_stamp
            with without_collections():
                self._remembered = cache.load(remember_in, self._trusted, self._stamp)
        self._said: frozenset[Problem] = frozenset()
        self._twins = _Twins(())
        self._case: tuple[Problem, ...] = ()
        self._emptied_us: int | None = None
        self._jobset = JobSet(jobs=MappingProxyType({}), broken=MappingProxyType({}), loaded_us=0)

    @property
    def jobset(self) -> JobSet:
        """The job set of the last look."""
        return self._jobset

    @property
    def links(self) -> frozenset[str]:
        """The files and folders that symlinks in ``jobs.d`` lead to: to be watched too."""
        return frozenset() if self._listing is None else self._listing.links

    def problems(self) -> list[Problem]:
        """Return all that is known to be wrong but breaks no job, sorted by file."""
        found = set(self._said)
        for entry in self._entries.values():
            found.update(entry.warnings)
        return sorted(found, key=lambda problem: (problem.file, problem.line, problem.column, problem.code))

    def reconfigure(self, config: Config) -> None:
        """Take another ``etc/akjob.toml``: the next look must be a full one, and judges every job again."""
        self._config = config
        self._config_stamp = _stamp(config)
        self._stamp = cache.fingerprint() + self._config_stamp
        self._remembered = {}
        self._listing = None
        self._contexts = {}
        self._root_seen = None
        for entry in self._entries.values():
            entry.signature, entry.digest = None, b""
        for defaults in self._defaults.values():
            defaults.signature, defaults.digest = None, None

    def load(self, now_us: int, hints: AbstractSet[str] | None = None) -> Change:
        """Look at the folder and return what changed since the look before.

        ``hints`` are paths below ``jobs.d`` that may have changed; where they are plain files in known folders, only
        they are looked at. None, or anything that is not so plain, means a full look. ``now_us`` is the wall clock's
        instant.
        """
        turn = _Turn(now_us=now_us)
        self._began_us = self._began_us or now_us
        targets = None if hints is None else self._targets(hints)
        if targets is None:
            self._look_at_all(turn)
        else:
            self._look_at_some(targets, turn)
        return self._change(turn)

    # a full look

    def _look_at_all(self, turn: _Turn) -> None:
        listing = scan.scan(self._folder, self._shown, self._listing, turn.now_us)
        if self._holds_back(listing, turn):
            return
        contexts = self._contexts_of(listing, turn)
        others = [*self._changed_dills(turn), *self._changed_modules()]
        before = self._listing
        same_files = before is not None and before.files == listing.files
        if before is not None and same_files:
            listing = msgspec.structs.replace(listing, files=before.files)  # whose signatures the entries share
        self._listing, known_contexts, self._contexts = listing, self._contexts, contexts
        if not same_files or known_contexts is not contexts:
            with without_collections():
                self._visit_changed(listing, turn)
            self._remembered = {}  # it was for the start
            self._to_remember |= turn.files_read >= REMEMBERED
        for path in list(self._unsettled):
            if path in listing.files and path not in turn.fresh:
                self._visit(path, listing.files[path], turn)
        for path in others:
            if path in listing.files and path not in turn.fresh:
                self._visit(path, listing.files[path], turn)
        if before is None or before.files.keys() != listing.files.keys() or before.unreadable != listing.unreadable:
            self._vanished(listing, turn)
            self._twins = _Twins(listing.files)
            self._case = tuple(self._case_problems())
        self._say_all(turn)

    def _visit_changed(self, listing: Listing, turn: _Turn) -> None:
        """Visit what may have changed; at a start with much to parse have a second process parse some of it."""
        unknown = 0 if self._entries or self._remember_in is None else len(listing.files) - len(self._remembered)
        if not parallel_parse.is_worth_it(unknown):
            self._visit_files(listing.files.items(), turn)
            return
        second = parallel_parse.Ahead(self._root, self._own_uid, turn.now_us)
        theirs = {path for path in listing.files if path not in self._remembered and parallel_parse.is_theirs(path)}
        self._visit_files((one for one in listing.files.items() if one[0] not in theirs), turn)
        self._remembered.update(cache.decode(second.answer(), self._stamp))
        self._visit_files(((path, listing.files[path]) for path in theirs), turn)

    def _visit_files(self, files: Iterable[tuple[str, Signature]], turn: _Turn) -> None:
        entries, contexts, remembered = self._entries, self._contexts, self._remembered
        for path, signature in files:
            entry = entries.get(path)
            context = contexts[path.rpartition("/")[0]]
            if entry is None and path in remembered and self._recall(remembered[path], path, signature, context, turn):
                continue
            if entry is None or entry.signature != signature or entry.context is not context:
                self._visit(path, signature, turn)

    def _recall(self, record: cache.Record, path: str, signature: Signature, context: _Context, turn: _Turn) -> bool:
        """Take a job from what is remembered if its file need not even be read; return whether that was so."""
        spec = record.spec
        if not record.settled or record.signature != signature or record.stamp != context.stamp or context.errors:
            return False
        if type(spec.code) is DillFile or not self._is_trusted(_access_of(signature), turn):
            return False
        entry = self._entry(path)
        self._follow_modules(entry, spec)
        if any(self._modules[key].problem is not None for key in entry.modules):
            return False
        turn.fresh.add(path)
        entry.signature, entry.digest, entry.context = signature, record.digest, context
        self._take(entry, spec, (), turn)
        return True

    def _is_trusted(self, access: Access, turn: _Turn) -> bool:
        trusted = turn.trusted.get(access)
        if trusted is None:
            trusted = turn.trusted[access] = trust.distrust(access, self._trusted) is None
        return trusted

    def keep(self) -> None:
        """Keep what was parsed for the next start, if it was much. Takes its time, so it comes after all else."""
        if self._remember_in is None or not self._to_remember:
            return
        self._to_remember = False
        settled_ns = (self._began_us - RACY_US) * 1000
        records = (
            cache.Record(
                path=entry.path,
                signature=entry.signature,
                settled=max(entry.signature[1], entry.signature[7]) < settled_ns,
                digest=entry.digest,
                stamp=entry.context.stamp,
                spec=entry.spec,
            )
            for entry in self._entries.values()
            if entry.spec is not None
            and entry.broken is None
            and not entry.warnings
            and entry.signature is not None
            and entry.context is not None
            and entry.path.isascii()
        )
        cache.save(self._remember_in, self._stamp, records)

    def parse_some(self, now_us: int) -> bytes:
        """Return the second process's half of the folder, parsed, as the cache keeps it."""
        turn = _Turn(now_us=now_us)
        listing = scan.scan(self._folder, self._shown)
        self._contexts = self._contexts_of(listing, turn)
        records = (
            self._parsed(path, turn) for path in listing.files if parallel_parse.is_theirs(path) and path.isascii()
        )
        with without_collections():
            stamp = cache.fingerprint() + self._config_stamp
            return cache.encode(stamp, (record for record in records if record is not None))

    def _parsed(self, path: str, turn: _Turn) -> cache.Record | None:
        try:
            data, signature = scan.read(f"{self._folder}/{path}")
        except (FileNotFoundError, scan.Unreadable):
            return None
        entry = _Entry(path, _name_of(path), digest=hashlib.sha256(data).digest())
        entry.context = self._contexts[path.rpartition("/")[0]]
        spec, problems = self._parse(entry, self._show(path), data)
        if spec is None or problems:
            return None
        settled = max(signature[1], signature[7]) < (turn.now_us - RACY_US) * 1000
        return cache.Record(path, signature, settled, entry.digest, entry.context.stamp, spec)

    def _vanished(self, listing: Listing, turn: _Turn) -> None:
        """Take out what is gone, and keep what cannot be seen."""
        for name, seed in self._seeds.items():
            path = name + SUFFIX
            if _is_under(path, listing.unreadable):
                self._entries.setdefault(path, _Entry(path, name, seed=seed))
            else:
                turn.before[path] = (_restored(name, seed), None, None)
        self._seeds = {}
        for path in [path for path in self._entries if path not in listing.files]:
            reason = _is_under(path, listing.unreadable)
            if reason is not None:
                self._refuse_unseen(path, reason, turn)
            elif path.rpartition("/")[0] in listing.folders and os.path.isfile(f"{self._folder}/{path}"):
                # git takes a file away and writes it anew: a folder that is read meanwhile may show neither of the two.
                self._listing = msgspec.structs.replace(listing, names={})
                turn.again_us.append(turn.now_us + SETTLE_US)
            else:
                self._drop(path, turn)
        for path, why in listing.unreadable.items():
            if scan.is_job_path(path) and path not in self._entries:
                self._refuse_unseen(path, (path, why), turn)

    def _refuse_unseen(self, path: str, reason: tuple[str, str], turn: _Turn) -> None:
        entry = self._entry(path)
        place, why = reason
        entry.signature = None
        problem = Problem(
            file=self._show(place),
            code="unreadable",
            message=f"it cannot be looked at: {why}",
            hint="mend the permissions, the link or the file system",
        )
        self._refuse(entry, (problem,), f"{place}: {why}".encode("utf-8", "surrogateescape"), turn)

    def _holds_back(self, listing: Listing, turn: _Turn) -> bool:
        """Say whether an emptied folder is to be believed only at a second look; if so nothing else is done now."""
        known = len(self._entries) if self._listing is not None else len(self._seeds) + len(self._entries)
        alarming = not listing.files and not listing.unreadable and known >= (1 if listing.missing else 2)
        if not alarming:
            self._emptied_us = None
            return False
        if self._emptied_us is None or turn.now_us < self._emptied_us:
            self._emptied_us = turn.now_us
        due_us = self._emptied_us + SECOND_LOOK_US
        what = "is missing" if listing.missing else "has been emptied"
        if turn.now_us >= due_us:
            self._emptied_us = None
            message = f"{self._shown} {what} and still is: {_jobs(known)} unscheduled"
            turn.problems.append(self._folder_problem(message))
            return False
        for name, seed in self._seeds.items():
            self._keep_seed(self._entry(name + SUFFIX, seed), turn)
        self._seeds = {}
        turn.again_us.append(due_us)
        turn.emptied = known
        message = f"{self._shown} {what}: {_jobs(known)} kept until a second look {SECOND_LOOK_US // 1_000_000} s later"
        self._say([*listing.problems, self._folder_problem(message)], turn)
        return True

    def _folder_problem(self, message: str) -> Problem:
        return Problem(
            file=self._shown,
            severity="warning",
            code="emptied",
            message=message,
            hint="put the files back if this was not meant",
        )

    # a look at single files

    def _targets(self, hints: AbstractSet[str]) -> set[str] | None:
        """Return the job files to look at, or None when only a full look can tell."""
        if self._listing is None or self._emptied_us is not None:
            return None
        found = set(self._held)
        for hint in hints:
            targets = self._target(hint, self._listing)
            if targets is None:
                return None
            found.update(targets)
        return found if len(found) <= MANY else None

    def _target(self, hint: str, listing: Listing) -> Iterable[str] | None:
        """Return the job files that a change of the path ``hint`` can concern, or None for a full look."""
        if hint in self._dills:
            return self._dills[hint].jobs
        parent, _, name = hint.rpartition("/")
        if not name or name == DEFAULTS:
            return None
        if any(scan.is_ignored(part) for part in hint.split("/")):
            return None if listing.linked else ()
        if parent not in listing.folders:
            return None
        path = f"{self._folder}/{hint}"
        if hint in listing.folders:
            return () if _same_access(path, listing.folders[hint]) else None
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            return (hint,) if name.endswith(SUFFIX) and hint not in listing.unreadable else ()
        if name.endswith(SUFFIX):
            return (hint,) if stat.S_ISREG(mode) and hint not in listing.unreadable else None
        return None if stat.S_ISDIR(mode) or stat.S_ISLNK(mode) else ()

    def _look_at_some(self, targets: AbstractSet[str], turn: _Turn) -> None:
        listing = self._listing
        if listing is None:
            return
        files = dict(listing.files)
        for path in targets:
            files.pop(path, None)
            try:
                found = os.stat(f"{self._folder}/{path}")
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                files[path] = scan.signature(found)
        if not files and len(listing.files) > 1:
            self._look_at_all(turn)  # the folder has been emptied, which is not for single events to say
            return
        self._listing = msgspec.structs.replace(listing, files=files)
        for path in sorted(targets):
            if (path in files) != (path in listing.files):
                (self._twins.add if path in files else self._twins.discard)(path)
                self._case = tuple(self._case_problems())
            if path in files:
                self._refresh_dill_of(path, turn)
                self._visit(path, files[path], turn)
            else:
                self._drop(path, turn)
        self._say_all(turn)

    def _refresh_dill_of(self, path: str, turn: _Turn) -> None:
        entry = self._entries.get(path)
        if entry is not None and entry.dill is not None:
            self._refresh_dill(entry.dill, self._dills[entry.dill], turn)

    # what files have in common

    def _contexts_of(self, listing: Listing, turn: _Turn) -> dict[str, _Context]:
        """Return what each folder hands down; the very same objects, and dict, as before where nothing changed."""
        trusted = trust.who(self._config.trust, own_uid=self._own_uid)
        root_seen = _folder_seen(self._root)
        before = self._listing
        if (
            before is not None
            and before.folders == listing.folders
            and before.defaults == listing.defaults
            and before.unreadable == listing.unreadable
            and root_seen == self._root_seen
            and trusted == self._trusted
            and not any(file.racy for file in self._defaults.values())
        ):
            return self._contexts
        self._root_seen, self._trusted = root_seen, trusted
        self._defaults = {
            folder: self._read_defaults(folder, signature, turn) for folder, signature in listing.defaults.items()
        }
        contexts: dict[str, _Context] = {}
        outermost = _Context((), self._folder_errors(self._root, ".", root_seen), b"")
        for folder in sorted(listing.folders):
            above = outermost if not folder else contexts[folder.rpartition("/")[0]]
            context = self._context_of(folder, above, listing)
            known = self._contexts.get(folder)
            contexts[folder] = known if known is not None and known.stamp == context.stamp else context
        if contexts.keys() == self._contexts.keys() and all(contexts[at] is self._contexts[at] for at in contexts):
            return self._contexts
        return contexts

    def _context_of(self, folder: str, above: _Context, listing: Listing) -> _Context:
        place = f"{self._folder}/{folder}" if folder else self._folder
        errors = [*above.errors, *self._folder_errors(place, self._show(folder), listing.folders[folder])]
        chain = above.chain
        digest = b""
        path = f"{folder}/{DEFAULTS}" if folder else DEFAULTS
        file = self._defaults.get(folder)
        if file is not None:
            digest = file.digest or b""
            errors += [problem for problem in file.problems if problem.severity == "error"]
            if file.value is not None:
                chain = (*chain, file.value)
        elif path in listing.unreadable:
            message = f"the file cannot be read: {listing.unreadable[path]}"
            errors.append(Problem(file=self._show(path), code="unreadable", message=message))
        stamp = hashlib.sha256(above.stamp + digest)
        for problem in errors:
            stamp.update(str(problem).encode())
        return _Context(chain, tuple(errors), stamp.digest())

    def _folder_errors(self, path: str, shown: str, seen: Folder | None) -> tuple[Problem, ...]:
        if seen is None:
            return ()
        problem = trust.problem_of(path, _access(seen), self._trusted, shown=shown)
        return (problem,) if problem is not None and problem.severity == "error" else ()

    def _read_defaults(self, folder: str, signature: Signature, turn: _Turn) -> _DefaultsFile:
        known = self._defaults.get(folder)
        if known is not None and known.signature == signature and not known.racy:
            return known
        path = f"{folder}/{DEFAULTS}" if folder else DEFAULTS
        shown = self._show(path)
        refusal = trust.problem_of(f"{self._folder}/{path}", _access_of(signature), self._trusted, shown=shown)
        mistrust = () if refusal is None else (refusal,)
        try:
            data, signature = scan.read(f"{self._folder}/{path}")
        except (FileNotFoundError, scan.Unreadable) as error:
            return _DefaultsFile(None, repr(error).encode(), True, None, (*mistrust, _read_problem(shown, error)))
        turn.files_read += 1
        digest = hashlib.sha256(data).digest()
        racy = _is_racy(signature, turn.now_us)
        value = known.value if known is not None and known.digest == digest else parse_defaults(shown, data)
        problems = () if value is None else value.problems
        return _DefaultsFile(signature, digest, racy, value, (*mistrust, *problems))

    def _changed_dills(self, turn: _Turn) -> list[str]:
        """Look at all dill files; return the job files that have one which changed."""
        changed: list[str] = []
        for path, file in self._dills.items():
            before = (file.digest, file.signature and _access_of(file.signature))
            self._refresh_dill(path, file, turn)
            if before != (file.digest, file.signature and _access_of(file.signature)):
                changed += file.jobs
        return changed

    def _refresh_dill(self, path: str, file: _Dill, turn: _Turn) -> None:
        place = f"{self._folder}/{path}"
        try:
            found = os.stat(place)
        except OSError:
            file.signature, file.digest, file.racy = None, None, False
            return
        signature = scan.signature(found)
        if signature == file.signature and not file.racy:
            return
        if file.signature is None or file.racy or signature[_CONTENT] != file.signature[_CONTENT]:
            file.digest = _digest(place) if stat.S_ISREG(found.st_mode) else None
            turn.files_read += 1
        file.signature = signature
        file.racy = _is_racy(signature, turn.now_us)

    # one job file

    def _visit(self, path: str, signature: Signature, turn: _Turn) -> None:
        """Read a job file if it may have changed, and judge it again if anything that decides about it did."""
        turn.fresh.add(path)
        self._held.discard(path)
        entry = self._entry(path)
        context = self._contexts[path.rpartition("/")[0]]
        same_access = entry.signature is not None and entry.signature[_ACCESS] == signature[_ACCESS]
        same = same_access and entry.context is context and entry.dill_stamp == self._dill_stamp(entry.dill)
        if same and signature == entry.signature and not entry.racy:
            return
        try:
            data, read_as = scan.read(f"{self._folder}/{path}")
        except FileNotFoundError:
            self._drop(path, turn)
            return
        except scan.Unreadable as error:
            entry.signature, entry.racy = None, True
            self._unsettled.add(path)
            self._refuse(entry, (_read_problem(self._show(path), error),), repr(error).encode(), turn)
            return
        turn.files_read += 1
        signature = signature if signature == read_as else read_as
        digest = hashlib.sha256(data).digest()
        entry.racy = _is_racy(signature, turn.now_us)
        (self._unsettled.add if entry.racy else self._unsettled.discard)(path)
        if same and digest == entry.digest:
            entry.signature = signature
            return
        entry.signature, entry.digest, entry.context = signature, digest, context
        self._judge(entry, data, turn)

    def _judge(self, entry: _Entry, data: bytes, turn: _Turn) -> None:
        shown = self._show(entry.path)
        problems = [*self._refusals(entry, shown)]
        spec = None
        if not any(problem.severity == "error" for problem in problems):
            spec, found = self._parse(entry, shown, data)
            problems += found
        self._follow_dill(entry, spec, turn)
        self._follow_modules(entry, spec)
        if spec is not None:
            refusals = (self._dill_refusal(entry), *(self._modules[key].problem for key in entry.modules))
            problems += [refusal for refusal in refusals if refusal is not None]
        errors = any(problem.severity == "error" for problem in problems)
        entry.dill_stamp = self._dill_stamp(entry.dill)
        if spec is None or errors:
            self._refuse_settled(entry, tuple(problems), turn)
        else:
            self._take(entry, spec, tuple(problems), turn)

    def _parse(self, entry: _Entry, shown: str, data: bytes) -> tuple[JobSpec | None, tuple[Problem, ...]]:
        known = self._remembered.get(entry.path)
        chain, stamp = ((), b"") if entry.context is None else (entry.context.chain, entry.context.stamp)
        if known is not None and known.digest == entry.digest and known.stamp == stamp:
            return known.spec, ()
        try:
            result = parse_job(entry.name, shown, data, defaults=chain, config=self._config)
        except Exception as error:  # noqa: BLE001 - whatever a file does to the parser, it must cost this job alone
            message = f"the file cannot be understood: {type(error).__name__}: {error}"
            return None, (Problem(file=shown, code="unreadable", message=message, hint="write it more simply"),)
        return result.spec, result.problems

    def _refusals(self, entry: _Entry, shown: str) -> Iterator[Problem]:
        """Yield what is wrong with a job before its text is looked at."""
        bad_name = scan.name_problem(entry.path, shown)
        if bad_name is not None:
            yield bad_name
        if entry.context is not None:
            yield from entry.context.errors
        if entry.signature is not None:
            access = _access_of(entry.signature)
            problem = trust.problem_of(f"{self._folder}/{entry.path}", access, self._trusted, shown=shown)
            if problem is not None:
                yield problem

    def _follow_dill(self, entry: _Entry, spec: JobSpec | None, turn: _Turn) -> None:
        """Watch the dill file that the job has now. A broken file leaves the one of its last good version watched."""
        if spec is None and entry.spec is not None:
            return
        now = None
        if spec is not None and isinstance(spec.code, DillFile):
            now = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), spec.code.file))
        if now == entry.dill:
            return
        self._forget_dill(entry)
        entry.dill = now
        if now is not None:
            file = self._dills.setdefault(now, _Dill())
            file.jobs.add(entry.path)
            self._refresh_dill(now, file, turn)

    def _follow_modules(self, entry: _Entry, spec: JobSpec | None) -> None:
        """Remember the modules that the job imports first: who may write to them is asked at every full look."""
        if spec is None:
            return
        targets = (*spec.run.setup, *((spec.code.target,) if isinstance(spec.code, DottedCallable) else ()))
        keys = _module_keys(spec.run.cwd or "", targets)
        if keys == entry.modules:
            return
        self._forget_modules(entry)
        entry.modules = keys
        for key in keys:
            module = self._modules.get(key)
            if module is None:
                module = self._modules[key] = _Module(*key)
                module.problem = self._module_problem(module)
            module.jobs.add(entry.path)

    def _forget_modules(self, entry: _Entry) -> None:
        for key in entry.modules:
            self._modules[key].jobs.discard(entry.path)
            if not self._modules[key].jobs:
                del self._modules[key]
        entry.modules = frozenset()

    def _module_problem(self, module: _Module) -> Problem | None:
        own = [self._root, os.path.join(self._root, module.cwd)]
        folders = [*own, *(os.path.join(self._root, entry) for entry in self._config.pythonpath)]
        return trust.module_problem(self._root, folders, module.name, self._trusted)

    def _changed_modules(self) -> list[str]:
        """Ask again who may write to the modules; return the job files for which the answer is another one."""
        changed: list[str] = []
        for module in self._modules.values():
            problem = self._module_problem(module)
            if problem != module.problem:
                module.problem = problem
                changed += module.jobs
        for path in changed:
            self._entries[path].signature = None
        return changed

    def _forget_dill(self, entry: _Entry) -> None:
        file = self._dills.get(entry.dill) if entry.dill is not None else None
        if file is not None and entry.dill is not None:
            file.jobs.discard(entry.path)
            if not file.jobs:
                del self._dills[entry.dill]
        entry.dill = None

    def _dill_stamp(self, path: str | None) -> tuple[object, ...]:
        file = self._dills.get(path) if path is not None else None
        if file is None or file.signature is None:
            return ()
        return (file.digest, _access_of(file.signature))

    def _dill_digest(self, entry: _Entry) -> bytes | None:
        return self._dills[entry.dill].digest if entry.dill is not None else None

    def _dill_refusal(self, entry: _Entry) -> Problem | None:
        file = self._dills.get(entry.dill) if entry.dill is not None else None
        if file is None or file.signature is None or entry.dill is None:
            return None  # a file that is not there is the run's matter
        place = f"{self._folder}/{entry.dill}"
        return trust.problem_of(place, _access_of(file.signature), self._trusted, shown=self._show(entry.dill))

    def _take(self, entry: _Entry, spec: JobSpec, problems: tuple[Problem, ...], turn: _Turn) -> None:
        self._touch(entry, turn)
        if entry.seed is not None:
            self._take_over_seed(entry, spec, turn)
        turn.problems += [problem for problem in problems if problem not in entry.warnings]
        entry.spec, entry.broken, entry.warnings, entry.name = spec, None, problems, spec.name
        entry.refused = None
        entry.code = self._dill_digest(entry) or entry.code

    def _take_over_seed(self, entry: _Entry, spec: JobSpec, turn: _Turn) -> None:
        """Compare the first good version of this process with the last one of the process before."""
        seed, entry.seed = entry.seed, None
        if seed is None or not seed.definition:
            return
        old = spec if seed.definition == spec.definition else _restored(entry.name, seed)
        code = self._dill_digest(entry)
        _, broken, _ = turn.before[entry.path]
        turn.before[entry.path] = (old, broken, code)
        if old is None:
            turn.problems.append(_lost_seed(entry.name, self._show(entry.path)))

    def _refuse_settled(self, entry: _Entry, problems: tuple[Problem, ...], turn: _Turn) -> None:
        """Refuse a file, unless it was written only just now: then it gets the time to be finished.

        Not at a start, after which whoever started akjobd asks what is broken.
        """
        signature = entry.signature
        if signature is not None and self._settle_us and self._jobset.loaded_us:
            settled_us = signature[1] // 1000 + self._settle_us
            if turn.now_us < settled_us <= turn.now_us + self._settle_us:
                turn.again_us.append(settled_us)
                entry.signature, entry.digest = None, b""
                self._unsettled.add(entry.path)
                self._held.add(entry.path)
                self._keep_seed(entry, turn)
                return
        stamp = entry.context.stamp if entry.context is not None else b""
        self._refuse(entry, problems, entry.digest + stamp, turn)

    def _refuse(self, entry: _Entry, problems: tuple[Problem, ...], content: bytes, turn: _Turn) -> None:
        """Note that a job is broken; its last good version stays."""
        self._keep_seed(entry, turn)
        self._touch(entry, turn)
        first = next(problem for problem in problems if problem.severity == "error")
        digest = hashlib.sha256(content + str(first).encode()).hexdigest()
        if entry.broken is not None and entry.broken.content == digest:
            return
        known = entry.broken or entry.refused
        entry.broken = Broken(
            job=entry.name,
            file=first.file,
            line=first.line,
            column=first.column,
            message=first.message,
            hint=first.hint,
            code=first.code,
            since_us=turn.now_us if known is None else known.since_us,
            content=digest,
            problems=problems,
            running_last_good=entry.spec is not None,
            sources=(self._show(entry.path), first.file),
        )
        if entry.refused is not None and entry.refused.content == digest:
            old, _, code = turn.before[entry.path]
            turn.before[entry.path] = (old, entry.broken, code)  # it was told before the restart
        entry.refused = None

    def _keep_seed(self, entry: _Entry, turn: _Turn) -> None:
        """Take the stored last good definition as the job's, for there is no better one."""
        seed, entry.seed = entry.seed, None
        if seed is None:
            return
        entry.spec, entry.refused = _restored(entry.name, seed), seed.refused
        turn.before[entry.path] = (entry.spec, entry.broken, entry.code)
        if entry.spec is None and seed.definition:
            turn.problems.append(_lost_seed(entry.name, self._show(entry.path)))

    def _drop(self, path: str, turn: _Turn) -> None:
        entry = self._entries.get(path)
        if entry is None:
            return
        self._touch(entry, turn)
        self._forget_dill(entry)
        self._forget_modules(entry)
        self._unsettled.discard(path)
        self._held.discard(path)
        del self._entries[path]

    def _entry(self, path: str, seed: LastGood | None = None) -> _Entry:
        entry = self._entries.get(path)
        if entry is None:
            name = _name_of(path)
            entry = _Entry(path, name, seed=seed or self._seeds.pop(name, None))
            self._entries[path] = entry
        return entry

    def _touch(self, entry: _Entry, turn: _Turn) -> None:
        turn.before.setdefault(entry.path, (entry.spec, entry.broken, entry.code))

    def _show(self, path: str) -> str:
        return f"{self._shown}/{scan.printable(path)}" if path else self._shown

    # what is told

    def _say_all(self, turn: _Turn) -> None:
        """Collect what is wrong with the folder as a whole, and tell what is new in it."""
        listing = self._listing
        if listing is None:
            return
        found = list(listing.problems)
        if listing.missing:
            message = f"the folder {self._folder} is missing; it is looked for again"
            hint = f"mkdir {self._folder}"
            found.append(
                Problem(file=self._shown, severity="warning", code="no-jobs-folder", message=message, hint=hint)
            )
        for path, why in listing.unreadable.items():
            if not scan.is_job_path(path):
                message = f"it cannot be looked at: {why}; the jobs below stay as they are"
                found.append(Problem(file=self._show(path), severity="warning", code="unreadable", message=message))
        found += self._case
        found += self._shared_warnings(listing)
        self._say(found, turn)

    def _say(self, found: list[Problem], turn: _Turn) -> None:
        turn.problems += [problem for problem in found if problem not in self._said]
        self._said = frozenset(found)

    def _case_problems(self) -> Iterator[Problem]:
        for paths in self._twins.several():
            first, *others = sorted(paths)
            for path in others:
                yield case_problem(self._show(path), self._show(first))

    def _shared_warnings(self, listing: Listing) -> Iterator[Problem]:
        """Yield the warnings about folders and defaults, each once however many jobs are below."""
        for file in self._defaults.values():
            yield from (problem for problem in file.problems if problem.severity != "error")
        seen = [(self._root, ".", self._root_seen)]
        seen += [(f"{self._folder}/{at}", self._show(at), folder) for at, folder in listing.folders.items()]
        for path, shown, folder in seen:
            if folder is not None and folder.mode & stat.S_IWGRP:
                problem = trust.problem_of(path, _access(folder), self._trusted, shown=shown)
                if problem is not None and problem.severity != "error":
                    yield problem

    def _change(self, turn: _Turn) -> Change:
        if not turn.before and self._jobset.loaded_us:
            return self._no_change(turn)
        added: list[str] = []
        changed: list[Changed] = []
        removed: list[str] = []
        broken: list[Broken] = []
        repaired: list[str] = []
        store: list[JobSpec] = []
        jobs, refused = dict(self._jobset.jobs), dict(self._jobset.broken)
        swapped = False
        for path, (old, old_broken, old_code) in sorted(turn.before.items(), key=itemgetter(0)):
            entry = self._entries.get(path)
            name = _name_of(path)
            new = entry.spec if entry is not None else None
            new_broken = entry.broken if entry is not None else None
            swapped |= _put(jobs, name, new) | _put(refused, name, new_broken)
            if new_broken is not None and (old_broken is None or old_broken.content != new_broken.content):
                broken.append(new_broken)
            if old_broken is not None and new_broken is None and entry is not None:
                repaired.append(name)
            if new is None:
                removed += [name] if old is not None else []
            elif old is None:
                added.append(name)
                store.append(new)
            elif old is not new:
                code = entry is not None and old_code is not None and entry.code != old_code
                difference = _difference(name, old, new, other_code=code)
                changed += [] if difference is None else [difference]
                store += [] if old.definition == new.definition else [new]
        if swapped or not self._jobset.loaded_us:
            self._jobset = JobSet(jobs=MappingProxyType(jobs), broken=MappingProxyType(refused), loaded_us=turn.now_us)
        return Change(
            jobset=self._jobset,
            added=tuple(added),
            changed=tuple(changed),
            removed=tuple(removed),
            broken=tuple(broken),
            repaired=tuple(repaired),
            problems=tuple(dict.fromkeys(turn.problems)),
            store=tuple(store),
            look_again_us=min(turn.again_us, default=None),
            files_read=turn.files_read,
            emptied=turn.emptied,
            swapped=swapped,
        )

    def _no_change(self, turn: _Turn) -> Change:
        return Change(
            jobset=self._jobset,
            problems=tuple(dict.fromkeys(turn.problems)),
            look_again_us=min(turn.again_us, default=None),
            files_read=turn.files_read,
            emptied=turn.emptied,
        )


def parse_ahead() -> None:
    """Be the second process: parse some of the files, for ROOT, UID and INSTANT on the command line."""
    root, own_uid, now_us = sys.argv[1:]
    paths = Paths(Path(root))
    loader = Loader(paths, load_config(paths.config_file)[0], own_uid=int(own_uid))
    sys.stdout.buffer.write(loader.parse_some(int(now_us)))


def case_problem(shown: str, other: str) -> Problem:
    """Return the warning about a file whose name differs from another's only in case."""
    return Problem(
        file=shown,
        severity="warning",
        code="case-twin",
        message=f"the name differs from {other} only in case",
        hint="rename one of them: on macOS and Windows a checkout keeps only one of the two",
    )


@contextmanager
def without_collections() -> Iterator[None]:
    """Keep the garbage collector from walking through thousands of new jobs again and again: a third of the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _stamp(config: Config) -> bytes:
    return hashlib.sha256(repr(config).encode()).digest()


def _put(into: dict[str, Any], name: str, value: object) -> bool:
    """Set or remove one value. Return whether that made a difference."""
    if value is None:
        return into.pop(name, None) is not None
    before = into.get(name)
    into[name] = value
    return before is not value


def _difference(job: str, old: JobSpec, new: JobSpec, *, other_code: bool) -> Changed | None:
    """Return what an edit means for the job, or None when it means nothing (a comment, another order)."""
    if old.definition == new.definition and not other_code:
        return None
    schedule = old.schedule != new.schedule or old.runs != new.runs
    return Changed(job=job, old=old, new=new, schedule=schedule, code=other_code)


@lru_cache(maxsize=4096)
def _module_keys(cwd: str, targets: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    return frozenset((cwd, _module_of(target)) for target in targets)


def _module_of(target: str) -> str:
    return target.partition(":")[0] if ":" in target else target.rpartition(".")[0]


def _restored(name: str, seed: LastGood) -> JobSpec | None:
    """Read back a stored definition; None when there is none, or this version of akjob cannot read it any more."""
    if not seed.definition:
        return None
    try:
        return load_definition(name, seed.file, seed.definition)
    except (AkjobError, ValueError, TypeError, KeyError):
        return None


def _lost_seed(job: str, shown: str) -> Problem:
    return Problem(
        file=shown,
        severity="warning",
        code="lost-last-good",
        message=f"the stored last good definition of {job} cannot be read any more",
        hint="it was stored by another version of akjob; the file itself counts from now on",
    )


def _read_problem(shown: str, error: FileNotFoundError | scan.Unreadable) -> Problem:
    if isinstance(error, scan.Unreadable):
        return Problem(file=shown, code=error.code, message=error.message, hint=error.hint)
    return Problem(file=shown, code="unreadable", message="the file has just been removed")


def _name_of(path: str) -> str:
    return scan.printable(path.removesuffix(SUFFIX))


def _jobs(count: int) -> str:
    return "its one job is" if count == 1 else f"all {count} jobs are"


def _is_racy(signature: Signature, now_us: int) -> bool:
    """Say whether a file was written so recently that another write could leave its signature as it is."""
    return signature[1] // 1000 > now_us - RACY_US


def _is_under(path: str, places: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first of ``places``, with its reason, that is the path or a folder above it."""
    for place, why in places.items():
        if not place or path == place or path.startswith(place + "/"):
            return place, why
    return None


def _folder_seen(path: str) -> Folder | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Folder(found.st_dev, found.st_ino, found.st_mode, found.st_uid, found.st_gid)


def _access_of(signature: Signature) -> Access:
    return Access(signature[4], signature[5], signature[6])


def _access(folder: Folder) -> Access:
    return Access(folder.mode, folder.uid, folder.gid)


def _same_access(path: str, known: Folder) -> bool:
    return _folder_seen(path) == known


def _digest(path: str) -> bytes | None:
    """Hash a file, or None when it cannot be read."""
    try:
        with open(path, "rb", opener=_no_wait) as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return None


def _no_wait(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
