"""Who may say what runs: a real akjobd refuses what other users could have written, with what fixes it.

And who may ask akjobd: its own user and root.
"""

import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.config import Paths
from akjob.control.client import Client
from akjob.control.requests import GetStatus
from tests.roots import Place
from tests.support import until

STRANGER = 4711

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away and become somebody else")


@pytest.fixture
def place(root: Path) -> Iterator[Place]:
    """Yield a root with jobs of all kinds, loaded by akjobd; nothing is due by itself."""
    shutil.rmtree(root / "var")  # akjobd makes its own, and says who may look inside
    here = Place(root)
    (root / "jobs.d" / "sub").mkdir()
    here.job("shell", 'command = "echo shell"\n')
    here.job("sub/below", 'command = "echo below"\n')
    (root / "lib").mkdir()
    (root / "lib" / "mail.py").write_text("def send():\n    print('sent')\n")
    here.job("mail", 'callable = "lib.mail:send"\n')
    here.job("ready", 'command = "true"\n[run]\nsetup = ["lib.mail:send"]\n')
    here.start()
    yield here
    here.stop()


def broken(place: Place, job: str) -> dict[str, object] | None:
    """Return what akjobd says of a refused job."""
    found = [one for one in place.status()["broken"] if one["job"] == job]
    return dict(found[0]) if found else None


def refused(place: Place, job: str) -> dict[str, object]:
    """Wait until a job is refused; its last good version must be kept."""
    place.ask("scan")
    found = until(lambda: broken(place, job))
    assert found["running_last_good"] is True
    return found


def fix(place: Place, said: dict[str, object]) -> None:
    """Do what the hint says, to the letter, and wait until nothing is refused any more."""
    command = shlex.split(str(said["hint"]).partition(" (")[0])
    assert command[0] in ("chmod", "chown")
    subprocess.run(command, cwd=place.root, check=True)
    place.ask("scan")
    until(lambda: not place.status()["broken"])


def assert_runs(place: Place, job: str) -> None:
    """Let the job run, which must succeed."""
    row = place.wait(place.run(job))
    assert row["state"] == "succeeded", row


def test_a_world_writable_job_file(place: Place) -> None:
    """It is refused with the chmod that fixes it; what was loaded before goes on, whatever is written meanwhile."""
    file = place.root / "jobs.d" / "shell.toml"
    file.chmod(0o666)
    said = refused(place, "shell")
    assert said["file"] == "jobs.d/shell.toml"
    assert said["hint"] == "chmod o-w jobs.d/shell.toml"
    file.write_text('command = "touch owned"\n')
    place.ask("scan")
    assert_runs(place, "shell")
    assert not (place.root / "owned").exists()
    file.write_text('command = "echo shell"\n')
    fix(place, said)
    assert_runs(place, "shell")


def test_a_world_writable_folder(place: Place) -> None:
    """It refuses what is below it, and nothing else."""
    (place.root / "jobs.d" / "sub").chmod(0o777)
    said = refused(place, "sub/below")
    assert (said["file"], said["hint"]) == ("jobs.d/sub", "chmod o-w jobs.d/sub")
    assert [one["job"] for one in place.status()["broken"]] == ["sub/below"]
    fix(place, said)


def test_a_world_writable_root(place: Place) -> None:
    """Who may write to the root may replace all below it: every job is refused, and the last good ones go on."""
    place.root.chmod(0o777)
    said = refused(place, "shell")
    assert len(place.status()["broken"]) == 4
    assert_runs(place, "shell")
    fix(place, said)


def test_world_writable_defaults(place: Place) -> None:
    """A ``_defaults.toml`` says what runs as much as a job file does."""
    defaults = place.root / "jobs.d" / "sub" / "_defaults.toml"
    defaults.write_text("[run]\nnice = 1\n")
    defaults.chmod(0o666)
    said = refused(place, "sub/below")
    assert said["file"] == "jobs.d/sub/_defaults.toml"
    fix(place, said)


@pytest.mark.parametrize("job", ["mail", "ready"])
@pytest.mark.parametrize("path", ["lib", "lib/mail.py"])
def test_a_world_writable_module(place: Place, job: str, path: str) -> None:
    """The folder and the file that a callable, or one of ``setup``, would be imported from are looked at too."""
    mode = stat.S_IMODE((place.root / path).stat().st_mode)
    (place.root / path).chmod(mode | stat.S_IWOTH)
    said = refused(place, job)
    assert (said["file"], said["hint"]) == (path, f"chmod o-w {path}")
    assert broken(place, "shell") is None
    fix(place, said)


def test_a_world_writable_dill_file(place: Place) -> None:
    """Its hash protects its content, its mode is refused all the same; the hint names it."""
    pack = "from akjob.cli import main; main()"
    made = subprocess.run(
        [sys.executable, "-c", pack, "pack", "builtins:print", "-o", "jobs.d/packed.dill"],
        cwd=place.root,
        capture_output=True,
        text=True,
        check=True,
    )
    place.job("packed", next(line for line in made.stdout.splitlines() if line.startswith("dill")) + "\n")
    until(lambda: place.known("packed"))
    (place.root / "jobs.d" / "packed.dill").chmod(0o666)
    said = refused(place, "packed")
    assert said["file"] == "jobs.d/packed.dill"
    fix(place, said)
    assert_runs(place, "packed")


def test_a_new_job_that_is_not_trusted(place: Place) -> None:
    """There is no last good version of it: nothing runs, and the job cannot be asked for."""
    draft = place.root / "jobs.d" / ".new"
    draft.write_text('command = "touch owned"\n[schedule]\non_start = true\nevery = "1s"\n')
    draft.chmod(0o666)
    draft.rename(place.root / "jobs.d" / "new.toml")
    said = until(lambda: broken(place, "new"))
    assert said["running_last_good"] is False
    place.ask("scan")
    assert place.sql("SELECT 1 FROM runs WHERE job = 'new'") == []
    assert not (place.root / "owned").exists()


@as_root
@pytest.mark.parametrize("path", ["jobs.d/shell.toml", "jobs.d/sub", "lib"])
def test_a_foreign_owner(place: Place, path: str) -> None:
    """What belongs to a user who is not trusted is refused, with the chown and the setting that fix it."""
    job = {"jobs.d/shell.toml": "shell", "jobs.d/sub": "sub/below", "lib": "mail"}[path]
    os.chown(place.root / path, STRANGER, STRANGER)
    said = refused(place, job)
    assert said["file"] == path
    assert f'owners = ["{STRANGER}"]' in str(said["hint"])
    fix(place, said)


@as_root
def test_trusted_owners(place: Place) -> None:
    """``[trust] owners`` takes effect without a restart, and ceases to."""
    os.chown(place.root / "jobs.d" / "shell.toml", STRANGER, STRANGER)
    refused(place, "shell")
    config = place.root / "etc" / "akjob.toml"
    config.write_text(f'[trust]\nowners = ["{STRANGER}"]\n')
    place.ask("scan")
    until(lambda: not place.status()["broken"])
    assert_runs(place, "shell")
    config.write_text("[trust]\nowners = []\n")
    refused(place, "shell")


# -- who may ask ------------------------------------------------------------------------------------------------------


def test_nobody_else_can_look_inside(place: Place) -> None:
    """``var/`` is 0700, and what is in it open to no other user either: sockets and the ledger are 0600."""
    place.wait(place.run("shell"))
    for folder, folders, files in os.walk(place.paths.var):
        for name in (folder, *(os.path.join(folder, one) for one in (*folders, *files))):
            found = os.lstat(name)
            others = 0o027 if name.startswith(str(place.paths.log_dir)) else 0o077
            assert not stat.S_IMODE(found.st_mode) & others, (name, oct(found.st_mode))


def as_stranger(work: str, *arguments: str) -> str:
    """Run Python code as another user, without groups, and return what it printed."""
    code = f"import os, socket, sys\nos.setgroups([])\nos.setgid({STRANGER})\nos.setuid({STRANGER})\n{work}"
    done = subprocess.run([sys.executable, "-I", "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


ASK = """
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(20)
try:
    peer.connect(sys.argv[1])
    peer.sendall(b'{"op": "run", "job": "shell"}\\n')
except PermissionError:
    print("no permission")
except BrokenPipeError:
    print(peer.recv(4096))
else:
    print(peer.recv(4096))
"""


def open_up(paths: Paths) -> None:
    """Let everybody reach the socket, as somebody may do by mistake."""
    paths.root.chmod(0o755)
    paths.var.chmod(0o755)
    paths.run_dir.chmod(0o755)
    paths.control_socket.chmod(0o666)


@as_root
def test_a_stranger_cannot_connect(place: Place) -> None:
    """The folders keep other users out, and where somebody opened them, the socket's own mode."""
    place.root.chmod(0o755)
    assert as_stranger(ASK, str(place.paths.control_socket)) == "no permission"
    place.paths.var.chmod(0o755)
    place.paths.run_dir.chmod(0o755)
    assert as_stranger(ASK, str(place.paths.control_socket)) == "no permission"


@as_root
def test_a_stranger_who_can_connect_is_refused(place: Place) -> None:
    """The kernel's word on who asks counts, whatever the modes: nothing is done, and the answer says why."""
    open_up(place.paths)
    answer = as_stranger(ASK, str(place.paths.control_socket))
    assert "akjobd answers its own user and root alone" in answer
    with Client(place.paths) as client:
        assert client.call(GetStatus()).status.root == str(place.root)
    assert place.sql("SELECT 1 FROM runs") == []


@as_root
def test_strangers_cannot_write_to_the_log(place: Place) -> None:
    """The collector's and the shims' sockets are closed to others as well."""
    for path in (place.paths.collector_socket, place.paths.shims_socket):
        assert stat.S_ISSOCK(os.lstat(path).st_mode)
        assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
