"""What was measured, as a table for people and as JSON."""

import json
import os
import platform
import time
from pathlib import Path

import msgspec

from akjob import __version__
from benchmarks import goals
from benchmarks.book import AKJOB, BASE, Book, Figure, show

TITLES = {
    "a": "Start latency: due instant to the job's first instruction",
    "b": "A burst of 1,000 tiny jobs at one instant",
    "c": "Ten thousand definitions",
    "d": "Reload of one among ten thousand",
    "e": "Memory, as proportional share (PSS)",
    "f": "Output of 80-character lines into the log stream",
    "g": "How cost grows",
    "h": "Start latency where nothing else happens: one start every so many seconds, each contender in turn",
    "i": "The page, the metrics and the messages: what they take, and whether starts become later",
    "j": "Simulation",
    "k": "The page with 10,000 jobs: a million rows in the ledger, against ten thousand (base)",
    "l": "Many machines: three nodes with one ledger in PostgreSQL, on this one machine",
}
MARKS = ("<!-- figures: begin -->", "<!-- figures: end -->")
_HEAD = ("", "akjob", "base", "x base", "others", "goal", "")


def table(book: Book) -> list[tuple[str, list[list[str]]]]:
    """Return for each measure its title and its rows of seven cells."""
    found: dict[str, list[list[str]]] = {}
    seen: set[tuple[str, str]] = set()
    for measure, what, _ in book.figures:
        if (measure, what) not in seen:
            seen.add((measure, what))
            found.setdefault(measure, []).append(_row(book, measure, what))
    return [(f"{measure}. {TITLES[measure]}", rows) for measure, rows in sorted(found.items())]


def _row(book: Book, measure: str, what: str) -> list[str]:
    all_ = {who: one for (m, w, who), one in book.figures.items() if (m, w) == (measure, what)}
    akjob, base = all_.get(AKJOB), all_.get(BASE)
    others = "; ".join(f"{who} {_brief(one)}" for who, one in all_.items() if who not in (AKJOB, BASE))
    goal = goals.of(measure, what)
    times = goals.ratio(book, akjob) if akjob is not None else None
    return [
        what,
        _cell(akjob),
        _cell(base),
        "" if times is None else f"{times:.2f}",
        others,
        goal.text if goal else "",
        goals.verdict(book, goal) if goal else "",
    ]


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    text = _brief(figure)
    if len(figure.values) > 1:
        text += f" ({show(min(figure.values), '')} to {show(max(figure.values), '')})"
    return text


def _brief(figure: Figure) -> str:
    amiss = f" **lost {figure.lost}, twice {figure.twice}**" if figure.lost or figure.twice else ""
    return show(figure.median, figure.unit) + amiss


def terminal(book: Book) -> str:
    """Return the tables for a terminal."""
    out = []
    for title, rows in table(book):
        cells = [list(_HEAD), *rows]
        widths = [max(len(row[index]) for row in cells) for index in range(len(_HEAD))]
        out.append(f"\n{title}")
        out += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([*out, "", *book.remarks]).replace("**", "")


def markdown(book: Book, *, only_goals: bool = False) -> str:
    """Return the tables for the pages of ``docs/explain/``; of what has a goal only, for the one that users read."""
    out = [machine(), ""]
    for title, all_rows in table(book):
        rows = [row for row in all_rows if row[_HEAD.index("goal")]] if only_goals else all_rows
        if not rows:
            continue
        out += [f"### {title}", "", "|" + "|".join(f" {cell} " for cell in _HEAD) + "|", "|" + "---|" * len(_HEAD)]
        out += ["| " + " | ".join(row) + " |" for row in rows]
        out.append("")
    remarks = [] if only_goals else [f"- {remark}" for remark in book.remarks]
    return "\n".join([*out, *remarks]).rstrip() + "\n"


def machine() -> str:
    """Return a sentence on what was measured, where and when."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"akjob {__version__}, Python {platform.python_version()}, Linux {platform.release()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GiB, {time.strftime('%Y-%m-%d')}. The median of the rounds, with the least and the greatest."
    )


def as_json(book: Book) -> str:
    """Return everything, samples included."""
    figures = [
        {
            "measure": one.measure,
            "what": one.what,
            "who": one.who,
            "unit": one.unit,
            "median": one.median,
            "values": one.values,
            "lost": one.lost,
            "twice": one.twice,
            "verdict": goals.verdict(book, goal)
            if (goal := goals.of(one.measure, one.what)) and one.who == AKJOB
            else "",
        }
        for one in book.figures.values()
    ]
    return json.dumps({"machine": machine(), "figures": figures, "remarks": book.remarks, "samples": book.samples})


def recall(text: bytes, book: Book) -> None:
    """Give the book what :func:`as_json` has written."""
    kept = msgspec.json.decode(text, type=_Kept)
    book.recall(kept.figures, kept.samples)


class _Kept(msgspec.Struct):
    figures: list[Figure]
    samples: dict[str, list[float]]


def into_page(page: Path, book: Book, *, only_goals: bool = False) -> None:
    """Put the tables between the two marks of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    page.write_text(f"{before}{MARKS[0]}\n{markdown(book, only_goals=only_goals)}{MARKS[1]}{after}", encoding="utf-8")
