"""The plan: the coming slots, and a simulation of what would become of them."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from markupsafe import Markup
from msgspec import Struct
from starlette.responses import Response

from akjob.instants import DAY, HOUR
from akjob.ledger import open_reader
from akjob.query import plan
from akjob.query.foresight import Outlook
from akjob.query.scenarios import Wish
from akjob.query.sight import JobFilter, Sight
from akjob.schedule import get_zone
from akjob.web.api.lists import choice_of, text_of
from akjob.web.pages.outlooks import load
from akjob.web.pages.rendering import render
from akjob.web.pages.summary import summarize
from akjob.web.problems import bad_parameter
from akjob.web.simulator import Question, Simulated
from akjob.web.site import Call

_AHEAD: Mapping[str, int] = {"6h": 6 * HOUR, "1d": DAY, "3d": 3 * DAY, "7d": 7 * DAY}
_MOST_SLOTS = 20_000  # so that a job of every second does not keep everybody waiting
_MOST_WORDS = 20
_MOST_MACHINES = 1000
_MOST_SEED = 10**9


class Fields(Struct, frozen=True, kw_only=True):
    """The form, as it was typed. Several downtimes, failures or durations are separated by commas."""

    begin: str = ""
    until: str = ""
    rev: str = ""
    against: str = ""
    down: str = ""
    fail: str = ""
    takes: str = ""
    machines: str = ""
    seed: str = ""


async def show_plan(call: Call) -> Response:
    """Show the coming slots hour by hour, what is worth a change, and what would become of the slots: a simulation."""
    sight = await call.sight()
    fields = Fields(
        begin=text_of(call, "from") or "",
        **{name: text_of(call, name) or "" for name in Fields.__struct_fields__ if name != "begin"},
    )
    if call.query("simulate"):
        return await _show_simulation(call, sight, fields)
    chosen = choice_of(call, "until", _AHEAD) or "1d"
    values = await call.site.read(lambda: _coming(call, sight, chosen))
    return render(
        call, "plan.html", **values, spans=list(_AHEAD), chosen=chosen, fields=fields, answer=None, live=False
    )


def _coming(call: Call, sight: Sight, chosen: str) -> dict[str, Any]:
    views = sight.jobs(JobFilter())
    durations = open_reader(call.site.paths.ledger_url).durations([view.name for view in views], plan.SAMPLES)
    planned = [one for view in views if (one := plan.of_job(view, durations.get(view.name, []))) is not None]
    until_us = call.now_us + _AHEAD[chosen]
    found = list(islice(plan.starts(planned, call.now_us, until_us), _MOST_SLOTS))
    cut = len(found) == _MOST_SLOTS
    until_us = found[-1].slot_us if cut else until_us
    specs = {view.name: view.spec for view in views if view.spec is not None}
    return {
        "summary": summarize(sight),
        "cut": cut,
        "hours": plan.hours(found, call.now_us, until_us, get_zone("UTC")),
        "advice": plan.advise(found, specs, call.now_us, until_us),
    }


async def _show_simulation(call: Call, sight: Sight, fields: Fields) -> Response:
    summary = await call.site.read(lambda: summarize(sight))
    question = Question(
        root=str(call.site.paths.root),
        now_us=call.now_us,
        principal=call.principal,
        wish=_wish(fields),
        against=fields.against or None,
    )
    answer = await call.site.simulations.ask(question)
    return render(
        call,
        "plan.html",
        summary,
        fields=fields,
        answer=answer,
        drawn=[] if answer.after is None else list(_drawn(answer)),
        before={} if answer.before is None else {one.job: one for one in answer.before.jobs},
        spans=list(_AHEAD),
        chosen="",
        live=False,
    )


def _drawn(answer: Simulated) -> Iterator[tuple[str, Markup, Outlook]]:
    """Yield the load of each revision, with its name."""
    both = (("", answer.after), ("before", answer.before))
    found = [(name, one) for name, one in both if one is not None]
    peak = max(one.peak for _, one in found)
    for name, one in found:
        yield name, load(one, peak), one


def _wish(fields: Fields) -> Wish:
    return Wish(
        since=fields.begin or None,
        until=fields.until or None,
        downs=_words("down", fields.down),
        failures=_words("fail", fields.fail),
        takes=_words("takes", fields.takes),
        seed=_number("seed", fields.seed, 0, _MOST_SEED),
        machines=_number("machines", fields.machines, 1, _MOST_MACHINES),
        rev=fields.rev or None,
    )


def _words(name: str, text: str) -> tuple[str, ...]:
    found = tuple(word for part in text.split(",") if (word := part.strip()))
    if len(found) > _MOST_WORDS:
        raise bad_parameter(name, text, f"at most {_MOST_WORDS}, separated by commas")
    return found


def _number(name: str, text: str, least: int, most: int) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise bad_parameter(name, text, f"an integer from {least} to {most}")
    return int(text)
