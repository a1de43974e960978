"""The runs of all jobs: a hundred a page, counted, and as a file."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, get_args
from urllib.parse import urlencode

from msgspec import Struct
from msgspec.structs import astuple, replace
from starlette.responses import Response, StreamingResponse

from akjob.instants import DAY, to_text
from akjob.ledger import STATES, RunCount, RunFilter, RunKey, State, Trigger
from akjob.query.runs import Run
from akjob.query.sight import JobFilter, Sight
from akjob.units import parse_duration
from akjob.web.api.lists import NDJSON, choice_of, cursor_of, encode_cursor, ndjson, text_of
from akjob.web.api.times import read_instant
from akjob.web.pages.jobs import slot_rows
from akjob.web.pages.rendering import render
from akjob.web.pages.searching import filter_of
from akjob.web.pages.summary import summarize
from akjob.web.problems import bad_parameter
from akjob.web.site import Call

_ROWS = 100
_MOST = 20_000  # so many rows a question may read: what is more is counted as at least so many
_AT_ONCE = 1000
_COUNTED: tuple[State, ...] = ("failed", "timed_out", "lost", "missed", "skipped", "cancelled", "running", "queued")
"""The states that an index of their own has: what is not the rule, however long the ledger is."""

_LAST = {"1h": "hour", "24h": "day", "7d": "week"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would work out what begins so
_LONGEST_AGO_US = 3650 * DAY


class RunsWanted(Struct, frozen=True, kw_only=True):
    """What the URL asks for, as it is written there, and as a filter. ``among`` are the jobs that ``q`` means."""

    job: str
    q: str
    state: str
    trigger: str
    since: str
    until: str
    rows: RunFilter
    jobs: JobFilter | None

    def link(self, **changed: str | None) -> str:
        """Return the URL of the page with something else."""
        names = ("job", "q", "state", "trigger", "since", "until")
        given = {name: getattr(self, name) for name in names} | changed
        query = urlencode({name: value for name, value in given.items() if value})
        return f"/runs?{query}" if query else "/runs"

    @property
    def narrows(self) -> bool:
        """True unless all runs are wanted."""
        return self.link() != "/runs"


async def show_runs(call: Call) -> Response:
    """Show the rows that fit, newest first; with ``as=csv`` or ``as=jsonl`` all of them as a file."""
    wanted, sight = _wanted(call), await call.sight()
    kind = choice_of(call, "as", ("csv", "jsonl"))
    if kind is not None:
        return _file(call, sight, wanted, kind)
    key = cursor_of(call, RunKey)
    values = await call.site.read(lambda: _runs(call, sight, wanted, key))
    return render(
        call, "runs.html", **values, wanted=wanted, states=STATES, triggers=get_args(Trigger), spans=_LAST,
        newest=None if key is None else wanted.link(),
    )  # fmt: skip


def _wanted(call: Call) -> RunsWanted:
    job, q = text_of(call, "job") or "", text_of(call, "q") or ""
    state, trigger = choice_of(call, "state", STATES) or "", choice_of(call, "trigger", get_args(Trigger)) or ""
    since, until = text_of(call, "since") or "", text_of(call, "until") or ""
    return RunsWanted(
        job=job,
        q=q,
        state=state,
        trigger=trigger,
        since=since,
        until=until,
        rows=RunFilter(
            job=job or None,
            state=state or None,  # type: ignore[arg-type] # one of them
            trigger=trigger or None,  # type: ignore[arg-type] # likewise
            since=_instant(call, "since", since),
            until=_instant(call, "until", until),
        ),
        jobs=filter_of(q) if q.strip() else None,
    )


def _instant(call: Call, name: str, text: str) -> str | None:
    """Return the instant that a text means: a time, in UTC where no offset is given, or how long ago."""
    if not text:
        return None
    at_us = read_instant(text)
    if at_us is None:
        at_us = read_instant(f"{text if 'T' in text else f'{text}T00:00'}Z")
    if at_us is None:
        try:
            ago_us = parse_duration(text)
        except ValueError:
            ago_us = _LONGEST_AGO_US + 1
        if ago_us > _LONGEST_AGO_US:
            raise bad_parameter(name, text, "a time, as 2026-03-29T01:00 in UTC, or how long ago, as 6h")
        at_us = call.now_us - ago_us
    return to_text(at_us)


def _among(sight: Sight, wanted: RunsWanted) -> set[str] | None:
    return None if wanted.jobs is None else set(sight.find(wanted.jobs))


def _runs(call: Call, sight: Sight, wanted: RunsWanted, key: RunKey | None) -> dict[str, Any]:
    found = sight.runs(wanted.rows, _ROWS, key, _among(sight, wanted))
    following = encode_cursor(found.following)
    rows = slot_rows(found.runs, call.now_us)
    return {
        "summary": summarize(sight),
        "rows": rows,
        "nodes": any(row.node for row in rows),
        "following": None if following is None else wanted.link(cursor=following),
        "counts": _counts(sight, wanted),
        "total": None if wanted.jobs is not None else _said(sight.count(wanted.rows, _MOST)),
    }


def _counts(sight: Sight, wanted: RunsWanted) -> list[tuple[str, str, str]]:
    """Return how many rows each exceptional state has: its name, the number and the link; nothing of what is 0.

    The words of ``q`` are about jobs, which the ledger does not hold: nothing is counted with them.
    """
    if wanted.jobs is not None or wanted.state:
        return []
    found = ((state, sight.count(replace(wanted.rows, state=state), _MOST)) for state in _COUNTED)
    return [(state, _said(count) or "", wanted.link(state=state)) for state, count in found if count and count.rows]


def _said(count: RunCount | None) -> str | None:
    if count is None:
        return None
    return f"{count.rows:,}" if count.is_exact else f"≥ {count.rows:,}"


def _file(call: Call, sight: Sight, wanted: RunsWanted, kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="runs.{kind}"'}
    lines = _csv if kind == "csv" else ndjson
    media = "text/csv; charset=utf-8" if kind == "csv" else NDJSON
    head = _csv_lines([Run.__struct_fields__]) if kind == "csv" else b""
    return StreamingResponse(_pages(call, sight, wanted, head, lines), headers=headers, media_type=media)


async def _pages(call: Call, sight: Sight, wanted: RunsWanted, head: bytes, lines: Any) -> AsyncIterator[bytes]:
    """Yield all rows that fit, some at a time."""
    among = await call.site.read(lambda: _among(sight, wanted))
    key: RunKey | None = None
    yield head
    while True:
        found = await call.site.read(lambda key=key: sight.runs(wanted.rows, _AT_ONCE, key, among))  # type: ignore[misc]
        yield lines(found.runs)
        key = found.following
        if key is None:
            return


def _csv(runs: Iterable[Run]) -> bytes:
    """Return rows as lines of CSV (RFC 4180)."""
    return _csv_lines([_cell(value) for value in astuple(run)] for run in runs)


def _csv_lines(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
