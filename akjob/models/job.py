"""The job with the ancestor's attributes, loaded from and saved to a job file."""

import os
import tomllib
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from akjob.config import load_config
from akjob.errors import AkjobError
from akjob.instants import from_datetime, to_datetime
from akjob.ledger import open_reader
from akjob.models.attributes import (
    NAME_CHARS,
    Attribute,
    check_count,
    check_date,
    check_flag,
    check_interval,
    check_moment,
    check_moments,
    check_name,
    check_offset,
    check_time,
    check_timeout,
    numbers_between,
)
from akjob.models.code import is_unchanged, load_code, same_code
from akjob.models.files import defaults_of, root_paths, slug, with_remarks
from akjob.models.reading import fill
from akjob.models.tables import SECTIONS, differences, merged, without_empty
from akjob.models.writing import KeptZones, kept_zones, remarks, to_table
from akjob.query.slots import slots_of
from akjob.spec import JobSpec, edit_file, parse_job, to_toml, write_file
from akjob.spec.model import DillFile

_OWN = ("description", "enabled", *SECTIONS)


class ValidationError(AkjobError, ValueError):
    """What is set on a job does not go together: what, and what to do."""


class Job:
    """A job with the ancestor's attributes. Nothing is written before ``save()``."""

    name = Attribute(check_name, "")
    run_once_at = Attribute(check_moment, None)
    dates_list = Attribute(check_moments, None)
    run_every = Attribute(check_interval, None)
    monthly_days_list = Attribute(numbers_between(1, 31), None)
    monthly_time = Attribute(check_time, None)
    monthly_time_tz_offset_timedelta = Attribute(check_offset, timedelta(0))
    weekly_days_list = Attribute(numbers_between(1, 7), None)
    weekly_time = Attribute(check_time, None)
    weekly_time_tz_offset_timedelta = Attribute(check_offset, timedelta(0))
    job_enabled = Attribute(check_flag, True)
    run_count_limit = Attribute(check_count, None)
    active_time_begin = Attribute(check_time, None)
    active_time_end = Attribute(check_time, None)
    active_time_tz_offset_timedelta = Attribute(check_offset, timedelta(0))
    active_weekly_days_list = Attribute(numbers_between(1, 7), None)
    active_monthly_days_list = Attribute(numbers_between(1, 31), None)
    active_months_list = Attribute(numbers_between(1, 12), None)
    active_date_begin = Attribute(check_date, None)
    active_date_end = Attribute(check_date, None)
    timeout = Attribute(check_timeout, 300)
    delete_on_run_count_limit = Attribute(check_flag, False)
    deleteme = Attribute(check_flag, False)

    class DoesNotExist(AkjobError, LookupError):  # noqa: N818 - the ancestor's name
        """There is no job of that name."""

    ATTRIBUTES: ClassVar[tuple[str, ...]]

    objects: ClassVar["Objects"]

    def __init__(self, **attributes: object) -> None:
        """Make a job that is not saved yet. Attributes may be given by name, ``job_code_object`` too."""
        self._file: Path | None = None
        self._code: Any = None
        self._code_known = True
        self._loaded: dict[str, Any] = {}
        self._kept: KeptZones | None = None
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
        return same and same_code(self.job_code_object, other.job_code_object)

    __hash__ = None  # type: ignore[assignment] # a job may change

    @property
    def job_code_object(self) -> Any:
        """An object with a ``run`` method, or a callable; None for a job that runs a dotted callable or a command.

        That of a saved job is loaded from its dill file, and so executed, when it is asked for. Raises AkjobError.
        """
        if not self._code_known:
            self._code, self._code_known = load_code(self._known_file(), self._spec()), True
        return self._code

    @job_code_object.setter
    def job_code_object(self, value: object) -> None:
        if value is not None and not callable(value) and not callable(getattr(value, "run", None)):
            raise TypeError(f"job_code_object must be callable or have a run method, not {value!r}")
        self._code, self._code_known = value, True

    # in files

    @classmethod
    def load(cls, name: str) -> "Job":
        """Return a saved job: ``name`` is the job's (``reports/nightly``) or what ``name`` was when it was saved.

        Raises Job.DoesNotExist, and AkjobError for a file that cannot be read as a job.
        """
        paths = root_paths()
        for stem in dict.fromkeys((name, slug(name))):
            file = paths.jobs_d / f"{stem}.toml"
            if stem and file.is_file() and paths.jobs_d in file.resolve().parents:
                return cls._read(file)
        raise cls.DoesNotExist(f"there is no job {name!r} in {paths.jobs_d}", hint="`akjob list` shows all jobs")

    @classmethod
    def all(cls) -> list["Job"]:
        """Return all jobs, by file. A broken file costs one job: it is left out with a warning."""
        jobs = []
        for file in sorted(root_paths().jobs_d.rglob("*.toml")):
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
        fill(job, spec, text)
        job._kept = kept_zones(spec, tomllib.loads(text), job._table())
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
        slots = slots_of(spec, open_reader(root_paths().ledger_url).job(self._job_name()), after_us, 1)
        return to_datetime(slots[0]) if slots else None

    schedule_run = next_run

    # between attributes and files

    def _known_file(self) -> Path:
        if self._file is not None:
            return self._file
        stem = slug(self.name)
        if not stem:
            raise ValidationError(
                f"name {self.name!r} has no letter or digit for the name of a file", hint="set another name"
            )
        return root_paths().jobs_d / f"{stem}.toml"

    def _job_name(self) -> str:
        return str(self._known_file().relative_to(root_paths().jobs_d).with_suffix(""))

    def _spec(self) -> JobSpec:
        file = self._known_file()
        try:
            text = file.read_bytes()
        except OSError as error:
            raise AkjobError(f"{file} cannot be read: {error.strerror}", hint="it was there a moment ago") from None
        return self._checked(text, file)

    def _checked(self, text: str | bytes, file: Path) -> JobSpec:
        """Return what the text of a job file means. Raises ValidationError with what is wrong."""
        paths = root_paths()
        config, _ = load_config(paths.config_file)
        shown = str(file.relative_to(paths.root))
        result = parse_job(self._job_name(), shown, text, defaults=defaults_of(paths, file), config=config)
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
        return to_table(self, self._kept)

    def _text(self, file: Path, table: Mapping[str, object]) -> str:
        """Return a job file with these attributes, for checking: the code is what it is, or a stand-in."""
        checked = dict(table)
        if file.is_file() and self._file is not None:
            old = tomllib.loads(file.read_text(encoding="utf-8"))
            checked = merged(old, differences(self._loaded, table))
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
            if spec is not None and is_unchanged(file, spec, self._code):
                return None
        file.parent.mkdir(parents=True, exist_ok=True)
        return pack_object(self._code, file.with_suffix(".dill")).table()

    def _write(self, file: Path, table: dict[str, Any]) -> None:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            schema = "../" * (self._job_name().count("/") + 1) + "etc/job.schema.json"
            has_schema = (file.parent / schema).is_file()
            write_file(file, with_remarks(to_toml(table, schema=schema if has_schema else None), remarks(self)))
            return
        before = file.read_text(encoding="utf-8")
        if self._file is None:
            # Saved over by a new job of the same name: all that has an attribute is the new job's.
            self._loaded = {key: value for key, value in tomllib.loads(before).items() if key in _OWN}
        old = tomllib.loads(before)
        changes = without_empty(old, differences(self._loaded, table))
        if "dill" in table:
            changes["dill"] = table["dill"]
            changes |= {key: None for key in ("callable", "command") if key in old}
        if merged(old, changes) != old:
            edit_file(file, changes)
        text = file.read_text(encoding="utf-8")
        remarked = with_remarks(text, remarks(self))
        if remarked != text:
            write_file(file, remarked)


class Objects:
    """``Job.objects``, as far as job files need one."""

    def create(self, **attributes: object) -> Job:
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


def own_job(code: object = None) -> Job:
    """Return the job that this process runs, as it is now, with ``code`` as its code object.

    A job whose file is broken or gone meanwhile can be read, but not saved. Raises AkjobError outside a run.
    """
    name = os.environ.get("AKJOB_JOB")
    if not name:
        hint = "`akjob run JOB` starts a run."
        raise AkjobError("not running inside an akjob run (AKJOB_JOB is not set)", hint=hint)
    try:
        job = Job.load(name)
    except AkjobError as error:
        job = Job(name=name[:NAME_CHARS])
        job._file = root_paths().jobs_d / f"{name}.toml"  # noqa: SLF001 - of this module
        job._refused = error  # noqa: SLF001
        return job
    if code is not None and isinstance(job._spec().code, DillFile):  # noqa: SLF001
        job.job_code_object = code
    return job
