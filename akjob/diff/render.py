"""A difference as text for people, as JSON lines, and as a comment for a pull request."""

from collections.abc import Iterator
from typing import Any

import msgspec

from akjob.diff.compare import Difference, JobChange, Refusal
from akjob.errors import Problem, escape_control


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
