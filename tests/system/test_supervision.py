"""The real supervisord, with the real etc/supervisord.conf, and the commands that start and end it."""

import os
import re
import signal
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support import until
from tests.system.conftest import SCRIPTS, Site

SLOW = """
command = "echo begun; trap 'echo told; exit 3' TERM; while :; do sleep 0.1; done"
[schedule]
on_start = true
"""
# It ends when the test lets it.
GATED = """
command = "echo begun; while [ ! -e go ]; do sleep 0.05; done; echo done"
[schedule]
on_start = true
"""


def gone(number: int) -> bool:
    """Return True if a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


class Command:
    """An ``akjob`` command that goes on while the test does something; what it prints goes to a file."""

    def __init__(self, site: Site, *argv: str) -> None:
        self._said = site.root / f"said-{argv[0]}"
        with self._said.open("wb") as out:
            self._process = subprocess.Popen(
                [SCRIPTS / "akjob", *argv],
                cwd=site.root,
                env=site.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    def text(self) -> str:
        """Return what it printed so far."""
        return self._said.read_text()

    def signal(self, number: int) -> None:
        """Send it a signal, as the terminal does at Ctrl-C."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Wait for its end and return the exit code."""
        return self._process.wait(30)


def foreground(site: Site) -> Command:
    """Start ``akjob up`` in the foreground and wait until it has said what there is to type."""
    up = Command(site, "up")
    until(lambda: "akjob down" in up.text())
    return up


def test_supervisords_own_commands_work_as_they_stand(site: Site) -> None:
    """In the root ``supervisord -c …``, ``supervisorctl status``, ``restart`` and ``shutdown`` need no more words."""
    site.run("supervisord", "-c", "etc/supervisord.conf")
    until(site.answers)
    listed = site.supervisorctl("status")
    assert re.search(r"^akjob-collector +RUNNING", listed, re.MULTILINE)
    assert re.search(r"^akjobd +RUNNING", listed, re.MULTILINE)
    before = site.pid("akjobd")
    assert "akjobd: started" in site.supervisorctl("restart", "akjobd")
    assert site.pid("akjobd") not in {0, before}
    supervisor = int(site.supervisorctl("pid"))
    assert "Shut down" in site.supervisorctl("shutdown")
    until(lambda: gone(supervisor))


def test_a_fresh_clone_has_what_supervisord_needs(site: Site) -> None:
    """With nothing in var/ but what git keeps, and the venv not activated, supervisord starts akjob as it stands."""
    (site.root / ".venv").symlink_to(SCRIPTS.parent)
    site.environment["PATH"] = "/usr/bin:/bin"
    site.run("supervisord", "-c", "etc/supervisord.conf")
    until(site.answers)


@pytest.mark.parametrize("program", ["akjobd", "akjob-collector"])
def test_a_killed_program_comes_back_every_time(site: Site, program: str) -> None:
    """supervisord never gives up on a program, however often and however early it is killed."""
    site.up()
    seen: set[int] = set()
    for _ in range(5):
        number = until(lambda: {site.pid(program)} - seen - {0}).pop()
        seen.add(number)
        os.kill(number, signal.SIGKILL)
    until(site.answers)


def test_what_cannot_be_executed_does_not_spin(site: Site) -> None:
    """Without an akjobd to execute, supervisord tries ever more slowly, and goes on trying."""
    site.environment["PATH"] = "/usr/bin:/bin"
    site.run("supervisord", "-c", "etc/supervisord.conf")
    log = site.paths.log_dir / "supervisord.log"
    until(lambda: log.read_text().count("can't find command 'akjobd'") >= 3)
    assert "BACKOFF" in site.supervisorctl("status", check=False)
    assert log.read_text().count("can't find command 'akjobd'") < 6
    assert "FATAL" not in log.read_text()


def test_a_lasting_failure_does_not_spin(site: Site) -> None:
    """Where akjobd cannot work, be it for good, it says why and waits before it exits: no start a second."""
    site.paths.db.mkdir()
    site.run("supervisord", "-c", "etc/supervisord.conf")
    log = site.paths.log_dir / "supervisord.log"
    until(lambda: log.read_text().count("spawned: 'akjobd'") >= 2)
    times = re.findall(r"(\d\d):(\d\d):(\d\d),\d+ INFO spawned: 'akjobd'", log.read_text())
    seconds = [int(h) * 3600 + int(m) * 60 + int(s) for h, m, s in times]
    assert all((later - sooner) % 86400 >= 3 for sooner, later in pairwise(seconds)), times
    said = (site.paths.log_dir / "akjobd.out").read_text()
    assert "akjob.db" in said
    assert "Traceback" not in said


def test_up_says_what_runs_and_what_to_type(site: Site) -> None:
    """``akjob up --detach`` returns when akjobd answers: with the jobs, their next slots, and where to look."""
    site.job("tick", 'command = "date"\n[schedule]\nevery = "1h"\n')
    site.job("wrong", 'comand = "date"\n')
    for name, text in (("_defaults", "[run]\ntimout = 1\n"), ("a", 'command = "x"\n'), ("b", 'command = "x"\n')):
        site.job(f"sub/{name}", text)
    done = site.akjob("up", "--detach")
    assert f"akjob is up in {site.root}: 1 job, 3 broken." in done.stdout
    assert re.search(r"^tick +\S+ +\d{4}-", done.stdout, re.MULTILINE)
    assert "jobs.d/wrong.toml:1:1" in done.stderr
    assert done.stderr.count("jobs.d/sub/_defaults.toml:2:1") == 1  # however many jobs it costs
    for command in ("akjob status", "akjob history", "akjob logs -f", "akjob down"):
        assert command in done.stdout
    assert site.akjob("status", check=False).returncode == 1


def test_up_shows_no_list_that_fills_the_screen(site: Site) -> None:
    """Of many jobs it says how many there are, and which command shows them."""
    for number in range(41):
        site.job(f"job{number}", 'command = "date"\n')
    done = site.akjob("up", "--detach")
    assert f"akjob is up in {site.root}: 41 jobs, none broken." in done.stdout
    assert "job7" not in done.stdout
    assert "akjob list" in done.stdout


def test_a_second_up_says_so(site: Site) -> None:
    """Two supervisords on one root are never started; ``--detach`` is content with the first."""
    site.up()
    number = site.supervisorctl("pid").strip()
    again = site.akjob("up", "--detach")
    assert f"is up in {site.root} already: supervisord has pid {number}" in again.stdout
    here = site.akjob("up", check=False)
    assert here.returncode == 1
    assert f"supervisord has pid {number}" in here.stderr
    assert site.supervisorctl("pid").strip() == number


def test_down_where_nothing_is_up_is_fine(site: Site) -> None:
    """The wish is fulfilled already."""
    done = site.akjob("down")
    assert done.stdout == f"akjob is not up in {site.root}.\n"


def test_several_that_start_it_at_once_all_find_it_up(site: Site) -> None:
    """One supervisord comes of it, and nobody is told that it did not start."""
    starters = [Command(site, "up", "--detach") for _ in range(4)]
    assert [one.end() for one in starters] == [0] * 4


def test_up_does_not_take_for_up_what_is_going_down(site: Site) -> None:
    """While `down` waits for a run akjob is not up any more, and not yet down."""
    site.job("gated", GATED)
    site.up()
    until(lambda: site.states("gated") == ["running"])
    down = Command(site, "down")
    until(lambda: "Waiting for 1 run: gated" in down.text())
    up = site.akjob("up", "--detach", check=False)
    assert up.returncode == 1
    assert f"akjob is going down in {site.root}: `akjob down` waits for 1 run" in up.stderr
    (site.root / "go").touch()
    assert down.end() == 0, down.text()


def test_down_waits_for_running_jobs(site: Site) -> None:
    """A run that ends by itself is waited for, is named meanwhile, and succeeded."""
    site.job("gated", GATED)
    site.up()
    until(lambda: site.states("gated") == ["running"])
    down = Command(site, "down")
    until(lambda: "Waiting for 1 run: gated" in down.text())
    (site.root / "go").touch()
    assert down.end() == 0, down.text()
    assert down.text().endswith("akjob is down.\n")
    assert site.states("gated") == ["succeeded"]
    assert "done" in site.akjob("logs", "gated").stdout


def test_down_kill_ends_running_jobs(site: Site) -> None:
    """With --kill a run is told to end, and is cancelled, with the reason."""
    site.job("slow", SLOW)
    site.up()
    until(lambda: b"begun" in (site.paths.log.read_bytes() if site.paths.log.exists() else b""))
    site.akjob("down", "--kill")
    (row,) = site.json("history", "slow")
    assert row["state"] == "cancelled"
    assert row["reason"]
    assert "told" in site.akjob("logs", "slow").stdout


def test_down_sees_to_runs_that_nobody_looks_after(site: Site) -> None:
    """When supervisord and akjobd are gone `down` names the runs that go on; with --kill it ends them itself."""
    site.job("slow", SLOW)
    site.up()
    until(lambda: b"begun" in (site.paths.log.read_bytes() if site.paths.log.exists() else b""))
    (run,) = site.json("history", "slow")
    site.supervisorctl("shutdown")
    until(lambda: not site.paths.supervisor_socket.exists())
    left = site.akjob("down", check=False)
    assert left.returncode == 1
    assert left.stderr.startswith(f"akjob: akjob is not up in {site.root}, but runs of it go on: slow {run['id']}\n")
    assert "akjob down --kill" in left.stderr
    killed = site.akjob("down", "--kill")
    assert "Ending 1 run: slow" in killed.stderr
    assert site.akjob("down").stdout == f"akjob is not up in {site.root}.\n"
    site.up()
    (row,) = until(lambda: [row for row in site.json("history") if row["id"] == run["id"] and row["ended_at"]])
    assert (row["state"], row["reason"]) == ("cancelled", "akjob down --kill")


def test_down_starts_nothing_more(site: Site) -> None:
    """What waits behind a run that is ended stays where it is, up to akjobd's own end: nothing is left running."""
    site.job("queued", 'command = "sleep 60"\n[schedule]\nevery = "1s"\n[run]\noverlap = "queue"\n')
    site.up()
    until(lambda: len(site.states("queued")) > 2)
    site.akjob("down", "--kill")
    states = site.states("queued")
    assert states.count("cancelled") == states.count("queued") == 1
    assert set(states) <= {"cancelled", "queued", "skipped"}
    assert list(site.paths.runs.iterdir()) == []


def test_ctrl_c_waits_for_running_jobs(site: Site) -> None:
    """In the foreground the first Ctrl-C is ``akjob down``: nothing new starts, what runs ends by itself."""
    site.job("gated", GATED)
    up = foreground(site)
    supervisor = int(site.supervisorctl("pid"))
    until(lambda: site.states("gated") == ["running"])
    up.signal(signal.SIGINT)
    until(lambda: "Waiting for 1 run: gated" in up.text())
    (site.root / "go").touch()
    assert up.end() == 0, up.text()
    assert up.text().endswith("akjob is down.\n")
    assert site.states("gated") == ["succeeded"]
    assert gone(supervisor)


def test_the_foreground_shows_the_log(site: Site) -> None:
    """What happens is seen where akjob was started, without another command."""
    site.job("tick", 'command = "echo tick tock"\n[schedule]\non_start = true\n')
    up = foreground(site)
    until(lambda: "tick tock" in up.text())
    up.signal(signal.SIGINT)
    assert up.end() == 0, up.text()


def test_a_second_ctrl_c_ends_the_running_jobs(site: Site) -> None:
    """Whoever presses again does not want to wait."""
    site.job("slow", SLOW)
    up = foreground(site)
    until(lambda: "begun" in up.text())
    up.signal(signal.SIGINT)
    until(lambda: "Waiting for 1 run: slow" in up.text())
    up.signal(signal.SIGINT)
    assert up.end() == 0, up.text()
    assert site.states("slow") == ["cancelled"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_an_end_of_the_foreground_leaves_the_runs_alone(site: Site, number: int) -> None:
    """SIGTERM, or the death of ``akjob up``, ends supervisord; the next ``up`` takes the running job over."""
    site.job("gated", GATED)
    up = foreground(site)
    supervisor = int(site.supervisorctl("pid"))
    until(lambda: site.states("gated") == ["running"])
    up.signal(number)
    up.end()
    until(lambda: gone(supervisor))
    site.job("gated", GATED.replace("on_start = true", 'every = "52w"'))
    site.up()
    assert site.states("gated") == ["running"]
    (site.root / "go").touch()
    until(lambda: site.states("gated") == ["succeeded"])
    assert site.akjob("logs", "gated").stdout.count("| done") == 1


def test_when_supervisord_dies_nothing_of_akjob_stays(site: Site) -> None:
    """akjobd and the collector end with supervisord, so that the next one finds the root free."""
    site.up()
    programs = [site.pid("akjobd"), site.pid("akjob-collector")]
    os.kill(int(site.supervisorctl("pid")), signal.SIGKILL)
    until(lambda: all(map(gone, programs)))
    site.up()
    assert not set(programs) & {site.pid("akjobd"), site.pid("akjob-collector")}
