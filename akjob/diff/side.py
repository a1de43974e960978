"""One side of a comparison: the jobs of a commit, read from git's objects, or those of the work tree."""

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from akjob.config import DEFAULTS, Config, Paths, load_config
from akjob.errors import Problem
from akjob.jobset import git, judge, scan
from akjob.jobset.defaults import DefaultsChain, unreadable_defaults
from akjob.jobset.names import defaults_in, job_name
from akjob.jobset.tree import Tree, UnseenPathError
from akjob.spec import Defaults, JobSpec, config_problems, parse_defaults
from akjob.toml.read import read_table


class Side(Struct, frozen=True, kw_only=True):
    """The jobs of one side, and what of it is refused, by job. ``title`` is what the side is called.

    ``unseen`` has the files and folders, below ``jobs.d``, of which nothing is known.
    """

    title: str
    jobs: Mapping[str, JobSpec]
    refused: Mapping[str, tuple[Problem, ...]]
    problems: tuple[Problem, ...] = ()
    unseen: Mapping[str, Problem] = {}


WORK_TREE = "."
"""What stands for the work tree where a revision may be named."""


def of_revision(paths: Paths, revision: str, now_us: int | None = None) -> Side:
    """Return the jobs of a commit, or those of the work tree for ``.``; as :func:`at_revision` does."""
    return of_work_tree(paths, now_us) if revision == WORK_TREE else at_revision(paths, revision, now_us)


def at_revision(paths: Paths, revision: str, now_us: int | None = None) -> Side:
    """Return the jobs of a commit; with ``now_us`` as akjobd would take them then.

    Raises AkjobError (exit code 2) when there is no such revision.
    """
    root = str(paths.root)
    commit = git.commit_of(root, revision)
    tree = Tree(root, commit)
    found = tree.contents("jobs.d")
    unseen = dict(found.unseen)
    try:
        config, problems = _config(tree)
    except UnseenPathError as error:
        config, problems = load_config(paths.config_file)
        message = f"{error.why}: the configuration is taken as it is now"
        problem = Problem(file=git.CONFIG, severity="warning", code="not-in-commit", message=message, hint=error.hint)
        problems.append(problem)
    short = commit[:10]
    title = short if commit.startswith(revision) else f"{revision} ({short})"
    return read_side(title, found.files, config, problems, unseen, now_us)


def of_work_tree(paths: Paths, now_us: int | None = None) -> Side:
    """Return the jobs that lie in the work tree; with ``now_us`` as akjobd would take them then."""
    folder = str(paths.jobs_d)
    listing = scan.scan(folder)
    names = [*listing.files, *(f"{below}/{DEFAULTS}" if below else DEFAULTS for below in listing.defaults)]
    files: dict[str, bytes | Problem] = {}
    unseen: dict[str, Problem] = {}
    for name in names:
        try:
            files[name], _ = scan.read(f"{folder}/{name}")
        except FileNotFoundError:
            continue
        except scan.UnreadableFileError as error:
            files[name] = error.problem(f"jobs.d/{scan.printable(name)}")
    for name, why in listing.unreadable.items():
        is_file = scan.is_job_path(name) or posixpath.basename(name) == DEFAULTS
        file = f"jobs.d/{scan.printable(name)}".rstrip("/")
        hint = "fix the permissions, the link or the file system"
        problem = Problem(file=file, code="unreadable", message=f"its state cannot be read: {why}", hint=hint)
        (files if is_file else unseen)[name] = problem
    config, problems = load_config(paths.config_file)
    return read_side("the work tree", files, config, [*problems, *listing.problems], unseen, now_us)


def read_side(  # noqa: PLR0913, PLR0917 - what a side is made of
    title: str,
    files: Mapping[str, bytes | Problem],
    config: Config,
    problems: list[Problem],
    unseen: Mapping[str, Problem] | None = None,
    now_us: int | None = None,
) -> Side:
    """Parse all job files of one side, by their path below ``jobs.d``, over their defaults.

    A Problem stands for a file that is there and cannot be read. ``unseen`` is as in :class:`.Contents`.
    """
    chains = DefaultsChain(lambda folder: _defaults(files.get(defaults_in(folder)), defaults_in(folder)))
    jobs: dict[str, JobSpec] = {}
    refused: dict[str, tuple[Problem, ...]] = {}
    for path, data in sorted(files.items()):
        if not scan.is_job_path(path):
            continue
        if isinstance(data, Problem):
            refused[job_name(path)] = (data,)
            continue
        for verdict in judge.parsed(path, f"jobs.d/{scan.printable(path)}", data, chains.of_file(path), config, now_us):
            if verdict.spec is None:
                refused[verdict.name] = tuple(one for one in verdict.problems if one.severity == "error")
            else:
                jobs[verdict.name] = verdict.spec
    return Side(
        title=title,
        jobs=jobs,
        refused=refused,
        problems=(*problems, *config_problems(config)),
        unseen={scan.printable(path): problem for path, problem in (unseen or {}).items()},
    )


def _defaults(data: bytes | Problem | None, path: str) -> Defaults | None:
    if data is None:
        return None
    shown = f"jobs.d/{scan.printable(path)}"
    return unreadable_defaults(shown, data) if isinstance(data, Problem) else parse_defaults(shown, data)


def _config(tree: Tree) -> tuple[Config, list[Problem]]:
    """Read the ``etc/akjob.toml`` of a commit, with the files of its calendars."""
    text = tree.read(git.CONFIG)
    with TemporaryDirectory() as folder:
        if text is not None:
            _write(Path(folder) / "etc" / "akjob.toml", text)
            for file in _calendar_files(text):
                data = tree.read(file)
                if data is not None:
                    _write(Path(folder) / file, data)
        return load_config(Path(folder) / "etc" / "akjob.toml")


def _calendar_files(text: bytes) -> Iterator[str]:
    """Yield the files of calendars below the root, as the settings name them."""
    table, _, _ = read_table(git.CONFIG, text)
    calendars = table.get("calendars")
    for calendar in calendars.values() if isinstance(calendars, dict) else ():
        file = calendar.get("file") if isinstance(calendar, dict) else None
        if isinstance(file, str) and file and not file.startswith("/") and ".." not in file.split("/"):
            yield file


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
