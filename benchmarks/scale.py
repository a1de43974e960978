"""g. How cost grows: with the number of definitions, of simultaneous runs, and of rows in the ledger.

For 10, 100, 1,000 and 10,000 definitions: how soon akjobd is ready, how soon an edit is live, and akjobd's CPU time for
one due run among them. For 1, 10, 100 and 1,000 jobs due at once: when the last one starts, and CPU per run. With
500,000 runs in the ledger: what ``akjob history`` takes more than with none. i. ``messages``: what would have been
sent over a ledger of a million runs of thirty days, of which one in fifty failed.
"""

import os
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC
from pathlib import Path

from akjob.instants import DAY, from_text, to_text
from akjob.ledger import open_store
from akjob.log import archive, files, index
from akjob.log.collector.sink import FileSink
from akjob.run.ids import first_id
from benchmarks import burst, many
from benchmarks.book import AKJOB, Book, quantile
from benchmarks.machine import cpu_s, pss_bytes, until
from benchmarks.place import Place

DEFINITIONS = (10, 100, 1_000, 10_000)
AT_ONCE = (1, 10, 100, 1_000)
ROWS = 500_000
_DUE_S = 6


def measure(book: Book, rounds: int, definitions: tuple[int, ...] = DEFINITIONS) -> None:
    """Measure so many rounds."""
    for _ in range(rounds):
        for number in definitions:
            _definitions(book, number)
        for jobs in AT_ONCE:
            burst.akjob(book, "callable", jobs, measure="g", titled=f"{jobs:,} at once")
    _ledger(book)


def _definitions(book: Book, files: int) -> None:
    with Place() as place:
        many.fill(place, files)
        book.add("g", f"{files:,} definitions: ready", AKJOB, place.start(), "s")
        many.reload(book, place, files, 15, measure="g")
        pid = place.pid("akjobd")
        book.add("g", f"{files:,} definitions: akjobd (PSS)", AKJOB, pss_bytes([pid]) / 1e6, "MB")
        place.job("tick", 'command = ["/bin/true"]\n[schedule]\nevery = "1s"\n')
        time.sleep(2.5)
        before, rows = cpu_s(pid), _rows(place)
        time.sleep(_DUE_S)
        used, runs = cpu_s(pid) - before, _rows(place) - rows
        book.add("g", f"{files:,} definitions: akjobd's CPU per due run", AKJOB, used / max(1, runs) * 1e3, "ms")


def _rows(place: Place) -> int:
    return int(place.sql("SELECT count(*) FROM runs")[0][0])


def _ledger(book: Book) -> None:
    with Place() as place:
        open_store(place.paths.ledger_url).close()
        empty = _history_s(place)
        with closing(sqlite3.connect(place.paths.db)) as connection, connection:
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                "INSERT INTO runs (id, job, slot, slot_last, attempt, trigger, state, queued_at, started_at, "
                "ended_at, host) "
                "SELECT printf('%020d', i), 'job' || (i % 1000), t, t, 1, 'schedule', 'succeeded', t, t, t, 'here' "
                "FROM (SELECT i, strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1700000000 + i, 'unixepoch') AS t FROM n)",
                (ROWS,),
            )
        full = _history_s(place)
        book.add("g", "history: no rows", AKJOB, empty, "s")
        book.add("g", f"history: {ROWS:,} rows", AKJOB, full, "s")
        book.add("g", f"history: {ROWS:,} rows against none", AKJOB, full - empty, "s")


def _history_s(place: Place) -> float:
    took = []
    for _ in range(6):
        began = time.perf_counter()
        subprocess.run(
            [
                sys.executable,
                "-c",
                "from akjob.cli import main; main()",
                "--root",
                str(place.root),
                "history",
                "--json",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])  # the first one warms what later ones find warm


# -- a large ledger and a large log

LARGE_ROWS = 5_000_000
LARGE_LOG = 10_000_000_000
SIMULATED_ROWS = 1_000_000
SIMULATED = f"messages of 30 days, {SIMULATED_ROWS:,} runs"
_JOBS = 1_000
_JOB = "team000/job00007"
_KEPT = '[log]\nkeep = "90d"\nmax_total = "100GB"\n[ledger]\nkeep = "{keep}"\n'
_TOLD = (
    '[channels.ops]\nwebhook = { url = "http://127.0.0.1:9/" }\nmax_an_hour = 100000\n[notify]\nchannels = ["ops"]\n'
)
_LINES = 250  # that one run prints
_PRUNE_S = 20
COMMANDS = (
    "list",
    f"show {_JOB}",
    "next",
    "validate",
    "status",
    "history",
    f"history {_JOB}",
    "history --state failed",
    f"history {_JOB} --state failed",
    "logs -n 20",
    f"logs {_JOB} -n 20",
    "logs",
    f"logs {_JOB}",
    "logs RUN",
    "logs OLD_RUN",
    "logs -f",
)
_ENDLESS = ("logs", f"logs {_JOB}", "logs -f")


def large(book: Book, rows: int = LARGE_ROWS, log_bytes: int = LARGE_LOG) -> None:
    """Measure every command on an empty ledger and log, and on large ones; then the pruning of the ledger."""
    if shutil.disk_usage(Path("/tmp")).free < 2 * (log_bytes + rows * 700):  # noqa: S108 - where places are made
        book.remark(
            f"g. large was left out: the disk has no room for {rows:,} runs and {log_bytes / 1e9:.0f} GB of log"
        )
        return
    empty = _commands_s(book, 10, 2_000_000)
    with Place() as place:
        runs = _fill(book, place, rows, log_bytes)
        for command, seconds in _times(place, runs).items():
            what = f"large: {command}"
            book.add("g", f"{what}, seconds", AKJOB, seconds, "s")
            book.add("g", f"{what}, more than empty", AKJOB, seconds - empty[command], "s")
        _prune(book, place)


def _commands_s(book: Book, rows: int, log_bytes: int) -> dict[str, float]:
    with Place() as place:
        return _times(place, _fill(book, place, rows, log_bytes))


def _fill(book: Book, place: Place, rows: int, log_bytes: int) -> dict[str, str]:
    """Make definitions, a ledger and a log, start akjobd; return the runs that are asked for by their names above."""
    many.fill(place, _JOBS)
    (place.root / "etc/akjob.toml").write_text(_KEPT.format(keep="90d"), encoding="utf-8")
    now_us = time.time_ns() // 1000
    began = time.monotonic()
    _make_rows(place, rows, now_us)
    book.say(f"  {rows:,} runs made in {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    runs = _make_log(place, rows, log_bytes, now_us)
    book.say(f"  {log_bytes / 1e9:.2f} GB of log made in {time.monotonic() - began:.0f} s")
    place.start()
    return runs


def _number(number: int, _at_s: float) -> str:
    return f"{number:016d}"


def messages(book: Book, rounds: int) -> None:
    """Measure ``akjob notify simulate`` so often, on one ledger."""
    with Place() as place:
        many.fill(place, _JOBS)
        (place.root / "etc/akjob.toml").write_text(_TOLD, encoding="utf-8")
        _make_rows(place, SIMULATED_ROWS, time.time_ns() // 1000, 30, lambda _, at_s: first_id(int(at_s * 1e6)))
        place.start()  # it keeps the definitions
        place.stop()
        words = ["notify", "simulate", "--since", "30d", "--json"]
        found = []
        for _ in range(rounds + 1):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            environment = {**os.environ, "AKJOB_ROOT": str(place.root)}
            argv = [sys.executable, "-c", "from akjob.cli import main; main()", *words]
            done = subprocess.run(argv, env=environment, check=True, stdout=subprocess.PIPE)
            took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            found.append((took, cpu, len(done.stdout.splitlines())))
        for took, cpu, sent in found[1:]:
            book.add("i", SIMULATED, AKJOB, took, "s")
            book.add("i", f"{SIMULATED}: CPU", AKJOB, cpu, "s")
            book.add("i", f"{SIMULATED}: sent", AKJOB, sent, "")


def _make_rows(
    place: Place, rows: int, now_us: int, days: int = 80, run_id: Callable[[int, float], str] = _number
) -> None:
    """Write runs of so many days until now; the indexes are made afterwards, which is sooner done."""
    open_store(place.paths.ledger_url).close()
    step = days * 86_400 / rows
    with closing(sqlite3.connect(place.paths.db, isolation_level=None)) as connection:
        connection.create_function("run_id", 2, run_id, deterministic=True)
        execute = connection.execute
        execute("PRAGMA journal_mode = OFF")
        execute("PRAGMA synchronous = OFF")
        execute("PRAGMA cache_size = -500000")
        indexes = execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
        for name, _ in indexes:
            execute(f"DROP INDEX {name}")
        execute("BEGIN")
        execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows) "
            "INSERT INTO runs (id, job, slot, slot_last, trigger, state, queued_at, started_at, ended_at, exit_code, "
            "pid, host, user_cpu_s, system_cpu_s, max_rss_bytes, definition_sha256) "
            "SELECT run_id(i, at_s), printf('team%03d/job%05d', i % 1000 / 100, i % 1000), t, t, 'schedule', "
            "CASE WHEN i * 7919 % 100003 % 50 = 0 THEN 'failed' WHEN i % 997 = 0 THEN 'missed' ELSE 'succeeded' END, "
            "t, t, t, 0, i, "
            "'here', 0.01, 0.01, 9000000, printf('%064d', i % 1000) FROM "
            "(SELECT i, :first + i * :step AS at_s, "
            "strftime('%Y-%m-%dT%H:%M:%S.000000Z', :first + i * :step, 'unixepoch') AS t FROM n)",
            {"rows": rows, "first": now_us // 1_000_000 - days * 86_400, "step": step},
        )
        execute("COMMIT")
        for _, sql in indexes:
            execute(sql)
        execute("PRAGMA journal_mode = WAL")


def _make_log(place: Place, rows: int, log_bytes: int, now_us: int) -> dict[str, str]:
    """Write what the newest runs printed since yesterday, by the collector's own writer; archive the oldest file."""
    place.paths.log_dir.mkdir(parents=True, exist_ok=True)
    head = '{"timestamp":"@TIME","level":"info","event":"%s","source":"run","job":"@JOB","run":"@RUN","seq":%d'
    text = [f'{head % ("run.output", seq)},"stream":"stdout","line":"{"x" * 80}"}}\n' for seq in range(1, _LINES)]
    text.insert(0, head % ("run.started", 0) + "}\n")
    text.append(head % ("run.finished", _LINES) + ',"state":"succeeded"}\n')
    template = "".join(text)
    count = max(2, min(rows, log_bytes // (len(template) + 40 * _LINES)))
    first_us = now_us - 30 * 3_600_000_000
    sink = FileSink(str(place.paths.log_dir), UTC, 256 << 20)
    sink.open(first_us)
    for number in range(rows - count + 1, rows + 1):
        run, job = f"{number:016d}", f"team{number % 1000 // 100:03d}/job{number % 1000:05d}"
        at_us = first_us + (now_us - first_us) * (number - rows + count) // count
        chunk = template.replace("@TIME", to_text(at_us)).replace("@JOB", job).replace("@RUN", run).encode()
        sink.append(chunk, index.key_of(run, job), at_us)
    sink.close()
    finished = files.finished(str(place.paths.log_dir))
    if finished:
        archive.compress(str(place.paths.log_dir), finished[0])
    return {"RUN": f"{rows - count // 2:016d}", "OLD_RUN": f"{rows - count + 1:016d}"}


def _times(place: Place, runs: dict[str, str]) -> dict[str, float]:
    """Return what every command takes: the median of three, after one that warms what others find warm."""
    found = {}
    for command in COMMANDS:
        words = [runs.get(word, word) for word in command.split()]
        found[command] = statistics.median([_command_s(place, words, command in _ENDLESS) for _ in range(4)][1:])
    return found


def _command_s(place: Place, words: list[str], endless: bool) -> float:
    began = time.perf_counter()
    code = "from akjob.cli import main; main()"
    arguments = [sys.executable, "-c", code, "--root", str(place.root), *words]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        stream = process.stdout
        said = b"" if stream is None else stream.readline() if endless else stream.read()
        took = time.perf_counter() - began
        if endless:
            process.kill()
        if (not endless and process.wait() not in {0, 1}) or not said:
            message = f"akjob {' '.join(words)} ended with {process.returncode}: {said[-300:].decode()}"
            raise RuntimeError(message)
    return took


def _prune(book: Book, place: Place) -> None:
    """Let nearly all rows be old, and watch what becomes of the rest of akjobd meanwhile."""
    place.stop()
    (place.root / "etc/akjob.toml").write_text(_KEPT.format(keep="1d"), encoding="utf-8")
    place.job("tick", 'command = ["/bin/true"]\n[schedule]\nevery = "1s"\n')
    size = place.paths.db.stat().st_size
    old = to_text(time.time_ns() // 1000 - DAY)
    before = place.sql("SELECT count(*) FROM runs WHERE id < '01' AND queued_at < ?", old)[0][0]
    place.start()
    waits = []
    end = time.monotonic() + _PRUNE_S
    while time.monotonic() < end:
        began = time.perf_counter()
        place.status()
        waits.append((time.perf_counter() - began) * 1e3)
        time.sleep(0.05)
    after = place.sql("SELECT count(*) FROM runs WHERE id < '01' AND queued_at < ?", old)[0][0]
    wal = Path(f"{place.paths.db}-wal").stat().st_size
    until(lambda: place.sql("SELECT 1 FROM runs WHERE job = 'tick' AND started_at IS NOT NULL"), 5)
    ticks = place.sql("SELECT slot, started_at FROM runs WHERE job = 'tick' AND started_at IS NOT NULL")
    late = [(from_text(started) - from_text(slot)) / 1e3 for slot, started in ticks]
    book.add("g", "large, pruned: rows a second", AKJOB, (before - after) / _PRUNE_S, "/s")
    book.add("g", "large, pruned: status meanwhile, longest", AKJOB, max(waits), "ms")
    book.add("g", "large, pruned: a start every second, p50", AKJOB, quantile(late, 0.5), "ms")
    book.add("g", "large, pruned: a start every second, latest", AKJOB, max(late), "ms")
    book.add("g", "large, pruned: starts of a start a second", AKJOB, len(late) / _PRUNE_S, "")
    book.add("g", "large, pruned: the ledger's growth", AKJOB, (place.paths.db.stat().st_size - size) / 1e6, "MB")
    book.add("g", "large, pruned: its write-ahead log", AKJOB, wal / 1e6, "MB")
