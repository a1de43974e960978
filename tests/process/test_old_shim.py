"""Runs of the akjobd before: adopted, ended, told; shims of an earlier version too, and after the machine's boot."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from akjob.instants import from_text
from akjob.log.reading.read import lines
from tests.roots import Place
from tests.support import until

SAMPLES = Path(__file__).parents[1] / "samples"
SAMPLE = SAMPLES / "run-version-1"
SAMPLE_RUN = "01m85ad4y13k9x02"
LONG = 'command = ["sleep", "300"]\n[run]\nkill_after = "1s"\n'


def begin(place: Place, text: str = LONG, name: str = "report") -> dict[str, Any]:
    """Start a run of a job; return what `status` tells of it."""
    place.job(name, text)
    until(lambda: place.known(name))
    run = place.run(name)
    return until(lambda: place.running(run))


def end_akjobd(place: Place, *, shim: int = 0) -> None:
    """Kill akjobd, and a shim; nobody starts another akjobd."""
    pidfd = os.pidfd_open(shim) if shim else -1
    place._stopping = True
    with suppress(ProcessLookupError):
        place.kill("akjobd")
    place._keepers[1].join(20)
    place._stopping = False
    if shim:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
        until(lambda: not alive(shim))


def alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_an_adopted_run_is_shown_and_can_be_stopped(place: Place) -> None:
    """After kill -9 of akjobd the status has the same pids, and `stop` reaches the run."""
    before = begin(place)
    place.kill("akjobd")
    until(place.loaded)
    assert until(lambda: place.running(before["run"])) == before
    assert place.ask("stop", target="report", by="ada")["stopped"] == [before["run"]]
    row = place.wait(before["run"])
    assert (row["state"], row["signal"], row["reason"]) == ("cancelled", signal.SIGTERM, "stopped by ada")
    until(lambda: not place.folders())


def test_an_adopted_run_keeps_its_time_limit(place: Place) -> None:
    """The limit is its shim's: it holds over a restart, and without any akjobd."""
    before = begin(place, 'command = ["sleep", "300"]\n[run]\ntimeout = "1500ms"\n')
    end_akjobd(place)
    until(lambda: not alive(before["pid"]))
    place.start("akjobd")
    row = place.wait(before["run"])
    assert (row["state"], row["pid"]) == ("timed_out", before["pid"])
    assert from_text(row["ended_at"]) - from_text(row["started_at"]) >= 1_500_000


def test_after_a_boot_runs_are_lost_and_nobody_innocent_is_killed(place: Place) -> None:
    """Locks are free then, and the numbers in the run's folder may be anybody's."""
    before = begin(place)
    end_akjobd(place, shim=before["shim_pid"])
    with subprocess.Popen(["sleep", "300"]) as innocent:
        try:
            folder = place.paths.runs / before["run"]
            (folder / "lock").write_text(f"{innocent.pid} 1795475018698795\n")
            (folder / "stop").write_text("cancelled\nkill\nstopped by ada")
            place.start("akjobd")
            assert place.wait(before["run"])["state"] == "lost"
            until(lambda: not place.folders())
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_the_end_that_an_older_shim_left_is_read(place: Place) -> None:
    """The files of version 1, as they were once written, are understood: end, right, lock and spool."""
    before = begin(place)
    end_akjobd(place, shim=before["shim_pid"])
    folder = place.paths.runs / before["run"]
    for file in SAMPLE.iterdir():
        (folder / file.name).write_bytes(file.read_bytes().replace(SAMPLE_RUN.encode(), before["run"].encode()))
    place.start("akjobd")
    row = place.wait(before["run"])
    assert (row["state"], row["exit_code"], row["pid"]) == ("failed", 3, 4314)
    assert (row["user_cpu_s"], row["max_rss_bytes"]) == (0.132805, 7704576)
    until(lambda: not place.folders(), 45.0)
    told = [line for line in lines(place.paths, run=before["run"]) if line.get("seq") in (3, 4)]
    assert [(line["event"], line.get("line")) for line in told if line.get("line") != "one"][-2:] == [
        ("run.output", "two"),
        ("run.finished", None),
    ]


def test_an_older_shim_that_lives_is_adopted(place: Place) -> None:
    """One that only keeps to the files and notices of version 1 is shown, stopped and heard."""
    before = begin(place)
    end_akjobd(place, shim=before["shim_pid"])
    folder = place.paths.runs / before["run"]
    (folder / "lock").write_bytes(b" " * 64)  # as version 1 left it, with two numbers at its beginning
    with subprocess.Popen(
        [sys.executable, SAMPLES / "shim_version_1.py", folder, place.paths.shims_socket, str(os.getpid())],
        stdout=subprocess.PIPE,
        text=True,
    ) as shim:
        try:
            assert shim.stdout is not None
            assert shim.stdout.readline() == "ready\n"
            place.start("akjobd")
            found = until(lambda: place.running(before["run"]))
            assert found["shim_pid"] == shim.pid
            assert place.ask("stop", target=before["run"], by="ada")["stopped"] == [before["run"]]
            row = place.wait(before["run"])
            assert (row["state"], row["reason"], row["user_cpu_s"]) == ("cancelled", "stopped by ada (term)", 0.5)
            assert shim.wait(20) == 0
        finally:
            shim.kill()
    until(lambda: not place.folders())
