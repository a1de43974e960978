"""The run that this process belongs to, for the job's own code: ``akjob.current_run()``."""

from __future__ import annotations

import os

from akjob.log.job import channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class CurrentRun:
    """What a job may know about its run.

    ``job`` is its name, ``run`` the run's id, ``attempt`` counts from 1, ``slot`` is the instant at which it was due,
    an aware datetime in UTC. ``log`` writes structured lines to the log stream.
    """

    def __init__(self, job: str, run: str, slot: str, attempt: int) -> None:
        self.job = job
        self.run = run
        self.attempt = attempt
        self.log = Log()
        self._slot = slot

    @property
    def slot(self) -> datetime:
        """The instant at which the job was due."""
        from datetime import datetime  # noqa: PLC0415 - a job that does not ask need not load it

        return datetime.fromisoformat(self._slot)

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Say how far the run is: an event ``run.progress`` with ``done``, ``total`` and ``message``."""
        fields: dict[str, object] = {"done": done}
        if total is not None:
            fields["total"] = total
        if message:
            fields["message"] = message
        channel.write("info", "run.progress", None, fields)

    def __repr__(self) -> str:
        return f"<run {self.run} of {self.job}, slot {self._slot}, attempt {self.attempt}>"


class Log:
    """Structured lines without structlog: ``log.info("sent", mails=3)``; :meth:`bind` adds fields to all of them."""

    def __init__(self, fields: dict[str, object] | None = None) -> None:
        self._fields = fields or {}

    def bind(self, **fields: object) -> Log:
        """Return a logger that adds these fields to each line."""
        return Log({**self._fields, **fields})

    def debug(self, event: str, **fields: object) -> None:
        """Write a line of level debug."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Write a line of level info."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Write a line of level warning."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Write a line of level error."""
        self._write("error", event, fields)

    def critical(self, event: str, **fields: object) -> None:
        """Write a line of level critical."""
        self._write("critical", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Write a line of level error with the exception that is being handled."""
        fields.setdefault("exc_info", True)
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        channel.write(level, event, None, channel.with_failure({**self._fields, **fields}))


_told: Mapping[str, str] = os.environ
_run: CurrentRun | None = None


def set_names(names: Mapping[str, str]) -> None:
    """Say which run this process belongs to, by its ``AKJOB_*``; akjob does that before the job's code is loaded."""
    global _told, _run  # one process, one run
    _told, _run = names, None


def current_run() -> CurrentRun:
    """Return the run that this process belongs to. Raises RuntimeError in a process that is no run."""
    global _run  # noqa: PLW0603 - made when it is first asked for: most jobs do not
    if _run is not None:
        return _run
    try:
        slot, attempt = _told["AKJOB_SLOT"], int(_told["AKJOB_ATTEMPT"])
        _run = CurrentRun(_told["AKJOB_JOB"], _told["AKJOB_RUN"], slot, attempt)
    except (KeyError, ValueError):
        raise RuntimeError(
            "this process is no run of a job: AKJOB_JOB, AKJOB_RUN, AKJOB_SLOT and AKJOB_ATTEMPT are not set; "
            "start it with `akjob run JOB` or `akjob run --here JOB`"
        ) from None
    return _run
