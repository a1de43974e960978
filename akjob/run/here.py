"""``akjob run --here``: one run without akjobd, collector and ledger, for trying a job out.

It is a real run with a real shim: same surroundings, limits and ending. This process stands in for all the others: it
sends the order, takes the lines and prints the job's output where it belongs.
"""

import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from akjob.config import Config, Paths
from akjob.log.read import bytes_of
from akjob.log.render import is_output, render
from akjob.run import folder, order
from akjob.run.nursery import Forked, Nursery
from akjob.spec.model import JobSpec


def run_here(spec: JobSpec, paths: Paths, config: Config, kwargs: Mapping[str, Any] | None = None) -> int:
    """Run a job now and wait for its end; return 0, its exit code, 128 + its signal, or 1.

    Output goes to stdout and stderr as the job writes it, log events and the reason of a failure to stderr. The first
    Ctrl-C asks the run to end, the second one kills it.
    """
    with ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="akjob-"))
        stand_in = Paths(Path(place))
        for one in (stand_in.run_dir, stand_in.runs, stand_in.log_dir):
            one.mkdir(parents=True)
        collector = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        collector.bind(str(stand_in.collector_socket))
        collector.listen(1)
        nursery = Nursery(stand_in, rehearse=False)
        stack.callback(nursery.close)
        instant = time.time_ns() // 1000
        run = f"here-{os.getpid()}"
        one_order = order.make(
            spec, paths, config, run=run, slot_us=instant, attempt=1, trigger="manual", kwargs=kwargs
        ) | {
            "folder": str(stand_in.runs / run),
            "spares": "",
            "shims": str(stand_in.shims_socket),
            "collector": str(stand_in.collector_socket),
        }
        nursery.send([order.encode(one_order)])
        shim = _shim(nursery)
        stack.callback(os.close, shim.pidfd)
        end = _Follower(collector, shim, str(stand_in.runs / run)).follow()
        return _exit_code(end)


def _shim(nursery: Nursery) -> Forked:
    while True:
        select.select([nursery.fileno(), nursery.pidfd], [], [])
        for answer in nursery.heard():
            if not isinstance(answer, Forked):
                continue
            if answer.failed or answer.pidfd < 0:
                _complain(answer.failed or "its shim ended before it began")
                sys.exit(1)
            return answer
        if nursery.ended():
            _complain("the process that forks could not be started")
            sys.exit(1)


class _Follower:
    """Takes the shim's lines, as the collector would, until the shim has ended."""

    def __init__(self, listener: socket.socket, shim: Forked, where: str) -> None:
        self._listener = listener
        self._shim = shim.pidfd
        self._bell = shim.bell
        self._where = where
        self._asked = False

    def follow(self) -> dict[str, Any]:
        """Return what ``end.json`` says, once the shim is gone."""
        before = signal.signal(signal.SIGINT, lambda _number, _frame: self._stop())
        try:
            while not select.select([self._listener.fileno(), self._shim], [], [])[0]:
                continue
            if select.select([self._listener], [], [], 0)[0]:
                connection, _ = self._listener.accept()
                with connection:
                    self._read(connection)
            select.select([self._shim], [], [])
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            end: dict[str, Any] = msgspec.json.decode(Path(self._where, folder.END).read_bytes())
        except FileNotFoundError:
            return {"state": "lost", "reason": "its shim was killed", "exit_code": None, "signal": None}
        return end

    def _read(self, connection: socket.socket) -> None:
        rest = b""
        seq = None
        while data := connection.recv(1 << 18):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                fields = msgspec.json.decode(line)
                if seq is None:
                    seq = fields["seq"] - 1  # the hello: the number of the first line
                    continue
                seq += 1
                _show(fields)
                connection.sendall(b"%d\n" % seq)

    def _stop(self) -> None:
        """Ask the run to end, or kill it when it was asked before."""
        folder.write(self._where, folder.STOP, folder.stop_text("cancelled", "Ctrl-C", kill=self._asked))
        self._asked = True
        signal.pidfd_send_signal(self._shim, self._bell)


def _show(line: dict[str, Any]) -> None:
    if is_output(line):
        out = sys.stderr.buffer if line["stream"] == "stderr" else sys.stdout.buffer
        out.write(bytes_of(line))
        out.flush()
    elif line["source"] == "job" or line["event"] not in ("run.started", "run.finished"):
        print(render(line, colour=sys.stderr.isatty()), file=sys.stderr, flush=True)  # noqa: T201 - a command's edge


def _exit_code(end: dict[str, Any]) -> int:
    if end["state"] == "succeeded":
        return 0
    _complain(f"{end['state']}: {end['reason'] or 'no reason is known'}")
    if end["signal"] is not None:
        return 128 + int(end["signal"])
    return int(end["exit_code"] or 1)


def _complain(message: str) -> None:
    print(f"akjob: {message}", file=sys.stderr, flush=True)  # noqa: T201 - a command's edge
