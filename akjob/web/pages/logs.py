"""The log of one run as its page shows it: its end, a stretch from any line on, or what a search finds."""

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import msgspec
from markupsafe import Markup
from msgspec import Struct
from msgspec.structs import replace

from akjob.log.reading import read
from akjob.log.reading.needle import needle_of
from akjob.log.reading.render import is_output, render
from akjob.query.distant import LinesOfRun
from akjob.web.api.lists import choice_of, text_of
from akjob.web.api.logs import pattern_of
from akjob.web.pages.ansi import plain, to_html
from akjob.web.problems import bad_parameter
from akjob.web.site import Call

LEVELS = ("", "warning", "error")
SHOWN = 200
"""How many lines a page has: two elements each, and one for each colour."""

_LONGEST_LINE = 4000
_LONGEST_JSON = 20_000
_MESSAGES = ("message", "msg", "event")
_OF_THE_HEAD = ("timestamp", "level", "event", "source", "job", "run", "seq")
_WORTH_FOLDING = 40  # so many characters of fields
AROUND = 20
"""So many lines are shown before a line that a search found."""

_SEARCH_S = 1.0
_MOST_HITS = 1000
_ERROR = read.LEVELS["error"]
_ERRORS = b'"level":"error"'  # among output, which has a level of its own where the program gave one
# So far the first error is looked for: the page of a longer log opens at its end. The time is for a node that is slow.
_LOOK_BYTES, _LOOK_S = 8 << 20, 0.02
_LONGEST_NUMBER = 15
_LONGEST_MESSAGE = 200
_MOST_NUMBER = 1e15
_MOST_COPIED = 100_000
_MOST_COPIED_BYTES = 16 * 2**20


class LogLine(Struct, frozen=True, kw_only=True):
    """One line of the viewer; ``fields`` are folded: what a line has besides its message."""

    seq: int
    at: str
    clock: str
    kind: str
    text: Markup
    fields: str = ""


class LogWanted(Struct, frozen=True, kw_only=True):
    """Which lines are shown: ``count`` from the number ``begin`` on, or the last ones; of a level, with a pattern.

    With ``hit``, the number of a line that a search found, the lines around it are shown, whatever their level.
    """

    begin: int | None
    count: int
    level: str
    grep: str
    hit: int | None = None
    fits: Callable[[dict[str, Any]], bool]
    needle: bytes | None = None

    @property
    def searches(self) -> bool:
        """True if some lines are left out between those that are shown."""
        return bool(self.level or self.grep) and self.hit is None


class Hits(Struct, frozen=True, kw_only=True):
    """Where one of the lines that a search found stands among them: the ``place`` of it, counted from 1."""

    place: int
    count: int
    is_all: bool
    before: int | None
    after: int | None


class Progress(Struct, frozen=True, kw_only=True):
    """How far a run said that it is; ``total`` is None where it did not say of how much."""

    done: float
    total: float | None
    message: str

    @property
    def said(self) -> str:
        """Return it in words."""
        text = f"{self.done:,.6g}" + ("" if self.total is None else f" of {self.total:,.6g}")
        return f"{text}: {self.message}" if self.message else text


class LogShown(Struct, frozen=True, kw_only=True):
    """The lines, and where to go from them: ``earlier`` and ``later`` are numbers of lines, None where there are none.

    ``is_end`` says that they are the last ones, ``progress`` is the newest that these report. ``searched`` is the last
    line that a search looked at, None where it looked at all of them. ``away`` says where the log is that cannot be
    shown, ``why`` the reason.
    """

    lines: list[LogLine]
    earlier: int | None = None
    later: int | None = None
    searched: int | None = None
    hits: Hits | None = None
    progress: Progress | None = None
    is_end: bool = False
    away: str = ""
    why: str = ""


def wanted_of(call: Call) -> LogWanted:
    """Return what the URL asks for. Raises ProblemError."""
    level, grep = choice_of(call, "level", LEVELS[1:]) or "", text_of(call, "grep") or ""
    hit = number_of(call, "hit")
    return LogWanted(
        begin=number_of(call, "from") if hit is None else max(1, hit - AROUND),
        hit=hit,
        count=SHOWN,
        level=level,
        grep=grep,
        fits=pattern_of(grep or None),
        needle=needle_of(grep) if grep else None,
    )


def number_of(call: Call, name: str) -> int | None:
    """Return the number of a line that the URL names. Raises ProblemError."""
    text = text_of(call, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise bad_parameter(name, text, "the number of a line")
    return int(text)


def shown_log(
    log: LinesOfRun,
    wanted: LogWanted,
    clock: Callable[[], float] = time.monotonic,
    *,
    last: Sequence[dict[str, Any]] | None = None,
) -> LogShown:
    """Return what of a run's log is shown. A search ends with its page, or after a second, and says how far it came.

    ``last`` are its last lines, where they were read already.
    """
    if wanted.searches:
        found, searched = _search(log, wanted, 0 if wanted.begin is None else wanted.begin, wanted.count, clock)
        return LogShown(lines=_lines(found), searched=searched, later=None if searched is None else searched + 1)
    hits = _hits(log, wanted, clock)
    if wanted.begin is None:
        newest = log.last(wanted.count) if last is None else last
        return LogShown(
            lines=_lines(newest), earlier=_earlier(newest, wanted), is_end=True, progress=progress_of(newest)
        )
    lines = log.lines(wanted.begin - 1)
    found = list(islice(lines, wanted.count))
    following = next(lines, None)
    later = None if following is None else _number(following)
    return LogShown(lines=_lines(found), earlier=_earlier(found, wanted), later=later, hits=hits)


def progress_of(lines: Sequence[dict[str, Any]]) -> Progress | None:
    """Return the newest report of ``current_run().progress()``; None without one that holds numbers."""
    for line in reversed(lines):
        if line.get("event") == "run.progress" and line.get("source") == "job":
            done, total, message = (line.get(name) for name in ("done", "total", "message"))
            if not _is_number(done):
                return None
            whole = total if _is_number(total) and total > 0 else None
            return Progress(done=done, total=whole, message=str(message or "")[:_LONGEST_MESSAGE])
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _MOST_NUMBER


def _search(
    log: LinesOfRun, wanted: LogWanted, begin: int, most: int, clock: Callable[[], float]
) -> tuple[list[dict[str, Any]], int | None]:
    """Return the lines that fit, and the last one that was looked at where the search did not come to the end."""
    found: list[dict[str, Any]] = []
    end_s = clock() + _SEARCH_S
    least = read.LEVELS[wanted.level] if wanted.level else 0
    for line in log.lines(begin - 1, wanted.needle):
        if len(found) == most or clock() > end_s:
            return found, _number(line) - 1
        if _level(line) >= least and wanted.fits(line):
            found.append(line)
    return found, None


def _hits(log: LinesOfRun, wanted: LogWanted, clock: Callable[[], float]) -> Hits | None:
    """Return where a hit stands among all; None without one, or where it is too far down to be counted."""
    if wanted.hit is None or not (wanted.level or wanted.grep):
        return None
    found, searched = _search(log, wanted, 0, _MOST_HITS, clock)
    numbers = [_number(line) for line in found]
    if wanted.hit not in numbers:
        return None
    place = numbers.index(wanted.hit)
    return Hits(
        place=place + 1,
        count=len(numbers),
        is_all=searched is None,
        before=numbers[place - 1] if place else None,
        after=numbers[place + 1] if place + 1 < len(numbers) else None,
    )


def copied(log: LinesOfRun, begin: int, end: int) -> str:
    """Return the lines of a run from one number to another as plain text, as they are copied: at most so many."""
    found, length = [], 0
    for line in islice(log.lines(begin - 1), _MOST_COPIED):
        if _number(line) > end or length > _MOST_COPIED_BYTES:
            break
        found.append(plain(read.bytes_of(line).decode("utf-8", "replace") if is_output(line) else _said(line)))
        length += len(found[-1])
    return "".join(f"{text}\n" for text in found)


def opened(wanted: LogWanted, error: int | None) -> LogWanted:
    """Return what is shown where the URL names no stretch: from some lines before the first error on, or the end."""
    if error is None or wanted.begin is not None or wanted.level or wanted.grep:
        return wanted
    return replace(wanted, begin=max(1, error - wanted.count // 2))


def first_error(log: LinesOfRun, clock: Callable[[], float] = time.monotonic) -> int | None:
    """Return the number of the first line of a run that is an error, or worse; None where none is near the start."""
    end_s = clock() + _LOOK_S
    for line in log.lines(needle=_ERRORS, most_bytes=_LOOK_BYTES):
        if clock() > end_s:
            return None
        if _level(line) >= _ERROR:
            return _number(line)
    return None


def _earlier(found: Sequence[dict[str, Any]], wanted: LogWanted) -> int | None:
    first = _number(found[0]) if found else 0
    return max(1, first - wanted.count) if first > 1 else None


def _level(line: dict[str, Any]) -> int:
    return read.LEVELS.get(line.get("level", "info"), read.LEVELS["info"])


def _number(line: dict[str, Any]) -> int:
    return int(line.get("seq") or 0)


def _lines(found: Sequence[dict[str, Any]]) -> list[LogLine]:
    return [log_line(line) for line in found]


def log_line(line: dict[str, Any]) -> LogLine:
    """Return a line as it is shown: what a job printed with its colours, all else as text."""
    at, fields = str(line.get("timestamp", "")), ""
    if is_output(line):
        text, kind = read.bytes_of(line).decode("utf-8", "replace"), str(line.get("stream", "stdout"))
        message = _message_of(text)
        if message is not None:
            fields, text = plain(text)[:_LONGEST_LINE], message
        shown = to_html(text[:_LONGEST_LINE])
    else:
        kind = str(line.get("level", "info")) if line.get("source") == "job" else "event"
        head = {name: line[name] for name in _OF_THE_HEAD if name in line}
        whole, said = _said(line), _said(head)
        if kind == "event" or not whole.startswith(said) or len(whole) - len(said) < _WORTH_FOLDING:
            said = whole
        shown, fields = to_html(plain(said)[:_LONGEST_LINE]), plain(whole[len(said) :])[:_LONGEST_LINE].strip()
    return LogLine(seq=_number(line), at=at, clock=at[11:19], kind=kind, text=shown, fields=fields)


def _said(line: dict[str, Any]) -> str:
    """Return a line without its time and its job, which the page shows elsewhere."""
    return render(line, colour=False).partition(f" {line.get('job') or line.get('source') or ''} ")[2]


def _message_of(text: str) -> str | None:
    """Return the message of a line that is a JSON object with one, and with more; None for other lines."""
    if not text.startswith("{") or len(text) > _LONGEST_JSON:
        return None
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        return None
    name = next((one for one in _MESSAGES if isinstance(fields.get(one), str)), None)
    if name is None or len(fields) == 1:
        return None
    level = fields.get("level")
    return f"{level} {fields[name]}" if isinstance(level, str) else str(fields[name])
