"""akjob-web's own lines on the log stream: who did what."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from akjob.config import Paths, socket_address
from akjob.daemon_log import DaemonLog

_STEP_S = 0.02
_LONGEST_S = 1.0


class WebLog:
    """Lines to the collector. What it does not take at once waits in a spool; while nothing waits nothing wakes."""

    def __init__(self, paths: Paths, clock: Callable[[], int]) -> None:
        spool = paths.run_dir / "akjob-web.spool"
        self._log = DaemonLog(socket_address(paths.collector_socket), spool, clock, time.monotonic, source="web")
        self._task: asyncio.Task[None] | None = None

    def say(self, event: str, **fields: Any) -> None:
        """Log an event. Called in the loop."""
        self.tell("info", event, **fields)

    def tell(self, level: str, event: str, **fields: Any) -> None:
        """Log an event of any level. Called in the loop."""
        self._log.say(level, event, **fields)
        if self._task is None:
            self._task = asyncio.create_task(self._deliver())

    async def close(self) -> None:
        """Close it; what was not delivered stays in the spool."""
        if self._task is not None:
            self._task.cancel()
        self._log.close()

    async def _deliver(self) -> None:
        pause_s = _STEP_S
        self._log.sender.step(time.monotonic())
        while not self._log.sender.idle:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_S)
            self._log.sender.step(time.monotonic())
        self._task = None
