"""e. Memory: the proportional share (PSS) of what runs, and of the programs when nothing runs.

Twenty jobs that merely sleep run at once; what they add, shims included, is divided by twenty. The idle programs are
measured with ten definitions.
"""

import time

from benchmarks.book import AKJOB, BASE, Book
from benchmarks.machine import family, pss_bytes, until
from benchmarks.place import Place
from benchmarks.start import bare

RUNS = 20


def measure(book: Book, rounds: int) -> None:
    """Measure so many rounds."""
    for _ in range(rounds):
        for what in ("callable", "command"):
            akjob(book, what)
            base(book, what)


def akjob(book: Book, what: str, runs: int = RUNS, *, measure: str = "e") -> None:
    """Measure akjob."""
    code = 'callable = "stamping:sleep"\nargs = [60]\n' if what == "callable" else 'command = ["/bin/sleep", "60"]\n'
    with Place() as place:
        for number in range(10):
            place.job(f"sleeper{number}", f'{code}[run]\noverlap = "allow"\n')
        place.start()
        time.sleep(1)
        pids = place.pids()
        shares = {
            name: pss_bytes([pid]) / 1e6 for name, pid in zip(("akjobd", "zygote", "collector"), pids, strict=True)
        }
        before = sum(pss_bytes(family(process.pid)) for process in place.processes.values())
        if what == "callable":
            book.add(measure, "idle: akjobd, zygote and collector", AKJOB, before / 1e6, "MB")
            for name, share in shares.items():
                book.add(measure, f"idle: {name}", AKJOB, share, "MB")
        for number in range(runs):
            place.ask("run", job=f"sleeper{number % 10}")
        lost = 0 if until(lambda: len(place.status()["running"]) == runs, 20) else runs
        time.sleep(2)
        after = sum(pss_bytes(family(process.pid)) for process in place.processes.values())
        title = f"one running {what}" + ("" if runs == RUNS else f" of {runs}")
        book.add(measure, title, AKJOB, (after - before) / runs / 1e6, "MB", lost=lost)


def base(book: Book, what: str) -> None:
    """Measure the base program with as many children."""
    with Place() as place:
        kind = "sleep" if what == "callable" else "nap"
        empty = bare(kind, place.root / "out", 0, 0, 1, 0, place.root)
        full = bare(kind, place.root / "out", 0, 0, 1, RUNS, place.root)
        try:
            until(lambda: len(family(full.pid)) == RUNS + 1, 10)
            time.sleep(1)
            # Two of the same program share their pages with each other: counted apart, each is ended in its turn.
            together = pss_bytes(family(full.pid))
            alone = pss_bytes([empty.pid])
        finally:
            for program in (empty, full):
                for pid in reversed(family(program.pid)):
                    _kill(pid)
                program.wait()
        book.add("e", f"one running {what}", BASE, (together - alone) / RUNS / 1e6, "MB")


def _kill(pid: int) -> None:
    import os  # noqa: PLC0415

    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
