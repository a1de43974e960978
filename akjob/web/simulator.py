"""Simulations for pages: each is a process of its own with limits, one at a time, so that no other request waits."""

import asyncio
import contextlib
import sys

import msgspec
from msgspec import Struct

from akjob.query.foresight import Outlook
from akjob.query.scenarios import Wish
from akjob.query.visibility import Principal

CPU_S = 20
"""So much CPU a simulation may use."""

WALL_S = 60.0
"""So long it may take."""

MEMORY = 1 << 30
"""So much memory it may have."""


class Question(Struct, frozen=True, kw_only=True):
    """What to simulate, for whom, and against which other revision."""

    root: str
    now_us: int
    principal: Principal
    wish: Wish
    against: str | None = None


class Shift(Struct, frozen=True, kw_only=True):
    """What becomes of one job's slots between two revisions: how many, and the first of them."""

    job: str
    zone: str
    gained: int
    lost: int
    moved: int
    first_gained: tuple[int, ...]
    first_lost: tuple[int, ...]
    first_moved: tuple[tuple[int, int], ...]


class Simulated(Struct, frozen=True, kw_only=True):
    """What the simulation came to, or why there is none.

    ``before`` is that of the other revision; ``refused`` are jobs whose files are broken in a revision.
    """

    after: Outlook | None = None
    before: Outlook | None = None
    shifts: tuple[Shift, ...] = ()
    refused: tuple[str, ...] = ()
    refused_before: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    error: str = ""
    hint: str = ""


TOO_MUCH = Simulated(
    error=f"the simulation needs more than {CPU_S} s of computing or 1 GiB",
    hint="Choose a shorter time; in a terminal `akjob simulate` has no limit.",
)


class Simulations:
    """Runs one child at a time; the others wait their turn."""

    def __init__(self, closing: asyncio.Event) -> None:
        self._closing = closing
        self._turn = asyncio.Semaphore(1)

    def is_busy(self) -> bool:
        """Return True while a child computes."""
        return self._turn.locked()

    async def ask(self, question: Question) -> Simulated:
        """Return the answer of a child. Ends it when akjob-web ends, and when it takes too long."""
        async with self._turn:
            command = (sys.executable, "-P", "-m", "akjob.web.simulating")
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
            work = asyncio.create_task(process.communicate(msgspec.json.encode(question)))
            closing = asyncio.create_task(self._closing.wait())
            try:
                await asyncio.wait({work, closing}, timeout=WALL_S, return_when=asyncio.FIRST_COMPLETED)
            finally:
                closing.cancel()
                if not work.done():
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
            out, _ = await work
        return msgspec.json.decode(out, type=Simulated) if process.returncode == 0 else TOO_MUCH
