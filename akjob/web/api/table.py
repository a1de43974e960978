"""The routes of the API. Each says what it needs and what it answers; the description is made of this."""

from akjob.control.status import BrokenFile, Status
from akjob.query.jobs import ShownJob
from akjob.web.api import jobs, status
from akjob.web.api.jobs import ApiJob
from akjob.web.api.lists import PAGING, Page
from akjob.web.routes import Answers, Parameter, Route

_JOB_FILTER = (
    Parameter(name="q", about="A part of the name."),
    Parameter(name="tag", about="Only jobs with this tag; repeat it to require several."),
    Parameter(
        name="state", about="A state of the job (ready, running, paused, disabled, broken, done) or of its last run."
    ),
)

ROUTES = (
    Route(
        method="GET",
        path="/api/v1/status",
        handler=status.show_status,
        needs="read",
        answers=Answers(about="The programs, the job set, what is broken, what runs.", answer=Status),
    ),
    Route(
        method="GET",
        path="/api/v1/broken",
        handler=status.list_broken,
        needs="read",
        answers=Answers(about="The files that were refused.", answer=Page[BrokenFile], parameters=PAGING),
    ),
    Route(
        method="GET",
        path="/api/v1/jobs",
        handler=jobs.list_jobs,
        needs="read",
        answers=Answers(about="The jobs, sorted by name.", answer=Page[ApiJob], parameters=(*_JOB_FILTER, *PAGING)),
    ),
    Route(
        method="GET",
        path="/api/v1/jobs/{name:path}",
        handler=jobs.show_job,
        needs="read",
        answers=Answers(about="One job, with its resolved definition.", answer=ShownJob, codes=("unknown-job",)),
    ),
)
