"""A root for the commands' tests: real job files, ledger rows and log lines, and an akjobd that answers as told."""

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from click.testing import CliRunner, Result

from akjob.cli import cli
from akjob.config import Config, Paths
from akjob.control.requests import Answer, Refused, Request, decode_request
from akjob.instants import from_text, to_text
from akjob.ledger import Definition, JobRow, RunRow, Writes, open_store
from akjob.spec import parse_job
from akjob.spec.model import JobSpec

NOW = "2026-03-28T12:00:00.000000Z"
NOW_US = from_text(NOW)


class Root:
    """A folder to run commands in, as it is on 28 March 2026, at noon."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder)
        self.paths.jobs_d.mkdir()
        self.paths.log_dir.mkdir(parents=True)
        self.paths.run_dir.mkdir()

    def job(self, name: str, text: str) -> JobSpec | None:
        """Write a job file; return what it means, None when it is broken."""
        path = self.paths.jobs_d / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return parse_job(name, f"jobs.d/{name}.toml", text, defaults=(), config=Config()).spec

    def git(self, *arguments: str) -> str:
        """Run git in the root, and return what it printed."""
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", *who, *arguments]
        return subprocess.run(command, cwd=self.paths.root, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> str:
        """Make the root a repository, commit the job files, and return the commit."""
        self.git("init", "-q")
        self.git("add", "jobs.d")
        self.git("commit", "-qm", "x")
        return self.git("rev-parse", "HEAD")

    def akjob(self, *arguments: str, given: str | bytes | None = None, env: Mapping[str, str] | None = None) -> Result:
        """Run a command in this root."""
        return CliRunner(env={"TZ": "UTC", **(env or {})}).invoke(
            cli, ["--root", str(self.paths.root), *arguments], input=given
        )

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        """Run a command that must succeed, with --json; return the objects, one for each line."""
        result = self.akjob(*arguments, "--json")
        assert result.exit_code == 0, (result.output, result.exception)
        return [msgspec.json.decode(line) for line in result.stdout.splitlines()]

    def ledger(self, writes: Writes) -> None:
        """Write to the ledger, as akjobd does."""
        ledger = open_store(self.paths.ledger_url)
        ledger.commit(writes)
        ledger.close()

    def loaded(self, spec: JobSpec, **values: Any) -> None:
        """Put a job into the ledger, as akjobd does when it loads it; ``values`` are those of its row."""
        row = JobRow(
            job=spec.name,
            watermark_us=NOW_US,
            first_loaded_us=NOW_US,
            last_loaded_us=NOW_US,
            file=spec.file,
            definition_sha256=spec.sha256,
            definition=spec.definition,
        )
        for name, value in values.items():
            setattr(row, name, value)
        made_from = Definition(spec.sha256, spec.file, spec.definition, NOW_US)
        self.ledger(Writes(loaded=[row], definitions=[made_from]))

    def run(self, run: str, job: str, minute: int, **values: Any) -> RunRow:
        """Put a run into the ledger that was due ``minute`` minutes after noon; return its row."""
        slot_us = NOW_US + minute * 60_000_000
        row = RunRow(id=run, job=job, slot_us=slot_us, slot_last_us=slot_us, queued_us=slot_us)
        for name, value in values.items():
            setattr(row, name, value)
        self.ledger(Writes(claims=[row]))
        return row

    def log(self, *lines: Mapping[str, Any]) -> None:
        """Append lines to the log."""
        with self.paths.log.open("ab") as file:
            file.writelines(msgspec.json.encode(line) + b"\n" for line in lines)

    @contextmanager
    def akjobd(self, answer: Callable[[Request[Any]], Answer | None]) -> Iterator[list[Request[Any]]]:
        """Answer on the control socket; yield the list of requests. An answer of None ends the connection."""
        asked: list[Request[Any]] = []
        peers: list[socket.socket] = []
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.paths.control_socket))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer, peer.makefile("rb") as lines:
                    peers.append(peer)
                    for line in lines:
                        request = decode_request(line)
                        assert not isinstance(request, Refused), request.message
                        asked.append(request)
                        said = answer(asked[-1])
                        if said is None:
                            break
                        peer.sendall(msgspec.json.encode(said) + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            for peer in peers:
                with suppress(OSError):  # it is closed already
                    peer.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def output(run: str, seq: int, text: str, *, job: str = "tick", at: str = NOW, **fields: Any) -> dict[str, Any]:
    """Return a line of a run's output, as the shim writes it."""
    head = {
        "timestamp": at,
        "level": "info",
        "event": "run.output",
        "source": "run",
        "job": job,
        "run": run,
        "seq": seq,
    }
    return {**head, "stream": "stdout", "line": text, **fields}


def later(seconds: float) -> str:
    """Return the instant so long after noon, as text."""
    return to_text(NOW_US + round(seconds * 1_000_000))
