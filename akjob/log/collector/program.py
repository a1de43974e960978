"""``akjob-collector``: the one process that writes the log stream."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable
from datetime import tzinfo
from typing import NoReturn

from akjob import program
from akjob.config import Paths
from akjob.log.collector.hub import BACKLOG, Hub, now_us, raise_open_files
from akjob.log.collector.report import report
from akjob.log.collector.sink import FileSink, Sink, StdoutSink, local_date
from akjob.program import Holding, Holdings, HoldingsWatch, Listener, Program
from akjob.schedule.zones import get_zone


def main() -> NoReturn:
    """Run the collector of the root that ``--root``, ``$AKJOB_ROOT`` or the working folder names."""
    program.run("akjob-collector", build)


def build(frame: Program) -> Callable[[], None]:
    """Open the log and listen; return what works until SIGTERM."""
    for problem in frame.problems:
        frame.say(str(problem))
    paths, settings = frame.paths, frame.config
    paths.log_dir.mkdir(mode=0o750, exist_ok=True)
    raise_open_files()
    zone = get_zone(settings.timezone)
    sink: Sink = StdoutSink()
    keeper = LogUpkeep(str(paths.log_dir), settings.log.keep_days, settings.log.max_total, zone)
    if settings.log.to == "file":
        sink = FileSink(str(paths.log_dir), zone, settings.log.max_size)
    else:
        keeper.enabled = False
    open_sink(sink)
    listener = Listener(paths.collector_socket, BACKLOG)
    held = (
        program.folder(paths.run_dir),
        program.lock_of(frame.lock),
        Holding(listener.path, listener.is_in_place, lambda: hub.replace_listener(listener.renew())),
    )
    hub = Hub(listener.socket, sink, str(paths.runs), keeper)
    hub.look_after(HoldingsWatch(Holdings(held, hub.say)))
    keeper.hub = hub
    hub.catch_signals()
    return lambda: work(paths, hub, keeper, settings.log.to)


def work(paths: Paths, hub: Hub, keeper: "LogUpkeep", to: str) -> None:
    """Take lines until SIGTERM."""
    hub.note("info", "collector.started", pid=os.getpid(), to=to)
    keeper.start()
    hub.run()
    paths.collector_socket.unlink(missing_ok=True)
    keeper.stop()


def open_sink(sink: Sink) -> None:
    """Open the log; while that cannot be, say so once and try each second: senders keep their lines."""
    said = False
    while True:
        try:
            sink.open(now_us())
        except OSError as error:
            if not said:
                report(f"cannot open the log: {error}; trying again each second")
                said = True
            select.select([], [], [], 1.0)
        else:
            return


class LogUpkeep:
    """Compression and retention, in a child process of low priority, one at a time."""

    def __init__(self, log_dir: str, keep_days: int, max_total: int, zone: tzinfo) -> None:
        self.enabled = True
        self.hub: Hub | None = None
        self._log_dir = log_dir
        self._keep_days = keep_days
        self._max_total = max_total
        self._zone = zone
        self._child: subprocess.Popen[bytes] | None = None
        self._again = False
        self._said = -1

    def start(self) -> None:
        """Start the child; if it is at work, once more when it is done."""
        if not self.enabled:
            return
        if self._child is not None:
            self._again = True
            return
        today = local_date(now_us(), self._zone)
        arguments = [self._log_dir, today, str(self._keep_days), str(self._max_total)]
        self._said = os.memfd_create("upkeep")
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "akjob.log.archive", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
            )
        except OSError as error:
            os.close(self._said)
            report(f"cannot start the compression of old log files: {error}; next try at the next rotation")

    def reap(self) -> None:
        """After SIGCHLD: look whether the child ended, and say what it did."""
        if self._child is None or self._child.poll() is None:
            return
        if self._child.returncode:
            report(
                f"the compression of old log files ended with {self._child.returncode}; next try at the next rotation"
            )
        self._child = None
        with open(self._said, "rb") as said:
            said.seek(0)
            self._tell(said.read())
        if self._again:
            self._again = False
            self.start()

    def _tell(self, said: bytes) -> None:
        """Write one event for each line that the child said: ``{"level": …, "event": …, fields}``."""
        for line in said.splitlines():
            fields = json.loads(line)
            if self.hub is not None:
                self.hub.note(fields.pop("level"), fields.pop("event"), **fields)

    def stop(self) -> None:
        """End the child; its work begins again next time."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()


if __name__ == "__main__":
    main()
