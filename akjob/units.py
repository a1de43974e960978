"""Durations and sizes as people write them: ``"1h30m"``, ``"PT90M"``, ``"512MiB"``.

A duration is an ``int`` of microseconds, a size an ``int`` of bytes. What cannot be read is a ValueError whose
message says what would have been accepted.
"""

import re
from functools import lru_cache

_UNITS_US = {
    "w": 604_800_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
}
_LONGEST_TEXT = 80  # characters; no duration or size is longer
_LONGEST_US = 36_525 * _UNITS_US["d"]
_DURATION = re.compile(
    r"(?:([0-9]{1,12})w)?(?:([0-9]{1,12})d)?(?:([0-9]{1,12})h)?(?:([0-9]{1,12})m(?!s))?(?:([0-9]{1,12})s)?(?:([0-9]{1,12})ms)?"
)
_ISO = re.compile(
    r"P(?=[0-9T])(?:([0-9]{1,12})W)?(?:([0-9]{1,12})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,12})H)?(?:([0-9]{1,12})M)?(?:([0-9]{1,12})(?:\.([0-9]{1,6}))?S)?)?"
)
_FACTORS_US = tuple(_UNITS_US.values())
_LOOSE = re.compile(r"([0-9]+)\s*([A-Za-z]+)")
_WORDS = {
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), "w"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("m", "mn", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("ms", "msec", "msecs", "milli", "millis", "millisecond", "milliseconds"), "ms"),
}

_SIZE = re.compile(r"([0-9]{1,20})(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_LARGEST = 2**62


@lru_cache(maxsize=4096)
def parse_duration(text: str) -> int:
    """Return the microseconds of ``"1h30m"`` (w, d, h, m, s, ms; descending, each once) or of ISO 8601 ``"PT90M"``.

    Raises ValueError when the text is not a duration, or one of more than 36525 days. The message begins with the text.
    """
    match = _DURATION.fullmatch(text)
    if match is not None and text:
        total = sum(int(number) * factor for number, factor in zip(match.groups(), _FACTORS_US, strict=True) if number)
    else:
        match = _ISO.fullmatch(text)
        if match is None:
            raise ValueError(_duration_message(text))
        *numbers, fraction = match.groups()
        total = sum(int(number) * factor for number, factor in zip(numbers, _FACTORS_US, strict=False) if number)
        if fraction:
            total += int(fraction.ljust(6, "0"))
    if total > _LONGEST_US:
        raise ValueError(f'"{text}" is too long: at most 36525d (100 years)')
    return total


def _duration_message(text: str) -> str:
    """Return what is wrong with a duration, with the text that was probably meant."""
    if len(text) > _LONGEST_TEXT:
        return f'"{text[:_LONGEST_TEXT]}…" is not a duration; write it as "30s", "5m", "1h30m", "2d", "1w" or "PT90M"'
    meant = _meant_duration(text)
    if meant:
        return f'"{text}" is not a duration; write "{meant}"'
    if text.strip().isdigit():
        return f'"{text}" is not a duration: it has no unit; write "{text.strip()}s", or m, h, d, w or ms'
    if text[:1] == "P" and re.search(r"\dY|^[^T]*\dM", text):
        return f'"{text}" is not a duration: years and months have no fixed length; write days, as in "P30D"'
    return f'"{text}" is not a duration; write it as "30s", "5m", "1h30m", "2d", "1w" or "PT90M"'


def _meant_duration(text: str) -> str | None:
    """Return a valid duration for ``"5 min"``, ``"30m1h"`` or ``"1H"``; None if there is no single reading."""
    found: dict[str, int] = {}
    rest = _LOOSE.sub("", text)
    if rest.strip(" ,_") or not text.strip():
        return None
    for number, word in _LOOSE.findall(text):
        unit = _WORDS.get(word.lower())
        if unit is None or unit in found or len(number) > 12:  # noqa: PLR2004 - as many digits as the patterns take
            return None
        found[unit] = int(number)
    meant = "".join(f"{found[unit]}{unit}" for unit in _UNITS_US if unit in found)
    return meant if meant and meant != text else None


def format_duration(duration_us: int) -> str:
    """Write a duration so that :func:`parse_duration` reads the same: ``1h30m``; ``0s`` for none.

    Anything but a whole number of milliseconds is written as ISO 8601, the only form that can say it.
    """
    if duration_us % 1_000:
        seconds, fraction = divmod(duration_us, 1_000_000)
        return f"PT{seconds}.{fraction:06d}S"
    parts = []
    for unit, factor in _UNITS_US.items():
        if unit == "w" and duration_us % factor:
            continue  # ten days are "10d", not "1w3d"
        number, duration_us = divmod(duration_us, factor)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


@lru_cache(maxsize=1024)
def parse_size(text: str) -> int:
    """Return the bytes of ``"512MiB"`` (KiB, MiB, GiB, TiB: powers of 1024) or ``"2GB"`` (kB, MB, GB, TB: of 1000).

    Raises ValueError when the text is not a size. The message begins with the text.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(_size_message(text))
    number, unit = match.groups()
    size = int(number) * _SIZE_UNITS[unit]
    if size > _LARGEST:
        raise ValueError(f'"{text}" is too large: at most 4194304TiB')
    return size


def _size_message(text: str) -> str:
    """Return what is wrong with a size, with the texts that were probably meant."""
    match = re.fullmatch(r"\s*+([0-9]++)\s*+([A-Za-z]*+)\s*+", text[:_LONGEST_TEXT])
    if match is None or len(text) > _LONGEST_TEXT:
        return f'"{text[:_LONGEST_TEXT]}" is not a size; write it as "512MiB" or "2GB"'
    number, unit = match.groups()
    if not unit:
        return f'"{text}" is not a size: it has no unit; write "{number}B", "{number}MiB" or "{number}GB"'
    for known in _SIZE_UNITS:
        if unit.lower() == known.lower():
            return f'"{text}" is not a size; write "{number}{known}"'
    if unit.upper() in {"K", "M", "G", "T"}:
        letter = unit.upper()
        small = "k" if letter == "K" else letter
        return f'"{text}" is not a size; write "{number}{letter}iB" (powers of 1024) or "{number}{small}B" (of 1000)'
    return f'"{text}" is not a size; write it as "512MiB" or "2GB"'


def format_size(size: int) -> str:
    """Write a size in the largest unit that gives a whole number: ``512MiB``, ``2GB``, ``1000001B``."""
    if size == 0:
        return "0B"
    for unit in ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return f"{size}B"
