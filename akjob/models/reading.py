"""From a job file to a job's attributes. What has no attribute stays in the file."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from akjob.models.writing import REMARK, offset_of
from akjob.spec.model import JobSpec

if TYPE_CHECKING:
    from akjob.models.job import Job


def fill(job: "Job", spec: JobSpec, text: str) -> None:
    """Set a job's attributes from its file. What has no attribute stays in the file."""
    table = tomllib.loads(text)
    job.__dict__["name"] = spec.description or spec.name
    job.job_enabled = spec.enabled
    job.run_count_limit = spec.runs
    job.delete_on_run_count_limit = spec.when_done == "delete"
    job.timeout = None if spec.run.timeout_us is None else spec.run.timeout_us / 1_000_000
    schedule = spec.schedule
    if schedule.again_after_us is not None:
        job.run_every = timedelta(microseconds=schedule.again_after_us)
    _fill_days(job, spec, table.get("schedule", {}))
    _fill_limits(job, spec, table.get("limits", {}))
    at = table.get("schedule", {}).get("at")
    if isinstance(at, datetime):
        job.run_once_at = at
    elif isinstance(at, list):
        job.dates_list = at
    for name, value in _remarked(text):
        _apply_remark(job, name, value)


def _fill_days(job: "Job", spec: JobSpec, table: Mapping[str, object]) -> None:
    """Set weekly and monthly attributes where the file has one table with one time each."""
    weekly, monthly = table.get("weekly"), table.get("monthly")
    if isinstance(weekly, dict) and isinstance(weekly.get("at"), time):
        one = spec.schedule.weekly[0]
        job.weekly_days_list = [(day + 1) % 7 + 1 for day in one.days]
        job.weekly_time = weekly["at"]
        job.weekly_time_tz_offset_timedelta = offset_of(one.zone)
    if isinstance(monthly, dict) and isinstance(monthly.get("at"), time):
        of_month = spec.schedule.monthly[0]
        if all(isinstance(day, int) and day > 0 for day in of_month.days):
            job.monthly_days_list = list(of_month.days)
            job.monthly_time = monthly["at"]
            job.monthly_time_tz_offset_timedelta = offset_of(of_month.zone)


def _fill_limits(job: "Job", spec: JobSpec, table: Mapping[str, Any]) -> None:
    limits = spec.schedule.limits
    if limits.hours is not None and "hours" in table:
        job.active_time_begin, job.active_time_end = table["hours"]["from"], table["hours"]["until"]
        job.active_time_tz_offset_timedelta = offset_of(limits.hours.zone)
    if "weekdays" in table:
        job.active_weekly_days_list = [(day + 1) % 7 + 1 for day in limits.weekdays]
    if "month_days" in table and all(day > 0 for day in limits.month_days):
        job.active_monthly_days_list = list(limits.month_days)
    if "months" in table:
        job.active_months_list = list(limits.months)
    if limits.first is not None and limits.last is not None and "dates" in table:
        job.active_date_begin, job.active_date_end = limits.first, limits.last


def _remarked(text: str) -> Iterator[tuple[str, Any]]:
    for line in text.splitlines():
        if line.startswith(REMARK):
            try:
                yield from tomllib.loads(line.removeprefix(REMARK)).items()
            except tomllib.TOMLDecodeError:
                continue  # edited by hand to something else: a comment like any other


def _apply_remark(job: "Job", name: str, value: Any) -> None:
    if name == "run_once_at" and job.dates_list and value in job.dates_list:
        dates = job.dates_list
        dates.remove(value)
        job.dates_list, job.run_once_at = dates, value
    elif name.endswith("_timedelta") and name in job.ATTRIBUTES:
        setattr(job, name, timedelta(seconds=value))
    elif name in ("monthly_time", "weekly_time"):
        setattr(job, name, value)
