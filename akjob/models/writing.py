"""From a job's attributes to the table of its job file."""

import re
from collections.abc import Mapping
from datetime import time, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from akjob.models.tables import given
from akjob.spec.model import JobSpec
from akjob.units import format_duration

if TYPE_CHECKING:
    from akjob.models.job import Job

REMARK = "# akjob.models: "

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")


class KeptZones(NamedTuple):
    """The time zone that a loaded file keeps, as it is ``said`` there, and the named zones of its ``tables``."""

    zone: str
    said: str | None
    tables: Mapping[str, str]


def to_table(job: "Job", kept: KeptZones | None) -> dict[str, Any]:
    """Return what the attributes are in a job file, without the code."""
    zone, zones = _zones(job, kept)
    schedule = given(
        timezone=zone,
        at=_at(job),
        again_after=_duration(job.run_every),
        weekly=_days_at([_DAYS[day - 1] for day in job.weekly_days_list or ()], job.weekly_time, zones["weekly"]),
        monthly=_days_at(job.monthly_days_list or [], job.monthly_time, zones["monthly"]),
    )
    hours = given(**{"from": job.active_time_begin, "until": job.active_time_end, "timezone": zones["hours"]})
    limits = given(
        hours=hours if job.active_time_begin is not None else None,
        weekdays=[_DAYS[day - 1] for day in job.active_weekly_days_list or ()] or None,
        month_days=job.active_monthly_days_list,
        months=job.active_months_list,
        dates=given(first=job.active_date_begin, last=job.active_date_end) or None,
        runs=job.run_count_limit,
        when_done="delete" if job.delete_on_run_count_limit else None,
    )
    timeout = "none" if job.timeout is None else _duration(timedelta(seconds=job.timeout))
    return given(
        description=job.name,
        enabled=None if job.job_enabled else False,
        schedule=schedule or None,
        limits=limits or None,
        run={"timeout": timeout},
    )


def remarks(job: "Job") -> list[str]:
    """Return what no key of a job file says: which ``at`` was run_once_at, and times that are of no effect."""
    values: dict[str, Any] = {}
    if job.run_once_at is not None and job.dates_list:
        values["run_once_at"] = job.run_once_at
    if not job.monthly_days_list:
        values["monthly_time"] = job.monthly_time
        values["monthly_time_tz_offset_timedelta"] = _seconds(job.monthly_time_tz_offset_timedelta)
    if not job.weekly_days_list:
        values["weekly_time"] = job.weekly_time
        values["weekly_time_tz_offset_timedelta"] = _seconds(job.weekly_time_tz_offset_timedelta)
    if job.active_time_begin is None:
        values["active_time_tz_offset_timedelta"] = _seconds(job.active_time_tz_offset_timedelta)
    said = {name: value for name, value in values.items() if value}
    said |= {name: value for name, value in values.items() if isinstance(value, time)}
    return [REMARK + _toml_line(name, value) for name, value in said.items()]


def _toml_line(name: str, value: object) -> str:
    """Return ``name = value`` in TOML."""
    import tomli_w  # noqa: PLC0415 - remarks are rare

    return tomli_w.dumps({name: value}).rstrip("\n")


def _at(job: "Job") -> Any:
    if job.dates_list is None:
        return job.run_once_at
    return [*([] if job.run_once_at is None else [job.run_once_at]), *job.dates_list]


def _days_at(days: list[Any], at: time | None, zone: str | None) -> dict[str, Any] | None:
    return given(days=days, at=at, timezone=zone) if days else None


def _duration(value: timedelta | None) -> str | None:
    return None if value is None else format_duration(value // timedelta(microseconds=1))


def _seconds(offset: timedelta | None) -> int:
    return 0 if offset is None else int(offset.total_seconds())


def kept_zones(spec: JobSpec, table: Mapping[str, Any], asked: Mapping[str, Any]) -> KeptZones | None:
    """Return the zone of a loaded file where it is more than what the attributes make of it; else None.

    ``asked`` is what they would write. What has no attribute, such as ``cron`` or a zone's name, stays at its hours.
    """
    schedule = spec.schedule
    zones = {"hours": schedule.limits.hours.zone} if schedule.limits.hours is not None else {}
    zones |= {name: one[0].zone for name, one in (("weekly", schedule.weekly), ("monthly", schedule.monthly)) if one}
    named = {name: zone for name, zone in zones.items() if offset_of(zone) is None}
    beyond = any(key not in asked.get(name, {}) for name in ("schedule", "limits") for key in table.get(name, {}))
    if not named and not beyond and asked.get("schedule", {}).get("timezone") in (None, schedule.zone):
        return None
    return KeptZones(schedule.zone, table.get("schedule", {}).get("timezone"), named)


def _zones(job: "Job", kept: KeptZones | None) -> tuple[str | None, dict[str, str | None]]:
    """Return the file's time zone, and those of the tables that need one of their own.

    One offset for all is written once, and days are then those of that offset too. None is the file's own zone.
    """
    used = {}
    if job.weekly_days_list:
        used["weekly"] = job.weekly_time_tz_offset_timedelta
    if job.monthly_days_list:
        used["monthly"] = job.monthly_time_tz_offset_timedelta
    if job.active_time_begin is not None:
        used["hours"] = job.active_time_tz_offset_timedelta
    if kept is not None:
        wanted = {name: kept.tables.get(name) if at is None else _zone_name(at) for name, at in used.items()}
        differ = {name: None if zone == kept.zone else zone for name, zone in wanted.items()}
        return kept.said, {"weekly": None, "monthly": None, "hours": None, **differ}
    own = {name: None if offset is None else _zone_name(offset) for name, offset in used.items()}
    if None in own.values():
        return None, {"weekly": None, "monthly": None, "hours": None, **own}
    if len(set(own.values())) == 1:
        return next(iter(own.values())), {"weekly": None, "monthly": None, "hours": None}
    local = own or job.active_weekly_days_list or job.active_monthly_days_list or job.active_months_list
    naive = any(moment is not None and moment.tzinfo is None for moment in (job.run_once_at, *(job.dates_list or ())))
    zone = "UTC" if local or naive or job.active_date_begin is not None else None
    return zone, {"weekly": None, "monthly": None, "hours": None, **own}


def _zone_name(offset: timedelta) -> str:
    minutes = offset // timedelta(minutes=1)
    sign = "-" if minutes < 0 else "+"
    return "UTC" if not minutes else f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def offset_of(zone: str | None) -> timedelta | None:
    """Return a fixed offset as a timedelta; None for a zone with a name, whose offset changes."""
    if zone in (None, "UTC"):
        return timedelta(0)
    match = _OFFSET.fullmatch(zone or "")
    if match is None:
        return None
    sign = -1 if match[1] == "-" else 1
    return sign * timedelta(hours=int(match[2]), minutes=int(match[3]))
