"""The jobs, fifty a page, in any order, narrowed by what is searched for, or folder by folder."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from markupsafe import Markup
from msgspec import Struct
from starlette.responses import Response

from akjob.instants import SECOND, from_text, to_datetime
from akjob.ledger import SlotTally
from akjob.query.folders import Folded, folded
from akjob.query.jobs import JobView, Pause
from akjob.query.pace import SUCCESS_ROWS, pace_of
from akjob.query.runs import Run, explain, took_us
from akjob.query.sight import Sight
from akjob.query.strips import DrawnSlot
from akjob.query.text import plural, span
from akjob.schedule import describe
from akjob.schedule.model import Limits, Schedule
from akjob.web.api.jobs import found_job
from akjob.web.pages.down import LastSigns, seen_of
from akjob.web.pages.rendering import render
from akjob.web.pages.searching import SLOW, STATES, WORDS, Search, conditions_of, search_of
from akjob.web.pages.strip import label, said_of, strip
from akjob.web.pages.summary import FAILED, summarize
from akjob.web.site import Call

ON_A_PAGE = 50
_SLOTS = 30
SLOTS_OF_ONE = 200
_REASON = 300


class JobLine(Struct, frozen=True, kw_only=True):
    """One line of the table of jobs."""

    name: str
    shown_state: str
    tags: tuple[str, ...]
    strip: Markup
    said: str
    schedule: str
    clock: str
    """The zone of the words, where they do not name it and mean a clock."""
    zone: str
    next_us: int | None
    overdue_us: int | None
    pause: Pause | None
    last: tuple[str, int] | None
    last_run: str | None
    took: str
    usual: str
    times_usual: int | None
    """How many times as long as usual the last run took; None unless that is worth a look."""
    success: str
    success_said: str
    running: int


class SlotRow(Struct, frozen=True, kw_only=True):
    """One slot that has passed, as tables show it."""

    id: str
    job: str
    slot_us: int
    state: str
    attempt: int
    count: int
    trigger: str
    why: str
    late: str
    took: str
    git_commit: str | None
    git_dirty: bool | None
    node: str | None = None
    changed: bool = False


class ShownSlot(Struct, frozen=True):
    """One bar of a strip: its run, and what to say of it."""

    run: str
    said: str


async def show_jobs(call: Call) -> Response:
    """Show the jobs that fit, fifty a page."""
    search, sight = search_of(call), await call.sight()
    values = await call.site.read(lambda: _jobs(call, sight, search))
    return render(call, "jobs.html", **values)


def _jobs(call: Call, sight: Sight, search: Search) -> dict[str, Any]:
    summary = summarize(sight)
    tree: Folded | None = None
    if search.folder is None:
        names = sight.find(search.wanted, search.by, backwards=search.backwards)
    else:
        tree = folded(sight.states(), search.folder)
        names = list(tree.jobs)
    shown = sight.views(names[(search.page - 1) * ON_A_PAGE : search.page * ON_A_PAGE])
    on_page = [view.name for view in shown]
    strips, successes = sight.drawn_strips(on_page), sight.successes(on_page)
    chips = [(state, _counted(summary.states, state)) for state in STATES if _counted(summary.states, state)]
    return {
        "summary": summary,
        "total": summary.total,
        "found": len(names),
        "rows": [_row(view, strips[view.name], successes[view.name]) for view in shown],
        "tree": tree,
        "chips": chips,
        "search_words": WORDS,
        "search": search,
        "conditions": conditions_of(search.q),
        "down": _down(call, sight),
        "on_a_page": ON_A_PAGE,
    }


def _down(call: Call, sight: Sight) -> LastSigns | None:
    return None if sight.akjobd_runs() else seen_of(call.site.paths, sight, may_read_log=call.principal.jobs is None)


def _counted(states: Mapping[str, int], state: str) -> int:
    return sum(states.get(one, 0) for one in FAILED) if state == "failed" else states.get(state, 0)


def _row(view: JobView, slots: Sequence[DrawnSlot], tally: SlotTally | None) -> JobLine:
    spec, pace = view.spec, pace_of(slots)
    words = "" if spec is None else "; ".join(describe(spec.schedule, view.now_us))
    return JobLine(
        name=view.name,
        shown_state=view.shown_state,
        tags=() if spec is None else spec.tags,
        strip=strip(slots, _SLOTS),
        said=label(slots),
        schedule=words,
        clock="" if spec is None else _clock(spec.schedule, words),
        zone="UTC" if spec is None else spec.schedule.zone,
        next_us=view.next_start_us,
        overdue_us=view.overdue_us,
        pause=view.pause,
        last=view.last,
        last_run=None if view.row is None else view.row["last_run"],
        took=span(round(pace.last_s * SECOND)) if pace.last_s else "",
        usual=span(round(pace.usual_s * SECOND)) if pace.usual_s else "",
        times_usual=round(pace.times) if pace.times >= SLOW else None,
        success="" if tally is None else f"{tally.succeeded}/{tally.slots}",
        success_said="" if tally is None else success_said(tally),
        running=view.running,
    )


def _clock(schedule: Schedule, words: str) -> str:
    """Return the zone of a schedule's words. Triggers name theirs; of the limits each but one of no limit means it."""
    limits = schedule.limits
    return "" if schedule.zone in words or limits == Limits(zone=limits.zone) else schedule.zone


def success_said(tally: SlotTally) -> str:
    """Return the slots that succeeded in words; skipped ones do not count."""
    among = f", of the newest {SUCCESS_ROWS} rows" if tally.slots >= SUCCESS_ROWS else ""
    since = to_datetime(from_text(tally.since))
    return f"{tally.succeeded} of {plural(tally.slots, 'slot')} succeeded since {since:%Y-%m-%d %H:%M} UTC{among}"


async def show_names(call: Call) -> Response:
    """Answer with the names of all jobs, for suggestions while something is typed."""
    sight = await call.sight()
    content = await call.site.read(lambda: msgspec.json.encode({"words": list(WORDS), "names": sight.names()}))
    return Response(content, headers={"cache-control": "private, max-age=60"}, media_type="application/json")


async def show_strip(call: Call) -> Response:
    """Answer with what there is to say of each slot of a job's strip, oldest first."""
    sight = await call.sight()
    view = found_job(sight, call.path("name"))
    length = _SLOTS if call.query("all") is None else SLOTS_OF_ONE
    slots = await call.site.read(lambda: sight.drawn_strips([view.name], length)[view.name])
    return Response(
        msgspec.json.encode([ShownSlot(one.run, said_of(one)) for one in slots]), media_type="application/json"
    )


def slot_rows(runs: Sequence[Run], now_us: int) -> list[SlotRow]:
    """Return rows of the ledger as tables show them."""
    found = []
    for index, run in enumerate(runs):
        before = next((one for one in runs[index + 1 :] if one.job == run.job and one.definition_sha256), None)
        took, slot_us = took_us(run, now_us), from_text(run.slot)
        late_us = None if run.started_at is None else from_text(run.started_at) - slot_us
        found.append(
            SlotRow(
                id=run.id,
                job=run.job,
                slot_us=slot_us,
                state=run.state,
                attempt=run.attempt,
                count=run.count,
                trigger=run.trigger,
                why=explain(run)[:_REASON],
                late="" if late_us is None or run.trigger == "manual" else f"+{span(max(0, late_us))}",
                took="" if took is None else span(took),
                git_commit=run.git_commit,
                git_dirty=run.git_dirty,
                node=run.node,
                changed=before is not None and before.definition_sha256 != run.definition_sha256,
            )
        )
    return found
