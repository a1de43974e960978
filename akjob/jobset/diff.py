"""What a change of ``jobs.d`` means: jobs added, removed, renamed; keys old and new; the next slots before and after.

Both sides are read from git's objects, or one of them from the work tree; nothing is checked out.
"""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from akjob.config import Config, Paths, load_config
from akjob.errors import Problem, escape_control
from akjob.instants import to_datetime
from akjob.jobset import git, scan
from akjob.jobset.scan import DEFAULTS, SUFFIX
from akjob.jobset.tree import Tree, Unseen
from akjob.schedule import Memory, compile_schedule, get_zone, next_slots
from akjob.spec import Defaults, JobSpec, config_problems, parse_defaults, parse_job
from akjob.spec.canonical import value_text
from akjob.spec.table import job_table

SLOTS = 5


class Side(Struct, frozen=True, kw_only=True):
    """The jobs of one side, and what of it is refused, by job. ``title`` is what the side is called.

    ``unseen`` has the files and folders, below ``jobs.d``, of which nothing is known.
    """

    title: str
    jobs: Mapping[str, JobSpec]
    refused: Mapping[str, tuple[Problem, ...]]
    problems: tuple[Problem, ...] = ()
    unseen: Mapping[str, Problem] = {}


class KeyChange(Struct, frozen=True):
    """One key, dotted, and its values as TOML text; None where it has its default."""

    key: str
    old: str | None
    new: str | None


class JobChange(Struct, frozen=True, kw_only=True):
    """A job that means something else. The slots are local texts; both are empty when the schedule is the same."""

    job: str
    keys: tuple[KeyChange, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


class Rename(Struct, frozen=True):
    """A job whose name changed: to the ledger it is another job, with a count and a history of its own.

    What else changed in it is a JobChange of the new name.
    """

    old: str
    new: str


class Addition(Struct, frozen=True):
    """A job that was not there, or was refused, and its next slots."""

    job: str
    after: tuple[str, ...]


class Refusal(Struct, frozen=True):
    """A job that akjobd would refuse, and why.

    ``keeps`` says that the definition before would go on, ``before`` that it was refused before, for the same reasons.
    """

    job: str
    keeps: bool
    problems: tuple[Problem, ...]
    before: bool = False


class Difference(Struct, frozen=True, kw_only=True):
    """Everything that changes from one side to the other."""

    old: str
    new: str
    added: tuple[Addition, ...]
    repaired: tuple[Addition, ...]
    removed: tuple[str, ...]
    renamed: tuple[Rename, ...]
    changed: tuple[JobChange, ...]
    refused: tuple[Refusal, ...]
    problems: tuple[Problem, ...]

    @property
    def is_empty(self) -> bool:
        """Say whether nothing changes."""
        news = any(not one.before for one in self.refused) or bool(self.problems)
        return not (news or self.added or self.repaired or self.removed or self.renamed or self.changed)

    @property
    def is_wrong(self) -> bool:
        """Say whether something of the newer side would be refused, whether it was before or not."""
        return bool(self.refused) or any(problem.severity == "error" for problem in self.problems)


# reading a side


def at_revision(paths: Paths, revision: str) -> Side:
    """Return the jobs of a commit. Raises AkjobError (exit code 2) when there is no such revision."""
    root = str(paths.root)
    commit = git.commit_of(root, revision)
    tree = Tree(root, commit)
    look = tree.look("jobs.d")
    unseen = dict(look.unseen)
    try:
        config, problems = _config(tree.read(git.CONFIG))
    except Unseen as error:
        config, problems = load_config(paths.config_file)
        message = f"{error.why}: the configuration is taken as it is now"
        problem = Problem(file=git.CONFIG, severity="warning", code="not-in-commit", message=message, hint=error.hint)
        problems.append(problem)
    short = commit[:10]
    title = short if commit.startswith(revision) else f"{revision} ({short})"
    return read_side(title, look.files, config, problems, unseen)


def of_work_tree(paths: Paths) -> Side:
    """Return the jobs that lie in the work tree."""
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
        except scan.Unreadable as error:
            file = f"jobs.d/{scan.printable(name)}"
            files[name] = Problem(file=file, code=error.code, message=error.message, hint=error.hint)
    for name, why in listing.unreadable.items():
        is_file = scan.is_job_path(name) or posixpath.basename(name) == DEFAULTS
        file = f"jobs.d/{scan.printable(name)}".rstrip("/")
        hint = "mend the permissions, the link or the file system"
        problem = Problem(file=file, code="unreadable", message=f"it cannot be looked at: {why}", hint=hint)
        (files if is_file else unseen)[name] = problem
    config, problems = load_config(paths.config_file)
    return read_side("the work tree", files, config, [*problems, *listing.problems], unseen)


def read_side(
    title: str,
    files: Mapping[str, bytes | Problem],
    config: Config,
    problems: list[Problem],
    unseen: Mapping[str, Problem] | None = None,
) -> Side:
    """Parse all job files of one side, by their path below ``jobs.d``, over their defaults.

    A Problem stands for a file that is there and cannot be read. ``unseen`` is as in :class:`~akjob.jobset.tree.Look`.
    """
    defaults = {
        posixpath.dirname(path): _defaults(f"jobs.d/{scan.printable(path)}", data)
        for path, data in files.items()
        if posixpath.basename(path) == DEFAULTS and scan.is_job_path(posixpath.join(posixpath.dirname(path), "x.toml"))
    }
    jobs: dict[str, JobSpec] = {}
    refused: dict[str, tuple[Problem, ...]] = {}
    for path, data in sorted(files.items()):
        if not scan.is_job_path(path):
            continue
        name = scan.printable(path.removesuffix(SUFFIX))
        if isinstance(data, Problem):
            refused[name] = (data,)
            continue
        chain = tuple(_chain(posixpath.dirname(path), defaults))
        result = parse_job(name, f"jobs.d/{scan.printable(path)}", data, defaults=chain, config=config)
        if result.spec is None:
            refused[name] = tuple(problem for problem in result.problems if problem.severity == "error")
        else:
            jobs[name] = result.spec
    return Side(
        title=title,
        jobs=jobs,
        refused=refused,
        problems=(*problems, *config_problems(config)),
        unseen={scan.printable(path): problem for path, problem in (unseen or {}).items()},
    )


def _defaults(shown: str, data: bytes | Problem) -> Defaults:
    return Defaults(shown, {}, (data,), frozenset({()})) if isinstance(data, Problem) else parse_defaults(shown, data)


def _chain(folder: str, defaults: Mapping[str, Defaults]) -> Iterator[Defaults]:
    """Yield the defaults that hold in a folder, the outermost first."""
    if folder:
        yield from _chain(posixpath.dirname(folder), defaults)
    if folder in defaults:
        yield defaults[folder]


def _config(text: bytes | None) -> tuple[Config, list[Problem]]:
    """Read an ``etc/akjob.toml`` that is not in the work tree."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "etc" / "akjob.toml"
        file.parent.mkdir()
        if text is not None:
            file.write_bytes(text)
        return load_config(file)


# comparing


def compare(old: Side, new: Side, now_us: int) -> Difference:
    """Return what changes from ``old`` to ``new``; slots are those after ``now_us``.

    What one side does not show is left out on both, and said.
    """
    unseen = {**old.unseen, **new.unseen}
    old, new = _shown_of(old, unseen), _shown_of(new, unseen)
    names = old.jobs.keys() | old.refused.keys()
    fresh, gone = sorted(new.jobs.keys() - names), sorted(names - new.jobs.keys() - new.refused.keys())
    renamed = _renamed([old.jobs[name] for name in gone if name in old.jobs], [new.jobs[name] for name in fresh])
    before, after = {one.old for one in renamed}, {one.new for one in renamed}
    pairs = [(name, name) for name in old.jobs.keys() & new.jobs.keys()] + [(one.old, one.new) for one in renamed]
    changed = (_job_change(old.jobs[was], new.jobs[name], now_us) for was, name in sorted(pairs, key=itemgetter(1)))
    refused = [
        Refusal(name, name in old.jobs, problems, old.refused.get(name) == problems)
        for name, problems in sorted(new.refused.items())
    ]
    errors = (one for one in new.problems if one.severity == "error" and one not in old.problems)
    taken_as_now = (one for one in (*old.problems, *new.problems) if one.code == "not-in-commit")
    return Difference(
        old=old.title,
        new=new.title,
        added=tuple(Addition(name, slot_texts(new.jobs[name], now_us)) for name in fresh if name not in after),
        repaired=tuple(
            Addition(name, slot_texts(new.jobs[name], now_us)) for name in sorted(new.jobs.keys() & old.refused.keys())
        ),
        removed=tuple(name for name in gone if name not in before),
        renamed=tuple(renamed),
        changed=tuple(change for change in changed if change is not None),
        refused=tuple(refused),
        problems=tuple(dict.fromkeys([*errors, *taken_as_now, *unseen.values()])),
    )


def _shown_of(side: Side, unseen: Mapping[str, Problem]) -> Side:
    """Return a side without the jobs whose files, or whose folders, are among what is not seen."""
    if not unseen:
        return side
    hidden = {posixpath.dirname(place) if posixpath.basename(place) == DEFAULTS else place for place in unseen}

    def is_shown(name: str) -> bool:
        path = name + SUFFIX
        while path and path not in hidden:
            path = posixpath.dirname(path)
        return path not in hidden

    return replace(
        side,
        jobs={name: spec for name, spec in side.jobs.items() if is_shown(name)},
        refused={name: problems for name, problems in side.refused.items() if is_shown(name)},
    )


def _renamed(gone: list[JobSpec], fresh: list[JobSpec]) -> list[Rename]:
    """Pair jobs of the same definition; of several the ones with the same last part of their name, then in order.

    Of those that are left, the one that runs the same code under the same last part of its name is the same job, moved
    to another folder, with its defaults, or edited.
    """
    pairs: list[Rename] = []
    keys: tuple[tuple[Callable[[JobSpec], Any], bool], ...] = (
        (lambda spec: (spec.definition, posixpath.basename(spec.name)), False),
        (lambda spec: spec.definition, False),
        (lambda spec: (spec.code, posixpath.basename(spec.name)), True),
    )
    for key, alone in keys:
        found = list(_paired(gone, fresh, key, alone=alone))
        pairs += found
        before, after = {one.old for one in found}, {one.new for one in found}
        gone = [spec for spec in gone if spec.name not in before]
        fresh = [spec for spec in fresh if spec.name not in after]
    return sorted(pairs, key=lambda one: one.old)


def _paired(
    gone: list[JobSpec], fresh: list[JobSpec], key: Callable[[JobSpec], Any], *, alone: bool
) -> Iterator[Rename]:
    """Yield the jobs of both sides that have the same key, in order; or only where there is one on each side."""
    old, new = _grouped(gone, key), _grouped(fresh, key)
    for value, specs in old.items():
        others = new.get(value, [])
        if not alone or len(specs) == len(others) == 1:
            yield from (Rename(one.name, other.name) for one, other in zip(specs, others, strict=False))


def _grouped(specs: list[JobSpec], key: Callable[[JobSpec], Any]) -> dict[Any, list[JobSpec]]:
    found: dict[Any, list[JobSpec]] = {}
    for spec in specs:
        found.setdefault(key(spec), []).append(spec)
    return found


def _job_change(old: JobSpec, new: JobSpec, now_us: int) -> JobChange | None:
    if old.definition == new.definition:
        return None
    before, after = dict(_flat(job_table(old))), dict(_flat(job_table(new)))
    keys = [
        KeyChange(key, before.get(key), after.get(key))
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]
    if not keys:
        return None
    same = old.schedule == new.schedule and old.runs == new.runs and old.enabled == new.enabled
    return JobChange(
        job=new.name,
        keys=tuple(keys),
        before=() if same else slot_texts(old, now_us),
        after=() if same else slot_texts(new, now_us),
    )


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted keys and their values as TOML text; arrays are one value."""
    for key, value in table.items():
        name = f"{above}.{key}" if above else key
        if isinstance(value, dict) and value:
            yield from _flat(value, name)
        else:
            yield name, value_text(value)


def slot_texts(spec: JobSpec, now_us: int) -> tuple[str, ...]:
    """Return the next slots of a job in its own time zone; none for one that is disabled."""
    if not spec.enabled:
        return ()
    count = SLOTS if spec.runs is None else min(SLOTS, spec.runs)
    zone = get_zone(spec.schedule.zone)
    slots = next_slots(compile_schedule(spec.schedule), now_us, count, Memory(loaded_us=now_us))
    return tuple(_local(to_datetime(slot).astimezone(zone)) for slot in slots)


def _local(moment: datetime) -> str:
    return f"{moment:%a} {moment.isoformat(sep=' ')}"


# telling


def render_text(difference: Difference) -> Iterator[str]:
    """Yield lines for people."""
    return map(escape_control, _text_lines(difference))


def _text_lines(difference: Difference) -> Iterator[str]:
    yield f"from {difference.old} to {difference.new}"
    if difference.is_empty:
        yield "no job changes"
    for addition in difference.added:
        yield f"added    {addition.job}"
        yield from (f"    next   {slot}" for slot in addition.after)
    for addition in difference.repaired:
        yield f"repaired {addition.job}"
        yield from (f"    next   {slot}" for slot in addition.after)
    for job in difference.removed:
        yield f"removed  {job}"
    for rename in difference.renamed:
        yield f"renamed  {rename.old} -> {rename.new}"
    for change in difference.changed:
        yield from _changed_text(change)
    for refusal, jobs in _by_problems(difference.refused):
        yield f"refused  {', '.join(jobs)}{_fate(refusal, jobs)}"
        for problem in refusal.problems:
            yield f"    {problem}"
            yield from ([f"      = {problem.hint}"] if problem.hint else [])
    for problem in difference.problems:
        yield str(problem)
        yield from ([f"  = {problem.hint}"] if problem.hint else [])


def _changed_text(change: JobChange) -> Iterator[str]:
    yield f"changed  {change.job}"
    for key in change.keys:
        yield f"    {key.key}: {key.old or '(default)'} -> {key.new or '(default)'}"
    if change.before or change.after:
        yield from _columns(change)


def _by_problems(refused: tuple[Refusal, ...]) -> Iterator[tuple[Refusal, list[str]]]:
    """Yield what is refused for the same reasons once, with its jobs: a mistake in defaults may cost many."""
    found: dict[tuple[bool, bool, tuple[Problem, ...]], tuple[Refusal, list[str]]] = {}
    for refusal in refused:
        found.setdefault((refusal.keeps, refusal.before, refusal.problems), (refusal, []))[1].append(refusal.job)
    yield from found.values()


def _fate(refusal: Refusal, jobs: list[str]) -> str:
    if refusal.before:
        return " (as before)"
    if not refusal.keeps:
        return ""
    return " (its last good definition goes on)" if len(jobs) == 1 else " (their last good definitions go on)"


def _columns(change: JobChange) -> Iterator[str]:
    width = max([6, *map(len, change.before)])
    yield f"    {'before':<{width}}   after"
    for before, after in _side_by_side(change):
        yield f"    {before:<{width}}   {after}".rstrip()


def _side_by_side(change: JobChange) -> Iterator[tuple[str, str]]:
    for index in range(max(len(change.before), len(change.after), 1)):
        yield _at(change.before, index), _at(change.after, index)


def _at(slots: tuple[str, ...], index: int) -> str:
    if not slots and index == 0:
        return "never"
    return slots[index] if index < len(slots) else ""


def render_json(difference: Difference) -> Iterator[str]:
    """Yield one JSON object a change, with ``change`` and ``job`` first."""
    objects: list[dict[str, Any]] = [
        *({"change": "added", "job": one.job, "after": one.after} for one in difference.added),
        *({"change": "repaired", "job": one.job, "after": one.after} for one in difference.repaired),
        *({"change": "removed", "job": job} for job in difference.removed),
        *({"change": "renamed", "job": one.new, "old": one.old} for one in difference.renamed),
        *(
            {"change": "changed", "job": one.job, "keys": one.keys, "before": one.before, "after": one.after}
            for one in difference.changed
        ),
        *(
            {
                "change": "refused",
                "job": one.job,
                "keeps_last_good": one.keeps,
                "before": one.before,
                "problems": one.problems,
            }
            for one in difference.refused
        ),
        *({"change": "problem", "job": None, "problem": problem} for problem in difference.problems),
    ]
    for item in objects:
        yield msgspec.json.encode(item).decode()


def render_markdown(difference: Difference) -> Iterator[str]:
    """Yield a comment for a pull request."""
    yield f"### Jobs: {_code(difference.old)} → {_code(difference.new)}"
    yield ""
    if difference.is_empty:
        yield "No job changes."
        if not difference.refused:
            return
    counts = [
        f"{len(items)} {word}"
        for word, items in (
            ("added", difference.added),
            ("repaired", difference.repaired),
            ("removed", difference.removed),
            ("renamed", difference.renamed),
            ("changed", difference.changed),
            ("**refused**", difference.refused),
        )
        if items
    ]
    yield f"{', '.join(counts)}." if counts else "Problems:"
    for refusal, jobs in _by_problems(difference.refused):
        yield f"\n- ❌ **refused** {', '.join(map(_code, jobs))}{_fate(refusal, jobs)}"
        yield from (f"  - {_code(str(problem))} {_prose(problem.hint)}".rstrip() for problem in refusal.problems)
    for problem in difference.problems:
        sign = "❌" if problem.severity == "error" else "⚠️"
        yield f"\n- {sign} {_code(str(problem))} {_prose(problem.hint)}".rstrip()
    for word, additions in (("added", difference.added), ("repaired", difference.repaired)):
        for addition in additions:
            yield f"\n- **{word}** {_code(addition.job)}, next: {', '.join(addition.after) or 'never by itself'}"
    for job in difference.removed:
        yield f"\n- **removed** {_code(job)}"
    for rename in difference.renamed:
        yield f"\n- **renamed** {_code(rename.old)} → {_code(rename.new)}"
    for change in difference.changed:
        yield f"\n- **changed** {_code(change.job)}\n"
        yield from _tables(change)


def _tables(change: JobChange) -> Iterator[str]:
    yield "  | key | old | new |"
    yield "  |---|---|---|"
    for key in change.keys:
        yield f"  | {_cell(key.key)} | {_cell(key.old)} | {_cell(key.new)} |"
    if change.before or change.after:
        yield "\n  | next before | next after |"
        yield "  |---|---|"
        for before, after in _side_by_side(change):
            yield f"  | {before} | {after} |"


def _cell(text: str | None) -> str:
    return "*default*" if text is None else _code(text).replace("|", "\\|")


def _code(text: str) -> str:
    """Write text as code, whatever backticks and lines are in it."""
    text = text.replace("\n", " ")
    longest = max((len(part) for part in "".join(c if c == "`" else " " for c in text).split()), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _prose(text: str) -> str:
    return "".join("\\" + sign if sign in "\\`*_[]<>|#" else sign for sign in text)
