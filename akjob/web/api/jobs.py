"""``/api/v1/jobs``: the jobs, and one of them."""

from msgspec.structs import asdict
from starlette.responses import Response

from akjob.jobset.git import Provenance
from akjob.query.jobs import JobView, ListedJob, ShownJob
from akjob.query.sight import JobFilter, Sight
from akjob.query.strips import StripSlot
from akjob.schedule import describe
from akjob.web.api.lists import answer_list, as_json, text_of
from akjob.web.problems import ProblemError
from akjob.web.site import Call


class ApiJob(ListedJob, frozen=True, kw_only=True):
    """One job of the list: what ``akjob list --json`` has, the schedule in words, its last run, its newest slots."""

    schedule: str
    last_run: str | None
    strip: tuple[StripSlot, ...]


async def list_jobs(call: Call) -> Response:
    """Answer with the jobs that fit, sorted by name."""
    tags = tuple(call.request.query_params.getlist("tag"))
    wanted = JobFilter(part=text_of(call, "q"), tags=tags, state=text_of(call, "state"))
    sight = await call.sight()

    def fetch(limit: int, after: str | None) -> tuple[list[ApiJob], str | None]:
        views = sight.jobs(wanted, after, limit + 1)
        page = views[:limit]
        strips = sight.strips(view.name for view in page)
        return [listed(view, strips[view.name]) for view in page], page[-1].name if len(views) > limit else None

    return await answer_list(call, str, lambda limit, key: call.site.read(lambda: fetch(limit, key)))


def listed(view: JobView, slots: tuple[StripSlot, ...]) -> ApiJob:
    """Return a job with its newest slots."""
    return ApiJob(
        **asdict(view.listed()),
        schedule=words(view),
        last_run=None if view.row is None else view.row["last_run"],
        strip=slots,
    )


def words(view: JobView) -> str:
    """Return the schedule in words."""
    return "" if view.spec is None else "; ".join(describe(view.spec.schedule, view.now_us))


async def show_job(call: Call) -> Response:
    """Answer with all that is known of one job."""
    sight = await call.sight()
    view = found_job(sight, call.path("name"))
    return as_json(await call.site.read(lambda: shown(call, view)))


def shown(call: Call, view: JobView) -> ShownJob:
    """Return a job as ``akjob show`` has it."""
    return view.shown(Provenance(call.site.paths).refresh_now().commit)


def found_job(sight: Sight, name: str) -> JobView:
    """Return a job. Raises ProblemError for one that is not there, with the nearest names."""
    view = sight.job(name)
    if view is None:
        near = sight.nearest(name[:200])
        hint = f"Did you mean {' or '.join(near)}?" if near else "GET /api/v1/jobs lists them."
        raise ProblemError("unknown-job", f"there is no job {name[:200]!r}", hint)
    return view
