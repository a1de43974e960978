"""One answer for any instant of a job: what became of it, or what will, and why.

The past is answered from the ledger's rows and transitions and from the definition that was loaded then, the future
from today's definition. What neither tells is ``unknown``, with the reason: nothing is guessed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from akjob.instants import from_text, to_text
from akjob.ledger import NodeTags, Reader, Transition
from akjob.query import events as known
from akjob.query.jobs import JobView, Pause, Snapshot
from akjob.query.placing import unplaced
from akjob.query.runs import Run, explain, from_row
from akjob.query.schedules import clock_note, excluded_by, is_slot, slot_before
from akjob.query.slots import runs_left
from akjob.query.text import plural
from akjob.schedule import compile_schedule, count_between, describe
from akjob.schedule.events import EVENTS, AnyEvent
from akjob.spec import load_definition
from akjob.spec.model import JobSpec, RunPolicy

Verdict = Literal["ran", "running", "queued", "skipped", "missed", "will_run", "will_skip", "no_slot", "unknown"]
Kind = Literal[
    "schedule", "limit", "calendar", "pause", "disabled", "broken", "done", "overlap", "lock", "pool", "missed", "down",
    "definition", "dst", "pruned",
]  # fmt: skip

_OPEN = frozenset({"queued", "running"})
_WAITING: Mapping[str, Verdict] = {"queued": "queued", "running": "running", "skipped": "skipped", "missed": "missed"}
_ENDED: Mapping[str, str] = {"timed_out": "timed out", "cancelled": "was cancelled", "lost": "was lost"}
_NEAR = 8  # so many rows before an instant are read: the attempts of its slot, and what ran then
_SHORT = 8


class Because(Struct, frozen=True, kw_only=True):
    """One reason of a verdict."""

    kind: Kind
    message: str


class Why(Struct, frozen=True, kw_only=True):
    """The answer: what ``akjob why --json`` prints. ``slot`` is the nearest one if the instant is not a slot."""

    job: str
    at: str
    slot: str | None
    verdict: Verdict
    run: str | None = None
    reason: str | None = None
    because: tuple[Because, ...] = ()


class WhyFacts(Struct, frozen=True, kw_only=True):
    """All that is known for the answer. ``rows`` are the job's up to the instant, the newest slot first.

    ``then`` is the definition that was loaded at the instant, None where that is not known; ``open_runs`` are those of
    all jobs, ``specs`` the definitions of today; ``oldest_us`` is the slot of the oldest row of the job,
    ``upstreams`` are the jobs whose ends make it due, and ``nodes`` are those of the cluster.
    """

    job: JobView
    now_us: int
    rows: Sequence[Run]
    events: Sequence[Transition] = ()
    then: JobSpec | None = None
    open_runs: Sequence[Run] = ()
    specs: Mapping[str, JobSpec] = {}
    oldest_us: int | None = None
    upstreams: Sequence[JobView] = ()
    nodes: Sequence[NodeTags] = ()


def ask(reader: Reader, snapshot: Snapshot, job: JobView, at_us: int | None) -> Why:
    """Answer for a job and an instant; None is now, and then a run that is under way is what is meant."""
    facts = _gather(reader, snapshot, job, snapshot.now_us if at_us is None else at_us)
    if at_us is None:
        under_way = [run for run in facts.open_runs if run.job == job.name]
        if under_way:
            return _of_row(facts, under_way[-1], snapshot.now_us)
    return answer(facts, snapshot.now_us if at_us is None else at_us)


def answer(facts: WhyFacts, at_us: int) -> Why:
    """Return the answer. Pure."""
    row = _row_of(facts, at_us)
    if row is not None:
        return _of_row(facts, row, at_us)
    return _past(facts, at_us) if at_us <= facts.now_us else _future(facts, at_us)


def came_of(answer: Why, run: Run | None) -> str:
    """Return the verdict in words; of a run that ended, which is ``run``, how it ended."""
    if answer.verdict != "ran" or run is None or run.state == "succeeded":
        return answer.verdict.replace("_", " ")
    return f"ran, and {_ENDED.get(run.state, run.state)}"


def outlook(reader: Reader, snapshot: Snapshot, job: JobView, instants: Sequence[int]) -> list[Why]:
    """Return the answers for some instants to come; what is known is read once."""
    if not instants:
        return []
    facts = _gather(reader, snapshot, job, snapshot.now_us)
    return [_future(facts, at_us) for at_us in instants]


# -- the facts


def _gather(reader: Reader, snapshot: Snapshot, job: JobView, at_us: int) -> WhyFacts:
    rows = [from_row(row) for row in reader.slots_until(job.name, to_text(at_us), _NEAR)]
    oldest = reader.oldest_slot(job.name)
    events = reader.job_transitions(job.name)
    return WhyFacts(
        job=job,
        now_us=snapshot.now_us,
        rows=rows,
        events=events,
        then=_definition_then(reader.definition, job, rows, events, at_us),
        open_runs=[from_row(row) for row in reader.open_runs()],
        specs=snapshot.jobset.jobs,
        oldest_us=None if oldest is None else from_text(oldest),
        upstreams=[snapshot.job(name) for event in _events(job) for name in event.upstreams],
        nodes=reader.nodes(),
    )


def _events(job: JobView) -> Sequence[AnyEvent]:
    return () if job.spec is None else job.spec.schedule.events


def _definition_then(
    text_of: Callable[[str], str | None], job: JobView, rows: Sequence[Run], events: Sequence[Transition], at_us: int
) -> JobSpec | None:
    """Return the definition that was loaded at an instant: by the run of the slot, the transitions, or its age."""
    if at_us > job.now_us:
        return job.spec
    of_slot = next((run.definition_sha256 for run in rows if from_text(run.slot) == at_us and run.started_at), None)
    sha256 = of_slot or known.definition_at(events, at_us)
    if sha256 is None:
        loaded = None if job.row is None else from_text(job.row["last_loaded_at"])
        return job.spec if loaded is not None and loaded <= at_us else None
    if job.spec is not None and job.spec.sha256 == sha256:
        return job.spec
    text = text_of(sha256)
    return None if text is None else load_definition(job.name, job.file, text)


def _row_of(facts: WhyFacts, at_us: int) -> Run | None:
    """Return the row of the slot that an instant is: its last attempt, or the stretch that the slot lies in.

    Where several nodes have a run each of the slot it is that of one where it did not succeed.
    """
    spec = facts.then or facts.job.spec
    each = _of_each_node(facts.rows, at_us)
    if each:
        return next((run for run in each if run.state != "succeeded"), each[0])
    for run in facts.rows:
        if from_text(run.slot) == at_us:
            return run
        if run.count > 1 and at_us <= from_text(run.slot_last) and spec is not None and is_slot(spec.schedule, at_us):
            return run
    return next((run for run in facts.open_runs if run.job == facts.job.name and from_text(run.slot) == at_us), None)


# -- a slot that has a row


def _of_row(facts: WhyFacts, run: Run, at_us: int) -> Why:
    verdict = _WAITING.get(run.state, "ran")
    because = _REASONS[verdict](facts, run)
    slot = to_text(at_us) if run.count > 1 else run.slot
    return Why(
        job=run.job,
        at=to_text(at_us),
        slot=slot,
        verdict=verdict,
        run=run.id,
        reason=explain(run) or None,
        because=(*because, *_changed_since(facts, run), *_clock(facts.then, from_text(slot))),
    )


def _of_each_node(rows: Sequence[Run], at_us: int) -> list[Run]:
    """Return the last attempt of each node that has a run of its own of a slot; none where the slot is run once."""
    of_slot = [run for run in rows if from_text(run.slot) == at_us]
    if len({run.attempt for run in of_slot}) == len(of_slot):
        return []
    last: dict[str | None, Run] = {}
    for run in of_slot:
        last.setdefault(run.node, run)
    return list(last.values())


def _ran(facts: WhyFacts, run: Run) -> list[Because]:
    found = [_trigger(facts, run)]
    others = [other for other in _of_each_node(facts.rows, from_text(run.slot)) if other.id != run.id]
    found += [Because(kind="schedule", message=f"on node {one.node} it is run {one.id}: {one.state}") for one in others]
    if run.attempt > 1:
        found.append(Because(kind="schedule", message=f"this is attempt {run.attempt} of the slot"))
    return found


def _trigger(facts: WhyFacts, run: Run) -> Because:
    """Return what made a run due."""
    asked = f" by {run.by}" if isinstance(run.by, str) else ""
    said = {
        "manual": f"it was run by hand{asked}",
        "backfill": f"it is part of a backfill{asked}",
        **{event.trigger: event.because for event in EVENTS.values()},
    }
    if run.trigger in said:
        return Because(kind="schedule", message=said[run.trigger])
    if run.trigger == "missed":
        return Because(kind="missed", message="akjobd came too late to the slot and made up for it")
    return Because(kind="schedule", message=_due(facts.then, from_text(run.slot)))


def _due(spec: JobSpec | None, at_us: int) -> str:
    if spec is None:
        return "it was due by the definition of then, which is no longer known"
    return f"due: {'; '.join(describe(spec.schedule, at_us))}"


def _queued(facts: WhyFacts, run: Run) -> list[Because]:
    """Return what a run waits for."""
    if from_text(run.slot) > facts.now_us:
        prepared = Because(kind="schedule", message=f"it is prepared, and starts at {run.slot}")
        return [prepared, *_unplaced(facts, facts.specs.get(run.job))]
    nowhere = _unplaced(facts, facts.specs.get(run.job)) if run.node is None else []
    if nowhere:
        return nowhere
    if run.trigger == "retry":
        return [Because(kind="schedule", message=f"it is attempt {run.attempt}, and waits for the retry's delay")]
    running = [one for one in facts.open_runs if one.id != run.id and one.state == "running"]
    same = [one for one in running if one.job == run.job]
    if same:
        return [Because(kind="overlap", message=f"it waits for run {same[0].id} of the job, which still runs")]
    return [_shared(facts, run, running)]


def _shared(facts: WhyFacts, run: Run, running: Sequence[Run]) -> Because:
    """Return which of the things that jobs share a run waits for: a lock, a pool, or one of all places."""
    policy = _policy(facts, run)
    if policy is not None and policy.lock is not None:
        holders = [one for one in running if (other := _policy(facts, one)) and other.lock == policy.lock]
        if holders:
            message = f"it waits for the lock {policy.lock}, which {holders[0].job} has (run {holders[0].id})"
            return Because(kind="lock", message=message)
    if policy is not None and policy.pool is not None:
        users = [one.job for one in running if (other := _policy(facts, one)) and other.pool == policy.pool]
        if users:
            message = f"it waits for a place in the pool {policy.pool}, which has runs of {', '.join(users)}"
            return Because(kind="pool", message=message)
    return Because(kind="pool", message="it waits for one of the places for runs (max_running)")


def _unplaced(facts: WhyFacts, spec: JobSpec | None) -> list[Because]:
    """Return what keeps a run from starting on any node of the cluster."""
    why = "" if spec is None else unplaced(spec, facts.nodes)
    return [Because(kind="pool", message=f"it waits for a node: {why}")] if why else []


def _policy(facts: WhyFacts, run: Run) -> RunPolicy | None:
    spec = facts.specs.get(run.job)
    return None if spec is None else spec.run


def _skipped(facts: WhyFacts, run: Run) -> list[Because]:
    slot_us, said = from_text(run.slot), explain(run) or "it was skipped"
    pause = known.pause_at(facts.events, slot_us)
    if pause is not None:
        return [Because(kind="pause", message=f"{said}; paused since {to_text(pause.since_us)}")]
    if facts.job.pause is not None and facts.job.pause.since_us <= slot_us:
        return [Because(kind="pause", message=f"{said}; paused since {to_text(facts.job.pause.since_us)}")]
    if facts.then is not None and not facts.then.enabled:
        return [Because(kind="disabled", message=said)]
    if run.trigger == "after":
        return [Because(kind="schedule", message=said)]
    if facts.then is not None and not compile_schedule(facts.then.schedule).limits.allows(slot_us // 1_000_000):
        keys = ", ".join(one.key for one in excluded_by(facts.then.schedule, slot_us)) or "its limits"
        return [Because(kind="limit", message=f"{keys}: {said}")]
    return [Because(kind="overlap", message=said)]


def _missed(facts: WhyFacts, run: Run) -> list[Because]:
    found = [Because(kind="missed", message=explain(run) or "akjobd came too late to it")]
    down = known.down_at(facts.events, from_text(run.slot), from_text(run.queued_at))
    return [*found, Because(kind="down", message=_downtime(down))] if down is not None else found


def _downtime(down: known.Down) -> str:
    since = "" if down.since_us is None else f" since {to_text(down.since_us)}"
    until = "" if down.until_us is None else f" until {to_text(down.until_us)}"
    return f"akjobd was down{since}{until}"


_REASONS: Mapping[str, Callable[[WhyFacts, Run], list[Because]]] = {
    "ran": _ran,
    "running": _ran,
    "queued": _queued,
    "skipped": _skipped,
    "missed": _missed,
}


def _changed_since(facts: WhyFacts, run: Run) -> list[Because]:
    spec, sha256 = facts.job.spec, run.definition_sha256
    if spec is None or sha256 is None or sha256 == spec.sha256 or run.started_at is None:
        return []
    message = f"it had another definition then: {sha256[:_SHORT]}, today {spec.sha256[:_SHORT]}"
    return [Because(kind="definition", message=message)]


def _clock(spec: JobSpec | None, at_us: int) -> list[Because]:
    note = "" if spec is None else clock_note(spec.schedule, at_us)
    return [Because(kind="dst", message=note)] if note else []


# -- an instant of the past without a row


def _past(facts: WhyFacts, at_us: int) -> Why:
    loaded = None if facts.job.row is None else from_text(facts.job.row["first_loaded_at"])
    if loaded is None or at_us < loaded:
        return _without_row(facts, at_us, "no_slot", _before_loading(facts.job, loaded))
    if known.was_removed(facts.events, at_us):
        return _without_row(facts, at_us, "no_slot", Because(kind="definition", message="the job had no file then"))
    if facts.job.row is not None and not facts.job.row["definition"]:
        message = _broken(facts.job) or "no version of its file was ever good"
        return _without_row(facts, at_us, "unknown", Because(kind="broken", message=message))
    if facts.then is None:
        return _without_row(facts, at_us, "unknown", _unknown_definition(facts, at_us))
    if not is_slot(facts.then.schedule, at_us):
        return _no_slot(facts, facts.then, at_us)
    passed = _passed_by(facts, facts.then, at_us)
    if passed is not None:
        return _without_row(facts, at_us, "skipped", passed)
    return _without_row(facts, at_us, "unknown", _unaccounted(facts, facts.then, at_us))


def _before_loading(job: JobView, loaded_us: int | None) -> Because:
    if loaded_us is not None:
        return Because(kind="definition", message=f"the job was first loaded at {to_text(loaded_us)}")
    broken = _broken(job)
    if broken:
        return Because(kind="broken", message=broken)
    return Because(kind="definition", message="akjobd has never loaded the job")


def _unknown_definition(facts: WhyFacts, at_us: int) -> Because:
    pruned = facts.oldest_us is None or at_us < facts.oldest_us
    message = "the ledger no longer has what the job's definition was then"
    return Because(kind="pruned" if pruned else "definition", message=message)


def _passed_by(facts: WhyFacts, spec: JobSpec, at_us: int) -> Because | None:
    """Return why a slot of the past passed by without a row; None where it should have one."""
    if not spec.enabled:
        return Because(kind="disabled", message="the job was disabled (enabled = false)")
    if known.was_done(facts.events, at_us):
        return Because(kind="done", message=f"the job had had its {plural(spec.runs or 0, 'run')}")
    return None


def _unaccounted(facts: WhyFacts, spec: JobSpec, at_us: int) -> Because:
    """Return why nothing is known of a slot of the past."""
    row = facts.job.row
    if row is not None and at_us > from_text(row["mark"]):
        down = known.down_at(facts.events, at_us, None)
        if down is None or down.until_us is not None:
            return Because(kind="down", message="akjobd has not come to the slot yet")
        message = f'{_downtime(down)}; its next start decides, by missed = "{spec.run.missed}"'
        return Because(kind="down", message=message)
    if facts.oldest_us is None or at_us < facts.oldest_us:
        return Because(kind="pruned", message="rows of that age have been pruned ([ledger] keep)")
    message = "the ledger has no row of it: the job had another definition then, or a clock was changed"
    return Because(kind="definition", message=message)


def _without_row(facts: WhyFacts, at_us: int, verdict: Verdict, because: Because) -> Why:
    near = _nearest_before(facts, at_us) if verdict == "no_slot" or facts.then is None else at_us
    return Why(
        job=facts.job.name,
        at=to_text(at_us),
        slot=None if near is None else to_text(near),
        verdict=verdict,
        reason=because.message,
        because=(because,),
    )


def _nearest_before(facts: WhyFacts, at_us: int) -> int | None:
    """Return the nearest slot before an instant: of the ledger, or by the definition where it was loaded then."""
    found = [from_text(run.slot_last) for run in facts.rows if from_text(run.slot_last) <= at_us]
    loaded = None if facts.job.row is None else from_text(facts.job.row["first_loaded_at"])
    if facts.then is not None and loaded is not None:
        by_schedule = slot_before(facts.then.schedule, at_us)
        found += [by_schedule] if by_schedule is not None and by_schedule >= loaded else []
    return max(found, default=None)


# -- an instant of the future


def _future(facts: WhyFacts, at_us: int) -> Why:
    job, spec = facts.job, facts.job.spec
    if spec is None:
        message = _broken(job) or "the job has no definition"
        return _without_row(facts, at_us, "unknown", Because(kind="broken", message=message))
    if at_us not in job.next_slots(at_us - 1, 1) and not is_slot(spec.schedule, at_us):
        return _no_slot(facts, spec, at_us)
    against = _against(job, spec, at_us)
    due = [] if against else [Because(kind="schedule", message=_due(spec, at_us))]
    return Why(
        job=job.name,
        at=to_text(at_us),
        slot=to_text(at_us),
        verdict="will_skip" if against else "will_run",
        reason=against[0].message if against else None,
        because=(*against, *due, *_unplaced(facts, spec), *_last_good(job), *_clock(spec, at_us)),
    )


def _last_good(job: JobView) -> list[Because]:
    broken = _broken(job)
    return [Because(kind="broken", message=f"{broken}; the last good version decides")] if broken else []


def _against(job: JobView, spec: JobSpec, at_us: int) -> list[Because]:
    """Return what keeps a coming slot from starting, as far as it is certain today."""
    if not spec.enabled:
        return [Because(kind="disabled", message="the job is disabled (enabled = false)")]
    left = runs_left(spec, job.row)
    if left is not None and count_between(compile_schedule(spec.schedule), job.now_us, at_us)[0] > left:
        return [Because(kind="done", message=f"the job has had its {plural(spec.runs or 0, 'run')} by then (runs)")]
    pause = job.pause
    if pause is not None and (pause.until_us is None or at_us < pause.until_us):
        return [Because(kind="pause", message=f"the job is paused {_paused(pause)}")]
    return []


def _paused(pause: Pause) -> str:
    until = "until it is resumed" if pause.until_us is None else f"until {to_text(pause.until_us)}"
    by = f"by {pause.by} " if pause.by else ""
    why = f": {pause.reason}" if pause.reason else ""
    return f"{by}{until}{why}"


# -- an instant that is not a slot


def _no_slot(facts: WhyFacts, spec: JobSpec, at_us: int) -> Why:
    coming = facts.job.next_slots(at_us, 1) if at_us > facts.now_us else []
    near = coming[0] if coming else _nearest_before(facts, at_us) if at_us <= facts.now_us else None
    because = _why_not(spec, at_us)
    if at_us >= facts.now_us:
        because += _held_up(facts)
    return Why(
        job=facts.job.name,
        at=to_text(at_us),
        slot=None if near is None else to_text(near),
        verdict="no_slot",
        reason=because[0].message,
        because=tuple(because),
    )


def _why_not(spec: JobSpec, at_us: int) -> list[Because]:
    """Return why an instant is not a slot: the limits that exclude it, a change of the clock, or the triggers."""
    excluded = excluded_by(spec.schedule, at_us)
    if excluded:
        return [_excluded(one.key, is_calendar=one.is_calendar) for one in excluded]
    clock = _clock(spec, at_us)
    return clock or [
        Because(kind="schedule", message=f"it is not due then: {'; '.join(describe(spec.schedule, at_us))}")
    ]


def _held_up(facts: WhyFacts) -> list[Because]:
    """Return which of the jobs whose ends make the job due do not run, as things are."""
    return [one for job in facts.upstreams if (one := _does_not_run(job)) is not None]


def _does_not_run(job: JobView) -> Because | None:
    if job.spec is None:
        broken = _broken(job)
        if broken:
            return Because(kind="broken", message=f"{job.name} does not run: {broken}")
        return Because(kind="definition", message=f"{job.name} does not run: there is no such job")
    if not job.spec.enabled:
        return Because(kind="disabled", message=f"{job.name} does not run: it is disabled (enabled = false)")
    if job.pause is not None:
        return Because(kind="pause", message=f"{job.name} does not run: it is paused {_paused(job.pause)}")
    if job.done:
        return Because(
            kind="done", message=f"{job.name} does not run: it has had its {plural(job.spec.runs or 0, 'run')}"
        )
    return None


def _excluded(key: str, *, is_calendar: bool) -> Because:
    kind: Kind = "calendar" if is_calendar else "limit"
    return Because(kind=kind, message=f"limits.{key} does not allow it")


def _broken(job: JobView) -> str:
    """Return what is refused of the job's file; empty where nothing is."""
    one = job.broken
    if one is None:
        return ""
    return f"{one.file}:{one.line}:{one.column}: {one.message} (refused since {to_text(one.since_us)})"
