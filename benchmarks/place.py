"""A root of its own with akjobd and the collector, in a group that counts their CPU time and that of all runs."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from akjob.config import Paths
from akjob.control.client import Client
from akjob.control.requests import OPERATIONS
from akjob.errors import AkjobError
from benchmarks.machine import Cage, until

_PROGRAMS = {
    "akjob-collector": "akjob.log.collector.program",
    "akjobd": "akjob.akjobd.daemon",
    "akjob-web": "akjob.web.program",
    "akjob-node": "akjob.remote.program",
}

STAMP = '''\
"""What the measured jobs do: note the instant of their first instruction, and who they are."""

import os
import time


def stamp(path, name):
    """Append one line; O_APPEND makes it whole whoever else writes."""
    began = time.time_ns()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, b"%s %d %s\\n" % (name.encode(), began, os.environ.get("AKJOB_SLOT", "-").encode()))
    os.close(fd)


def sleep(seconds):
    """Be there."""
    time.sleep(seconds)
'''


class Place:
    """One root. Nothing of it is left after ``close``."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="akjob-bench-")).resolve()
        for name in ("jobs.d", "etc", "var"):
            (self.root / name).mkdir()
        self.paths = Paths(self.root)
        self.stamps = self.root / "stamps"
        (self.root / "stamping.py").write_text(STAMP, encoding="utf-8")
        # Older than two seconds, so that its compiled form counts, as that of settled code does.
        os.utime(self.root / "stamping.py", (0, 0))
        self.cage = Cage()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything and remove the root."""
        self.close()

    def job(self, name: str, text: str) -> None:
        """Write a job file as editors do: beside it, then renamed."""
        path = self.root / "jobs.d" / f"{name}.toml"
        draft = path.with_name(f".{path.name}")
        draft.write_text(text, encoding="utf-8")
        draft.rename(path)

    def start(self, deadline_s: float = 60.0) -> float:
        """Start both programs; return the seconds until akjobd had loaded the jobs."""
        self.spawn("akjob-collector")
        until(self.paths.collector_socket.exists, deadline_s)
        began = time.perf_counter()
        self.spawn("akjobd")
        if not until(self.loaded, deadline_s, 0.005):
            message = f"akjobd was not ready after {deadline_s} s: {self.said()}"
            raise RuntimeError(message)
        return time.perf_counter() - began

    def spawn(self, program: str) -> None:
        """Start one program."""
        left_out = ("SUPERVISOR_", "AKJOB_", "PYTHONDONTWRITEBYTECODE")  # an installed akjob has its compiled form
        environment = {key: text for key, text in os.environ.items() if not key.startswith(left_out)}
        with (self.root / f"{program}.out").open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", f"from {_PROGRAMS[program]} import main; main()"],
                cwd=self.root,
                env={**environment, "AKJOB_ROOT": str(self.root)},
                stdout=out,
                stderr=out,
            )
        self.cage.take(process.pid)
        self.processes[program] = process

    def loaded(self) -> bool:
        """Whether akjobd has loaded the jobs."""
        with suppress(AkjobError):
            return self.status()["revision"]["loaded_at"] is not None
        return False

    def status(self) -> dict[str, Any]:
        """Ask akjobd."""
        status: dict[str, Any] = self.ask("status")["status"]
        return status

    def ask(self, op: str, **values: Any) -> dict[str, Any]:
        """Ask akjobd something."""
        with Client(self.paths) as client:
            answer: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(client.call(OPERATIONS[op](**values))))
            return answer

    def pid(self, program: str) -> int:
        """Return the pid of ``akjobd``, ``zygote`` or ``akjob-collector``."""
        return int(self.status()["programs"][program]["pid"])

    def pids(self) -> list[int]:
        """Return the pids of the three programs."""
        return [self.pid(program) for program in ("akjobd", "zygote", "akjob-collector")]

    def sql(self, query: str, *values: Any) -> list[Any]:
        """Ask the ledger."""
        connection = sqlite3.connect(f"file:{self.paths.db}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def open_runs(self) -> int:
        """Return how many runs have not ended."""
        return int(self.sql("SELECT count(*) FROM runs WHERE state IN ('queued', 'running')")[0][0])

    def log(self) -> bytes:
        """Return the whole log stream, rotated files included."""
        files = sorted(self.paths.log_dir.glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)
        return b"".join(path.read_bytes() for path in files)

    def stop(self) -> None:
        """End both programs and what runs."""
        with suppress(AkjobError, OSError):
            self.ask("drain", kill=True)
        for program in reversed(list(self.processes)):
            self.end(program)

    def end(self, program: str) -> None:
        """End one program, if it runs."""
        process = self.processes.pop(program, None)
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End everything and remove the root."""
        self.stop()
        self.cage.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def said(self) -> str:
        """Return what the programs wrote to their standard error."""
        files = [*self.root.glob("*.out"), self.paths.log_dir / "runs.err"]
        return "\n".join(file.read_text(encoding="utf-8")[-2000:] for file in files if file.exists())
