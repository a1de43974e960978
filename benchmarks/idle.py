"""h. Start latency on a machine that does next to nothing else: one start every so many seconds, whosever it is.

akjob's jobs and the bases take turns, so that each finds the machine as the one before has left it: with caches that
others have filled since, processors asleep, and memory that the host may have taken back. ``start`` is the same
measure where something happens several times a second.

Every second all contenders take part. With a minute or more between two starts a callable and its base do, which is
what an hour has time for: two starts a turn.
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
ALL = ("callable", "fork", "callable with lead", "fork and import", "argv", "base argv", "sh -c", "base sh -c")
CALLABLE = ("callable", "fork")


def measure(book: Book, gap_s: int, turns: int, in_turn: tuple[str, ...] = ALL) -> None:
    """Let each contender have its turn so many times, ``gap_s`` seconds after the one before it."""
    step_s = gap_s * len(in_turn)
    kinds = [kind for kind in _KINDS if kind in in_turn]
    with Place() as place:
        first = next_second(_SETTLE_S)
        begins = {contender: first + gap_s * turn for turn, contender in enumerate(in_turn)}
        for kind in kinds:
            _job(place, kind, begins[kind], step_s)
        place.start()
        bases = [
            _base(place, what, begins[_contender(what)], step_s, turns)
            for what in _BASES
            if _contender(what) in in_turn
        ]
        sleep_until(first + step_s * turns)
        for _, _, program in bases:
            program.wait()
        place.stop()
        for what, out, _ in bases:
            _note(book, gap_s, what, _lates(start.stamps(out), begins[_contender(what)], step_s))
        found = start.akjob_starts(place, {_name(kind): (kind, 0) for kind in kinds})
        for kind in kinds:
            begin = begins[kind] * 1_000_000
            end = begin + turns * step_s * 1_000_000
            lates = [late for slot, late in found.get(kind, []) if begin <= slot < end]
            _note_kind(book, gap_s, kind, lates, turns)


def _name(kind: str) -> str:
    return kind.replace(" ", "-")


def _contender(base: str) -> str:
    return base if base.startswith("fork") else f"base {base}"


def _job(place: Place, kind: str, first_s: int, step_s: int) -> None:
    code = {
        "argv": f'command = ["/bin/date", "{_DATE}"]\n',
        "sh -c": f"command = \"date '{_DATE}'\"\n",
    }.get(kind, f'callable = "stamping:stamp"\nargs = ["{place.stamps}", "{_name(kind)}"]\n')
    anchor = f"{to_text(first_s * 1_000_000)[:19]}Z"
    lead = '[run]\nlead = "500ms"\n' if kind.endswith("lead") else ""
    place.job(_name(kind), f'{code}[schedule]\nevery = "{step_s}s"\nanchor = {anchor}\n{lead}')


def _base(
    place: Place, what: str, begin_s: int, step_s: int, turns: int
) -> "tuple[str, Path, subprocess.Popen[bytes]]":
    kind = _BASES[what]
    out = place.root / f"base-{kind}"
    return what, out, start.bare(kind, out, begin_s * 1_000_000, step_s * 1_000_000, turns, 1, place.root)


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
