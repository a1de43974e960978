"""A run that a test makes: a real process, its output, its events and its end."""

from datetime import timedelta
from pathlib import Path

import pytest

from akjob.testing import load, run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a root with a module."""
    (tmp_path / "jobs.d").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "akjob.toml").write_text("")
    (tmp_path / "reports.py").write_text(
        "import logging, os, sys\n"
        "def send(region='emea'):\n"
        "    print('to', region, os.environ['AKJOB_SLOT'], os.environ.get('TOKEN'))\n"
        "    logging.getLogger('reports').warning('sent')\n"
        "    return {'sent': 3}\n"
        "def fail():\n"
        "    print('half', end='')\n"
        "    raise KeyError('emea')\n"
    )
    return tmp_path


def job(folder: Path, text: str) -> Path:
    """Write a job file."""
    path = folder / "jobs.d" / "report.toml"
    path.write_text(text)
    return path


def test_a_run_gives_what_it_printed_logged_and_returned(folder: Path) -> None:
    """Arguments, slot and variables are those of the test."""
    path = job(folder, 'callable = "reports:send"\n[run]\nenv = { TOKEN = { file = "/nowhere/secret" } }\n')
    found = run(path, {"region": "apac"}, slot="2027-03-29T09:30:00Z", secrets={"TOKEN": "s3cret"})
    assert (found.state, found.exit_code, found.signal, found.error) == ("succeeded", 0, None, None)
    assert found.lines == ["to apac 2027-03-29T09:30:00.000000Z s3cret"]
    assert [one["event"] for one in found.events] == ["sent"]
    assert found.result == {"sent": 3}
    assert timedelta(0) < found.duration < timedelta(minutes=1)


def test_a_run_that_fails(folder: Path) -> None:
    """The error is that of the job, an unfinished line is a line."""
    found = run(load(job(folder, 'callable = "reports:fail"\n')))
    assert (found.state, found.exit_code, found.result) == ("failed", 1, None)
    assert found.error == "KeyError: 'emea'"
    assert found.lines[0] == "half"


def test_a_command_has_the_variables_of_the_test(folder: Path) -> None:
    """Over those of the file; its exit code is the run's."""
    found = run(job(folder, 'command = "echo $A; exit 7"\n[run]\nenv = { A = "file" }\n'), env={"A": "test"})
    assert (found.state, found.exit_code, found.lines) == ("failed", 7, ["test"])
