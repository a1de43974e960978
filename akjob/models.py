"""Jobs as Python objects: the way of the Django app that akjob grew out of, onto job files.

    from akjob.models import Job, JobCallable
    job = Job(name="Print Hello World")
    job.job_code_object = JobCallable(print, "Hello", "World")
    job.run_every = timedelta(hours=2)
    job.save()  # jobs.d/print-hello-world.toml and print-hello-world.dill

Days of the week count from 1 = Sunday to 7 = Saturday. Times are local at their ``…_tz_offset_timedelta``, else UTC.
What is assigned is checked at once: TypeError for what is of the wrong type, ValueError for what cannot be.
"""

import os
import re
import tomllib
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, overload

from akjob.code.calls import JobCallable
from akjob.config import Paths, find_root, load_config
from akjob.errors import AkjobError
from akjob.instants import from_datetime, to_datetime
from akjob.jobset.defaults import DefaultsChain, read_defaults
from akjob.jobset.names import JobsFolder, defaults_in
from akjob.ledger import Reader
from akjob.query.slots import slots_of
from akjob.spec import Defaults, JobSpec, edit_file, parse_job, to_toml, write_file
from akjob.spec.model import DillFile
from akjob.units import format_duration

__all__ = ["Job", "JobCallable", "ValidationError", "own_job"]

NAME_CHARS = 100
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_REMARK = "# akjob.models: "
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")

Value = TypeVar("Value")


class ValidationError(AkjobError, ValueError):
    """What is set on a job does not go together: what, and what to do."""


# What may be assigned


class Attribute(Generic[Value]):
    """One attribute of a job: a check of what is assigned, a default, and ``del`` as the way back to it."""

    def __init__(self, check: Callable[[str, Any], Value], default: Any) -> None:
        self.check = check
        self.default: Value = default
        self.name = ""

    def __set_name__(self, _: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, job: None, _: type) -> "Attribute[Value]": ...
    @overload
    def __get__(self, job: "Job", _: type) -> Value: ...
    def __get__(self, job: "Job | None", _: type) -> "Attribute[Value] | Value":
        if job is None:
            return self
        value = job.__dict__.get(self.name, self.default)
        return list(value) if isinstance(value, list) else value  # type: ignore[return-value]

    def __set__(self, job: "Job", value: Any) -> None:
        job.__dict__[self.name] = self.check(self.name, value)

    def __delete__(self, job: "Job") -> None:
        job.__dict__.pop(self.name, None)


def _wrong(name: str, expected: str, value: object) -> TypeError:
    return TypeError(f"{name} is {expected}, not {value!r}")


def _name(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(name, "a text", value)
    if not value.strip() or len(value) > NAME_CHARS:
        raise ValueError(f"{name} has 1 to {NAME_CHARS} characters; this one has {len(value.strip())}")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "True or False", value)
    return value


def _moment(name: str, value: Any) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise _wrong(name, "a datetime", value)
    return value.replace(microsecond=0, fold=0)


def _moments(name: str, value: Any) -> list[datetime] | None:
    items = [value] if isinstance(value, datetime) else value
    if items is None:
        return None
    if not isinstance(items, list | tuple) or not all(isinstance(item, datetime) for item in items):
        raise _wrong(name, "a datetime or a list of datetimes", value)
    return [item.replace(microsecond=0, fold=0) for item in items] or None


def _numbers(low: int, high: int) -> Callable[[str, Any], list[int] | None]:
    def check(name: str, value: Any) -> list[int] | None:
        items = [value] if isinstance(value, int) else value
        if items is None:
            return None
        plain = isinstance(items, list | tuple) and all(type(item) is int for item in items)
        if not plain:
            raise _wrong(name, f"a number or a list of numbers from {low} to {high}", value)
        outside = [item for item in items if not low <= item <= high]
        if outside:
            raise ValueError(f"{name} has numbers from {low} to {high}, not {outside[0]}")
        return sorted(set(items)) or None

    return check


def _interval(name: str, value: Any) -> timedelta | None:
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise _wrong(name, "a timedelta", value)
    if value < timedelta(seconds=1):
        raise ValueError(f"{name} is at least one second, not {value}")
    return value - timedelta(microseconds=value.microseconds % 1000)


def _time(name: str, value: Any) -> time | None:
    if value is None:
        return None
    if not isinstance(value, time):
        raise _wrong(name, "a datetime.time", value)
    if value.tzinfo is not None:
        raise ValueError(f"{name} has no tzinfo: its offset is a timedelta of its own, as the Django app had it")
    return value.replace(microsecond=0, fold=0)


def _offset(name: str, value: Any) -> timedelta | None:
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise _wrong(name, "a timedelta", value)
    if abs(value) >= timedelta(days=1) or value % timedelta(minutes=1):
        raise ValueError(f"{name} is in whole minutes and less than a day, not {value}")
    return value


def _date(name: str, value: Any) -> date | None:
    if value is not None and (not isinstance(value, date) or isinstance(value, datetime)):
        raise _wrong(name, "a datetime.date", value)
    return value


def _count(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        raise _wrong(name, "a whole number", value)
    if value < 1:
        raise ValueError(f"{name} is 1 or more, not {value}")
    return value


def _timeout(name: str, value: Any) -> int | float | None:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, "a number of seconds, or None for no limit", value)
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} is more than 0 seconds, not {value}")
    return int(value) if value == int(value) else value


# The job


class Job:
    """A job with the ancestor's attributes. Nothing is written before ``save()``."""

    name = Attribute(_name, "")
    run_once_at = Attribute(_moment, None)
    dates_list = Attribute(_moments, None)
    run_every = Attribute(_interval, None)
    monthly_days_list = Attribute(_numbers(1, 31), None)
    monthly_time = Attribute(_time, None)
    monthly_time_tz_offset_timedelta = Attribute(_offset, timedelta(0))
    weekly_days_list = Attribute(_numbers(1, 7), None)
    weekly_time = Attribute(_time, None)
    weekly_time_tz_offset_timedelta = Attribute(_offset, timedelta(0))
    job_enabled = Attribute(_flag, True)
    run_count_limit = Attribute(_count, None)
    active_time_begin = Attribute(_time, None)
    active_time_end = Attribute(_time, None)
    active_time_tz_offset_timedelta = Attribute(_offset, timedelta(0))
    active_weekly_days_list = Attribute(_numbers(1, 7), None)
    active_monthly_days_list = Attribute(_numbers(1, 31), None)
    active_months_list = Attribute(_numbers(1, 12), None)
    active_date_begin = Attribute(_date, None)
    active_date_end = Attribute(_date, None)
    timeout = Attribute(_timeout, 300)
    delete_on_run_count_limit = Attribute(_flag, False)
    deleteme = Attribute(_flag, False)

    class DoesNotExist(AkjobError, LookupError):  # noqa: N818 - the ancestor's name
        """There is no job of that name."""

    ATTRIBUTES: ClassVar[tuple[str, ...]]

    objects: ClassVar["Objects"]

    def __init__(self, **attributes: Any) -> None:
        """Make a job that is not saved yet. Attributes may be given by name, ``job_code_object`` too."""
        self._file: Path | None = None
        self._code: Any = None
        self._code_known = True
        self._loaded: dict[str, Any] = {}
        self._kept: _Kept | None = None
        self._refused: AkjobError | None = None
        for name, value in attributes.items():
            if name not in self.ATTRIBUTES and name != "job_code_object":
                raise TypeError(f"a Job has no attribute {name!r}; it has {', '.join(self.ATTRIBUTES)}")
            setattr(self, name, value)

    def __repr__(self) -> str:
        where = f" in {self._file}" if self._file else ""
        return f"<Job {self.name!r}{where}>"

    def __str__(self) -> str:
        return self.name

    def __eq__(self, other: object) -> bool:
        """Equal when all attributes are, and the code objects are or pack to the same bytes."""
        if not isinstance(other, Job):
            return NotImplemented
        same = all(getattr(self, name) == getattr(other, name) for name in self.ATTRIBUTES)
        return same and _same_code(self.job_code_object, other.job_code_object)

    __hash__ = None  # type: ignore[assignment] # a job may change

    @property
    def job_code_object(self) -> Any:
        """An object with a ``run`` method, or a callable; None for a job that runs a dotted callable or a command.

        That of a saved job is loaded from its dill file, and so executed, when it is asked for. Raises AkjobError.
        """
        if not self._code_known:
            self._code, self._code_known = _load_code(self._known_file(), self._spec()), True
        return self._code

    @job_code_object.setter
    def job_code_object(self, value: Any) -> None:
        if value is not None and not callable(value) and not callable(getattr(value, "run", None)):
            raise TypeError(f"job_code_object has a run method or can be called, unlike {value!r}")
        self._code, self._code_known = value, True

    # in files

    @classmethod
    def load(cls, name: str) -> "Job":
        """Return a saved job: ``name`` is the job's (``reports/nightly``) or what ``name`` was when it was saved.

        Raises Job.DoesNotExist, and AkjobError for a file that cannot be read as a job.
        """
        paths = _paths()
        for stem in dict.fromkeys((name, _slug(name))):
            file = paths.jobs_d / f"{stem}.toml"
            if stem and file.is_file() and paths.jobs_d in file.resolve().parents:
                return cls._read(file)
        raise cls.DoesNotExist(f"there is no job {name!r} in {paths.jobs_d}", hint="`akjob list` shows all jobs")

    @classmethod
    def all(cls) -> list["Job"]:
        """Return all jobs, by file. A broken file costs one job: it is left out with a warning."""
        jobs = []
        for file in sorted(_paths().jobs_d.rglob("*.toml")):
            if file.name.startswith(("_", ".")) or not file.is_file():
                continue
            try:
                jobs.append(cls._read(file))
            except AkjobError as error:
                warnings.warn(f"{file} is left out: {error}", stacklevel=2)
        return jobs

    @classmethod
    def _read(cls, file: Path) -> "Job":
        job = cls()
        job._file = file
        spec, text = job._spec(), file.read_text(encoding="utf-8")
        _fill(job, spec, text)
        job._kept = _kept(spec, tomllib.loads(text), job._table())
        job._code_known = False
        job._loaded = job._table()
        return job

    def save(self) -> None:
        """Write the job file and its dill file; with ``deleteme`` set, remove them. Writes nothing that is so already.

        A file that is there keeps its comments and the keys that have no attribute here. Raises ValidationError.
        """
        if self._refused is not None:
            raise self._refused
        if self.deleteme:
            self.delete()
            return
        self._check()
        file = self._known_file()
        table = self._table()
        text = self._text(file, table)
        self._checked(text, file)
        if self._code_known:
            packed = self._pack(file)
            if packed is not None:
                table["dill"] = packed
        self._write(file, table)
        self._file, self._loaded = file, {key: value for key, value in table.items() if key != "dill"}

    def delete(self) -> None:
        """Remove the job file, and the dill file and record that bear its name. One that is gone is fine."""
        file = self._known_file()
        file.unlink(missing_ok=True)
        for suffix in (".dill", ".dill.json"):
            file.with_suffix(suffix).unlink(missing_ok=True)

    def next_run(self, now: datetime | None = None) -> datetime | None:
        """Return the next slot after ``now`` (aware; default: this instant) in UTC, by the attributes as they are.

        None when the job is disabled, or done, or will never be due. Saves nothing. Raises ValidationError.
        """
        self._check()
        if not self.job_enabled:
            return None
        # A program that asks without a time means this instant: the one clock read here.
        after_us = from_datetime(datetime.now(tz=UTC) if now is None else now)  # noqa: TID251
        spec = self._checked(self._text(self._known_file(), self._table()), self._known_file())
        slots = slots_of(spec, Reader(_paths().db).job(self._job_name()), after_us, 1)
        return to_datetime(slots[0]) if slots else None

    schedule_run = next_run

    # between attributes and files

    def _known_file(self) -> Path:
        if self._file is not None:
            return self._file
        stem = _slug(self.name)
        if not stem:
            raise ValidationError(
                f"name {self.name!r} has no letter or digit to name a file by", hint="set another name"
            )
        return _paths().jobs_d / f"{stem}.toml"

    def _job_name(self) -> str:
        return str(self._known_file().relative_to(_paths().jobs_d).with_suffix(""))

    def _spec(self) -> JobSpec:
        file = self._known_file()
        try:
            text = file.read_bytes()
        except OSError as error:
            raise AkjobError(f"{file} cannot be read: {error.strerror}", hint="it was there a moment ago") from None
        return self._checked(text, file)

    def _checked(self, text: str | bytes, file: Path) -> JobSpec:
        """Return what the text of a job file means. Raises ValidationError with what is wrong."""
        paths = _paths()
        config, _ = load_config(paths.config_file)
        shown = str(file.relative_to(paths.root))
        result = parse_job(self._job_name(), shown, text, defaults=_defaults(paths, file), config=config)
        if result.spec is None:
            wrong = [problem for problem in result.problems if problem.severity == "error"]
            raise ValidationError("; ".join(map(str, wrong)), hint=wrong[0].hint if wrong else "")
        return result.spec

    def _check(self) -> None:
        """Raise ValidationError for attributes that do not go together."""
        if not self.name:
            raise ValidationError("the job has no name", hint='set one: job.name = "…"')
        for first, second in (("active_time_begin", "active_time_end"), ("active_date_begin", "active_date_end")):
            if (getattr(self, first) is None) != (getattr(self, second) is None):
                raise ValidationError(f"{first} and {second} go together: one of them is not set", hint="set both")
        for days, at in (("monthly_days_list", "monthly_time"), ("weekly_days_list", "weekly_time")):
            if getattr(self, days) is not None and getattr(self, at) is None:
                raise ValidationError(f"{days} is set and {at} is not", hint=f"set {at} to a datetime.time")
        if self.delete_on_run_count_limit and self.run_count_limit is None:
            hint = "set run_count_limit"
            raise ValidationError("delete_on_run_count_limit is set and run_count_limit is not", hint=hint)
        if self._code_known and self._code is None and self._file is None:
            hint = 'set it: job.job_code_object = JobCallable(print, "Hello")'
            raise ValidationError("job_code_object is not set: there is nothing to run", hint=hint)

    def _table(self) -> dict[str, Any]:
        """Return what the attributes are in a job file, without the code."""
        zone, zones = _zones(self)
        schedule = _given(
            timezone=zone,
            at=_at(self),
            again_after=_duration(self.run_every),
            weekly=_days_at([_DAYS[day - 1] for day in self.weekly_days_list or ()], self.weekly_time, zones["weekly"]),
            monthly=_days_at(self.monthly_days_list or [], self.monthly_time, zones["monthly"]),
        )
        hours = _given(**{"from": self.active_time_begin, "until": self.active_time_end, "timezone": zones["hours"]})
        limits = _given(
            hours=hours if self.active_time_begin is not None else None,
            weekdays=[_DAYS[day - 1] for day in self.active_weekly_days_list or ()] or None,
            month_days=self.active_monthly_days_list,
            months=self.active_months_list,
            dates=_given(first=self.active_date_begin, last=self.active_date_end) or None,
            runs=self.run_count_limit,
            when_done="delete" if self.delete_on_run_count_limit else None,
        )
        timeout = "none" if self.timeout is None else _duration(timedelta(seconds=self.timeout))
        return _given(
            description=self.name,
            enabled=None if self.job_enabled else False,
            schedule=schedule or None,
            limits=limits or None,
            run={"timeout": timeout},
        )

    def _remarks(self) -> list[str]:
        """Return what no key of a job file says: which ``at`` was run_once_at, and times that are of no effect."""
        values: dict[str, Any] = {}
        if self.run_once_at is not None and self.dates_list:
            values["run_once_at"] = self.run_once_at
        if not self.monthly_days_list:
            values["monthly_time"] = self.monthly_time
            values["monthly_time_tz_offset_timedelta"] = _seconds(self.monthly_time_tz_offset_timedelta)
        if not self.weekly_days_list:
            values["weekly_time"] = self.weekly_time
            values["weekly_time_tz_offset_timedelta"] = _seconds(self.weekly_time_tz_offset_timedelta)
        if self.active_time_begin is None:
            values["active_time_tz_offset_timedelta"] = _seconds(self.active_time_tz_offset_timedelta)
        given = {name: value for name, value in values.items() if value}
        given |= {name: value for name, value in values.items() if isinstance(value, time)}
        return [_REMARK + to_toml_line(name, value) for name, value in given.items()]

    def _text(self, file: Path, table: Mapping[str, Any]) -> str:
        """Return a job file with these attributes, for checking: the code is what it is, or a stand-in."""
        checked = dict(table)
        if file.is_file() and self._file is not None:
            old = tomllib.loads(file.read_text(encoding="utf-8"))
            checked = _merged(old, _differences(self._loaded, table))
        if self._code_known and self._code is not None:
            for key in ("callable", "command"):
                checked.pop(key, None)
            checked["dill"] = {"file": "x.dill", "sha256": "0" * 64, "python": "3.11"}
        elif not {"callable", "command", "dill"} & set(checked):
            checked["callable"] = "builtins:print"
        return to_toml(checked)

    def _pack(self, file: Path) -> dict[str, str] | None:
        """Write the dill file if the code is not in it; return the ``dill`` table, None to leave it alone."""
        from akjob.code.pack import pack_object  # noqa: PLC0415 - dill is slow to import, and a run may only disable

        if self._code is None:
            return None
        if file.is_file():
            spec = self._checked(file.read_bytes(), file) if self._file is not None else None
            if spec is not None and _is_unchanged(file, spec, self._code):
                return None
        file.parent.mkdir(parents=True, exist_ok=True)
        return pack_object(self._code, file.with_suffix(".dill")).table()

    def _write(self, file: Path, table: dict[str, Any]) -> None:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            schema = "../" * (self._job_name().count("/") + 1) + "etc/job.schema.json"
            has_schema = (file.parent / schema).is_file()
            write_file(file, _with_remarks(to_toml(table, schema=schema if has_schema else None), self._remarks()))
            return
        before = file.read_text(encoding="utf-8")
        if self._file is None:
            # Saved over by a new job of the same name: all that has an attribute is the new job's.
            self._loaded = {key: value for key, value in tomllib.loads(before).items() if key in _OWN}
        old = tomllib.loads(before)
        changes = _without_empty(old, _differences(self._loaded, table))
        if "dill" in table:
            changes["dill"] = table["dill"]
            changes |= {key: None for key in ("callable", "command") if key in old}
        if _merged(old, changes) != old:
            edit_file(file, changes)
        text = file.read_text(encoding="utf-8")
        remarked = _with_remarks(text, self._remarks())
        if remarked != text:
            write_file(file, remarked)


class Objects:
    """``Job.objects``, as far as job files need one."""

    def create(self, **attributes: Any) -> Job:
        """Make a job, and save it if it has a code object already; else its ``save()`` will."""
        job = Job(**attributes)
        if job.job_code_object is not None:
            job.save()
        return job

    def all(self) -> list[Job]:
        """Return all jobs."""
        return Job.all()

    def get(self, *, name: str) -> Job:
        """Return the job of this name. Raises Job.DoesNotExist."""
        return Job.load(name)


Job.objects = Objects()
Job.ATTRIBUTES = tuple(name for name, value in vars(Job).items() if isinstance(value, Attribute))
_SECTIONS = ("schedule", "limits", "run")
_OWN = ("description", "enabled", *_SECTIONS)


def own_job(code: object = None) -> Job:
    """Return the job that this process is a run of, with ``code`` as its code object, as it is now.

    A job whose file is broken or gone meanwhile can be looked at, not saved. Raises AkjobError outside a run.
    """
    name = os.environ.get("AKJOB_JOB")
    if not name:
        raise AkjobError("this process is no run of a job: AKJOB_JOB is not set", hint="akjob run JOB starts one")
    try:
        job = Job.load(name)
    except AkjobError as error:
        job = Job(name=name[:NAME_CHARS])
        job._file = _paths().jobs_d / f"{name}.toml"  # noqa: SLF001 - of this module
        job._refused = error  # noqa: SLF001
        return job
    if code is not None and isinstance(job._spec().code, DillFile):  # noqa: SLF001
        job.job_code_object = code
    return job


# Files


def _paths() -> Paths:
    return Paths(find_root(None, os.environ, Path.cwd()))


def _slug(name: str) -> str:
    """Return the file name that goes with a job's name: ``Print Hello World`` is ``print-hello-world``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _defaults(paths: Paths, file: Path) -> Sequence[Defaults]:
    """Return the ``_defaults.toml`` files that hold for a job file, the outermost first."""
    folder = JobsFolder.of(paths)
    chain = DefaultsChain(lambda below: read_defaults(paths.jobs_d / below, folder.show(defaults_in(below))))
    return chain.of_file(file.relative_to(paths.jobs_d).as_posix())


def _load_code(file: Path, spec: JobSpec) -> Any:
    """Return the object in a job's dill file, after the checks that a run makes; None for other code."""
    if not isinstance(spec.code, DillFile):
        return None
    from akjob.code.load import CodeError, load_object  # noqa: PLC0415 - as its callers

    try:
        return load_object(str(file.parent / spec.code.file), spec.code.sha256, spec.code.python)
    except CodeError as error:
        raise AkjobError(error.reason) from error


def _is_unchanged(file: Path, spec: JobSpec, code: object) -> bool:
    """Whether the code object is as its file has it: a run that counts in it changes it, most do not."""
    try:
        saved = _load_code(file, spec)
    except AkjobError:
        return False
    return saved is not None and type(saved) is type(code) and _same_code(saved, code)


def _same_code(one: Any, other: Any) -> bool:
    if one is other:
        return True
    from akjob.code.dump import dumps  # noqa: PLC0415 - dill is slow to import

    try:
        return dumps(one) == dumps(other)
    except Exception:  # noqa: BLE001 - what cannot be packed is the same as itself only
        return False


def _with_remarks(text: str, remarks: Sequence[str]) -> str:
    lines = [line for line in text.splitlines() if not line.startswith(_REMARK)]
    # Behind a `#:schema` line, which editors want first.
    at = 1 if lines and lines[0].startswith("#:") else 0
    return "\n".join([*lines[:at], *remarks, *lines[at:]]) + "\n"


def to_toml_line(name: str, value: Any) -> str:
    """Return ``name = value`` in TOML."""
    import tomli_w  # noqa: PLC0415 - remarks are rare

    return tomli_w.dumps({name: value}).rstrip("\n")


# Attributes to a table, and back


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be set in ``old`` to make it ``new``: tables key by key, None for what goes.

    A section never goes as a whole, for a file may say more in it.
    """
    changes: dict[str, Any] = {}
    for key in {**old, **new}:
        before, value = old.get(key), new.get(key)
        if isinstance(before, dict) and (isinstance(value, dict) or key in _SECTIONS):
            inner = _differences(before, value or {})
            if inner:
                changes[key] = inner
        elif value != before or type(value) is not type(before):
            changes[key] = value
    return changes


def _without_empty(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes to a table, and those sections taken away of which they leave nothing."""
    after = _merged(table, changes)
    return {**changes, **{name: None for name in _SECTIONS if name in changes and not after.get(name)}}


def _merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(table)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            before = merged.get(key)
            merged[key] = _merged(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _at(job: Job) -> Any:
    if job.dates_list is None:
        return job.run_once_at
    return [*([] if job.run_once_at is None else [job.run_once_at]), *job.dates_list]


def _days_at(days: list[Any], at: time | None, zone: str | None) -> dict[str, Any] | None:
    return _given(days=days, at=at, timezone=zone) if days else None


def _duration(value: timedelta | None) -> str | None:
    return None if value is None else format_duration(value // timedelta(microseconds=1))


def _seconds(offset: timedelta | None) -> int:
    return 0 if offset is None else int(offset.total_seconds())


class _Kept(NamedTuple):
    """The time zone that a loaded file keeps, what of it is ``said`` there, and the named zones of its ``tables``."""

    zone: str
    said: str | None
    tables: Mapping[str, str]


def _kept(spec: JobSpec, table: Mapping[str, Any], asked: Mapping[str, Any]) -> _Kept | None:
    """Return the zone of a loaded file where it is more than what the attributes make of it; else None.

    ``asked`` is what they would write. What has no attribute, such as ``cron`` or a zone's name, stays at its hours.
    """
    schedule = spec.schedule
    zones = {"hours": schedule.limits.hours.zone} if schedule.limits.hours is not None else {}
    zones |= {name: one[0].zone for name, one in (("weekly", schedule.weekly), ("monthly", schedule.monthly)) if one}
    named = {name: zone for name, zone in zones.items() if _offset_of(zone) is None}
    beyond = any(key not in asked.get(name, {}) for name in ("schedule", "limits") for key in table.get(name, {}))
    if not named and not beyond and asked.get("schedule", {}).get("timezone") in (None, schedule.zone):
        return None
    return _Kept(schedule.zone, table.get("schedule", {}).get("timezone"), named)


def _zones(job: Job) -> tuple[str | None, dict[str, str | None]]:
    """Return the file's time zone, and those of the tables that need one of their own.

    One offset for all is written once, and days are then those of that offset too. None is the file's own zone.
    """
    used = {}
    if job.weekly_days_list:
        used["weekly"] = job.weekly_time_tz_offset_timedelta
    if job.monthly_days_list:
        used["monthly"] = job.monthly_time_tz_offset_timedelta
    if job.active_time_begin is not None:
        used["hours"] = job.active_time_tz_offset_timedelta
    kept = job._kept  # noqa: SLF001 - of this module
    if kept is not None:
        wanted = {name: kept.tables.get(name) if at is None else _zone_name(at) for name, at in used.items()}
        differ = {name: None if zone == kept.zone else zone for name, zone in wanted.items()}
        return kept.said, {"weekly": None, "monthly": None, "hours": None, **differ}
    own = {name: None if offset is None else _zone_name(offset) for name, offset in used.items()}
    if None in own.values():
        return None, {"weekly": None, "monthly": None, "hours": None, **own}
    if len(set(own.values())) == 1:
        return next(iter(own.values())), {"weekly": None, "monthly": None, "hours": None}
    local = own or job.active_weekly_days_list or job.active_monthly_days_list or job.active_months_list
    naive = any(moment is not None and moment.tzinfo is None for moment in (job.run_once_at, *(job.dates_list or ())))
    zone = "UTC" if local or naive or job.active_date_begin is not None else None
    return zone, {"weekly": None, "monthly": None, "hours": None, **own}


def _zone_name(offset: timedelta) -> str:
    minutes = offset // timedelta(minutes=1)
    sign = "-" if minutes < 0 else "+"
    return "UTC" if not minutes else f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _offset_of(zone: str | None) -> timedelta | None:
    """Return a fixed offset as a timedelta; None for a zone with a name, whose offset changes."""
    if zone in (None, "UTC"):
        return timedelta(0)
    match = _OFFSET.fullmatch(zone or "")
    if match is None:
        return None
    sign = -1 if match[1] == "-" else 1
    return sign * timedelta(hours=int(match[2]), minutes=int(match[3]))


def _fill(job: Job, spec: JobSpec, text: str) -> None:
    """Set a job's attributes from its file. What has no attribute stays in the file."""
    table = tomllib.loads(text)
    job.__dict__["name"] = spec.description or spec.name
    job.job_enabled = spec.enabled
    job.run_count_limit = spec.runs
    job.delete_on_run_count_limit = spec.when_done == "delete"
    job.timeout = None if spec.run.timeout_us is None else spec.run.timeout_us / 1_000_000
    schedule = spec.schedule
    if schedule.again_after_us is not None:
        job.run_every = timedelta(microseconds=schedule.again_after_us)
    _fill_days(job, spec, table.get("schedule", {}))
    _fill_limits(job, spec, table.get("limits", {}))
    at = table.get("schedule", {}).get("at")
    if isinstance(at, datetime):
        job.run_once_at = at
    elif isinstance(at, list):
        job.dates_list = at
    for name, value in _remarked(text):
        _apply_remark(job, name, value)


def _fill_days(job: Job, spec: JobSpec, table: Mapping[str, Any]) -> None:
    """Set weekly and monthly attributes where the file has one table with one time each."""
    weekly, monthly = table.get("weekly"), table.get("monthly")
    if isinstance(weekly, dict) and isinstance(weekly.get("at"), time):
        one = spec.schedule.weekly[0]
        job.weekly_days_list = [(day + 1) % 7 + 1 for day in one.days]
        job.weekly_time = weekly["at"]
        job.weekly_time_tz_offset_timedelta = _offset_of(one.zone)
    if isinstance(monthly, dict) and isinstance(monthly.get("at"), time):
        of_month = spec.schedule.monthly[0]
        if all(isinstance(day, int) and day > 0 for day in of_month.days):
            job.monthly_days_list = list(of_month.days)
            job.monthly_time = monthly["at"]
            job.monthly_time_tz_offset_timedelta = _offset_of(of_month.zone)


def _fill_limits(job: Job, spec: JobSpec, table: Mapping[str, Any]) -> None:
    limits = spec.schedule.limits
    if limits.hours is not None and "hours" in table:
        job.active_time_begin, job.active_time_end = table["hours"]["from"], table["hours"]["until"]
        job.active_time_tz_offset_timedelta = _offset_of(limits.hours.zone)
    if "weekdays" in table:
        job.active_weekly_days_list = [(day + 1) % 7 + 1 for day in limits.weekdays]
    if "month_days" in table and all(day > 0 for day in limits.month_days):
        job.active_monthly_days_list = list(limits.month_days)
    if "months" in table:
        job.active_months_list = list(limits.months)
    if limits.first is not None and limits.last is not None and "dates" in table:
        job.active_date_begin, job.active_date_end = limits.first, limits.last


def _remarked(text: str) -> Iterator[tuple[str, Any]]:
    for line in text.splitlines():
        if line.startswith(_REMARK):
            try:
                yield from tomllib.loads(line.removeprefix(_REMARK)).items()
            except tomllib.TOMLDecodeError:
                continue  # edited by hand to something else: a comment like any other


def _apply_remark(job: Job, name: str, value: Any) -> None:
    if name == "run_once_at" and job.dates_list and value in job.dates_list:
        dates = job.dates_list
        dates.remove(value)
        job.dates_list, job.run_once_at = dates, value
    elif name.endswith("_timedelta") and name in Job.ATTRIBUTES:
        setattr(job, name, timedelta(seconds=value))
    elif name in ("monthly_time", "weekly_time"):
        setattr(job, name, value)
