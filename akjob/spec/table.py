"""A job as a table: back from the model to TOML values, and as JSON for people who ask what is in force."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from signal import Signals
from typing import Any

from akjob.config.secrets import SecretFile
from akjob.instants import to_datetime
from akjob.keys.key import Keys
from akjob.keys.values import NTHS, names_of_days
from akjob.schedule.model import (
    WORKDAY,
    Hours,
    Limits,
    Moment,
    Monthly,
    NthWeekday,
    Schedule,
    Weekly,
)
from akjob.spec.job import CODE, SECTIONS, TOP
from akjob.spec.model import Command, DottedCallable, EnvFile, JobSpec, Resources, Retry, RunPolicy
from akjob.spec.notify import notify_table
from akjob.toml.read import read_table
from akjob.units import format_duration, format_size

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time, in whichever zone
_DAYS = names_of_days()
_NTHS = {number: name for name, number in NTHS.items()}


def job_table(spec: JobSpec) -> dict[str, Any]:
    """Return the table that reads back as ``spec``, with no key whose default says the same.

    Values are those of TOML: texts, numbers, dates and times, lists, dicts.
    """
    table: dict[str, Any] = {}
    if spec.description:
        table["description"] = spec.description
    if not spec.enabled:
        table["enabled"] = False
    if spec.tags:
        table["tags"] = list(spec.tags)
    if spec.owner is not None:
        table["owner"] = spec.owner
    if spec.runbook is not None:
        table["runbook"] = spec.runbook
    table.update(_code(spec))
    if spec.args:
        table["args"] = list(spec.args)
    if spec.kwargs:
        table["kwargs"] = dict(spec.kwargs)
    limits = _limits(spec.schedule.limits)
    if spec.runs is not None:
        limits["runs"] = spec.runs
    if spec.when_done != "keep":
        limits["when_done"] = spec.when_done
    sections = {
        "schedule": _schedule(spec.schedule),
        "limits": limits,
        "run": _run(spec.run),
        "notify": notify_table(spec.notify),
    }
    return table | {section: members for section, members in sections.items() if members}


def _code(spec: JobSpec) -> dict[str, Any]:
    code = spec.code
    if isinstance(code, DottedCallable):
        return {"callable": code.target}
    if isinstance(code, Command):
        return {"command": code.shell if code.argv is None else list(code.argv)}
    return {"dill": {"file": code.file, "sha256": code.sha256, "python": code.python}}


def _schedule(schedule: Schedule) -> dict[str, Any]:  # noqa: C901 - flat: one guard a key
    table: dict[str, Any] = {}
    zone = schedule.zone
    if zone != "UTC":
        table["timezone"] = zone
    if schedule.at:
        table["at"] = _one_or_list([_moment(one) for one in schedule.at])
    if schedule.every:
        table["every"] = format_duration(schedule.every.period_us)
        anchor = schedule.every.anchor
        if anchor.local != _EPOCH:
            table["anchor"] = _moment(anchor)
    if schedule.again_after_us is not None:
        table["again_after"] = format_duration(schedule.again_after_us)
    if schedule.daily:
        table["daily"] = _times(schedule.daily.times)
    if schedule.weekly:
        table["weekly"] = _one_or_list([_weekly(one, zone) for one in schedule.weekly])
    if schedule.monthly:
        table["monthly"] = _one_or_list([_monthly(one, zone) for one in schedule.monthly])
    if schedule.cron:
        table["cron"] = _one_or_list([one.expression for one in schedule.cron])
    if schedule.workdays is not None:
        table["workdays"] = schedule.workdays.name
    table |= {event.key: event.written() for event in schedule.events}
    if schedule.jitter_us:
        table["jitter"] = format_duration(schedule.jitter_us)
    return table


def _one_or_list(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def _moment(moment: Moment) -> datetime:
    if moment.instant_us is not None:
        return to_datetime(moment.instant_us)
    return moment.local or _EPOCH


def _time(seconds: int) -> time:
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60)


def _times(times: tuple[int, ...]) -> Any:
    return _one_or_list([_time(seconds) for seconds in times])


def _weekly(weekly: Weekly, zone: str) -> dict[str, Any]:
    table = {"days": [_DAYS[day] for day in weekly.days], "at": _times(weekly.times)}
    return table | _own_zone(weekly.zone, zone) | _each(weekly)


def _monthly(monthly: Monthly, zone: str) -> dict[str, Any]:
    table: dict[str, Any] = {"days": [_day_of_month(day) for day in monthly.days], "at": _times(monthly.times)}
    if monthly.roll:
        table["roll"] = monthly.roll
    return table | _own_zone(monthly.zone, zone) | _each(monthly)


def _own_zone(own: str, zone: str) -> dict[str, Any]:
    return {} if own == zone else {"timezone": own}


def _each(part: Weekly | Monthly) -> dict[str, Any]:
    return {} if part.start is None else {"every": part.every, "from": part.start}


def _day_of_month(day: int | NthWeekday) -> int | str:
    if isinstance(day, int):
        return day
    if day.weekday != WORKDAY:
        return f"{_NTHS[day.nth]} {_DAYS[day.weekday]}"
    return f"{_NTHS[day.nth]} workday" if day.nth in {1, -1} else f"workday {day.nth}"


def _limits(limits: Limits) -> dict[str, Any]:
    table: dict[str, Any] = {}
    if limits.hours:
        table["hours"] = _hours(limits.hours, limits.zone)
    if limits.weekdays:
        table["weekdays"] = [_DAYS[day] for day in limits.weekdays]
    if limits.month_days:
        table["month_days"] = list(limits.month_days)
    if limits.months:
        table["months"] = list(limits.months)
    dates = {"first": limits.first, "last": limits.last}
    if limits.first or limits.last:
        table["dates"] = {name: day for name, day in dates.items() if day}
    if limits.except_dates:
        table["except_dates"] = list(limits.except_dates)
    if limits.not_on:
        table["not_on"] = [calendar.name for calendar in limits.not_on]
    if limits.only_on:
        table["only_on"] = [calendar.name for calendar in limits.only_on]
    return table


def _hours(hours: Hours, zone: str) -> dict[str, Any]:
    table = {"from": _time(hours.start), "until": _time(hours.end)}
    return table if hours.zone == zone else {**table, "timezone": hours.zone}


_WRITE_RUN: dict[str, Callable[[Any], Any]] = {
    "timeout_us": lambda value: "none" if value is None else format_duration(value),
    "stop_signal": lambda value: Signals(value).name.removeprefix("SIG"),
    "kill_after_us": format_duration,
    "missed_within_us": format_duration,
    "success_codes": list,
    "umask": lambda value: f"{value:04o}",
    "env": lambda value: {name: _variable(one) for name, one in value.items()},
    "setup": list,
    "lead_us": format_duration,
    "output_limit": format_size,
}


def _variable(value: str | SecretFile) -> Any:
    return {"file": value.file} if isinstance(value, SecretFile) else value


def _retry(retry: Retry) -> dict[str, Any]:
    table: dict[str, Any] = {"attempts": retry.attempts}
    if retry.delay_us:
        table["delay"] = format_duration(retry.delay_us)
    if retry.factor != 1.0:
        table["factor"] = retry.factor
    if retry.max_delay_us is not None:
        table["max_delay"] = format_duration(retry.max_delay_us)
    if retry.codes:
        table["codes"] = list(retry.codes)
    return table


def _env_files(files: tuple[EnvFile, ...]) -> Any:
    return _one_or_list([{"file": one.file, "optional": True} if one.optional else one.file for one in files])


def _resources(resources: Resources) -> dict[str, Any]:
    table = {
        "memory": _if_given(resources.memory, format_size),
        "cpu": _if_given(resources.cpu_us, format_duration),
        "open_files": resources.open_files,
        "file_size": _if_given(resources.file_size, format_size),
        "processes": resources.processes,
    }
    return {name: value for name, value in table.items() if value is not None}


def _if_given(value: int | None, write: Callable[[int], str]) -> str | None:
    return None if value is None else write(value)


_WRITE_RUN |= {
    "retry": _retry,
    "resources": _resources,
    "env_files": _env_files,
    "stop_at": _time,
    "path": list,
    "needs": list,
}


def _run(policy: RunPolicy) -> dict[str, Any]:
    """Return the keys of ``[run]`` whose values differ from the defaults."""
    default = RunPolicy()
    table = {}
    for key in SECTIONS["run"].values():
        value = getattr(policy, key.field)
        if value != getattr(default, key.field):
            write = _WRITE_RUN.get(key.field)
            table[key.name] = write(value) if write else value
    return table


# -- what is in force, as JSON


def definition_table(spec: JobSpec) -> dict[str, Any]:
    """Return the resolved definition as JSON can hold it: what is given, and the defaults of what is not.

    Dates and times are texts as TOML writes them. A key without a default that is not given is left out.
    """
    table, _, _ = read_table(spec.file, spec.definition)
    resolved = _with_defaults(table, TOP)
    for section, members in SECTIONS.items():
        resolved[section] = _with_defaults(table.get(section, {}), members)
    if "command" in table:
        resolved.pop("args", None)
        resolved.pop("kwargs", None)
    else:
        resolved["run"].pop("success_codes", None)
    resolved["schedule"].setdefault("timezone", "UTC")
    return {name: _jsonable(value) for name, value in resolved.items() if value != {} or name not in SECTIONS}


def _with_defaults(table: Mapping[str, object], members: Keys) -> dict[str, Any]:
    """Return the table in the order of its keys, completed by their defaults."""
    return {
        key.name: table.get(key.name, key.default)
        for key in members.values()
        if key.name in table or (key.default is not None and key.name not in CODE)
    }


def _jsonable(value: object) -> Any:
    if isinstance(value, Mapping):
        return {name: _jsonable(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(one) for one in value]
    if isinstance(value, datetime):
        text = value.isoformat()
        return text.replace("+00:00", "Z") if value.tzinfo is UTC else text
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
