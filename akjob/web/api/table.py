"""The routes of the API. Each says what it needs and what it answers; the description is made of this."""

from akjob.control.status import BrokenFile, Status
from akjob.query.happened import Change
from akjob.query.jobs import ListedJob, ShownJob
from akjob.query.runs import Run
from akjob.query.why import Why
from akjob.web.api import actions, backfills, description, events, jobs, logs, runs, slots, status, whys
from akjob.web.api.actions import PauseRequest, RunRequest, StopRequest
from akjob.web.api.backfills import Backfill, BackfillRequest, Begun
from akjob.web.api.jobs import ApiJob
from akjob.web.api.lists import NDJSON, PAGING, Page
from akjob.web.api.runs import ApiRun
from akjob.web.api.slots import Slot
from akjob.web.routes import Answers, Parameter, Route

_JOB_FILTER = (
    Parameter(name="q", about="A part of the name."),
    Parameter(name="tag", about="Only jobs with this tag; repeat it to require several."),
    Parameter(name="state", about="ready, running, paused, disabled, broken, done, or the state of the last run."),
)
_RUN_FILTER = (
    Parameter(name="job", about="Only runs of this job."),
    Parameter(name="state", about="Only runs in this state."),
    Parameter(name="trigger", about="Only runs with this trigger."),
    Parameter(name="since", about="Only slots from this instant on."),
    Parameter(name="until", about="Only slots before this instant."),
)
_LOG_FILTER = (
    Parameter(name="level", about="Only lines of this level and above: debug, info, warning, error, critical."),
    Parameter(name="grep", about="Only lines in which this regular expression is found."),
    Parameter(name="stream", about="Only what was printed there: stdout or stderr."),
    Parameter(name="raw", about="1: the output's bytes; a Range may be asked for.", type=int),
)
_AROUND = (
    Parameter(name="after", about="Only slots after this instant."),
    Parameter(name="before", about="Only slots before this instant."),
)

READING = (
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
    Route(
        method="GET",
        path="/api/v1/slots/{name:path}",
        handler=slots.list_slots,
        needs="read",
        answers=Answers(
            about="A job's slots, past and to come, oldest first; without a range those around now.",
            answer=Page[Slot],
            parameters=(*_AROUND, *PAGING),
            codes=("unknown-job",),
        ),
    ),
    Route(
        method="GET",
        path="/api/v1/why/{name:path}",
        handler=whys.explain,
        needs="read",
        answers=Answers(
            about="Why an instant of a job became, or will become, what it did.",
            answer=Why,
            parameters=(Parameter(name="at", about="The instant; without it, now."),),
            codes=("unknown-job",),
        ),
    ),
    Route(
        method="GET",
        path="/api/v1/runs",
        handler=runs.list_runs,
        needs="read",
        answers=Answers(
            about="The rows of the ledger, newest first.", answer=Page[Run], parameters=(*_RUN_FILTER, *PAGING)
        ),
    ),
    Route(
        method="GET",
        path="/api/v1/runs/{id}",
        handler=runs.show_run,
        needs="read",
        answers=Answers(
            about="One run, its definition, and what changed since the last success.",
            answer=ApiRun,
            codes=("unknown-run",),
        ),
    ),
    Route(
        method="GET",
        path="/api/v1/runs/{id}/log",
        handler=logs.show_log,
        needs="read",
        answers=Answers(
            about="What a run logged, one object a line; or the bytes that it printed.",
            media_type=NDJSON,
            parameters=_LOG_FILTER,
            codes=("unknown-run", "bad-range", "log-elsewhere"),
        ),
    ),
    Route(
        method="GET",
        path="/api/v1/events",
        handler=events.stream_events,
        needs="read",
        answers=Answers(
            about="What changes, as server-sent events: `change` with the names of jobs and the ids of runs; "
            "`refetch` where too much has changed since Last-Event-ID.",
            answer=Change,
            media_type="text/event-stream",
            codes=("too-many-streams",),
        ),
    ),
    Route(
        method="GET",
        path="/api/v1/openapi.json",
        handler=description.show_description,
        needs="read",
        answers=Answers(about="This description."),
    ),
)

ACTING = (
    Route(
        method="POST",
        path="/api/v1/runs",
        handler=actions.start_run,
        needs="operate",
        answers=Answers(
            about="Run a job now.",
            answer=Run,
            status=202,
            body=RunRequest,
            parameters=(Parameter(name="wait", about="Answer when it has ended (200), after this long at most: 60s."),),
            codes=("unknown-job", "refused", "key-reused", "in-doubt", "akjobd-unreachable"),
        ),
    ),
    Route(
        method="POST",
        path="/api/v1/runs/{id}/stop",
        handler=actions.stop_run,
        needs="operate",
        answers=Answers(
            about="End a run.",
            answer=Run,
            status=202,
            body=StopRequest,
            codes=("unknown-run", "refused", "akjobd-unreachable"),
        ),
    ),
    Route(
        method="POST",
        path="/api/v1/pauses",
        handler=actions.pause_job,
        needs="operate",
        answers=Answers(
            about="Let the slots of a job pass by.",
            answer=ListedJob,
            body=PauseRequest,
            codes=("unknown-job", "refused", "akjobd-unreachable"),
        ),
    ),
    Route(
        method="DELETE",
        path="/api/v1/pauses/{name:path}",
        handler=actions.resume_job,
        needs="operate",
        answers=Answers(
            about="Lift the pause of a job.", answer=ListedJob, codes=("unknown-job", "refused", "akjobd-unreachable")
        ),
    ),
)

BACKFILLS = (
    Route(
        method="GET",
        path="/api/v1/backfills",
        handler=backfills.list_backfills,
        needs="read",
        answers=Answers(about="The backfills, newest first.", answer=Page[Backfill], parameters=PAGING),
    ),
    Route(
        method="POST",
        path="/api/v1/backfills",
        handler=backfills.begin,
        needs="operate",
        answers=Answers(
            about="Run the slots of a job that are over; with dry_run only say which these are (200).",
            answer=Begun,
            status=202,
            body=BackfillRequest,
            codes=("unknown-job", "refused", "key-reused", "in-doubt", "akjobd-unreachable"),
        ),
    ),
    Route(
        method="POST",
        path="/api/v1/backfills/{id}/stop",
        handler=backfills.stop,
        needs="operate",
        answers=Answers(
            about="Stop a backfill.",
            answer=Backfill,
            status=202,
            body=StopRequest,
            codes=("unknown-backfill", "refused", "akjobd-unreachable"),
        ),
    ),
)

ROUTES = (*READING, *ACTING, *BACKFILLS)
