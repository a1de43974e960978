"""What changed for a job since its last success: definition, commits of its files, interpreter, host."""

import os
import socket
from collections.abc import Sequence
from difflib import unified_diff

from msgspec import Struct

from akjob.code import static
from akjob.code.names import NameMissingError, UndecidedError, find
from akjob.config import Config, Paths
from akjob.errors import AkjobError
from akjob.jobset import git
from akjob.ledger import Reader, RunFilter
from akjob.query.jobs import JobView
from akjob.query.runs import Run, from_row
from akjob.spec import load_definition
from akjob.spec.model import DottedCallable, JobSpec

_FIELDS = "%H%x00%an%x00%cI%x00%s"
_MOST_COMMITS = 50


class DefinitionChange(Struct, frozen=True, kw_only=True):
    """Two definitions by their hashes, and the lines of a unified diff; none where the old one is no longer known."""

    before: str
    after: str
    diff: tuple[str, ...]


class Commit(Struct, frozen=True, kw_only=True):
    """A commit that touched a file of the job."""

    commit: str
    author: str
    at: str
    subject: str
    files: tuple[str, ...]


class ValueChange(Struct, frozen=True, kw_only=True):
    """A value then and now; None is akjob's own interpreter, or a host that is not known."""

    before: str | None
    after: str | None


class Changes(Struct, frozen=True, kw_only=True):
    """What ``akjob show --since-success --json`` prints. What did not change is None or empty.

    ``run`` and ``at`` are the last success and when it ended, None for a job that never succeeded as far as the ledger
    goes back. ``files`` are those whose commits are listed; ``uncommitted`` those that differ from the commit;
    ``notes`` say what could not be found out.
    """

    job: str
    run: str | None
    at: str | None
    definition: DefinitionChange | None = None
    commits: tuple[Commit, ...] = ()
    uncommitted: tuple[str, ...] = ()
    interpreter: ValueChange | None = None
    host: ValueChange | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def since_success(reader: Reader, paths: Paths, config: Config, job: JobView, before: Run | None = None) -> Changes:
    """Return what changed since the job's last success; with ``before`` up to that run, and before it."""
    success = _last_success(reader, job.name, before)
    if success is None:
        return Changes(job=job.name, run=None, at=None, notes=("the ledger has no success of this job",))
    spec = job.spec if before is None else _spec_of(reader, job, before) or job.spec
    if spec is None:
        return Changes(job=job.name, run=success.id, at=success.ended_at, notes=("the job has no good version",))
    old = _spec_of(reader, job, success)
    files = _files(paths, config, spec)
    commits, note = _commits(paths, success, before, files)
    host = socket.gethostname() if before is None else before.host
    return Changes(
        job=job.name,
        run=success.id,
        at=success.ended_at,
        definition=_definition(success, old, spec),
        commits=commits,
        uncommitted=_uncommitted(paths, files) if before is None else (),
        interpreter=_value(old.run.interpreter, spec.run.interpreter) if old is not None else None,
        host=_value(success.host, host),
        files=files,
        notes=(note,) if note else (),
    )


def _last_success(reader: Reader, job: str, before: Run | None) -> Run | None:
    if before is None:
        found = reader.history(job, 1, "succeeded")
        return from_row(found[0]) if found else None
    found = reader.page(RunFilter(job=job, state="succeeded", until=before.slot), 1).rows
    return from_row(found[0]) if found else None


def _spec_of(reader: Reader, job: JobView, run: Run) -> JobSpec | None:
    """Return the definition that a run was made from; None where the ledger no longer has it, or cannot be read."""
    text = None if run.definition_sha256 is None else reader.definition(run.definition_sha256)
    if text is None:
        return None
    try:
        return load_definition(job.name, job.file, text, None if job.spec is None else job.spec.sources)
    except AkjobError:
        return None


def _definition(success: Run, old: JobSpec | None, new: JobSpec) -> DefinitionChange | None:
    before = success.definition_sha256
    if before is None or before == new.sha256:
        return None
    diff = () if old is None else _diff(old.definition, new.definition)
    return DefinitionChange(before=before, after=new.sha256, diff=diff)


def _diff(old: str, new: str) -> tuple[str, ...]:
    """Return the lines of a unified diff, without its head of two lines."""
    return tuple(unified_diff(old.split("\n"), new.split("\n"), n=1, lineterm=""))[2:]


def _value(before: str | None, after: str | None) -> ValueChange | None:
    return None if before == after else ValueChange(before=before, after=after)


def _files(paths: Paths, config: Config, spec: JobSpec) -> tuple[str, ...]:
    """Return the files that make the job, below the root: its own, its defaults, its dill file, its module."""
    found = [*(spec.sources or (spec.file,)), _module(paths, config, spec)]
    return tuple(dict.fromkeys(file for file in found if file))


def _module(paths: Paths, config: Config, spec: JobSpec) -> str:
    """Return the file of the module that the job calls, if it lies below the root; nothing is imported."""
    if not isinstance(spec.code, DottedCallable):
        return ""
    root = str(paths.root)
    cwd = os.path.join(root, spec.run.cwd) if spec.run.cwd else root
    try:
        file = find(spec.code.target, static.search_path(root, cwd, config.pythonpath)).module.file
    except (NameMissingError, UndecidedError):
        return ""
    relative = os.path.relpath(os.path.join(root, file), root) if file else os.pardir
    return "" if relative.startswith(os.pardir) else relative


def _commits(paths: Paths, success: Run, before: Run | None, files: Sequence[str]) -> tuple[tuple[Commit, ...], str]:
    """Return the commits since the last success that touch the files, the newest first; and what stood in the way."""
    if success.git_commit is None:
        return (), "the last success ran without a git commit: commits cannot be listed"
    until = "HEAD" if before is None or before.git_commit is None else before.git_commit
    arguments = ["log", f"--max-count={_MOST_COMMITS}", f"--format=%x01{_FIELDS}", "--name-only", "-z", "--relative"]
    try:
        text = git.run([*arguments, f"{success.git_commit}..{until}", "--", *files], str(paths.root))
    except AkjobError as error:
        return (), f"the commits cannot be listed: {error.message}"
    return tuple(_commit(one) for one in text.decode("utf-8", "replace").split("\x01")[1:]), ""


def _commit(text: str) -> Commit:
    commit, author, at, subject, *names = text.split("\x00")
    files = tuple(name.strip("\n") for name in names if name.strip())
    return Commit(commit=commit, author=author, at=at, subject=subject, files=files)


def _uncommitted(paths: Paths, files: Sequence[str]) -> tuple[str, ...]:
    """Return those of the files that differ from what is checked out."""
    try:
        text = git.run(["status", "--porcelain=v1", "-z", "--no-renames", "--", *files], str(paths.root))
        prefix = git.run(["rev-parse", "--show-prefix"], str(paths.root)).decode("utf-8", "replace").strip()
    except AkjobError:
        return ()
    changed = [one[3:] for one in text.decode("utf-8", "replace").split("\x00") if one]
    return tuple(sorted(name.removeprefix(prefix) for name in changed))
