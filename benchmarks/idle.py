"""h. Start latency on a machine that does next to nothing else: one start every so many seconds, whosever it is.

akjob's jobs and the bases take turns, so that each finds the machine as the one before has left it: with caches that
others have filled since, processors asleep, and memory that the host may have taken back. ``start`` is the same
measure where something happens several times a second.
"""

from typing import TYPE_CHECKING

from akjob.instants import to_text
from benchmarks import start
from benchmarks.book import AKJOB, BASE, Book, quantile
from benchmarks.machine import next_second, sleep_until
from benchmarks.place import Place

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

_SETTLE_S = 8
_DATE = "+%s%N"
_BASES = {"fork": "fork", "fork and import": "call", "argv": "spawn", "sh -c": "sh"}
_KINDS = ("callable", "callable with lead", "argv", "sh -c")
_IN_TURN = ("callable", "fork", "callable with lead", "fork and import", "argv", "base argv", "sh -c", "base sh -c")


def measure(book: Book, gap_s: int, turns: int) -> None:
    """Let each contender have its turn so many times, ``gap_s`` seconds after the one before it."""
    step_s = gap_s * len(_IN_TURN)
    with Place() as place:
        first = next_second(_SETTLE_S)
        for kind in _KINDS:
            _job(place, kind, first + gap_s * _IN_TURN.index(kind), step_s)
        place.start()
        bases = [_base(place, what, first, gap_s, step_s, turns) for what in _BASES]
        sleep_until(first + step_s * turns)
        for _, _, program in bases:
            program.wait()
        place.stop()
        for what, out, _ in bases:
            _note(book, gap_s, what, _lates(start.stamps(out), first + gap_s * _turn_of(what), step_s))
        found = start.akjob_starts(place, {_name(kind): (kind, 0) for kind in _KINDS})
        for kind in _KINDS:
            begin = (first + gap_s * _IN_TURN.index(kind)) * 1_000_000
            end = begin + turns * step_s * 1_000_000
            lates = [late for slot, late in found.get(kind, []) if begin <= slot < end]
            _note_kind(book, gap_s, kind, lates, turns)


def _name(kind: str) -> str:
    return kind.replace(" ", "-")


def _turn_of(what: str) -> int:
    return _IN_TURN.index(what if what in _IN_TURN and what.startswith("fork") else f"base {what}")


def _job(place: Place, kind: str, first_s: int, step_s: int) -> None:
    code = {
        "argv": f'command = ["/bin/date", "{_DATE}"]\n',
        "sh -c": f"command = \"date '{_DATE}'\"\n",
    }.get(kind, f'callable = "stamping:stamp"\nargs = ["{place.stamps}", "{_name(kind)}"]\n')
    anchor = f"{to_text(first_s * 1_000_000)[:19]}Z"
    lead = '[run]\nlead = "500ms"\n' if kind.endswith("lead") else ""
    place.job(_name(kind), f'{code}[schedule]\nevery = "{step_s}s"\nanchor = {anchor}\n{lead}')


def _base(  # noqa: PLR0913, PLR0917 - its own arguments
    place: Place, what: str, first: int, gap_s: int, step_s: int, turns: int
) -> "tuple[str, Path, subprocess.Popen[bytes]]":
    kind = _BASES[what]
    out = place.root / f"base-{kind}"
    at_us = (first + gap_s * _turn_of(what)) * 1_000_000
    return what, out, start.bare(kind, out, at_us, step_s * 1_000_000, turns, 1, place.root)


def _lates(rows: list[tuple[str, int, str]], first_s: int, step_s: int) -> list[float]:
    return [at / 1e6 - (first_s + int(name.partition(".")[0]) * step_s) * 1e3 for name, at, _ in rows]


def _note(book: Book, gap_s: int, what: str, lates: list[float]) -> None:
    name = "callable" if what.startswith("fork") else what
    _add(book, gap_s, name, "fork+import" if what == "fork and import" else BASE, lates, 0)


def _note_kind(book: Book, gap_s: int, kind: str, lates: list[float], turns: int) -> None:
    _add(book, gap_s, kind, AKJOB, lates, turns - len(lates))


def _add(book: Book, gap_s: int, what: str, who: str, lates: list[float], lost: int) -> None:  # noqa: PLR0913, PLR0917
    if not lates:
        book.remark(f"h. {what} of {who}, every {gap_s} s: nothing started at all")
        return
    book.add("h", f"{what}, every {gap_s} s, p50", who, quantile(lates, 0.5), "ms", lost=lost)
    book.add("h", f"{what}, every {gap_s} s, p99", who, quantile(lates, 0.99), "ms")
    book.sample(f"h {what} {gap_s} {who}", lates)
