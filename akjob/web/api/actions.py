"""What the API changes: runs, pauses. It takes names of jobs that the folder has, never code, commands or paths."""

import asyncio
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from akjob.control.requests import PauseJob, ResumeJob, RunJob, StopRuns
from akjob.instants import MINUTE, SECOND, to_text
from akjob.query.jobs import ListedJob
from akjob.query.runs import Run
from akjob.toml.wire import to_json
from akjob.web.acting import Action, act, ask
from akjob.web.api.jobs import found_job
from akjob.web.api.lists import as_json
from akjob.web.api.runs import found_run
from akjob.web.api.times import duration_of, read_instant
from akjob.web.bodies import decode, read_body
from akjob.web.idempotency import once
from akjob.web.problems import ProblemError
from akjob.web.site import Call

_LONGEST_WAIT_US = 10 * MINUTE
_LONGEST_REASON = 1000
_OPEN = frozenset({"queued", "running"})


class RunRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Run a job now. ``args`` are keyword arguments, over those of its file."""

    job: str
    args: dict[str, Any] = {}
    reason: str | None = None


class StopRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End a run, and why."""

    reason: str | None = None


class PauseRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let the slots of a job pass by, until an instant or until it is resumed, and why."""

    job: str
    reason: str
    until: str | None = None


async def start_run(call: Call) -> Response:
    """Run a job now; with ``wait`` the answer comes when it has ended."""
    wait_us = duration_of(call, "wait", _LONGEST_WAIT_US)
    body = await read_body(call.request)
    wanted = decode(call.request, body, RunRequest)
    reason = reason_of(wanted.reason)
    found_job(await call.sight(), wanted.job)
    action = Action(name="run.start", target=wanted.job, reason=reason)
    request = RunJob(job=wanted.job, args=to_json(wanted.args), by=call.principal.name, reason=reason)

    async def start() -> Response:
        run = (await ask(call, request)).run
        return await _started(call, run, wait_us)

    return await once(call, body, lambda: act(call, action, start))


async def _started(call: Call, run: str, wait_us: int | None) -> Response:
    headers = {"Location": f"/api/v1/runs/{run}"}
    row = await _row(call, run) if wait_us is None else await _ended(call, run, wait_us / SECOND)
    return as_json(row, 202 if row.state in _OPEN else 200 if wait_us is not None else 202, headers)


async def _row(call: Call, run: str) -> Run:
    sight = await call.sight()
    return await call.site.read(lambda: found_run(sight, run))


async def _ended(call: Call, run: str, patience_s: float) -> Run:
    """Return the row of a run once it has ended; as it is where that takes too long, or the program ends."""
    site = call.site
    end = asyncio.get_running_loop().time() + patience_s
    with site.streams.open(call.principal) as ended, site.feed.listen() as news:
        while True:
            news.clear()
            row = await _row(call, run)
            left_s = end - asyncio.get_running_loop().time()
            if row.state not in _OPEN or left_s <= 0 or ended.is_set():
                return row
            await _first_of(left_s, ended, news)


async def _first_of(seconds: float, *events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def stop_run(call: Call) -> Response:
    """End a run: its stop signal first, SIGKILL after ``kill_after``."""
    body = await read_body(call.request)
    wanted = decode(call.request, body, StopRequest) if body else StopRequest()
    reason = reason_of(wanted.reason)
    run = await _row(call, call.path("id"))
    action = Action(name="run.stop", target=run.id, reason=reason)

    async def stop() -> Response:
        if run.state not in _OPEN:
            raise ProblemError("refused", f"run {run.id} has ended: {run.state}", "There is nothing to stop.")
        await ask(call, StopRuns(target=run.id, by=call.principal.name, reason=reason))
        return as_json(await _row(call, run.id), 202)

    return await once(call, body, lambda: act(call, action, stop))


async def pause_job(call: Call) -> Response:
    """Let the slots of a job pass by."""
    body = await read_body(call.request)
    wanted = decode(call.request, body, PauseRequest)
    reason = reason_of(wanted.reason)
    if reason is None:
        raise ProblemError("bad-body", "the reason is empty", "Give a reason for those who see the pause.")
    until_us = None if wanted.until is None else _future(wanted.until, call.now_us)
    found_job(await call.sight(), wanted.job)
    action = Action(name="job.pause", target=wanted.job, reason=reason)
    until = None if until_us is None else to_text(until_us)

    async def pause() -> Response:
        await ask(call, PauseJob(job=wanted.job, until=until, reason=reason, by=call.principal.name))
        return as_json(await _listed(call, wanted.job))

    return await once(call, body, lambda: act(call, action, pause))


async def resume_job(call: Call) -> Response:
    """Lift the pause of a job."""
    name = call.path("name")
    found_job(await call.sight(), name)
    action = Action(name="job.resume", target=name)

    async def resume() -> Response:
        await ask(call, ResumeJob(job=name, by=call.principal.name))
        return as_json(await _listed(call, name))

    return await once(call, b"", lambda: act(call, action, resume))


async def _listed(call: Call, name: str) -> ListedJob:
    sight = await call.sight()
    return await call.site.read(lambda: found_job(sight, name).listed())


def _future(text: str, now_us: int) -> int:
    found = read_instant(text)
    if found is None:
        raise ProblemError("bad-body", f"until: {text[:80]!r} is not a time", "Write 2026-03-29T01:00:00Z, or null.")
    if found <= now_us:
        raise ProblemError("bad-body", f"until: {text[:80]} is over", "Give a time to come, or null.")
    return found


def reason_of(text: str | None) -> str | None:
    """Return a reason; None for none. Raises ProblemError for a long one."""
    if text is not None and len(text) > _LONGEST_REASON:
        raise ProblemError("bad-body", f"the reason has over {_LONGEST_REASON} characters", "Write a shorter reason.")
    return (text or "").strip() or None
