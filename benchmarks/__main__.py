"""``python -m benchmarks [NAME…]``: measure, show tables, write JSON and pictures.

Without a name: everything but ``idle-minute`` (ten minutes) and ``idle-ten-minutes`` (forty). Half an hour; ``--quick``
takes one round of everything but the peers. Everything is in folders of its own and removed afterwards.
"""

import argparse
import compileall
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import burst, cluster, idle, many, memory, output, page, peers, picture, report, scale, start, whole
from benchmarks.book import Book

_ROOT = Path(__file__).resolve().parent.parent
_PAGE = _ROOT / "docs" / "explain" / "performance.md"
_FIGURES = _PAGE.with_name("performance-figures.md")
_PICTURES = {"a": ("latency", picture.latency), "b": ("burst", picture.burst), "g": ("scale", picture.scale)}
_ON_REQUEST = {"idle-minute", "idle-ten-minutes"}  # ten minutes, forty minutes
_SCRIPTS = ("agenda", "log", "next_slot", "oracle_agreement", "parse")


def _measures(book: Book, options: argparse.Namespace) -> dict[str, Callable[[], None]]:
    rounds, quick = options.rounds, options.quick
    return {
        "start": lambda: start.measure(book, rounds, 20 if quick else 40),
        "idle": lambda: idle.measure(book, 1, 4 if quick else 15),
        "idle-minute": lambda: idle.measure(book, 60, 5, idle.CALLABLE),
        "idle-ten-minutes": lambda: idle.measure(book, 600, 2, idle.CALLABLE),
        "burst": lambda: burst.measure(book, rounds),
        "definitions": lambda: many.measure(book, rounds, idle_s=35 if quick else 60, edits=20 if quick else 60),
        "up": lambda: whole.up(book, rounds),
        "together": lambda: whole.together(book, rounds, 20 if quick else 60),
        "page": lambda: page.measure(book, rounds, **({"asked": 20, "idle_s": 15, "load_s": 8} if quick else {})),
        "simulation": lambda: whole.simulation(book, rounds),
        "messages": lambda: scale.messages(book, rounds),
        "memory": lambda: memory.measure(book, rounds),
        "output": lambda: output.measure(book, rounds),
        "scale": lambda: scale.measure(book, 1),
        "large": lambda: scale.large(book, *((500_000, 1_000_000_000) if quick else ())),
        "cluster": lambda: cluster.measure(book, rounds, **({"starts_s": 15, "idle_s": 30} if quick else {})),
        "peers": lambda: peers.measure(book, minutes=3, jobs=burst.JOBS, scripts=300),
    }


def main() -> None:
    """Measure what is asked for."""
    book = Book()
    names = (*_measures(book, argparse.Namespace(rounds=1, quick=True)), *_SCRIPTS)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measure (3)")
    parser.add_argument("--quick", action="store_true", help="one round, shorter, without the peers")
    parser.add_argument(
        "--out", type=Path, default=_ROOT / "var" / "bench", help="folder for JSON and pictures (var/bench)"
    )
    parser.add_argument("--add", action="store_true", help="keep the other measures' figures of the call before")
    parser.add_argument("--docs", action="store_true", help="write the tables and pictures into docs/explain/ too")
    options, rest = parser.parse_known_args()
    if options.quick:
        options.rounds = 1
    unknown = [name for name in options.names if name not in names and options.names[0] not in _SCRIPTS]
    if unknown:
        parser.error(f"no measure is called {unknown[0]}; there are {', '.join(names)}")
    if options.names and options.names[0] in _SCRIPTS:
        script, *arguments = options.names
        sys.exit(
            subprocess.run([sys.executable, "-m", f"benchmarks.{script}", *arguments, *rest], check=False).returncode
        )
    if rest:
        parser.error(f"unknown option {rest[0]}")
    if options.add:
        report.recall((options.out / "figures.json").read_bytes(), book)
        book.remark("These figures were not taken in one run: some are from an earlier call (--add).")
    compileall.compile_dir(_ROOT / "akjob", quiet=1)  # as an installation does
    measures = _measures(book, options)
    chosen = options.names or [
        name for name in measures if name not in _ON_REQUEST and (name != "peers" or not options.quick)
    ]
    for name in chosen:
        _one(book, name, measures[name])
        _write(book, options.out)  # what was measured stays when a later measure is broken off
    print(report.terminal(book))
    print(f"\n{options.out}/figures.json and pictures; {time.monotonic() - book.began:.0f} s")
    if options.docs:
        report.into_page(_PAGE, book, only_goals=True)
        report.into_page(_FIGURES, book)
        _draw(book, _PAGE.parent)


def _one(book: Book, name: str, measure: Callable[[], None]) -> None:
    book.say(name)
    try:
        measure()
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
        book.remark(f"{name} was broken off: {type(error).__name__}: {error}")


def _write(book: Book, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "figures.json").write_text(report.as_json(book), encoding="utf-8")
    _draw(book, out)


def _draw(book: Book, folder: Path) -> None:
    """Draw the pictures of what was measured; of the others those of an earlier call stay."""
    measured = {measure for measure, _, _ in book.figures}
    for measure, (name, draw) in _PICTURES.items():
        if measure in measured:
            (folder / f"performance-{name}.svg").write_text(draw(book), encoding="utf-8")


if __name__ == "__main__":
    main()
