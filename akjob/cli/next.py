"""``akjob next``: when jobs, or files that are not jobs yet, are due."""

import sys
from pathlib import Path

import click
from msgspec import Struct

from akjob.cli import complain
from akjob.cli.broken import lines as broken_lines
from akjob.cli.common import (
    colours,
    count_option,
    examples,
    find_paths,
    instant,
    json_option,
    now_us,
    say,
    say_json,
    settings,
)
from akjob.cli.text import table
from akjob.errors import AkjobError, escape_control
from akjob.instants import to_datetime
from akjob.query.jobs import JobView, Snapshot, load
from akjob.query.names import has_file, name_of_file, names_meant
from akjob.query.slots import NEVER, slots_of, without_slots
from akjob.query.text import plural, relative, stamp
from akjob.schedule import get_zone
from akjob.spec import ParseResult
from akjob.validate import parse_file


class NextSlots(Struct, frozen=True, kw_only=True):
    """The slots of one argument, in the job's ``zone``; ``note`` says why they may not start.

    ``otherwise`` is what makes the job due where there are no slots.
    """

    job: str
    slots: list[int]
    zone: str = "UTC"
    note: str = ""
    otherwise: str = NEVER
    broken: bool = False


@click.command(
    name="next",
    epilog=examples(
        "akjob next reports/nightly -n 10",
        "akjob next jobs.d/*.toml --after 2026-03-29T00:00:00+01:00",
        "akjob next --json | jq -r '[.job, .next[0]] | @tsv'",
    ),
)
@click.argument("names", metavar="[JOB|FILE]...", nargs=-1)
@click.option("--after", metavar="TIME", help="Strictly after this time, ISO 8601 with offset. Default: now.")
@count_option(5, "The number of slots of each.")
@json_option
def command(names: tuple[str, ...], after: str | None, count: int, *, as_json: bool) -> None:
    """Show the next slots of jobs, or of files ending in .toml, which need no root; without names, of all jobs.

    Slots are shown in the job's own time zone, without jitter. again_after is shown as if each run ended at once,
    on_start is not shown, runs cuts the list. A job that only events make due shows these in place of a time.
    Disabled and paused jobs are shown, too.
    """
    now = now_us()
    after_us = now if after is None else instant(after, "--after")
    asker = _Asker(now, after_us, count)
    answers = [answer for name in names for answer in asker.named(name)]
    if not names:
        answers = asker.all_jobs()
    if as_json:
        say_json(
            *({"job": answer.job, "next": [local(slot, answer.zone) for slot in answer.slots]} for answer in answers)
        )
    elif names:
        for answer in answers:
            say(_block(answer, now))
    else:
        say(_overview(answers, now))
    if names and any(answer.broken for answer in answers):
        raise SystemExit(1)


class _Asker:
    """Answers one name after the other; the root is looked for, and the jobs are read, when the first needs it."""

    def __init__(self, now: int, after_us: int, count: int) -> None:
        self._now = now
        self._after_us = after_us
        self._count = count
        self._snapshot: Snapshot | None = None

    def _loaded(self) -> Snapshot:
        if self._snapshot is None:
            paths = find_paths()
            self._snapshot = load(paths, settings(paths), self._now)
        return self._snapshot

    def named(self, name: str) -> list[NextSlots]:
        """Answer for a FILE or a JOB: a file's name is a job's, too, where there is a job of exactly this name."""
        if is_file(name) and not _is_job(name):
            return self.file(name)
        instances = [job for job in self._loaded().jobs() if job.name.startswith(f"{name_of_file(name)}@")]
        return [self._answer(job) for job in instances] or [self.job(name)]

    def job(self, name: str) -> NextSlots:
        job = self._loaded().find(name)
        if job.spec is None:
            complain(f"{job.name} is broken: {job.file}", "`akjob validate` says why.")
        return self._answer(job)

    def all_jobs(self) -> list[NextSlots]:
        """Answer for all jobs; a mistake that several of them have is said once."""
        jobs = self._loaded().jobs()
        broken = [job.refusal for job in jobs if job.spec is None and job.refusal is not None]
        for line in broken_lines(broken, self._now, colour=colours(sys.stderr)):
            click.echo(line, err=True)
        if broken:
            click.echo(f"{plural(len(broken), 'job')} broken: `akjob validate` says why.", err=True)
        return [self._answer(job) for job in jobs]

    def _answer(self, job: JobView) -> NextSlots:
        spec = job.spec
        if spec is None:
            return NextSlots(job=job.name, slots=[], note="broken", broken=True)
        note = "disabled" if not spec.enabled else "paused" if job.pause is not None else ""
        slots = job.next_slots(self._after_us, self._count)
        otherwise = NEVER if slots else job.without_slots
        return NextSlots(job=job.name, slots=slots, zone=spec.schedule.zone, note=note, otherwise=otherwise)

    def file(self, name: str) -> list[NextSlots]:
        return [self._of_file(result) for result in read_file(Path(name))]

    def _of_file(self, result: ParseResult) -> NextSlots:
        spec = result.spec
        if spec is None:
            return NextSlots(job=result.name, slots=[], note="broken", broken=True)
        slots = slots_of(spec, None, self._after_us, self._count)
        note = "" if spec.enabled else "disabled"
        otherwise = NEVER if slots else without_slots(spec, None, self._after_us)
        return NextSlots(job=result.name, slots=slots, zone=spec.schedule.zone, note=note, otherwise=otherwise)


def is_file(name: str) -> bool:
    """Return True if a name is a FILE, not a JOB: it ends in .toml, or begins as only a path can."""
    return name.endswith(".toml") or name.startswith(("/", "./", "../"))


def _is_job(name: str) -> bool:
    """Return True if a name that a file may have is that of a job; a FILE needs no root."""
    try:
        paths = find_paths()
    except AkjobError:
        return False
    return name in names_meant(paths, name) and has_file(paths, name)


def read_file(path: Path) -> tuple[ParseResult, ...]:
    """Read one job file, with the defaults and the configuration of the root that it lies in, if it lies in one.

    Prints on standard error what is wrong with it, each once however many instances have it.
    """
    results = parse_file(path)
    for problem in dict.fromkeys(problem for result in results for problem in result.problems):
        if problem.severity == "error":
            complain(str(problem), problem.hint)
    return results


def local(slot_us: int, zone: str) -> str:
    """Write a slot as ``2026-03-30T02:30:00+02:00``, in the job's time zone."""
    return to_datetime(slot_us).astimezone(get_zone(zone)).isoformat()


def _block(answer: NextSlots, now: int) -> list[str]:
    """Write one job: its name, and a line for each slot."""
    head = escape_control(answer.job) + (f"  ({answer.note})" if answer.note else "")
    if not answer.slots:
        return [head, f"  {escape_control(answer.otherwise)}"]
    zone = get_zone(answer.zone)
    rows = [
        (f"  {to_datetime(slot).astimezone(zone):%a}", stamp(slot, zone, fine=True), relative(slot, now))
        for slot in answer.slots
    ]
    return [head, *table(("", "", ""), rows, colour=False)[1:]]


def _not_due(answer: NextSlots) -> tuple[str, str, str, str]:
    """Return the row of a job without slots: what makes it due stands beside it."""
    if answer.otherwise == NEVER:
        return (NEVER, "", answer.job, answer.note)
    return ("no fixed time", "", answer.job, ", ".join(filter(None, (answer.note, answer.otherwise))))


def _overview(answers: list[NextSlots], now: int) -> list[str]:
    """Write all jobs, the first to be due first."""
    due = sorted((answer for answer in answers if answer.slots), key=lambda answer: (answer.slots[0], answer.job))
    rows = [
        (
            stamp(answer.slots[0], get_zone(answer.zone), fine=True),
            relative(answer.slots[0], now),
            answer.job,
            answer.note,
        )
        for answer in due
    ]
    rows += [_not_due(answer) for answer in answers if not answer.slots]
    return table(("NEXT", "", "JOB", ""), rows, colour=False)
