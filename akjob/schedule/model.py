"""The values that say when a job is due. They are made by :mod:`akjob.spec` and are valid by construction.

Zones are names that ``zoneinfo`` knows (``Europe/Berlin``) or fixed offsets (``+05:30``); times of day are whole
seconds since local midnight (0 to 86399); days of the week count from Monday = 0; durations are microseconds.
"""

from datetime import date, datetime

from msgspec import Struct


class Moment(Struct, frozen=True, gc=False, omit_defaults=True):
    """One ``at``: a local date-time (``instant_us`` is None) in ``zone``, or an instant that had its own offset."""

    local: datetime | None
    instant_us: int | None
    zone: str


class Every(Struct, frozen=True, gc=False, omit_defaults=True):
    """The grid ``anchor`` + n x ``period_us`` in elapsed time, for every whole n, negative ones too."""

    period_us: int
    anchor: Moment


class Weekly(Struct, frozen=True, gc=False, omit_defaults=True):
    """Days of the week at times of day. ``daily`` is a Weekly with all seven days."""

    days: tuple[int, ...]
    times: tuple[int, ...]
    zone: str


class NthWeekday(Struct, frozen=True, gc=False, omit_defaults=True):
    """``"first mon"`` is (1, 0), ``"last sun"`` is (-1, 6)."""

    nth: int
    weekday: int


class Monthly(Struct, frozen=True, gc=False, omit_defaults=True):
    """Days of the month at times of day: 1..31, -1..-31 from the end, or the n-th weekday."""

    days: tuple[int | NthWeekday, ...]
    times: tuple[int, ...]
    zone: str


class Cron(Struct, frozen=True, gc=False, omit_defaults=True):
    """A cron expression of cronsim's dialect, aliases already replaced; five fields, or six with seconds first."""

    expression: str
    zone: str


class Hours(Struct, frozen=True, gc=False, omit_defaults=True):
    """Times of day from ``start`` inclusive until ``end`` exclusive; ``start`` > ``end`` crosses midnight."""

    start: int
    end: int
    zone: str


class Limits(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """When a job may run although it is due. None and empty mean: no such limit. All given must allow it."""

    zone: str = "UTC"
    hours: Hours | None = None
    weekdays: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    first: date | None = None
    last: date | None = None
    except_dates: tuple[date, ...] = ()


class Schedule(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """Everything of ``[schedule]`` and the limits on instants of ``[limits]``: the union of the triggers."""

    zone: str = "UTC"
    at: tuple[Moment, ...] = ()
    every: Every | None = None
    again_after_us: int | None = None
    daily: Weekly | None = None
    weekly: tuple[Weekly, ...] = ()
    monthly: tuple[Monthly, ...] = ()
    cron: tuple[Cron, ...] = ()
    on_start: bool = False
    on_boot: bool = False
    jitter_us: int = 0
    limits: Limits = Limits()
