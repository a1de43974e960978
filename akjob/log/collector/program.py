"""``akjob-collector``: the one process that writes the log stream."""

import contextlib
import fcntl
import json
import os
import select
import socket
import subprocess
import sys
from datetime import tzinfo
from pathlib import Path

from akjob import config
from akjob.errors import AkjobError
from akjob.log.collector.hub import BACKLOG, Hub, now_us, raise_open_files, report
from akjob.log.collector.sink import FileSink, Sink, StdoutSink, local_date
from akjob.processes import die_with_supervisord
from akjob.schedule.zones import get_zone

_OTHER_COLLECTOR_S = 5.0
_FATAL_S = 5.0


def main() -> None:
    """Run the collector of the root that ``--root``, ``$AKJOB_ROOT`` or the working directory tells."""
    die_with_supervisord(os.environ)
    arguments = sys.argv[1:]
    given = None
    if len(arguments) == 2 and arguments[0] == "--root":  # noqa: PLR2004
        given = arguments[1]
    elif arguments:
        report(f"unknown arguments {arguments}; usage: akjob-collector [--root DIR]")
        leave(2)
    try:
        root = config.find_root(given, os.environ, Path.cwd())
        paths = config.Paths(root)
        settings, problems = config.load_config(paths.config_file)
    except AkjobError as error:
        report(f"{error.message} {error.hint}".strip())
        leave(error.exit_code)
    for problem in problems:
        report(str(problem))
    serve(paths, settings)


def serve(paths: config.Paths, settings: config.Config) -> None:
    """Work until SIGTERM. Ends the process with 1 when another collector serves this root."""
    os.makedirs(paths.var, mode=0o700, exist_ok=True)
    os.makedirs(paths.run_dir, mode=0o700, exist_ok=True)
    os.makedirs(paths.log_dir, mode=0o750, exist_ok=True)
    lock = take_lock(str(paths.run_dir / "collector.lock"))
    raise_open_files()
    zone = get_zone(settings.timezone)
    sink: Sink = StdoutSink()
    keeper = Upkeep(str(paths.log_dir), settings.log.keep_days, settings.log.max_total, zone)
    if settings.log.to == "file":
        sink = FileSink(str(paths.log_dir), zone, settings.log.max_size)
    else:
        keeper.enabled = False
    open_sink(sink)
    hub = Hub(listen(config.socket_address(paths.collector_socket)), sink, str(paths.runs), keeper)
    keeper.hub = hub
    hub.catch_signals()
    hub.note("info", "collector.started", pid=os.getpid(), to=settings.log.to)
    keeper.start()
    hub.run()
    with contextlib.suppress(OSError):
        paths.collector_socket.unlink()
    keeper.stop()
    os.close(lock)


def take_lock(path: str) -> int:
    """Take the lock of this root's collector. Waits a while for one that is just ending; else exits with 1."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for attempt in range(int(_OTHER_COLLECTOR_S * 10)):
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if not attempt:
                report(f"another collector holds {path}; waiting {_OTHER_COLLECTOR_S:.0f} s for its end")
            select.select([], [], [], 0.1)
        else:
            os.ftruncate(fd, 0)
            os.write(fd, b"%d\n" % os.getpid())
            return fd
    holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
    report(f"process {holder} is the collector of this root already: stop it, or leave this one out")
    sys.exit(1)


def listen(address: str) -> socket.socket:
    """Listen at the address, for this user only. Whoever holds the lock may replace a socket that was left behind."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(address)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(address)
    finally:
        os.umask(mask)
    listener.listen(BACKLOG)
    return listener


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


class Upkeep:
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
        """End the child; what it was at is begun anew next time."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()


def leave(code: int) -> None:
    """Exit, but not at once: whoever starts this again must not spin on a reason that stays."""
    if "SUPERVISOR_ENABLED" in os.environ:
        select.select([], [], [], _FATAL_S)
    sys.exit(code)


if __name__ == "__main__":
    main()
