"""A collector that hangs or is gone: jobs and akjobd are not held up, and nothing is missing afterwards."""

import os
import shutil
import signal
from pathlib import Path

from akjob.log.reading.read import lines
from tests.roots import Place
from tests.support import until


def printed(place: Place, run: str) -> list[str]:
    """Return a run's lines as the log has them, each once."""
    return [line["line"] for line in lines(place.paths, run=run) if line["event"] == "run.output"]


def begin(place: Place, command: str) -> tuple[str, dict[str, int]]:
    """Start a run; return its id and its pids."""
    place.job("steady", f"command = '''{command}'''\n")
    until(lambda: place.known("steady"))
    run = place.run("steady")
    (one,) = until(lambda: place.status()["running"])
    return run, {"pid": one["pid"], "shim": one["shim_pid"]}


STEADY = "i=0; while [ ! -e go ]; do i=$((i+1)); echo $i >> count; echo line $i; sleep 0.02; done"


def test_a_collector_that_hangs_holds_nobody_up(place: Place) -> None:
    """A job that prints steadily goes on while the collector is stopped, its lines in the spool; none is missing."""
    run, _ = begin(place, STEADY)
    until(lambda: printed(place, run))
    place.kill("akjob-collector", signal.SIGSTOP)
    try:
        until((place.paths.runs / run / "spool").exists)
        before = count(place)
        until(lambda: count(place) > before + 20)
    finally:
        place.kill("akjob-collector", signal.SIGCONT)
    (place.root / "go").touch()
    assert place.wait(run)["state"] == "succeeded"
    expected = [f"line {number}" for number in range(1, count(place) + 1)]
    until(lambda: printed(place, run) == expected)
    until(lambda: not place.folders(), 45.0)


def count(place: Place) -> int:
    """Return how many lines the job has printed, one less perhaps."""
    path = place.root / "count"
    return path.read_text().count("\n") if path.exists() else 0


def test_a_collector_that_is_gone_past_the_end_gets_the_spool(place: Place) -> None:
    """Run and shim are over when it comes back: it reads the spool in, and the run's folder goes."""
    run, pids = begin(place, STEADY)
    until(lambda: printed(place, run))
    place._stopping = True
    place.kill("akjob-collector")
    place._keepers[0].join(20)
    place._stopping = False
    (place.root / "go").touch()
    assert place.wait(run)["state"] == "succeeded"
    until(lambda: not Path(f"/proc/{pids['shim']}").exists())
    assert (place.paths.runs / run / "spool").exists()
    place.start("akjob-collector")
    expected = [f"line {number}" for number in range(1, count(place) + 1)]
    until(lambda: printed(place, run) == expected)
    until(lambda: not place.folders(), 45.0)


def test_a_shim_whose_folder_is_gone_does_not_stay(place: Place) -> None:
    """Somebody has removed all of the root: there is nobody to tell the last lines, and no place to keep them."""
    run, pids = begin(place, STEADY)
    place._stopping = True
    for program in ("akjob-collector", "akjobd"):
        place.kill(program)
    for keeper in place._keepers:
        keeper.join(20)
    (place.root / "go").touch()
    until((place.paths.runs / run / "end.json").exists)
    shutil.rmtree(place.paths.runs / run)
    until(lambda: not Path(f"/proc/{pids['shim']}").exists())


def test_sigterm_ends_akjobd_at_once_and_leaves_runs_alone(place: Place) -> None:
    """Also while the collector hangs: its last lines go to a spool, and the next akjobd delivers them."""
    run, pids = begin(place, "while [ ! -e go ]; do sleep 0.05; done; exit 5")
    place.kill("akjob-collector", signal.SIGSTOP)
    try:
        akjobd = os.pidfd_open(place.pid("akjobd"))
        place._stopping = True
        place.kill("akjobd", signal.SIGTERM)
        place._keepers[1].join(20)
        os.close(akjobd)
        assert place._processes["akjobd"].returncode == 0, place.said()
        place._stopping = False
        assert all(Path(f"/proc/{pid}").exists() for pid in pids.values())
        (place.root / "go").touch()
        until((place.paths.runs / run / "end.json").exists)
    finally:
        place.kill("akjob-collector", signal.SIGCONT)
    place.start("akjobd")
    row = place.wait(run)
    assert (row["state"], row["exit_code"]) == ("failed", 5)
    until(lambda: [line for line in lines(place.paths) if line["event"] == "daemon.stopping"])
