"""c, e, i and j: all of akjob together, as ``akjob up`` starts it: supervisord, akjobd, collector, page and messages.

``up``: from the command until ``akjob status`` says that everything is there, with 10,000 definitions; ``tomllib``
alone reads the same files. ``together``: what the idle programs take, how soon the page and the metrics are answered,
and whether starts become later while people and machines look: one callable a second, in stretches that alternate.
In every stretch a hundred shell lines fail and recover in turn, 500 runs a minute. In one kind of stretch that is all;
in the other there are a hundred open pages, a scrape of the metrics each second and a channel that is told of each
failure and each recovery. ``simulation``: a year of a hundred jobs.
"""

import http.client
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from akjob.config import Paths
from akjob.instants import from_text
from benchmarks import many
from benchmarks.book import AKJOB, BASE, Book, quantile
from benchmarks.machine import cpu_s, family, pss_bytes, until, wakeups
from benchmarks.place import STAMP
from benchmarks.start import stamps

_FILES = 10_000
_JOBS = 1_000
_PAGES = 100
_FLIPPING = 100
_FLIP_S = 12
_SETTLE_S = 20.0
_ASKED = 40
LOOKED_AT = "a start a second: 100 open pages, a scrape a second, 500 runs a minute told of"


class Whole:
    """A root that ``akjob init`` has written, with everything that ``akjob up`` starts. Nothing of it is left after."""

    def __init__(self, port: int) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="akjob-bench-")).resolve()
        self.paths = Paths(self.root)
        self.port = port
        self.stamps = self.root / "stamps"
        self.akjob("init", str(self.root))
        (self.root / "jobs.d" / "hello.toml").unlink()
        (self.root / "stamping.py").write_text(STAMP, encoding="utf-8")
        os.utime(self.root / "stamping.py", (0, 0))
        self.settings("")

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything and remove the root."""
        with suppress(subprocess.CalledProcessError):
            self.akjob("down", "--kill")
        shutil.rmtree(self.root, ignore_errors=True)

    def settings(self, text: str) -> None:
        """Write etc/akjob.toml: these lines, and where the page listens."""
        draft = self.root / "etc" / ".akjob.toml"
        draft.write_text(f'[web]\nlisten = "127.0.0.1:{self.port}"\n{text}', encoding="utf-8")
        draft.rename(self.root / "etc" / "akjob.toml")

    def akjob(self, *words: str, check: bool = True) -> "subprocess.CompletedProcess[bytes]":
        """Run a command of this root."""
        environment = {key: text for key, text in os.environ.items() if not key.startswith(("AKJOB_", "SUPERVISOR_"))}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        argv = [str(Path(sys.executable).with_name("akjob")), *words]
        return subprocess.run(argv, cwd=self.root, env=environment, check=check, capture_output=True)

    def supervisorctl(self, *words: str) -> None:
        """Start or stop programs."""
        argv = [str(Path(sys.executable).with_name("supervisorctl")), "-c", "etc/supervisord.conf", *words]
        subprocess.run(argv, cwd=self.root, check=True, capture_output=True)

    def up(self) -> float:
        """Start it; return the seconds until ``akjob status`` says that all is there."""
        began = time.perf_counter()
        self.akjob("up", "--detach")
        if not until(lambda: self.akjob("status", check=False).returncode == 0, 30, 0.02):
            raise RuntimeError(self.akjob("status", check=False).stdout.decode())
        return time.perf_counter() - began

    def pids(self) -> list[int]:
        """Return supervisord and all that descend from it."""
        return family(int((self.paths.run_dir / "supervisord.pid").read_text(encoding="ascii")))


def up(book: Book, rounds: int, files: int = _FILES) -> None:
    """Measure how soon everything is there."""
    title = f"{files:,} definitions"
    with Whole(_free_port()) as whole:
        many.fill(whole, files)
        os.sync()
        time.sleep(2.5)  # of younger files the content counts, whatever stat says
        for _ in range(rounds):
            (whole.paths.var / "jobs.cache").unlink(missing_ok=True)
            for path in whole.paths.var.glob("akjob.db*"):
                path.unlink()
            alone_s, _ = many.tomllib_alone(whole, files)
            for what in ("cold", "warm"):
                book.add("c", f"{title}: akjob up to status, {what}", BASE, alone_s, "s")
                book.add("c", f"{title}: akjob up to status, {what}", AKJOB, whole.up(), "s")
                until((whole.paths.var / "jobs.cache").exists, 10)
                whole.akjob("down")


def together(book: Book, rounds: int, stretch_s: int = 60) -> None:
    """Measure all programs, idle and looked at."""
    with _Sink() as sink, Whole(_free_port()) as whole:
        for number in range(_JOBS):
            (whole.root / "jobs.d" / f"idle{number}.toml").write_text(many.text(number), encoding="utf-8")
        whole.up()
        time.sleep(_SETTLE_S)
        _idle(book, whole, stretch_s)
        _answers(book, whole)
        _looked_at(book, whole, sink, rounds, stretch_s)


def _idle(book: Book, whole: Whole, seconds: int) -> None:
    pids = whole.pids()
    before = sum(wakeups(pid) for pid in pids), sum(cpu_s(pid) for pid in pids)
    time.sleep(seconds)
    after = sum(wakeups(pid) for pid in pids), sum(cpu_s(pid) for pid in pids)
    own = pids[0]  # supervisord looks once a second, which is its way
    book.add("e", "idle: all programs, page and messages included", AKJOB, pss_bytes(pids) / 1e6, "MB")
    supervisor = wakeups(own)
    time.sleep(seconds)
    ticks = (wakeups(own) - supervisor) * 60 / seconds
    total = (after[0] - before[0]) * 60 / seconds
    book.add("e", "idle: wake-ups a minute of all programs but supervisord", AKJOB, max(0.0, total - ticks), "")
    book.add("e", "idle: wake-ups a minute of supervisord", AKJOB, ticks, "")
    book.add("e", "idle: CPU a minute of all programs", AKJOB, (after[1] - before[1]) * 6e4 / seconds, "ms")


def _answers(book: Book, whole: Whole) -> None:
    with _Session(whole) as session:
        for what, path in (("/metrics", "/metrics"), ("/metrics/jobs", "/metrics/jobs"), ("the jobs page", "/")):
            took = []
            for _ in range(_ASKED):
                began = time.perf_counter()
                session.get(path)
                took.append((time.perf_counter() - began) * 1e3)
            book.add("i", f"{what} with {_JOBS:,} jobs, p50", AKJOB, quantile(took, 0.5), "ms")


def _looked_at(book: Book, whole: Whole, sink: "_Sink", rounds: int, stretch_s: int) -> None:
    _job(whole, "tick", f'callable = "stamping:stamp"\nargs = ["{whole.stamps}", "tick"]\n[schedule]\nevery = "1s"\n')
    flips = "".join(f"[instances.f{number}]\n" for number in range(_FLIPPING))
    _job(
        whole,
        "flip",
        f'command = "exit $(( $(date +%s) / {_FLIP_S} % 2 ))"\n{flips}'
        f'[schedule]\nevery = "{_FLIP_S}s"\njitter = "{_FLIP_S}s"\n',
    )
    until(whole.stamps.exists, 10)
    for _ in range(rounds):
        whole.supervisorctl("stop", "akjob-web", "akjob-notify")
        whole.settings("")
        _stretch(book, whole, BASE, stretch_s)
        whole.settings(
            f'[channels.hook]\nwebhook = {{ url = "{sink.url}" }}\nmax_an_hour = 100000\n'
            '[notify]\nchannels = ["hook"]\n'
        )
        whole.supervisorctl("start", "akjob-web", "akjob-notify")
        until(lambda: whole.akjob("status", check=False).returncode == 0, 30)
        with _Session(whole) as session, _Pages(whole, session.cookie, _PAGES):
            before = sink.told
            scraping = threading.Event()
            scraper = threading.Thread(target=_scrape, args=(whole, scraping), daemon=True)
            scraper.start()
            _stretch(book, whole, AKJOB, stretch_s)
            scraping.set()
            scraper.join()
        told = (sink.told - before) * 60 / stretch_s
        book.add("i", "jobs told of in a minute", AKJOB, told, "")


def _stretch(book: Book, whole: Whole, who: str, seconds: int) -> None:
    time.sleep(_SETTLE_S)
    first = int(time.time()) + 1
    time.sleep(seconds + 2)
    lates = [
        at / 1e6 - from_text(slot) / 1e3
        for _, at, slot in stamps(whole.stamps)
        if first <= from_text(slot) // 1_000_000 < first + seconds
    ]
    book.add("i", f"{LOOKED_AT}, p50", who, quantile(lates, 0.5), "ms", lost=seconds - len(lates))
    book.add("i", f"{LOOKED_AT}, p99", who, quantile(lates, 0.99), "ms")
    book.sample(f"i {who}", lates)


def simulation(book: Book, rounds: int) -> None:
    """Measure the simulation of a year of a hundred jobs."""
    with Whole(_free_port()) as whole:
        for number in range(100):
            _job(whole, f"job{number}", f'command = "true"\n[schedule]\ndaily = {number % 24:02}:{number % 60:02}:00\n')
        for _ in range(rounds):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            began = time.perf_counter()
            done = whole.akjob("simulate", "--from", "2027-01-01", "--until", "2028-01-01", "--json")
            took_s = time.perf_counter() - began
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            rows = done.stdout.count(b"\n")
            book.add("j", "a year of 100 jobs", AKJOB, took_s, "s")
            book.add("j", "a year of 100 jobs: rows", AKJOB, rows, "")
            book.add("j", "a year of 100 jobs: CPU", AKJOB, used_s, "s")


def _job(whole: Whole, name: str, text: str) -> None:
    (whole.root / "jobs.d" / f"{name}.toml").write_text(text, encoding="utf-8")


def _free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return int(server.server_address[1])


class _Session:
    """A browser's session: logged in by the printed URL, one connection that is kept."""

    def __init__(self, whole: Whole) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", whole.port, timeout=30)
        url = urlsplit(whole.akjob("web").stdout.decode().split()[-1])
        self._connection.request("GET", f"{url.path}?{url.query}")
        answer = self._connection.getresponse()
        answer.read()
        self.cookie = str(answer.getheader("Set-Cookie")).partition(";")[0]

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        self._connection.close()

    def get(self, path: str) -> bytes:
        """Return the body of a page."""
        self._connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != http.HTTPStatus.OK:
            message = f"GET {path}: {answer.status} {body[:200]!r}"
            raise RuntimeError(message)
        return body


class _Pages:
    """So many open pages: each has asked for the jobs once, and hears of changes from then on."""

    def __init__(self, whole: Whole, cookie: str, count: int) -> None:
        self._connections = [http.client.HTTPConnection("127.0.0.1", whole.port, timeout=30) for _ in range(count)]
        self._cookie = cookie
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        """Open them."""
        self._streams = []
        for connection in self._connections:
            connection.request("GET", "/api/v1/events", headers={"Cookie": self._cookie, "Accept": "text/event-stream"})
            self._streams.append(connection.getresponse())
        self._thread.start()
        return self

    def _read(self) -> None:
        """Read what comes, so that no stream fills up."""
        import selectors  # noqa: PLC0415

        selector = selectors.DefaultSelector()
        for connection in self._connections:
            if connection.sock is not None:
                connection.sock.setblocking(False)
                selector.register(connection.sock, selectors.EVENT_READ)
        while not self._stopped.is_set():
            for key, _ in selector.select(0.2):
                with suppress(BlockingIOError):
                    if not key.fileobj.recv(65_536):  # type: ignore[union-attr]
                        selector.unregister(key.fileobj)
        selector.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them."""
        self._stopped.set()
        self._thread.join()
        for connection in self._connections:
            connection.close()


def _scrape(whole: Whole, stopped: threading.Event) -> None:
    with _Session(whole) as session:
        while not stopped.wait(1):
            session.get("/metrics")


class _Sink:
    """A webhook's other side: it counts the jobs that it is told of."""

    def __init__(self) -> None:
        self.told = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(handler) -> None:  # noqa: N805
                body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
                self.told += len(body["jobs"])
                handler.send_response(204)
                handler.end_headers()

            def log_message(handler, *_: object) -> None:  # noqa: N805
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
