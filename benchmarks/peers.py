"""The peers that can be had: Debian's cron, yacron, APScheduler. Each is left out, with the reason, where it cannot.

They are installed into a cache folder outside the project: cron's package is unpacked there and runs in a mount
namespace of its own, so that nothing on the machine sees it; the others are in a virtual environment.

a. All three at once for so many minutes, a job each: ``date`` into a file, every minute (APScheduler: every second, on
   the half second, so that it does not meet the others).
b. 1,000 times that command at one instant, then scripts of the smallest kind in Python, which is what a callable is
   to a scheduler that has none; one after the other. APScheduler also with its default grace, which drops what is late.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.book import Book, quantile
from benchmarks.machine import Cage, family, next_second, pss_bytes, sleep_until, until
from benchmarks.start import stamps

_YACRON = "yacron==0.19.0"
_APSCHEDULER = "APScheduler==3.11.1"
_PATIENCE_S = 75.0
_SCRIPT = """\
import time
began = time.time_ns()
import sys
with open(sys.argv[1], "a") as file:
    file.write(f"{sys.argv[2]} {began} -\\n")
"""
_SCHEDULER = """\
import subprocess, sys, time
from datetime import datetime, timedelta
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler

out, mode, due, count = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
file = open(out, "ab")

def go(name):
    subprocess.run(["/bin/date", "+" + name + " %s%N -"], stdout=file)

scheduler = BlockingScheduler(executors={"default": ThreadPoolExecutor(20)}, timezone="UTC")
moment = datetime.fromtimestamp(due)
grace = {} if mode == "default" else {"misfire_grace_time": None}
if mode == "every":
    for number in range(count):
        when = moment.astimezone() + timedelta(seconds=number)
        scheduler.add_job(go, "date", run_date=when, args=[str(number)], **grace)
else:
    for number in range(count):
        scheduler.add_job(go, "date", run_date=moment.astimezone(), args=[str(number)], **grace)
scheduler.start()
"""


class Peers:
    """What could be installed: ``cron`` is the program, ``python`` the environment's interpreter; None: not there."""

    def __init__(self, book: Book, cache: Path | None = None) -> None:
        self.book = book
        self.cache = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "akjob-bench"
        self.cron = self._try("Debian's cron", self._cron)
        self.yacron = self._try("yacron", lambda: self._from_pip(_YACRON, "bin/yacron"))
        self.apscheduler = self._try("APScheduler", lambda: self._from_pip(_APSCHEDULER, "bin/python"))

    def _try(self, name: str, install: Callable[[], Path]) -> Path | None:
        try:
            return install()
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None)
            why = said.decode(errors="replace").strip().splitlines()[-1] if said and said.strip() else str(error)
            self.book.remark(f"{name} is left out: {why}")
            return None

    def _cron(self) -> Path:
        if os.geteuid() != 0:
            raise OSError("only root can run it")
        _run("unshare", "--mount", "true")
        folder = self.cache / "cron"
        program = folder / "usr/sbin/cron"
        if not program.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _run("apt-get", "download", "cron", cwd=folder)
            _run("dpkg", "-x", str(next(folder.glob("cron_*.deb"))), str(folder))
        return program

    def _from_pip(self, package: str, program: str) -> Path:
        folder = self.cache / package.replace("==", "-")
        if not (folder / "done").exists():
            _run(sys.executable, "-m", "venv", "--clear", str(folder))
            _run(str(folder / "bin/pip"), "--disable-pip-version-check", "--quiet", "install", package)
            (folder / "done").touch()
        return folder / program

    # -- starting them ------------------------------------------------------------------------------------------------

    @contextmanager
    def running(self, who: str, lines: list[tuple[str, str]], due: float) -> Iterator[tuple[Cage, int]]:
        """Run one of the two with (name, command) lines, all due in the minute of ``due``; every minute if 0."""
        folder = Path(tempfile.mkdtemp(prefix="akjob-bench-"))
        moment = datetime.fromtimestamp(due, UTC)
        minute = "* * * * *" if not due else f"{moment.minute} {moment.hour} * * *"
        argv = self._cron_argv(folder, minute, lines) if who == "cron" else self._yacron_argv(folder, minute, lines)
        with Cage() as cage, (folder / "said").open("wb") as said:
            program = subprocess.Popen(argv, stdout=said, stderr=said, env={**os.environ, "TZ": "UTC"})
            cage.take(program.pid)
            try:
                yield cage, program.pid
            finally:
                for pid in reversed(family(program.pid)):
                    with suppress(ProcessLookupError):
                        os.kill(pid, 9)
                program.wait()
                shutil.rmtree(folder, ignore_errors=True)

    def _cron_argv(self, folder: Path, minute: str, lines: list[tuple[str, str]]) -> list[str]:
        table = folder / "root"
        text = "".join(f"{minute} {command}\n".replace("%", "\\%") for _, command in lines)
        table.write_text(f"SHELL=/bin/sh\n{text}", encoding="utf-8")
        table.chmod(0o600)
        (folder / "empty").mkdir()
        script = (
            "set -e; mount --make-rprivate /; mount -t tmpfs none /var/spool; mkdir -p /var/spool/cron/crontabs; "
            f"cp {table} /var/spool/cron/crontabs/root; chmod 600 /var/spool/cron/crontabs/root; "
            f"if [ -d /etc/cron.d ]; then mount --bind {folder}/empty /etc/cron.d; fi; "
            f"if [ -e /etc/crontab ]; then mount --bind /dev/null /etc/crontab; fi; "
            f"mount -t tmpfs none /run; exec {self.cron} -f"
        )
        return ["unshare", "--mount", "sh", "-c", script]

    def _yacron_argv(self, folder: Path, minute: str, lines: list[tuple[str, str]]) -> list[str]:
        jobs = "".join(
            f"  - name: {name}\n    command: >-\n      {command}\n    schedule: '{minute}'\n    captureStderr: false\n"
            for name, command in lines
        )
        (folder / "yacron.yaml").write_text(f"jobs:\n{jobs}", encoding="utf-8")
        return [str(self.yacron), "-c", str(folder / "yacron.yaml")]

    @contextmanager
    def scheduler(self, out: Path, mode: str, due: float, count: int) -> Iterator[tuple[Cage, int]]:
        """Run APScheduler."""
        with Cage() as cage:
            program = subprocess.Popen(
                [str(self.apscheduler), "-c", _SCHEDULER, str(out), mode, str(due), str(count)],
                stderr=subprocess.DEVNULL,
            )
            cage.take(program.pid)
            try:
                yield cage, program.pid
            finally:
                for pid in reversed(family(program.pid)):
                    with suppress(ProcessLookupError):
                        os.kill(pid, 9)
                program.wait()


def measure(book: Book, *, minutes: int, jobs: int, scripts: int, cache: Path | None = None) -> None:
    """Measure a over so many minutes, then b once."""
    peers = Peers(book, cache)
    folder = Path(tempfile.mkdtemp(prefix="akjob-bench-"))
    try:
        _latency(book, peers, folder, minutes)
        for who in ("cron", "yacron"):
            if getattr(peers, who) is not None:
                _burst(book, peers, who, folder, "sh -c", jobs)
                _burst(book, peers, who, folder, "Python script", scripts)
        if peers.apscheduler is not None:
            for mode in ("no grace", "default"):
                _scheduler_burst(book, peers, folder, mode, jobs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _latency(book: Book, peers: Peers, folder: Path, minutes: int) -> None:
    begin = (int(time.time()) + 8) // 60 * 60 + 60
    out = folder / "every"
    with _all(peers, folder, begin, minutes):
        sleep_until(begin + minutes * 60 - 50)
    for who in ("cron", "yacron"):
        if getattr(peers, who) is not None:
            lates = [(at / 1e9 % 60) * 1e3 for _, at, _ in stamps(folder / who) if at / 1e9 >= begin]
            _late(book, who, lates, minutes)
    if peers.apscheduler is not None:
        lates = [(at / 1e9 - begin - 0.5 - int(name)) * 1e3 for name, at, _ in stamps(out)]
        _late(book, "apscheduler", lates, minutes * 60 - 55)


def _late(book: Book, who: str, lates: list[float], wanted: int) -> None:
    if not lates:
        book.remark(f"a. {who} started nothing")
        return
    book.add("a", "sh -c, p50", who, quantile(lates, 0.5), "ms", lost=max(0, wanted - len(lates)))
    book.add("a", "sh -c, p99", who, quantile(lates, 0.99), "ms")


@contextmanager
def _all(peers: Peers, folder: Path, begin: int, minutes: int) -> Iterator[None]:
    if peers.cron is not None:
        with peers.running("cron", [("tick", f"/bin/date '+tick %s%N -' >> {folder}/cron")], 0):
            yield from _yacron_and_more(peers, folder, begin, minutes)
    else:
        yield from _yacron_and_more(peers, folder, begin, minutes)


def _yacron_and_more(peers: Peers, folder: Path, begin: int, minutes: int) -> Iterator[None]:
    from contextlib import ExitStack  # noqa: PLC0415

    with ExitStack() as stack:
        if peers.yacron is not None:
            line = ("tick", f"/bin/date '+tick %s%N -' >> {folder}/yacron")
            stack.enter_context(peers.running("yacron", [line], 0))
        if peers.apscheduler is not None:
            stack.enter_context(peers.scheduler(folder / "every", "every", begin + 0.5, minutes * 60 - 55))
        yield


def _burst(book: Book, peers: Peers, who: str, folder: Path, what: str, jobs: int) -> None:  # noqa: PLR0913, PLR0917
    out, script = folder / f"{who}-{what.replace(' ', '-')}", folder / "script.py"
    script.write_text(_SCRIPT, encoding="utf-8")
    lines = []
    for number in range(jobs):
        name = f"job{number}"
        shell = f"/bin/date '+{name} %s%N -' >> {out}"
        lines.append((name, shell if what == "sh -c" else f"{sys.executable} {script} {out} {name}"))
    due = (int(time.time()) + 12) // 60 * 60 + 60
    sleep_until(due - 12)
    with peers.running(who, lines, due) as (cage, _):
        sleep_until(due - 0.5)
        before = cage.cpu_s()
        until(lambda: len(stamps(out)) >= jobs or time.time() > due + _PATIENCE_S, _PATIENCE_S + 5, 0.2)
        time.sleep(1)
        used = cage.cpu_s() - before
    _tell(book, who, what, stamps(out), due, jobs, used)


def _scheduler_burst(book: Book, peers: Peers, folder: Path, mode: str, jobs: int) -> None:
    out = folder / f"apscheduler-{mode.replace(' ', '-')}"
    due = next_second(5)
    with peers.scheduler(out, mode, due, jobs) as (cage, pid):
        sleep_until(due - 0.5)
        before = cage.cpu_s()
        until(lambda: len(stamps(out)) >= jobs, 10, 0.2)
        used = cage.cpu_s() - before
        book.add("c", f"memory with {jobs:,} jobs", "apscheduler", pss_bytes([pid]) / 1e6, "MB")
    who = "apscheduler" if mode != "default" else "APS default"
    _tell(book, who, "argv", stamps(out), due, jobs, used)


def _tell(  # noqa: PLR0913, PLR0917 - all that is told of a burst
    book: Book, who: str, what: str, starts: list[tuple[str, int, str]], due: float, jobs: int, used: float
) -> None:
    if not starts:
        book.remark(f"b. {who} started none of {jobs} x {what}")
        return
    names = {name for name, _, _ in starts}
    after = sorted(at / 1e9 - due for _, at, _ in starts)
    lost, twice = jobs - len(names), len(starts) - len(names)
    title = "callable" if what == "Python script" else what
    book.add("b", f"{title}: started per second", who, len(starts) / after[-1], "/s", lost=lost, twice=twice)
    if what != "Python script":
        book.add("b", f"{title}: last started after", who, after[-1], "s")
    book.add("b", f"{title}: CPU per run", who, used / len(starts) * 1e3, "ms")
    book.sample(f"b {title} {who}", after)


def _run(*argv: str, cwd: Path | None = None) -> None:
    subprocess.run(argv, check=True, capture_output=True, cwd=cwd, timeout=180)
