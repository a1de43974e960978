"""How every line of the log stream begins, from every writer.

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import time
from _json import encode_basestring

_second = -1
_second_text = ""


def timestamp(now_ns: int) -> str:
    """Return a wall-clock reading (``time.time_ns()``) as the log has it, to the microsecond."""
    global _second, _second_text  # noqa: PLW0603 - one text a second instead of one a line
    second, fraction = divmod(now_ns, 1_000_000_000)
    if second != _second:
        _second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        _second = second
    return f"{_second_text}.{fraction // 1000:06d}Z"


def quote(text: str) -> str:
    """Return a string as JSON. Lone surrogates become the replacement character: the stream is UTF-8."""
    return encode_basestring(text.encode("utf-8", "replace").decode("utf-8"))


def head(stamp: str, level: str, event: str) -> str:
    """Return the beginning of a line's JSON object; ``stamp`` is a :func:`timestamp`, ``event`` a JSON string."""
    return f'{{"timestamp":"{stamp}","level":"{level}","event":{event}'


def fields(now_ns: int, level: str, event: str, source: str) -> dict[str, object]:
    """Return the first fields of a line, for programs that have a library for the rest."""
    return {"timestamp": timestamp(now_ns), "level": level, "event": event, "source": source}
