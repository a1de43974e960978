"""No message is lost or told twice: each failure of a root is one incident, whatever is killed on the way."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from akjob.ledger import open_reader
from tests.support import until
from tests.system.conftest import REPOSITORY, Site

COUNT = int(os.environ.get("AKJOB_FAILURES", "60"))
A_SECOND = 10
"""So many jobs have their one slot in each second."""
VICTIMS = ("akjob-notify", "akjobd", "receiver")
SETTINGS = """
[web]
enabled = false
[channels.ops]
webhook = {{ url = "http://127.0.0.1:{port}/" }}
max_an_hour = 1000
[notify]
channels = ["ops"]
on = ["failed", "timed_out", "lost"]
"""
JOB = """
command = ["false"]
[schedule]
at = [{at}]
[run]
missed = "all"
"""


class Receiver:
    """The other side: a process that keeps what it took in a file, and answers only then."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before."""
        argv = [sys.executable, "-m", "tests.system.receiver", str(self.port), str(self._file)]
        self._process = subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """End without a warning."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def taken(self) -> dict[str, set[str]]:
        """Return the deliveries that each job was in."""
        found = defaultdict[str, set[str]](set)
        for line in self._file.read_text().splitlines():
            one: dict[str, Any] = json.loads(line)
            for job in one["jobs"]:
                found[job].add(one["id"])
        return found


class Outbox:
    """akjob-notify's own file, seen from outside."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def __call__(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement."""
        with closing(sqlite3.connect(self._site.paths.notify_db, timeout=10.0, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()

    def is_ready(self) -> bool:
        """Return True if akjob-notify reads the transitions."""
        try:
            return bool(self("SELECT value FROM meta WHERE key = 'seq'"))
        except sqlite3.OperationalError:
            return False

    def hurry(self) -> None:
        """Let what is gathered, or waits for its next try, be due now; new settings wake akjob-notify up."""
        self("UPDATE deliveries SET due_at = '2000-01-01T00:00:00.000000Z' WHERE state IN ('pending', 'held')")
        settings = self._site.paths.etc / "akjob.toml"
        draft = settings.with_name("draft")
        draft.write_text(settings.read_text())
        draft.rename(settings)

    def is_empty(self) -> bool:
        """Hurry, and return True if nothing waits any more."""
        self.hurry()
        return self("SELECT count(*) FROM deliveries WHERE state != 'sent'") == [(0,)]


def failures(site: Site) -> int:
    """Return how many jobs have failed."""
    rows = open_reader(site.paths.ledger_url).history(None, 10 * COUNT)
    return len({row["job"] for row in rows if row["state"] in ("failed", "lost")})


def has_failed(site: Site, count: int) -> bool:
    """Return True once so many jobs have failed."""
    return failures(site) >= count


def test_nothing_is_lost_or_told_twice(site: Site) -> None:
    """kill -9 of akjob-notify, akjobd and the receiver at random while jobs fail: each is told in one delivery."""
    receiver, outbox = Receiver(site.root / "taken.jsonl"), Outbox(site)
    chance = random.Random(15)  # noqa: S311 - the same each time
    killed = Counter[str]()
    try:
        (site.paths.etc / "akjob.toml").write_text(SETTINGS.format(port=receiver.port))
        site.up()
        until(outbox.is_ready)
        begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5 + COUNT // 50)  # noqa: TID251 - akjobd's
        for number in range(COUNT):
            at = begin + timedelta(seconds=number // A_SECOND)
            site.job(f"job-{number:03d}", JOB.format(at=f"{at:%Y-%m-%dT%H:%M:%SZ}"))
        while (before := failures(site)) < COUNT:
            victim = VICTIMS[killed.total() % 3] if killed.total() < len(VICTIMS) else chance.choice(VICTIMS)
            if victim == "receiver":
                receiver.kill()
            else:
                os.kill(until(partial(site.pid, victim)), signal.SIGKILL)
            killed[victim] += 1
            enough = min(COUNT, before + chance.randrange(1, A_SECOND))
            until(partial(has_failed, site, enough), 90.0, 0.1)
            if victim == "receiver":
                receiver.start()
            until(outbox.is_ready)
            outbox.hurry()
        until(lambda: outbox.is_empty() and len(receiver.taken()) >= COUNT, 180.0, 0.5)
        told = receiver.taken()
    finally:
        receiver.kill()
    lost = COUNT - len(told)
    twice = {job: deliveries for job, deliveries in told.items() if len(deliveries) > 1}
    print(f"told / lost / twice: {len(told)} / {lost} / {len(twice)}; killed: {dict(killed)}")  # noqa: T201
    assert (len(told), lost, twice) == (COUNT, 0, {})
    assert set(killed) == set(VICTIMS)
