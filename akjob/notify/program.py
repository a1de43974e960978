"""``akjob-notify``: reads the transitions, keeps the outbox, has messages delivered. akjobd has no part in it."""

import os
import selectors
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from akjob import ledger, program
from akjob.config import Config, Paths, load_config, socket_address
from akjob.daemon_log import DaemonLog
from akjob.inotify import Inotify
from akjob.instants import SECOND
from akjob.notify.asleep import fall_asleep, has_pings, stamp
from akjob.program import Holding, Holdings, HoldingsWatch, Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from akjob.notify.heart import Heart
    from akjob.notify.post_office import PostOffice

GATHER_S = 0.2
"""Transitions are read so long after the ledger was written: a burst is one reading."""
_AGAIN_S = (1.0, 10.0)
"""A commit is announced when its pages are written, and can be read only once they are on the disk: so long after."""
_LOOK_S = 1.0
_ASLEEP_S = 30.0  # as often at the most is looked for a first ping while there is but a heartbeat
_TURN_US = 60 * SECOND
_GOODBYE_S = 0.5


def now_us() -> int:
    """Read the wall clock."""
    return time.time_ns() // 1000


def main() -> NoReturn:
    """Run akjob-notify of the root that ``--root``, ``$AKJOB_ROOT`` or the working folder names."""
    program.run("akjob-notify", lambda frame: Notifier(frame).run)


class Notifier:
    """The loop: it sleeps until the ledger or the settings are written, a child answers, or something is due."""

    def __init__(self, frame: Program) -> None:
        self._frame = frame
        self._paths: Paths = frame.paths
        self._config: Config = frame.config
        self._selector = selectors.DefaultSelector()
        self._wakeup_out, self._wakeup = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._stopping = False
        self._wal = Path(f"{self._paths.db}-wal")
        self._watched = {self._wal, self._paths.config_file}
        for file in self._watched:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._inotify = self._watch_folders()
        self._reader = ledger.open_reader(self._paths.ledger_url)
        self._office: PostOffice | None = None
        self._heart: Heart | None = None
        self._read_at: float | None = time.monotonic()
        self._again: list[float] = []
        self._seen = ""
        self._places: HoldingsWatch | None = None
        self._log = DaemonLog(
            socket_address(self._paths.collector_socket),
            self._paths.run_dir / "akjob-notify.spool",
            now_us,
            time.monotonic,
            source="notify",
        )

    def run(self) -> None:
        """Work until SIGTERM."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        self._selector.register(self._wakeup_out, selectors.EVENT_READ, self._drain)
        self._selector.register(self._inotify, selectors.EVENT_READ, self._written)
        self._look_after()
        self._reconfigure()  # they may have been written since they were read, before anything watched them
        while not self._stopping:
            self._turn()
            for key, _ in self._selector.select(self._patience_s()):
                key.data()
        self._leave()

    def _look_after(self) -> None:
        """Look after what is held open from now on; once there is an outbox, after that too."""
        if self._places is not None:
            if self._places.fileno() >= 0:
                self._selector.unregister(self._places)
            self._places.close()
        held = [*self._frame.holdings(), *map(self._folder_holding, sorted({file.parent for file in self._watched}))]
        if self._office is not None:
            held.append(self._office.holding())
        self._places = HoldingsWatch(Holdings(held, self._log.say))
        if self._places.fileno() >= 0:
            self._selector.register(self._places, selectors.EVENT_READ, self._places.note)

    def _watch_folders(self) -> Inotify:
        return Inotify({file.parent for file in self._watched})

    def _folder_holding(self, folder: Path) -> Holding:
        """Return the holding of a folder in which files are waited for: another one in its place is to be watched."""
        message = "another program removed or replaced it; the new one is watched"
        return Holding(folder, lambda: not self._inotify.has_lost, self._watch_again, message=message)

    def _watch_again(self) -> None:
        for file in self._watched:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._selector.unregister(self._inotify)
        self._inotify.close()
        self._inotify = self._watch_folders()
        self._selector.register(self._inotify, selectors.EVENT_READ, self._written)
        self._reconfigure()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wakeup_out, 4096)

    def _written(self) -> None:
        changed = self._inotify.changed() & self._watched
        if self._paths.config_file in changed:
            self._reconfigure()
        if not changed:
            return
        now = time.monotonic()
        due = now + (_ASLEEP_S if self._office is None else GATHER_S)
        self._read_at = due if self._read_at is None else min(self._read_at, due)
        self._again = [now + seconds for seconds in _AGAIN_S]

    def _reconfigure(self) -> None:
        """Take the settings over; those that are wrong leave the ones before in force, as a job's file does."""
        self._seen = stamp(self._paths.config_file)
        config, problems = load_config(self._paths.config_file)
        if any(problem.severity == "error" for problem in problems):
            return
        self._config = config
        if self._office is not None:
            self._office.reconfigure(config)
        if self._heart is not None:
            self._heart.close()
            self._heart = None
        self._read_at = time.monotonic()

    def _turn(self) -> None:
        steady, now = time.monotonic(), now_us()
        if self._office is None and self._read_at is not None and steady >= self._read_at:
            self._read_at = None
            self._open_where_wanted()
        if self._office is not None:
            if self._read_at is not None and steady >= self._read_at:
                self._read_at = self._look_again(steady) if self._office.read(now) else steady
            self._office.work(now, steady)
        self._beat(steady)
        if self._places is not None and self._places.due is not None and steady >= self._places.due:
            self._places.look()
        self._log.sender.step(steady)

    def _look_again(self, steady: float) -> float | None:
        """Return when the ledger is read again though nothing more tells of a change: only a file of SQLite's does."""
        if not self._paths.ledger_url.startswith("sqlite:"):
            return steady + _LOOK_S
        return self._again.pop(0) if self._again else None

    def _open_where_wanted(self) -> None:
        """Begin to work once there is a channel or a ping; nothing is sent of what went before. Until then sleep."""
        if not (self._config.channels or self._config.notify_defaults or self._pings()):
            if self._config.heartbeat is None and not self._stopping:
                self._log.close()
                fall_asleep(self._frame.lock.fileno(), self._paths.root, self._seen)
            return
        from akjob.notify.post_office import PostOffice  # noqa: PLC0415 - a root without channels need not load it

        self._office = PostOffice(
            self._paths,
            self._config,
            self._reader,
            self._selector,
            host=socket.gethostname(),
            say=self._log.say,
            node=None if self._config.cluster is None else self._config.cluster.name,
        )
        self._read_at = time.monotonic()
        self._look_after()

    def _pings(self) -> bool:
        """Return True if a job has a ping, or may soon: what wakes the program up must not let it sleep again."""
        if has_pings(self._paths.jobs_d):
            return True
        return any("\nping = " in row["definition"] for row in self._reader.jobs().values())

    def _beat(self, steady: float) -> None:
        if self._config.heartbeat is None:
            return
        if self._heart is None:
            from akjob.notify.heart import Heart  # noqa: PLC0415 - as above

            self._heart = Heart(self._paths, self._config.heartbeat, self._log.say)
        self._heart.beat(steady, now_us())

    def _patience_s(self) -> float | None:
        """Return how long there is nothing to do; None: until something happens."""
        steady, now = time.monotonic(), now_us()
        times = [self._log.sender.deadline(steady), self._read_at, None if self._places is None else self._places.due]
        if self._office is not None:
            times.append(self._office.deadline(steady))
            wake_us = self._office.wake_us
            # The wall clock may be set meanwhile: nothing is slept over by more than a minute.
            times.append(None if wake_us is None else steady + min(wake_us - now, _TURN_US) / 1e6)
        if self._heart is not None:
            times.append(self._heart.due)
        due = min((at for at in times if at is not None), default=None)
        return None if due is None else max(0.0, due - steady)

    def _leave(self) -> None:
        """End within half a second. A message under way is tried again, with the same id, by the next one."""
        if self._office is not None:
            self._office.close()
        if self._heart is not None:
            self._heart.close()
        end = time.monotonic() + _GOODBYE_S
        while not self._log.sender.idle and time.monotonic() < end:
            self._log.sender.step(time.monotonic())
            self._selector.select(0.01)
        with suppress(OSError):
            self._log.close()
