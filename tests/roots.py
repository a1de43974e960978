"""A root with akjobd and the collector as processes of the test, started again when they die, as supervisord does."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from akjob.config import Paths
from akjob.control.client import Client
from akjob.control.requests import OPERATIONS
from akjob.errors import AkjobError
from akjob.log.reading.read import lines
from akjob.notify.outbox import Outbox
from tests.support import until

PROGRAMS = {"akjobd": "akjob.akjobd.daemon", "akjob-collector": "akjob.log.collector.program"}
OTHERS = {
    "akjob-web": "akjob.web.program",
    "akjob-notify": "akjob.notify.program",
    "akjob-node": "akjob.remote.program",
}


def read_so_far(paths: Paths) -> int | None:
    """Return how far akjob-notify has read the transitions; None before it has begun."""
    if not paths.notify_db.exists():
        return None
    outbox = Outbox(paths.notify_db)
    try:
        return outbox.seq()
    finally:
        outbox.close()


class Place:
    """One root. ``start`` runs both programs; whatever dies is started again until ``stop``."""

    def __init__(self, root: Path, **environment: str) -> None:
        self.root = root
        self.paths = Paths(root)
        self.environment = {**os.environ, "AKJOB_ROOT": str(root), **environment}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._keepers: list[threading.Thread] = []
        self._stopping = False

    def start(self, *programs: str) -> None:
        """Start both, or the programs named, and wait until akjobd has loaded the jobs."""
        self.launch(*programs)
        if not programs or "akjobd" in programs:
            until(self.loaded)

    def launch(self, *programs: str) -> None:
        """Start both, or the programs named, and wait for nothing."""
        for program in programs or PROGRAMS:
            self._spawn(program)
            keeper = threading.Thread(target=self._keep, args=(program,))
            keeper.start()
            self._keepers.append(keeper)

    def _spawn(self, program: str) -> None:
        with open(self.root / f"{program}.out", "ab") as out:
            self._processes[program] = subprocess.Popen(
                self.argv(program), cwd=self.root, env=self.environment, stdout=out, stderr=out
            )

    def argv(self, program: str) -> list[str]:
        """Return the command that runs a program."""
        return [sys.executable, "-c", self.code(program)]

    def code(self, program: str) -> str:
        """Return the Python that runs a program."""
        return f"from {(PROGRAMS | OTHERS)[program]} import main; main()"

    def _keep(self, program: str) -> None:
        while not self._stopping:
            self._processes[program].wait()
            if not self._stopping:
                self._spawn(program)

    def abandon(self) -> None:
        """Start nothing again that dies from now on: the machine is about to die as a whole."""
        self._stopping = True

    def loaded(self) -> bool:
        """Whether akjobd answers and has looked at the folder."""
        with suppress(AkjobError):
            return self.status()["revision"]["loaded_at"] is not None
        return False

    def status(self) -> dict[str, Any]:
        """Return what akjobd says of itself."""
        status: dict[str, Any] = self.ask("status")["status"]
        return status

    def ask(self, op: str, **values: Any) -> dict[str, Any]:
        """Send akjobd a request; return its answer as a dictionary."""
        with Client(self.paths) as client:
            answer: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(client.call(OPERATIONS[op](**values))))
            return answer

    def own_runs(self) -> list[dict[str, Any]]:
        """Return what runs here, and not on other nodes."""
        return list(self.ask("running")["running"])

    def running(self, run: str) -> dict[str, Any] | None:
        """Return what is told of a run that runs here."""
        return next((one for one in self.own_runs() if one["run"] == run), None)

    def pid(self, program: str) -> int:
        """Return the pid of ``akjobd``, ``zygote`` or ``akjob-collector``."""
        if program in self._processes:
            return self._processes[program].pid
        return int(self.status()["programs"][program]["pid"])

    def kill(self, program: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send one of the programs a signal."""
        os.kill(self.pid(program), number)

    def job(self, name: str, text: str) -> None:
        """Write a job file as an editor does: beside it, then renamed."""
        path = self.root / "jobs.d" / f"{name}.toml"
        draft = path.with_name(f".{path.name}.new")
        draft.write_text(text)
        draft.rename(path)

    def known(self, name: str) -> bool:
        """Whether akjobd has loaded the job."""
        return bool(self.sql("SELECT 1 FROM jobs WHERE job = ?", name))

    def define(self, **jobs: str) -> None:
        """Write jobs and wait until akjobd has loaded them."""
        for name, text in jobs.items():
            self.job(name, text)
        for name in jobs:
            until(lambda name=name: self.known(name))  # type: ignore[misc]

    def run(self, job: str, **args: Any) -> str:
        """Ask for a run and return its id."""
        return str(self.ask("run", job=job, args=args)["run"])

    def wait(self, run: str) -> dict[str, Any]:
        """Return the row of a run that has ended."""
        return until(lambda: self.ended(run), 60.0)

    def go(self, text: str, name: str = "job") -> dict[str, Any]:
        """Write a job, run it by hand, and return its row."""
        self.job(name, text)
        until(lambda: self.known(name))
        return self.wait(self.run(name))

    def printed(self, run: str, stream: str = "stdout") -> list[str]:
        """Return what a run has printed on a stream."""
        until(lambda: [line for line in lines(self.paths, run=run) if line["event"] == "run.finished"])
        return [line["line"] for line in lines(self.paths, run=run) if line.get("stream") == stream]

    def ended(self, run: str) -> dict[str, Any] | None:
        """Return the row of a run if it has ended."""
        rows = self.sql("SELECT * FROM runs WHERE id = ? AND state NOT IN ('queued', 'running')", run)
        return rows[0] if rows else None

    def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Ask the ledger itself."""
        if not self.paths.db.exists():
            return []
        connection = sqlite3.connect(f"file:{self.paths.db}?mode=ro", uri=True, timeout=10)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, values)]
        finally:
            connection.close()

    def folders(self) -> list[str]:
        """Return what is left in ``var/runs``."""
        return os.listdir(self.paths.runs)

    def stop(self) -> None:
        """End everything, runs too."""
        with suppress(AkjobError):
            self.ask("drain", kill=True)
        self._stopping = True
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for keeper in self._keepers:
            keeper.join(20)
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def said(self) -> str:
        """Return what the programs wrote to their standard error, for a failure's message."""
        files = [*self.root.glob("*.out"), self.paths.log_dir / "runs.err"]
        return "\n".join(f"--- {file.name}\n{file.read_text()[-3000:]}" for file in files if file.exists())
