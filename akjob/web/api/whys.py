"""``/api/v1/why/{name}``: why an instant of a job became what it did."""

from starlette.responses import Response

from akjob.web.api.jobs import found_job
from akjob.web.api.lists import as_json
from akjob.web.api.times import instant_of
from akjob.web.site import Call


async def explain(call: Call) -> Response:
    """Answer for one instant, past or future; without one, for now."""
    at_us = instant_of(call, "at")
    sight = await call.sight()
    view = found_job(sight, call.path("name"))
    return as_json(await call.site.read(lambda: sight.why(view, at_us)))
