"""f. Output: lines of 80 characters through a run's pipe, its shim and the collector into the log stream.

One job prints as fast as it can until so many lines are out; every line must be in the stream, once. Then ten jobs
print at once, for a few seconds, while an eleventh prints the clock every 20 ms: how many lines each of the ten got
into the stream, and how long after it was printed a line of the eleventh was there.
"""

import re
import statistics
import time
from bisect import bisect_left
from collections import Counter

from benchmarks.book import AKJOB, BASE, Book, quantile
from benchmarks.machine import until
from benchmarks.place import Place

LINES = 1_000_000
_LINE = "x" * 79
_SECONDS = 4
_QUIET_LINE = re.compile(rb'"job":"quiet"[^\n]*"line":"(\d+)"[^\n]*\n')
_QUIET = '''\
import time


def clock(seconds):
    """Print the clock now and then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        print(time.time_ns(), flush=True)
        time.sleep(0.02)
'''


def measure(book: Book, rounds: int, lines: int = LINES) -> None:
    """Measure so many rounds."""
    for _ in range(rounds):
        one(book, lines)
        ten(book)


def one(book: Book, lines: int) -> None:
    """Measure one job alone."""
    with Place() as place:
        place.job("flood", f'command = "yes {_LINE} | head -n {lines}"\n[run]\noutput_limit = "4GiB"\n')
        place.start()
        before = place.cage.cpu_s()
        began = time.perf_counter()
        run = place.ask("run", job="flood")["run"]
        place.ask("wait", run=run)
        _finished(place, run)
        took = time.perf_counter() - began
        time.sleep(0.3)
        used = place.cage.cpu_s() - before
        seqs = [int(seq) for seq in re.findall(rb'"run.output"[^\n]*?"seq":(\d+)', place.log())]
        lost, twice = lines - len(set(seqs)), len(seqs) - len(set(seqs))
        book.add("f", "one job: lines a second", AKJOB, lines / took, "/s", lost=lost, twice=twice)
        book.add("f", "one job: CPU per 1,000 lines", AKJOB, used / lines * 1e6, "ms")
        _base(book, place, lines)


def _base(book: Book, place: Place, lines: int) -> None:
    import subprocess  # noqa: PLC0415

    began = time.perf_counter()
    command = f"yes {_LINE} | head -n {lines} | cat > {place.root}/plain"
    subprocess.run(["/bin/sh", "-c", command], check=True)
    book.add("f", "one job: lines a second", BASE, lines / (time.perf_counter() - began), "/s")


def _finished(place: Place, run: str) -> None:
    """Wait until the stream has the run's last line."""
    mark = f'"event":"run.finished","source":"run","job":"flood","run":"{run}"'.encode()

    def there() -> bool:
        with place.paths.log.open("rb") as file:
            file.seek(max(0, place.paths.log.stat().st_size - 65_536))
            return mark in file.read()

    until(there, 60, 0.005)


def ten(book: Book) -> None:
    """Measure ten at once, and a quiet one beside them."""
    with Place() as place:
        (place.root / "quiet_one.py").write_text(_QUIET, encoding="utf-8")
        for number in range(10):
            command = f'command = ["/usr/bin/timeout", "{_SECONDS}", "/usr/bin/yes", "{_LINE}"]\n'
            place.job(f"flood{number}", f'{command}[run]\noutput_limit = "4GiB"\nsuccess_codes = [124]\n')
        place.job("quiet", f'callable = "quiet_one:clock"\nargs = [{_SECONDS}]\n')
        (place.root / "etc" / "akjob.toml").write_text('[log]\nmax_size = "3GiB"\n', encoding="utf-8")
        place.start()
        for number in range(10):
            place.ask("run", job=f"flood{number}")
        place.ask("run", job="quiet")
        watched = _watch(place, time.monotonic() + _SECONDS)
        log = place.log()
        waits = _waits(log, *watched)
        counts = Counter(re.findall(rb'"run.output","source":"run","job":"(flood\d)"', log))
        mean = statistics.mean(counts.values())
        lost = 10 - len(counts)
        book.add("f", "ten at once: lines a second, all", AKJOB, sum(counts.values()) / _SECONDS, "/s", lost=lost)
        book.add("f", "ten at once: slowest of their mean", AKJOB, min(counts.values()) / mean, "")
        book.add("f", "ten at once: fastest of their mean", AKJOB, max(counts.values()) / mean, "")
        if waits:
            book.add("f", "another's line meanwhile, p50", AKJOB, quantile(waits, 0.5), "ms")
            book.add("f", "another's line meanwhile, p99", AKJOB, quantile(waits, 0.99), "ms")
        else:
            book.remark("f. no line of the quiet job came through")


def _watch(place: Place, end: float) -> tuple[list[int], list[int]]:
    """Look at the stream's size until ``end``; return the sizes in bytes and when they were seen, in ns since 1970.

    Whoever reads two hundred megabytes a second falls behind, and would measure himself.
    """
    sizes, moments = [0], [time.time_ns()]
    while time.monotonic() < end:
        size = place.paths.log.stat().st_size
        if size != sizes[-1]:
            sizes.append(size)
            moments.append(time.time_ns())
        time.sleep(0.001)
    return sizes, moments


def _waits(log: bytes, sizes: list[int], moments: list[int]) -> list[float]:
    """Return how long after it was printed each line of the quiet job was in the stream, in ms."""
    waits = []
    for found in _QUIET_LINE.finditer(log):
        seen = bisect_left(sizes, found.end())
        if seen < len(sizes):
            waits.append((moments[seen] - int(found[1])) / 1e6)
    return waits
