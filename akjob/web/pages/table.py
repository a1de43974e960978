"""The routes of the pages, of their forms, and of what they are dressed in."""

from starlette.responses import Response

from akjob.web.pages import actions, backfills, bulk, job, jobs, nodes, others, plan, run_list, runs, timeline
from akjob.web.pages.rendering import static_files
from akjob.web.problems import ProblemError
from akjob.web.routes import Route
from akjob.web.site import Call


async def show_static(call: Call) -> Response:
    """Answer with the style sheet or the script; they were read when the program started."""
    found = static_files().get(call.path("name"))
    if found is None:
        raise ProblemError("not-found", "there is no such file", "The pages name those that there are.")
    content, kind = found
    return Response(content, headers={"cache-control": "private, max-age=31536000, immutable"}, media_type=kind)


ROUTES = (
    Route(method="GET", path="/", handler=jobs.show_jobs, needs="read"),
    Route(method="GET", path="/jobs/{name:path}", handler=job.show_job, needs="read"),
    Route(method="GET", path="/definition/{name:path}", handler=job.show_definition, needs="read"),
    Route(method="GET", path="/definition.toml/{name:path}", handler=job.download_definition, needs="read"),
    Route(method="GET", path="/names", handler=jobs.show_names, needs="read"),
    Route(method="GET", path="/strip/{name:path}", handler=jobs.show_strip, needs="read"),
    Route(method="GET", path="/bulk", handler=bulk.show_bulk, needs="operate"),
    Route(method="GET", path="/runs", handler=run_list.show_runs, needs="read"),
    Route(method="GET", path="/runs/{id}", handler=runs.show_run, needs="read"),
    Route(method="GET", path="/runs/{id}/lines", handler=runs.copy_lines, needs="read"),
    Route(method="GET", path="/timeline", handler=timeline.show_timeline, needs="read"),
    Route(method="GET", path="/plan", handler=plan.show_plan, needs="read"),
    Route(method="GET", path="/backfills", handler=backfills.show_backfills, needs="read"),
    Route(method="GET", path="/why", handler=others.show_why, needs="read"),
    Route(method="GET", path="/broken", handler=others.show_broken, needs="read"),
    Route(method="GET", path="/messages", handler=others.show_messages, needs="read"),
    Route(method="GET", path="/system", handler=others.show_system, needs="read"),
    Route(method="GET", path="/tv", handler=others.show_tv, needs="read"),
    Route(method="GET", path="/static/{name}", handler=show_static, needs="login"),
    Route(method="POST", path="/do/run", handler=actions.action(actions.run_now), needs="operate"),
    Route(method="POST", path="/do/bulk", handler=actions.action(bulk.do_bulk), needs="operate"),
    Route(method="POST", path="/do/stop", handler=actions.action(actions.stop), needs="operate"),
    Route(method="POST", path="/do/pause", handler=actions.action(actions.pause), needs="operate"),
    Route(method="POST", path="/do/resume", handler=actions.action(actions.resume), needs="operate"),
    Route(method="POST", path="/do/backfill", handler=actions.action(backfills.begin), needs="operate"),
    Route(method="POST", path="/do/stop-backfill", handler=actions.action(backfills.stop), needs="operate"),
    Route(method="POST", path="/do/acknowledge", handler=actions.action(actions.acknowledge), needs="operate"),
    Route(method="POST", path="/do/drain-node", handler=actions.action(nodes.drain), needs="admin"),
    Route(method="POST", path="/do/forget-node", handler=actions.action(nodes.forget), needs="admin"),
    Route(method="POST", path="/do/resume-node", handler=actions.action(nodes.resume_node), needs="admin"),
    Route(method="POST", path="/do/test-channel", handler=actions.action(actions.test_channel), needs="admin"),
)
