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
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from akjob.config import Config, Paths, socket_address
from akjob.errors import AkjobError
from akjob.log.reading.read import bytes_of
from akjob.log.reading.render import is_output, render
from akjob.run import folder, order
from akjob.run.zygote_client import Spawned, ZygoteClient
from akjob.spec.model import JobSpec

_PATIENCE_S = 1.0  # so long is a reader waited for that takes nothing, once the run has to end without delay


def run_here(spec: JobSpec, paths: Paths, config: Config, kwargs: Mapping[str, Any] | None = None) -> int:
    """Run a job now and wait for its end; return 0, its exit code, 128 + its signal, or 1.

    Output goes to stdout and stderr as the job writes it, log events and the reason of a failure to stderr. The first
    Ctrl-C asks the run to end, the second one kills it; so do SIGTERM and SIGHUP, and 128 + their number is returned.
    Output that cannot be written ends the run too: raises that OSError. Nothing of the run is left, however it ends.
    """
    with ExitStack() as stack:
        signals = stack.enter_context(_signals())
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="akjob-"))
        stand_in = Paths(Path(place))
        for one in (stand_in.run_dir, stand_in.runs, stand_in.log_dir):
            one.mkdir(parents=True)
        collector = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        collector.bind(socket_address(stand_in.collector_socket))
        collector.listen(1)
        zygote = ZygoteClient(stand_in, warm_up=False)
        stack.callback(zygote.close)
        instant = time.time_ns() // 1000
        run = f"here-{os.getpid()}"
        one_order = order.make(
            spec, paths, config, run=run, slot_us=instant, attempt=1, trigger="manual", kwargs=kwargs
        )
        one_order["folder"] = str(stand_in.runs / run)
        one_order["folder_pool"] = ""
        one_order["shims"] = _address(stand_in.shims_socket)
        one_order["collector"] = _address(stand_in.collector_socket)
        folder.make(one_order["folder"])  # there may be a word for the shim before it comes to that
        zygote.send([order.encode(one_order)])
        shim = _shim(zygote)
        stack.callback(os.close, shim.pidfd)
        follower = _Follower(collector, shim, str(stand_in.runs / run), signals)
        end = follower.follow()
    return follower.exit_code(end)


@contextmanager
def _signals() -> Iterator[int]:
    """Yield a descriptor that the numbers of SIGINT, SIGTERM and SIGHUP can be read from, a byte for each.

    What whoever called us has ignored (nohup) stays so.
    """
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    wakeup_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    wanted = [one for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda _number, _frame: None) for number in wanted}
    try:
        yield reader
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup_before)
        os.close(reader)
        os.close(writer)


def _address(path: Path) -> str:
    """Return the address of a socket as the shim can use it: not by a descriptor of its own, but by this process's."""
    return socket_address(path).replace("/proc/self/", f"/proc/{os.getpid()}/", 1)


def _shim(zygote: ZygoteClient) -> Spawned:
    while True:
        select.select([zygote.fileno(), zygote.pidfd], [], [])
        for answer in zygote.heard():
            if not isinstance(answer, Spawned):
                continue
            if answer.failed or answer.pidfd < 0:
                raise _unable(answer.failed or "its shim ended before it began")
            return answer
        if zygote.ended():
            raise _unable("the process that forks could not be started")


def _unable(why: str) -> AkjobError:
    return AkjobError(f"the run could not be started: {why}", hint="Is the machine short of processes or memory?")


class _Follower:
    """Takes the shim's lines, as the collector would, until the shim has ended."""

    def __init__(self, listener: socket.socket, shim: Spawned, where: str, signals: int) -> None:
        self._listener = listener
        self._shim = shim.pidfd
        self._call_signal = shim.call_signal
        self._where = where
        self._signals = signals
        self._asked = False
        self._ended_by = 0  # the signal other than Ctrl-C that ended the run
        self._hurried = False
        self._shows = True
        self._fault: OSError | None = None  # of standard output or error

    def follow(self) -> dict[str, Any]:
        """Return what ``end.json`` says, once the shim is gone."""
        try:
            self._until_gone()
        except BaseException:
            self._shows = False
            self._stop("akjob run --here failed", kill=True)
            self._until_gone()
            raise
        try:
            end: dict[str, Any] = msgspec.json.decode(Path(self._where, folder.END).read_bytes())
        except FileNotFoundError:
            return {"state": "lost", "reason": "its shim was killed", "exit_code": None, "signal": None}
        return end

    def exit_code(self, end: Mapping[str, Any]) -> int:
        """Say how it ended, unless it succeeded, and return what that means. Raises OSError, as :func:`run_here`."""
        if self._shows and end["state"] != "succeeded":
            _complain(f"{end['state']}: {end['reason'] or 'no reason is known'}")
        if self._ended_by:
            return 128 + self._ended_by
        if self._fault is not None:
            raise self._fault
        if end["state"] == "succeeded":
            return 0
        if end["signal"] is not None:
            return 128 + int(end["signal"])
        return int(end["exit_code"] or 1)

    def _until_gone(self) -> None:
        """Take lines and acknowledge them: a shim does not end before all it has said is safe."""
        while self._listener.fileno() in self._wait([self._listener.fileno(), self._shim]):
            connection, _ = self._listener.accept()
            with connection, suppress(ConnectionError):  # the shim was killed
                self._read(connection)

    def _read(self, connection: socket.socket) -> None:
        rest = b""
        seq = None
        while self._wait([connection.fileno()]) and (data := connection.recv(1 << 18)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                fields = msgspec.json.decode(line)
                if seq is None:
                    seq = fields["seq"] - 1  # the hello: the number of the first line
                    continue
                seq += 1
                self._show(fields)
                connection.sendall(b"%d\n" % seq)

    def _wait(self, readers: list[int], writers: tuple[int, ...] = ()) -> list[int]:
        """Wait for one of the descriptors, and act on signals meanwhile; return those that are ready.

        A writer is not waited for without end when the run is to end at once: then none is.
        """
        while True:
            patience = _PATIENCE_S if writers and self._hurried else None
            readable, writable, _ = select.select([self._signals, *readers], writers, [], patience)
            if self._signals in readable:
                readable.remove(self._signals)
                for number in os.read(self._signals, 64):
                    self._signalled(number)
            elif not (readable or writable):
                return []
            if readable or writable:
                return [*readable, *writable]

    def _signalled(self, number: int) -> None:
        """Ask the run to end, or kill it when it was asked before."""
        self._hurried = self._asked or number != signal.SIGINT
        if number != signal.SIGINT:
            self._ended_by = number
        self._stop("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name, kill=self._asked)

    def _stop(self, reason: str, *, kill: bool) -> None:
        self._asked = True
        with suppress(OSError):  # a full disk: the shim ends the run all the same, and cannot say why
            folder.write(self._where, folder.STOP, folder.stop_text("cancelled", reason, kill=kill))
        with suppress(ProcessLookupError):  # it has just ended
            signal.pidfd_send_signal(self._shim, self._call_signal)

    def _show(self, line: dict[str, Any]) -> None:
        """Print a line where it belongs. What cannot be written ends the run: nobody would see what it does."""
        if not self._shows:
            return
        try:
            if is_output(line):
                self._write(sys.stderr if line["stream"] == "stderr" else sys.stdout, bytes_of(line))
            elif line["source"] == "job" or line["event"] not in ("run.started", "run.finished"):
                text = render(line, colour=sys.stderr.isatty()) + "\n"
                self._write(sys.stderr, text.encode(sys.stderr.encoding, "backslashreplace"))
        except OSError as error:
            self._shows, self._fault = False, error
            if not self._asked:
                self._stop(f"its output cannot be written: {error.strerror}", kill=False)

    def _write(self, out: IO[str], data: bytes) -> None:
        """Write without ever waiting in ``write``: there a signal would not be heard of.

        What select(2) calls writable takes PIPE_BUF bytes at once.
        """
        fd = out.fileno()
        while data and self._shows:
            if not self._wait([], (fd,)):
                self._shows = False
                return
            try:
                data = data[os.write(fd, data[: select.PIPE_BUF]) :]
            except OSError as error:
                where = "standard error" if out is sys.stderr else "standard output"
                raise OSError(error.errno, error.strerror, where) from error


def _complain(message: str) -> None:
    print(f"akjob: {message}", file=sys.stderr, flush=True)  # noqa: T201 - a command's edge
