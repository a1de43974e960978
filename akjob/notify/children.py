"""The children that deliver: one at a time for each channel, each with a time limit, none outliving akjob-notify."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from akjob.notify.outbox import Delivery
from akjob.notify.sending import DeliveryBatch
from akjob.notify.transports import TRY_S

BATCH = 20
"""So many messages go to one child; the rest follows in the next one."""
_START_S = 15.0


class TryResult(Struct, frozen=True, kw_only=True):
    """What a try came to: ``error`` None means that the message was taken."""

    delivery: Delivery
    error: str | None


class Child:
    """One process with one batch. ``deadline`` is on the clock that its caller counts by, in seconds."""

    def __init__(self, order: DeliveryBatch, batch: Sequence[Delivery], now: float) -> None:
        self.batch = {one.id: one for one in batch}
        self.deadline = now + _START_S + (TRY_S + 1) * len(batch)
        self._rest = b""
        stdin = os.memfd_create("akjob-order", os.MFD_CLOEXEC)
        try:
            with open(stdin, "wb", closefd=False) as file:
                file.write(msgspec.json.encode(order))
            os.lseek(stdin, 0, os.SEEK_SET)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "akjob.notify.sending", str(os.getpid())],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
            )
        finally:
            os.close(stdin)
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self.stdout = self._process.stdout
        os.set_blocking(self.stdout.fileno(), False)

    def results(self) -> Iterator[TryResult]:
        """Yield what has been answered since the last call."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.stdout.fileno(), 1 << 16):
                self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            answer: dict[str, Any] = msgspec.json.decode(line)
            delivery = self.batch.pop(answer["id"], None)
            if delivery is not None:
                yield TryResult(delivery=delivery, error=answer["error"])

    @property
    def is_over(self) -> bool:
        """Return True if the child has ended; it is reaped then."""
        return self._process.poll() is not None

    def end(self, why: str) -> list[TryResult]:
        """End the child, if it has not ended, and return what was not answered as failed."""
        found = list(self.results())
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self.stdout.close()
        return [*found, *(TryResult(delivery=one, error=why) for one in self.batch.values())]
