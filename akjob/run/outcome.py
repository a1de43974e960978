"""What came of a run: its state, and the sentence that says why.

Everything here is a value or a pure function of values. Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the module signal would bring in enum
import os
from _json import encode_basestring_ascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource
    from collections.abc import Mapping, Sequence

    from akjob.run.order import Order

END_VERSION = 1
RECALLED = "recalled"
"""The state of a run that was called back before its slot: according to the ledger it never started."""

_MOST_NAMED = 5
_ENDED_BY_AKJOB = ("timed_out", "cancelled")


class OutcomeRecorder:
    """What is known of how a run went, gathered while it lives; :meth:`end` makes ``end.json`` of it.

    ``decided`` and ``reason`` are set when the run has to end for a reason that is not its own: it was asked to, or its
    time was over. ``error`` and ``result`` are what the job's side reported, ``refused`` a step before its code that
    could not be done. ``leftovers`` names the processes that it left behind, ``dropped`` counts bytes of its output.
    """

    def __init__(self) -> None:
        self.decided = ""
        self.reason = ""
        self.error = ""
        self.result = ""
        self.refused = ""
        self.status: int | None = None
        self.leftovers: Sequence[str] = ()
        self.dropped = 0
        self.pid = 0
        self.started_us = 0
        self.ended_us = 0
        self.user_s = 0.0
        self.system_s = 0.0
        self.max_rss_kib = 0

    def used(self, usage: resource.struct_rusage) -> None:
        """Add what a process of the run has used."""
        self.user_s += usage.ru_utime
        self.system_s += usage.ru_stime
        self.max_rss_kib = max(self.max_rss_kib, usage.ru_maxrss)

    def end(self, order: Order, oom_kills: int | None) -> dict[str, object]:
        """Return what ``end.json`` holds. ``oom_kills``: how often the kernel did; None where nothing counts that."""
        code, signum = exit_of(self.status)
        good = order["success_codes"] if order["code"][0] == "command" else (0,)
        state = self.decided or ("succeeded" if code in good and not self.refused else "failed")
        return {
            "version": END_VERSION,
            "run": order["run"],
            "job": order["job"],
            "slot_us": order["slot_us"],
            "attempt": order["attempt"],
            "state": state,
            "reason": self._reason(state, code, signum, oom_kills) or None,
            "exit_code": code,
            "signal": signum,
            "error": self.error or None,
            "result": self.result or None,
            "pid": self.pid or None,
            "shim_pid": os.getpid(),
            "started_us": self.started_us or None,
            "ended_us": self.ended_us,
            "user_cpu_s": round(self.user_s, 6),
            "system_cpu_s": round(self.system_s, 6),
            "max_rss_bytes": self.max_rss_kib * 1024,
        }

    def _reason(self, state: str, code: int | None, signum: int | None, oom_kills: int | None) -> str:
        parts = [self.reason or self.refused]
        if self.decided:
            if signum == _signal.SIGKILL and state in _ENDED_BY_AKJOB:
                parts.append("it did not end in time and was killed")
        else:
            if state == "failed" and not parts[0]:
                parts[0] = self.error or why(code, signum, oom_kills)
            parts.append(left_behind(self.leftovers))  # a run that was asked to end left nothing behind unasked
        if self.dropped:
            parts.append(f"{self.dropped} bytes of output beyond output_limit were not kept")
        return "; ".join([part for part in parts if part])


def exit_of(status: int | None) -> tuple[int | None, int | None]:
    """Return exit code and signal of a wait status; None for a job that was never there."""
    if status is None:
        return None, None
    return (None, os.WTERMSIG(status)) if os.WIFSIGNALED(status) else (os.WEXITSTATUS(status), None)


def why(code: int | None, signum: int | None, oom_kills: int | None) -> str:
    """Return why a run has failed of which nothing but its exit is known."""
    if signum is None:
        return exited(code)
    if signum == _signal.SIGKILL:
        return "killed by SIGKILL" + _by_whom(oom_kills)
    if signum == _signal.SIGXCPU:
        return "killed by SIGXCPU: it used more CPU time than resources.cpu allows"
    return f"killed by signal {signum}"


def _by_whom(oom_kills: int | None) -> str:
    if oom_kills is None:
        return ", not by akjob: by hand, or by the kernel's OOM killer (see its log)"
    return " by the OOM killer: over resources.memory" if oom_kills else ", not by akjob"


def left_behind(leftovers: Sequence[str]) -> str:
    """Return what a run left behind, or an empty string; the first few by name."""
    if not leftovers:
        return ""
    named = ", ".join(leftovers[:_MOST_NAMED]) + (", ..." if len(leftovers) > _MOST_NAMED else "")
    return f"left {len(leftovers)} process{'es' if len(leftovers) > 1 else ''} behind, ended: {named}"


def exited(code: int | None) -> str:
    """Return the reason of a run whose exit code says that it failed."""
    return f"exit code {code}"


def still_running(timeout_us: int) -> str:
    """Return the reason of a run that reached its timeout."""
    return f"still running after its timeout of {timeout_us / 1e6:g} s"


def still_running_at(clock: str) -> str:
    """Return the reason of a run that reached its ``stop_at``, a local time."""
    return f"still running at {clock}, its stop_at"


def level_of(state: object) -> str:
    """Return the level of the log line that says how a run ended."""
    return "info" if state == "succeeded" else "error" if state in ("failed", "timed_out") else "warning"


def finished(end: Mapping[str, object], duration_s: float | None, dropped: int) -> dict[str, object]:
    """Return the fields of ``run.finished``."""
    fields = {key: end[key] for key in ("state", "exit_code", "signal", "reason", "error")}
    fields["duration_s"] = duration_s if duration_s is None else round(max(0.0, duration_s), 6)
    fields |= {key: end[key] for key in ("user_cpu_s", "system_cpu_s", "max_rss_bytes")}
    if dropped:
        fields["dropped_bytes"] = dropped
    return fields


def json(fields: Mapping[str, object]) -> str:
    """Return a JSON object of plain values."""
    return "{" + ",".join([f'"{key}":{_value(value)}' for key, value in fields.items()]) + "}"


def _value(value: object) -> str:
    if value is None:
        return "null"
    return encode_basestring_ascii(value) if isinstance(value, str) else repr(value)
