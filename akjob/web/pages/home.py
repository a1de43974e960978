"""The first page: the jobs."""

from starlette.responses import Response

from akjob.query.sight import JobFilter
from akjob.web.pages.rendering import render
from akjob.web.site import Call


async def show_home(call: Call) -> Response:
    """Show all jobs: state, next slot, last outcome."""
    sight = await call.sight()
    jobs = await call.site.read(lambda: [view.listed() for view in sight.jobs(JobFilter())])
    return render(call, "home.html", jobs=jobs)
