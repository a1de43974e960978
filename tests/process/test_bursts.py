"""A shim that is done takes the order that waits: each run is still its own, and only its own."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from akjob.log.reading.read import lines
from akjob.processes import lock_holder
from tests.process.test_faults import Points
from tests.roots import Place
from tests.support import until

FIRST = 'command = "echo first; while [ ! -e go ]; do sleep 0.02; done; exit 3"\n'
FEW = 150
LONG = 'command = "echo second; exec sleep 300"\n'


@contextmanager
def zygote_held(place: Place) -> Iterator[None]:
    """Hold the zygote still, so that nobody but a shim can take an order."""
    zygote = place.pid("zygote")
    os.kill(zygote, signal.SIGSTOP)
    try:
        until(lambda: Path(f"/proc/{zygote}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        yield
    finally:
        os.kill(zygote, signal.SIGCONT)


def hand_over(place: Place, second: str, first: str = FIRST) -> tuple[dict[str, Any], int, str]:
    """Let a shim end its run while another order waits; return its first run, that one's signal, the second run."""
    place.define(first=first, second=second)
    before = place.run("first")
    shown = until(lambda: place.running(before))
    call_signal = int((place.paths.runs / before / "lock").read_text().split()[2])
    with zygote_held(place):
        run = place.run("second")
        (place.root / "go").touch()
        place.wait(before)
        until(lambda: place.running(run) or place.ended(run))
    return shown, call_signal, run


def queue_up(place: Place, text: str, count: int, served: int) -> list[str]:
    """Let so many runs of a job wait for one shim alone, until it has served some of them; return the runs."""
    place.define(first=FIRST, queued=text + '[run]\noverlap = "allow"\n')
    first = place.run("first")
    until(lambda: place.running(first))
    with zygote_held(place):
        runs = [place.run("queued") for _ in range(count)]
        (place.root / "go").touch()
        until(lambda: len([run for run in runs if place.ended(run)]) == served)
    return runs


def test_a_shim_takes_the_order_that_waits(place: Place) -> None:
    """Both runs have their own end, lines and numbers; the second one's shim is the first one's."""
    first, _, run = hand_over(place, 'command = "echo second; echo $PPID; kill -9 $$"\n')
    row, before = place.wait(run), place.wait(first["run"])
    assert (before["state"], before["exit_code"], before["signal"]) == ("failed", 3, None)
    assert (row["state"], row["exit_code"], row["signal"]) == ("failed", None, signal.SIGKILL)
    until(lambda: not place.folders())
    told = [(line["seq"], line.get("line", line["event"])) for line in lines(place.paths, run=run)]
    shim = str(first["shim_pid"])
    assert told == [(1, "run.started"), (2, "second"), (3, shim), (4, "run.finished")]
    assert [line["seq"] for line in lines(place.paths, run=first["run"])] == [1, 2, 3]


def test_what_a_run_used_is_its_own(place: Place) -> None:
    """CPU time and memory of the run before are not counted again."""
    (place.root / "greedy.py").write_text(
        "import os, time\n"
        "def main():\n"
        "    kept = bytearray(64 << 20)\n"
        "    while time.process_time() < 0.3: pass\n"
        "    while not os.path.exists('go'): time.sleep(0.01)\n"
    )
    first, _, run = hand_over(place, 'command = ["true"]\n', 'callable = "greedy:main"\n')
    row, before = place.wait(run), place.wait(first["run"])
    assert before["max_rss_bytes"] > 64 << 20 > row["max_rss_bytes"]
    assert before["user_cpu_s"] + before["system_cpu_s"] > 0.3 > row["user_cpu_s"] + row["system_cpu_s"]


def test_what_the_shim_has_made_is_not_gone_through_by_the_job(place: Place) -> None:
    """The job's garbage collector knows what the job has made; it would walk through the rest at its first import."""
    (place.root / "tidy.py").write_text("import gc\ndef main():\n    return len(gc.get_objects())\n")
    runs = queue_up(place, 'callable = "tidy:main"\n', 40, served=40)
    left = [int(place.wait(run)["result"]) for run in runs]
    assert max(left) < FEW


def test_a_word_meant_for_the_run_before_does_not_reach_this_one(place: Place) -> None:
    """Each run of a shim has a signal of its own: a late one is not heard, the right one is."""
    first, call_signal, run = hand_over(place, LONG)
    shown = until(lambda: place.running(run))
    assert shown["shim_pid"] == first["shim_pid"]
    os.kill(shown["shim_pid"], call_signal)
    assert place.ask("stop", target="second", by="ada")["stopped"] == [run]
    row = place.wait(run)
    assert (row["state"], row["signal"], row["reason"]) == ("cancelled", signal.SIGTERM, "stopped by ada")


def test_a_killed_shim_loses_the_run_that_it_has(place: Place) -> None:
    """The run before has its end already; the one that the shim looks after is lost, and its job dead."""
    first, _, run = hand_over(place, LONG)
    shown = until(lambda: place.running(run))
    os.kill(shown["shim_pid"], signal.SIGKILL)
    assert place.wait(run)["state"] == "lost"
    assert place.wait(first["run"])["state"] == "failed"
    until(lambda: not Path("/proc", str(shown["pid"])).exists())
    until(lambda: not place.folders())


def test_a_second_run_is_adopted_too(place: Place) -> None:
    """The akjobd after a kill -9 finds the run by its lock, and the signal that the shim listens to."""
    _, _, run = hand_over(place, LONG)
    before = until(lambda: place.running(run))
    place.kill("akjobd")
    until(place.loaded)
    assert until(lambda: place.running(run)) == before
    assert place.ask("stop", target=run, by="ada")["stopped"] == [run]
    assert place.wait(run)["reason"] == "stopped by ada"
    until(lambda: not place.folders())


def test_what_a_run_left_behind_is_ended_before_the_next_begins(place: Place) -> None:
    """Nothing of the run before can be taken for the next one's."""
    leaving = "command = \"(trap '' TERM; exec sleep 300) & while [ ! -e go ]; do sleep 0.02; done\"\n"
    first, _, run = hand_over(place, 'command = "exit 7"\n', leaving)
    assert "left 1 process behind, ended: s" in place.wait(first["run"])["reason"]
    assert place.wait(run)["reason"] == "exit code 7"


def test_a_shim_that_has_had_its_share_takes_no_order_with_it(place: Place) -> None:
    """One shim looks after many runs, not for ever; the orders left are the zygote's, and none is ordered twice."""
    runs = queue_up(place, 'command = ["true"]\n', 80, served=63)
    assert {place.wait(run)["state"] for run in runs} == {"succeeded"}
    until(lambda: not place.folders())
    started = [line for line in lines(place.paths) if line["event"] == "run.started"]
    assert [line["seq"] for line in started] == [1] * 81  # a second order's lines are counted from 2**32
    assert [line["shim_pid"] for line in started].count(started[0]["shim_pid"]) == 64


def test_without_a_collector_short_runs_are_not_held_up(root: Path) -> None:
    """A shim that waits for nobody but the collector is not one that is busy."""
    here = Place(root)
    try:
        here.start("akjobd")
        here.define(quick='command = ["true"]\n[run]\noverlap = "allow"\n')
        runs = [here.run("quick") for _ in range(24 * (os.cpu_count() or 1))]
        until(lambda: all(here.ended(run) for run in runs), 15.0)
        here.start("akjob-collector")
        until(lambda: not any(lock_holder(here.paths.runs / run / "lock") for run in here.folders()))
    finally:
        here.stop()


def test_an_order_of_an_akjobd_that_is_gone_is_not_taken(place: Place) -> None:
    """It lies on the socket still; the next akjobd has decided about it, and the run happens once."""
    place.define(first=FIRST, second='command = "echo ran >> effects"\n')
    first = place.run("first")
    until(lambda: place.running(first))
    with zygote_held(place):
        run = place.run("second")
        place.kill("akjobd")
        until(place.loaded)
        assert place.wait(run)["state"] == "succeeded"
        (place.root / "go").touch()
        assert place.wait(first)["exit_code"] == 3
        until(lambda: not place.folders())
    assert (place.root / "effects").read_text() == "ran\n"


def test_an_order_whose_shim_was_killed_before_it_said_so_is_found_out(root: Path) -> None:
    """Nobody hears of such a shim; after a while it is asked what became of its order."""
    here = Place(root, AKJOB_FAILPOINTS=str(root / "points"))
    points = Points(root / "points", "taken")
    try:
        here.start()
        here.define(first=FIRST, second='command = "echo ran >> effects"\n')
        asked: list[str] = []

        def ask() -> None:
            first = here.run("first")
            until(lambda: here.running(first))
            with zygote_held(here):
                asked.append(here.run("second"))
                (root / "go").touch()
                until(lambda: here.ended(first), 30.0)

        asking = threading.Thread(target=ask)
        asking.start()
        os.kill(points.wait(), signal.SIGKILL)
        points.let_go()
        asking.join()
        assert here.wait(asked[0])["state"] == "succeeded"
        assert (root / "effects").read_text() == "ran\n"
    finally:
        here.stop()


def test_a_job_has_no_descriptors_of_its_shim(place: Place) -> None:
    """Its streams, and the way to its own shim: nothing by which it could disturb another run."""
    (place.root / "opened.py").write_text(
        "import os\n"
        "def main():\n"
        "    paths = [f'/proc/self/fd/{number}' for number in os.listdir('/proc/self/fd')]\n"
        "    return sorted(os.readlink(path).partition(':')[0] for path in paths if os.path.lexists(path))\n"
    )
    own = 'callable = "opened:main"\n'
    place.define(opened=own)
    (place.root / "go").touch()
    alone = place.wait(place.run("opened"))["result"]
    assert alone == '["/dev/null", "pipe", "pipe", "socket"]'
    (place.root / "go").unlink()
    _, _, run = hand_over(place, own)
    assert place.wait(run)["result"] == alone


def test_jobs_that_go_on_make_room_for_others(place: Place) -> None:
    """However many run for long, the next one starts; and so it does when all their shims are killed."""
    place.define(long='command = ["sleep", "300"]\n[run]\noverlap = "allow"\n')
    many = 6 * (os.cpu_count() or 1)
    runs = [place.run("long") for _ in range(many)]
    shown = until(lambda: place.status()["running"] if len(place.status()["running"]) == many else None)
    for one in shown:
        os.kill(one["shim_pid"], signal.SIGKILL)
    assert {place.wait(run)["state"] for run in runs} == {"lost"}
    place.define(quick='command = ["true"]\n')
    assert place.wait(place.run("quick"))["state"] == "succeeded"


def test_an_order_longer_than_a_packet(place: Place) -> None:
    """Arguments of half a megabyte arrive whole."""
    (place.root / "echo.py").write_text("def main(text): return [len(text), text[-3:]]\n")
    place.define(long=f'callable = "echo:main"\nargs = ["{"x" * 500_000}end"]\n')
    assert place.wait(place.run("long"))["result"] == '[500003, "end"]'
