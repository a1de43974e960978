"""What may be assigned to a job: checked at once, TypeError for a wrong type, ValueError for a value that cannot be."""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

if TYPE_CHECKING:
    from akjob.models.job import Job

NAME_CHARS = 100

Value = TypeVar("Value")


class Attribute(Generic[Value]):
    """One attribute of a job: a check of what is assigned, a default, and ``del`` as the way back to it."""

    def __init__(self, check: Callable[[str, Any], Value], default: Any) -> None:
        self.check = check
        self.default: Value = default
        self.name = ""

    def __set_name__(self, _: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, job: None, _: type) -> "Attribute[Value]": ...
    @overload
    def __get__(self, job: "Job", _: type) -> Value: ...
    def __get__(self, job: "Job | None", _: type) -> "Attribute[Value] | Value":
        if job is None:
            return self
        value = job.__dict__.get(self.name, self.default)
        return list(value) if isinstance(value, list) else value  # type: ignore[return-value]

    def __set__(self, job: "Job", value: object) -> None:
        job.__dict__[self.name] = self.check(self.name, value)

    def __delete__(self, job: "Job") -> None:
        job.__dict__.pop(self.name, None)


def _wrong_type(name: str, expected: str, value: object) -> TypeError:
    return TypeError(f"{name} must be {expected}, not {value!r}")


def check_name(name: str, value: object) -> str:
    """Return a name of 1 to NAME_CHARS characters."""
    if not isinstance(value, str):
        raise _wrong_type(name, "a string", value)
    if not value.strip() or len(value) > NAME_CHARS:
        raise ValueError(f"{name} must have 1 to {NAME_CHARS} characters; this one has {len(value.strip())}")
    return value


def check_flag(name: str, value: object) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        raise _wrong_type(name, "True or False", value)
    return value


def check_moment(name: str, value: object) -> datetime | None:
    """Return a datetime in whole seconds, or None."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise _wrong_type(name, "a datetime", value)
    return value.replace(microsecond=0, fold=0)


def check_moments(name: str, value: object) -> list[datetime] | None:
    """Return a list of datetimes, of one or of several; None for none."""
    items = [value] if isinstance(value, datetime) else value
    if items is None:
        return None
    if not isinstance(items, list | tuple) or not all(isinstance(item, datetime) for item in items):
        raise _wrong_type(name, "a datetime or a list of datetimes", value)
    return [item.replace(microsecond=0, fold=0) for item in items] or None


def numbers_between(low: int, high: int) -> Callable[[str, Any], list[int] | None]:
    """Return a check for a list of numbers from ``low`` to ``high``."""

    def check(name: str, value: Any) -> list[int] | None:
        items = [value] if isinstance(value, int) else value
        if items is None:
            return None
        plain = isinstance(items, list | tuple) and all(type(item) is int for item in items)
        if not plain:
            raise _wrong_type(name, f"a number or a list of numbers from {low} to {high}", value)
        outside = [item for item in items if not low <= item <= high]
        if outside:
            raise ValueError(f"{name} must have numbers from {low} to {high}, not {outside[0]}")
        return sorted(set(items)) or None

    return check


def check_interval(name: str, value: object) -> timedelta | None:
    """Return a timedelta of at least a second, in whole milliseconds, or None."""
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise _wrong_type(name, "a timedelta", value)
    if value < timedelta(seconds=1):
        raise ValueError(f"{name} must be at least one second, not {value}")
    return value - timedelta(microseconds=value.microseconds % 1000)


def check_time(name: str, value: object) -> time | None:
    """Return a local time in whole seconds, or None."""
    if value is None:
        return None
    if not isinstance(value, time):
        raise _wrong_type(name, "a datetime.time", value)
    if value.tzinfo is not None:
        raise ValueError(f"{name} must have no tzinfo: its offset is a timedelta of its own, as the Django app had it")
    return value.replace(microsecond=0, fold=0)


def check_offset(name: str, value: object) -> timedelta | None:
    """Return an offset from UTC in whole minutes, or None."""
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise _wrong_type(name, "a timedelta", value)
    if abs(value) >= timedelta(days=1) or value % timedelta(minutes=1):
        raise ValueError(f"{name} must be in whole minutes and less than a day, not {value}")
    return value


def check_date(name: str, value: object) -> date | None:
    """Return a date, or None."""
    if value is not None and (not isinstance(value, date) or isinstance(value, datetime)):
        raise _wrong_type(name, "a datetime.date", value)
    return value


def check_count(name: str, value: object) -> int | None:
    """Return a number of at least 1, or None."""
    if value is None:
        return None
    if type(value) is not int:
        raise _wrong_type(name, "an integer", value)
    if value < 1:
        raise ValueError(f"{name} must be 1 or more, not {value}")
    return value


def check_timeout(name: str, value: object) -> int | float | None:
    """Return a number of seconds, or None for no limit."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, "a number of seconds, or None for no limit", value)
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be more than 0 seconds, not {value}")
    return int(value) if value == int(value) else value
