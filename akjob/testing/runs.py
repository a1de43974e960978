"""One run of a job in a real process, without akjobd, and what came of it."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from akjob.config import Paths, load_config
from akjob.log.reading.read import bytes_of
from akjob.log.reading.render import is_output
from akjob.run import local
from akjob.run.end import End
from akjob.schedule import get_zone
from akjob.spec import JobSpec
from akjob.testing.job import TestJob, load
from akjob.testing.times import Time, instant_of


class Result(Struct, frozen=True, kw_only=True):
    """What came of a run. ``lines`` are its output without line ends, ``events`` what it logged, as the log has it."""

    state: str
    exit_code: int | None
    signal: int | None
    lines: list[str]
    events: list[dict[str, Any]]
    result: Any
    error: str | None
    duration: timedelta


def run(
    job: TestJob | str | Path,
    args: Mapping[str, object] | None = None,
    slot: Time | None = None,
    env: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Result:
    """Run a job now, for a slot, and wait for its end. Nothing is written to a ledger or a log.

    ``args`` are keyword arguments over those of the file, ``env`` variables over those of the file, ``secrets`` the
    values of variables that the file reads from secret files, by the names of the variables.
    """
    tested = job if isinstance(job, TestJob) else load(job)
    spec = _with_environment(tested.spec, {**(env or {}), **(secrets or {})})
    paths = Paths(tested.root or Path.cwd())
    config, _ = load_config(paths.config_file)
    slot_us = None if slot is None else instant_of(slot, get_zone(spec.schedule.zone))
    with local.start(spec, paths, config, dict(args or {}), slot_us=slot_us) as started:
        lines = list(started.lines())
        return _result(lines, started.end())


def _with_environment(spec: JobSpec, values: Mapping[str, str]) -> JobSpec:
    return replace(spec, run=replace(spec.run, env={**spec.run.env, **values})) if values else spec


def _result(lines: list[local.Line], end: End) -> Result:
    output = b"".join(bytes_of(line) for line in lines if is_output(line))
    took_us = 0 if end.started_us is None or end.ended_us is None else end.ended_us - end.started_us
    return Result(
        state=end.state,
        exit_code=end.exit_code,
        signal=end.signal,
        lines=output.decode("utf-8", "replace").splitlines(),
        events=[dict(line) for line in lines if line.get("source") == "job"],
        result=None if end.result is None else msgspec.json.decode(end.result),
        error=end.error,
        duration=timedelta(microseconds=took_us),
    )
