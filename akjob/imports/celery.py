"""Celery's ``beat_schedule`` and django-crontab's ``CRONJOBS`` into job files. Source is read, never executed."""

import ast
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from akjob.imports import Budget, Draft, Import, ImportNote, TooMuchError, distinct, finish_all, is_number, slug
from akjob.imports.documents import seconds

_SCHEDULES = frozenset({"beat_schedule", "CELERY_BEAT_SCHEDULE", "CELERYBEAT_SCHEDULE"})
_CRONJOBS = frozenset({"CRONJOBS"})
_ZONES = frozenset({"timezone", "CELERY_TIMEZONE", "TIME_ZONE"})
_LIMITS = frozenset({"task_time_limit", "CELERY_TASK_TIME_LIMIT", "CELERYD_TASK_TIME_LIMIT"})
_SETTINGS = _SCHEDULES | _CRONJOBS | _ZONES | _LIMITS
_CRONTAB = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
_TIMEDELTA = ("days", "seconds", "microseconds", "milliseconds", "minutes", "hours", "weeks")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_SOLAR = "it follows the sun, which no schedule here does"
_DEEPEST = 200


class _UnknownError(ValueError):
    """What is in the source can only be known by running it."""


def read_celery(text: str, *, file: str, zone: str | None = None) -> Import:
    """Translate the periodic tasks of a Python file; ``zone`` goes before what the file says of it."""
    try:
        tree = ast.parse(text)
        settings = {name: node for name, node in _assigned(tree) if name in _SETTINGS}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        return Import((), (ImportNote(file, line, f"it is not Python: {error}"),))
    reading = _Reading(file, zone or _constant(settings, _ZONES, str) or "UTC", _constant(settings, _LIMITS, int))
    drafts: list[tuple[str, str, Draft]] = []
    try:
        for name, node in settings.items():
            if name in _SCHEDULES:
                drafts += reading.beat(node)
            elif name in _CRONJOBS:
                drafts += reading.cronjobs(node)
    except TooMuchError as error:
        return Import((), (ImportNote(file, 1, str(error)),))
    added = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "add_periodic_task"]
    reading.notes += [
        ImportNote(
            file, node.lineno, f"add_periodic_task is not translated, for it is made by running: {_source(node)}"
        )
        for node in added
    ]
    names = distinct([(name, source) for name, source, _ in drafts], {})
    made = finish_all([(name, draft) for name, (_, _, draft) in zip(names, drafts, strict=True)], reading.notes)
    ends = {"stop `celery beat`"} if settings.keys() & _SCHEDULES or added else set()
    ends |= {"`python manage.py crontab remove` ends it"} if settings.keys() & _CRONJOBS else set()
    return Import(made.jobs, made.notes, made.defaults, tuple(sorted(ends)), made.drafts)


def _assigned(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield names and attributes that are assigned, keyword arguments of calls, and keys of dictionaries."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            yield from ((name, node.value) for target in node.targets if (name := _name(target)))
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield _name(node.target), node.value
        elif isinstance(node, ast.Call):
            yield from ((word.arg, word.value) for word in node.keywords if word.arg in _SCHEDULES)


def _name(target: ast.AST) -> str:
    return target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else ""


def _constant(settings: Mapping[str, ast.expr], names: frozenset[str], kind: type) -> Any:
    found = (settings[name] for name in sorted(names) if name in settings)
    return next((n.value for n in found if isinstance(n, ast.Constant) and type(n.value) is kind), None)


class _Reading:
    """One file on its way into drafts."""

    def __init__(self, file: str, zone: str, limit: int | None) -> None:
        self.file = file
        self.zone = zone
        self.limit = limit
        self.notes: list[ImportNote] = []
        self.budget = Budget()

    def beat(self, node: ast.expr) -> Iterator[tuple[str, str, Draft]]:
        """Yield a draft for each entry of a ``beat_schedule``."""
        if not isinstance(node, ast.Dict):
            self.notes.append(
                ImportNote(self.file, node.lineno, "the schedule is not written out here: it is not translated")
            )
            return
        for key, value in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant) or not isinstance(key.value, str) or not isinstance(value, ast.Dict):
                self.notes.append(
                    ImportNote(self.file, value.lineno, "an entry that is not written out is not translated")
                )
                continue
            self.budget.spend(len(key.value))
            draft = Draft(self.file, key.lineno)
            draft.head = [f"Imported from {self.file}, entry {key.value}"]
            self._entry(draft, {str(k.value): v for k, v in zip(value.keys, value.values, strict=True)
                                if isinstance(k, ast.Constant)})  # fmt: skip
            yield slug(key.value), key.value, draft

    def _entry(self, draft: Draft, entry: Mapping[str, ast.expr]) -> None:
        task = self._literal(draft, entry.get("task"), "task")
        self._callable(draft, str(task) if task else "")
        self._arguments(draft, entry)
        draft.put("schedule", "timezone", self.zone)
        try:
            self._schedule(draft, entry.get("schedule"))
        except _UnknownError as error:
            _disable(draft, f"the schedule is not translated: {error}")
        options = entry.get("options")
        expires = None
        for key, value in zip(options.keys, options.values, strict=True) if isinstance(options, ast.Dict) else ():
            option = str(key.value) if isinstance(key, ast.Constant) else "an option"
            if option == "expires":
                expires = self._duration(draft, value)
            else:
                draft.note(f"options.{option} is not translated")
        for other in sorted(entry.keys() - {"task", "schedule", "args", "kwargs", "options"}):
            draft.note(f"{other} is not translated")
        draft.put("run", "timeout", seconds(self.limit) or "none",
                  "" if self.limit else 'as in Celery; a limit such as "1h" is better')  # fmt: skip
        draft.put("run", "overlap", "allow", 'as in Celery; "skip" never runs it twice at a time')
        draft.put("run", "missed", "latest", "as beat does when it comes back")
        if expires:
            draft.put("run", "missed_within", expires, "from expires")

    def _callable(self, draft: Draft, name: str) -> None:
        module, _, attribute = name.rpartition(".")
        if module:
            draft.put("", "callable", f"{module}:{attribute}")
        else:
            _disable(draft, f'the task "{name}" does not name a module: write it as "package.module:name"')
            draft.put("", "command", "false")

    def _arguments(self, draft: Draft, entry: Mapping[str, ast.expr]) -> None:
        if draft.has("", "command"):
            return
        args = self._literal(draft, entry.get("args"), "args")
        if args:
            draft.put("", "args", list(args) if isinstance(args, (list, tuple)) else [args])
        kwargs = self._literal(draft, entry.get("kwargs"), "kwargs")
        if isinstance(kwargs, dict) and kwargs:
            draft.put("", "kwargs", {str(key): value for key, value in kwargs.items()})

    def _literal(self, draft: Draft, node: ast.expr | None, what: str) -> Any:
        """Return the value of a literal; None for what is not there, or can only be known by running the file."""
        if node is None:
            return None
        try:
            value = ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            _disable(draft, f"{what} is not translated: {_source(node)}")
            return None
        if not _has_toml(value, 0):
            _disable(draft, f"{what} is not translated, for TOML has no such value: {_source(node)}")
            return None
        return value

    def _duration(self, draft: Draft, node: ast.expr) -> str | None:
        try:
            return seconds(_number(node))
        except _UnknownError as error:
            draft.note(f"a duration is not translated: {error}")
            return None

    def _schedule(self, draft: Draft, node: ast.expr | None) -> None:
        """Put a ``crontab()``, or a number of seconds or a ``timedelta`` as a fixed grid. Raises _UnknownError."""
        if node is None:
            raise _UnknownError("there is none")
        if isinstance(node, ast.Call) and _name(node.func) == "crontab":
            self._crontab(draft, node)
            return
        if isinstance(node, ast.Call) and _name(node.func) == "solar":
            raise _UnknownError(_SOLAR)
        if isinstance(node, ast.Call) and _name(node.func) == "schedule":
            node = next((word.value for word in node.keywords if word.arg == "run_every"), (node.args or [node])[0])
        every = seconds(_number(node))
        if every is None:
            raise _UnknownError(_source(node))
        draft.put("schedule", "every", every)
        draft.note("beat counts from its own start; every is a fixed grid")

    def _crontab(self, draft: Draft, call: ast.Call) -> None:
        fields = dict.fromkeys(_CRONTAB, "*")
        for name, value in [*zip(_CRONTAB, call.args, strict=False), *((w.arg or "", w.value) for w in call.keywords)]:
            if name in fields:
                fields[name] = _field(value)
            else:
                draft.note(f"crontab(…, {name}) is not translated")
        weekday, day = fields["day_of_week"], fields["day_of_month"]
        both = weekday != "*" and day != "*"
        cron = [fields["minute"], fields["hour"], day, fields["month_of_year"], "*" if both else weekday]
        draft.put("schedule", "cron", " ".join(cron))
        if both:  # Celery wants both, cron either
            draft.put("limits", "weekdays", _weekdays(weekday))

    def cronjobs(self, node: ast.expr) -> Iterator[tuple[str, str, Draft]]:
        """Yield a draft for each entry of ``CRONJOBS``: expression, callable, then arguments and a shell's suffix."""
        if not isinstance(node, (ast.List, ast.Tuple)):
            self.notes.append(
                ImportNote(self.file, node.lineno, "CRONJOBS is not written out here: it is not translated")
            )
            return
        for item in node.elts:
            self.budget.spend(0)
            draft = Draft(self.file, item.lineno)
            parts = item.elts if isinstance(item, (ast.List, ast.Tuple)) else []
            values = [self._literal(draft, part, "a part of it") for part in parts]
            if len(values) < 2 or not all(isinstance(one, str) for one in values[:2]):  # noqa: PLR2004 - when, what
                self.notes.append(
                    ImportNote(self.file, item.lineno, "an entry that is not written out is not translated")
                )
                continue
            yield self._cronjob(draft, values)

    def _cronjob(self, draft: Draft, values: list[Any]) -> tuple[str, str, Draft]:
        expression, name, *more = values
        draft.head = [f"Imported from {self.file}, {expression} {name}"]
        self._callable(draft, name)
        arguments = [one for one in more if isinstance(one, (list, tuple))]
        named = [one for one in more if isinstance(one, dict)]
        if draft.has("", "callable"):
            if arguments and arguments[0]:
                draft.put("", "args", list(arguments[0]))
            if named and named[0]:
                draft.put("", "kwargs", {str(key): value for key, value in named[0].items()})
        for suffix in (one for one in more if isinstance(one, str) and one.strip()):
            draft.note(f"what follows the command is not translated: {suffix}; the output is in `akjob logs`")
        draft.put("schedule", "timezone", self.zone)
        draft.put("schedule", "cron", expression)
        draft.put("run", "setup", ["django:setup"])
        draft.put("run", "timeout", "none", 'as under cron; a limit such as "1h" is better')
        draft.put("run", "overlap", "allow", 'as under cron; "skip" never runs it twice at a time')
        draft.put("run", "missed", "skip", 'as under cron; "latest" catches up after a downtime')
        draft.note("set DJANGO_SETTINGS_MODULE in run.env")
        words = [str(one) for one in (arguments[0] if arguments else []) if isinstance(one, (str, int))]
        return slug("-".join([name.rpartition(".")[2], *words])), f"{expression} {name} {more}", draft


def _disable(draft: Draft, why: str) -> None:
    draft.note(why)
    draft.put("", "enabled", value=False, comment="a part of it could not be translated")


def _source(node: ast.AST) -> str:
    try:
        text = ast.unparse(node)
    except RecursionError:
        return "an expression"
    return text if len(text) <= 80 else f"{text[:80]}…"  # noqa: PLR2004 - fits on a line


def _has_toml(value: object, depth: int) -> bool:
    """Return True if TOML can say a value: no None, no bytes, no set, no number beyond 64 bits."""
    if depth > _DEEPEST:
        return False
    if isinstance(value, dict):
        return all(isinstance(key, str) and _has_toml(one, depth + 1) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return all(_has_toml(one, depth + 1) for one in value)
    if isinstance(value, int):
        return abs(value) < 2**63
    return isinstance(value, (str, float))


def _number(node: ast.expr) -> float:
    """Return seconds: a number, a product of numbers, or a ``timedelta``. Raises _UnknownError."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Add)):
        left, right = _number(node.left), _number(node.right)
        return left * right if isinstance(node.op, ast.Mult) else left + right
    if isinstance(node, ast.Call) and _name(node.func) == "timedelta":
        words = dict(zip(_TIMEDELTA, (_number(one) for one in node.args), strict=False))
        words |= {word.arg: _number(word.value) for word in node.keywords if word.arg in _TIMEDELTA}
        try:
            return timedelta(**words).total_seconds()
        except OverflowError:
            pass
    raise _UnknownError(_source(node))


def _field(node: ast.expr) -> str:
    """Return a field of a cron expression: a string, a number, or a collection of numbers. Raises _UnknownError."""
    if isinstance(node, ast.Call) and _name(node.func) == "range":
        bounds = [one.value for one in node.args if isinstance(one, ast.Constant) and type(one.value) is int]
        if bounds and len(bounds) == len(node.args) and len(range(*bounds)) <= 100:  # noqa: PLR2004 - more than any field
            return ",".join(map(str, range(*bounds)))
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise _UnknownError(_source(node)) from None
    if isinstance(value, (list, tuple, set, frozenset)) and value:
        return ",".join(sorted({str(one) for one in value}, key=lambda one: (len(one), one)))
    if isinstance(value, (str, int)) and str(value).strip():
        return "".join(str(value).split())
    raise _UnknownError(_source(node))


def _weekdays(field: str) -> list[str]:
    """Return the days of the week that a field names: 0 and 7 are Sunday; names, ranges and steps as in cron."""
    found: set[int] = set()
    for part in field.lower().split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        begin, end = (0, 6) if first == "*" else (_weekday(first), _weekday(last if dash else first))
        if not begin <= end or (step and not (is_number(step) and int(step))):
            raise _UnknownError(f"day_of_week {field}")
        found.update(day % 7 for day in range(begin, end + 1, int(step or 1)))
    return [_WEEKDAYS[day] for day in sorted(found)]


def _weekday(word: str) -> int:
    if is_number(word) and int(word) <= len(_WEEKDAYS):
        return int(word)
    if word[:3] in _WEEKDAYS:
        return _WEEKDAYS.index(word[:3])
    raise _UnknownError(f"day_of_week {word}")
