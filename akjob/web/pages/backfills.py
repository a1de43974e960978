"""Backfills: which slots one would run, begin it, see how far it is, stop it."""

from datetime import datetime, tzinfo
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from msgspec import Struct
from starlette.responses import Response

from akjob.control.requests import BeginBackfill, StopRuns
from akjob.errors import AkjobError
from akjob.instants import SECOND, from_datetime, from_text, to_text
from akjob.ledger import open_reader
from akjob.query import plan
from akjob.query.jobs import JobView
from akjob.query.text import span
from akjob.schedule import get_zone
from akjob.units import parse_duration
from akjob.web.acting import Action, act, ask
from akjob.web.api.backfills import MOST_PARALLEL, seen
from akjob.web.api.jobs import found_job
from akjob.web.api.lists import text_of
from akjob.web.pages.actions import Form, once_a_form
from akjob.web.pages.rendering import render
from akjob.web.pages.summary import summarize
from akjob.web.problems import ProblemError
from akjob.web.site import Call

PAGE = "/backfills"
_SHOWN = 200


class BackfillForm(Struct, frozen=True, kw_only=True, rename={"begin": "from"}):
    """The form: what is to run again, as it was typed."""

    job: str = ""
    begin: str = ""
    until: str = ""
    only: Literal["missing", "failed", "all"] = "missing"
    parallel: str = "1"
    order: Literal["oldest", "newest"] = "oldest"


class Preview(Struct, frozen=True, kw_only=True):
    """What would run: the slots in the order of the backfill, and how long it is expected to take."""

    slots: tuple[int, ...]
    zone: str
    takes: str
    next_us: int | None


async def show_backfills(call: Call) -> Response:
    """Show the backfills and, where the form is filled in, what it would run."""
    sight = await call.sight()
    fields = {name: text for name in BackfillForm.__struct_encode_fields__ if (text := text_of(call, name))}
    wanted, preview, refused = _wanted(fields), None, ""
    may_begin = call.principal.scope in {"operate", "admin"}
    if may_begin and wanted.job and wanted.begin and wanted.until:
        view = found_job(sight, wanted.job)
        try:
            begun = await ask(call, _request(call, view, wanted, dry_run=True))
            preview = await call.site.read(lambda: _preview(call, view, wanted, begun.slots))
        except AkjobError as error:
            refused = f"{error.message} {error.hint}"
        except ProblemError as error:
            refused = f"{error.problem.detail} {error.problem.hint}"

    def ask_ledger() -> dict[str, Any]:
        return {"summary": summarize(sight), "backfills": seen(sight)[:_SHOWN]}

    values = await call.site.read(ask_ledger)
    return render(call, "backfills.html", **values, wanted=wanted, preview=preview, refused=refused)


async def begin(call: Call, form: Form) -> str:
    """Begin a backfill; akjobd runs it. A form that is sent twice begins it once."""
    wanted = _wanted(
        {name: text for name, text in form.items() if name in BackfillForm.__struct_encode_fields__ and text}
    )
    view = found_job(await call.sight(), wanted.job)
    request = _request(call, view, wanted, dry_run=False)

    async def work() -> str:
        await ask(call, request)
        return PAGE

    return await once_a_form(call, form, Action(name="backfill.start", target=view.name), request, work, PAGE)


async def stop(call: Call, form: Form) -> str:
    """Stop a backfill: nothing more of it starts."""
    number, sight = form.get("id", ""), await call.sight()
    found = next((one for one in await call.site.read(lambda: seen(sight)) if one.id == number), None)
    if found is None:
        raise ProblemError("unknown-backfill", f"there is no backfill {number[:64]!r}", "The page lists them.")

    async def work() -> Response:
        await ask(call, StopRuns(target=found.id, by=call.principal.name, reason=None))
        return Response(status_code=HTTPStatus.SEE_OTHER)

    await act(call, Action(name="backfill.stop", target=found.id), work)
    return PAGE


def _wanted(fields: dict[str, str]) -> BackfillForm:
    try:
        return msgspec.convert(fields, BackfillForm)
    except msgspec.ValidationError as error:
        raise ProblemError("bad-body", str(error), "Use the page's own form.") from None


def _request(call: Call, view: JobView, wanted: BackfillForm, *, dry_run: bool) -> BeginBackfill:
    """Return the request to akjobd. Raises ProblemError for a time or a number that cannot be read."""
    zone = get_zone("UTC" if view.spec is None else view.spec.schedule.zone)
    begin_us, until_us = (_instant(text, zone, call.now_us) for text in (wanted.begin, wanted.until))
    if begin_us >= until_us:
        raise ProblemError("bad-body", "the end is not after the beginning", "Give the earlier time first.")
    if not (wanted.parallel.isdecimal() and 1 <= int(wanted.parallel[:9]) <= MOST_PARALLEL):
        raise ProblemError("bad-body", f"{wanted.parallel[:80]!r} at once", f"Give a number up to {MOST_PARALLEL}.")
    return BeginBackfill(
        job=view.name,
        begin=to_text(begin_us),
        until=to_text(until_us),
        only=wanted.only,
        parallel=int(wanted.parallel),
        newest_first=wanted.order == "newest",
        dry_run=dry_run,
        by=call.principal.name,
    )


def _instant(text: str, zone: tzinfo, now_us: int) -> int:
    """Return the instant of a time, local in the job's zone without an offset, or of how long ago it is."""
    try:
        return now_us - parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return from_datetime(moment.replace(tzinfo=zone) if moment.tzinfo is None else moment)
    except (ValueError, OverflowError):
        hint = "Write 2026-03-01, 2026-03-01T02:30, or 7d for a week ago."
        raise ProblemError("bad-body", f"{text[:80]!r} is neither a time nor a duration", hint) from None


def _preview(call: Call, view: JobView, wanted: BackfillForm, slots: tuple[str, ...]) -> Preview:
    """Return what akjobd's answer means to a person."""
    took = open_reader(call.site.paths.ledger_url).durations([view.name], plan.SAMPLES).get(view.name, ())
    each_us = plan.expected_us(took)
    turns = -(-len(slots) // int(wanted.parallel))
    total_us = None if each_us is None else turns * each_us
    upcoming = view.next_start_us
    meets = total_us is not None and upcoming is not None and upcoming < call.now_us + total_us
    return Preview(
        slots=tuple(from_text(slot) for slot in slots),
        zone="UTC" if view.spec is None else view.spec.schedule.zone,
        takes="" if total_us is None else span(max(total_us, SECOND)),
        next_us=upcoming if meets else None,
    )
