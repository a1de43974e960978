"""``akjob init``."""

import getpass
import shutil
import stat
import subprocess
import sysconfig
from pathlib import Path

import pytest
from click.testing import CliRunner

from akjob.cli.init import command, make, shipped, unit
from akjob.errors import UsageError

FILES = [".gitignore", "etc/akjob.toml", "etc/job.schema.json", "etc/supervisord.conf", "jobs.d/hello.toml"]


def files_of(root: Path) -> dict[str, bytes]:
    """Return every file below a root with its content."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_an_empty_folder_becomes_a_root(tmp_path: Path) -> None:
    """There is an example, the configuration, the schema, what git shall not see, and supervisord's folders."""
    done = CliRunner().invoke(command, [str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert sorted(files_of(tmp_path)) == sorted([*FILES, "var/log/.gitkeep", "var/run/.gitkeep"])
    for name in FILES:
        assert f"wrote  {tmp_path / name}\n" in done.output
    assert f"akjob up --root {tmp_path}" in done.output


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    """``akjob init new/folder`` makes it, parents too."""
    done = CliRunner().invoke(command, [str(tmp_path / "a" / "b")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a" / "b" / "jobs.d" / "hello.toml").exists()


def test_var_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Log and ledger may hold what a job printed."""
    list(make(tmp_path))
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700


def test_the_second_time_changes_nothing(tmp_path: Path) -> None:
    """Everything is kept, and said to be; a changed example is not brought back."""
    list(make(tmp_path))
    (tmp_path / "jobs.d" / "hello.toml").write_text('command = "true"\n')
    before = files_of(tmp_path)
    done = list(make(tmp_path))
    assert files_of(tmp_path) == before
    assert {what for what, _ in done} == {"kept"}


@pytest.mark.parametrize("name", FILES[:-1])
def test_a_file_that_is_there_is_never_overwritten(name: str, tmp_path: Path) -> None:
    """What somebody wrote stays, whatever it holds."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    assert ("kept", name) in list(make(tmp_path))
    assert path.read_text() == "mine"


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    """A dangling link is somebody's file, too."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "akjob.toml").symlink_to(tmp_path / "elsewhere")
    assert ("kept", "etc/akjob.toml") in list(make(tmp_path))
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_with_jobs_gets_no_example(tmp_path: Path) -> None:
    """Nobody wants a hello among two hundred jobs."""
    (tmp_path / "jobs.d" / "reports").mkdir(parents=True)
    (tmp_path / "jobs.d" / "reports" / "nightly.toml").write_text('command = "true"\n')
    list(make(tmp_path))
    assert not (tmp_path / "jobs.d" / "hello.toml").exists()


def test_a_gitignore_without_var_is_pointed_out(tmp_path: Path) -> None:
    """The file stays as it is; the line that it lacks is said."""
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    assert "add the line /var/" in CliRunner().invoke(command, [str(tmp_path)]).output
    (tmp_path / ".gitignore").write_text("/var/\n")
    assert "add the line" not in CliRunner().invoke(command, [str(tmp_path)]).output


def test_a_file_in_the_way_is_wrong_usage(tmp_path: Path) -> None:
    """The folder's name is that of a file: exit code 2, by way of the error that says so."""
    (tmp_path / "file").touch()
    done = CliRunner().invoke(command, [str(tmp_path / "file")])
    assert "is not a folder" in str(done.exception)
    assert getattr(done.exception, "exit_code", None) == 2


def test_the_example_runs_anywhere() -> None:
    """It is a command that every machine has, and runs at the start, so that something is seen at once."""
    text = shipped("hello.toml").decode()
    assert 'command = "echo' in text
    assert "on_start = true" in text


def test_systemd_writes_the_unit_of_this_root(tmp_path: Path) -> None:
    """It names this root, this installation and the owner of var/, and is never overwritten."""
    done = CliRunner().invoke(command, [str(tmp_path), "--systemd"])
    assert done.exit_code == 0, done.output
    written = (tmp_path / "etc" / "akjob.service").read_text()
    assert f"WorkingDirectory={tmp_path}\n" in written
    assert f"User={getpass.getuser()}\n" in written
    assert f'ExecStart="{sysconfig.get_path("scripts")}/supervisord" ' in written
    assert "@" not in written
    assert f"sudo cp {tmp_path}/etc/akjob.service /etc/systemd/system/" in done.output
    (tmp_path / "etc" / "akjob.service").write_text("mine")
    assert "kept" in CliRunner().invoke(command, [str(tmp_path), "--systemd"]).output
    assert (tmp_path / "etc" / "akjob.service").read_text() == "mine"


def test_a_unit_escapes_what_systemd_would_expand() -> None:
    """Percent signs are doubled; what no unit can hold is refused."""
    assert "WorkingDirectory=/srv/a%%b c\n" in unit(Path("/srv/a%b c"), "/opt/akjob/bin", "akjob")
    for path in ('/srv/a"b', "/srv/a$b", "/srv/a:b"):
        with pytest.raises(UsageError):
            unit(Path(path), "/opt/akjob/bin", "akjob")


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there: apt-get install systemd"
)
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """``systemd-analyze verify`` has nothing to say, a blank in the path included."""
    root = tmp_path / "my jobs"
    CliRunner().invoke(command, [str(root), "--systemd"])
    argv = ["systemd-analyze", "verify", "--man=no", str(root / "etc" / "akjob.service")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
