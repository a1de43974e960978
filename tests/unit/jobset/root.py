"""A root on disk with a loader, for the tests of this room."""

import os
from collections.abc import Mapping
from pathlib import Path

from akjob.config import Config, Paths
from akjob.instants import SECOND
from akjob.jobset.loader import Loader
from akjob.jobset.model import JobSetChange, LastGood

NOW_US = 1_800_000_000 * SECOND
GOOD = 'command = "true"\n'
OTHER = 'command = "false"\n'
BAD = 'command = "true"\nevry = 1\n'


class Root:
    """Files are written with a modification time of a minute before ``now_us`` unless said otherwise."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder)
        self.jobs = self.paths.jobs_d
        self.jobs.mkdir(parents=True, mode=0o755)
        self.now_us = NOW_US
        self._age_us = 60 * SECOND
        self.loader = self.fresh()

    def fresh(self, last_good: Mapping[str, LastGood] | None = None, config: Config | None = None) -> Loader:
        """Begin again, as after a restart."""
        self.loader = Loader(self.paths, config or Config(), last_good)
        return self.loader

    def write(self, path: str, text: str = GOOD, *, age_us: int | None = None) -> Path:
        """Write a file below ``jobs.d``; each gets another modification time."""
        file = self.jobs / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self._age_us -= 1000
        age_us = self._age_us if age_us is None else age_us
        os.utime(file, ns=((self.now_us - age_us) * 1000,) * 2)
        return file

    def load(self, *hints: str, after_us: int = 0) -> JobSetChange:
        """Look, some time later: at all, or at the hints."""
        self.now_us += after_us
        return self.loader.load(self.now_us, frozenset(hints) if hints else None)

    def stored(self, change: JobSetChange) -> dict[str, LastGood]:
        """Return what a ledger would have stored of a change."""
        names = [*change.added, *(changed.job for changed in change.changed)]
        return {
            spec.name: LastGood(file=spec.file, definition=spec.definition, loaded_us=self.now_us)
            for spec in (change.jobset.jobs[name] for name in names)
        }
