"""What `akjob simulate` says beforehand is what akjobd then does: the same rows for the same stretch of time.

``AKJOB_FORESEEN=60`` sets its length in seconds.
"""

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from tests.roots import Place
from tests.support import until

LENGTH_S = int(os.environ.get("AKJOB_FORESEEN", "15"))
ROUND_S = 20
JOBS = {  # trigger, [run], and how long a run takes in seconds; each decision is a second or more away from another one
    "tick": ('every = "1s"', "", 0),
    "slow": ('every = "4s"', "", 6),
    "queues": ('cron = "0,4,20,24,40,44 * * * * *"', 'overlap = "queue"', 6),
    "replaces": ('cron = "2,6,22,26,42,46 * * * * *"', 'overlap = "replace"', 8),
    "allows": ('every = "3s"', 'overlap = "allow"', 4),
    "locks/a": ('cron = "1,21,41 * * * * *"', 'lock = "x"', 2),
    "locks/b": ('cron = "1,21,41 * * * * *"', 'lock = "x"', 2),
    "pools/a": ('cron = "2,22,42 * * * * *"', 'pool = "db"', 2),
    "pools/b": ('cron = "2,22,42 * * * * *"', 'pool = "db"', 2),
    "pools/c": ('cron = "3,23,43 * * * * *"', 'pool = "db"', 2),
    "jitters": ('every = "5s"\njitter = "2s"', "", 0),
    "fails": ('every = "5s"', 'retry = { attempts = 2, delay = "1s" }', 0),
    "timed": ('cron = "5,25,45 * * * * *"', 'timeout = "2s"', 60),
    "chain/b": ('after = "tick"', 'overlap = "allow"', 0),
    "chain/c": ('after = "chain/b"', 'overlap = "allow"', 0),
    "chain/d": ('after = "fails"', "", 0),
    "chain/e": ('after = { jobs = ["locks/a", "pools/c"], on = "ended" }', "", 0),
    "again": ('again_after = "1s"', "", 60),
    "starts": ("on_start = true", "", 0),
    "paused": ('every = "5s"', "", 0),
    "off": ('every = "5s"', "", 0),
    "twice": ('every = "3s"', "", 0),
}


def text(name: str, hours: str) -> str:
    """Return the file of a job, which may only run between two times of day: nothing runs when they begin."""
    trigger, run, takes_s = JOBS[name]
    head = "enabled = false\n" if name == "off" else ""
    ends = "exit 1" if name == "fails" else f"sleep {takes_s}" if takes_s else "true"
    limits = f"hours = {hours}\n" + ("runs = 2\n" if name == "twice" else "")
    return f'{head}command = "{ends}"\n[schedule]\n{trigger}\n[limits]\n{limits}[run]\nkill_after = "1s"\n{run}\n'


def foreseen(place: Place, begin: datetime, end: datetime) -> list[dict[str, Any]]:
    """Return what `akjob simulate` says."""
    takes = [f"--takes={name}={max(takes_s, 0.05):g}s" for name, (*_, takes_s) in JOBS.items() if takes_s]
    takes += [f"--takes={name}=50ms" for name, (*_, takes_s) in JOBS.items() if not takes_s]
    stretch = ("--from", begin.isoformat(), "--until", end.isoformat())
    command = [
        sys.executable,
        "-c",
        "from akjob.cli import main; main()",
        "--root",
        str(place.root),
        "simulate",
        *stretch,
        *takes,
    ]
    done = subprocess.run([*command, "--fail=fails", "--json"], capture_output=True, check=True, timeout=60)
    return [msgspec.json.decode(line) for line in done.stdout.splitlines()]


def compared(row: dict[str, Any]) -> tuple[object, ...]:
    """Return what must be the same of a row; ids of runs in reasons are not."""
    reason = re.sub(r"\b[0-9a-z]{16}\b", "RUN", row["reason"] or "")
    return row["slot"][11:19], row["job"], row["attempt"], row["trigger"], row["state"], reason, row["count"]


def now_s() -> float:
    """Return this instant, in seconds since 1970."""
    return time.time_ns() / 1e9


def test_a_stretch_of_time_is_as_it_was_foreseen(root: Path, place: Place) -> None:
    """All jobs, all ways in which slots and runs meet."""
    assert place.root == root
    (root / "etc" / "akjob.toml").write_text("[pools]\ndb = 2\n")
    now = int(now_s())
    begin = datetime.fromtimestamp(now - now % ROUND_S + ROUND_S + (ROUND_S if now % ROUND_S > 8 else 0), UTC)
    end = begin + timedelta(seconds=LENGTH_S)
    hours = f"{{ from = {begin:%H:%M:%S}, until = {end:%H:%M:%S} }}"
    for name in JOBS:
        (root / "jobs.d" / name).parent.mkdir(exist_ok=True)
        place.job(name, text(name, hours))
    for name in JOBS:
        until(lambda name=name: place.known(name))  # type: ignore[misc]
    place.ask("pause", job="paused", until=None, reason="disk", by="ann")
    told = foreseen(place, begin, end)
    assert now_s() < begin.timestamp(), "the machine was too slow: the stretch had begun"
    until(lambda: now_s() > end.timestamp(), LENGTH_S + 2 * ROUND_S)
    open_runs = "SELECT 1 FROM runs WHERE state IN ('queued', 'running') AND job != 'again'"
    until(lambda: not place.sql(open_runs), 60.0)
    done = place.sql("SELECT * FROM runs WHERE job != 'starts'")
    expected = sorted(compared(row) for row in told if row["state"] not in ("queued", "running"))
    open_at_end = {compared(row)[:3] for row in told} - {one[:3] for one in expected}
    found = sorted(one for row in done if (one := compared(row))[:3] not in open_at_end)
    assert {row["job"] for row in told} == JOBS.keys() - {"off", "starts"}
    assert len(told) > 3 * LENGTH_S
    assert set(expected) ^ set(found) == set()
    assert found == expected
