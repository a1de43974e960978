"""Cron expressions in cronsim's dialect: five fields, or six with seconds first.

A field is ``*`` or a list of values, ranges and steps (``1,5-10,*/15``), with names for months and weekdays; 0 and 7
are Sunday. In the day of month ``L`` is the last day and ``LW`` the last one from Monday to Friday; in the weekday
``5L`` is the last Friday and ``FRI#2`` the second one.
"""

from functools import lru_cache
from typing import NamedTuple

from akjob.schedule.days import ALL_MONTHS, DayRule, day_rule
from akjob.schedule.times import ClockFields

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}
_DIGITS = 9
"""More digits than this are not read at all."""


class CronError(ValueError):
    """What is wrong with a cron expression, and what could be there. ``hint``: what to write, if that is known."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class CronPlan(NamedTuple):
    """A cron expression, read: its days, its times of day, and whether it follows elapsed time."""

    days: DayRule
    times: ClockFields
    elapsed: bool


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    names: dict[str, int]
    unit: str = ""
    restarts: str = ""

    @property
    def span(self) -> int:
        """Return how many different values there are; in the weekday 0 and 7 are one."""
        return self.high if self is _WEEKDAY else self.high - self.low + 1


class _Values(NamedTuple):
    """What one field names: plain numbers; for the days also ``L``, ``LW``, and (n-th, weekday) pairs."""

    numbers: frozenset[int]
    last_day: bool = False
    last_workday: bool = False
    nth: frozenset[tuple[int, int]] = frozenset()


_SECOND = _Field("second", 0, 59, {}, "s", "each minute")
_MINUTE = _Field("minute", 0, 59, {}, "m", "each hour")
_HOUR = _Field("hour", 0, 23, {}, "h", "each day")
_DAY = _Field("day of month", 1, 31, {}, "d", "each month")
_MONTH = _Field("month", 1, 12, _MONTHS, "", "each year")
_WEEKDAY = _Field("weekday", 0, 7, _WEEKDAYS, "", "each week")
_FIELDS = (_SECOND, _MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)


def expand_alias(expression: str) -> str:
    """Return what an alias such as ``@daily`` stands for; any other text as it is."""
    return ALIASES.get(expression.strip().lower(), expression)


def check_cron(expression: str) -> CronError | None:
    """Return what is wrong with an expression, and what would be right; None when it is fine."""
    try:
        parse_cron(expand_alias(expression))
    except CronError as error:
        return error
    return None


def uneven_step(expression: str) -> tuple[str, str] | None:
    """Return what a step means that does not divide its field, and what to write for even distances; None without one.

    ``*/45`` in the minutes is one: it begins again with each hour.
    """
    for field, text in zip(_FIELDS, split_fields(expand_alias(expression)), strict=True):
        term, slash, step_text = text.partition("/")
        if not slash or term != "*" or field.span % int(step_text) == 0:
            continue
        numbers = sorted(_values(field, text).numbers)
        shown = ", ".join(map(str, numbers[:3])) + (", …" if len(numbers) > 3 else "")  # noqa: PLR2004 - a few
        message = f"{text} begins again with {field.restarts}: the {field.name} is {shown}"
        hint = (
            f'for even distances write every = "{step_text}{field.unit}"'
            if field.unit
            else "keep it if that is intended"
        )
        return message, hint
    return None


def lacking_day(expression: str) -> tuple[int, bool] | None:
    """Return the day of the month of an expression that some of its months lack, and whether all months are meant.

    None where each month has it, where several days are named, or where the weekday has a say.
    """
    fields = split_fields(expand_alias(expression))
    day, weekday = fields[3], fields[5]
    if day not in _MONTHS_WITHOUT or not weekday.startswith("*"):
        return None
    months = set(_values(_FIELDS[4], fields[4]).numbers)
    without = _MONTHS_WITHOUT[day] & months
    if not without or (without == months and day != "29"):
        return None  # there it never fires
    return int(day), len(months) == 12  # noqa: PLR2004 - all of them


_MONTHS_WITHOUT = {"29": {2}, "30": {2}, "31": {2, 4, 6, 9, 11}}


def cron_both_days(expression: str) -> bool:
    """Return True if both day fields are restricted, so that one of them is enough for a day, as in Vixie's cron."""
    fields = split_fields(expand_alias(expression))
    return not (fields[3].startswith("*") or fields[5].startswith("*"))


def split_fields(expression: str) -> list[str]:
    """Return the six fields in capitals, the seconds first. Raises CronError when there are not five or six."""
    fields = expression.upper().split()
    if len(fields) == len(_FIELDS) - 1:
        return ["0", *fields]
    if len(fields) == len(_FIELDS):
        return fields
    if expression.strip().startswith("@"):
        known = ", ".join(ALIASES)
        raise CronError(f"{expression.strip()!r} is not a cron alias: write one of {known}")
    raise CronError(f"a cron expression has 5 fields, or 6 with seconds first; {expression!r} has {len(fields)}")


@lru_cache(maxsize=8192)
def parse_cron(expression: str) -> CronPlan:
    """Read an expression. Raises CronError."""
    texts = split_fields(expression)
    second, minute, hour, day, month, weekday = (
        _values(field, text) for field, text in zip(_FIELDS, texts, strict=True)
    )
    # Debian's cron: a day field that begins with a star leaves the decision to the other one, "*/2" too, and then
    # both must match; with none of the two, one match is enough.
    either = not (texts[3].startswith("*") or texts[5].startswith("*"))
    days = (*sorted(day.numbers), *((-1,) if day.last_day else ()))
    # Sunday is 0 or 7 in cron and 6 here.
    weekdays = {(0, (number - 1) % 7) for number in weekday.numbers}
    weekdays |= {(nth, (number - 1) % 7) for nth, number in weekday.nth}
    rule = day_rule(
        None if texts[3] == "*" else days,
        None if texts[5] == "*" else tuple(sorted(weekdays)),
        _mask(month.numbers) & ALL_MONTHS,
        either=either,
        last_workday=day.last_workday,
    )
    times = ClockFields(_mask(hour.numbers), _mask(minute.numbers), _mask(second.numbers))
    return CronPlan(rule, times, texts[1].startswith("*") or texts[2].startswith("*"))


def _mask(numbers: frozenset[int]) -> int:
    return sum(1 << number for number in numbers)


def _values(field: _Field, text: str) -> _Values:
    if "," in text:
        parts = [_values(field, part) for part in text.split(",")]
        return _Values(
            frozenset().union(*(part.numbers for part in parts)),
            any(part.last_day for part in parts),
            any(part.last_workday for part in parts),
            frozenset().union(*(part.nth for part in parts)),
        )
    if field is _WEEKDAY and text.endswith("L") and text[:-1].isdecimal():
        return _Values(frozenset(), nth=frozenset({(-1, _number(field, text[:-1]))}))
    if field is _WEEKDAY and "#" in text:
        day, _, nth = text.partition("#")
        if nth not in {"1", "2", "3", "4", "5"}:
            raise CronError(f"bad {field.name} {text!r} in the cron expression: write 1 to 5 after #")
        return _Values(frozenset(), nth=frozenset({(int(nth), _number(field, day))}))
    if "/" in text:
        return _stepped(field, text)
    if text == "*":
        return _Values(frozenset(range(field.low, field.high + 1)))
    if "-" in text:
        start, _, end = text.partition("-")
        low, high = _number(field, start), _number(field, end)
        if low > high:
            raise CronError(f"bad {field.name} {text!r} in the cron expression: the range ends before it begins")
        return _Values(frozenset(range(low, high + 1)))
    if field is _DAY and text in {"L", "LW"}:
        return _Values(frozenset(), last_day=text == "L", last_workday=text == "LW")
    return _Values(frozenset({_number(field, text)}))


def _stepped(field: _Field, text: str) -> _Values:
    """Read ``*/15``, ``10-40/10``, or ``5/20``, which goes on to the end of the field."""
    term, _, step_text = text.partition("/")
    if not (step_text.isascii() and step_text.isdecimal()) or len(step_text) > _DIGITS or int(step_text) == 0:
        raise CronError(f"bad {field.name} {text!r} in the cron expression: the step after / is a number from 1 on")
    step = int(step_text)
    values = _values(field, term)
    numbers = sorted(values.numbers)
    single = len(numbers) == 1
    if single:
        numbers = list(range(numbers[0], field.high + 1))
    if numbers and step >= min(len(numbers), field.span) > 1:
        raise _too_far(field, text, step, numbers[0])
    if single:
        return _Values(frozenset(numbers[::step]))
    return values._replace(numbers=frozenset(numbers[::step]))


def _too_far(field: _Field, text: str, step: int, only: int) -> CronError:
    """Return a hint for a step that leaves one value of its field."""
    message = f"bad {field.name} {text!r} in the cron expression: the step leaves {only} alone"
    if field is _MONTH:
        return CronError(message, f"write monthly = {{ days = [1], at = 00:00:00, every = {step}, from = 2026-01-01 }}")
    if field is _WEEKDAY:
        return CronError(message, f"write {only}, or weekly with every and from for each n-th week")
    return CronError(message, f'write every = "{step}{field.unit}", or {only} if that is meant')


def _number(field: _Field, text: str) -> int:
    if text in field.names:
        return field.names[text]
    if text.isascii() and text.isdecimal() and len(text) <= _DIGITS and field.low <= int(text) <= field.high:
        return int(text)
    names = f" or {next(iter(field.names))} to {list(field.names)[-1]}" if field.names else ""
    what = repr(text) if text else "an empty value"
    raise CronError(f"bad {field.name} {what} in the cron expression: {field.low} to {field.high}{names} are possible")
