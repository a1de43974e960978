"""What `up` and `down` share: signals, the wait for running jobs, supervisord's surroundings."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.cli import supervision
from akjob.cli.draining import DrainWait, Signals, describe, draining
from akjob.config import Paths
from akjob.control.requests import Drain
from akjob.control.server import accept
from akjob.control.status import RunningRun
from akjob.errors import AkjobError
from akjob.instants import MINUTE, SECOND, from_text, to_text
from akjob.program import listen

NOW = from_text("2026-03-30T07:30:00Z")
RUNS = [
    RunningRun(job="load", run="b", pid=2, shim_pid=1, started_at=to_text(NOW - 5 * SECOND)),
    RunningRun(job="reports/nightly", run="a", pid=4, shim_pid=3, started_at=to_text(NOW - 20 * MINUTE)),
]


@pytest.fixture
def root() -> Iterator[Path]:
    """Make an empty root, its path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="akjob-") as name:
        for folder in ("etc", "var/log", "var/run"):
            (Path(name) / folder).mkdir(parents=True)
        yield Path(name)


def test_the_list_says_what_is_waited_for_and_how_long() -> None:
    """The oldest run comes first, and what Ctrl-C would do is said."""
    text = describe(RUNS, NOW, killing=False)
    assert text == "Waiting for 2 runs: reports/nightly (20 min), load (5 s); Ctrl-C ends them"


def test_the_list_says_when_they_are_being_ended() -> None:
    """After Ctrl-C, or with --kill, the words are others."""
    assert describe(RUNS[:1], NOW, killing=True) == "Ending 1 run: load (5 s)"


def test_a_run_that_has_not_started_has_no_age() -> None:
    """A queued run is listed by its name alone, last."""
    queued = RunningRun(job="queued", run="c", pid=None, shim_pid=None, started_at=None)
    assert describe([queued, RUNS[0]], NOW, killing=True) == "Ending 2 runs: load (5 s), queued"


def test_on_a_pipe_a_line_is_printed_when_the_list_changes(capsys: pytest.CaptureFixture[str]) -> None:
    """Looking again each second must not fill a log."""
    shown = DrainWait(killing=False)
    for runs in (RUNS, RUNS, RUNS[:1], [], RUNS[:1]):
        shown.show(runs)
    shown.killing = True
    shown.show(RUNS[:1])
    starts = [line.split(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert starts == ["Waiting for 2 runs", "Waiting for 1 run", "Ending 1 run"]


def test_signals_are_counted_and_wake_the_wait() -> None:
    """A signal ends a wait without an end, and the handlers before are put back."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    reader, writer = os.pipe()
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGINT)
            assert not signals.wait(reader)
            os.kill(os.getpid(), signal.SIGTERM)
            assert not signals.wait(reader)
            assert (signals.interrupts, signals.ends) == (1, 1)
            os.write(writer, b"x")
            assert signals.wait(reader)
    finally:
        os.close(reader)
        os.close(writer)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_an_akjobd_that_does_not_answer_is_not_waited_for(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`down` goes on to end supervisord, and says what becomes of the runs."""
    with Signals() as signals, draining(Paths(root), signals, kill=False) as drained:
        assert not drained
    assert "the next akjobd takes them over" in capsys.readouterr().err


def test_an_akjobd_that_hangs_is_not_waited_for(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runs are waited for as long as they take, akjobd's word about them is not."""
    monkeypatch.setattr("akjob.cli.draining.ANSWER_S", 0.0)
    listener = listen(Paths(root).control_socket)
    try:
        with Signals() as signals, draining(Paths(root), signals, kill=False) as drained:
            assert not drained
    finally:
        listener.close()
    assert "does not answer" in capsys.readouterr().err


def test_a_signal_cuts_the_wait_short(root: Path) -> None:
    """SIGTERM to `down` leaves akjobd waiting for its runs and returns."""
    listener = listen(Paths(root).control_socket)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            with draining(Paths(root), signals, kill=False) as drained:
                assert not drained
        requests: list[object] = []
        while (peer := accept(listener)) is not None:
            requests += peer.requests() or []
            peer.socket.close()
        assert Drain() in requests
    finally:
        listener.close()


def test_a_root_without_supervisord_conf_names_init(root: Path) -> None:
    """`akjob up` in a folder that was never made ready says what makes it ready."""
    with pytest.raises(AkjobError) as caught:
        supervision.prepare(Paths(root))
    assert str(Paths(root).etc / "supervisord.conf") in caught.value.message
    assert "akjob init" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("length", "fits"), [(68, True), (69, False)])
def test_a_root_too_deep_for_the_socket_is_said_so(length: int, fits: bool, root: Path) -> None:
    """The name that supervisord binds must fit into 107 bytes, its pid and all."""
    above = root
    deep = above / ("x" * (length - len(str(above)) - 1))
    (deep / "etc").mkdir(parents=True)
    (deep / "etc" / "supervisord.conf").touch()
    if fits:
        supervision.prepare(Paths(deep))
        return
    with pytest.raises(AkjobError, match="1 byte too long for supervisord's socket"):
        supervision.prepare(Paths(deep))


@pytest.mark.parametrize("odd", ["%", '"'])
def test_a_root_that_supervisord_cannot_take_is_said_so(odd: str, root: Path) -> None:
    """Its own words would be a riddle: "unsupported format character 'b' (0x62) at index 13"."""
    folder = root / f"a{odd}b"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "supervisord.conf").touch()
    with pytest.raises(AkjobError, match=f"cannot work in a folder with {odd} in its path") as caught:
        supervision.prepare(Paths(folder))
    assert caught.value.exit_code == 2


def test_supervisords_folders_are_made(root: Path) -> None:
    """A clone without var/ is not an obstacle, and var/ is for its owner alone."""
    (Paths(root).etc / "supervisord.conf").touch()
    for folder in (Paths(root).log_dir, Paths(root).run_dir, Paths(root).var):
        folder.rmdir()
    supervision.prepare(Paths(root))
    assert Paths(root).log_dir.is_dir()
    assert Paths(root).run_dir.is_dir()
    assert Paths(root).var.stat().st_mode & 0o777 == 0o700


def test_supervisord_gets_our_programs_first_and_no_outer_supervisor() -> None:
    """The akjobd that is started belongs to the akjob that starts it; an outer supervisord is none of its business."""
    found = supervision.environment({"PATH": "/usr/bin", "SUPERVISOR_ENABLED": "1", "HOME": "/root"})
    assert found["HOME"] == "/root"
    assert "SUPERVISOR_ENABLED" not in found
    first, rest = found["PATH"].split(os.pathsep)
    assert rest == "/usr/bin"
    assert Path(first).parent == Path(sys.prefix)


def test_no_supervisord_is_no_error(root: Path) -> None:
    """Whether one answers is a question; a socket file that nobody listens on is a no."""
    assert supervision.pid(Paths(root)) is None
    listen(Paths(root).supervisor_socket).close()
    assert supervision.pid(Paths(root)) is None
    assert not supervision.shut_down(Paths(root))
