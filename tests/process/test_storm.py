"""Runs in a storm: every 200 ms one of akjob's processes is killed, and every run still has its one right end.

``AKJOB_STORM=1000`` sets the number of runs.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from akjob.instants import to_text
from tests.conftest import MARK
from tests.roots import Place
from tests.support import until

RUNS = int(os.environ.get("AKJOB_STORM", "150"))
PER_SECOND = 10
KILL_EVERY_S = 0.2
VICTIMS = ("akjobd", "zygote", "zygote", "shim", "shim", "akjob-collector")  # the middle ones are not always there
CODES = (0, 3, 7)


@pytest.fixture
def place(quiet_place: Place) -> Place:
    """Return a root in which nothing runs yet."""
    return quiet_place


def title(pid: int) -> str:
    """Return a process's command line, an empty text when it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return ""


def parent(pid: int) -> int:
    """Return the parent of a process, 0 when it is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def of_this_test() -> list[int]:
    """Return the processes that this test has started."""
    mark = f"{MARK}={os.environ[MARK]}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found


def is_shim(pid: int) -> bool:
    """Return True for a shim, not for a job that has not executed its program yet: a job's parent is a shim."""
    return title(pid).startswith("akjob: shim of ") and not title(parent(pid)).startswith("akjob: shim of ")


def find(place: Place, victim: str) -> int:
    """Return the pid of a victim, 0 when there is none just now."""
    if victim not in ("zygote", "shim"):
        return place.pid(victim)
    if victim == "zygote":
        akjobd = place.pid("akjobd")
        found = [pid for pid in of_this_test() if title(pid).startswith("akjob: zygote") and parent(pid) == akjobd]
    else:
        found = [pid for pid in of_this_test() if is_shim(pid)]
    return random.choice(found) if found else 0  # noqa: S311 - no secret


def kill(place: Place, victim: str) -> str | None:
    """Kill one; return what it was: the program, or the title of the shim. None: there was nobody to kill."""
    pid = find(place, victim)
    try:
        watched = os.pidfd_open(pid) if pid else -1
    except ProcessLookupError:
        return None
    if watched < 0:
        return None
    try:
        # The number is held now; it must still be the one that was meant.
        name = title(pid) if victim == "shim" else victim
        if victim == "shim" and not is_shim(pid):
            return None
        signal.pidfd_send_signal(watched, signal.SIGKILL)
    except ProcessLookupError:
        return None
    finally:
        os.close(watched)
    return name


def storm(place: Place, seconds: float) -> tuple[Counter[str], set[str]]:
    """Kill somebody every 200 ms until all slots have passed and all runs have ended; return who was killed."""
    killed: Counter[str] = Counter()
    shims: set[str] = set()
    begin = time.monotonic()
    turn = 0

    def strike() -> bool:
        nonlocal turn
        now = time.monotonic()
        if now >= begin + turn * KILL_EVERY_S:
            turn = int((now - begin) / KILL_EVERY_S) + 1
            victim = random.choice(VICTIMS)  # noqa: S311 - no secret
            name = kill(place, victim)
            if name is not None:
                killed[victim] += 1
                shims.update({name} if victim == "shim" else ())
        return now > begin + seconds and open_runs(place) == 0

    until(strike, seconds + 240.0)
    return killed, shims


def open_runs(place: Place) -> int:
    """Return how many of the runs have not ended, those without a row too."""
    done = place.sql("SELECT count(*) AS n FROM runs WHERE state NOT IN ('queued', 'running')")
    return RUNS - int(done[0]["n"])


def test_a_storm_of_kills(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """Every run has its known exit code, or is lost if its shim was killed; no slot twice, nothing is left over."""
    first = (time.time_ns() // 1_000_000_000 + 6) * 1_000_000
    for number in range(RUNS):
        slot = to_text(first + number // PER_SECOND * 1_000_000)
        place.job(
            f"n{number:04}",
            f"command = 'echo n{number:04} >> effects; sleep 0.{number % 9 + 1}; exit {CODES[number % 3]}'\n"
            f"[schedule]\nat = {slot[:19]}Z\n",
        )
    place.start()
    killed, shims = storm(place, 6 + RUNS / PER_SECOND)
    until(place.loaded)
    rows = place.sql("SELECT * FROM runs")
    assert Counter(row["job"] for row in rows) == Counter(f"n{number:04}" for number in range(RUNS)), place.said()
    wrong = []
    for row in rows:
        code = CODES[int(row["job"][1:]) % 3]
        right = row["state"] == ("failed" if code else "succeeded") and row["exit_code"] == code
        lost = row["state"] == "lost" and f"akjob: shim of {row['job']} {row['id']}" in shims
        if not (right or lost):
            wrong.append({key: row[key] for key in ("job", "id", "state", "reason", "exit_code", "signal", "attempt")})
    assert not wrong, place.said()
    effects = Counter((place.root / "effects").read_text().split())
    lost = {row["job"] for row in rows if row["state"] == "lost"}
    assert {job: count for job, count in effects.items() if count > 1} == {}
    assert {row["job"] for row in rows} - lost <= set(effects)
    until(lambda: not place.folders(), 60.0)
    until(lambda: not [pid for pid in of_this_test() if is_shim(pid) or "effects" in title(pid)])
    states = Counter(row["state"] for row in rows)
    with capfd.disabled():
        sys.stdout.write(f"\n{RUNS} runs; killed: {dict(killed)}; ended: {dict(states)}; {len(shims)} shims killed\n")
