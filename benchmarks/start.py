"""a. Start latency: how late after the instant it was due for does a job's first instruction run.

Every second, each contender's job is due at its own fraction of the second, so that none meets another and all share
whatever the machine does meanwhile. akjob's jobs have ``every = "1s"`` and a jitter; their names are chosen so that the
fixed offsets that follow from them lie where they are wanted. A callable notes the clock in its function's first line,
a command is ``date``, whose output is read from the log stream. Every slot of the stretch must have one start.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from akjob.instants import from_text
from akjob.schedule import jitter_us
from akjob.schedule.model import Schedule
from benchmarks.book import AKJOB, BASE, Book, quantile
from benchmarks.machine import next_second, sleep_until
from benchmarks.place import Place

BARE = Path(__file__).with_name("bare.py")
LEAD_IMPORT_S = 3
_SETTLE_S = 3.0
_DATE = "+%s%N"


def measure(book: Book, rounds: int, seconds: int) -> None:
    """Measure ``rounds`` stretches of so many seconds."""
    for _ in range(rounds):
        _round(book, seconds)


def named_at(prefix: str, wanted_us: int) -> tuple[str, int]:
    """Return a job name whose jitter within a second is within 2 ms of what is wanted, and that jitter."""
    schedule = Schedule(zone="UTC", jitter_us=1_000_000)
    for number in range(1_000_000):
        name = f"{prefix}-{number}"
        offset = jitter_us(schedule, name)
        if abs(offset - wanted_us) < 2_000:
            return name, offset
    raise AssertionError(prefix)


def bare(  # noqa: PLR0913, PLR0917 - its own arguments
    kind: str, out: Path, first_us: int, step_us: int, count: int, each: int, folder: Path
) -> "subprocess.Popen[bytes]":
    """Start a base program."""
    numbers = [str(one) for one in (first_us, step_us, count, each)]
    return subprocess.Popen([sys.executable, "-I", "-S", str(BARE), kind, str(out), *numbers, str(folder)])


def stamps(path: Path) -> list[tuple[str, int, str]]:
    """Return (name, nanoseconds, slot) of every start that was noted."""
    if not path.exists():
        return []
    rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return [(name, int(at), slot) for name, at, slot in rows]


def _round(book: Book, seconds: int) -> None:
    kinds = {"callable": 50_000, "argv": 300_000, "sh -c": 550_000}
    offsets: dict[str, tuple[str, int]] = {}
    bases = {"fork": 175_000, "fork and import": 425_000, "argv": 675_000, "sh -c": 800_000}
    with Place() as place:
        for what, fraction in kinds.items():
            name, offset = named_at(what.split(" ", maxsplit=1)[0], fraction)
            offsets[name] = (what, offset)
            code = {
                "callable": f'callable = "stamping:stamp"\nargs = ["{place.stamps}", "{name}"]\n',
                "argv": f'command = ["/bin/date", "{_DATE}"]\n',
                "sh -c": f"command = \"date '{_DATE}'\"\n",
            }[what]
            place.job(name, f'{code}[schedule]\nevery = "1s"\njitter = "1s"\n')
        for number in range(5):
            _slow_import(place, number)
        place.start()
        first = next_second(_SETTLE_S + 4)
        programs = []
        for what, fraction in bases.items():
            kind = {"fork": "fork", "fork and import": "call", "argv": "spawn", "sh -c": "sh"}[what]
            out = place.root / f"base-{kind}"
            programs.append(
                (what, out, bare(kind, out, first * 1_000_000 + fraction, 1_000_000, seconds, 1, place.root))
            )
        sleep_until(first + seconds + 1)
        for _, _, program in programs:
            program.wait()
        place.stop()
        for what, out, _ in programs:
            _judge_base(book, what, out, first, seconds, bases[what])
        found = akjob_starts(place, offsets)
        for what in (*kinds, "callable with lead"):
            _judge(book, what, found.get(what, []), first, seconds)


def _slow_import(place: Place, number: int) -> None:
    """Make a job that is due every fifth second and whose module takes three seconds to import."""
    (place.root / f"slow{number}.py").write_text(
        f"import time\ntime.sleep({LEAD_IMPORT_S})\nfrom stamping import stamp\n", encoding="utf-8"
    )
    place.job(
        f"lead-{number}",
        f'callable = "slow{number}:stamp"\nargs = ["{place.stamps}", "lead-{number}"]\n[schedule]\nevery = "5s"\n'
        f'anchor = 2026-01-01T00:00:0{number}Z\n[run]\nlead = "{LEAD_IMPORT_S}s500ms"\noverlap = "allow"\n',
    )


def akjob_starts(place: Place, offsets: dict[str, tuple[str, int]]) -> dict[str, list[tuple[int, float]]]:
    """Return by kind: slot in µs, lateness in ms."""
    found: dict[str, list[tuple[int, float]]] = {}
    for name, at, slot in stamps(place.stamps):
        what, offset = offsets.get(name, ("callable with lead", 0))
        slot_us = from_text(slot)
        found.setdefault(what, []).append((slot_us, at / 1e6 - (slot_us + offset) / 1e3))
    slots = {run: (job, from_text(slot)) for run, job, slot in place.sql("SELECT id, job, slot FROM runs")}
    for line in place.log().splitlines():
        event = json.loads(line)
        if event["event"] == "run.output":
            job, slot_us = slots[event["run"]]
            what, offset = offsets[job]
            found.setdefault(what, []).append((slot_us, int(event["line"]) / 1e6 - (slot_us + offset) / 1e3))
    return found


def _judge(book: Book, what: str, found: list[tuple[int, float]], first: int, seconds: int) -> None:
    within = [(slot, late) for slot, late in found if first <= slot // 1_000_000 < first + seconds]
    counted = Counter(slot for slot, _ in within)
    lost = seconds - len(counted)
    twice = sum(count - 1 for count in counted.values())
    _note(book, what, AKJOB, [late for _, late in within], lost, twice)


def _judge_base(book: Book, what: str, out: Path, first: int, seconds: int, fraction: int) -> None:  # noqa: PLR0913, PLR0917
    lates = [
        at / 1e6 - ((first + int(name.split(".", maxsplit=1)[0])) * 1e3 + fraction / 1e3) for name, at, _ in stamps(out)
    ]
    name = "callable" if what.startswith("fork") else what
    _note(book, name, "fork+import" if what == "fork and import" else BASE, lates, seconds - len(lates), 0)


def _note(book: Book, what: str, who: str, lates: list[float], lost: int, twice: int) -> None:  # noqa: PLR0913, PLR0917
    if not lates:
        book.remark(f"a. {what} of {who}: nothing started at all")
        return
    book.add("a", f"{what}, p50", who, quantile(lates, 0.5), "ms", lost=lost, twice=twice)
    book.add("a", f"{what}, p99", who, quantile(lates, 0.99), "ms")
    book.add("a", f"{what}, earliest", who, min(lates), "ms")
    book.sample(f"a {what} {who}", lates)
