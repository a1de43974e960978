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

    def __init__(self, names: Mapping[str, str]) -> None:
        self.job = names["AKJOB_JOB"]
        self.run = names["AKJOB_RUN"]
        self.attempt = int(names["AKJOB_ATTEMPT"])
        self.log = Log()
        self._slot = names["AKJOB_SLOT"]
        self._previous_slot = names.get("AKJOB_PREVIOUS_SLOT", "")
        self._changed_file = names.get("AKJOB_CHANGED_FILE", "")

    @property
    def slot(self) -> datetime:
        """The instant at which the job was due."""
        return _instant(self._slot)

    @property
    def previous_slot(self) -> datetime | None:
        """The job's slot before this one, None if there is none: the run stands for the time in between."""
        return _instant(self._previous_slot) if self._previous_slot else None

    @property
    def changed(self) -> list[str]:
        """The absolute paths of the files whose change made the job due; deleted ones are among them."""
        if not self._changed_file:
            return []
        with open(self._changed_file, "rb") as file:
            return [os.fsdecode(path) for path in file.read().split(b"\0")[:-1]]

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Report how far the run is: an event ``run.progress`` with ``done``, ``total`` and ``message``."""
        fields: dict[str, object] = {"done": done}
        if total is not None:
            fields["total"] = total
        if message:
            fields["message"] = message
        channel.write("info", "run.progress", None, fields)

    def __repr__(self) -> str:
        return f"<run {self.run} of {self.job}, slot {self._slot}, attempt {self.attempt}>"


def _instant(text: str) -> datetime:
    from datetime import datetime  # noqa: PLC0415 - a job that does not ask need not load it

    return datetime.fromisoformat(text)


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


_names: Mapping[str, str] = os.environ
_run: CurrentRun | None = None


def set_names(names: Mapping[str, str]) -> None:
    """Set which run this process belongs to, by its ``AKJOB_*``; akjob does that before the job's code is loaded."""
    global _names, _run  # one process, one run
    _names, _run = names, None


def current_run() -> CurrentRun:
    """Return the run that this process belongs to. Raises RuntimeError outside of a run."""
    global _run  # noqa: PLW0603 - made when it is first asked for: most jobs do not
    if _run is not None:
        return _run
    try:
        _run = CurrentRun(_names)
    except (KeyError, ValueError):
        raise RuntimeError(
            "not running inside an akjob run (AKJOB_JOB, AKJOB_RUN, AKJOB_SLOT and AKJOB_ATTEMPT are not set); "
            "start it with `akjob run JOB` or `akjob run --here JOB`"
        ) from None
    return _run
