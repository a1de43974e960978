"""``/api/v1/slots/{name}``: what became of a job's slots, and the slots to come, in one list."""

from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict
from starlette.responses import Response

from akjob.instants import from_text, to_text
from akjob.ledger import RunFilter
from akjob.query.jobs import JobView
from akjob.query.runs import Run
from akjob.query.sight import Sight
from akjob.web.api.jobs import found_job
from akjob.web.api.lists import answer_list, wants_ndjson
from akjob.web.api.times import instant_of
from akjob.web.site import Call

_MOST_ATTEMPTS = 1000
_FAR_US = 253_402_300_799_000_000  # the last second of the year 9999


class Slot(Struct, frozen=True, kw_only=True):
    """One slot: a row of the ledger with its columns; one to come has ``job``, ``slot``, and ``state`` ``coming``."""

    job: str
    slot: str
    state: str
    id: str | UnsetType = UNSET
    slot_last: str | UnsetType = UNSET
    attempt: int | UnsetType = UNSET
    trigger: str | UnsetType = UNSET
    reason: str | UnsetType | None = UNSET
    count: int | UnsetType = UNSET
    queued_at: str | UnsetType = UNSET
    started_at: str | UnsetType | None = UNSET
    ended_at: str | UnsetType | None = UNSET
    exit_code: int | UnsetType | None = UNSET
    signal: int | UnsetType | None = UNSET
    error: str | UnsetType | None = UNSET
    result: str | UnsetType | None = UNSET
    pid: int | UnsetType | None = UNSET
    host: str | UnsetType | None = UNSET
    user_cpu_s: float | UnsetType | None = UNSET
    system_cpu_s: float | UnsetType | None = UNSET
    max_rss_bytes: int | UnsetType | None = UNSET
    definition_sha256: str | UnsetType | None = UNSET
    git_commit: str | UnsetType | None = UNSET
    git_dirty: bool | UnsetType | None = UNSET
    by: str | UnsetType | None = UNSET
    cause: str | UnsetType | None = UNSET
    node: str | UnsetType | None = UNSET


class _Range(Struct, frozen=True):
    """The instants between which slots are wanted, both exclusive."""

    after_us: int
    before_us: int


async def list_slots(call: Call) -> Response:
    """Answer with the slots between two instants, oldest first; without them, those around now."""
    after_us, before_us = instant_of(call, "after"), instant_of(call, "before")
    sight = await call.sight()
    view = found_job(sight, call.path("name"))
    endless = before_us is None and wants_ndjson(call)

    def fetch(limit: int, key: int | None) -> tuple[list[Slot], int | None]:
        begin_us = key if key is not None else after_us
        if begin_us is None:
            begin_us = _begin(sight, view, before_us, limit)
        found = _between(sight, view, _Range(begin_us, _FAR_US if before_us is None else before_us), limit)
        more = len(found) >= limit and not endless
        return found, from_text(found[-1].slot) if more else None

    return await answer_list(call, int, lambda limit, key: call.site.read(lambda: fetch(limit, key)))


def _begin(sight: Sight, view: JobView, before_us: int | None, limit: int) -> int:
    """Return the instant from which on half of the slots are past ones; all of them where none is to come."""
    is_past = before_us is not None and before_us <= view.now_us
    count = limit if is_past else max(1, limit // 2)
    until = None if before_us is None else to_text(before_us)
    newest = sight.runs(RunFilter(job=view.name, until=until), count).runs
    return from_text(newest[-1].slot) - 1 if newest else view.now_us


def _between(sight: Sight, view: JobView, wanted: _Range, limit: int) -> list[Slot]:
    """Return the first slots of a range: rows, then slots to come that have none. A slot's attempts stay together."""
    rows = sight.rows_between(view, to_text(wanted.after_us + 1), to_text(wanted.before_us), limit)
    past = [_of_row(row) for row in rows]
    if len(rows) == limit:
        return _with_all_attempts(sight, view, past)
    after_us = max(view.now_us, wanted.after_us, *(from_text(row.slot) for row in rows[-1:]))
    coming = sight.coming(view, after_us, limit - len(past))
    return [*past, *(_to_come(view, slot_us) for slot_us in coming if slot_us < wanted.before_us)]


def _with_all_attempts(sight: Sight, view: JobView, found: list[Slot]) -> list[Slot]:
    """Return rows with all attempts of the last slot: the next page begins behind it."""
    last = found[-1].slot
    kept = [slot for slot in found if slot.slot != last]
    attempts = sight.rows_between(view, last, to_text(from_text(last) + 1), _MOST_ATTEMPTS)
    return [*kept, *map(_of_row, attempts)]


def _of_row(row: Run) -> Slot:
    values: dict[str, Any] = asdict(row)
    return Slot(**values)


def _to_come(view: JobView, slot_us: int) -> Slot:
    return Slot(job=view.name, slot=to_text(slot_us), state="coming")
