"""``/metrics`` and ``/metrics/jobs``: the same text that ``akjob metrics`` prints."""

from collections.abc import Callable

from starlette.responses import PlainTextResponse, Response

from akjob import metrics
from akjob.control.requests import GetStatus
from akjob.control.status import Status
from akjob.errors import UnreachableError
from akjob.ledger import open_reader
from akjob.metrics import MetricFacts, Selection
from akjob.metrics.intervals import Intervals
from akjob.query.visibility import visible
from akjob.web import asking
from akjob.web.routes import Route
from akjob.web.site import Call, Site

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_intervals = Intervals()  # computed once a slot, for all who ask


async def show_metrics(call: Call) -> Response:
    """Answer with the metrics of the root, also while akjobd is down."""
    return await _answer(call, lambda: metrics.render(_facts(call)))


async def show_job_metrics(call: Call) -> Response:
    """Answer with the metrics of the jobs that the query selects and the token allows."""
    selection = Selection(
        tag=call.query("tag"), match=call.query("match"), may_see=lambda job: visible(call.principal, job)
    )
    return await _answer(call, lambda: _of_jobs(call, selection))


def _of_jobs(call: Call, selection: Selection) -> bytes:
    """Return the series of jobs; they need nothing of akjobd, and nothing of the logs and the messages."""
    live = call.site.live
    counters = open_reader(call.site.paths.ledger_url).job_counters()
    return metrics.render_jobs(live.snapshot(call.now_us), counters, selection, _intervals)


async def _answer(call: Call, text: Callable[[], bytes]) -> Response:
    return PlainTextResponse(await call.site.read(text), media_type=_TYPE)


def _facts(call: Call) -> MetricFacts:
    site = call.site
    reader = open_reader(site.paths.ledger_url)
    return metrics.gather(site.paths, site.live.snapshot(call.now_us), _status(site), reader)


def _status(site: Site) -> Status | None:
    try:
        return asking.ask(site.paths, GetStatus()).status
    except UnreachableError:
        return None


ROUTES = (
    Route(method="GET", path="/metrics", handler=show_metrics, needs="metrics"),
    Route(method="GET", path="/metrics/jobs", handler=show_job_metrics, needs="metrics"),
)
