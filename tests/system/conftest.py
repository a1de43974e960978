"""A root with the real etc/supervisord.conf, and the real programs: supervisord, akjobd, the collector."""

import json
import os
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault

import pytest

from akjob.cli import supervision
from akjob.config import Paths
from akjob.control.client import Client
from akjob.control.requests import GetStatus
from akjob.errors import AkjobError
from akjob.ledger import open_reader

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))


class Site:
    """A root and the commands that a person would type in it.

    ``environment`` is what they get; change it before :meth:`up`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = Paths(root)
        outer = {
            name: value for name, value in os.environ.items() if not name.startswith(("AKJOB_ROOT", "SUPERVISOR_"))
        }
        self.environment = outer | {"PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
        shutil.copy(REPOSITORY / "etc" / "supervisord.conf", root / "etc")

    def run(self, *argv: str, check: bool = True, timeout_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run a program of this installation in the root; with ``check`` its failure is the test's."""
        done = subprocess.run(
            [str(SCRIPTS / argv[0]), *argv[1:]],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout}{done.stderr}{self.said()}")
        return done

    def akjob(self, *argv: str, check: bool = True, timeout_s: float = 60.0) -> "subprocess.CompletedProcess[str]":
        """Run ``akjob`` in the root."""
        return self.run("akjob", *argv, check=check, timeout_s=timeout_s)

    def json(self, *argv: str, check: bool = True) -> list[dict[str, Any]]:
        """Return the objects that ``akjob … --json`` prints."""
        return [json.loads(line) for line in self.akjob(*argv, "--json", check=check).stdout.splitlines()]

    def supervisorctl(self, *argv: str, check: bool = True) -> str:
        """Run ``supervisorctl`` in the root, which finds its configuration by itself, and return what it printed."""
        return self.run("supervisorctl", *argv, check=check).stdout

    # What the tests ask again and again is asked without a new process each time.

    def pid(self, program: str) -> int:
        """Return the process id of one of supervisord's programs; 0 while it has none, or supervisord is not there."""
        try:
            return int(supervision.ask(self.paths, "supervisor.getProcessInfo", program)["pid"])
        except (OSError, HTTPException, Fault):
            return 0

    def answers(self) -> bool:
        """Return True if akjobd answers and has loaded the jobs."""
        try:
            with Client(self.paths) as client:
                return bool(client.call(GetStatus()).status.revision.loaded_at)
        except AkjobError:
            return False

    def states(self, job: str) -> list[str]:
        """Return the states of a job's runs, the newest first."""
        return [row["state"] for row in open_reader(self.paths.ledger_url).history(job)]

    def job(self, name: str, text: str) -> Path:
        """Write a job file as an editor does: beside it, then renamed over it."""
        path = self.root / "jobs.d" / f"{name}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        draft.write_text(text)
        return draft.rename(path)

    def up(self) -> None:
        """Start everything and wait until akjobd answers."""
        self.akjob("up", "--detach")

    def down(self) -> None:
        """End everything, running jobs too; supervisord by force where it must be."""
        self.akjob("down", "--kill", check=False)
        with suppress(OSError, ValueError):
            number = int((self.paths.run_dir / "supervisord.pid").read_text())
            if b"supervisord" in Path(f"/proc/{number}/cmdline").read_bytes():
                os.kill(number, signal.SIGKILL)

    def said(self) -> str:
        """Return what the programs wrote to their own logs, for a failure's message."""
        parts = []
        for name in ("supervisord.log", "akjobd.out", "akjob-collector.out"):
            with suppress(OSError):
                parts.append(f"--- {name}\n{(self.paths.log_dir / name).read_text(errors='replace')[-3000:]}")
        return "\n".join(parts)


@pytest.fixture
def site(root: Path) -> Iterator[Site]:
    """Yield a root in which nothing runs yet; whatever was started in it is ended afterwards."""
    here = Site(root)
    yield here
    here.down()
