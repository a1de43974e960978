"""A changed calendar file is live like a changed job file: heard by the watcher, and read at the next scan."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.akjobd.loop import SystemClock
from akjob.akjobd.scanning import Scanner
from akjob.config import Paths, load_config
from akjob.instants import from_text, to_text
from akjob.schedule import compile_schedule, next_slots
from akjob.watching import Watcher
from tests.support import until

CONFIG = '[calendars.freeze]\nfile = "shared/freeze.txt"\n'
JOB = 'command = "true"\n[schedule]\ndaily = 12:00:00\n[limits]\nnot_on = ["freeze"]\n'


class Scanned:
    """A root with a job, a calendar file, a watcher and a scanner."""

    def __init__(self, root: Path) -> None:
        self.file = root / "shared" / "freeze.txt"
        for folder, name, text in (
            ("jobs.d", "a.toml", JOB),
            ("etc", "akjob.toml", CONFIG),
            ("shared", "freeze.txt", ""),
        ):
            (root / folder).mkdir()
            (root / folder / name).write_text(text)
        (root / "var").mkdir()
        os.utime(root / "jobs.d" / "a.toml", (0, 0))  # what was written just now is given time before it is refused
        paths = Paths(root)
        self.heard = threading.Event()
        self.watcher = Watcher(paths, self.heard.set)
        self.watcher.start()
        self.scanner = Scanner(
            paths,
            load_config(paths.config_file)[0],
            {},
            watcher=self.watcher,
            clock=SystemClock(),
            all_in_place=lambda: True,
        )

    def slots(self) -> list[str]:
        """Scan what the watcher named; return the days of the next two slots."""
        found = self.scanner.scan(full=False)
        job = found.change.jobset.jobs["a"]
        slots = next_slots(compile_schedule(job.schedule), from_text("2030-01-01T00:00:00Z"), 2)
        return [to_text(slot)[:10] for slot in slots]


@pytest.fixture
def scanned(tmp_path: Path) -> Iterator[Scanned]:
    """Scan a root once."""
    made = Scanned(tmp_path)
    made.scanner.scan(full=True)
    yield made
    made.watcher.stop()


def test_a_changed_calendar_is_live(scanned: Scanned) -> None:
    """The watcher hears of it although it is not below jobs.d, and the job has other slots."""
    assert scanned.slots() == ["2030-01-01", "2030-01-02"]
    scanned.heard.clear()
    scanned.file.write_text("2030-01-01\n")
    until(scanned.heard.is_set)
    assert scanned.slots() == ["2030-01-02", "2030-01-03"]


def test_a_broken_calendar_costs_its_jobs_alone_and_their_last_good_version_goes_on(scanned: Scanned) -> None:
    """Until the file is right again; one that is removed is awaited."""
    scanned.file.write_text("2030-01-01\n")
    assert scanned.slots() == ["2030-01-02", "2030-01-03"]
    for change in (lambda: scanned.file.write_text("tomorrow\n"), scanned.file.unlink):
        change()
        found = scanned.scanner.scan(full=False)
        assert list(found.change.jobset.broken) == ["a"]
        assert "freeze" in found.change.jobset.broken["a"].message
        assert scanned.slots() == ["2030-01-02", "2030-01-03"]
    scanned.heard.clear()
    scanned.file.write_text("2030-01-02\n")
    until(scanned.heard.is_set)
    assert scanned.slots() == ["2030-01-01", "2030-01-03"]
    assert scanned.scanner.scan(full=True).change.jobset.broken == {}
