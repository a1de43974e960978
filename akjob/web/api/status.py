"""``/api/v1/status`` and ``/api/v1/broken``."""

from starlette.responses import Response

from akjob.control.requests import GetStatus
from akjob.control.status import BrokenFile, Status
from akjob.errors import UnreachableError
from akjob.ledger import open_reader
from akjob.notify.outbox import with_messages
from akjob.query import status as statuses
from akjob.query.placing import with_waiting
from akjob.web import asking
from akjob.web.api.lists import answer_list, as_json
from akjob.web.site import Call


async def show_status(call: Call) -> Response:
    """Answer as ``akjob status --json`` does, also while akjobd is down."""
    return as_json(await status_of(call))


async def list_broken(call: Call) -> Response:
    """Answer with the files that were refused."""
    files = list((await status_of(call)).broken)

    async def fetch(limit: int, after: int | None) -> tuple[list[BrokenFile], int | None]:
        begin = after or 0
        end = begin + limit
        return files[begin:end], end if end < len(files) else None

    return await answer_list(call, int, fetch)


async def status_of(call: Call) -> Status:
    """Return the status, as far as the principal may know it."""
    sight = await call.sight()
    return await call.site.read(lambda: sight.status(_whole(call)))


def _whole(call: Call) -> Status:
    site = call.site
    try:
        found = asking.ask(site.paths, GetStatus()).status
    except UnreachableError:
        found = statuses.without_akjobd(site.paths, site.config, call.now_us).status
    if site.config.cluster is not None:
        found = with_waiting(found, open_reader(site.paths.ledger_url))
    return with_messages(found, site.paths.notify_db, call.now_us)
