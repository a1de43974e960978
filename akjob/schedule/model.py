"""The values that say when a job is due. They are made by :mod:`akjob.spec` and are valid by construction.

Zones are names that ``zoneinfo`` knows (``Europe/Berlin``) or fixed offsets (``+05:30``); times of day are whole
seconds since local midnight (0 to 86399); days of the week count from Monday = 0; durations are microseconds.
"""

from datetime import date, datetime
from typing import Literal, TypeVar

from msgspec import Struct

from akjob.schedule.event import Event
from akjob.schedule.events import AnyEvent


class Moment(Struct, frozen=True, gc=False, omit_defaults=True):
    """One ``at``: a local date-time (``instant_us`` is None) in ``zone``, or an instant that had its own offset."""

    local: datetime | None
    instant_us: int | None
    zone: str


class Every(Struct, frozen=True, gc=False, omit_defaults=True):
    """The grid ``anchor`` + n x ``period_us`` in elapsed time, for every whole n, negative ones too."""

    period_us: int
    anchor: Moment


class DaySet(Struct, frozen=True, gc=False, omit_defaults=True):
    """A calendar of ``etc/akjob.toml``: the days of ``[calendars.NAME]``.

    ``dates`` are the days that are given one by one, written down and in files, as :func:`akjob.schedule.daysets.pack`
    makes them: bytes, so that equal calendars compare and hash fast however many days they have. The public holidays
    of ``country`` and its ``subdivision`` are looked up when the days are first needed.
    """

    name: str
    dates: bytes = b""
    country: str = ""
    subdivision: str = ""


class Weekly(Struct, frozen=True, gc=False, omit_defaults=True):
    """Days of the week at times of day. ``daily`` is a Weekly with all seven days.

    Only each ``every``-th ISO week counts, counted from that of ``start``, in both directions.
    """

    days: tuple[int, ...]
    times: tuple[int, ...]
    zone: str
    every: int = 1
    start: date | None = None


WORKDAY = 7
"""In place of a weekday: any day that is a workday."""


class NthWeekday(Struct, frozen=True, gc=False, omit_defaults=True):
    """``"first mon"`` is (1, 0), ``"last sun"`` is (-1, 6), ``"workday -2"`` is (-2, WORKDAY)."""

    nth: int
    weekday: int


Roll = Literal["", "next", "previous"]


class Monthly(Struct, frozen=True, gc=False, omit_defaults=True):
    """Days of the month at times of day: 1..31, -1..-31 from the end, the n-th weekday or the n-th workday.

    With ``roll`` a day that is not a workday is moved to the next or previous workday. Workdays are Monday to Friday
    without the days of ``holidays``. Only each ``every``-th month counts, counted from that of ``start``.
    """

    days: tuple[int | NthWeekday, ...]
    times: tuple[int, ...]
    zone: str
    roll: Roll = ""
    holidays: DaySet | None = None
    every: int = 1
    start: date | None = None


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
    not_on: tuple[DaySet, ...] = ()
    only_on: tuple[DaySet, ...] = ()


E = TypeVar("E", bound=Event)


class Schedule(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """Everything of ``[schedule]`` and the limits on instants of ``[limits]``: the union of the triggers.

    ``events`` are those of :data:`akjob.schedule.events.EVENTS` that make the job due, in their order.
    """

    zone: str = "UTC"
    at: tuple[Moment, ...] = ()
    every: Every | None = None
    again_after_us: int | None = None
    daily: Weekly | None = None
    weekly: tuple[Weekly, ...] = ()
    monthly: tuple[Monthly, ...] = ()
    cron: tuple[Cron, ...] = ()
    events: tuple[AnyEvent, ...] = ()
    workdays: DaySet | None = None
    jitter_us: int = 0
    limits: Limits = Limits()

    def event(self, kind: type[E]) -> E | None:
        """Return what the job file says of one kind of event; None: the job is not due by it."""
        return next((one for one in self.events if isinstance(one, kind)), None)

    @property
    def upstreams(self) -> tuple[str, ...]:
        """The other jobs that its events name, each once."""
        if not self.events:
            return ()  # nearly every schedule
        return tuple(dict.fromkeys(job for event in self.events for job in event.upstreams))
