"""k. The page: what akjob-web takes for an answer, how soon a run is on the screen, and what a browser feels.

One root with 10,000 jobs, of which a hundred may be run at any moment. Its ledger has 10,000 rows first and a million
afterwards, with the same last day: the base is the first, so a ratio says what a page takes more for the length of the
ledger. Server CPU is akjob-web's own, by the kernel, request by request; wall is what a client on the same machine
waits. SQLite's steps are those of the longest single question: each row that is read is three of them at the least.

On the screen: Chromium shows ``/runs``; the instant at which a run's link is in the page, by the browser's clock, less
the run's start in the ledger. Once with the page alone, once with a hundred more streams and fifty runs a second.
"""

import asyncio
import http.client
import shutil
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC
from typing import Any

from akjob.config import load_config
from akjob.control.client import Client
from akjob.control.requests import OPERATIONS
from akjob.errors import AkjobError
from akjob.instants import MINUTE, from_text, to_text
from akjob.ledger import sqlite_reader
from akjob.log import index
from akjob.log.collector.sink import FileSink
from akjob.web.store import WebStore
from benchmarks import many
from benchmarks.book import AKJOB, BASE, Book, quantile
from benchmarks.machine import cpu_s, pss_bytes, until, wakeups
from benchmarks.place import Place

JOBS = 10_000
ROWS = (10_000, 1_000_000)
STEPS_A_ROW = 3
_RUNNABLE = 100
_SHOWN = 50
_BUSY = 25
_BUSY_MINUTES = 5
_BUSY_ROWS = (288, 20_000)
_OTHERS_ROWS = (50, 50)
_LOG_LINES = 1_000_000
_STREAMS = 100
_A_SECOND = 50
_NEVER_THERE = "no line has this"
PAGES = {
    "Jobs": "/",
    "Job": "/jobs/team000/job00007",
    "Run": "/runs/{run}",
    "Timeline (24 h)": "/timeline",
}
ALONE, LOADED = "this page alone", f"{_STREAMS} more streams, {_A_SECOND} runs a second"
_CHROMIUM = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")


def measure(book: Book, rounds: int, *, asked: int = 60, idle_s: float = 30.0, load_s: float = 12.0) -> None:
    """Measure everything once; the rounds are those of what is soon done."""
    with Place() as place:
        many.fill(place, JOBS)
        for number in range(_SHOWN):
            when = f'every = "{_BUSY_MINUTES}m"' if number < _BUSY else f"daily = {number % 24:02}:{number:02}:00"
            place.job(_job(number), f'command = ["/bin/true"]\n[schedule]\n{when}\n')
        names = "".join(f"[instances.r{number:03d}]\n" for number in range(_RUNNABLE))
        place.job("screen", f'command = ["/bin/true"]\n{names}')
        port = _free_port()
        (place.root / "etc/akjob.toml").write_text(f'[web]\nlisten = "127.0.0.1:{port}"\n', encoding="utf-8")
        _write_log(place, _run(1), _LOG_LINES)
        place.start()
        began = 0
        for rows, who in zip(ROWS, (BASE, AKJOB), strict=True):
            _rows(place, began, rows)
            began = rows
            book.say(f"  {rows:,} rows")
            _ready(book, place, port, rounds if who == AKJOB else 1, who)
            _answers(book, place, port, who, asked)
            _steps(book, place, who)
        _idle(book, place, idle_s)
        _log(book, place, port)
        _screen(book, place, port, load_s)
        _ends(book, place, port, rounds)


# -- the server


def _ready(book: Book, place: Place, port: int, rounds: int, who: str) -> None:
    """Start akjob-web so often; the last one stays."""
    for _ in range(rounds + 1):
        place.end("akjob-web")
        began = time.perf_counter()
        place.spawn("akjob-web")
        if not until(lambda: _status(port, "/readyz") == http.HTTPStatus.OK, 30, 0.005):
            raise RuntimeError(place.said())
        took = time.perf_counter() - began
    book.add("k", "ready", who, took, "s")


def _answers(book: Book, place: Place, port: int, who: str, asked: int) -> None:
    pid = place.processes["akjob-web"].pid
    with _session(place, port) as get:
        for name, path in _pages():
            get(path)
            used, took = [], []
            for _ in range(asked):
                cpu, began = cpu_s(pid), time.perf_counter()
                get(path)
                took.append((time.perf_counter() - began) * 1e3)
                used.append((cpu_s(pid) - cpu) * 1e3)
            book.add("k", f"{name}: server CPU, p50", who, quantile(used, 0.5), "ms")
            book.add("k", f"{name}: server CPU, p99", who, quantile(used, 0.99), "ms")
            book.add("k", f"{name}: wall, p50", who, quantile(took, 0.5), "ms")
            book.add("k", f"{name}: wall, p99", who, quantile(took, 0.99), "ms")


def _steps(book: Book, place: Place, who: str) -> None:
    """Ask the same pages of an application in this process, and count what SQLite does for each question."""
    for name, steps in asyncio.run(_counted(place)).items():
        book.add("k", f"{name}: rows that one question reads, at most", who, steps / STEPS_A_ROW, "")


async def _counted(place: Place) -> dict[str, int]:
    import httpx  # noqa: PLC0415 - only here

    from akjob.web.app import build_app  # noqa: PLC0415 - as above
    from akjob.web.site import build_site  # noqa: PLC0415 - as above

    most = [0]
    with WebStore.open(place.paths.web_db) as store, _counting(most):
        site = build_site(
            place.paths, load_config(place.paths.root / "etc/akjob.toml")[0], store, lambda: time.time_ns() // 1000
        )
        token = store.create_token(f"steps-{time.monotonic_ns()}", "admin", None, None, time.time_ns() // 1000).token
        found = {}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(build_app(site)),
            base_url="http://127.0.0.1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        ) as client:
            for name, path in _pages():
                (await client.get(path)).raise_for_status()
                most[0] = 0
                (await client.get(path)).raise_for_status()
                found[name] = most[0]
        await site.close()
    return found


@contextmanager
def _counting(most: list[int]) -> Iterator[None]:
    """Keep in ``most`` how many steps the longest question took, in tens."""
    connect, own = sqlite_reader._connect, {}  # noqa: SLF001 - the one place where a reader connects

    def watched(path: Any) -> sqlite3.Connection:
        connection = connect(path)
        own[connection] = 0

        def begins(_: str) -> None:
            own[connection] = 0

        def step() -> int:
            own[connection] += 10
            most[0] = max(most[0], own[connection])
            return 0

        connection.set_trace_callback(begins)
        connection.set_progress_handler(step, 10)
        return connection

    sqlite_reader._connect = watched  # noqa: SLF001 - as above
    try:
        yield
    finally:
        sqlite_reader._connect = connect  # noqa: SLF001 - as above


def _log(book: Book, place: Place, port: int) -> None:
    """Search a long log for a plain word that is nowhere in it, and open its page."""
    run, lines = _run(1), _LOG_LINES
    with _session(place, port) as get:
        get(f"/runs/{run}")
        began = time.perf_counter()
        get(f"/runs/{run}")
        book.add(
            "k", f"its page opens with a log of {lines:,} lines, wall", AKJOB, (time.perf_counter() - began) * 1e3, "ms"
        )
        began, cpu = time.perf_counter(), cpu_s(place.processes["akjob-web"].pid)
        searched, begin = 0, 0
        while searched < lines:
            text = get(f"/runs/{run}?grep={_NEVER_THERE.replace(' ', '+')}&from={begin}").decode()
            _, found, rest = text.partition("found up to line ")
            searched = int(rest.split(maxsplit=1)[0]) if found else lines
            begin = searched + 1
        used = cpu_s(place.processes["akjob-web"].pid) - cpu
        took = time.perf_counter() - began
        book.add("k", "lines searched for a plain word, wall", AKJOB, lines / took, "/s")
        book.add("k", "lines searched for a plain word, by CPU", AKJOB, lines / used, "/s")


def _write_log(place: Place, run: str, lines: int) -> None:
    """Write what a run printed, before the collector begins."""
    now_us = time.time_ns() // 1000
    place.paths.log_dir.mkdir(parents=True, exist_ok=True)
    sink = FileSink(str(place.paths.log_dir), UTC, 4 << 30)
    sink.open(now_us)
    head = f'{{"timestamp":"{to_text(now_us)}","level":"info","event":"run.output","source":"run","job":"{_job(0)}"'
    for first in range(0, lines, 1000):
        chunk = "".join(
            f'{head},"run":"{run}","seq":{seq},"stream":"stdout","line":"fetched row {seq} of table customers"}}\n'
            for seq in range(first, first + 1000)
        )
        sink.append(chunk.encode(), index.key_of(run, _job(0)), now_us)
    sink.close()


def _idle(book: Book, place: Place, seconds: float) -> None:
    pid = place.processes["akjob-web"].pid
    book.add("k", "akjob-web (PSS)", AKJOB, pss_bytes([pid]) / 1e6, "MB")
    time.sleep(2)
    before = wakeups(pid)
    time.sleep(seconds)
    book.add("k", "wake-ups a minute without a client", AKJOB, (wakeups(pid) - before) * 60 / seconds, "")


def _ends(book: Book, place: Place, port: int, rounds: int) -> None:
    """End akjob-web while streams are open."""
    for _ in range(rounds):
        with _session(place, port) as get, _streams(port, get.cookie, 20):
            process = place.processes["akjob-web"]
            began = time.perf_counter()
            process.send_signal(signal.SIGTERM)
            process.wait(20)
            book.add("k", "SIGTERM with 20 open streams: ended after", AKJOB, time.perf_counter() - began, "s")
        place.end("akjob-web")
        place.spawn("akjob-web")
        until(lambda: _status(port, "/readyz") == http.HTTPStatus.OK, 30, 0.005)


# -- the screen


def _screen(book: Book, place: Place, port: int, load_s: float) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - a tool of the tests
    except ImportError:
        chromium = None
    if chromium is None:
        book.remark("k. What a browser feels was left out: playwright or Chromium is not there.")
        return
    with sync_playwright() as playwright, _session(place, port) as get:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_CHROMIUM))
        context = browser.new_context(viewport={"width": 1400, "height": 900})
        name, _, value = get.cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": f"http://127.0.0.1:{port}"}])
        page = context.new_page()
        page.add_init_script(_OBSERVED)
        _felt(book, page, f"http://127.0.0.1:{port}")
        page.goto(f"http://127.0.0.1:{port}/runs")
        page.locator("#live", has_text="live").wait_for()
        time.sleep(1)
        _appear(book, place, page, ALONE, 2, load_s)
        with _streams(port, get.cookie, _STREAMS):
            pid = place.processes["akjob-web"].pid
            cpu, began = cpu_s(pid), time.perf_counter()
            _appear(book, place, page, LOADED, _A_SECOND, load_s)
            share = (cpu_s(pid) - cpu) / (time.perf_counter() - began) * 100
            book.add("k", "akjob-web's share of a core meanwhile", AKJOB, share, "%")
        browser.close()


# What Chromium itself measures: shifts of the layout, what came after each key and click, and when a run's link is in
# the page, at the frame after it.
_OBSERVED = """
self.felt = { shift: 0, slowest: 0, seen: {} };
const each = (type, take) => new PerformanceObserver((list) => list.getEntries().forEach(take))
  .observe({ type, buffered: true, durationThreshold: 16 });
each("layout-shift", (one) => { if (!one.hadRecentInput) felt.shift += one.value; });
each("event", (one) => { felt.slowest = Math.max(felt.slowest, one.duration); });
const look = () => {
  const now = Date.now();
  for (const link of document.querySelectorAll("main a[href^='/runs/']")) felt.seen[link.getAttribute("href")] ??= now;
};
addEventListener("DOMContentLoaded", () => {
  look();
  new MutationObserver(() => requestAnimationFrame(look))
    .observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["href"] });
});
"""


def _felt(book: Book, page: Any, url: str) -> None:
    """Load each page, press keys and click on it; what Chromium saw is the sum of the shifts and the slowest answer."""
    shift = slowest = 0.0
    for path in ("/", "/jobs/team000/job00007", "/runs", "/timeline", "/system"):
        page.goto(url + path)
        page.locator("#live", has_text="live").wait_for()
        for key in ("j", "j", "k", "z", "z", "z", "t", "t", "t", "?", "Escape", "/"):
            page.keyboard.press(key)
        page.locator("main h1").first.click()
        page.wait_for_timeout(700)
        found = page.evaluate("({ shift: felt.shift, slowest: felt.slowest })")
        shift, slowest = max(shift, found["shift"]), max(slowest, found["slowest"])
    book.add("k", "layout shift, most of five pages", AKJOB, shift, "")
    book.add("k", "key or click to the next frame, slowest", AKJOB, slowest, "ms")


def _appear(  # noqa: PLR0913, PLR0917 - one stretch
    book: Book, place: Place, page: Any, how: str, per_second: int, seconds: float
) -> None:
    first = time.time_ns() // 1000
    thread = threading.Thread(target=_run_jobs, args=(place, per_second, seconds), daemon=True)
    thread.start()
    while thread.is_alive():
        page.wait_for_timeout(200)
    page.wait_for_timeout(1500)
    seen = page.evaluate("felt.seen")
    runs = place.sql("SELECT id, started_at FROM runs WHERE started_at > ? AND job LIKE 'screen@%'", to_text(first))
    took = [seen[f"/runs/{run}"] - from_text(at) / 1e3 for run, at in runs if f"/runs/{run}" in seen]
    missing = len(runs) - len(took)
    if not took:
        book.remark(f"k. No run was seen on the screen: {how}.")
        return
    book.add("k", f"start to screen, p50: {how}", AKJOB, quantile(took, 0.5), "ms", lost=missing)
    book.add("k", f"start to screen, p95: {how}", AKJOB, quantile(took, 0.95), "ms")
    book.add("k", f"runs a second: {how}", AKJOB, len(runs) / seconds, "/s")


def _run_jobs(place: Place, per_second: int, seconds: float) -> None:
    begin = time.monotonic()
    with Client(place.paths) as client:
        for number in range(int(per_second * seconds)):
            time.sleep(max(0.0, begin + number / per_second - time.monotonic()))
            with suppress(AkjobError):  # it still runs: one fewer
                client.call(OPERATIONS["run"](job=f"screen@r{number % _RUNNABLE:03d}"))


# -- the place


def _job(number: int) -> str:
    return f"team{number // 100:03d}/job{number:05d}"


def _run(number: int) -> str:
    return f"00{10**13 - number:014d}"


def _pages() -> list[tuple[str, str]]:
    return [(name, path.format(run=_run(1))) for name, path in PAGES.items()]


def _kept(rows: int) -> Iterator[tuple[int, int, int]]:
    """Yield (number of a job, how many rows it has, minutes between them): those that the first page shows come first.

    A ledger of a million rows has the same last day as one of ten thousand.
    """
    is_long = rows == ROWS[-1]
    left = rows
    for number in range(JOBS):
        busy = number < _BUSY
        most = (_BUSY_ROWS if busy else _OTHERS_ROWS)[is_long] if number < _SHOWN or is_long else 1
        most = min(left, most)
        left -= most
        if most:
            yield number, most, _BUSY_MINUTES if busy else 1440


def _rows(place: Place, there: int, rows: int) -> None:
    """Fill the ledger up, the rows of the shorter one included."""
    now_us = time.time_ns() // 1000 // MINUTE * MINUTE

    def made() -> Iterator[tuple[Any, ...]]:
        number = 0
        for job, count, minutes in _kept(rows):
            for back in range(count):
                number += 1
                at_us = now_us - (back + 1) * minutes * MINUTE - job * 1_000_000
                state = "failed" if number % 97 == 1 else "succeeded"
                slot, started, ended = to_text(at_us), to_text(at_us + 2000), to_text(at_us + 1_500_000 + number % 977)
                yield _run(number), _job(job), slot, slot, state, slot, started, ended, 1 if state == "failed" else 0

    with closing(sqlite3.connect(place.paths.db, timeout=30)) as connection, connection:
        if there:
            connection.execute("DELETE FROM runs")
        connection.executemany(
            "INSERT OR IGNORE INTO runs (id, job, slot, slot_last, trigger, state, queued_at, started_at, ended_at, "
            "exit_code, host, user_cpu_s, system_cpu_s, max_rss_bytes) "
            "VALUES (?, ?, ?, ?, 'schedule', ?, ?, ?, ?, ?, 'here', 0.2, 0.1, 9000000)",
            made(),
        )
        connection.execute("UPDATE jobs SET last_state = 'succeeded', last_ended = ?", (to_text(now_us),))


class _Get:
    """A session's connection that is kept."""

    def __init__(self, port: int, cookie: str) -> None:
        self.cookie = cookie
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __call__(self, path: str) -> bytes:
        """Return the body of a page."""
        self._connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            message = f"GET {path}: {answer.status} {body[:200]!r}"
            raise RuntimeError(message)
        return body

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextmanager
def _session(place: Place, port: int) -> Iterator[_Get]:
    with WebStore.open(place.paths.web_db) as store:
        code = store.create_code("bench", time.time_ns() // 1000)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", f"/login?code={code}")
    answer = connection.getresponse()
    cookie = str(answer.getheader("Set-Cookie")).partition(";")[0]
    connection.close()
    get = _Get(port, cookie)
    try:
        yield get
    finally:
        get.close()


@contextmanager
def _streams(port: int, cookie: str, count: int) -> Iterator[None]:
    """Hold so many streams of events open, and read what comes."""
    import selectors  # noqa: PLC0415 - only here

    stopped, selector = threading.Event(), selectors.DefaultSelector()
    request = f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n\r\n".encode()
    opened = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(request)
        one.recv(4096)
        one.setblocking(False)
        selector.register(one, selectors.EVENT_READ)
        opened.append(one)

    def read() -> None:
        while not stopped.is_set():
            for key, _ in selector.select(0.2):
                with suppress(OSError):
                    if not key.fileobj.recv(65_536):  # type: ignore[union-attr] # a socket
                        selector.unregister(key.fileobj)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        selector.close()
        for one in opened:
            one.close()


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
