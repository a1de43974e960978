"""A job file, ready to be asked when it fires."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from akjob.config import Config, Paths, find_root, load_config
from akjob.errors import AkjobError, UsageError
from akjob.instants import from_datetime, to_datetime
from akjob.schedule import compile_schedule, describe, get_zone, next_slot, slots_between
from akjob.spec import JobSpec
from akjob.spec.parse import ParseResult, parse_jobs
from akjob.testing.times import Time, instant_of
from akjob.validate import parse_file

_MOST_SLOTS = 1_000_000


class TestJob:
    """One job. ``spec`` is its resolved definition; the slots are those of the calendar, in the job's time zone."""

    __test__ = False  # pytest collects classes of this name otherwise

    def __init__(self, spec: JobSpec, root: Path | None = None) -> None:
        self.spec = spec
        self.root = root
        self._zone = get_zone(spec.schedule.zone)
        self._plan = compile_schedule(spec.schedule)

    def __repr__(self) -> str:
        return f"<TestJob {self.name!r}>"

    @property
    def name(self) -> str:
        """The job's name."""
        return self.spec.name

    @property
    def words(self) -> list[str]:
        """The schedule in words, as ``akjob show`` prints it."""
        return describe(self.spec.schedule, from_datetime(datetime(2026, 1, 1, tzinfo=self._zone)))

    def slots(self, from_: Time, until: Time) -> list[datetime]:
        """Return the slots in [from, until). Raises UsageError for more than a million."""
        first, last = instant_of(from_, self._zone), instant_of(until, self._zone)
        slots = slots_between(self._plan, first - 1, last - 1, _MOST_SLOTS + 1)
        if len(slots) > _MOST_SLOTS:
            message = f"{self.name} has more than {_MOST_SLOTS:,} slots from {from_} until {until}"
            raise UsageError(message, hint="Ask for a shorter time.")
        return [self._local(slot) for slot in slots]

    def next(self, after: Time) -> datetime | None:
        """Return the first slot strictly after a time; None where there is none."""
        slot = next_slot(self._plan, instant_of(after, self._zone))
        return None if slot is None else self._local(slot)

    def fires_at(self, time: Time, tz: str | None = None) -> bool:
        """Return True if a time is a slot; without an offset it is local in ``tz``, or in the job's time zone."""
        at_us = instant_of(time, self._zone if tz is None else get_zone(tz))
        return next_slot(self._plan, at_us - 1) == at_us

    def _local(self, slot_us: int) -> datetime:
        return to_datetime(slot_us).astimezone(self._zone)


def checked(result: ParseResult) -> JobSpec:
    """Return the definition. Raises AkjobError with everything that is wrong."""
    if result.spec is None:
        wrong = [problem for problem in result.problems if problem.severity == "error"]
        raise AkjobError("\n".join(map(str, wrong)), hint=wrong[0].hint if wrong else "")
    return result.spec


def load(source: str | Path, root: str | Path | None = None, instance: str | None = None) -> TestJob:
    """Return a job from its file, or from the text of one.

    A file has the defaults and the settings of the root that it lies in. A text has the settings of ``root``, if one is
    given, and the name ``job``. Of a file with instances one is named. Raises AkjobError with everything that is wrong.
    """
    if isinstance(source, Path) or ("\n" not in source and source.endswith(".toml")):
        path = Path(source) if root is None else Path(root) / source
        return TestJob(checked(one_of(parse_file(path), instance)), root_of(path))
    config = Config() if root is None else load_config(Paths(Path(root)).config_file)[0]
    results = parse_jobs("job", "jobs.d/job.toml", source, config=config)
    return TestJob(checked(one_of(results, instance)), None if root is None else Path(root))


def one_of(results: Sequence[ParseResult], instance: str | None) -> ParseResult:
    """Return the one job of a file, or one of its instances. Raises UsageError where none is meant."""
    if instance is None and len(results) == 1:
        return results[0]
    names = [result.name.rpartition("@")[2] for result in results]
    if instance in names:
        return results[names.index(instance)]
    hint = f'Give instance="{names[0]}" or another of {", ".join(names)}.'
    raise UsageError(f"the file has {len(results)} instances, and {instance!r} is not one of them", hint=hint)


def root_of(path: Path) -> Path | None:
    """Return the root that a file lies in; None where it lies in none."""
    try:
        return find_root(None, {}, path.absolute().parent)
    except AkjobError:
        return None


def dst_days(tz: str, year: int) -> list[date]:
    """Return the days of a year on which the clock of a time zone changes."""
    zone, day, found = get_zone(tz), date(year, 1, 1), []
    while day.year == year:
        start, end = (datetime(one.year, one.month, one.day, tzinfo=zone) for one in (day, day + timedelta(days=1)))
        if start.utcoffset() != end.utcoffset():
            found.append(day)
        day += timedelta(days=1)
    return found
