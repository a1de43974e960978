"""c and d. Many definitions: how soon akjobd is ready, what it costs when nothing is due, how soon an edit is live.

The files are of three kinds that occur (a callable with a weekly time and limits, a command by cron with an
environment, a shell line with an interval), none due while this measures. ``tomllib alone`` reads and parses the same
files and does nothing with them.

An edit is a new file renamed over the old one. It is live at the instant that akjobd gives its line ``job.changed``;
``jobs.loaded`` beside it says how many files were read, which must be one.
"""

import json
import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from akjob.akjobd.scanning import AGAIN_S
from akjob.instants import from_text
from benchmarks.book import AKJOB, BASE, Book, quantile
from benchmarks.machine import cpu_s, pss_bytes, until, wakeups
from benchmarks.place import Place

FILES = 10_000
_TOMLLIB = """\
import os, resource, sys, time, tomllib
began = time.perf_counter()
count = 0
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(folder + "/" + name, "rb") as file:
            tomllib.loads(file.read().decode())
        count += 1
used = resource.getrusage(resource.RUSAGE_SELF)
print(count, time.perf_counter() - began, used.ru_utime + used.ru_stime)
"""

_BARE_LOOKS = """\
import os, sys, time

def look(folder):
    for entry in os.scandir(folder):
        look(entry.path) if entry.is_dir() else os.stat(entry.path)

gap, looks, used = float(sys.argv[2]), int(sys.argv[3]), 0.0
time.sleep(gap / 2)
for number in range(looks):
    began = time.process_time()
    look(sys.argv[1])
    used += time.process_time() - began
    if number + 1 < looks:
        time.sleep(gap)
print(used)
"""

_MIX = (
    """\
description = "Mail the sales report {n}"
tags = ["reports", "mail"]

callable = "stamping:sleep"
args     = [{n}]

[schedule]
timezone = "Europe/Berlin"
weekly   = {{ days = ["mon", "thu"], at = {hour:02}:30:00 }}

[limits]
dates = {{ first = 2027-12-01, last = 2036-12-31 }}

[run]
timeout = "5m"
retry = {{ attempts = 3, delay = "30s" }}
""",
    """\
description = "Back up database {n}"
command = ["/bin/echo", "--database", "customers-{n}", "--to", "/srv/backup"]

[schedule]
cron = "{minute} {hour} 1 1 *"

[run]
timeout = "2h"
lock = "backup-{n}"
env = {{ PGHOST = "db{n}.example.org", PGUSER = "backup" }}
""",
    """\
command = "curl -fsS https://example.org/ping/{n}"

[schedule]
every = "300d"
jitter = "30s"
""",
)


class HasRoot(Protocol):
    """Whatever has job files below its root."""

    root: Path


def text(number: int, edition: int = 0) -> str:
    """Return the definition of one job."""
    body = _MIX[number % 3].format(n=number, minute=number % 60, hour=number % 24)
    return (
        f"# edition {edition:06d}\n{body}"
        if not edition
        else f'tags = ["e{edition:06d}"]\n' + body.replace('tags = ["reports", "mail"]\n', "")
    )


def fill(place: HasRoot, files: int) -> None:
    """Write the definitions, a hundred to a folder."""
    for number in range(files):
        folder = place.root / "jobs.d" / f"team{number // 100:03d}"
        folder.mkdir(exist_ok=True)
        (folder / f"job{number:05d}.toml").write_text(text(number), encoding="utf-8")


def measure(book: Book, rounds: int, files: int = FILES, *, idle_s: float = 60.0, edits: int = 40) -> None:
    """Measure c and d on one set of files."""
    title = f"{files:,} definitions"
    with Place() as place:
        fill(place, files)
        os.sync()
        time.sleep(2.5)  # of younger files the content counts, whatever stat says
        for _ in range(rounds):
            place.stop()
            for path in (place.paths.db, Path(f"{place.paths.db}-wal"), Path(f"{place.paths.db}-shm")):
                path.unlink(missing_ok=True)
            (place.paths.var / "jobs.cache").unlink(missing_ok=True)
            alone_s, alone_cpu_s = tomllib_alone(place, files)
            book.add("c", f"{title}: ready, cold", BASE, alone_s, "s")
            book.add("c", f"{title}: ready, cold", AKJOB, place.start(), "s")
            until((place.paths.var / "jobs.cache").exists, 10)
            time.sleep(3)
            idle(book, place, f"{title}, just loaded cold", 5)
            place.stop()
            book.add("c", f"{title}: ready, warm", BASE, alone_s, "s")
            book.add("c", f"{title}: ready, warm", AKJOB, place.start(), "s")
            if place.status()["jobs"]["loaded"] != files:
                book.remark(f"c. akjobd has loaded {place.status()['jobs']} of {files:,} definitions")
            validate(book, place, title, alone_s, alone_cpu_s)
        time.sleep(6)
        idle(book, place, title, idle_s)
        reload(book, place, files, edits)


def tomllib_alone(place: HasRoot, files: int) -> tuple[float, float]:
    """Return the seconds and CPU seconds that reading all files with tomllib takes."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", _TOMLLIB, str(place.root / "jobs.d")], capture_output=True, check=True, text=True
    )
    count, seconds, used = done.stdout.split()
    if int(count) != files:
        raise AssertionError(count)
    return float(seconds), float(used)


def validate(book: Book, place: Place, title: str, alone_s: float, alone_cpu_s: float) -> None:
    """Measure ``akjob validate`` of all files."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", "from akjob.cli import main; main()", "--root", str(place.root), "validate"],
        capture_output=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1):
        book.remark(f"c. akjob validate ended with {done.returncode}: {done.stderr[-300:].decode()}")
    if done.returncode == 1:
        book.remark(f"c. akjob validate found problems: {done.stdout[:300].decode()}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    book.add("c", f"{title}: validate", BASE, alone_s, "s")
    book.add("c", f"{title}: validate", AKJOB, seconds, "s")
    book.add("c", f"{title}: validate, CPU", BASE, alone_cpu_s, "s")
    book.add("c", f"{title}: validate, CPU", AKJOB, used, "s")


def idle(book: Book, place: Place, title: str, seconds: float) -> None:
    """Measure what akjobd, and all three programs, do in a stretch without anything to do, as per minute.

    The base is a program that looks at the same files as often as akjobd looks at everything, and does nothing else.
    """
    pids = place.pids()
    before = [(cpu_s(pid), wakeups(pid)) for pid in pids]
    looks = int(seconds // AGAIN_S)
    argv = [sys.executable, "-I", "-S", "-c", _BARE_LOOKS, str(place.root / "jobs.d"), str(AGAIN_S), str(looks)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as bare:
        time.sleep(seconds)
        bare_s = float((bare.communicate()[0]).decode())
    after = [(cpu_s(pid), wakeups(pid)) for pid in pids]
    used = [(now[0] - then[0], now[1] - then[1]) for then, now in zip(before, after, strict=True)]
    minute = 60 / seconds
    book.add("c", f"{title}: idle, CPU a minute", AKJOB, used[0][0] * 1e3 * minute, "ms")
    book.add("c", f"{title}: idle, wake-ups a minute", AKJOB, used[0][1] * minute, "")
    if not looks:
        return
    book.add("c", f"{title}: idle, CPU a minute", BASE, bare_s * 1e3 * minute, "ms")
    book.add("c", f"{title}: idle, CPU of all three", AKJOB, sum(one for one, _ in used) * 1e3 * minute, "ms")
    book.add("c", f"{title}: idle, wake-ups of all three", AKJOB, sum(one for _, one in used) * minute, "")
    book.add("c", f"{title}: memory of akjobd (PSS)", AKJOB, pss_bytes(pids[:1]) / 1e6, "MB")


def reload(book: Book, place: Place, files: int, edits: int, *, measure: str = "d") -> None:
    """Measure how long after its rename an edited file is live."""
    title = f"edit 1 of {files:,}"
    chance = random.Random(7)  # noqa: S311 - any spacing will do
    waits: list[float] = []
    read: list[int] = []
    lost = 0
    tail = Tail(place)
    for edition in range(1, edits + 1):
        number = chance.randrange(files)
        path = place.root / "jobs.d" / f"team{number // 100:03d}" / f"job{number:05d}.toml"
        draft = path.with_name(f".{path.name}")
        draft.write_text(text(number, edition), encoding="utf-8")
        tail.events()
        written_us = time.time_ns() // 1000
        draft.rename(path)
        live = tail.wait("job.changed", 5.0)
        loaded = tail.wait("jobs.loaded", 2.0) if live else None
        if live is None or live["job"] != f"team{number // 100:03d}/job{number:05d}":
            lost += 1
            continue
        waits.append((from_text(str(live["timestamp"])) - written_us) / 1e3)
        if loaded is not None:
            read.append(int(str(loaded["files_read"])))
        time.sleep(chance.uniform(0.05, 0.3))
    if waits:
        book.add(measure, f"{title}: live after, p50", AKJOB, quantile(waits, 0.5), "ms", lost=lost)
        book.add(measure, f"{title}: live after, p99", AKJOB, quantile(waits, 0.99), "ms")
        book.add(measure, f"{title}: files read, most", AKJOB, max(read, default=-1), "")
        book.sample(f"{measure} {files} {AKJOB}", waits)
    else:
        book.remark(f"{measure}. no edit of {files:,} definitions became live")


class Tail:
    """The end of the log stream, as it grows."""

    def __init__(self, place: Place) -> None:
        self._path = place.paths.log
        self._at = self._path.stat().st_size
        self._rest: list[dict[str, object]] = []

    def events(self) -> list[dict[str, object]]:
        """Return what has come since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        data = data[: data.rfind(b"\n") + 1]
        self._at += len(data)
        found, self._rest = [*self._rest, *(json.loads(line) for line in data.splitlines())], []
        return found

    def wait(self, event: str, deadline_s: float) -> dict[str, object] | None:
        """Return the next line of this event; what follows it is kept for the next call."""

        def look() -> dict[str, object] | None:
            events = self.events()
            for index, one in enumerate(events):
                if one["event"] == event:
                    self._rest = events[index + 1 :]
                    return one
            return None

        return until(look, deadline_s, 0.002)
