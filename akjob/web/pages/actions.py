"""What the pages' forms do. Each is a POST that passes the gate, is noted in the audit, and leads back to a page."""

import hashlib
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import parse_qsl, quote

import msgspec
from starlette.responses import RedirectResponse, Response

from akjob.control.requests import PauseJob, ResumeJob, RunJob, StopRuns
from akjob.errors import AkjobError
from akjob.instants import to_text
from akjob.notify.outbox import Outbox
from akjob.notify.testing import send_test
from akjob.toml.read import read_table
from akjob.toml.wire import to_json
from akjob.units import parse_duration
from akjob.web.acting import Action, act, ask
from akjob.web.api.actions import reason_of
from akjob.web.api.jobs import found_job
from akjob.web.api.runs import found_run
from akjob.web.api.times import read_instant
from akjob.web.bodies import read_body
from akjob.web.idempotency import once_under
from akjob.web.pages.others import check_jobs
from akjob.web.pages.rendering import render_problem
from akjob.web.problems import ProblemError
from akjob.web.site import Call

_MOST_FIELDS = 100
_LONGEST_FIELD = 10_000
_ARGUMENT = "arg:"
_TEXT = "text:"

Form = Mapping[str, str]
Work = Callable[[Call, Form], Awaitable[str]]


def action(work: Work) -> Callable[[Call], Awaitable[Response]]:
    """Return a handler: it reads the form, does the work, and leads to the page that the work names."""

    async def handle(call: Call) -> Response:
        form = await _form(call)
        try:
            where = await work(call, form)
        except ProblemError as error:
            return await render_problem(call, error)
        return RedirectResponse(where, HTTPStatus.SEE_OTHER)

    return handle


async def _form(call: Call) -> Form:
    kind = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise ProblemError("bad-media-type", "the body is not a form", "Use the page's own buttons.")
    try:
        fields = parse_qsl(
            (await read_body(call.request)).decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise ProblemError("bad-body", "the form cannot be read", "Use the page's own buttons.") from None
    return {name: value[:_LONGEST_FIELD] for name, value in fields}


def _job_page(name: str) -> str:
    return f"/jobs/{quote(name, safe='/@')}"


async def run_now(call: Call, form: Form) -> str:
    """Run a job. A form that is sent twice runs it once: its key is the page's own."""
    name, reason = form.get("job", ""), reason_of(form.get("reason"))
    found_job(await call.sight(), name)
    args = to_json(_arguments(form))

    async def work() -> str:
        run = (await ask(call, RunJob(job=name, args=args, by=call.principal.name, reason=reason))).run
        return f"/runs/{run}"

    action = Action(name="run.start", target=name, reason=reason)
    return await once_a_form(call, form, action, (args, reason), work, _job_page(name))


async def once_a_form(  # noqa: PLR0913, PLR0917 - what a form is about
    call: Call, form: Form, action: Action, asked: object, work: Callable[[], Awaitable[str]], meanwhile: str
) -> str:
    """Do something once however often its form is sent, whose key is the page's own; return the page it leads to.

    ``asked`` is what the form asks for. While it is being done, the same form leads to the page ``meanwhile``.
    """

    async def redirect() -> Response:
        return RedirectResponse(await work(), HTTPStatus.SEE_OTHER)

    async def start() -> Response:
        return await act(call, action, redirect)

    key = form.get("key")
    if not key:
        return (await start()).headers["location"]
    digest = hashlib.sha256(msgspec.json.encode((key, action.name, action.target, asked)))
    try:  # the key is of all that is asked for: other arguments from the same page are another request
        done = await once_under(call, f"form:{digest.hexdigest()}", digest.digest(), start)
    except ProblemError as error:
        if error.problem.code != "in-doubt":
            raise
        return meanwhile  # a second click came while the first is being done
    return done.headers["location"]


def _arguments(form: Form) -> dict[str, object]:
    """Return the arguments of a form; a field that is left empty is not given. Raises ProblemError."""
    found: dict[str, object] = {}
    for field, text in form.items():
        if field.startswith(_TEXT) and text:
            found[field.removeprefix(_TEXT)] = text
        elif field.startswith(_ARGUMENT) and text.strip():
            found[field.removeprefix(_ARGUMENT)] = _value(field, text)
    return found


def _value(field: str, text: str) -> object:
    """Return the value that a field has in TOML, or else in JSON. Raises ProblemError with what is wrong in it."""
    table, _, problem = read_table("the form", f"value = {text}\n")
    if problem is not None or set(table) != {"value"}:
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(text.encode())
        name = field.removeprefix(_ARGUMENT)
        said = "it is more than one value" if problem is None else problem.message
        raise ProblemError(
            "bad-body", f"{name}: {text[:80]!r} is not a value of TOML: {said}", 'Write a string as "text".'
        )
    return table["value"]


async def stop(call: Call, form: Form) -> str:
    """End a run, or all runs of a job."""
    target, sight = form.get("target", ""), await call.sight()
    job = sight.job(target)
    if job is not None:
        page = _job_page(target)
    else:
        run = await call.site.read(lambda: found_run(sight, target))
        page = f"/runs/{run.id}?stopped={to_text(call.now_us)[:19]}Z"

    async def work() -> Response:
        await ask(call, StopRuns(target=target, by=call.principal.name, reason=reason_of(form.get("reason"))))
        return Response(status_code=HTTPStatus.SEE_OTHER)

    await act(call, Action(name="run.stop", target=target), work)
    return page


async def pause(call: Call, form: Form) -> str:
    """Pause a job, for a reason."""
    name, reason = form.get("job", ""), reason_of(form.get("reason"))
    if reason is None:
        raise ProblemError("bad-body", "the reason is empty", "Give a reason for those who see the pause.")
    found_job(await call.sight(), name)
    until_us = until_of(form.get("until", "").strip(), call.now_us)
    until = None if until_us is None else to_text(until_us)

    async def work() -> Response:
        await ask(call, PauseJob(job=name, until=until, reason=reason, by=call.principal.name))
        return Response(status_code=HTTPStatus.SEE_OTHER)

    await act(call, Action(name="job.pause", target=name, reason=reason), work)
    return _job_page(name)


def until_of(text: str, now_us: int) -> int | None:
    """Return when a pause ends: a time to come or so long from now, None for none. Raises ProblemError."""
    if not text:
        return None
    try:
        return now_us + parse_duration(text)
    except ValueError:
        found = read_instant(text)
    if found is None or found <= now_us:
        said = "is over" if found is not None else "is neither a time nor a duration"
        raise ProblemError("bad-body", f"until: {text[:80]!r} {said}", "Write 2026-03-29T02:00:00Z, or 2h30m.")
    return found


async def resume(call: Call, form: Form) -> str:
    """Lift the pause of a job."""
    name = form.get("job", "")
    found_job(await call.sight(), name)

    async def work() -> Response:
        await ask(call, ResumeJob(job=name, by=call.principal.name))
        return Response(status_code=HTTPStatus.SEE_OTHER)

    await act(call, Action(name="job.resume", target=name), work)
    return _job_page(name)


async def acknowledge(call: Call, form: Form) -> str:
    """Acknowledge an incident: no more reminders of it."""
    text, reason = form.get("incident", ""), reason_of(form.get("reason")) or ""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0  # noqa: PLR2004 - of SQLite's size
    sight = await call.sight()

    def work_now() -> None:
        outbox = Outbox(call.site.paths.notify_db)
        try:
            check_jobs(sight, next((one for one in outbox.incidents() if one.number == number), None), number)
            outbox.acknowledge(number, call.principal.name, reason, call.now_us)
        finally:
            outbox.close()

    async def work() -> Response:
        await call.site.read(work_now)
        return Response(status_code=HTTPStatus.SEE_OTHER)

    await act(call, Action(name="incident.acknowledge", target=str(number), reason=reason or None), work)
    return "/messages"


async def test_channel(call: Call, form: Form) -> str:
    """Send a test message to a channel."""
    name = form.get("channel", "")
    channel = call.site.config.channels.get(name)
    if channel is None:
        raise ProblemError("not-found", f"there is no channel {name[:80]!r}", "The page lists them.")

    async def work() -> Response:
        error = await call.site.act(
            lambda: send_test(call.site.paths, name, channel, socket.gethostname(), call.now_us)
        )
        if error is not None:
            raise AkjobError(f"{name} did not take the message: {error}", hint="Correct [channels] in etc/akjob.toml.")
        return Response(status_code=HTTPStatus.SEE_OTHER)

    await act(call, Action(name="channel.test", target=name), work)
    return "/messages"
