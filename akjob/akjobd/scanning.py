"""Scanning the folder of job files: the thread that does it, and the loop's side of it."""

import os
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from akjob.akjobd.loop import Clock, Loop
from akjob.akjobd.worker import Worker
from akjob.config import Config, Paths, load_config
from akjob.errors import Problem
from akjob.jobset.loader import Loader
from akjob.jobset.model import JobSet, JobSetChange, LastGood
from akjob.processes import give_memory_back
from akjob.watching import Debouncer, Watcher

AGAIN_S = 30.0
"""Everything is scanned again after this long, with or without an event."""

_AGAIN_US = int(AGAIN_S * 1e6)


class ScanResult(Struct, frozen=True):
    """What a scan came to: what changed, what is wrong with watching, and the settings if they are others."""

    change: JobSetChange
    problems: list[Problem]
    links: frozenset[str]
    settings: tuple[Config, list[Problem]] | None = None


class Scanner:
    """Everything that the scanning thread may touch, and no other thread while it runs.

    ``last_good`` seeds the loader: see :class:`akjob.jobset.loader.Loader`. ``all_in_place`` returns whether what
    akjobd holds open is still at its paths.
    """

    def __init__(  # noqa: PLR0913 - what the thread may touch
        self,
        paths: Paths,
        config: Config,
        last_good: Mapping[str, LastGood],
        *,
        watcher: Watcher,
        clock: Clock,
        all_in_place: Callable[[], bool],
    ) -> None:
        self._paths = paths
        self._watcher = watcher
        self._all_in_place = all_in_place
        self._clock = clock
        self._loader = Loader(paths, config, last_good, cache_file=paths.var / "jobs.cache")
        self._settings_files = _settings_files(paths, config)
        self._settings_seen = _signatures(self._settings_files)
        self._links: frozenset[str] = frozenset()

    def scan(self, *, full: bool) -> ScanResult:
        """Scan what the watcher named, or everything."""
        settings = self._settings()
        hints = self._watcher.take().paths
        problems: list[Problem] = []
        if full or hints is None or settings is not None:
            problems = self._watcher.rearm(self._loader.links | self._settings_files)
            self._watcher.take()  # whatever it names is scanned below
            hints = None
        change = self._loader.load(self._clock.now_us(), hints)
        self._links = self._loader.links
        return ScanResult(change, problems, self._links, settings)

    def scan_again(self) -> ScanResult | None:
        """Scan everything without an event; return None, and wake no thread, when nothing has changed."""
        before = self._links
        found = self.scan(full=True)
        change = found.change
        news = change.is_news or change.scan_again_us is not None or found.links != before
        news = news or bool(found.problems) or found.settings is not None
        return found if news or not self._all_in_place() else None

    def finish(self) -> None:
        """Keep what the first scan parsed for the next start, and give its memory back."""
        self._loader.keep()
        give_memory_back()

    def _settings(self) -> tuple[Config, list[Problem]] | None:
        """Return the settings if their file, or that of a calendar, is another one."""
        seen = _signatures(self._settings_files)
        if seen == self._settings_seen:
            return None
        settings = load_config(self._paths.config_file)
        self._settings_files = _settings_files(self._paths, settings[0])
        # what was seen before the reading counts: a file that changed meanwhile is read again
        self._settings_seen = {file: seen.get(file, _signature(file)) for file in self._settings_files}
        self._loader.reconfigure(settings[0])
        return settings


class Scanning:
    """The loop's side: when to scan, and what the last scan found.

    ``found`` is called with what a scan found, ``failed`` with what it raised. ``left_open``: what was found is judged
    at the next scan only.
    """

    def __init__(
        self, loop: Loop, paths: Paths, found: Callable[[ScanResult], None], failed: Callable[[Exception], None]
    ) -> None:
        self.jobset: JobSet | None = None
        self.left_open = False
        self.watcher = Watcher(paths, loop.wake)
        self._loop = loop
        self._found = found
        self._failed = failed
        self._worker = Worker("scan", loop.wake)
        self._debouncer = Debouncer()
        self._scanner: Scanner | None = None
        self._links: frozenset[str] = frozenset()
        self._is_full = True
        self._is_scanning = False
        self._timer = loop.timer("scan", lambda _now: self._scan(full=True), _AGAIN_US)
        loop.when_due("scan.debounced", lambda _now: self._scan(full=False), self._debounced_us)
        loop.when_woken(self._woken)

    def begin(self, scanner: Scanner) -> list[Problem]:
        """Begin to watch, and scan; return what is wrong with watching."""
        self._scanner = scanner
        problems = self.watcher.start()
        self._worker.again(AGAIN_S, scanner.scan_again, self._take, self._failed)
        self._scan(full=True)
        return problems

    def soon(self) -> None:
        """Scan everything at the next turn."""
        self._is_full = True
        self._timer.at_us = self._loop.clock.now_us()

    def close(self) -> None:
        """End both threads, after what they do now."""
        self.watcher.stop()
        self._worker.stop()

    @property
    def is_behind(self) -> bool:
        """Return True while files may have changed that have not been judged yet."""
        return self._debouncer.due_us is not None or self._is_scanning or self.left_open

    def _debounced_us(self) -> int | None:
        due_us = self._debouncer.due_us
        return None if due_us is None or self._is_scanning else self._loop.instant_of(due_us / 1e6)

    def _woken(self) -> None:
        self._worker.collect()
        self._debouncer.note(int(self._loop.clock.steady_s() * 1e6), self.watcher.seen())

    def _scan(self, *, full: bool) -> None:
        """Let the thread scan what the watcher named, or everything."""
        scanner = self._scanner
        if scanner is None:
            return
        self._is_full = self._is_full or full
        if self._is_scanning:
            return  # it is done after this scan
        self._is_scanning = True
        self._timer.at_us = None
        everything, self._is_full = self._is_full, False
        self._debouncer.reset()
        self._worker.give(lambda: scanner.scan(full=everything), self._scanned, self._failed_to_scan)

    def _scanned(self, found: ScanResult) -> None:
        self._is_scanning = False
        self._take(found)

    def _failed_to_scan(self, error: Exception) -> None:
        self._is_scanning = False
        if self._is_full:
            self.soon()
        self._failed(error)

    def _take(self, found: ScanResult) -> None:
        again_us = found.change.scan_again_us
        self.left_open = again_us is not None
        if again_us is not None:
            self._timer.bring_forward(again_us)
        if found.links != self._links:  # what they lead to is watched from the next full scan on
            self._links = found.links
            self.soon()
        elif self._is_full:
            self.soon()
        first, self.jobset = self.jobset is None, found.change.jobset
        self._found(found)
        scanner = self._scanner
        if first and scanner is not None:
            self._worker.give(scanner.finish, lambda _: None, self._failed)


_Signature = tuple[int, int, int] | None


def _settings_files(paths: Paths, config: Config) -> frozenset[str]:
    """Return the files that the settings are read from: ``etc/akjob.toml`` and the files of its calendars."""
    calendars = config.calendars.files if config.calendars is not None else ()
    return frozenset({str(paths.config_file), *(os.path.join(paths.root, file) for file in calendars)})


def _signatures(files: Iterable[str]) -> dict[str, _Signature]:
    return {file: _signature(file) for file in files}


def _signature(path: str) -> _Signature:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
