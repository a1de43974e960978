"""What the log stream costs: lines a second through the collector, fairness, another's wait, reading a run back.

    python benchmarks/log.py [--stream-mib 1024]

Senders are plain processes that send finished lines of 80 characters, as a shim does, so the figures are those of the
collector and the reader alone.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import Process, Queue
from pathlib import Path

from akjob.config import Paths, socket_address
from akjob.log.reading import read

BATCH = 800
READ_BACK = 200_000
TEXT = "x" * 80


def lines(run: str, first: int, count: int) -> bytes:
    """Return finished lines."""
    head = '{"timestamp":"2026-03-29T01:00:00.000000Z","level":"info","event":"run.output","source":"run"'
    return "".join(
        [
            f'{head},"job":"bench/job","run":"{run}","seq":{seq},"stream":"stdout","line":"{TEXT}"}}\n'
            for seq in range(first, first + count)
        ]
    ).encode()


def connect(address: str, run: str, first: int = 1) -> socket.socket:
    """Return a connection that said hello."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(address)
    sock.sendall(b'{"v":1,"job":"bench/job","run":"%b","seq":%d}\n' % (run.encode(), first))
    return sock


def send(address: str, run: str, count: int, results: "Queue[tuple[str, float, int]]", seconds: float = 0) -> None:
    """Send ``count`` lines, or for so many seconds; tell when the last one was acknowledged, and how many they were."""
    batches = [lines(run, 1 + n * BATCH, BATCH) for n in range(8)]  # prepared: making lines is not what is measured
    began = time.perf_counter()
    sent = 0
    with connect(address, run) as sock:
        while sent < count and (not seconds or time.perf_counter() - began < seconds):
            sock.sendall(batches[sent // BATCH % len(batches)])
            sent += BATCH
        acked, heard = 0, b""
        while acked < sent:
            heard += sock.recv(1 << 16)
            whole, newline, rest = heard.rpartition(b"\n")
            if newline:
                acked, heard = int(whole.rpartition(b"\n")[2]), rest
    results.put((run, time.perf_counter() - began, sent))


def throughput(address: str) -> float:
    """Return lines a second of one sender."""
    results: Queue[tuple[str, float, int]] = Queue()
    sender = Process(target=send, args=(address, "one", 2_000_000, results))
    sender.start()
    _, seconds, count = results.get()
    sender.join()
    return count / seconds


def fairness(address: str) -> tuple[float, float, list[float]]:
    """Return the slowest and the fastest of ten senders relative to their mean, and another one's waits in seconds."""
    results: Queue[tuple[str, float, int]] = Queue()
    seconds = 4.0
    senders = [Process(target=send, args=(address, f"ten{n}", 1 << 60, results, seconds)) for n in range(10)]
    for sender in senders:
        sender.start()
    waits = []
    end = time.perf_counter() + seconds
    seq = 0
    with connect(address, "quiet") as sock:
        while time.perf_counter() < end:
            seq += 1
            line = lines("quiet", seq, 1)
            began = time.perf_counter()
            sock.sendall(line)
            sock.recv(100)
            waits.append(time.perf_counter() - began)
            time.sleep(0.02)
    counts = [results.get()[2] for _ in senders]
    for sender in senders:
        sender.join()
    mean = statistics.mean(counts)
    return min(counts) / mean, max(counts) / mean, waits


def read_run(root: Path, run: str) -> float:
    """Return the seconds that a process of its own takes to read one run back, the start of Python not counted."""
    code = (
        "import sys, time; from pathlib import Path; from akjob.config import Paths; from akjob.log import read\n"
        "began = time.perf_counter(); n = sum(1 for _ in read.lines(Paths(Path(sys.argv[1])), run=sys.argv[2]))\n"
        "print(time.perf_counter() - began, n)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root), run], capture_output=True, text=True, check=True)
    seconds, count = done.stdout.split()
    assert count == str(BATCH), count  # noqa: S101 - a wrong figure is worse than none
    return float(seconds)


def collector(root: Path) -> subprocess.Popen[bytes]:
    """Start a collector and wait until it listens."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("SUPERVISOR_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "akjob.log.collector.program"], env={**environment, "AKJOB_ROOT": str(root)}
    )
    while True:
        try:
            connect(socket_address(Paths(root).collector_socket), "probe").close()
        except OSError:
            time.sleep(0.01)
        else:
            return process


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--stream-mib", type=int, default=1024, help="size of the stream that a run is read out of")
    wanted = parser.parse_args().stream_mib << 20
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "jobs.d").mkdir()
        process = collector(root)
        address = socket_address(Paths(root).collector_socket)
        results: Queue[tuple[str, float, int]] = Queue()
        send(address, "first", BATCH, results)
        empty = read_run(root, "first")
        before = cpu_seconds(process.pid)
        rate = throughput(address)
        cpu = cpu_seconds(process.pid) - before
        print(f"one sender               {rate:>12,.0f} lines/s, collector's CPU {cpu:.2f} s")
        slowest, fastest, waits = fairness(address)
        waits.sort()
        print(f"ten senders              slowest {slowest:.2f}, fastest {fastest:.2f} of their mean")
        middle, late = waits[len(waits) // 2] * 1e3, waits[len(waits) * 99 // 100] * 1e3
        print(f"another's line meanwhile p50 {middle:.1f} ms, p99 {late:.1f} ms")
        send(address, "middle", BATCH, results)
        while (size := sum(path.stat().st_size for path in Paths(root).log_dir.glob("*.jsonl"))) < wanted:
            send(address, f"fill{size}", 400_000, results)
        send(address, "last", BATCH, results)
        for run in ("first", "middle", "last"):
            more = read_run(root, run) - empty
            print(f"run out of {size >> 20:,} MiB      {run}: {more * 1e3:+.1f} ms against a stream with nothing else")
        with connect(address, "numbered") as sock:
            sock.sendall(lines("numbered", 1, READ_BACK))
            while int(sock.recv(1 << 16).split()[-1]) < READ_BACK:
                continue
        began = time.perf_counter()
        count = sum(1 for _ in read.lines(Paths(root), run="numbered"))
        assert count == READ_BACK, count  # noqa: S101 - as above
        print(f"reading back             {count / (time.perf_counter() - began):>12,.0f} lines/s")
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = next(text.split()[1] for text in status.splitlines() if text.startswith("VmHWM"))
        print(f"collector's peak memory  {int(peak) / 1024:.1f} MiB")
        process.send_signal(signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    main()
