"""A PostgreSQL server of the tests' own: Debian's programs, in a temporary folder, run by a user that is not root."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SAFE = "-c fsync=off -c full_page_writes=off -c max_connections=200"
"""Outlives the death of the server, not that of the machine."""

FAST = f"{SAFE} -c synchronous_commit=off"


def programs() -> Path | None:
    """Return the folder of initdb and pg_ctl; None where PostgreSQL is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    path = shutil.which("initdb")
    return None if path is None else Path(path).parent


needs_postgres = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not there: apt-get install postgresql")


class Server:
    """A server that listens on a Unix socket alone."""

    def __init__(self, folder: Path, options: str = FAST, superuser: str = "akjob") -> None:
        found = programs()
        assert found is not None
        self.folder = folder
        self._bin = found
        self._options = options
        self._count = 0
        self._as_user(
            "initdb", "-D", str(folder / "data"), "-U", superuser, "-A", "trust", "--no-sync", "-E", "UTF8", "-N"
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' {self._options}"
        self._as_user(
            "pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-l", f"{self.folder}/log", "-w", "start"
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``immediate`` is as if it had crashed."""
        self._as_user("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop")

    def database(self) -> str:
        """Return the URL of a new, empty database."""
        self._count += 1
        name = f"test{self._count}"
        self._as_user("createdb", "-h", str(self.folder), "-U", "akjob", name)
        return f"postgresql://akjob@/{name}?host={self.folder}"

    def database_of(self, user: str) -> str:
        """Return the URL of a new, empty database of a new user that has no other right."""
        self._as_user("createuser", "-h", str(self.folder), "-U", "akjob", user)
        self._as_user("createdb", "-h", str(self.folder), "-U", "akjob", "--owner", user, user)
        return f"postgresql://{user}@/{user}?host={self.folder}"

    def admit(self, network: str) -> None:
        """Let everybody in from a network."""
        with open(self.folder / "data/pg_hba.conf", "a", encoding="utf-8") as rules:
            rules.write(f"host all all {network} trust\n")
        self._as_user("pg_ctl", "-D", str(self.folder / "data"), "reload")

    def _as_user(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/", check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running(options: str = FAST, superuser: str = "akjob") -> Iterator[Server]:
    """Run a server in a short folder of its own; skip where PostgreSQL is not installed."""
    if programs() is None:
        pytest.skip("PostgreSQL is not there: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="akjob-pg-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        server = Server(folder, options, superuser)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)
