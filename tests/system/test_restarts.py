"""Restarts are free.

Under a real supervisord no line, no exit status and no slot is lost or doubled, whatever is killed.
"""

import os
import signal

from akjob.control.client import Client
from akjob.control.requests import RunJob
from tests.support import until
from tests.system.conftest import Site

RUNS = 20
LINES = 200
SCRIPT = "i=1; while [ $i -le %d ]; do echo line $i; i=$((i+1)); sleep 0.05; done; exit %d"


def zygote(site: Site) -> int:
    """Return the pid of the zygote that akjobd has now, 0 while akjobd is being started."""
    status = site.run("akjob", "status", "--json", check=False).stdout
    if not status.startswith("{"):
        return 0
    programs = site.json("status", check=False)[0]["programs"]  # 1 while a program is missing
    return int(programs["zygote"]["pid"] or 0)


def kill(site: Site, program: str) -> None:
    """Kill a program without warning, and wait until another one has its place."""
    pid = until(lambda: zygote(site) if program == "zygote" else site.pid(program))
    os.kill(pid, signal.SIGKILL)
    until(lambda: (zygote(site) if program == "zygote" else site.pid(program)) not in (0, pid))


def test_twenty_printing_runs_survive_a_restart_and_three_kills(site: Site) -> None:
    """A restart, then kill -9 of akjobd, zygote and collector: every line once, every exit code, no slot twice."""
    for number in range(RUNS):
        site.job(f"n{number}", f"command = '{SCRIPT % (LINES, number)}'\n")
    site.up()
    runs = {}
    with Client(site.paths) as client:
        for number in range(RUNS):
            runs[number] = client.call(RunJob(job=f"n{number}")).run
    site.supervisorctl("restart", "akjobd")
    for program in ("akjobd", "zygote", "akjob-collector"):
        kill(site, program)
    rows = until(lambda: all_ended(site), 60.0)
    assert {row["id"]: row["exit_code"] for row in rows} == {run: number for number, run in runs.items()}
    assert len({(row["job"], row["slot"], row["attempt"]) for row in rows}) == RUNS
    expected = [f"line {number}" for number in range(1, LINES + 1)]
    for run in runs.values():
        lines = [line["line"] for line in site.json("logs", run) if line["event"] == "run.output"]
        assert lines == expected, site.said()
    until(lambda: not os.listdir(site.paths.runs), 45.0)


def all_ended(site: Site) -> list[dict[str, object]]:
    """Return the rows of all runs once none is open."""
    rows = site.json("history", "-n", "100")
    return rows if len(rows) == RUNS and all(row["state"] not in ("queued", "running") for row in rows) else []


def test_a_killed_shim_loses_its_run_alone(site: Site) -> None:
    """kill -9 of one shim: that run is lost and its job dead, the others go on."""
    site.job("one", 'command = "sleep 60 & sleep 60"\n')
    site.job("other", 'command = "sleep 1; exit 3"\n')
    site.up()
    with Client(site.paths) as client:
        one, other = (client.call(RunJob(job=job)).run for job in ("one", "other"))
    running = until(lambda: {row["run"]: row for row in site.json("status", check=False)[0]["running"]}.get(one))
    job = os.pidfd_open(int(running["pid"]))
    try:
        os.kill(int(running["shim_pid"]), signal.SIGKILL)
        states = until(lambda: states_of(site, one, other), 30.0)
        assert states == {one: ("lost", None), other: ("failed", 3)}
        assert until(lambda: not os.path.exists(f"/proc/{running['pid']}"))
    finally:
        os.close(job)


def states_of(site: Site, *runs: str) -> dict[str, tuple[str, int | None]]:
    """Return state and exit code of the runs once all have ended."""
    found = {row["id"]: (row["state"], row["exit_code"]) for row in site.json("history") if row["id"] in runs}
    return found if len(found) == len(runs) and all(state != "running" for state, _ in found.values()) else {}
