"""One job: its state, its slots past and coming, how long it takes, what may be done, and its definition."""

import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from itertools import pairwise
from typing import Any

from markupsafe import Markup
from msgspec import Struct
from starlette.responses import Response

from akjob.code.signature import Signature, signature_of
from akjob.code.static import search_path
from akjob.config import Paths
from akjob.control.status import BrokenFile
from akjob.errors import AkjobError
from akjob.instants import DAY, SECOND, from_text
from akjob.ledger import Measured, RunFilter
from akjob.query.commits import CommitNote, FileNote, file_note
from akjob.query.jobs import JobView, Pause
from akjob.query.origins import Value, values_of
from akjob.query.schedules import excluded_days
from akjob.query.sight import Sight
from akjob.query.text import size, span
from akjob.schedule import describe
from akjob.spec.canonical import value_text
from akjob.spec.model import DottedCallable, JobSpec
from akjob.web.api.jobs import found_job
from akjob.web.api.lists import text_of
from akjob.web.pages.charts import Line, Point, bad_days, chart, heat_map
from akjob.web.pages.jobs import SLOTS_OF_ONE, slot_rows
from akjob.web.pages.rendering import render
from akjob.web.pages.source import excerpt
from akjob.web.pages.strip import label, strip
from akjob.web.pages.summary import summarize
from akjob.web.problems import ProblemError
from akjob.web.site import Call

_ROWS = 50
_COMING = 5
_EXCLUDED = 5
_DRAWN = 400
_DAYS_US = 90 * DAY
_DAY_ROWS = 5_000
_WORST_OF_TWENTY = 0.95
_MOST_VERSIONS = 50


class JobHead(Struct, frozen=True, kw_only=True):
    """What is at the top of a job's page."""

    name: str
    shown_state: str
    description: str
    file: str
    zone: str
    running: int
    pause: Pause | None
    owner: str | None
    runbook: str | None
    tags: tuple[str, ...]
    calls: bool
    """True if it calls a function, which takes arguments."""


class ComingRow(Struct, frozen=True, kw_only=True):
    """One instant to come: a slot, or one that a date excludes; and what is known of it today."""

    at_us: int
    state: str
    said: str


class Usage(Struct, frozen=True, kw_only=True):
    """The charts of a job's newest runs."""

    durations: Markup
    cpu: Markup | None
    memory: Markup | None
    count: int
    p50: str
    p95: str


class ArgumentField(Struct, frozen=True, kw_only=True):
    """One argument of the form: ``field`` is what the form sends it as, ``choices`` are offered where they are known.

    ``value`` is TOML, or text where ``field`` begins with ``text:``; empty where there is none.
    """

    name: str
    field: str
    value: str
    type: str = ""
    about: str = ""
    default: str = ""
    required: bool = False
    choices: tuple[str, ...] = ()


async def show_job(call: Call) -> Response:
    """Show one job: its state, its slots past and coming, what may be done."""
    sight = await call.sight()
    view = found_job(sight, call.path("name"))
    values = await call.site.read(lambda: _job(call, sight, view))
    return render(call, "job.html", **values)


def _job(call: Call, sight: Sight, view: JobView) -> dict[str, Any]:
    spec, refusal, paths = view.spec, view.refusal, call.site.paths
    runs = sight.runs(RunFilter(job=view.name), _ROWS).runs
    next_slots = sight.coming(view, call.now_us, _COMING)
    slots = sight.drawn_strips([view.name], SLOTS_OF_ONE).get(view.name, ())
    measured = sight.measured(view, _DRAWN)
    took = [_took_us(one) for one in measured]
    counts = sight.day_counts(view, call.now_us - _DAYS_US, _DAY_ROWS)
    is_cut = sum(one.count for one in counts) >= _DAY_ROWS
    signature = _signature(call, spec)
    found = parameters_of(spec, signature)
    return {
        "summary": summarize(sight),
        "job": _head(view),
        "refusal": refusal,
        "refused_by": _refused_by(sight, refusal),
        "excerpt": "" if refusal is None else excerpt(paths, refusal.file, refusal.line, refusal.column),
        "source": _source(paths, spec, call.now_us),
        "strip": strip(slots, max(1, len(slots))),
        "strip_said": label(slots),
        "strip_first": slots[0].slot[:10] if slots else "",
        "usage": _usage(spec, measured, took),
        "heat": heat_map(counts, call.now_us, counts[0].day if is_cut else "") if counts else None,
        "bad_days": bad_days(counts),
        "days_from": counts[0].day if is_cut else "",
        "schedule": [] if spec is None else describe(spec.schedule, view.now_us),
        "upstreams": sight.upstreams(view),
        "downstreams": sight.downstreams(view),
        "next_slots": next_slots,
        "coming": _coming(sight, view, next_slots, _successes(measured, took)),
        "rows": slot_rows(runs, call.now_us),
        "nodes": any(run.node for run in runs),
        "parameters": found,
        "signature": signature,
        "command_line": command_line(view.name, found),
    }


def _head(view: JobView) -> JobHead:
    spec = view.spec
    return JobHead(
        name=view.name,
        shown_state=view.shown_state,
        description="" if spec is None else spec.description,
        file=view.file,
        zone="UTC" if spec is None else spec.schedule.zone,
        running=view.running,
        pause=view.pause,
        owner=None if spec is None else spec.owner,
        runbook=None if spec is None else spec.runbook,
        tags=() if spec is None else spec.tags,
        calls=spec is not None and isinstance(spec.code, DottedCallable),
    )


def _source(paths: Paths, spec: JobSpec | None, now_us: int) -> FileNote | None:
    """Return the newest commit of the files that the job is made of; those of another job are not among them."""
    return None if spec is None else file_note(paths.root, spec.sources or (spec.file,), now_us)


def _refused_by(sight: Sight, refusal: BrokenFile | None) -> CommitNote | None:
    if refusal is None or refusal.git_commit is None or refusal.git_dirty:
        return None
    return sight.commit(refusal.git_commit)


def _coming(sight: Sight, view: JobView, slots: Sequence[int], took: Sequence[int]) -> list[ComingRow]:
    """Return what is to come with what is known of it, the latest first; days that a date excludes are among them.

    ``took`` are the times of the newest successes, sorted.
    """
    if view.spec is None or not slots:
        return []
    excluded = excluded_days(view.spec.schedule, view.now_us, slots[-1], _EXCLUDED)
    instants = sorted({*slots, *excluded})
    p95_us = _at(took, _WORST_OF_TWENTY) if took else 0
    after = dict(pairwise(slots))
    found = []
    for at_us, why in zip(instants, sight.outlook(view, instants), strict=True):
        said = [] if why.verdict == "will_run" else [why.reason or ""]
        said += [one.message for one in why.because if one.kind == "dst" and one.message not in said]
        if at_us in after and p95_us > after[at_us] - at_us and view.spec.run.overlap != "allow":
            gap = span(after[at_us] - at_us)
            said.append(f"may overlap the next slot: one of twenty takes {span(p95_us)}, the gap is {gap}")
        state = "coming" if why.verdict == "will_run" else "excluded" if at_us not in slots else "skipped"
        found.append(ComingRow(at_us=at_us, state=state, said="; ".join(said)))
    return found[::-1]


def _took_us(one: Measured) -> int:
    return max(0, from_text(one.ended_at) - from_text(one.started_at))


def _at(values: Sequence[int], part: float) -> int:
    return values[min(len(values) - 1, round(part * (len(values) - 1)))]


def _successes(measured: Sequence[Measured], took: Sequence[int]) -> list[int]:
    """Return the times of the successes, sorted."""
    return sorted(us for one, us in zip(measured, took, strict=True) if one.state == "succeeded")


def _usage(spec: JobSpec | None, measured: Sequence[Measured], took: Sequence[int]) -> Usage | None:
    """Return the charts, the oldest run on the left; None without a run that succeeded."""
    good = _successes(measured, took)
    if not good:
        return None
    runs = list(reversed(measured))
    turns = [False, *(_differs(one, before) for one, before in zip(runs[1:], runs, strict=False))]
    p50, p95 = _at(good, 0.5), _at(good, _WORST_OF_TWENTY)
    lines = [Line("p50", p50 / SECOND, span(p50)), Line("p95", p95 / SECOND, span(p95))]
    if spec is not None and spec.run.timeout_us is not None:
        lines.append(Line("timeout", spec.run.timeout_us / SECOND, span(spec.run.timeout_us)))
    points = [Point(one.state, us / SECOND, turn) for one, us, turn in zip(runs, reversed(took), turns, strict=True)]
    cpu = [Point(one.state, one.cpu_s, turn) for one, turn in zip(runs, turns, strict=True)]
    memory = [Point(one.state, one.max_rss_bytes, turn) for one, turn in zip(runs, turns, strict=True)]
    return Usage(
        durations=chart("Durations", points, lines),
        cpu=_of_values("CPU", cpu, lambda value: span(round(value * SECOND))),
        memory=_of_values("Peak memory", memory, lambda value: size(round(value))),
        count=len(good),
        p50=span(p50),
        p95=span(p95),
    )


def _of_values(title: str, points: Sequence[Point], words: Any) -> Markup | None:
    values = sorted(one.value for one in points if one.value is not None)
    if not values:
        return None
    median, most = values[len(values) // 2], values[-1]
    return chart(title, points, [Line("p50", median, words(median)), Line("most", most, words(most))])


def _differs(one: Measured, before: Measured) -> bool:
    return (one.definition_sha256, one.git_commit) != (before.definition_sha256, before.git_commit)


# -- the form


def _signature(call: Call, spec: JobSpec | None) -> Signature | None:
    """Return what the function of a job takes, by its source; the code itself is never run here."""
    if spec is None or not isinstance(spec.code, DottedCallable) or spec.run.interpreter is not None:
        return None
    root = str(call.site.paths.root)
    cwd = os.path.join(root, spec.run.cwd) if spec.run.cwd else root
    return signature_of(spec.code.target, search_path(root, cwd, call.site.config.pythonpath))


def parameters_of(spec: JobSpec | None, signature: Signature | None) -> list[ArgumentField]:
    """Return the arguments that the form asks for: those of the function, and those that the job's file gives."""
    if spec is None or not isinstance(spec.code, DottedCallable):
        return []
    given = {name: text for name, value in spec.kwargs.items() if (text := _written(value)) is not None}
    arguments = () if signature is None else signature.arguments[len(spec.args) :]
    found = [
        _parameter(
            one.name,
            one.type,
            given.get(one.name),
            about=one.about,
            default=one.default,
            required=one.required,
            choices=tuple(value_text(choice) for choice in one.choices),
        )
        for one in arguments
    ]
    known = {one.name for one in found}
    return [*found, *(_parameter(name, "", text) for name, text in given.items() if name not in known)]


def _written(value: Any) -> str | None:
    try:
        return value_text(value)
    except (AkjobError, KeyError):
        return None  # a value of a kind that one line of TOML cannot say


def _parameter(name: str, kind: str, given: str | None, **facts: Any) -> ArgumentField:
    """Return a field: text as it is where the type is a string, TOML for all else."""
    choices: tuple[str, ...] = facts.pop("choices", ()) or (("true", "false") if given in {"true", "false"} else ())
    is_text = kind in {"str", "str | None"} and not choices and (given is None or given.startswith('"'))
    value = given or ""
    if is_text and given is not None:
        value = _plain(given)
    return ArgumentField(
        name=name, field=f"{'text' if is_text else 'arg'}:{name}", value=value, type=kind, choices=choices, **facts
    )


def _plain(text: str) -> str:
    from akjob.toml.read import read_value  # noqa: PLC0415 - only for jobs with arguments

    return str(read_value(text))


def command_line(job: str, parameters: Sequence[ArgumentField]) -> str:
    """Return the same run as the command line has it, with the values that the form begins with."""
    words = [
        f"--arg {one.name}{'=' if one.field.startswith('text:') else ':='}{one.value}"
        for one in parameters
        if one.value
    ]
    return " ".join(["akjob run", job, *words])


# -- the definition


class Earlier(Struct, frozen=True, kw_only=True):
    """A definition that the newest runs were made from, and the newest of these."""

    sha256: str
    run: str
    slot_us: int
    commit: str | None
    is_loaded: bool


async def show_definition(call: Call) -> Response:
    """Show where each value comes from, and what changed since another definition that ran."""
    sight = await call.sight()
    view = found_job(sight, call.path("name"))
    against = text_of(call, "against") or ""
    values = await call.site.read(lambda: _definition(call, sight, view, against))
    return render(call, "definition.html", **values)


def _definition(call: Call, sight: Sight, view: JobView, against: str) -> dict[str, Any]:
    spec = view.spec
    earlier = list(_earlier(sight, view))[:_MOST_VERSIONS]
    diff: list[str] = []
    if against:
        text = sight.definition_text(view, against)
        if text is None:
            hint = "The page lists those that there are."
            raise ProblemError("not-found", f"no run of this job was made from the definition {against[:12]!r}", hint)
        diff = list(unified_diff(text.split("\n"), (spec.definition if spec else "").split("\n"), n=2, lineterm=""))[2:]
    values: list[Value] = [] if spec is None else values_of(call.site.paths, call.site.config, spec)
    return {
        "summary": summarize(sight),
        "job": _head(view),
        "values": values,
        "source": _source(call.site.paths, spec, call.now_us),
        "definition": "" if spec is None else spec.definition,
        "sha256": "" if spec is None else spec.sha256,
        "earlier": earlier,
        "against": against,
        "diff": diff,
    }


def _earlier(sight: Sight, view: JobView) -> Iterator[Earlier]:
    loaded = None if view.spec is None else view.spec.sha256
    for sha256, run in sight.definitions(view).items():
        yield Earlier(
            sha256=sha256,
            run=run.id,
            slot_us=from_text(run.slot),
            commit=run.git_commit,
            is_loaded=sha256 == loaded,
        )


async def download_definition(call: Call) -> Response:
    """Answer with a definition as TOML: the one that is loaded, or one that a run was made from."""
    sight = await call.sight()
    view = found_job(sight, call.path("name"))
    sha256 = text_of(call, "sha256")
    if sha256 is None:
        text = None if view.spec is None else view.spec.definition
    else:
        text = await call.site.read(lambda: sight.definition_text(view, sha256))
    if text is None:
        raise ProblemError(
            "not-found", "there is no such definition of this job", "The page lists those that there are."
        )
    name = view.name.replace("/", "-")
    headers: Mapping[str, str] = {"content-disposition": f'attachment; filename="{name}.toml"'}
    return Response(text, headers=headers, media_type="application/toml")
