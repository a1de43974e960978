"""A root that is a git repository, with akjobd running in it: what deploys look like to it."""

import json
import os
import signal
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from akjob.control.client import Client
from akjob.control.requests import Drain
from akjob.errors import AkjobError
from akjob.processes import lock_holder
from tests.roots import Place
from tests.support import until

AKJOB = Path(sysconfig.get_path("scripts")) / "akjob"
_IDENTITY = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@contextmanager
def drained(place: Place) -> Iterator[None]:
    """End what runs and let nothing start: begins when no shim is left, while all that a shim talks to is there."""
    with suppress(AkjobError), Client(place.paths) as client:
        client.call(Drain(kill=True))
        until(lambda: not any(lock_holder(place.paths.runs / run / "lock") for run in place.folders()))
        yield  # akjobd stays drained as long as the client is connected
        return
    yield


class Deploy(Place):
    """A place with git, the events of its log, and the commands that a person types."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.jobs_d = root / "jobs.d"
        self._from = 0
        self._fences = 0
        self._gate = threading.Event()
        self._gate.set()

    # git

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        """Run git in the root or another folder, and return what it printed."""
        done = subprocess.run(
            ["git", "-c", "safe.directory=*", "-c", "init.defaultBranch=main", *arguments],
            cwd=folder or self.root,
            env={**os.environ, **_IDENTITY},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def repository(self) -> str:
        """Make the root a repository, commit what is there, and return the commit."""
        (self.root / ".gitignore").write_text("/var/\n/*.out\n")
        self.git("init", "--quiet")
        return self.commit("first")

    def commit(self, message: str) -> str:
        """Commit everything and return the commit."""
        return self._commit(self.root, message)

    def _commit(self, folder: Path, message: str) -> str:
        self.git("add", "--all", folder=folder)
        self.git("commit", "--quiet", "--allow-empty", "-m", message, folder=folder)
        return self.git("rev-parse", "HEAD", folder=folder)

    def pull(self, **files: str) -> str:
        """Pull a commit that changes these jobs, made in another clone, and return it."""
        clone = self.root / "var" / "clone"
        if not clone.exists():
            self.git("clone", "--quiet", str(self.root), str(clone))
        for name, text in files.items():
            (clone / "jobs.d" / f"{name}.toml").write_text(text)
        commit = self._commit(clone, f"change {', '.join(files)}")
        self.git("pull", "--quiet", "--ff-only", str(clone), "main")
        return commit

    # files

    def write(self, path: str, text: str) -> Path:
        """Write a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    # what akjobd says

    def forget(self) -> None:
        """Begin again: events so far are not looked at any more, once they are all written."""
        self._from = len(self._log())

    def _log(self) -> list[dict[str, Any]]:
        try:
            lines = self.paths.log.read_text().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def events(self, *names: str, **fields: Any) -> list[dict[str, Any]]:
        """Return the events of these names, with these values, since the last ``forget``."""
        found = [event for event in self._log()[self._from :] if event["event"] in names]
        return [event for event in found if all(event.get(key) == value for key, value in fields.items())]

    def fence(self) -> None:
        """Wait until akjobd has looked at everything as it is now: it has seen a file that was written last."""
        self._fences += 1
        name = f"fence-{self._fences}"
        self.ask("scan")
        self.job(name, 'command = "true"\n')
        until(lambda: self.events("job.added", job=name))

    def command(self, job: str) -> str | None:
        """Return what the loaded definition of a job runs, by the ledger; None when it is not loaded."""
        rows = self.sql("SELECT definition FROM jobs WHERE job = ? AND removed_at IS NULL", job)
        return rows[0]["definition"] if rows else None

    def says(self, job: str, text: str) -> bool:
        """Return True if the loaded definition of a job contains a text."""
        return text in (self.command(job) or "")

    def akjob(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Run ``akjob`` in the root."""
        return subprocess.run(
            [AKJOB, *argv],
            cwd=self.root,
            env={**self.environment, "NO_COLOR": "1", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def json(self, *argv: str) -> list[dict[str, Any]]:
        """Return the objects that ``akjob … --json`` prints."""
        return [json.loads(line) for line in self.akjob(*argv, "--json").stdout.splitlines()]

    def restart(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End akjobd, without warning or with SIGTERM, and wait until the next one has loaded the jobs."""
        ended = self.pid("akjobd")
        self.kill("akjobd", number)
        until(lambda: self.pid("akjobd") != ended and self.loaded())

    def hold(self, program: str) -> None:
        """Kill a program; it is not started again until ``release``."""
        self._gate.clear()
        self.kill(program)
        until(lambda: self._processes[program].poll() is not None)

    def release(self) -> None:
        """Let programs be started again."""
        self._gate.set()

    def _spawn(self, program: str) -> None:
        self._gate.wait()
        if not self._stopping:
            super()._spawn(program)

    def stop(self) -> None:
        """End everything, runs too."""
        self._stopping = not self._gate.is_set()
        self._gate.set()
        with drained(self):
            super().stop()
