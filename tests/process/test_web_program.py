"""akjob-web as a program: what keeps it from serving is said once, hurts nothing, and ends when it is gone."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from akjob.config import Paths
from akjob.control import presence
from akjob.control.status import beside_akjobd
from akjob.web.program import now_us
from akjob.web.store import WebStore
from tests.roots import Place
from tests.support import until


@contextmanager
def running(root: Path, before: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Run akjob-web of a root; ``before`` is code that runs first in its process."""
    code = f"{before}\nfrom akjob.web.program import main; main()"
    with open(root / "web.out", "ab") as out:
        process = subprocess.Popen([sys.executable, "-c", code, "--root", str(root)], stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def settings(root: Path, text: str) -> Paths:
    """Make a root with settings of the page."""
    (root / "jobs.d").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "etc" / "akjob.toml").write_text(f"[web]\n{text}\n")
    (root / "etc" / "supervisord.conf").write_text("[program:akjob-web]\n")
    return Paths(root)


def test_a_port_that_is_taken_is_said_with_the_setting(tmp_path: Path) -> None:
    """Once; the program waits, and ends at once when it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        paths = settings(tmp_path, f'listen = "127.0.0.1:{port}"')
        with running(tmp_path) as process:
            until(lambda: (found := presence.read(paths)) is not None and found.trouble)
            page = beside_akjobd(paths, now_us())["akjob-web"]
            assert (page.pid, page.state, page.is_well) == (process.pid, "blocked", False)
            assert f"another program listens on 127.0.0.1:{port}" in str(page.trouble)
            process.terminate()
            assert process.wait(20) == 0
    said = (tmp_path / "web.out").read_text()
    assert said.count("another program listens on") == 1
    assert "listen of [web] in etc/akjob.toml" in said


def test_without_the_extra_it_says_so_once_and_waits(tmp_path: Path) -> None:
    """One sentence with the command that installs it; no exit that a supervisor would answer with a start."""
    paths = settings(tmp_path, "")
    hide = "import sys; sys.modules['starlette'] = None"
    with running(tmp_path, f"{hide}\nimport importlib.machinery") as process:
        until(lambda: presence.read(paths))
        assert process.poll() is None
        process.terminate()
        assert process.wait(20) == 0
    assert (tmp_path / "web.out").read_text().count("pip install 'akjob[web]'") == 1


def test_a_page_that_is_off_waits(tmp_path: Path) -> None:
    """Nothing listens."""
    paths = settings(tmp_path, "enabled = false")
    with running(tmp_path):
        found = until(lambda: presence.read(paths))
        assert (found.serves, "enabled = false" in found.trouble) == (False, True)
        page = beside_akjobd(paths, now_us())["akjob-web"]
        assert (page.state, page.is_well) == ("off", True)


def test_a_unix_socket_is_for_the_owner_and_the_group(tmp_path: Path) -> None:
    """Mode 0660, with a code as everywhere; one that was left behind is replaced."""
    paths = settings(tmp_path, 'listen = "unix:var/run/web.sock"\nhosts = ["akjob.example.org"]')
    for _ in range(2):
        with running(tmp_path) as process:
            until(lambda: (found := presence.read(paths)) is not None and found.serves)
            where = paths.run_dir / "web.sock"
            assert where.stat().st_mode & 0o777 == 0o660
            with WebStore.open(paths.web_db) as store:
                code = store.create_code("ada", now_us())
            transport = httpx.HTTPTransport(uds=str(where))
            with httpx.Client(transport=transport, base_url="http://akjob.example.org") as client:
                assert until(lambda client=client: client.get("/healthz")).status_code == 200  # type: ignore[misc]
                assert client.get("/").status_code == 401
                assert client.get("/login", params={"code": code}).status_code == 303
            process.kill()


def test_kill_harms_no_run(tmp_path: Path) -> None:
    """The page dies and comes back; the run goes on, and the page knows it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings(tmp_path, f'listen = "127.0.0.1:{port}"')
    place = Place(tmp_path)
    place.job("sleeper", 'command = ["sleep", "60"]\n[run]\nkill_after = "1s"\n')
    try:
        place.start()
        place.start("akjob-web")
        run = place.run("sleeper")
        until(lambda: place.running(run))
        pid = place.pid("akjob-web")
        until(lambda: healthy(port))
        place.kill("akjob-web", signal.SIGKILL)
        until(lambda: place.pid("akjob-web") != pid and healthy(port))
        assert place.running(run)
    finally:
        place.stop()


def healthy(port: int) -> bool:
    """Return True if the page serves."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """With code 0, and what said that it serves is gone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    paths = settings(tmp_path, f'listen = "127.0.0.1:{port}"')
    with running(tmp_path) as process:
        until(lambda: healthy(port))
        process.send_signal(number)
        assert process.wait(5) == 0
    assert presence.read(paths) is None
