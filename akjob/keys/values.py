"""Readers: one function a kind of value.

A reader takes a value as ``tomllib`` gave it, its key path and the :class:`Reading`, and returns what the model holds.
When the value is wrong it notes a fault and returns None, which goes nowhere: with an error no job is made. Nothing is
raised while all is well; thousands of files are read at each start.
"""

import builtins
import re
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime, time
from typing import Any, Protocol

from akjob.toml.faults import PathProblems, dotted
from akjob.toml.near import did_you_mean
from akjob.toml.scan import Path
from akjob.units import format_duration, parse_duration, parse_size


class KnownCalendars(Protocol):
    """The calendars that a file may name, and why some of them cannot be used."""

    @property
    def known(self) -> Mapping[str, Any]:
        """The days of each, by name."""

    @property
    def broken(self) -> Mapping[str, str]:
        """Why one cannot be used, by name."""


class Reading(PathProblems):
    """The faults of one file so far, and the zone of its local times."""

    def __init__(self, zone: str = "UTC") -> None:
        super().__init__()
        self.zone = zone
        self.calendars: KnownCalendars | None = None  # None: of which there are nothing is known here
        self.guessed: set[Path] = set()  # keys that are there under a misspelt name, or in a wrong table

    @property
    def wrong(self) -> frozenset[Path]:
        """Where there is an error, and the keys that were perhaps meant: of those nothing is known."""
        return frozenset({fault.path for fault in self.found if fault.severity == "error"} | self.guessed)


Reader = Callable[[Any, Path, Reading], Any]

_LARGEST = 1e9
_EXPANDED = re.compile(r"~|\$[A-Za-z_{(]|%[A-Za-z_]+%")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def boolean(value: object, path: Path, out: Reading) -> bool | None:
    """Read true or false."""
    if value is True or value is False:
        return bool(value)
    out.wrong_type(path, "true or false", value)
    return None


def any_text(value: object, path: Path, out: Reading) -> str | None:
    """Read a string that may be empty and have several lines."""
    if type(value) is str:
        return value
    out.wrong_type(path, "a string", value, f'write "{value}"' if type(value) in {int, float} else "")
    return None


def text(value: object, path: Path, out: Reading) -> str | None:
    """Read a string that is not blank; control characters other than tab and newline have no use anywhere."""
    if type(value) is not str:
        out.wrong_type(path, "a string", value, f'write "{value}"' if type(value) in {int, float} else "")
    elif not value or value.isspace():
        out.bad(path, "empty-text", f"`{dotted(path)}` is empty", "write something, or remove the key")
    elif _UNPRINTABLE.search(value):
        out.bad(path, "bad-value", f"`{dotted(path)}` has a control character in it", "remove it")
    else:
        return value
    return None


def place(value: object, path: Path, out: Reading) -> str | None:
    """Read the path of a file or folder, relative to the root or absolute; nothing is expanded in it."""
    found = text(value, path, out)
    if found is not None and _EXPANDED.match(found):
        message = f'`{dotted(path)}` is "{found}": nothing is expanded in it'
        out.bad(path, "bad-value", message, "write the full path, or one relative to the root")
        return None
    return found


def texts(value: Any, path: Path, out: Reading) -> tuple[str, ...] | None:
    """Read an array of strings, at least one."""
    if filled(value, path, out, "an array of strings", '["…"]'):
        for index, item in enumerate(value):
            if type(item) is not str or not item or item.isspace():
                text(item, (*path, index), out)
        return tuple(value)
    return None


def tags(value: object, path: Path, out: Reading) -> tuple[str, ...] | None:
    """Read an array of strings that may be empty: it is how a file drops the tags of its ``_defaults.toml``."""
    return () if value == [] and type(value) is list else texts(value, path, out)


def filled(value: object, path: Path, out: Reading, wanted: str, example: str) -> bool:
    """Return True if a value is an array with something in it; note it if not."""
    if type(value) is not list:
        hint = f"write {example}" if "…" not in example or type(value) is not str else f'write ["{value}"]'
        out.wrong_type(path, wanted, value, hint)
        return False
    if not value:
        out.bad(path, "empty-list", f"`{dotted(path)}` is an empty array", "fill it, or remove the key")
        return False
    return True


def choice(*names: str) -> Reader:
    """Make a reader of one of these words."""
    known = frozenset(names)
    listed = ", ".join(f'"{name}"' for name in names)

    def read(value: Any, path: Path, out: Reading) -> str | None:
        if type(value) is str and value in known:
            return value
        if type(value) is not str:
            out.wrong_type(path, f"one of {listed}", value)
        else:
            guess = did_you_mean(value, names, '"')
            out.bad(path, "bad-value", f'`{dotted(path)}` cannot be "{value}"{guess}', f"one of {listed}")
        return None

    return read


def integer(low: int, high: int | None = None) -> Reader:
    """Make a reader of whole numbers from ``low`` to ``high``, both included."""
    limits = f"{low} or more" if high is None else f"{low} to {high}"

    def read(value: Any, path: Path, out: Reading) -> int | None:
        if type(value) is not int:
            out.wrong_type(path, "an integer", value, f"write a number, {limits}")
        elif value < low or (high is not None and value > high):
            out.bad(
                path, "out-of-range", f"`{dotted(path)}` is {value}; it must be {limits}", f"write a number, {limits}"
            )
        else:
            return value
        return None

    return read


def number(low: float) -> Reader:
    """Make a reader of finite numbers of at least ``low``, whole ones too."""

    def read(value: Any, path: Path, out: Reading) -> float | None:
        if type(value) not in {int, float}:
            out.wrong_type(path, "a number", value)
        elif not low <= value < _LARGEST:  # also not nan, not inf
            out.bad(path, "out-of-range", f"`{dotted(path)}` is {value}; it must be {low} or more", "write 1.0, 2.0, …")
        else:
            return float(value)
        return None

    return read


def duration(low_us: int = 0) -> Reader:
    """Make a reader of durations of at least ``low_us``, as microseconds."""

    def read(value: Any, path: Path, out: Reading) -> int | None:
        if type(value) is not str:
            hint = f'write "{value}s", or m, h, d, w, ms' if type(value) is int else 'write it as "30s", "5m", "1h30m"'
            out.wrong_type(path, "a duration in quotes", value, hint)
            return None
        try:
            duration_us = parse_duration(value)
        except ValueError as error:
            out.bad(path, "bad-duration", *_split(f"`{dotted(path)}`: ", error))
            return None
        if duration_us < low_us:
            least = format_duration(low_us)
            out.bad(
                path, "out-of-range", f'`{dotted(path)}` is "{value}"; it must be at least {least}', f'write "{least}"'
            )
            return None
        return duration_us

    return read


def duration_or_none(value: object, path: Path, out: Reading) -> int | None:
    """Read a duration of at least 1 ms, or ``"none"`` as None."""
    if value == "none":
        return None
    if value in {"None", "never", "infinity", "inf", "0", "unlimited"} and type(value) is str:
        out.bad(
            path,
            "bad-duration",
            f'`{dotted(path)}`: "{value}" is not a duration; write "none" for no limit',
            'write "none"',
        )
        return None
    return _POSITIVE(value, path, out)  # type: ignore[no-any-return]


_POSITIVE = duration(1_000)


def size(low: int = 0) -> Reader:
    """Make a reader of sizes of at least ``low`` bytes."""

    def read(value: Any, path: Path, out: Reading) -> int | None:
        if type(value) is not str:
            hint = f'write "{value}B", "{value}MiB", …' if type(value) is int else 'write it as "512MiB" or "2GB"'
            out.wrong_type(path, "a size in quotes", value, hint)
            return None
        try:
            bytes_ = parse_size(value)
        except ValueError as error:
            out.bad(path, "bad-size", *_split(f"`{dotted(path)}`: ", error))
            return None
        if bytes_ < low:
            out.bad(path, "out-of-range", f'`{dotted(path)}` is "{value}"; it must be at least {low}B', "write more")
            return None
        return bytes_

    return read


def _split(before: str, error: ValueError) -> tuple[str, str]:
    """Return message and hint of an error that says "…; write …": the message keeps both."""
    message = str(error)
    return before + message, message.partition("; ")[2] or "write less"


# -- times and dates


def time_of_day(value: object, path: Path, out: Reading) -> int | None:
    """Read a local time as whole seconds since midnight."""
    if type(value) is time:
        if not value.microsecond:
            return value.hour * 3600 + value.minute * 60 + value.second
        out.bad(path, "sub-second", f"{value} has a fraction of a second", f"write {value.replace(microsecond=0)}")
    elif type(value) is str and (match := re.fullmatch(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", value.strip())):
        meant = f"{int(match[1]):02}:{match[2]}:{match[3] or '00'}"
        out.wrong_type(path, "a time", value, f"write {meant}, without quotes")
    else:
        out.wrong_type(path, "a time", value, "write it as 09:30:00, without quotes")
    return None


def times_of_day(value: object, path: Path, out: Reading) -> tuple[int, ...] | None:
    """Read one time or an array of times, in ascending order, each once."""
    if type(value) is time:
        seconds = time_of_day(value, path, out)
        return None if seconds is None else (seconds,)
    if type(value) is not list:
        time_of_day(value, path, out)
        return None
    if not filled(value, path, out, "a time or an array of times", "09:30:00"):
        return None
    found = [time_of_day(item, (*path, index), out) for index, item in enumerate(value)]
    once(value, path, out)
    return _sorted(found)


def _sorted(found: list[Any]) -> tuple[Any, ...] | None:
    """Return what was read in ascending order, each once; None when something could not be read."""
    return None if None in found else tuple(sorted(set(found)))


def once(values: list[Any], path: Path, out: Reading) -> None:
    """Warn of each value that is in its array a second time."""
    for index, value in enumerate(values):
        if value in values[:index]:
            message = f"{shown(value)} is in `{dotted(path)}` more than once"
            out.bad((*path, index), "duplicate-value", message, "remove it", severity="warning")


def shown(value: object) -> str:
    """Write a value as TOML does, short enough for a message."""
    if type(value) is str:
        return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}…"'  # noqa: PLR2004 - fits on a line
    if isinstance(value, datetime):
        return value.isoformat()
    if type(value) is bool:
        return str(value).lower()
    return str(value)


def day(value: object, path: Path, out: Reading) -> date | None:
    """Read a date."""
    if type(value) is date:
        return value
    if type(value) is str and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        out.wrong_type(path, "a date", value, f"write {value}, without quotes")
    elif isinstance(value, datetime):
        out.wrong_type(path, "a date", value, f"write {value.date()}")
    else:
        out.wrong_type(path, "a date", value, "write it as 2026-01-31, without quotes")
    return None


def days(value: Any, path: Path, out: Reading) -> tuple[date, ...] | None:
    """Read an array of dates, in ascending order, each once."""
    if not filled(value, path, out, "an array of dates", "[2026-12-24]"):
        return None
    found = [day(item, (*path, index), out) for index, item in enumerate(value)]
    once(value, path, out)
    return _sorted(found)


def naive_or_aware(value: object, path: Path, out: Reading) -> datetime | None:
    """Read a date-time, with or without an offset, of whole seconds."""
    if type(value) is not datetime:
        hint = "write it as 2026-01-31T09:30:00, without quotes"
        if type(value) is date:
            hint = f"write {value}T00:00:00"
        elif type(value) is str:
            with suppress(ValueError):
                hint = f"write {datetime.fromisoformat(value).isoformat()}, without quotes"
        out.wrong_type(path, "a date-time", value, hint)
        return None
    if value.microsecond:
        meant = value.replace(microsecond=0).isoformat()
        out.bad(path, "sub-second", f"{value.isoformat()} has a fraction of a second", f"write {meant}")
        return None
    if not 1 < value.year < 9999:  # noqa: PLR2004 - so that every zone can show it
        out.bad(path, "out-of-range", f"the year of {value.isoformat()} is out of range", "write a year from 2 to 9998")
        return None
    return value


_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WEEKDAYS = {name: index for index, full in enumerate(_WEEKDAYS) for name in (full[:3], full)}
_MONTHS = (
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)
MONTHS = {name: index for index, full in enumerate(_MONTHS, 1) for name in (full[:3], full)}
_SHORT_DAYS = tuple(full[:3] for full in _WEEKDAYS)
NTHS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1}
_EXAMPLE_DAYS = '"mon", "tue", "wed", "thu", "fri", "sat", "sun", or the full names'


def weekdays(value: Any, path: Path, out: Reading) -> tuple[int, ...] | None:
    """Read an array of days of the week and ranges of them, Monday = 0, in ascending order, each once."""
    if not filled(value, path, out, "an array of days", '["…"]'):
        return None
    found = []
    for index, item in enumerate(value):
        number_ = WEEKDAYS.get(item) if type(item) is str else None
        found.append((number_,) if number_ is not None else _weekdays(item, (*path, index), out))
    read = [days_ for days_ in found if days_ is not None]
    _covered_twice(value, found, path, out)
    return tuple(sorted({day_ for days_ in read for day_ in days_})) if len(read) == len(found) else None


def _covered_twice(values: list[Any], found: list[tuple[int, ...] | None], path: Path, out: Reading) -> None:
    """Warn of each value that adds no day to those before it: "Monday" after "mon", "fri" after "mon-fri"."""
    seen: set[int] = set()
    for index, days_ in enumerate(found):
        if days_ and seen.issuperset(days_):
            message = f"{shown(values[index])} is in `{dotted(path)}` more than once"
            out.bad((*path, index), "duplicate-value", message, "remove it", severity="warning")
        seen.update(days_ or ())


def _same_twice(values: list[Any], meanings: list[Any], path: Path, out: Reading) -> None:
    """Warn of each value that means the same as an earlier one: "mon" and "Monday"."""
    if len(set(meanings)) == len(meanings):
        return
    for index, one in enumerate(meanings):
        if one is not None and one in meanings[:index]:
            message = f"{shown(values[index])} is in `{dotted(path)}` more than once"
            out.bad((*path, index), "duplicate-value", message, "remove it", severity="warning")


def _weekdays(value: object, path: Path, out: Reading) -> tuple[int, ...] | None:
    """Read a day of the week in any case, or a range of them, which may cross Sunday; note if it is neither."""
    if type(value) is not str:
        out.wrong_type(path, "a day of the week", value, _EXAMPLE_DAYS)
        return None
    word = value.lower()
    if word in WEEKDAYS:
        return (WEEKDAYS[word],)
    first, dash, last = (part.strip() for part in word.partition("-"))
    if dash and first in WEEKDAYS and last in WEEKDAYS:
        begin = WEEKDAYS[first]
        return tuple((begin + step) % 7 for step in range((WEEKDAYS[last] - begin) % 7 + 1))
    meant = _meant_days(word)
    guess = "" if meant else did_you_mean(value, WEEKDAYS, '"')
    out.bad(path, "bad-day", f'"{value}" is not a day of the week{guess}', f"write {meant}" if meant else _EXAMPLE_DAYS)
    return None


_WORKDAYS = "mon-fri"
_GROUPS = {"weekday": _WORKDAYS, "workday": _WORKDAYS, "working day": _WORKDAYS, "weekend": "sat-sun"}
_GROUPS |= {"daily": "mon-sun", "every day": "mon-sun", "all": "mon-sun", "*": "mon-sun"}


def _meant_days(text: str) -> str:
    """Return the range that ``mon..fri``, ``weekdays`` and the like mean, as it is written; else an empty text."""
    text = _GROUPS.get(text.removesuffix("s"), text)
    first, dash, last = (part.strip() for part in re.sub(r"\.\.+|\bto\b|[\u2013\u2014]", "-", text[:40]).partition("-"))
    if not dash or first not in WEEKDAYS or last not in WEEKDAYS:
        return ""
    return f'"{_SHORT_DAYS[WEEKDAYS[first]]}-{_SHORT_DAYS[WEEKDAYS[last]]}"'


def months(value: Any, path: Path, out: Reading) -> tuple[int, ...] | None:
    """Read an array of months, 1 to 12 or names, in ascending order, each once."""
    if not filled(value, path, out, "an array of months", '["…"]'):
        return None
    found = [_month(item, (*path, index), out) for index, item in enumerate(value)]
    _same_twice(value, found, path, out)
    return _sorted(found)


def _month(value: object, path: Path, out: Reading) -> int | None:
    hint = '1 to 12, "jan" to "dec", or the full names'
    if type(value) is int:
        if 1 <= value <= 12:  # noqa: PLR2004 - months
            return value
        out.bad(path, "bad-month", f"{value} is not a month", hint)
    elif type(value) is str:
        number_ = MONTHS.get(value.lower())
        if number_ is not None:
            return number_
        out.bad(path, "bad-month", f'"{value}" is not a month{did_you_mean(value, MONTHS, chr(34))}', hint)
    else:
        out.wrong_type(path, "a month", value, hint)
    return None


def month_days(value: Any, path: Path, out: Reading) -> tuple[int, ...] | None:
    """Read an array of days of the month, 1 to 31 or -1 to -31, in ascending order, each once."""
    if not filled(value, path, out, "an array of days of the month", "[1, 15, -1]"):
        return None
    found = [month_day(item, (*path, index), out) for index, item in enumerate(value)]
    _same_twice(value, found, path, out)
    return _sorted(found)


def month_day(value: object, path: Path, out: Reading) -> int | None:
    """Read one day of the month."""
    if type(value) is int:
        if 1 <= abs(value) <= 31:  # noqa: PLR2004 - the longest month
            return value
        out.bad(path, "bad-day", f"{value} is not a day of a month", "1 to 31, or -1 to -31 from the end")
    else:
        out.wrong_type(path, "a day of the month", value, "1 to 31, or -1 to -31 from the end")
    return None


# -- names of other things


def names_of_days() -> tuple[str, ...]:
    """Return the short names of the days, Monday first."""
    return _SHORT_DAYS


_TARGET = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*(?::[^\W\d]\w*(?:\.[^\W\d]\w*)*)?")


def target(value: object, path: Path, out: Reading) -> str | None:
    """Read ``pkg.module:name.attr`` or ``pkg.module.name``."""
    if type(value) is str and _TARGET.fullmatch(value) and (":" in value or "." in value):
        return value
    if type(value) is not str:
        out.wrong_type(path, "a string", value, 'write it as "package.module:name"')
        return None
    hint = 'write it as "package.module:name"'
    if re.fullmatch(r"[\w.:]+\(.*\)", value, re.DOTALL):
        hint = f'write "{value.partition("(")[0]}" and pass what is in the parentheses as args or kwargs'
    elif value.endswith(".py") or "/" in value:
        file, _, name = value.partition(":")
        meant = file.removesuffix(".py").strip("./").replace("/", ".").replace("-", "_")
        hint = f'write "{meant}:{name or "NAME"}", or command = ["python", "{file}"]'
    elif value.isidentifier():
        hint = f'write "module:{value}", or "{value}:NAME" for what is in a module {value}'
        if callable(getattr(builtins, value, None)):
            hint = f'write "builtins:{value}" for Python\'s own, or "module:{value}"'
    out.bad(path, "bad-callable", f'"{value}" does not name a callable', hint)
    return None


def targets(value: Any, path: Path, out: Reading) -> tuple[str, ...] | None:
    """Read an array of dotted callables."""
    if filled(value, path, out, "an array of dotted callables", '["…"]'):
        for index, item in enumerate(value):
            target(item, (*path, index), out)
        return tuple(value)
    return None


def argv(value: Any, path: Path, out: Reading) -> tuple[tuple[str, ...] | None, str | None] | None:
    """Read a command: ``(argv, None)`` for an array, ``(None, text)`` for a line of the shell."""
    if type(value) is str:
        if not value or value.isspace():
            out.bad(path, "empty-text", "`command` is empty", "write what to run, or remove the key")
        elif "\0" in value:
            out.bad(path, "bad-value", "`command` has a NUL character in it", "remove it")
        else:
            return None, value
        return None
    if not filled(value, path, out, "a string for the shell or an array of strings", '["date", "-u"]'):
        return None
    for index, item in enumerate(value):
        if type(item) is not str:
            out.wrong_type((*path, index), "a string", item, f'write "{shown(item)}"')
        elif "\0" in item:
            out.bad((*path, index), "bad-value", "an argument has a NUL character in it", "remove it")
    if value[0] == "" or (type(value[0]) is str and value[0].isspace()):
        out.bad((*path, 0), "empty-text", "the program's name is empty", "write the program first, then its arguments")
    return tuple(value), None


_ENDS_NOTHING = ("SIGSTOP", "SIGCONT")
_SIGNALS = {
    name[3:]: int(one)
    for name, one in signal.Signals.__members__.items()
    if name[3].isalpha() and name not in _ENDS_NOTHING
}


def signal_name(value: object, path: Path, out: Reading) -> int | None:
    """Read "TERM" or "SIGTERM" as the number of the signal."""
    if type(value) is str:
        name = value.removeprefix("SIG")
        if name in _SIGNALS:
            return _SIGNALS[name]
        guess = did_you_mean(value.upper().removeprefix("SIG"), _SIGNALS, '"')
        out.bad(
            path,
            "bad-value",
            f'"{value}" is not a signal that ends a run{guess}',
            '"TERM", "INT", "QUIT", "HUP", "KILL", …',
        )
    else:
        hint = next((f'write "{name}"' for name, one in _SIGNALS.items() if one == value), 'write "TERM"')
        out.wrong_type(path, "the name of a signal", value, hint)
    return None


def umask(value: object, path: Path, out: Reading) -> int | None:
    """Read an octal number in quotes: "0027"."""
    if type(value) is str and re.fullmatch(r"[0-7]{3,4}", value) and int(value, 8) <= 0o777:  # noqa: PLR2004
        return int(value, 8)
    hint = 'write three octal digits after a 0, in quotes, as in "0027"'
    if type(value) is str:
        out.bad(path, "bad-value", f'"{value}" is not a umask', hint)
    else:
        out.wrong_type(path, "a string of octal digits", value, hint)
    return None


_NOBODY = 2**32 - 1  # (uid_t) -1, which means: leave it as it is
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]{0,255}\$?")


def account(value: object, path: Path, out: Reading) -> str | None:
    """Read the name or the number of a user or group; a number needs no entry in any database."""
    if type(value) is int and 0 <= value < _NOBODY:
        return str(value)
    if type(value) is str and _ACCOUNT.fullmatch(value):
        return value
    hint = 'write it as "www-data" or 1000'
    if type(value) in {int, str}:
        out.bad(path, "bad-value", f"{shown(value)} cannot be the name or number of a {path[-1]}", hint)
    else:
        out.wrong_type(path, "a name or a number", value, hint)
    return None


_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_VERSION = re.compile(r"3\.[0-9]{1,2}")


def sha256(value: object, path: Path, out: Reading) -> str | None:
    """Read 64 hexadecimal digits, as lower case."""
    if type(value) is str and _SHA256.fullmatch(value):
        return value.lower()
    if type(value) is str:
        message = f"a SHA-256 has 64 hexadecimal digits, this text has {len(value)} characters"
        if len(value) == 64:  # noqa: PLR2004 - as above
            message = "a SHA-256 has only the digits 0 to 9 and a to f"
        out.bad(path, "bad-dill", message, "sha256sum FILE prints it")
    else:
        out.wrong_type(path, "a string of 64 hexadecimal digits", value, "sha256sum FILE prints it")
    return None


def python_version(value: object, path: Path, out: Reading) -> str | None:
    """Read a minor version of Python: "3.11"."""
    if type(value) is str and _VERSION.fullmatch(value):
        return value
    if type(value) is str:
        match = re.match(r"3\.[0-9]{1,2}", value)
        meant = match.group() if match else "3.11"
        out.bad(path, "bad-dill", f'"{value}" is not a minor version of Python', f'write it as "{meant}"')
    else:
        out.wrong_type(path, "a string", value, f'write "{value}"' if type(value) is float else 'write it as "3.11"')
    return None


def beside(value: object, path: Path, out: Reading) -> str | None:
    """Read the name of a file that is next to the job's file."""
    name = text(value, path, out)
    if name is None:
        return None
    if "/" in name or name in {".", ".."}:
        meant = name.rstrip("/").rpartition("/")[2]
        message = f'"{name}" is not in the folder of the job\'s file'
        out.bad(path, "bad-dill", message, f'put it next to the TOML file and write "{meant}"')
        return None
    return name


def table(value: object, path: Path, out: Reading, example: str) -> bool:
    """Return True if a value is a table; note it if not."""
    if type(value) is dict:
        return True
    out.wrong_type(path, "a table", value, example)
    return False


def any_array(value: object, path: Path, out: Reading) -> tuple[Any, ...] | None:
    """Read an array of anything."""
    if type(value) is list:
        return tuple(value)
    out.wrong_type(path, "an array", value, f"write [{shown(value)}]" if type(value) is not dict else "write [ … ]")
    return None


def any_table(value: Any, path: Path, out: Reading) -> dict[str, Any] | None:
    """Read a table of anything whose keys can be the names of arguments."""
    if not table(value, path, out, "write { name = value }"):
        return None
    for key in value:
        if not key.isidentifier():
            meant = re.sub(r"\W", "_", key)
            hint = f"write {meant}" if meant.isidentifier() else "write a Python name"
            message = f"`{key}` is not a Python name: only a callable that takes **kwargs can be given it"
            out.bad((*path, key), "kwargs-name", message, hint, severity="warning", at_key=True)
    return value  # type: ignore[no-any-return]


def one_or_more(read: Callable[[Any, Path, Reading], Any], plural: str) -> Reader:
    """Make a reader of one value or an array of them, always as a tuple."""

    def read_all(value: object, path: Path, out: Reading) -> tuple[Any, ...]:
        if type(value) is not list:
            return (read(value, path, out),)
        if not value:
            out.bad(path, "empty-list", f"`{dotted(path)}` is an empty array", f"write {plural}, or remove the key")
        elif len(value) > 1:
            once(value, path, out)
        return tuple(read(item, (*path, index), out) for index, item in enumerate(value))

    return read_all


def check_required(value: dict[str, Any], path: Path, out: Reading, required: Iterable[str]) -> None:
    """Note each of ``required`` that the table lacks."""
    for key in required:
        if key not in value and (*path, key) not in out.guessed:
            out.missing_key(path, key)
