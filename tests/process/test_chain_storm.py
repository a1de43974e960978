"""A chain of jobs and a job that watches files, while all of akjob's processes are killed again and again.

``AKJOB_FIRINGS=1000`` sets how often they are made due at least, all together.
"""

import json
import os
import random
import sys
import time
from collections import Counter

import pytest

from tests.process import test_storm as storm
from tests.roots import Place
from tests.support import until

FIRINGS = int(os.environ.get("AKJOB_FIRINGS", "80"))
KILL_EVERY_S = 0.7
WRITE_EVERY_S = 1.5
VICTIMS = ("akjobd", "akjobd", "zygote", "shim", "akjob-collector", "akjob-web", "akjob-notify")
OUTCOME = '[run]\noverlap = "allow"\nmissed = "all"\nmissed_within = "1d"\ntimeout = "none"\n'
COMMAND = 'command = "echo $AKJOB_JOB $AKJOB_RUN >> effects; sleep 0.3"\n[schedule]\n'
JOBS = {
    "a": COMMAND + 'every = "2s"\n' + OUTCOME,
    "b": COMMAND + 'after = { jobs = ["a"], on = "ended" }\n' + OUTCOME,
    "c": COMMAND + 'after = { jobs = ["b"], on = "ended" }\n' + OUTCOME,
    "d": COMMAND.replace("sleep", """tr '\\\\0' ' ' < $AKJOB_CHANGED_FILE > files.$AKJOB_RUN; sleep""")
    + 'on_change = { paths = ["inbox/*"], settle = "100ms", at_most = "2s" }\n'
    + OUTCOME,
}
STARTED = """
SELECT (SELECT count(*) FROM runs) AS firings, (SELECT count(*) FROM runs WHERE job = 'd') AS changes
"""
SAW = "SELECT 1 FROM seen_files WHERE job = 'd'"
OPEN = "SELECT 1 FROM runs WHERE state IN ('queued', 'running')"


@pytest.fixture
def place(quiet_place: Place) -> Place:
    """Return a root in which nothing runs yet."""
    return quiet_place


class Storm:
    """Kills a process, and writes a file, each time that it is its turn."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.killed: Counter[str] = Counter()
        self.written: list[str] = []
        self._kill_s = self._write_s = time.monotonic()

    def rages(self) -> bool:
        """Do what is due; return True while there are too few firings.

        The next one is killed once akjobd is back, else a slow machine would do nothing but start it. A file is
        written a while after a run: five runs in a row with changes during the one before would pause the job.
        """
        now = time.monotonic()
        if now >= self._kill_s and self.place.loaded():
            self._kill_s = now + KILL_EVERY_S
            victim = random.choice(VICTIMS)  # noqa: S311 - no secret
            self.killed[victim] += storm.kill(self.place, victim) is not None
        if self.place.sql(f"{OPEN} AND job = 'd'"):
            self._write_s = now + WRITE_EVERY_S
        elif now >= self._write_s:
            self._write_s = now + WRITE_EVERY_S
            self.write()
        return (
            not (rows := self.place.sql(STARTED)) or rows[0]["firings"] < FIRINGS or rows[0]["changes"] < FIRINGS / 10
        )

    def write(self) -> None:
        """Let a file appear."""
        path = self.place.root / "inbox" / f"n{len(self.written):04}"
        draft = self.place.root / path.name
        draft.write_text("x")
        draft.rename(path)
        self.written.append(str(path))


def test_each_end_and_each_change_makes_due_once(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    """Each end of ``a`` has one run of ``b``, that one of ``c``; each file is in one run of ``d``; none ran twice."""
    (place.root / "inbox").mkdir()
    (place.root / "etc" / "akjob.toml").write_text('[web]\nlisten = "unix:var/run/web.sock"\n')
    for name, text in JOBS.items():
        place.job(name, text)
    place.start("akjob-collector", "akjobd", "akjob-web", "akjob-notify")
    until(lambda: all(place.known(name) for name in JOBS) and place.sql(SAW))  # from now on each file is a change
    storm_of = Storm(place)
    until(lambda: not storm_of.rages(), 60.0 + 10 * FIRINGS)
    place.job("a", JOBS["a"] + "[limits]\nruns = 1\n")  # no more of it
    last = json.dumps(storm_of.written[-1])
    until(lambda: place.loaded() and place.sql(f"{SAW} AND path = ?", last), 60.0)
    until(lambda: not place.sql("SELECT 1 FROM occurrences") and not place.sql(OPEN), 600.0)
    assert not [row for row in place.sql("SELECT * FROM runs") if row["state"] in ("skipped", "missed")]

    rows = {name: place.sql("SELECT * FROM runs WHERE job = ?", name) for name in JOBS}
    with capfd.disabled():
        states = Counter(row["state"] for of_job in rows.values() for row in of_job)
        counts = {name: len(of_job) for name, of_job in rows.items()}
        sys.stdout.write(f"\nrows: {counts}; ended: {dict(states)}; killed: {dict(storm_of.killed)}\n")
    for above, below in (("a", "b"), ("b", "c")):
        caused = Counter(json.loads(row["cause"])["after"][above] for row in rows[below])
        assert caused == Counter(row["id"] for row in rows[above]), place.said()
    effects = Counter((place.root / "effects").read_text().split("\n")[:-1])
    assert set(effects.values()) == {1}, place.said()
    ran = {f"{name} {row['id']}" for name in JOBS for row in rows[name] if row["state"] == "succeeded"}
    assert ran <= effects.keys()
    seen = Counter(path for listed in place.root.glob("files.*") for path in listed.read_text().split())
    assert set(seen.values()) == {1}
    unseen = set(storm_of.written) - seen.keys()  # in runs whose shim was killed before the job could say so
    causes = {row["id"]: json.loads(row["cause"])["changed"] for row in rows["d"]}
    assert sum(causes.values()) == len(storm_of.written), (unseen, causes, place.said())
    assert len(unseen) <= sum(causes[row["id"]] for row in rows["d"] if row["state"] != "succeeded")
