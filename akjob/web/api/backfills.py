"""``/api/v1/backfills``: runs of slots that are over, begun, listed and stopped."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field
from starlette.responses import Response

from akjob.control.requests import BackfillBegun, BeginBackfill, StopRuns
from akjob.instants import to_text
from akjob.ledger import BackfillColumns
from akjob.query.sight import Sight
from akjob.web.acting import Action, act, ask
from akjob.web.api.actions import StopRequest, reason_of
from akjob.web.api.jobs import found_job
from akjob.web.api.lists import answer_list, as_json
from akjob.web.api.times import read_instant
from akjob.web.bodies import decode, read_body
from akjob.web.idempotency import once
from akjob.web.problems import ProblemError
from akjob.web.site import Call

MOST_PARALLEL = 1000


class BackfillRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"begin": "from"}):
    """Run a job's slots in [from, until), each once; with ``dry_run`` only say which these are."""

    job: str
    begin: str
    until: str
    only: Literal["missing", "failed", "all"] = "missing"
    parallel: int = 1
    newest_first: bool = False
    dry_run: bool = False


class Begun(Struct, frozen=True, kw_only=True):
    """A backfill that was begun, ``slots`` being their number; of a dry run the job and its slots alone."""

    job: str
    slots: int | tuple[str, ...]
    id: str | UnsetType = UNSET
    first: str | UnsetType | None = UNSET
    last: str | UnsetType | None = UNSET


class Backfill(Struct, frozen=True, kw_only=True):
    """One backfill and how far it is, as ``akjob backfills --json`` has it."""

    id: str
    job: str
    from_: str = field(name="from")
    until: str
    slots: int
    done: int
    failed: int
    running: int
    state: str
    by: str | None


async def begin(call: Call) -> Response:
    """Begin a backfill; akjobd runs it."""
    body = await read_body(call.request)
    wanted = decode(call.request, body, BackfillRequest)
    found_job(await call.sight(), wanted.job)
    request = BeginBackfill(
        job=wanted.job,
        begin=_instant("from", wanted.begin),
        until=_instant("until", wanted.until),
        only=wanted.only,
        parallel=_parallel(wanted.parallel),
        newest_first=wanted.newest_first,
        dry_run=wanted.dry_run,
        by=call.principal.name,
    )
    if request.begin >= request.until:
        raise ProblemError("bad-body", "until is not after from", "Give the earlier time as from.")

    async def work() -> Response:
        answer = _begun(await ask(call, request))
        return as_json(answer, 200 if wanted.dry_run else 202)

    if wanted.dry_run:
        return await work()
    action = Action(name="backfill.start", target=wanted.job)
    return await once(call, body, lambda: act(call, action, work))


def _instant(name: str, text: str) -> str:
    found = read_instant(text)
    if found is None:
        raise ProblemError("bad-body", f"{name}: {text[:80]!r} is not a time", "Write 2026-03-29T01:00:00Z.")
    return to_text(found)


def _parallel(number: int) -> int:
    if 1 <= number <= MOST_PARALLEL:
        return number
    raise ProblemError("bad-body", f"parallel: {number} is not from 1 to {MOST_PARALLEL}", "Give a smaller number.")


def _begun(answer: BackfillBegun) -> Begun:
    if answer.id is None:
        return Begun(job=answer.job, slots=answer.slots)
    first, last = min(answer.slots, default=None), max(answer.slots, default=None)
    return Begun(job=answer.job, slots=len(answer.slots), id=answer.id, first=first, last=last)


async def list_backfills(call: Call) -> Response:
    """Answer with the backfills, newest first."""
    sight = await call.sight()

    def fetch(limit: int, after: str | None) -> tuple[list[Backfill], str | None]:
        found = seen(sight)
        start = 0 if after is None else next((at + 1 for at, one in enumerate(found) if one.id == after), len(found))
        page = found[start : start + limit]
        following = page[-1].id if start + limit < len(found) else None
        return page, following

    return await answer_list(call, str, lambda limit, key: call.site.read(lambda: fetch(limit, key)))


def seen(sight: Sight) -> list[Backfill]:
    """Return the backfills of the jobs that the principal may know of."""
    return [_shown(one) for one in sight.backfills()]


def _shown(one: BackfillColumns) -> Backfill:
    return Backfill(
        id=one["id"],
        job=one["job"],
        from_=one["from"],
        until=one["until"],
        slots=one["slots"],
        done=one["done"],
        failed=one["failed"],
        running=one["running"],
        state=one["state"],
        by=one["by"],
    )


async def stop(call: Call) -> Response:
    """Stop a backfill: nothing more of it starts; the run under way ends by itself."""
    body = await read_body(call.request)
    wanted = decode(call.request, body, StopRequest) if body else StopRequest()
    reason, number = reason_of(wanted.reason), call.path("id")
    sight = await call.sight()
    found = next((one for one in await call.site.read(lambda: seen(sight)) if one.id == number), None)
    if found is None:
        hint = "GET /api/v1/backfills lists them."
        raise ProblemError("unknown-backfill", f"there is no backfill {number[:64]!r}", hint)

    async def work() -> Response:
        if found.state != "running":
            raise ProblemError("refused", f"backfill {found.id} has ended: {found.state}", "There is nothing to stop.")
        await ask(call, StopRuns(target=found.id, by=call.principal.name, reason=reason))
        again = await call.sight()
        stopped = await call.site.read(lambda: [one for one in seen(again) if one.id == found.id])
        return as_json(stopped[0], 202)

    return await once(call, body, lambda: act(call, Action(name="backfill.stop", target=found.id, reason=reason), work))
