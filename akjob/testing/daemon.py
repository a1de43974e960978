"""A real akjobd for a test, with its collector."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from akjob.control.client import Client
from akjob.control.requests import Drain, GetStatus, RunJob, WaitForRun
from akjob.errors import AkjobError
from akjob.ledger import Reader, open_reader
from akjob.query.text import span
from akjob.testing.job import load
from akjob.testing.root import Root
from akjob.toml.wire import to_json

T = TypeVar("T")

_PROGRAMS = ("akjob.log.collector.program", "akjob.akjobd.daemon")
_START_S = 30.0
_END_S = 20.0
_PAUSE_S = 0.02


class Daemon:
    """akjobd and the collector of a root, as processes of this one. ``reader`` asks the ledger."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.reader: Reader = open_reader(root.paths.ledger_url)
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start both, and wait until akjobd has loaded the jobs."""
        for program in _PROGRAMS:
            code = f"from {program} import main; main()"
            with (self.root.path / f"{program}.out").open("ab") as out:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, "-c", code],
                        cwd=self.root.path,
                        env={**os.environ, "AKJOB_ROOT": str(self.root.path)},
                        stdin=subprocess.DEVNULL,
                        stdout=out,
                        stderr=out,
                    )
                )
        self.until(self._loaded, _START_S)

    def _loaded(self) -> bool:
        with suppress(AkjobError), Client(self.root.paths) as client:
            return client.call(GetStatus()).status.revision.loaded_at is not None
        return False

    def write(self, name: str, text: str) -> None:
        """Write a job file, and wait until akjobd has loaded it."""
        sha256 = load(self.root.write(name, text)).spec.sha256
        self.until(lambda: self._has(name, sha256))

    def _has(self, name: str, sha256: str) -> bool:
        row = self.reader.job(name)
        return row is not None and row["definition_sha256"] == sha256

    def run(self, job: str, args: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Run a job now, wait for its end, and return its row as ``akjob history --json`` has it."""
        with Client(self.root.paths) as client:
            given = {key: to_json(value) for key, value in (args or {}).items()}
            run = client.call(RunJob(job=job, args=given)).run
            client.call(WaitForRun(run=run))
        row = self.reader.find_run(run)
        return {} if row is None else dict(row)

    def rows(self, job: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of all jobs or of one, the newest first."""
        return [dict(row) for row in self.reader.history(job, 1_000_000)]

    def until(self, condition: Callable[[], T], patience_s: float = 20.0) -> T:
        """Wait until a condition gives something true; return that. Raises TimeoutError."""
        end = time.monotonic() + patience_s
        while not (found := condition()):
            if time.monotonic() > end:
                raise TimeoutError(f"nothing came of it in {span(round(patience_s * 1e6))}\n{self._said()}")
            time.sleep(_PAUSE_S)  # noqa: TID251 - the one wait of the plug-in
        return found

    def stop(self) -> None:
        """End the runs, akjobd and the collector."""
        with suppress(AkjobError), Client(self.root.paths) as client:
            client.call(Drain(kill=True))
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def _said(self) -> str:
        """Return what the programs wrote to standard error."""
        files = [self.root.path / f"{program}.out" for program in _PROGRAMS]
        return "\n".join(file.read_text("utf-8", "replace")[-2000:] for file in files if file.exists())
