"""`pytest --akjob` and the fixtures, in a project of its own."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

GOOD = 'command = "true"\n[schedule]\nevery = "1h"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project: a root with two jobs, one of them with a mistake, and a test of its own."""
    folder = tmp_path / "jobs.d" / "reports"
    folder.mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "akjob.toml").write_text("")
    (folder / "good.toml").write_text(GOOD)
    (folder / "bad.toml").write_text('command = "true"\n[schedule]\nevry = "1h"\n')
    (folder / "_defaults.toml").write_text('[run]\ntimeout = "5m"\n')
    (tmp_path / "other.toml").write_text("x = 1\n")
    return tmp_path


def suite(project: Path, *arguments: str) -> str:
    """Run pytest in the project and return what it printed."""
    command = [sys.executable, "-m", "pytest", "-p", "akjob.testing.plugin", "-p", "no:cacheprovider", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "AKJOB"))}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_each_job_file_is_an_item(project: Path) -> None:
    """What `validate` finds is the failure, with file, line and column; what is not a job file is none."""
    said = suite(project, "--akjob", "-v", "jobs.d")
    assert "jobs.d/reports/good.toml::akjob PASSED" in said
    assert "jobs.d/reports/bad.toml::akjob FAILED" in said
    assert re.search(r"bad\.toml:3:1: error\[unknown-key\] unknown key", said)
    assert "1 failed, 1 passed" in said


def test_without_the_option_nothing_is_collected(project: Path) -> None:
    """Not even where a job file is named."""
    assert "no tests ran" in suite(project, "jobs.d")


def test_a_warning_does_not_fail(project: Path) -> None:
    """It is one of pytest's."""
    (project / "jobs.d" / "reports" / "bad.toml").write_text('command = "true"\n[schedule]\ncron = "0 0 1 * mon"\n')
    said = suite(project, "--akjob", "jobs.d/reports/bad.toml")
    assert "1 passed, 1 warning" in said
    assert "bad.toml:3:8: warning[cron-both-days]" in said


def test_an_unused_plug_in_imports_nothing(project: Path) -> None:
    """A suite that has no job pays for one small module."""
    (project / "test_it.py").write_text(
        "import sys\n"
        "def test_it():\n"
        "    loaded = {name for name in sys.modules if name.startswith('akjob')}\n"
        "    assert loaded == {'akjob', 'akjob.testing', 'akjob.testing.plugin'}, loaded\n"
        "    assert 'msgspec' not in sys.modules\n"
    )
    assert "1 passed" in suite(project, "test_it.py")


def test_the_fixtures(project: Path) -> None:
    """A root to write into and to validate, and a run."""
    (project / "test_it.py").write_text(
        "from akjob.testing import load\n"
        "def test_root(akjob_root):\n"
        "    akjob_root.write('a/b', 'command = \"x\"\\n[schedule]\\nevery = \"1h\"\\n')\n"
        "    assert [one for one in akjob_root.validate() if one.severity == 'error'] == []\n"
        "    assert akjob_root.load('a/b').fires_at('2027-01-01T05:00:00Z')\n"
        "    akjob_root.write('c', 'evry = 1\\n')\n"
        "    assert {one.file for one in akjob_root.validate() if one.severity == 'error'} == {'jobs.d/c.toml'}\n"
        "def test_run(akjob_root, akjob_run):\n"
        "    akjob_root.write('hello', 'command = \"echo hello\"\\n')\n"
        "    assert akjob_run(akjob_root.load('hello')).lines == ['hello']\n"
    )
    assert "2 passed" in suite(project, "test_it.py")


def test_a_real_akjobd(project: Path) -> None:
    """It runs what is written, has rows of it, and leaves no process behind, not even a run."""
    (project / "test_it.py").write_text(
        "def test_daemon(akjob_daemon):\n"
        "    akjob_daemon.write('hello', 'command = \"echo hello; exit 3\"\\n')\n"
        "    row = akjob_daemon.run('hello')\n"
        "    assert (row['job'], row['trigger'], row['state'], row['exit_code']) == ('hello', 'manual', 'failed', 3)\n"
        "    assert [one['id'] for one in akjob_daemon.rows('hello')] == [row['id']]\n"
        "    akjob_daemon.write('tick', 'command = \"sleep 1000\"\\n[schedule]\\nevery = \"1s\"\\n')\n"
        "    akjob_daemon.until(lambda: [one for one in akjob_daemon.rows('tick') if one['state'] == 'running'])\n"
        "    print(akjob_daemon.root.path)\n"
    )
    said = suite(project, "-s", "test_it.py")
    assert "1 passed" in said
    root = next(line for line in said.splitlines() if line.endswith("/root")).lstrip(".")
    assert [one for one in processes() if root in one] == []


def processes() -> list[str]:
    """Return what every process was called with, and where it works."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.append(f"{(folder / 'cmdline').read_bytes()!r} {(folder / 'cwd').readlink()}")
    return found
