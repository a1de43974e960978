"""All problems of a folder of job files, or of single files: what akjobd finds, and what looking at the code tells."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from akjob.code.names import NameMissingError, UndecidedError, find_module
from akjob.code.static import Finding, check, remembering, search_path
from akjob.config import DEFAULTS, Paths, load_config
from akjob.errors import Problem, UsageError
from akjob.jobset import scan, trust
from akjob.jobset.defaults import DefaultsChain, read_defaults
from akjob.jobset.garbage import without_collections
from akjob.jobset.names import defaults_in, folder_of, job_name
from akjob.jobset.twins import Twins, case_problem
from akjob.program import own_uid
from akjob.schedule.events import EVENTS
from akjob.spec import ParseResult, Rest, config_problems, parse_jobs, parse_rest
from akjob.spec.instances import INSTANCES, SEPARATOR
from akjob.spec.model import Command, DillFile, DottedCallable, JobSpec
from akjob.toml.faults import dotted
from akjob.toml.read import read_table
from akjob.toml.scan import Path as KeyPath
from akjob.toml.scan import Positions, ScanError, locate
from akjob.validate import shared, upstream
from akjob.validate.commands import Commands
from akjob.validate.split import Checked, in_children, parts_of
from akjob.validate.surroundings import Surroundings

Progress = Callable[[int, int], None]
_PROGRESS_STEP = 64
_NAMING = tuple(name.encode() for name, event in EVENTS.items() if event.names_jobs)
_LINKS = (*_NAMING, b"instances")  # a file without these words is one job that waits for no other


def validate(
    paths: Paths | None,
    targets: Sequence[str | os.PathLike[str]] = (),
    *,
    now_us: int,
    progress: Progress | None = None,
) -> list[Problem]:
    """Return all problems, sorted by file, line and column, each once.

    Without ``targets`` these are those of the whole root: ``jobs.d`` and ``etc/akjob.toml``, named as below the root.
    Targets are files and folders, named as they were given; they need no root (``paths`` None), but are seen as part of
    one when they lie in one. ``progress`` is called with the number of files done and in all. Raises AkjobError (exit
    code 2) when a target does not exist, or when there is nothing to look at.
    """
    found: set[Problem] = set()
    if not targets:
        if paths is None:
            message, hint = "no root and no file to validate", "name a FILE, or go into a root"
            raise UsageError(message, hint=hint)
        with without_collections(), remembering():
            found.update(_whole(paths, now_us, progress))
    for target in targets:
        with without_collections(), remembering():
            found.update(_target(os.fspath(target), paths, now_us, progress))
    once = shared.once(found)
    return sorted(once, key=lambda problem: (problem.file, problem.line, problem.column, problem.code, problem.key))


def parse_file(path: str | os.PathLike[str], *, now_us: int | None = None) -> tuple[ParseResult, ...]:
    """Read one job file with the defaults and the configuration of the root that it lies in, if it lies in one.

    It gives one job, or one for each of its instances, named as if the file lay in ``jobs.d`` itself. Problems name the
    file as it was given. Raises AkjobError (exit code 2) when it does not exist.
    """
    place = _place_of(os.fspath(path), None)
    folder = _Folder(place.root, place.folder, now_us=now_us)
    folder.names.give(folder.file(place.path), os.fspath(path))
    above = len(place.path) - len(os.path.basename(place.path))
    return tuple(
        ParseResult(one.spec, tuple(sorted(folder.shown(one.problems), key=_in_file)), one.name[above:])
        for one in folder.parse(place.path)
    )


def _in_file(problem: Problem) -> tuple[int, int]:
    return problem.line, problem.column


# what to check


class _Target:
    """A target: the root that it belongs to, the folder of job files in it, and its path below that folder."""

    def __init__(self, root: str, folder: str, path: str) -> None:
        self.root = root
        self.folder = folder
        self.path = path


def _place_of(given: str, paths: Paths | None) -> _Target:
    place = os.path.abspath(given)
    if not os.path.lexists(place):
        message = f"{given} does not exist"
        raise UsageError(message, hint="name a job file or a folder of them")
    folder = place if os.path.isdir(place) else os.path.dirname(place)
    while True:
        jobs_d = os.path.join(folder, "jobs.d")
        if place == jobs_d or place.startswith(jobs_d + os.sep):
            return _Target(folder, jobs_d, os.path.relpath(place, jobs_d))
        if folder == os.path.dirname(folder):
            break
        folder = os.path.dirname(folder)
    root = str(paths.root) if paths is not None else os.path.dirname(place)
    if os.path.isdir(place):
        return _Target(root if paths is not None else place, place, os.curdir)
    return _Target(root, os.path.dirname(place), os.path.basename(place))


def _whole(paths: Paths, now_us: int, progress: Progress | None) -> Iterator[Problem]:
    folder = _Folder(str(paths.root), str(paths.jobs_d), now_us=now_us)
    if not paths.jobs_d.is_dir():
        hint = f"mkdir {paths.jobs_d}"
        yield Problem(file="jobs.d", severity="warning", code="no-jobs-folder", message="no such folder", hint=hint)
    yield from folder.all(progress, found=list(folder.configuration()))


def _target(given: str, paths: Paths | None, now_us: int, progress: Progress | None) -> Iterator[Problem]:
    if os.path.isdir(os.path.join(given, "jobs.d")):
        whole = Paths(Path(os.path.abspath(given)))
        for problem in _whole(whole, now_us, progress):
            yield replace(problem, file=os.path.normpath(os.path.join(given, problem.file)))
        return
    if os.path.abspath(given).endswith("/etc/akjob.toml"):
        root = os.path.dirname(os.path.dirname(os.path.abspath(given)))
        for problem in _Folder(root, os.path.join(root, "jobs.d"), now_us=now_us).configuration():
            yield replace(problem, file=given)
        return
    place = _place_of(given, paths)
    folder = _Folder(place.root, place.folder, now_us=now_us)
    if os.path.isdir(os.path.join(place.folder, place.path)):
        below = "" if place.path == os.curdir else place.path + "/"
        folder.names.give(folder.file(below), given.rstrip("/") + "/")
        yield from folder.all(progress, below=place.path)
        return
    folder.names.give(folder.file(place.path), given)
    if os.path.basename(place.path) == DEFAULTS:
        yield from folder.shown(folder.defaults_file(os.path.dirname(place.path)))
    else:
        if scan.has_original(os.path.join(place.folder, place.path)):
            yield from folder.shown([scan.leftover(place.path, folder.file(place.path))])
            return
        linked: list[str] = []
        yield from folder.shown(folder.job(place.path, linked))
        yield from folder.shown(folder.upstream([place.path], linked))


class _Names:
    """What files are called: inside, by their path below the root; shown, as the one who asks knows them."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._given: list[tuple[str, str]] = []
        self._others = ""

    def give(self, inside: str, given: str) -> None:
        """Show the file ``inside``, or all below a folder when it ends in a slash, as ``given``."""
        self._given.append((inside, given))
        relative = os.path.relpath(self._root)
        self._others = self._root + "/" if os.path.isabs(given) else "" if relative == os.curdir else relative + "/"

    def shown(self, inside: str) -> str:
        """Return the name to show."""
        for known, given in self._given:
            if inside == known:
                return given
            if known.endswith("/") and inside.startswith(known):
                return given + inside.removeprefix(known)
        if not self._others or os.path.isabs(inside):
            return inside
        return os.path.normpath(self._others + inside)


class _Folder:
    """A folder of job files in its root, and everything that was found out about them so far."""

    def __init__(self, root: str, folder: str, *, now_us: int | None) -> None:
        self._root = root
        self._folder = folder
        inside = folder == root or folder.startswith(root + os.sep)
        self._prefix = os.path.relpath(folder, root) + "/" if inside and folder != root else ""
        if not inside:
            self._prefix = folder + "/"
        self._now_us = now_us
        self._config, self._config_problems = load_config(Paths(Path(root)).config_file)
        self._surroundings = Surroundings(root, self._config)
        self._commands = Commands(root)
        self._chains = DefaultsChain(lambda below: read_defaults(Path(folder) / below, self.file(defaults_in(below))))
        self.names = _Names(root)
        self._trusted = trust.who(self._config.trust, own_uid=own_uid(Paths(Path(root))))
        self._access: dict[str, tuple[Problem | None, trust.Access | None]] = {}
        self._safe: dict[str, bool] = {}
        self._modules: dict[str, tuple[str, ...]] = {}
        self._reported: set[str] = set()
        self._root_path = Path(root)

    def shown(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Yield the problems with their files as people name them."""
        for problem in problems:
            name = self.names.shown(problem.file)
            yield problem if name == problem.file else replace(problem, file=name)

    # what is looked at

    def all(
        self, progress: Progress | None, below: str = os.curdir, found: Sequence[Problem] = ()
    ) -> Iterator[Problem]:
        """Yield all problems of all job files, or of those below a folder, after those ``found`` before.

        What is wrong in a file that jobs share is yielded once, with the number of jobs that have it from there.
        """
        listing = scan.scan(self._folder, self._prefix.rstrip("/") or ".")
        prefix = "" if below == os.curdir else below + "/"
        wanted = sorted(path for path in listing.files if path.startswith(prefix))
        before = [*self.shown(found), *self.shown(self._of_folder(listing, wanted))]
        first, *others = parts_of(wanted, len(os.sched_getaffinity(0)))
        checked = list(in_children(others, self._check, lambda: self._check(first, len(wanted), progress)))
        linked = [path for one in checked for path in one.linked]
        upstream = self.shown(self.upstream(wanted, linked, listing))
        of_jobs = chain.from_iterable(one.problems for one in checked)
        yield from shared.counted(chain(before, upstream), of_jobs)
        if progress is not None:
            progress(len(wanted), len(wanted))

    def _check(self, paths: Sequence[str], total: int = 0, progress: Progress | None = None) -> Checked:
        """Check some files, each read once; of the ``total`` the other processes check the rest as fast."""
        found = Checked([], [])
        for done, path in enumerate(paths):
            if progress is not None and done % _PROGRESS_STEP == 0:
                progress(done * total // len(paths), total)
            found.problems += self.shown(self.job(path, found.linked))
        return found

    def _of_folder(self, listing: scan.Listing, wanted: list[str]) -> Iterator[Problem]:
        yield from listing.problems
        for path, why in listing.unreadable.items():
            message = f"its state cannot be read: {why}"
            hint = "fix the permissions, the link or the file system"
            yield Problem(file=self.file(path).rstrip("/"), code="unreadable", message=message, hint=hint)
        for path, other in Twins(wanted).pairs():
            yield case_problem(self.file(path), self.file(other))
        for below in sorted(listing.defaults):
            yield from self.defaults_file(below)

    def configuration(self) -> Iterator[Problem]:
        """Yield the problems of ``etc/akjob.toml``."""
        yield from self._config_problems
        yield from config_problems(self._config)
        yield from self._trust(self._root, str(Paths(Path(self._root)).config_file))
        findings = [
            Finding(
                ("trust", "owners", index),
                "warning",
                "unknown-owner",
                f"this machine has no user {owner}",
                "make the user where akjobd runs, or take the name away",
            )
            for index, owner in enumerate(self._config.trust.owners)
            if owner in trust.unknown_owners(self._config.trust)
        ]
        findings += self._surroundings.of_channels(self._config)
        for index, entry in enumerate(self._config.pythonpath):
            if not os.path.isdir(os.path.join(self._root, entry)):
                message, hint = f"the folder {entry} does not exist", "make it, or remove it"
                findings.append(Finding(("pythonpath", index), "warning", "path-missing", message, hint))
        if findings:
            positions = _positions(self._config.text)
            yield from (_problem(self._config.file, finding, positions) for finding in findings)

    def defaults_file(self, below: str) -> Iterator[Problem]:
        """Yield the problems of the ``_defaults.toml`` of a folder."""
        own = [one for one in self._chains.of_folder(below) if one.file == self.file(defaults_in(below))]
        for defaults in own:
            yield from defaults.problems
            yield from self._trust(self._root, os.path.join(self._folder, below, DEFAULTS))

    def upstream(
        self, wanted: Sequence[str], linked: Sequence[str], listing: scan.Listing | None = None
    ) -> Iterator[Problem]:
        """Yield what is wrong with the jobs that the triggers of some files name.

        Nothing where the whole folder is not known.

        ``linked`` are those of them that may name other jobs, or be several: the others are not read again.
        """
        if os.path.basename(self._folder) != "jobs.d" or not any(self._mentions(path, *_NAMING) for path in linked):
            return
        names, file_of = set(), {}
        named: dict[str, dict[str, str]] = {}
        asked, known = set(wanted), set(linked)
        for path in (listing or scan.scan(self._folder)).files:
            if path not in known and (path in asked or not self._mentions(path, *_LINKS)):
                names.add(job_name(path))
                continue
            for result in self.parse(path, resolve=False):
                names.add(result.name)
                file_of[result.name] = path
                for event in () if result.spec is None else result.spec.schedule.events:
                    named.setdefault(result.name, {}).update(dict.fromkeys(event.upstreams, event.key))
        for name, finding in upstream.findings(named, names):
            if file_of[name] in asked:
                yield from self._place_findings(file_of[name], name, [finding])

    def _mentions(self, path: str, *words: bytes) -> bool:
        read = self._read(path)
        return not isinstance(read, Problem) and any(word in read[0] for word in words)

    def job(self, path: str, linked: list[str]) -> Iterator[Problem]:
        """Yield the problems of one job file; those that its defaults bring too.

        It joins ``linked`` if it may name other jobs, or be several.
        """
        read = self._read(path)
        if isinstance(read, Problem):
            yield read
            return
        data, signature = read
        if any(word in data for word in _LINKS):
            linked.append(path)
        yield from self._trust_file(path, signature)
        for result in self.parse(path, data, resolve=False):
            yield from result.problems
            job = self._rest(path, data, result.name) if result.spec is None else Rest(result.spec, frozenset())
            if job is not None:
                yield from self._around(path, job)

    def _around(self, path: str, job: Rest) -> Iterator[Problem]:
        """Yield what is wrong with what a job names: its code, its files, its users."""
        spec = job.spec
        findings = [*self._surroundings.findings(spec), *self._commands.findings(spec)]
        if not isinstance(spec.code, Command) or spec.run.setup:
            findings += check(job, root=self._root_path, config=self._config)
            yield from self._code_trust(spec, path)
        findings = [finding for finding in findings if job.knows(*finding.key)]
        if findings:
            yield from self._place_findings(path, spec.name, findings)

    def _rest(self, path: str, data: bytes, name: str) -> Rest | None:
        """Read what is right of a refused job: what that names can be looked at all the same."""
        chain = self._chains.of_file(path)
        return parse_rest(name, self.file(path), data, defaults=chain, config=self._config)

    def parse(self, path: str, data: bytes | None = None, *, resolve: bool = True) -> tuple[ParseResult, ...]:
        """Parse one job file over its defaults, and read it before unless its ``data`` are given."""
        name = job_name(path)
        if data is None:
            read = self._read(path)
            if isinstance(read, Problem):
                return (ParseResult(None, (read,), name),)
            data = read[0]
        chain = self._chains.of_file(path)
        return parse_jobs(
            name, self.file(path), data, defaults=chain, config=self._config, now_us=self._now_us, resolve=resolve
        )

    def _read(self, path: str) -> tuple[bytes, scan.Signature] | Problem:
        place = f"{self._folder}/{path}"
        try:
            return scan.read(place)
        except FileNotFoundError:
            message = "the symlink leads to nothing" if os.path.islink(place) else "the file has just been removed"
            return Problem(file=self.file(path), code="unreadable", message=message)
        except scan.UnreadableFileError as error:
            return error.problem(self.file(path))

    def file(self, path: str) -> str:
        """Return what the file ``path`` below the folder is called inside: its path below the root."""
        return self._prefix + scan.printable(path)

    # positions of what was found out elsewhere

    def _place_findings(self, path: str, job: str, findings: Sequence[Finding]) -> Iterator[Problem]:
        """Give each finding the position of its key: in the job file, else in the defaults that it came from."""
        instance = (INSTANCES, job.rpartition(SEPARATOR)[2])
        texts = [(self.file(path), f"{self._folder}/{path}")]
        chain = reversed(self._chains.of_file(path))
        texts += [(defaults.file, os.path.join(self._root, defaults.file)) for defaults in chain]
        texts.append((self._config.file, str(Paths(Path(self._root)).config_file)))
        tables = [(file, *_table(file, place)) for file, place in texts]
        for finding in findings:
            own = tables[0]
            if SEPARATOR in job and _has(own[1], (*instance, *finding.key)):
                yield _problem(own[0], replace(finding, key=(*instance, *finding.key)), _positions(own[2]))
                continue
            file, _, text = next((one for one in tables if _has(one[1], finding.key)), own)
            yield _problem(file, finding, _positions(text))

    # trust

    def _trust_file(self, path: str, signature: scan.Signature) -> Iterator[Problem]:
        """Yield who may write to a job file and the folders above it; costs next to nothing where all is well."""
        folder = folder_of(path)
        if folder not in self._safe:
            found = list(self._trust(self._root, os.path.join(self._folder, folder) if folder else self._folder))
            yield from found
            self._safe[folder] = not found
        access = trust.Access(signature[4], signature[5], signature[6])
        if not self._safe[folder] or trust.distrust(access, self._trusted) is not None:
            yield from self._trust(self._root, f"{self._folder}/{path}")

    def _trust(self, root: str, place: str) -> Iterator[Problem]:
        """Yield who may write to a file and the folders above it, once for what is the same all the way down."""
        if not place.startswith(root + os.sep):
            yield from self._untrusted(place, None)
            return
        above = None
        for step in trust.chain(root, place):
            yield from self._untrusted(step, above)
            above = step

    def _untrusted(self, place: str, above: str | None) -> Iterator[Problem]:
        if place not in self._access:
            self._access[place] = self._look(place)
        problem, access = self._access[place]
        if problem is None:
            return
        inherited, access_above = self._access.get(above, (None, None)) if above is not None else (None, None)
        if inherited is not None and access is not None and access_above is not None:
            same = inherited.code == problem.code and access[1:] == access_above[1:]
            if same:
                return
        refused = "; akjobd refuses it where it is so" if problem.severity == "error" else ""
        yield replace(problem, severity="warning", message=problem.message + refused)

    def _look(self, place: str) -> tuple[Problem | None, trust.Access | None]:
        try:
            found = os.stat(place)
        except OSError:
            return None, None
        access = trust.Access(found.st_mode, found.st_uid, found.st_gid)
        shown = os.path.relpath(place, self._root) if place.startswith(self._root) else place
        return trust.problem_of(place, access, self._trusted, shown=shown), access

    def _code_trust(self, spec: JobSpec, path: str) -> Iterator[Problem]:
        """Yield who may write to the dill file, or to the modules that a run will import first."""
        if isinstance(spec.code, DillFile):
            yield from self._trust(self._root, os.path.join(self._folder, os.path.dirname(path), spec.code.file))
        targets = [*spec.run.setup, *([spec.code.target] if isinstance(spec.code, DottedCallable) else [])]
        for target in targets:
            for place in self._module_places(target, spec):
                if place not in self._reported:  # once for all the jobs that import it
                    self._reported.add(place)
                    yield from self._trust(self._root, place)

    def _module_places(self, target: str, spec: JobSpec) -> tuple[str, ...]:
        """Return the source file of a target's module, or its folder; nothing when it cannot be found."""
        module = target.partition(":")[0] if ":" in target else target.rpartition(".")[0]
        key = f"{spec.run.cwd or ''}:{module}"
        if key not in self._modules:
            cwd = os.path.join(self._root, spec.run.cwd or "")
            try:
                found = find_module(module, search_path(self._root, cwd, self._config.pythonpath))
                self._modules[key] = (found.file,) if found.file is not None else found.folders or ()
            except (NameMissingError, UndecidedError):
                self._modules[key] = ()
        return self._modules[key]


def _table(file: str, place: str) -> tuple[dict[str, object], str]:
    """Read a file's table and its text once more: only what is wrong comes here."""
    try:
        data, _ = scan.read(place)
    except (FileNotFoundError, scan.UnreadableFileError):
        return {}, ""
    table, text, _ = read_table(file, data)
    return table, text


def _has(table: Any, key: KeyPath) -> bool:
    """Return whether there is a value for the key in the table."""
    for part in key:
        if isinstance(part, int):
            if not isinstance(table, list) or part >= len(table):
                return False
        elif not isinstance(table, dict) or part not in table:
            return False
        table = table[part]
    return True


def _positions(text: str) -> Positions:
    try:
        return locate(text)
    except ScanError:
        return Positions(text)


def _problem(file: str, finding: Finding, positions: Positions) -> Problem:
    line, column = positions.of_value(finding.key)
    return Problem(
        file=file,
        line=line,
        column=column,
        severity=finding.severity,
        code=finding.code,
        key=dotted(finding.key),
        message=finding.message,
        hint=finding.hint,
    )
