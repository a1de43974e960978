"""`akjob run --here`: however it ends, nothing of the run stays: no shim, no job, no folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import until

MANY = 'command = "seq 100000; sleep 1000"\n'
SEVEN = 'command = "echo out; echo err >&2; exit 7"\n'
LONG = 'command = "echo begun; sleep 1000"\n'


@contextmanager
def here(root: Path, text: str, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a job with --here, its temporary folders in ``root/tmp``; afterwards none may be left there."""
    (root / "jobs.d" / "job.toml").write_text(text)
    temporary = root / options.pop("temporary", "tmp")
    temporary.mkdir()
    code = "from akjob.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "run", "job", "--here"],
        env={**os.environ, "AKJOB_ROOT": str(root), "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        **options,
    ) as process:
        yield process
        process.wait(60)
    assert not list(temporary.iterdir())


def test_a_reader_that_goes_away_ends_the_run(root: Path) -> None:
    """`akjob run --here job | head -2` ends when head does, with the exit code that a broken pipe has."""
    with here(root, MANY, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 141
        assert not process.stderr.read()


def test_what_standard_output_does_not_take_ends_the_run(root: Path) -> None:
    """On a full disk the run ends, and it is said why, though the job itself has long ended."""
    with open("/dev/full", "wb") as full, here(root, SEVEN, stdout=full) as process:
        assert process.wait(60) == 1
        assert process.stderr is not None
        said = process.stderr.read().decode()
    assert "No space left on device" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run(root: Path, number: signal.Signals) -> None:
    """As Ctrl-C does, and the exit code tells which one."""
    with here(root, LONG, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        assert f"cancelled: {number.name}" in process.stderr.read().decode()


def test_a_signal_ends_the_run_though_nobody_reads(root: Path) -> None:
    """A reader that takes nothing, and does not go away, keeps neither the run nor the command."""
    with here(root, MANY, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143


def test_a_signal_at_the_very_beginning_ends_the_run(root: Path) -> None:
    """As soon as there is something to leave behind, a signal takes it along."""
    with here(root, LONG, stdout=subprocess.PIPE) as process:
        until(lambda: list((root / "tmp").iterdir()))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143


def test_ctrl_c_asks_and_then_kills(root: Path) -> None:
    """The first Ctrl-C lets the job end as it likes, the second one does not."""
    deaf = "command = \"trap 'echo asked' TERM; echo begun; while :; do sleep 0.1; done\"\n"
    with here(root, deaf, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"asked\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 137


def test_what_was_ignored_stays_ignored(root: Path) -> None:
    """`nohup akjob run --here job` outlives its terminal."""

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    waits = 'command = "echo begun; until test -e go; do sleep 0.05; done"\n'
    with here(root, waits, stdout=subprocess.PIPE, preexec_fn=ignore) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        process.send_signal(signal.SIGHUP)
        (root / "go").touch()
        assert process.wait(60) == 0


def test_a_long_name_for_temporary_files_is_no_obstacle(root: Path) -> None:
    """The run's sockets may have names that are too long for an address."""
    with here(root, SEVEN, stdout=subprocess.PIPE, temporary="x" * 100) as process:
        assert process.wait(60) == 7
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == b"out\n"
        assert process.stderr.read() == b"err\nakjob: failed: exit code 7\n"
