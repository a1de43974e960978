"""The loader: from the files in ``jobs.d/`` to an immutable JobSet, one bad file costing one job.

A scan stats everything and reads what changed. What decides about a job is its file's content, the ``_defaults.toml``
files above it, its dill file's content, and who may write to any of them; a file is judged again when one of these
changed.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import MappingProxyType

from msgspec.structs import replace

from akjob.config import Config, Paths
from akjob.errors import Problem
from akjob.jobset import judge, parallel_parse, scan, trust
from akjob.jobset.cache import ParseCache, Record, stamp_of
from akjob.jobset.changes import change_of
from akjob.jobset.contexts import Context, Contexts, read_problem
from akjob.jobset.emptied import EmptiedFolder
from akjob.jobset.files import JobFile, JobFiles, Pass
from akjob.jobset.garbage import without_collections
from akjob.jobset.hints import files_meant, folder_problems
from akjob.jobset.judge import FileVerdict
from akjob.jobset.model import JobSet, JobSetChange, LastGood
from akjob.jobset.names import JobsFolder, folder_of
from akjob.jobset.notices import Notices
from akjob.jobset.parts import DillFiles, Modules, Parts, access_of
from akjob.jobset.scan import Listing, Signature
from akjob.jobset.trust import Access
from akjob.spec.model import DillFile, JobSpec
from akjob.spec.parse import own_fault

GRACE_US = 400_000
MANY = 200  # of that many files a full scan costs no more

_ACCESS = slice(4, 7)  # of a Signature: mode, owner, group


class Loader:
    """Keeps the job set of one root. ``load`` scans and returns what changed; only the thread that owns it calls it.

    ``last_good`` gives the last good definitions of an earlier process, by job. ``own_uid`` is the user that akjobd
    runs as. ``grace_us``: a file that is wrong and was written less than this long ago is, but for the first scan,
    given the time to become right, for it may be half written. ``cache_file`` is a file, best below ``var/``, that
    keeps over restarts what contents parsed to.
    """

    def __init__(  # noqa: PLR0913 - the last ones have defaults that are right for nearly everybody
        self,
        paths: Paths,
        config: Config,
        last_good: Mapping[str, LastGood] | None = None,
        *,
        own_uid: int | None = None,
        grace_us: int = GRACE_US,
        cache_file: Path | None = None,
    ) -> None:
        self._folder = JobsFolder.of(paths)
        self._config = config
        self._own_uid = os.geteuid() if own_uid is None else own_uid
        self._grace_us = grace_us
        self._contexts = Contexts(self._folder, config.trust, self._own_uid)
        self._dills = DillFiles(self._folder, self._contexts.trusted)
        self._modules = Modules(self._folder.root, config.pythonpath, self._contexts.trusted)
        self._files = JobFiles(self._folder, last_good or {})
        self._cache = ParseCache(cache_file, stamp_of(config))
        self._notices = Notices(self._folder)
        self._emptied = EmptiedFolder(self._folder)
        self._unsettled: set[str] = set()  # to be read again at the next full scan, whatever stat says
        self._held: set[str] = set()  # wrong, but too young to be refused
        self._listing: Listing | None = None
        self._began_us = 0
        self._jobset = JobSet(jobs=MappingProxyType({}), broken=MappingProxyType({}), loaded_us=0)
        with without_collections():
            self._cache.load(self._contexts.trusted)

    @property
    def jobset(self) -> JobSet:
        """The job set of the last scan."""
        return self._jobset

    @property
    def links(self) -> frozenset[str]:
        """The files and folders that symlinks in ``jobs.d`` lead to: to be watched too."""
        return frozenset() if self._listing is None else self._listing.links

    def problems(self) -> list[Problem]:
        """Return all that is known to be wrong but breaks no job, sorted by file."""
        found = set(self._notices.current)
        for file in self._files:
            for state in file.jobs:
                found.update(state.warnings)
        return sorted(found, key=lambda problem: (problem.file, problem.line, problem.column, problem.code))

    def reconfigure(self, config: Config) -> None:
        """Take another ``etc/akjob.toml``: the next scan must be a full one, and judges every job again."""
        self._config = config
        self._cache.reconfigure(stamp_of(config))
        self._contexts.reconfigure(config.trust)
        self._modules.reconfigure(config.pythonpath)
        self._listing = None
        for file in self._files:
            file.signature, file.digest = None, b""

    def load(self, now_us: int, hints: AbstractSet[str] | None = None) -> JobSetChange:
        """Scan the folder and return what changed since the scan before.

        ``hints`` are paths below ``jobs.d`` that may have changed; where they are plain files in known folders, only
        they are looked at. None, or anything that is not so plain, means a full scan. ``now_us`` is the wall clock's
        instant.
        """
        this = Pass(now_us=now_us)
        self._began_us = self._began_us or now_us
        counted = self._files_read()
        targets = None if hints is None else self._targets(hints)
        if targets is None:
            self._scan_all(this)
        else:
            self._scan_some(targets, this)
        this.files_read += self._files_read() - counted
        return self._change(this)

    def _files_read(self) -> int:
        return self._contexts.files_read + self._dills.files_read

    @property
    def _parts(self) -> tuple[Parts, Parts]:
        return self._dills, self._modules

    # a full scan

    def _scan_all(self, this: Pass) -> None:
        before, listing = self._listing, scan.scan(self._folder.folder, self._folder.shown, self._listing, this.now_us)
        if self._keeps_all(listing, this):
            return
        changed = self._contexts.scan(listing, this.now_us)
        of_parts = set().union(*(parts.scan(self._contexts.trusted, this.now_us) for parts in self._parts))
        same_files = before is not None and before.files == listing.files
        if before is not None and same_files:
            listing = replace(listing, files=before.files)  # whose signatures the files share
        self._listing = listing
        if changed or not same_files:
            with without_collections():
                self._visit_changed(listing, this)
            self._cache.end_start(this.files_read)
        for path in sorted((self._unsettled | of_parts) - this.visited):
            if path in listing.files:
                self._visit(path, listing.files[path], this)
        if before is None or before.files.keys() != listing.files.keys() or before.unreadable != listing.unreadable:
            self._drop_vanished(listing, this)
            self._notices.set_paths(listing.files)
        self._report(listing, this)

    def _keeps_all(self, listing: Listing, this: Pass) -> bool:
        """Return True if the folder is suddenly empty, and all jobs stay until a second scan."""
        stored = self._files.stored
        known = len(self._files) + (len(stored) if self._listing is None else 0)
        due_us = self._emptied.check(listing, known, this.now_us)
        problem = self._emptied.problem
        if due_us is None:
            this.problems += [] if problem is None else [problem]
            return False
        for path in stored.files():
            self._files.keep_stored(self._files.file(path), this)
        this.again_us.append(due_us)
        this.problems += self._notices.update([*listing.problems, *([] if problem is None else [problem])])
        return True

    def _visit_changed(self, listing: Listing, this: Pass) -> None:
        """Visit what may have changed; at a start with much to parse have a second process parse some of it."""
        known = self._cache.records
        unknown = 0 if self._files or not self._cache.is_used else len(listing.files) - len(known)
        if not parallel_parse.is_worth_it(unknown):
            self._visit_files(listing.files.items(), this)
            return
        second = parallel_parse.SecondProcess(self._folder.root, self._own_uid, this.now_us)
        theirs = {path for path in listing.files if path not in known and parallel_parse.is_theirs(path)}
        self._visit_files((one for one in listing.files.items() if one[0] not in theirs), this)
        self._cache.add(second.answer())
        self._visit_files(((path, listing.files[path]) for path in theirs), this)

    def _visit_files(self, files: Iterable[tuple[str, Signature]], this: Pass) -> None:
        known, context_of, records = self._files.get, self._contexts.of, self._cache.records
        for path, signature in files:
            file = known(path)
            context = context_of(path)
            if file is None and path in records and self._recall(records[path], signature, context, this):
                continue
            if file is None or file.signature != signature or file.context is not context:
                self._visit(path, signature, this)

    def _recall(self, record: Record, signature: Signature, context: Context, this: Pass) -> bool:
        """Take a job from the cache if its file need not even be read; return whether that was so."""
        spec, path = record.spec, record.path
        if not record.settled or record.signature != signature or record.stamp != context.stamp or context.errors:
            return False
        if type(spec.code) is DillFile or not self._is_trusted(access_of(signature), this):
            return False
        self._modules.follow(path, (spec,), this.now_us)
        if any(self._modules.refusals(spec)):
            return False
        file = self._files.file(path)
        this.visited.add(path)
        file.signature, file.digest, file.context = signature, record.digest, context
        file.parts = self._parts_stamp(path)
        self._files.apply(file, (FileVerdict(spec.name, spec, ()),), (None,), this)
        return True

    def _is_trusted(self, access: Access, this: Pass) -> bool:
        trusted = this.trusted.get(access)
        if trusted is None:
            trusted = this.trusted[access] = trust.distrust(access, self._contexts.trusted) is None
        return trusted

    def keep(self) -> None:
        """Keep what was parsed for the next start, if it was much. Takes its time, so it comes after all else."""
        settled_ns = (self._began_us - scan.RACY_US) * 1000
        self._cache.keep(record for file in self._files if (record := _record(file, settled_ns)) is not None)

    def _drop_vanished(self, listing: Listing, this: Pass) -> None:
        """Drop what is gone, and keep what cannot be seen."""
        for path in self._files.stored.files():
            if _hidden_by(path, listing.unreadable) is None:
                self._files.drop_stored(path, this)
            else:
                self._files.file(path)
        for path in [file.path for file in self._files if file.path not in listing.files]:
            reason = _hidden_by(path, listing.unreadable)
            if reason is not None:
                self._refuse_unseen(path, reason, this)
            elif scan.original_of(path) in listing.files:
                self._drop(path, this)  # a copy, since its original is there
            elif folder_of(path) in listing.folders and os.path.isfile(self._folder.path(path)):
                # git removes a file and writes it again: a folder that is read meanwhile may show neither of the two.
                self._listing = replace(listing, names={})
                this.again_us.append(this.now_us + GRACE_US)
            else:
                self._drop(path, this)
        for path, why in listing.unreadable.items():
            if scan.is_job_path(path) and self._files.get(path) is None:
                self._refuse_unseen(path, (path, why), this)

    def _refuse_unseen(self, path: str, reason: tuple[str, str], this: Pass) -> None:
        place, why = reason
        file = self._files.file(path)
        file.signature = None
        hint = "repair the permissions, the link or the file system"
        message = f"it cannot be read: {why}"
        problem = Problem(file=self._folder.show(place), code="unreadable", message=message, hint=hint)
        self._files.refuse(file, problem, f"{place}: {why}".encode("utf-8", "surrogateescape"), this)

    # a scan of single files

    def _targets(self, hints: AbstractSet[str]) -> set[str] | None:
        """Return the job files to look at, or None when only a full scan can tell."""
        if self._listing is None or self._emptied.waits:
            return None
        found = set(self._held)
        for hint in hints:
            users = self._dills.users(hint)
            targets = files_meant(hint, self._listing, self._folder) if users is None else users
            if targets is None:
                return None
            found.update(targets)
        return found if len(found) <= MANY else None

    def _scan_some(self, targets: AbstractSet[str], this: Pass) -> None:
        listing = self._listing
        if listing is None:
            return
        files = dict(listing.files)
        for path in targets:
            files.pop(path, None)
            try:
                found = os.stat(self._folder.path(path))
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                files[path] = scan.signature(found)
        if not files and len(listing.files) > 1:
            self._scan_all(this)  # the folder has been emptied, which is not for single events to say
            return
        moved = [path for path in targets if (path in files) != (path in listing.files)]
        if any(os.path.lexists(self._folder.path(copy)) for path in moved for copy in scan.copies_of(path)):
            self._scan_all(this)  # a copy beside it has become a job, or is no longer one
            return
        self._listing = replace(listing, files=files)
        for path in sorted(targets):
            if (path in files) != (path in listing.files):
                self._notices.change_path(path, there=path in files)
            if path in files:
                self._dills.refresh(path, this.now_us)
                self._visit(path, files[path], this)
            else:
                self._drop(path, this)
        self._report(self._listing, this)

    # one job file

    def _visit(self, path: str, signature: Signature, this: Pass) -> None:
        """Read a job file if it may have changed, and judge it again if anything that decides about it did."""
        this.visited.add(path)
        self._held.discard(path)
        file = self._files.file(path)
        same = self._is_judged_by(file, signature)
        if same and signature == file.signature and not file.racy:
            return
        try:
            data, read_as = scan.read(self._folder.path(path))
        except FileNotFoundError:
            self._drop(path, this)
            return
        except scan.UnreadableFileError as error:
            file.signature, file.racy = None, True
            self._unsettled.add(path)
            self._files.refuse(file, read_problem(self._folder.show(path), error), repr(error).encode(), this)
            return
        this.files_read += 1
        signature = signature if signature == read_as else read_as
        digest = hashlib.sha256(data).digest()
        file.racy = scan.is_racy(signature, this.now_us)
        (self._unsettled.add if file.racy else self._unsettled.discard)(path)
        unchanged = same and digest == file.digest
        file.signature, file.digest, file.context = signature, digest, self._contexts.of(path)
        if not unchanged:
            self._judge_confined(file, data, signature, this)

    def _is_judged_by(self, file: JobFile, signature: Signature) -> bool:
        """Return True if all that decides about a file, its content aside, is as it was when it was judged."""
        return (
            file.signature is not None
            and file.signature[_ACCESS] == signature[_ACCESS]
            and file.context is self._contexts.of(file.path)
            and file.parts == self._parts_stamp(file.path)
        )

    def _parts_stamp(self, path: str) -> tuple[object, ...]:
        dills, modules = self._dills.stamp(path), self._modules.stamp(path)
        return () if dills is None and modules is None else (dills, modules)

    def _judge_confined(self, file: JobFile, data: bytes, signature: Signature, this: Pass) -> None:
        """Judge a file. Whatever raises behind the parser, it costs this file alone, once."""
        try:
            self._judge(file, data, signature, this)
        except Exception as error:  # noqa: BLE001 - as in the parser
            self._files.refuse(file, own_fault(self._folder.show(file.path), error), file.digest, this)

    def _judge(self, file: JobFile, data: bytes, signature: Signature, this: Pass) -> None:
        context = self._contexts.of(file.path)
        before = tuple(judge.refusals(self._folder, file.path, signature, context, self._contexts.trusted))
        if any(problem.severity == "error" for problem in before):
            verdicts = judge.refused([state.name for state in file.jobs], before)
        else:
            parsed = judge.for_known(
                self._parsed(file, data, context, this), file.path, [state.name for state in file.jobs]
            )
            verdicts = tuple(_with(before, verdict) for verdict in parsed)
        verdicts = self._with_parts(file, verdicts, this)
        if any(verdict.is_refused for verdict in verdicts) and self._may_be_half_written(file, signature, this):
            return
        codes = [None if verdict.spec is None else self._dills.digest(verdict.spec) for verdict in verdicts]
        self._files.apply(file, verdicts, codes, this)

    def _parsed(self, file: JobFile, data: bytes, context: Context, this: Pass) -> tuple[FileVerdict, ...]:
        known = self._cache.records.get(file.path)
        if known is not None and known.digest == file.digest and known.stamp == context.stamp:
            return (FileVerdict(known.spec.name, known.spec, ()),)
        return judge.parsed(file.path, self._folder.show(file.path), data, context.chain, self._config, this.now_us)

    def _with_parts(self, file: JobFile, verdicts: tuple[FileVerdict, ...], this: Pass) -> tuple[FileVerdict, ...]:
        """Follow what the jobs are made of, and add who could write to that.

        A job that is refused keeps what its last good version is made of.
        """
        last_good = {state.name: state.spec for state in file.jobs}
        specs = [verdict.spec or last_good.get(verdict.name) for verdict in verdicts]
        used = [spec for spec in specs if spec is not None]
        for parts in self._parts:
            parts.follow(file.path, used, this.now_us)
        file.parts = self._parts_stamp(file.path)
        return tuple(
            verdict if verdict.spec is None else _with((), verdict, self._refusals(verdict.spec))
            for verdict in verdicts
        )

    def _refusals(self, spec: JobSpec) -> tuple[Problem, ...]:
        return (*self._dills.refusals(spec), *self._modules.refusals(spec))

    def _may_be_half_written(self, file: JobFile, signature: Signature, this: Pass) -> bool:
        """Return True if a wrong file was written only just now: then it gets the time to be finished.

        Not at a start: the next question is what is broken.
        """
        if not self._grace_us or not self._jobset.loaded_us:
            return False
        due_us = signature[1] // 1000 + self._grace_us
        if not this.now_us < due_us <= this.now_us + self._grace_us:
            return False
        this.again_us.append(due_us)
        file.signature, file.digest = None, b""
        self._unsettled.add(file.path)
        self._held.add(file.path)
        self._files.keep_stored(file, this)
        return True

    def _drop(self, path: str, this: Pass) -> None:
        for parts in self._parts:
            parts.forget(path)
        self._unsettled.discard(path)
        self._held.discard(path)
        self._files.drop(path, this)

    # what is reported

    def _report(self, listing: Listing, this: Pass) -> None:
        """Collect what is wrong with the folder as a whole, and report what is new in it."""
        found = [*folder_problems(listing, self._folder), *self._contexts.warnings()]
        this.problems += self._notices.update(found)

    def _change(self, this: Pass) -> JobSetChange:
        if this.before or not self._jobset.loaded_us:
            before = {name: seen for name, (_, seen) in this.before.items()}
            change = change_of(self._jobset, before, self._files.after(this), this.now_us)
        else:
            change = JobSetChange(jobset=self._jobset)
        self._jobset = change.jobset
        again_us = min(this.again_us, default=None)
        problems = tuple(dict.fromkeys(this.problems))
        return replace(change, problems=problems, scan_again_us=again_us, files_read=this.files_read)


def _with(before: tuple[Problem, ...], verdict: FileVerdict, after: tuple[Problem, ...] = ()) -> FileVerdict:
    """Add problems to a verdict."""
    return replace(verdict, problems=(*before, *verdict.problems, *after)) if before or after else verdict


def _record(file: JobFile, settled_ns: int) -> Record | None:
    """Return what the cache keeps of a file: of one good job without warnings."""
    state = file.jobs[0] if len(file.jobs) == 1 else None
    if state is None or state.spec is None or state.broken is not None or state.warnings:
        return None
    if file.signature is None or file.context is None or not file.path.isascii():
        return None
    settled = max(file.signature[1], file.signature[7]) < settled_ns
    return Record(file.path, file.signature, settled, file.digest, file.context.stamp, state.spec)


def _hidden_by(path: str, places: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the first of ``places``, with its reason, that is the path or a folder above it."""
    for place, why in places.items():
        if not place or path == place or path.startswith(place + "/"):
            return place, why
    return None
