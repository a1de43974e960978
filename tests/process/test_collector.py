"""The collector as a process: killed, stopped, its disk full, its files renamed; no line is lost and none is torn."""

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from akjob.config import Paths, socket_address
from akjob.log.reading import read
from tests.support import until
from tests.unit.log.lines import line
from tests.unit.log.schema import problems

COLLECTOR = [sys.executable, "-m", "akjob.log.collector.program"]


class Collector:
    """An ``akjob-collector`` that is started and killed at will."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.paths = Paths(root)
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> subprocess.Popen[bytes]:
        """Start it; wait until it listens."""
        environment = {name: text for name, text in os.environ.items() if not name.startswith("SUPERVISOR_")}
        environment["AKJOB_ROOT"] = str(self.paths.root)
        self.process = subprocess.Popen(COLLECTOR, env=environment, **self.options)
        until(self.answers)
        return self.process

    def answers(self) -> bool:
        """Return True if it takes connections."""
        with contextlib.suppress(OSError), self.connect():
            return True
        return False

    def connect(self) -> socket.socket:
        """Return a connection."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(socket_address(self.paths.collector_socket))
        except OSError:
            sock.close()
            raise
        return sock

    def hello(self, text: bytes) -> socket.socket:
        """Return a connection that said this first."""
        sock = self.connect()
        sock.sendall(text)
        return sock

    def send_signal(self, number: int) -> None:
        """Send a signal to it."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it; return its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def events(self) -> list[dict[str, Any]]:
        """Return the collector's own lines."""
        return [each for each in read.lines(self.paths) if each["source"] == "collector"]


class Sender(threading.Thread):
    """Sends ``count`` lines of one run and does not rest until all are acknowledged, whatever the collector does."""

    def __init__(self, collector: Collector, run: str, count: int, text: str = "x" * 80) -> None:
        super().__init__(name=f"sender of {run}")
        self.collector = collector
        self.run_id = run
        self.count = count
        self.text = text
        self.acked = 0
        self.connections = 0
        self.start()

    def run(self) -> None:
        """Connect again and again."""
        while self.acked < self.count:
            with contextlib.suppress(OSError), self.collector.connect() as sock:
                self.connections += 1
                self.send(sock)
            if self.acked < self.count:
                threading.Event().wait(0.005)

    def send(self, sock: socket.socket) -> None:
        """Send from the first line that is not acknowledged, at most 2,000 lines ahead."""
        sent, heard = self.acked, b""
        sock.sendall(b'{"v":1,"job":"a/b","run":"%b","seq":%d}\n' % (self.run_id.encode(), sent + 1))
        while self.acked < self.count:
            ahead = min(self.count, self.acked + 2000)
            if sent < ahead:
                sock.sendall(b"".join([line(self.run_id, seq, self.text) for seq in range(sent + 1, ahead + 1)]))
                sent = ahead
            data = sock.recv(4096)
            if not data:
                return
            whole, newline, heard = (heard + data).rpartition(b"\n")
            if newline:
                self.acked = int(whole.rpartition(b"\n")[2])


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    """Give a collector of a fresh root, not started yet."""
    (tmp_path / "jobs.d").mkdir()
    made = Collector(tmp_path)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.send_signal(signal.SIGCONT)
        made.process.kill()
        made.process.wait()
    assert [wrong for event in made.events() for wrong in problems(event)] == []


def numbers(collector: Collector, run: str) -> list[int]:
    """Return the numbers of a run's lines as a reader sees them."""
    return [each["seq"] for each in read.lines(collector.paths, run=run) if each["event"] == "run.output"]


def test_lines_are_acknowledged_when_they_are_on_disk(collector: Collector) -> None:
    """An acknowledged line stands in the file; of a sender that dies in the middle of a line no half is left."""
    collector.start()
    with collector.hello(b'{"v":1,"job":"a/b","run":"r1","seq":7}\n' + line("r1", 7) + line("r1", 8)[:30]) as sock:
        assert sock.recv(100) == b"7\n"
        assert collector.paths.log.read_bytes().endswith(line("r1", 7))
    with collector.hello(b'{"v":1,"job":"a/b","run":"r1","seq":8}\n' + line("r1", 8)) as sock:
        assert sock.recv(100) == b"8\n"
    assert numbers(collector, "r1") == [7, 8]
    assert collector.end() == 0
    assert [each["event"] for each in collector.events()] == [
        "collector.opened", "collector.started", "collector.stopping",
    ]  # fmt: skip


def test_modes(collector: Collector) -> None:
    """Nobody but the user may connect, or look into var."""
    collector.start()
    assert collector.paths.var.stat().st_mode & 0o777 == 0o700
    assert collector.paths.collector_socket.stat().st_mode & 0o777 == 0o600
    assert collector.paths.log.stat().st_mode & 0o007 == 0


def test_killed_under_load(collector: Collector) -> None:
    """``kill -9`` again and again while five runs print: every line is read back exactly once, in order."""
    collector.start()
    senders = [Sender(collector, f"run{n}", 20_000) for n in range(5)]
    for acknowledged in range(10_000, 80_000, 10_000):
        until(lambda least=acknowledged: sum(sender.acked for sender in senders) >= least)  # type: ignore[misc]
        collector.end(signal.SIGKILL)
        collector.start()
    for sender in senders:
        sender.join(30)
    collector.end()
    for sender in senders:
        assert sender.connections > 1
        assert numbers(collector, sender.run_id) == list(range(1, 20_001))
    for text in collector.paths.log.read_bytes().splitlines():
        with contextlib.suppress(msgspec.DecodeError):
            msgspec.json.decode(text)


def test_stopped_and_continued(collector: Collector) -> None:
    """While the collector is stopped senders wait; nothing is missing when it goes on."""
    collector.start()
    sender = Sender(collector, "r1", 30_000)
    until(lambda: sender.acked)
    collector.send_signal(signal.SIGSTOP)
    sender.join(0.5)
    assert sender.is_alive()
    collector.send_signal(signal.SIGCONT)
    sender.join(20)
    assert numbers(collector, "r1") == list(range(1, 30_001))


def test_sigterm_loses_nothing(collector: Collector) -> None:
    """A collector that is told to end under load ends soon, with all that it acknowledged, and no half line."""
    collector.start()
    sender = Sender(collector, "r1", 60_000)
    until(lambda: sender.acked)
    began = time.monotonic()
    assert collector.end() == 0
    assert time.monotonic() - began < 3
    for text in collector.paths.log.read_bytes().splitlines():
        msgspec.json.decode(text)
    collector.start()
    sender.join(20)
    assert numbers(collector, "r1") == list(range(1, 60_001))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False, capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("needs the right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk(collector: Collector, small_disk: Path) -> None:
    """A full disk stops the acknowledgements; when there is room again it goes on, nothing missing, nothing torn."""
    collector.paths.var.mkdir()
    os.symlink(small_disk, collector.paths.log_dir)
    collector.options["stderr"] = subprocess.PIPE
    (small_disk / "ballast").write_bytes(b"\0" * (1 << 20))
    process = collector.start()
    senders = [Sender(collector, f"run{n}", 3_500) for n in range(2)]
    assert process.stderr is not None
    assert b"No space left on device" in process.stderr.readline()
    before = sum(sender.acked for sender in senders)
    assert collector.paths.log.read_bytes().endswith(b"\n")
    assert before < 7_000
    (small_disk / "ballast").unlink()
    for sender in senders:
        sender.join(30)
        assert numbers(collector, sender.run_id) == list(range(1, 3_501))
    for text in collector.paths.log.read_bytes().splitlines():
        msgspec.json.decode(text)
    (stalled,) = [each for each in collector.events() if each["event"] == "collector.stalled"]
    assert "No space left" in stalled["error"]
    collector.end()
    assert b"can be written again" in process.stderr.read()
    process.stderr.close()


def test_ends_although_the_disk_is_full(collector: Collector, small_disk: Path) -> None:
    """SIGTERM ends a collector that waits for room, soon and without an acknowledgement that is not true."""
    collector.paths.var.mkdir()
    os.symlink(small_disk, collector.paths.log_dir)
    collector.options["stderr"] = subprocess.PIPE
    process = collector.start()
    with (small_disk / "ballast").open("wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while ballast.write(b"\0" * 4096):
            continue
    with collector.hello(b'{"v":1,"run":"r1","job":"j","seq":1}\n') as sock:
        sock.sendall(b"".join([line("r1", seq) for seq in range(1, 500)]))
        assert process.stderr is not None
        process.stderr.readline()
        assert collector.end() == 0
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            heard = sock.recv(4096)
    acked = int(heard.split()[-1]) if heard else 0
    process.stderr.close()
    (small_disk / "ballast").unlink()
    assert len(numbers(collector, "r1")) >= acked


def spool(paths: Paths, run: str, lines: int, *, torn: bytes = b"", hello: bytes = b"") -> Path:
    """Leave a spool behind as a shim does."""
    folder = paths.runs / run
    folder.mkdir(parents=True)
    (folder / "lock").write_bytes(b"")
    path = folder / "spool"
    first = hello or b'{"v":1,"job":"a/b","run":"%b","seq":5}\n' % run.encode()
    path.with_suffix(".new").write_bytes(b"".join([first, *[line(run, 5 + n) for n in range(lines)], torn]))
    return path.with_suffix(".new").rename(path)


def test_spools_are_read_in_at_the_start(collector: Collector) -> None:
    """What a shim that is gone left behind is in the log soon, without its torn last line, and the spool is removed."""
    path = spool(collector.paths, "r1", 3000, torn=line("r1", 3005)[:40])
    collector.start()
    until(lambda: not path.exists())
    assert numbers(collector, "r1") == list(range(5, 3005))
    (event,) = [each for each in collector.events() if each["event"] == "collector.spool_read"]
    assert (event["run"], event["job"], event["lines"]) == ("r1", "a/b", 3000)


def test_a_spool_is_read_in_when_asked(collector: Collector) -> None:
    """``{"v":1,"spool":RUN}`` is answered with ok once the spool is in the log and gone, also when there is none."""
    collector.start()
    path = spool(collector.paths, "r1", 10)
    with collector.hello(b'{"v":1,"spool":"r1"}\n') as sock:
        assert sock.recv(10) == b"ok\n"
        assert not path.exists()
    assert numbers(collector, "r1") == list(range(5, 15))
    with collector.hello(b'{"v":1,"spool":"r1"}\n') as sock:
        assert sock.recv(10) == b"ok\n"


def test_a_spool_of_a_living_shim_is_left_alone(collector: Collector) -> None:
    """While the shim holds its lock its spool is its own; it is read in some seconds after the lock is free."""
    path = spool(collector.paths, "r1", 10)
    with (path.parent / "lock").open("r+b") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        collector.start()
        with collector.hello(b'{"v":1,"spool":"r1"}\n') as sock:
            assert sock.recv(10) == b"busy\n"
        assert path.exists()
    until(lambda: not path.exists())
    assert numbers(collector, "r1") == list(range(5, 15))


def test_a_spool_that_cannot_be_read_is_put_aside(collector: Collector) -> None:
    """A spool without a hello is kept under another name and reported; whoever asked is answered."""
    collector.options["stderr"] = subprocess.DEVNULL
    collector.start()
    path = spool(collector.paths, "r1", 0, hello=b"garbage\n")
    with collector.hello(b'{"v":1,"spool":"r1"}\n') as sock:
        assert sock.recv(10) == b"bad\n"
    assert path.with_name("spool.bad").read_bytes() == b"garbage\n"
    assert collector.events()[-1]["event"] == "collector.spool_unreadable"


@pytest.mark.parametrize(
    "hello",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"v":2,"run":"r1","seq":1}\n',
        b'{"v":1,"run":"r 1","seq":1}\n',
        b'{"v":1,"spool":"../r1"}\n',
        b"[]\n",
        b"\n",
    ],
)
def test_a_bad_hello_closes_the_connection(collector: Collector, hello: bytes) -> None:
    """What does not speak the protocol is told nothing, logged, and hurts nobody."""
    collector.options["stderr"] = subprocess.DEVNULL
    collector.start()
    with collector.hello(hello + b"more\n") as sock, contextlib.suppress(ConnectionResetError):
        assert sock.recv(10) == b""
    assert until(lambda: collector.events()[-1]["event"] == "collector.refused")
    sender = Sender(collector, "r1", 10)
    sender.join(10)
    assert numbers(collector, "r1") == list(range(1, 11))


def test_an_endless_line_closes_the_connection(collector: Collector) -> None:
    """A line over 4 MiB is not taken, and the collector's memory stays small."""
    collector.options["stderr"] = subprocess.DEVNULL
    process = collector.start()
    with collector.hello(b'{"v":1,"run":"r1","job":"j","seq":1}\n') as sock, contextlib.suppress(OSError):
        while True:
            sock.sendall(b"x" * (1 << 20))
    (event,) = until(lambda: [each for each in collector.events() if each["event"] == "collector.refused"])
    assert event["run"] == "r1"
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak_kib = int(next(text for text in status.splitlines() if text.startswith("VmHWM")).split()[1])
    assert peak_kib < 64 * 1024


def test_many_unfinished_lines_are_bounded(collector: Collector) -> None:
    """Forty unfinished lines of 3 MiB do not make the collector big: some senders are closed, and come again."""
    process = collector.start()
    with contextlib.ExitStack() as stack:
        for n in range(40):
            sock = stack.enter_context(collector.hello(b'{"v":1,"run":"r%d","job":"j","seq":1}\n' % n))
            with contextlib.suppress(OSError):
                sock.sendall(b"x" * (3 << 20))
        status = Path(f"/proc/{process.pid}/status").read_text()
    peak_kib = int(next(text for text in status.splitlines() if text.startswith("VmHWM")).split()[1])
    assert peak_kib < 128 * 1024


def test_sighup_after_a_rename(collector: Collector) -> None:
    """logrotate's way: rename, SIGHUP; the renamed file is complete and a new one is begun. All of it is read back."""
    collector.start()
    Sender(collector, "r1", 100).join(10)
    collector.paths.log.rename(collector.paths.log_dir / "akjob.jsonl.1")
    collector.send_signal(signal.SIGHUP)
    until(collector.paths.log.exists)
    with collector.hello(b'{"v":1,"job":"a/b","run":"r1","seq":101}\n' + line("r1", 101)) as sock:
        assert sock.recv(100) == b"101\n"
    assert numbers(collector, "r1") == list(range(1, 102))


def test_rotation_by_size_and_archive(collector: Collector) -> None:
    """Files are finished at the configured size, near the total's cap compressed by a child, and all is read back."""
    (collector.paths.root / "etc").mkdir()
    collector.paths.config_file.write_text('[log]\nmax_size = "1MiB"\nmax_total = "5MiB"\n')
    collector.start()
    Sender(collector, "r1", 20_000).join(30)
    until(lambda: list(collector.paths.archive.glob("*.gz")))
    until(lambda: [each for each in collector.events() if each["event"] == "collector.archived"])
    assert numbers(collector, "r1") == list(range(1, 20_001))


def test_a_second_collector_gives_way(collector: Collector) -> None:
    """Where one collector works, another says so, waits a while, and ends with 1; the socket stays the first one's."""
    collector.start()
    environment = dict(os.environ, AKJOB_ROOT=str(collector.paths.root))
    began = time.monotonic()
    second = subprocess.run(COLLECTOR, env=environment, capture_output=True, check=False, timeout=60)
    assert second.returncode == 1
    assert b"is the collector of this root already" in second.stderr
    assert time.monotonic() - began > 3
    assert collector.answers()


def test_a_socket_left_behind_is_replaced(collector: Collector) -> None:
    """After a ``kill -9`` the next collector starts at once."""
    collector.start()
    collector.end(signal.SIGKILL)
    assert collector.paths.collector_socket.exists()
    collector.start()


def test_standard_output(collector: Collector) -> None:
    """``[log] to = "stdout"``: the lines come out there, are acknowledged, and there is no file."""
    (collector.paths.root / "etc").mkdir()
    collector.paths.config_file.write_text('[log]\nto = "stdout"\n')
    collector.options["stdout"] = subprocess.PIPE
    process = collector.start()
    with collector.hello(b'{"v":1,"job":"a/b","run":"r1","seq":1}\n' + line("r1", 1)) as sock:
        assert sock.recv(100) == b"1\n"
    assert process.stdout is not None
    assert msgspec.json.decode(process.stdout.readline())["event"] == "collector.started"
    assert process.stdout.readline() == line("r1", 1)
    assert not collector.paths.log.exists()
    process.stdout.close()


def test_blocked_standard_output(collector: Collector) -> None:
    """Nobody reads standard output: nothing more is acknowledged, and SIGTERM still ends the collector."""
    (collector.paths.root / "etc").mkdir()
    collector.paths.config_file.write_text('[log]\nto = "stdout"\n')
    collector.options["stdout"] = subprocess.PIPE
    process = collector.start()
    with collector.hello(b'{"v":1,"job":"a/b","run":"r1","seq":1}\n') as sock:
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            while True:
                sock.sendall(b"".join([line("r1", 1, "y" * 1000)] * 100))
        assert collector.end() == 0
    assert process.stdout is not None
    process.stdout.close()


def test_a_flood_does_not_delay_others(collector: Collector) -> None:
    """While three senders flood, a line of another run is acknowledged within 50 ms at the median."""
    collector.start()
    floods = [Sender(collector, f"flood{n}", 60_000) for n in range(3)]
    waits = []
    with collector.hello(b'{"v":1,"job":"j","run":"quiet","seq":1}\n') as sock:
        seq = 0
        while any(flood.is_alive() for flood in floods):
            seq += 1
            began = time.monotonic()
            sock.sendall(line("quiet", seq))
            assert sock.recv(100) == b"%d\n" % seq
            waits.append(time.monotonic() - began)
            for flood in floods:
                flood.join(0.005)
    assert len(waits) > 5
    assert sorted(waits)[len(waits) // 2] < 0.05
