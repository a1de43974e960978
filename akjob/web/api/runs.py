"""``/api/v1/runs``: the rows of the ledger, and one of them."""

from typing import Any, get_args

from msgspec.structs import asdict
from starlette.responses import Response

from akjob.errors import AkjobError
from akjob.instants import to_text
from akjob.ledger import STATES, RunFilter, RunKey, Trigger
from akjob.query.changes import Changes
from akjob.query.runs import Run
from akjob.query.sight import Sight
from akjob.spec import definition_table, load_definition
from akjob.web.api.lists import answer_list, as_json, choice_of, text_of
from akjob.web.api.times import instant_of
from akjob.web.problems import ProblemError
from akjob.web.site import Call

_LONGEST_ID = 64


class ApiRun(Run, frozen=True, kw_only=True):
    """One run: its row, the definition it was made from, and what changed since the job's last success before it."""

    definition: dict[str, Any] | None
    changes_since_success: Changes | None


async def list_runs(call: Call) -> Response:
    """Answer with the rows that fit, newest first."""
    since, until = instant_of(call, "since"), instant_of(call, "until")
    wanted = RunFilter(
        job=text_of(call, "job"),
        state=choice_of(call, "state", STATES),  # type: ignore[arg-type] # one of them
        trigger=choice_of(call, "trigger", get_args(Trigger)),  # type: ignore[arg-type] # likewise
        since=None if since is None else to_text(since),
        until=None if until is None else to_text(until),
    )
    sight = await call.sight()

    def fetch(limit: int, after: RunKey | None) -> tuple[list[Run], RunKey | None]:
        found = sight.runs(wanted, limit, after)
        return found.runs, found.following

    return await answer_list(call, RunKey, lambda limit, key: call.site.read(lambda: fetch(limit, key)))


async def show_run(call: Call) -> Response:
    """Answer with all that is known of one run."""
    sight = await call.sight()
    return as_json(await call.site.read(lambda: _detailed(sight, found_run(sight, call.path("id")))))


def found_run(sight: Sight, run: str) -> Run:
    """Return a run. Raises ProblemError for an id that no run has, or none that the principal may know of."""
    found = sight.run(run) if len(run) <= _LONGEST_ID else None
    if found is None:
        hint = "GET /api/v1/runs lists them; give the whole id."
        raise ProblemError("unknown-run", f"there is no run {run[:_LONGEST_ID]!r}", hint)
    return found


def _detailed(sight: Sight, run: Run) -> ApiRun:
    return ApiRun(**asdict(run), definition=_definition(sight, run), changes_since_success=_changes(sight, run))


def _changes(sight: Sight, run: Run) -> Changes | None:
    try:
        return sight.changes(run)
    except AkjobError:  # git cannot be asked: the row is known all the same
        return None


def _definition(sight: Sight, run: Run) -> dict[str, Any] | None:
    """Return the definition that a run was made from; None where it is not known, or cannot be read any more."""
    text = sight.definition(run)
    if text is None:
        return None
    try:
        return definition_table(load_definition(run.job, f"jobs.d/{run.job}.toml", text))
    except AkjobError:
        return None
