"""TOML text to a frozen :class:`JobSpec`, or to all its Problems."""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from akjob import __version__
from akjob.config import Config
from akjob.errors import AkjobError, Problem
from akjob.keys.key import fields, unknown
from akjob.keys.values import Reading
from akjob.schedule.calendars import NO_CALENDARS, Calendars, calendars_of, load_calendars
from akjob.schedule.cycles import uses_workdays
from akjob.schedule.model import Limits, Schedule
from akjob.schedule.never import fires_in_gaps_only, never_fires
from akjob.schedule.zones import integer_zone, is_zone
from akjob.spec import expect
from akjob.spec.canonical import CALENDARS_BEGIN, calendars_text, canonical_text, section_text
from akjob.spec.instances import INSTANCES, SEPARATOR, Instance, instances_of
from akjob.spec.job import CODE, SECTIONS, TOP
from akjob.spec.model import DillFile, JobSpec, Notify, RunPolicy
from akjob.spec.notify import NOTIFY
from akjob.spec.policy import RUN
from akjob.spec.when import LIMITS, SCHEDULE, TRIGGERS, make_schedule
from akjob.toml.faults import Placing, dotted
from akjob.toml.near import did_you_mean
from akjob.toml.read import read_table
from akjob.toml.scan import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_NAME_HINT = "rename the file: letters, digits, `.`, `_` and `-`, the first one a letter or a digit"
_ROUNDS = 4  # what is wrong shows something else that is, three times over at most
_OF_CALENDARS = ("unknown-calendar", "broken-calendar")  # found out with a job, also in its defaults
_JOB_LIMITS = ("runs", "when_done")  # what [limits] says of the job and not of its instants
_NO_TABLE: Mapping[str, Any] = {}
_MOST_READ = 500  # different tables of a kind that are remembered below one folder's defaults

_K = TypeVar("_K")
_V = TypeVar("_V")
_ScheduleKey = tuple[str | None, str | None, int | None]  # the text of both tables, and what the time is


class ParseResult(Struct, frozen=True):
    """The job ``name``, and what is wrong with it. ``spec`` is None when one of the problems is an error."""

    spec: JobSpec | None
    problems: tuple[Problem, ...]
    name: str = ""


class Defaults(Struct, frozen=True, eq=False):
    """One ``_defaults.toml``, or the job defaults of ``etc/akjob.toml``: its table, valid but for ``problems``.

    ``file`` is its path below the root. Jobs below a file of defaults with errors are refused with those errors.
    ``wrong`` has the paths of what is wrong in it, ``()`` when nothing of it could be read. ``text`` is for positions.
    """

    file: str
    table: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()
    wrong: frozenset[Path] = frozenset()
    text: str = ""


class Rest(Struct, frozen=True):
    """What is right of a refused file: the job that it would be, never to be run, and the paths of what is ``wrong``.

    Among those are the keys that were perhaps meant: of no path there anything is known.
    """

    spec: JobSpec
    wrong: frozenset[Path]

    def knows(self, *path: str | int) -> bool:
        """Return True if the value at a path is as the file means it."""
        return not touches(self.wrong, path)


def touches(wrong: Iterable[Path], path: Path) -> bool:
    """Return True if something wrong is at a path, above or below it."""
    return any(one[: len(path)] == path[: len(one)] for one in wrong)


class _Base(Struct, frozen=True, eq=False):
    """All defaults of one folder, merged: what a job file is laid over.

    ``read``, ``policy`` and ``messages`` are the top, ``[run]`` and ``[notify]`` as read; ``settings`` are None where
    they are not known; ``sections`` is True where there is anything in a table. ``read_schedules`` and
    ``read_policies`` are what tables of jobs came to, by their text.
    """

    made_of: tuple[object, ...]
    top: Mapping[str, Any]
    read: Mapping[str, Any]
    schedule: Mapping[str, Any]
    limits: Mapping[str, Any]
    run: Mapping[str, Any]
    sections: bool
    policy: Mapping[str, Any]
    whole_policy: RunPolicy
    notify_table: Mapping[str, Any]
    messages: Mapping[str, Any]
    notify: Notify
    settings: Config | None
    files: tuple[str, ...]
    problems: tuple[Problem, ...]
    read_schedules: dict[_ScheduleKey, tuple[Schedule, dict[str, Any]]]
    read_policies: dict[str, RunPolicy]


def parse_job(  # noqa: PLR0913 - a file, and all that its meaning depends on
    name: str,
    file: str,
    text: str | bytes,
    *,
    defaults: Sequence[Defaults] = (),
    config: Config | None = None,
    now_us: int | None = None,
    resolve: bool = True,
) -> ParseResult:
    """Read a job file that gives one job.

    ``file`` is its path below the root, for messages; ``defaults`` are those of its folders, the outermost first;
    ``config`` gives the outermost of all. With ``now_us`` the problems also tell of dates that have passed. Without
    ``resolve`` the spec's ``definition`` and ``sha256`` are left empty: a tenth of the time, for callers that ask for
    the problems. Raises nothing: whatever a file does to the parser, it costs this file alone.
    """
    asked = _Asked(_base(defaults, config or _CONFIG), now_us, resolve, check_us=now_us)
    try:
        return _parse_job(name, file, text, asked)
    except Exception as error:  # noqa: BLE001 - see above
        return ParseResult(None, (own_fault(file, error),), name)


def parse_jobs(  # noqa: PLR0913 - as there
    name: str,
    file: str,
    text: str | bytes,
    *,
    defaults: Sequence[Defaults] = (),
    config: Config | None = None,
    now_us: int | None = None,
    check_us: int | None = None,
    resolve: bool = True,
) -> tuple[ParseResult, ...]:
    """Read a job file, as :func:`parse_job` does: one job, or one ``name@INSTANCE`` for each of its instances.

    With ``check_us``, or ``now_us``, the expectations of the file are checked, for the years from that instant's on. A
    file whose instances cannot be determined is one refused job of its own name.
    """
    base = _base(defaults, config or _CONFIG)
    asked = _Asked(base, now_us, resolve, check_us=now_us if check_us is None else check_us)
    try:
        return _parse_jobs(name, file, text, asked)
    except Exception as error:  # noqa: BLE001 - see there
        return (ParseResult(None, (own_fault(file, error),), name),)


class _Asked(Struct, frozen=True):
    """What a file is read over, and what is wanted to be known."""

    base: _Base
    now_us: int | None
    resolve: bool
    calendars: Calendars | None = None
    check_us: int | None = None

    def reading(self) -> Reading:
        """Return an empty reading for a job."""
        return _reading(self.base.settings, self.calendars)


def own_fault(file: str, error: Exception) -> Problem:
    """Return the problem of a file that makes akjob fail: not a fault of its author."""
    return Problem(
        file=file,
        code="internal-error",
        message=f"akjob {__version__} failed to read this file, which is a fault of akjob: "
        f"{type(error).__name__}: {str(error)[:200]}",
        hint="report this line together with the file; the last good version of the job goes on, if there is one",
    )


def _parse_job(name: str, file: str, text: str | bytes, asked: _Asked) -> ParseResult:
    table, text, problem = read_table(file, text)
    if problem is not None:
        return ParseResult(None, (problem, *asked.base.problems), name)
    return _parse_table(name, file, table, text, asked)


def _parse_table(name: str, file: str, table: dict[str, Any], text: str, asked: _Asked) -> ParseResult:
    out = asked.reading()
    if _NAME.fullmatch(name) is None:
        out.bad((), "bad-name", f"`{name}` cannot be the name of a job", _NAME_HINT)
    spec = _read_job(name, file, table, asked, out)
    wrong = asked.base.problems
    if not out.found and not wrong:
        return ParseResult(spec, (), name)
    return ParseResult(None if wrong else spec, (*out.problems(file, text), *wrong), name)


def _parse_jobs(name: str, file: str, text: str | bytes, asked: _Asked) -> tuple[ParseResult, ...]:
    table, text, problem = read_table(file, text)
    if problem is not None:
        return (ParseResult(None, (problem, *asked.base.problems), name),)
    if INSTANCES not in table:
        return (_parse_table(name, file, table, text, asked),)
    out = Reading()
    found = instances_of(table, out)
    if not found:
        return (ParseResult(None, (*out.problems(file, text), *asked.base.problems), name),)
    if _NAME.fullmatch(name) is None:
        out.bad((), "bad-name", f"`{name}` cannot be the name of a job", _NAME_HINT)
    return tuple(_parse_instances(name, file, found, text, asked, out))


def _parse_instances(  # noqa: PLR0913, PLR0917 - a file, and what was found out about it
    name: str, file: str, found: Sequence[Instance], text: str, asked: _Asked, common: Reading
) -> Iterator[ParseResult]:
    """Yield the jobs of a file's instances; positions are looked for once for all."""
    place = Placing(file, text)
    for instance in found:
        own = f"{name}{SEPARATOR}{instance.name}"
        out, spec = asked.reading(), None
        if not instance.faults:
            spec = _read_job(own, file, instance.table, asked, out)
        if spec is not None and spec.when_done == "delete":
            spec = replace(spec, when_done="keep")
            message = "`limits.when_done` does nothing here: the file has several jobs"
            out.bad(("limits", "when_done"), "no-effect", message, 'write "keep"', severity="warning")
        faults = (*common.found, *instance.faults, *map(instance.origin, out.found))
        wrong = (*place.problems(faults), *asked.base.problems)
        yield ParseResult(None if asked.base.problems or common.errors else spec, wrong, own)


def _reading(config: Config | None, calendars: Calendars | None = None) -> Reading:
    """Return an empty reading for a job, which knows these calendars, or else those of the configuration."""
    out = Reading()
    out.calendars = calendars or (config or _CONFIG).calendars or NO_CALENDARS
    return out


def parse_rest(
    name: str, file: str, text: str | bytes, *, defaults: Sequence[Defaults] = (), config: Config | None = None
) -> Rest | None:
    """Read what is right of a job that :func:`parse_jobs` refuses, for looking at what it names.

    None when that cannot be known: the text, or that of its defaults, is not TOML.
    """
    table, _, problem = read_table(file, text)
    if INSTANCES in table:
        _, _, own = name.rpartition(SEPARATOR)
        instance = next((one for one in instances_of(table, Reading()) if one.name == own and not one.faults), None)
        if instance is None:
            return None
        table = dict(instance.table)
    chain = (_config_defaults(config or _CONFIG), *defaults)
    wrong = frozenset(path for one in chain for path in one.wrong)
    if problem is not None or () in wrong:
        return None
    base = _make_base([Defaults(one.file, _without(one.table, one.wrong)) for one in chain], ())
    for _ in range(_ROUNDS):
        out = _reading(config)
        spec = _read_job(name, file, table, _Asked(base, None, resolve=False), out)
        if spec is not None:
            return Rest(spec, wrong)
        found = out.wrong - {()}
        wrong |= found
        table = _without(table, found)
        if not any(key in table for key in CODE):
            table["command"] = "true"  # for there is no job without; that it lacks is said already
    return None


def _without(table: Mapping[str, object], paths: Iterable[Path]) -> dict[str, Any]:
    """Return a table without what is at these paths; an item of an array takes the array along."""
    left = dict(table)
    for head in {path[0] for path in paths}:
        below = [path[1:] for path in paths if path[0] == head]
        value = left.pop(str(head), None)
        if type(value) is dict and all(below):
            left[str(head)] = _without(value, below)
    return left


def _read_job(name: str, file: str, table: Mapping[str, object], asked: _Asked, out: Reading) -> JobSpec | None:
    """Read a table that tomllib returned, over its defaults. Returns None when ``out`` has an error."""
    base = asked.base
    top = fields(table, (), out, TOP)
    _check_code(table, out)
    raw = {section: top.pop(section, None) or _NO_TABLE for section in SECTIONS}
    schedule = _schedule(raw["schedule"], raw["limits"], asked, out)
    run = raw["run"]
    policy = base.whole_policy if not run else _policy(run, base, out)
    notify = base.notify if not raw["notify"] else _notify(raw["notify"], base, out)
    if table.get("command") is not None:
        _check_command(table, run, out)
    expected = top.pop("expect", None) or base.read.get("expect")
    if expected and schedule is not None and asked.check_us is not None and not out.errors:
        expect.check(expected, schedule[0], asked.check_us, out)
    if out.errors or schedule is None or policy is None or notify is None:
        return None
    definition = sha256 = ""
    if asked.resolve:
        definition = canonical_text(_merged(table, raw, base) if base.top or base.sections else table)
        if calendars := calendars_of(schedule[0]):
            definition += calendars_text(calendars)
        sha256 = hashlib.sha256(definition.encode()).hexdigest()
    code = top["code"]
    sources = (file, *base.files)
    if type(code) is DillFile:
        sources = (*sources, posixpath.join(posixpath.dirname(file), code.file))
    if base.read:
        top = {**base.read, **top}
        top.pop("expect", None)
    if "command" in table:
        top.pop("args", None)
        top.pop("kwargs", None)
    when, limits = schedule
    return JobSpec(
        name=name,
        file=file,
        sources=sources,
        definition=definition,
        sha256=sha256,
        schedule=when,
        run=policy,
        notify=notify,
        **limits,
        **top,
    )


def _schedule(
    own: Mapping[str, object], own_limits: Mapping[str, object], asked: _Asked, out: Reading
) -> tuple[Schedule, dict[str, Any]] | None:
    """Read and check both tables; those that many jobs have alike, and nothing is wrong with, once for all of them."""
    base, key = asked.base, None
    if asked.calendars is None:
        key = section_text("schedule", own), section_text("limits", own_limits), asked.now_us
        known = base.read_schedules.get(key)
        if known is not None:
            return known
    before = len(out.found)
    found = _read_schedule(own, own_limits, base, out)
    if found is not None:
        _check_schedule(found[0], own, out, asked.now_us)
    if key is not None and None not in key[:2] and found is not None and len(out.found) == before:
        _remember(base.read_schedules, key, found)
    return found


def _remember(known: dict[_K, _V], key: _K, value: _V) -> None:
    """Keep what was read; not of so many that are all different."""
    if len(known) >= _MOST_READ:
        known.clear()
    known[key] = value


def _read_schedule(
    own: Mapping[str, Any], own_limits: Mapping[str, Any], base: _Base, out: Reading
) -> tuple[Schedule, dict[str, Any]] | None:
    """Read both tables, over their defaults, into the Schedule and the limits that are not about instants.

    Values of the defaults are read again with each job, for their local times are in the job's zone.
    """
    schedule = {**base.schedule, **own} if base.schedule else own
    limits = {**base.limits, **own_limits} if base.limits else own_limits
    errors, before = out.errors, len(out.found)
    zone = "UTC"
    named = schedule.get("timezone")
    if type(named) is str and is_zone(named):
        zone = named  # wherever it is in the table, the other keys are read in it
    out.zone = zone
    found = fields(schedule, ("schedule",), out, SCHEDULE)
    found_limits = fields(limits, ("limits",), out, LIMITS)
    if len(out.found) > before and (base.schedule or base.limits):
        given = {"schedule": own, "limits": own_limits}
        out.found[before:] = [
            fault
            for fault in out.found[before:]
            if fault.path[1] in given[str(fault.path[0])] or fault.code in _OF_CALENDARS
        ]
    if errors != out.errors:
        return None
    found.pop("zone", None)
    if "anchor" in own and "every" not in schedule:
        message = "`schedule.anchor` does nothing without `every`"
        out.bad(("schedule", "anchor"), "no-effect", message, "give every, or remove anchor", severity="warning")
    if "workdays" in own and not any(uses_workdays(one) for one in found.get("monthly", ())):
        message = "`schedule.workdays` does nothing without a workday or `roll` in `monthly`"
        hint = "to leave out the days of the calendar write it as limits.not_on"
        out.bad(("schedule", "workdays"), "no-effect", message, hint, severity="warning")
    if "every" in own and found.get("every") is not None:
        _note_drift(found["every"], own["every"], zone, out)
    others: dict[str, Any] = {name: found_limits.pop(name) for name in _JOB_LIMITS if name in found_limits}
    return make_schedule(found, found_limits, zone), others


def _note_drift(period_us: int, written: str, zone: str, out: Reading) -> None:
    """Note whole days in a zone whose clock changes: they are elapsed time, and move by an hour."""
    if period_us % _DAY_US == 0 and integer_zone(zone).rule_changes:
        message = f'`schedule.every`: "{written}" is elapsed time: in {zone} it moves when the clock changes'
        hint = "for a local time write daily = 09:30:00, or weekly or monthly with every and from"
        out.bad(("schedule", "every"), "every-moves", message, hint, severity="info")


def _policy(own: Mapping[str, object], base: _Base, out: Reading) -> RunPolicy | None:
    """Read a job's ``[run]``, once where many jobs have it alike."""
    key = section_text("run", own)
    known = base.read_policies.get(key or "")
    if known is not None:
        return known
    before = len(out.found)
    policy = _laid_over(fields(own, ("run",), out, RUN), base, out)
    if key is not None and policy is not None and len(out.found) == before:
        _remember(base.read_policies, key, policy)
    return policy


def _laid_over(found: dict[str, Any], base: _Base, out: Reading) -> RunPolicy | None:
    """Lay a job's ``[run]`` over its defaults; ``env`` alone is merged."""
    _check_pool(found.get("pool"), base.settings, out)
    if out.under("run"):
        return None
    if base.policy:
        if "env" in found and "env" in base.policy:
            found["env"] = {**base.policy["env"], **found["env"]}
        found = {**base.policy, **found}
    return RunPolicy(**found)


def _notify(own: Mapping[str, object], base: _Base, out: Reading) -> Notify | None:
    """Lay a job's ``[notify]`` over its defaults."""
    errors = out.errors
    found = fields(own, ("notify",), out, NOTIFY)
    _check_channels(found.get("channels") or (), base.settings, out)
    return Notify(**{**base.messages, **found}) if errors == out.errors else None


def _check_channels(named: Sequence[str], settings: Config | None, out: Reading) -> None:
    if settings is not None:
        for index, name in enumerate(named):
            _check_name("channel", name, settings.channels, ("notify", "channels", index), out)


def _check_pool(named: str | None, settings: Config | None, out: Reading) -> None:
    if settings is not None and named is not None:
        _check_name("pool", named, settings.pools, ("run", "pool"), out)


def _check_name(what: str, name: str, known: Mapping[str, object], path: Path, out: Reading) -> None:
    """Note a name that the settings do not have."""
    if name not in known:
        hint = f"one of {', '.join(sorted(known))}" if known else f"add [{what}s] to etc/akjob.toml"
        message = f'`{dotted(path)}` names the {what} "{name}", which is not there'
        out.bad(path, f"unknown-{what}", message + did_you_mean(name, known, '"'), hint)


def _merged(table: Mapping[str, object], raw: Mapping[str, Mapping[str, Any]], base: _Base) -> dict[str, Any]:
    """Return the definition with all defaults laid under it, as TOML values."""
    merged = {**base.top, **table}
    if "command" in table:
        for key in ("args", "kwargs"):
            merged.pop(key, None)
    merged["schedule"] = {**base.schedule, **raw["schedule"]}
    merged["limits"] = {**base.limits, **raw["limits"]}
    merged["notify"] = {**base.notify_table, **raw["notify"]}
    run = merged["run"] = {**base.run, **raw["run"]}
    if "env" in raw["run"] and "env" in base.run:
        run["env"] = {**base.run["env"], **raw["run"]["env"]}
    return merged


# -- checks of more than one key


def _check_code(table: Mapping[str, object], out: Reading) -> None:
    if ("callable" in table) + ("dill" in table) + ("command" in table) == 1:
        return
    given = [key for key in CODE if key in table]
    if not given:
        if any((key,) in out.guessed for key in CODE):
            return
        hint = 'write callable = "package.module:name", or command = "…"'
        for section in SECTIONS:
            inside = table.get(section)
            lost = next((key for key in CODE if type(inside) is dict and key in inside), None)
            if lost:
                return  # the key is in a wrong table, which is said already
        out.bad((), "no-code", "nothing to run: one of `callable`, `dill` and `command` is needed", hint)
        return
    shown = " and ".join(f"`{key}`" for key in given)
    for key in given[1:]:
        message = f"{shown} are given; exactly one of them names what to run"
        out.bad((key,), "several-codes", message, "keep one of them", at_key=True)


def _check_command(table: Mapping[str, object], run: Mapping[str, object], out: Reading) -> None:
    """Refuse what only a callable can be given; a command would never see it."""
    for key in ("args", "kwargs"):
        if key in table:
            message = f"`{key}` is for `callable` and `dill`; a command is given its arguments in `command`"
            out.bad((key,), "args-of-command", message, f"write them into command and remove {key}", at_key=True)
    for key in ("interpreter", "setup"):
        if key in run:
            message = f"`run.{key}` does nothing for a command"
            out.bad(("run", key), "no-effect", message, "remove it", severity="warning", at_key=True)


def _check_schedule(schedule: Schedule, own: Mapping[str, object], out: Reading, now_us: int | None) -> None:
    """Note schedules that never fire, and instants that have passed.

    Most schedules need not be asked: see :func:`_surely_fires`.
    """
    if _surely_fires(schedule, now_us):
        return
    codes = {"error": "never-fires", "warning": "trigger-never-fires", "info": "in-the-past"}
    for path, reason in fires_in_gaps_only(schedule, now_us or 0):
        out.bad(_given(path, own), "fires-in-gap-only", f"`{dotted(path)}`: {reason}", _GAP_HINT, severity="warning")
    for path, reason, severity in never_fires(schedule, now_us or 0):
        if severity == "info" and now_us is None:
            continue
        place = _given(path, own)
        if severity == "error":
            out.found = [fault for fault in out.found if fault.severity != "info"]  # of no interest beside this one
        out.bad(place, codes[severity], f"`{dotted(place)}`: {reason}", _NEVER_HINTS[severity], severity=severity)


def _given(path: Path, own: Mapping[str, object]) -> Path:
    """Return where in the file a trigger stands: a single table or string may be given in place of an array of one."""
    single = len(path) > 2 and type(own.get(str(path[1]))) is not list  # noqa: PLR2004
    return path[:2] if single else path


def _surely_fires(schedule: Schedule, now_us: int | None) -> bool:
    """Return True if each trigger obviously fires some day, as most do; False means: compute it.

    Without limits all but days that no month has come again and again. Limits on days of the week, months and dates
    still leave something to ``daily`` and, dates alone, to ``weekly``.
    """
    limits = schedule.limits
    if limits.hours or limits.month_days or limits.not_on or limits.only_on or schedule.monthly:
        return False
    if any(one.every > 1 for one in schedule.weekly) and _limited(limits):
        return False
    if schedule.at and (now_us is not None or _limited(limits)):
        return False
    if limits.first or limits.last:
        if now_us is not None or schedule.every or schedule.cron or limits.except_dates or limits.months:
            return False
        if limits.first and limits.last and (limits.last - limits.first).days < _TWO_WEEKS:
            return False
    if (limits.weekdays or limits.months) and (schedule.every or schedule.weekly or schedule.cron):
        return False
    if limits.except_dates and schedule.cron:
        return False
    return all(_has_days(cron.expression) for cron in schedule.cron)


def _has_days(expression: str) -> bool:
    """Return True if it is plain that an expression's fields of days have a day in common."""
    day, month, weekday = expression.split()[-3:]
    both = day != "*" and weekday != "*" and "*" in day[0] + weekday[0]  # both must match
    return not both and (day == "*" or month == "*")


def _limited(limits: Limits) -> bool:
    return bool(limits.weekdays or limits.months or limits.first or limits.last or limits.except_dates)


_TWO_WEEKS = 14
_DAY_US = 86_400_000_000
_GAP_HINT = "change the time of day, or limits.hours, so that they fit"
_NEVER_HINTS = {
    "error": "change the triggers or [limits] so that there is a time that all allow",
    "warning": "remove it, or change it",
    "info": "remove it when it is no longer needed",
}

# -- defaults


def parse_defaults(file: str, text: str | bytes) -> Defaults:
    """Read one ``_defaults.toml``: any keys of a job but the code to run, triggers and ``limits.runs``.

    Raises nothing, as :func:`parse_job`.
    """
    try:
        return _parse_defaults(file, text)
    except Exception as error:  # noqa: BLE001 - as there
        return Defaults(file, {}, (own_fault(file, error),), frozenset({()}))


def _parse_defaults(file: str, text: str | bytes) -> Defaults:
    table, text, problem = read_table(file, text)
    if problem is not None:
        return Defaults(file, {}, (problem,), frozenset({()}))
    out = Reading()
    allowed: dict[str, Any] = {}
    for key, value in table.items():
        if key in CODE or key == INSTANCES:
            _not_in_defaults((key,), out)
        elif key not in SECTIONS:
            allowed[key] = value
            _read_default(key, value, out)
        elif type(value) is not dict:
            TOP[key].read(value, (key,), out)
        else:
            allowed[key] = _read_default_table(key, value, out)
    forbidden = {fault.path for fault in out.found if fault.code == "not-in-defaults"}
    return Defaults(file, allowed, out.problems(file, text), out.wrong - forbidden, text)


def _read_default(key: str, value: object, out: Reading) -> None:
    if key in TOP:
        TOP[key].read(value, (key,), out)
    else:
        unknown(key, (), out, {name: member for name, member in TOP.items() if name not in CODE})


def _read_default_table(section: str, table: Mapping[str, object], out: Reading) -> dict[str, Any]:
    forbidden = {"schedule": TRIGGERS, "limits": ("runs",), "run": ()}[section]
    allowed = {}
    for key, value in table.items():
        if key in forbidden:
            _not_in_defaults((section, key), out)
        else:
            allowed[key] = value
    fields(allowed, (section,), out, SECTIONS[section])
    return allowed


def _not_in_defaults(path: tuple[str, ...], out: Reading) -> None:
    what = {1: "the code to run", 2: "triggers"}[len(path)]
    if path[-1] in {"runs", INSTANCES}:
        what = {"runs": "a number of runs"}.get(path[-1], "instances")
    message = f"`{dotted(path)}` cannot be a default: {what} must be in the job's own file"
    out.bad(path, "not-in-defaults", message, "move it into the job files", at_key=True)


def config_problems(config: Config) -> tuple[Problem, ...]:
    """Return what is wrong with the job defaults of ``etc/akjob.toml``: ``[run]``, ``[notify]``, ``timezone``."""
    return _config_defaults(config).problems


def _config_defaults(config: Config) -> Defaults:
    """Return ``[run]``, ``[notify]`` and ``timezone`` of the configuration as the outermost defaults."""
    out = Reading()
    table: dict[str, Any] = {}
    if config.timezone != "UTC":
        SCHEDULE["timezone"].read(config.timezone, ("timezone",), out)
        table["schedule"] = {"timezone": config.timezone}
    if config.run_defaults:
        _check_pool(fields(config.run_defaults, ("run",), out, RUN).get("pool"), config, out)
        table["run"] = config.run_defaults
    if config.notify_defaults:
        found = fields(config.notify_defaults, ("notify",), out, NOTIFY)
        _check_channels(found.get("channels") or (), config, out)
        table["notify"] = config.notify_defaults
    return Defaults(config.file, table, out.problems(config.file, config.text), out.wrong)


_CONFIG = Config()
_bases: dict[tuple[int, ...], _Base] = {}
_MOST_BASES = 4096


def _base(defaults: Sequence[Defaults], config: Config) -> _Base:
    """Return the merged defaults, made once for each chain; an entry holds what its ids are of, so they stay unique."""
    key = (id(config), *map(id, defaults))
    base = _bases.get(key)
    if base is None:
        if len(_bases) >= _MOST_BASES:
            _bases.clear()
        base = _bases[key] = _make_base(
            (_config_defaults(config), *defaults),
            (config, *defaults),
            None if config is _CONFIG else config,
        )
    return base


def _make_base(chain: Sequence[Defaults], made_of: tuple[object, ...], settings: Config | None = None) -> _Base:
    """Merge the configuration's defaults and those of the folders."""
    top: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for one in chain:
        for key, value in one.table.items():
            if key not in SECTIONS:
                top[key] = value
                continue
            env = {**sections["run"].get("env", {}), **value["env"]} if key == "run" and _has_env(value) else None
            sections[key].update(value)
            if env is not None:
                sections["run"]["env"] = env
    problems = tuple(problem for one in chain for problem in one.problems if problem.severity == "error")
    problems += tuple(problem for one in chain[1:] for problem in _unknown_names(one, settings))
    out = Reading()
    policy = {} if problems else fields(sections["run"], ("run",), out, RUN)
    messages = {} if problems else fields(sections["notify"], ("notify",), out, NOTIFY)
    return _Base(
        made_of=made_of,
        top=top,
        read={} if problems else fields(top, (), out, TOP),
        schedule=sections["schedule"],
        limits=sections["limits"],
        run=sections["run"],
        sections=any(sections.values()),
        policy=policy,
        whole_policy=RunPolicy(**policy),
        notify_table=sections["notify"],
        messages=messages,
        notify=Notify(**messages),
        settings=settings,
        files=tuple(one.file for one in chain[1:]),
        problems=problems,
        read_schedules={},
        read_policies={},
    )


def _unknown_names(defaults: Defaults, settings: Config | None) -> tuple[Problem, ...]:
    """Return the errors of a ``_defaults.toml`` that only the settings show."""
    out = Reading()
    notify, run = defaults.table.get("notify"), defaults.table.get("run")
    if type(notify) is dict:
        _check_channels(NOTIFY["channels"].read(notify.get("channels", []), (), Reading()) or (), settings, out)
    if type(run) is dict and type(run.get("pool")) is str:
        _check_pool(run["pool"], settings, out)
    return out.problems(defaults.file, defaults.text)


def _has_env(run: Mapping[str, object]) -> bool:
    return type(run.get("env")) is dict


# -- back from the ledger


def load_definition(name: str, file: str, definition: str, sources: tuple[str, ...] | None = None) -> JobSpec:
    """Return the JobSpec whose ``definition`` this is; ``sources`` are not in it and may be given.

    Raises AkjobError when the text is not a definition, as one written by another version may be.
    """
    text, found, tables = definition.partition(CALENDARS_BEGIN)
    calendars = None
    if found:
        table, _, _ = read_table(file, found + tables)
        calendars = load_calendars(table.get("calendars"), None, Reading())
    try:
        asked = _Asked(_base((), _CONFIG), None, resolve=True, calendars=calendars)
        result = _parse_job(name.partition(SEPARATOR)[0], file, text, asked)
    except Exception as error:  # noqa: BLE001 - as in parse_job
        result = ParseResult(None, (own_fault(file, error),))
    if result.spec is None:
        problem = next(one for one in result.problems if one.severity == "error")
        message = f"the kept definition of {name} cannot be used: {problem.message} (its line {problem.line})"
        raise AkjobError(message, hint="repair the job's file; it is taken as soon as it is right")
    spec = replace(result.spec, name=name)
    if sources is None:
        return spec
    return replace(spec, sources=sources)
