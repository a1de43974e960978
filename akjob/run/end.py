"""How a run ended, as akjobd and the commands know it."""

from typing import Literal

from msgspec import Struct


class End(Struct, frozen=True, kw_only=True):
    """What ``end.json`` holds of what came of a run. ``started_us`` is None when it never came to a start."""

    state: Literal["succeeded", "failed", "timed_out", "cancelled", "lost"]
    ended_us: int
    run: str = ""
    reason: str | None = None
    started_us: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    error: str | None = None
    result: str | None = None
    pid: int | None = None
    shim_pid: int | None = None
    user_cpu_s: float | None = None
    system_cpu_s: float | None = None
    max_rss_bytes: int | None = None


class Recalled(Struct, frozen=True):
    """What ``end.json`` holds of a run that was called back before its slot."""

    run: str
