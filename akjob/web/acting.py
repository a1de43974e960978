"""What changes something: each is a row of the audit, an event ``web.action``, and the ``by`` of what it did."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import Struct
from starlette.responses import Response

from akjob.control.requests import A, Request
from akjob.errors import AkjobError
from akjob.instants import to_text
from akjob.web import asking
from akjob.web.problems import ProblemError, of_akjob_error
from akjob.web.site import Call
from akjob.web.store import AuditRow

T = TypeVar("T")


class Action(Struct, frozen=True, kw_only=True):
    """What is asked for: ``name`` as ``run.start``, the job, run or backfill it is about, and why."""

    name: str
    target: str
    reason: str | None = None


async def act(call: Call, action: Action, work: Callable[[], Awaitable[Response]]) -> Response:
    """Do something and note it, whether it was done or refused."""
    try:
        response = await work()
    except ProblemError as error:
        note(call, action, error.problem.status)
        raise
    except AkjobError as error:
        refused = of_akjob_error(error)
        note(call, action, refused.problem.status)
        raise refused from error
    note(call, action, response.status_code)
    return response


def note(call: Call, action: Action, status: int) -> None:
    """Write the row of the audit, and the event."""
    principal = call.principal
    row = AuditRow(
        at=to_text(call.now_us),
        by=principal.name,
        credential=principal.credential,
        action=action.name,
        target=action.target,
        reason=action.reason,
        status=status,
    )
    call.site.store.audit(row)
    fields = {"action": row.action, "target": row.target, "by": row.by, "status": status}
    call.site.log.say("web.action", **fields, **({"reason": row.reason} if row.reason else {}))


async def ask(call: Call, request: Request[A]) -> A:
    """Send akjobd a request, in a thread of its own kind: one that hangs holds up no reading."""
    return await call.site.act(lambda: asking.ask(call.site.paths, request))
