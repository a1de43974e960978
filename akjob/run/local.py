"""One run without akjobd, collector and ledger, for trying a job out.

It is a real run with a real shim: same surroundings, limits and ending. This process stands in for all the others: it
sends the order and takes the lines. What becomes of them is the caller's business.
"""

import os
import select
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from akjob.config import Config, Paths, socket_address
from akjob.errors import AkjobError
from akjob.run import folder, folder_reader, order
from akjob.run.end import End
from akjob.run.zygote_client import Spawned, Zygote
from akjob.spec.model import JobSpec

Line = dict[str, Any]

_PATIENCE_S = 1.0  # so long is a reader waited for that takes nothing, once the run has to end without delay


@contextmanager
def start(
    spec: JobSpec,
    paths: Paths,
    config: Config,
    kwargs: Mapping[str, object] | None = None,
    *,
    slot_us: int | None = None,
) -> Iterator["LocalRun"]:
    """Start a run of a job now, for a slot (default: now); yield it.

    The first Ctrl-C asks the run to end, the second one kills it; so do SIGTERM and SIGHUP. Nothing of the run is left
    when this is left, however that happens. Raises AkjobError when the run cannot be started.
    """
    with ExitStack() as stack:
        signals = stack.enter_context(_signals())
        stand_in = Paths(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="akjob-"))))
        for one in (stand_in.run_dir, stand_in.runs, stand_in.log_dir):
            one.mkdir(parents=True)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        listener.bind(socket_address(stand_in.collector_socket))
        listener.listen(1)
        zygote = Zygote(stand_in, warm_up=False)
        stack.callback(zygote.close)
        one_order = _order(spec, paths, config, kwargs, stand_in, slot_us)
        where = one_order["folder"]
        folder.make(where)  # `stop` may be written before the shim comes to that
        zygote.send([order.encode(one_order)])
        shim = _shim(zygote)
        stack.callback(os.close, shim.pidfd)
        run = LocalRun(listener, shim, where, signals)
        try:
            yield run
        finally:
            run.finish()


def _order(  # noqa: PLR0913, PLR0917 - all that an order is made of
    spec: JobSpec,
    paths: Paths,
    config: Config,
    kwargs: Mapping[str, object] | None,
    stand_in: Paths,
    slot_us: int | None,
) -> order.Order:
    run = f"local-{os.getpid()}"
    now_us = time.time_ns() // 1000
    made = order.make(
        spec,
        paths,
        config,
        run=run,
        slot_us=now_us if slot_us is None else slot_us,
        attempt=1,
        trigger="manual",
        kwargs=kwargs,
        now_us=now_us,
    )
    made["folder"] = str(stand_in.runs / run)
    made["folder_pool"] = ""
    made["shims"] = _address(stand_in.shims_socket)
    made["collector"] = _address(stand_in.collector_socket)
    return made


@contextmanager
def _signals() -> Iterator[int]:
    """Yield a descriptor that the numbers of SIGINT, SIGTERM and SIGHUP can be read from, a byte for each.

    What our caller has ignored (nohup) stays so.
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


def _shim(zygote: Zygote) -> Spawned:
    while True:
        select.select([zygote.fileno(), zygote.pidfd], [], [])
        for answer in zygote.received():
            if not isinstance(answer, Spawned):
                continue
            if answer.failed or answer.pidfd < 0:
                raise _unable(answer.failed or "its shim ended before it began")
            return answer
        if zygote.ended():
            raise _unable("the process that forks could not be started")


def _unable(why: str) -> AkjobError:
    return AkjobError(f"the run could not be started: {why}", hint="Is the machine short of processes or memory?")


class LocalRun:
    """A run that was started by :func:`start`. Takes the shim's lines, as the collector would.

    ``ended_by`` is the signal other than Ctrl-C that ended the run, 0 without one. ``asked``: akjob ended it.
    """

    def __init__(self, listener: socket.socket, shim: Spawned, where: str, signals: int) -> None:
        self._listener = listener
        self._shim = shim
        self._where = where
        self._signals = signals
        self._hurried = False
        self._gone = False
        self.asked = False
        self.ended_by = 0

    def lines(self) -> Iterator[Line]:
        """Yield the run's lines until its shim is gone; a line counts as safe when the next one is asked for."""
        while self._listener.fileno() in self._wait([self._listener.fileno(), self._shim.pidfd]):
            connection, _ = self._listener.accept()
            with connection, suppress(ConnectionError):  # the shim was killed
                yield from self._read(connection)
        self._gone = True

    def end(self) -> End:
        """Return how the run ended; to be asked when there are no more lines."""
        end = folder_reader.read_end(self._where)
        if isinstance(end, End):
            return end
        return End(state="lost", reason="its shim was killed", ended_us=time.time_ns() // 1000)

    def stop(self, reason: str, *, kill: bool = False) -> None:
        """Ask the run to end, or kill it."""
        self.asked = True
        word = folder.stop_text("cancelled", reason, kill=kill)
        # On a full disk the shim ends the run all the same, and cannot say why.
        folder_reader.tell_to_stop(self._where, self._shim.pidfd, self._shim.call_signal, word)

    def finish(self) -> None:
        """Kill whatever is left of the run, and take its lines until its shim is gone."""
        if not self._gone:
            self.stop("akjob run --here failed", kill=True)
            for _ in self.lines():
                continue

    def is_writable(self, fd: int) -> bool:
        """Wait until a descriptor can be written to, acting on signals; False: the run has to end, and it takes none.

        What select(2) calls writable takes PIPE_BUF bytes at once.
        """
        return bool(self._wait([], (fd,)))

    def _read(self, connection: socket.socket) -> Iterator[Line]:
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
                yield fields
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
        self._hurried = self.asked or number != signal.SIGINT
        if number != signal.SIGINT:
            self.ended_by = number
        self.stop("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name, kill=self.asked)
