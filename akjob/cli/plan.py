"""``akjob plan``: every coming slot, and what they add up to."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, tzinfo
from fnmatch import fnmatchcase
from pathlib import Path

import click

from akjob.cli import complain
from akjob.cli.common import colours, examples, find_paths, json_option, now_us, say, say_json, settings
from akjob.cli.next import is_file, read_file
from akjob.cli.text import paint, table
from akjob.config import Config, Paths
from akjob.instants import from_text, to_datetime
from akjob.ledger import open_reader
from akjob.query.jobs import Snapshot, load
from akjob.query.moments import moment
from akjob.query.names import unknown_job
from akjob.query.plan import (
    DEFAULT_US,
    SAMPLES,
    HourPlan,
    Planned,
    PlannedStart,
    advise,
    check_range,
    check_size,
    expected_us,
    hours,
    of_job,
    starts,
)
from akjob.query.text import plural, span, stamp
from akjob.schedule import get_zone

_SHOWN = 40
_SHADES = " .:-=+*#%@"
_COLUMN = 2
_EXAMPLES = examples(
    "akjob plan --until 7d --summary          the load of a week",
    "akjob plan 'reports/*' --from 2026-03-29   the slots of some jobs",
    "akjob plan --rev topic --json             what a branch would start",
)


@click.command(name="plan", epilog=_EXAMPLES)
@click.argument("names", metavar="[JOB|FILE]...", nargs=-1)
@click.option("--from", "since", metavar="T", help="From this time on. Default: now.")
@click.option("--until", metavar="T", help="Up to this time, not included, or for this long. Default: one day.")
@click.option("--rev", metavar="REV", help="The jobs of this commit, branch or tag, not those of the folder.")
@click.option("--summary", is_flag=True, help="What each hour adds up to, not the slots.")
@json_option
def command(  # noqa: PLR0913 - the options of a command
    names: tuple[str, ...], since: str | None, until: str | None, rev: str | None, *, summary: bool, as_json: bool
) -> None:
    """Show every coming slot of jobs, patterns or files in order, at most 90 days and two million of them.

    A start is the slot and its jitter; how long a run takes is the median of the job's last runs. Disabled jobs and
    pauses are left out; again_after counts as if each run took so long. akjobd is not needed.
    """
    now = now_us()
    plans, zone = _planned(names, rev, now)
    from_us = now if since is None else moment(since, "--from", now, zone, past=False)
    until_us = from_us + DEFAULT_US if until is None else moment(until, "--until", from_us, zone, past=False)
    check_range(from_us, until_us)
    check_size(plans, from_us, until_us)
    found = starts(plans, from_us, until_us)
    if as_json:
        say_json(*hours(found, from_us, until_us, zone)) if summary else say_json(*(start.shown() for start in found))
        return
    known = list(found)
    if not known:
        click.echo("No slot is due in this time.", err=True)
        return
    lines = [] if summary else _slots(known, zone)
    lines += [*_map(hours(known, from_us, until_us, zone), zone), *_advice(known, plans, from_us, until_us)]
    say(lines)


def _planned(names: Sequence[str], rev: str | None, now: int) -> tuple[list[Planned], tzinfo]:
    """Return the jobs to plan, and the default time zone."""
    files = [name for name in names if is_file(name)]
    results = [result for name in files for result in read_file(Path(name))]
    specs = [result.spec for result in results if result.spec is not None]
    plans = [Planned(spec=spec, runs_left=spec.runs) for spec in specs]
    if files and len(files) == len(names):
        return plans, get_zone("UTC")
    paths = find_paths()
    config = settings(paths)
    wanted = [name for name in names if name not in files]
    return [*plans, *_of_root(paths, config, wanted, rev, now)], get_zone(config.timezone)


def _of_root(paths: Paths, config: Config, wanted: Sequence[str], rev: str | None, now: int) -> list[Planned]:
    snapshot = load(paths, config, now)
    if rev is not None:
        return _at_revision(paths, snapshot, wanted, rev)
    jobs = [snapshot.job(name) for name in _chosen(snapshot.names(), wanted)]
    took = open_reader(paths.ledger_url).durations([job.name for job in jobs], SAMPLES)
    return [plan for job in jobs if (plan := of_job(job, took.get(job.name, ()))) is not None]


def _at_revision(paths: Paths, snapshot: Snapshot, wanted: Sequence[str], rev: str) -> list[Planned]:
    from akjob.diff.side import at_revision

    side = at_revision(paths, rev)
    for name in sorted(side.refused):
        complain(f"{name} is broken at {rev}, and left out")
    chosen = _chosen(sorted(side.jobs), wanted)
    took = open_reader(paths.ledger_url).durations(chosen, SAMPLES)
    found = []
    for name in chosen:
        plan = of_job(snapshot.job(name), ()) if name in snapshot.jobset.jobs else None
        spec, expected = side.jobs[name], expected_us(took.get(name, ()))
        started = snapshot.job(name).runs_started
        left = None if spec.runs is None else max(0, spec.runs - started)
        last = None if plan is None else plan.last_end_us
        found.append(Planned(spec=spec, runs_left=left, expected_us=expected, last_end_us=last))
    return found


def _chosen(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the jobs that names and patterns mean. Raises AkjobError for one that fits none."""
    if not wanted:
        return list(names)
    found: dict[str, None] = {}
    for pattern in wanted:
        fitting = [name for name in names if fnmatchcase(name, pattern)]
        if not fitting:
            raise unknown_job(pattern, names)
        found |= dict.fromkeys(fitting)
    return list(found)


def _slots(found: Sequence[PlannedStart], zone: tzinfo) -> list[str]:
    """Write the slots, the first of them where there are many."""
    rows = [
        (
            stamp(start.slot_us, zone),
            start.job,
            "" if start.starts_us == start.slot_us else f"+{span(start.starts_us - start.slot_us)}",
            "" if start.expected_us is None else span(start.expected_us),
        )
        for start in found[:_SHOWN]
    ]
    more = len(found) - _SHOWN
    rest = [f"and {more} more: --json shows all."] if more > 0 else []
    return [*table(("SLOT", "JOB", "JITTER", "TAKES"), rows, colour=colours()), *rest, ""]


def _map(found: Sequence[HourPlan], zone: tzinfo) -> list[str]:
    """Draw the hours: a line a day, a column an hour, the more slots the darker."""
    most = max(hour.slots for hour in found)
    days: dict[date, list[HourPlan]] = defaultdict(list)
    for hour in found:
        days[to_datetime(from_text(hour.hour)).astimezone(zone).date()].append(hour)
    heads = "".join(f"{hour:<{3 * _COLUMN}}" for hour in range(0, 24, 3))
    width = 24 * _COLUMN
    lines = [paint(f"{'DAY':<12}{heads:<{width}}  SLOTS  PEAK", "bold", on=colours())]
    lines += [f"{day:%a %d %b}  {_row(of_day, most, zone):<{width}}  {_sums(of_day)}" for day, of_day in days.items()]
    best = max(found, key=lambda hour: hour.peak)
    at_once = plural(best.peak, "run")
    summary = f"{plural(sum(hour.slots for hour in found), 'slot')}; at most {at_once} at once, in the hour of"
    return [*lines, "", f"{summary} {stamp(from_text(best.hour), zone)}."]


def _row(hours_of_day: Iterable[HourPlan], most: int, zone: tzinfo) -> str:
    cells = [" "] * 24
    for hour in hours_of_day:
        local = to_datetime(from_text(hour.hour)).astimezone(zone).hour
        cells[local] = max(cells[local], _shade(hour.slots, most), key=_SHADES.index)
    return (" " * (_COLUMN - 1)).join(cells)


def _shade(slots: int, most: int) -> str:
    return _SHADES[-(-slots * (len(_SHADES) - 1) // most)] if slots else " "


def _sums(hours_of_day: Sequence[HourPlan]) -> str:
    return f"{sum(hour.slots for hour in hours_of_day):>5}  {max(hour.peak for hour in hours_of_day):>4}"


def _advice(found: Sequence[PlannedStart], plans: Sequence[Planned], from_us: int, until_us: int) -> list[str]:
    jobs = {plan.spec.name: plan.spec for plan in plans}
    advice = advise(found, jobs, from_us, until_us)
    return ["", *(f"{one.kind:<8} {one.message}" for one in advice)] if advice else []
