"""A difference as text for people, as JSON lines, and as a comment for a pull request."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec

from akjob.diff.compare import Difference, JobChange, RefusedJob
from akjob.diff.slots import SlotChange, Slots
from akjob.errors import Problem, escape_control
from akjob.instants import to_datetime, to_text
from akjob.query.text import plural
from akjob.schedule import get_zone


def render_text(difference: Difference, slots: Slots | None = None) -> Iterator[str]:
    """Yield lines for people."""
    lines = chain(_text_lines(difference), () if slots is None else _slot_lines(slots))
    return map(escape_control, lines)


def _slot_lines(slots: Slots) -> Iterator[str]:
    yield f"slots of the next {plural(slots.days, 'day')}"
    for one in slots.jobs:
        counts = ", ".join(f"{len(found)} {word}" for word, found in _kinds(one))
        cut = "" if one.until_us is None else f" (compared up to {_slot(one.until_us, one.zone)})"
        yield f"  {one.job}: {counts}{cut}"
        for word, found in _kinds(one):
            yield from (f"    {word:<8} {text}" for text in _some(found, one.zone))
    if not slots.jobs:
        yield "  none gained, lost or moved"
    peak = slots.peak
    yield f"  at most {peak.before} at once before, {peak.after} after"


_Found = tuple[int, ...] | tuple[tuple[int, int], ...]
_SHOWN = 5


def _kinds(one: SlotChange) -> list[tuple[str, _Found]]:
    kinds: list[tuple[str, _Found]] = [("lost", one.lost), ("gained", one.gained), ("moved", one.moved)]
    return [(word, found) for word, found in kinds if found]


def _some(found: _Found, zone: str) -> Iterator[str]:
    """Yield the first of the slots, and how many more there are."""
    for slot in found[:_SHOWN]:
        yield _slot(slot, zone) if isinstance(slot, int) else f"{_slot(slot[0], zone)} -> {_slot(slot[1], zone)}"
    if len(found) > _SHOWN:
        yield f"and {len(found) - _SHOWN} more"


def _slot(slot_us: int, zone: str) -> str:
    moment = to_datetime(slot_us).astimezone(get_zone(zone))
    return f"{moment:%a} {moment.isoformat(sep=' ')}"


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


def _by_problems(refused: tuple[RefusedJob, ...]) -> Iterator[tuple[RefusedJob, list[str]]]:
    """Yield what is refused for the same reasons once, with its jobs: a mistake in defaults may cost many."""
    found: dict[tuple[bool, bool, tuple[Problem, ...]], tuple[RefusedJob, list[str]]] = {}
    for refusal in refused:
        found.setdefault((refusal.keeps, refusal.before, refusal.problems), (refusal, []))[1].append(refusal.job)
    yield from found.values()


def _fate(refusal: RefusedJob, jobs: list[str]) -> str:
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


def render_json(difference: Difference, slots: Slots | None = None) -> Iterator[str]:
    """Yield one JSON object a change, with ``change`` and ``job`` first; of slots their instants in UTC."""
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
    if slots is not None:
        objects = [item | _slots_json(item["job"], slots) for item in objects]
        objects.append({"change": "peak", "job": None, "before": slots.peak.before, "after": slots.peak.after})
    for item in objects:
        yield msgspec.json.encode(item).decode()


def _slots_json(job: str | None, slots: Slots) -> dict[str, Any]:
    one = None if job is None else slots.of(job)
    if job is None:
        return {}
    if one is None:
        return {"gained": [], "lost": [], "moved": []}
    return {
        "gained": [to_text(slot) for slot in one.gained],
        "lost": [to_text(slot) for slot in one.lost],
        "moved": [[to_text(before), to_text(after)] for before, after in one.moved],
    }


def render_markdown(difference: Difference, slots: Slots | None = None) -> Iterator[str]:
    """Yield a comment for a pull request."""
    yield from _markdown_lines(difference)
    if slots is not None:
        yield from _slot_table(slots)


def _slot_table(slots: Slots) -> Iterator[str]:
    yield f"\n#### Slots of the next {plural(slots.days, 'day')}\n"
    if slots.jobs:
        yield "| job | lost | gained | moved |"
        yield "|---|---|---|---|"
        for one in slots.jobs:
            cells = (_slot_cell(found, one.zone) for found in (one.lost, one.gained, one.moved))
            yield f"| {_cell(one.job)} | {' | '.join(cells)} |"
    else:
        yield "None gained, lost or moved."
    yield f"\nAt most {slots.peak.before} at once before, {slots.peak.after} after."


def _slot_cell(found: _Found, zone: str) -> str:
    return f"{len(found)}: {'<br>'.join(_some(found, zone))}" if found else ""


def _markdown_lines(difference: Difference) -> Iterator[str]:
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
