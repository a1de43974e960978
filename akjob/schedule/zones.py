"""Time zones as integers: which offset holds from which second to which.

The rules are read from the same TZif files that :mod:`zoneinfo` reads (RFC 8536; ``zoneinfo.TZPATH``, else the
``tzdata`` package). ``zoneinfo`` itself answers "which offset has this instant?" but not "when does it change next?",
and the search for the next slot needs the second question.

All instants here are whole UTC seconds since 1970, all offsets seconds east of UTC, all local times seconds since
1970-01-01T00:00:00 of the wall clock.
"""

import os
import re
import struct
import zoneinfo
from bisect import bisect_left, bisect_right
from datetime import date, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple

from akjob.schedule.days import is_leap

DAY_S = 86_400
CYCLE_DAYS = 146_097
"""The Gregorian calendar repeats after 400 years, which are a whole number of weeks."""
CYCLE_S = CYCLE_DAYS * DAY_S
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
FAR_PAST_S = -(10**15)
FAR_FUTURE_S = 10**15
"""Beyond any year that :mod:`datetime` knows; the end of a stretch that does not end."""

_LARGEST_OFFSET_S = 2 * DAY_S
_RULE_UNTIL = 2100
_SHORT, _LONG = 4, 8
_JANUARY_AND_FEBRUARY = 59
_FIXED = re.compile(r"([+-])([01]\d|2[0-3]):([0-5]\d)")
_NOT_ZONES = ("posix", "right", "posixrules", "localtime")


class Segment(NamedTuple):
    """A stretch of one offset: from ``start`` inclusive until ``end`` exclusive; ``before`` is the offset before it."""

    start: int
    end: int
    offset: int
    before: int


class Zone:
    """One zone's offsets. ``settled`` is the second from which on the rule alone decides (it repeats in 400 years)."""

    __slots__ = ("_cached", "_full", "_offsets", "_rule", "_starts", "name", "settled")

    def __init__(self, name: str, starts: list[int], offsets: list[int], rule: "_Rule | None") -> None:
        self.name = name
        self._starts = starts
        self._offsets = offsets
        self._rule = rule
        self.settled = starts[-1] if starts else FAR_PAST_S
        self._full = rule is None
        if rule is not None:
            self._extend(rule, _RULE_UNTIL)
        self._cached = Segment(0, 0, 0, 0)

    def segment(self, second: int) -> Segment:
        """Return the stretch of one offset that ``second`` lies in."""
        cached = self._cached
        if cached.start <= second < cached.end:
            return cached
        index = bisect_right(self._starts, second)
        if index == len(self._starts) and self._rule is not None:
            return self._by_rule(second, self._rule)
        found = self._at(index)
        self._cached = found
        return found

    def offset(self, second: int) -> int:
        """Return the offset at an instant."""
        return self.segment(second).offset

    @property
    def rule_changes(self) -> bool:
        """Return True if the clock changes every year, as far as is known."""
        return self._rule is not None

    def offsets_from(self, second: int) -> set[int]:
        """Return all offsets that hold at some time from ``second`` on."""
        offsets = set(self._offsets[bisect_right(self._starts, second) :])
        if self._rule is not None:
            offsets |= {self._rule.standard, self._rule.daylight}
        return offsets

    def gaps_from(self, second: int) -> set[tuple[int, int, int]]:
        """Return the kinds of gaps from ``second`` on: the time of day one begins, its length, the offset after it."""
        begin = bisect_left(self._starts, second)
        if self._rule is not None:
            # The table may end before ``second``; its last two years have all kinds of the rule.
            begin = max(0, min(begin, len(self._starts) - 4))
        starts, offsets = self._starts[begin:], self._offsets[begin:]
        return {
            ((start + before) % DAY_S, after - before, after)
            for start, before, after in zip(starts, offsets, offsets[1:], strict=False)
            if after > before
        }

    def first(self, local: int) -> int:
        """Return the instant of a local time: the first of two, or the first instant after the gap it falls into."""
        segment = self.segment(local - _LARGEST_OFFSET_S)
        while local >= segment.end + segment.offset:
            segment = self.segment(segment.end)
        return max(local - segment.offset, segment.start)

    def _at(self, index: int) -> Segment:
        starts, offsets = self._starts, self._offsets
        start = starts[index - 1] if index else FAR_PAST_S
        end = starts[index] if index < len(starts) else FAR_FUTURE_S
        return Segment(start, end, offsets[index], offsets[index - 1] if index else offsets[0])

    def _by_rule(self, second: int, rule: "_Rule") -> Segment:
        """Answer for a time after the table: make the table reach 400 years beyond ``settled``, then go round in it."""
        if not self._full:
            self._extend(rule, _year(max(self.settled, 0)) + 402)
            self._full = True
        # Two transitions from the end, so that the stretch found has both its ends inside the table.
        beyond = second - self._starts[-2]
        cycles = beyond // CYCLE_S + 1 if beyond >= 0 else 0
        shift = cycles * CYCLE_S
        inner = self._at(bisect_right(self._starts, second - shift))
        found = Segment(inner.start + shift, inner.end + shift, inner.offset, inner.before)
        self._cached = found
        return found

    def _extend(self, rule: "_Rule", until_year: int) -> None:
        starts, offsets = self._starts, self._offsets
        last = starts[-1] if starts else FAR_PAST_S
        for year in range(_year(max(last, -_RULE_UNTIL * 366 * 3600)), until_year + 1):
            for second, offset in rule.transitions(year):
                if second > last and offset != offsets[-1]:
                    starts.append(second)
                    offsets.append(offset)
                    last = second


@lru_cache(maxsize=1024)
def integer_zone(name: str) -> Zone:
    """Return the :class:`Zone` of an IANA name or an offset such as ``+05:30``. Raises ValueError for anything else."""
    fixed = _fixed_offset(name)
    if fixed is not None:
        return Zone(name, [], [fixed], None)
    if not is_zone(name):
        raise ValueError(zone_error(name))
    return _read_tzif(name, _load(name))


def next_local_time(zone: Zone, second_of_day: int, after: int) -> int:
    """Return the first instant strictly after another at which the local clock shows a time of the day."""
    today = (after + zone.offset(after)) // DAY_S
    return min(at for day in range(today - 1, today + 3) if (at := zone.first(day * DAY_S + second_of_day)) > after)


@lru_cache(maxsize=1024)
def get_zone(name: str) -> tzinfo:
    """Return the ``tzinfo`` of an IANA name or an offset such as ``+05:30``. Raises ValueError for anything else."""
    fixed = _fixed_offset(name)
    if fixed is not None:
        return timezone(timedelta(seconds=fixed))
    if not is_zone(name):
        raise ValueError(zone_error(name))
    return zoneinfo.ZoneInfo(name)


@lru_cache(maxsize=1024)
def is_zone(name: str) -> bool:
    """Return True if ``name`` is an IANA name that this machine knows, or an offset such as ``+05:30``."""
    if _FIXED.fullmatch(name):
        return True
    if not name or not name.isascii() or name.partition("/")[0] in _NOT_ZONES:
        return False
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # a folder such as "Europe" is an OSError
        return False
    return True


def zone_names() -> list[str]:
    """Return all IANA names that this machine knows, sorted. Reads the folders: a few milliseconds."""
    return sorted(zoneinfo.available_timezones().difference(_NOT_ZONES))


def near_zones(name: str, count: int = 3) -> list[str]:
    """Return the valid names nearest to a wrong one, the best first; none when nothing is near."""
    offset = re.fullmatch(r"(?i:utc|gmt)?\s*([+-])(\d{1,2})(?::?([0-5]\d))?", name.strip())
    if offset:
        text = f"{offset[1]}{offset[2]:0>2}:{offset[3] or '00'}"
        return [text] if _FIXED.fullmatch(text) else []
    import difflib  # noqa: PLC0415 - only a wrong name pays for it

    by_key: dict[str, str] = {}
    for full in zone_names():
        by_key.setdefault(_key(full), full)
        by_key.setdefault(_key(full.rsplit("/", 1)[-1]), full)
    wanted = _key(name)
    near = difflib.get_close_matches(wanted, by_key, n=count * 2, cutoff=0.7)
    near += difflib.get_close_matches(wanted.rsplit("/", 1)[-1], by_key, n=count, cutoff=0.75)
    return list(dict.fromkeys(by_key[key] for key in near))[:count]


def zone_error(name: str) -> str:
    """Return what is wrong with a zone's name, and what to write."""
    near = near_zones(name)
    if near:
        return f"{name!r} is not a time zone: did you mean {near[0]!r}?"
    return f"{name!r} is not a time zone: write a name such as 'Europe/Berlin', or an offset such as '+05:30'"


def _key(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")


def _fixed_offset(name: str) -> int | None:
    match = _FIXED.fullmatch(name)
    if match is None:
        return 0 if name == "UTC" else None
    seconds = int(match[2]) * 3600 + int(match[3]) * 60
    return -seconds if match[1] == "-" else seconds


def _year(second: int) -> int:
    return date.fromordinal(max(1, second // DAY_S + EPOCH_ORDINAL)).year


def _load(name: str) -> bytes:
    """Read the TZif file as zoneinfo would find it."""
    for folder in zoneinfo.TZPATH:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                return file.read()
    from importlib import resources  # noqa: PLC0415 - only machines without /usr/share/zoneinfo pay for it

    package, _, last = ("tzdata/zoneinfo/" + name).rpartition("/")
    return resources.files(package.replace("/", ".")).joinpath(last).read_bytes()


def _read_tzif(name: str, data: bytes) -> Zone:
    """Read a TZif file, RFC 8536 section 3: the 64-bit block and the footer; an old file's 32-bit block alone."""
    position, width = 0, _SHORT
    counts = _header(data, 0)
    if data[4:5] >= b"2":
        position = 44 + _block_size(counts, _SHORT)
        counts, width = _header(data, position), _LONG
    _, _, _, times, types, _ = counts
    body = position + 44
    starts = list(struct.unpack_from(f">{times}{'q' if width == _LONG else 'l'}", data, body))
    indexes = data[body + times * width : body + times * (width + 1)]
    base = body + times * (width + 1)
    infos = [struct.unpack_from(">lb", data, base + 6 * i) for i in range(types)]
    # Before the first transition: the first type without daylight saving time, as zoneinfo has it.
    before = next((offset for offset, is_dst in infos if not is_dst), infos[0][0])
    footer = data[body + _block_size(counts, width) :].strip(b"\n").decode("ascii") if width == _LONG else ""
    rule = _parse_rule(footer) if footer else None
    offsets = [before, *(infos[index][0] for index in indexes)]
    if isinstance(rule, int):
        # A footer without daylight saving time: one offset for ever from the last transition on.
        if offsets[-1] != rule and not starts:
            offsets[-1] = rule
        rule = None
    return Zone(name, *_merged(starts, offsets), rule)


def _merged(starts: list[int], offsets: list[int]) -> tuple[list[int], list[int]]:
    """Leave out transitions that change the name or the daylight saving flag alone."""
    kept_starts: list[int] = []
    kept = offsets[:1]
    for second, offset in zip(starts, offsets[1:], strict=True):
        if offset != kept[-1]:
            kept_starts.append(second)
            kept.append(offset)
    return kept_starts, kept


def _header(data: bytes, position: int) -> tuple[int, ...]:
    if data[position : position + 4] != b"TZif":
        raise ValueError("not a TZif file")
    return struct.unpack_from(">6l", data, position + 20)


def _block_size(counts: tuple[int, ...], width: int) -> int:
    is_ut, is_std, leaps, times, types, chars = counts
    return times * (width + 1) + types * 6 + chars + leaps * (width + 4) + is_std + is_ut


class _Rule(NamedTuple):
    """The yearly rule of a footer: standard and daylight offsets and when each of the two begins."""

    standard: int
    daylight: int
    begins: tuple[str, int]
    ends: tuple[str, int]

    def transitions(self, year: int) -> list[tuple[int, int]]:
        """Return (UTC second, new offset) of a year, in order."""
        begins = _rule_day(self.begins[0], year) * DAY_S + self.begins[1] - self.standard
        ends = _rule_day(self.ends[0], year) * DAY_S + self.ends[1] - self.daylight
        return sorted([(begins, self.daylight), (ends, self.standard)])


_NAME = r"(?:<[^>]+>|[A-Za-z]{3,})"
_POSIX = re.compile(rf"{_NAME}(?P<std>[+-]?[\d:]+)(?:{_NAME}(?P<dst>[+-]?[\d:]+)?,(?P<begins>[^,]+),(?P<ends>[^,]+))?")


def _parse_rule(footer: str) -> "_Rule | int":
    """Read a POSIX TZ string (with RFC 8536's longer hours): a rule, or the one offset that holds for ever."""
    match = _POSIX.fullmatch(footer)
    if match is None:
        raise ValueError(f"cannot read the time zone rule {footer!r}")
    standard = -_seconds(match["std"])
    if match["begins"] is None:
        return standard
    daylight = -_seconds(match["dst"]) if match["dst"] else standard + 3600
    return _Rule(standard, daylight, _rule_part(match["begins"]), _rule_part(match["ends"]))


def _rule_part(text: str) -> tuple[str, int]:
    day, _, time = text.partition("/")
    return day, _seconds(time) if time else 7200


def _seconds(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    return sign * sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))


def _rule_day(text: str, year: int) -> int:
    """Return the day (since 1970) of ``Mm.w.d``, ``Jn`` (29 February not counted) or ``n`` (counted from 0)."""
    new_year = date(year, 1, 1).toordinal() - EPOCH_ORDINAL
    if text.startswith("J"):
        number = int(text[1:])
        return new_year + number - 1 + (1 if is_leap(year) and number > _JANUARY_AND_FEBRUARY else 0)
    if not text.startswith("M"):
        return new_year + int(text)
    month, week, weekday = (int(part) for part in text[1:].split("."))
    first = date(year, month, 1).toordinal() - EPOCH_ORDINAL
    # 1970-01-01 was a Thursday; the rule counts from Sunday = 0.
    day = first + (weekday - (first + 4)) % 7 + 7 * (week - 1)
    # Years of rules end in the 25th century, long before date does.
    following = date(year + month // 12, month % 12 + 1, 1).toordinal() - EPOCH_ORDINAL
    return day if day < following else day - 7
