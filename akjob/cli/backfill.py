"""``akjob backfill``: run the slots of a stretch of time that is over."""

from datetime import tzinfo
from typing import Literal

import click

from akjob.cli.common import examples, find_paths, json_option, now_us, say, say_json, settings
from akjob.cli.control import ask, job_name
from akjob.config import Paths
from akjob.control.requests import BackfillBegun, BeginBackfill
from akjob.errors import UsageError
from akjob.instants import from_text, to_text
from akjob.query.jobs import load
from akjob.query.moments import moment
from akjob.query.names import user_name
from akjob.query.text import plural, stamp
from akjob.schedule import get_zone

_MOST_SHOWN = 20


@click.command(
    name="backfill",
    epilog=examples(
        "akjob backfill reports/nightly --from 2026-03-01 --until 2026-04-01 --dry-run",
        "akjob backfill reports/nightly --from 7d --until 0s --only failed --parallel 4",
        "akjob backfills                       how far they are",
    ),
)
@click.argument("job", metavar="JOB")
@click.option("--from", "since", metavar="T", required=True, help="From this time on, or from this long ago on.")
@click.option("--until", metavar="T", required=True, help="Up to this time, not included, or to this long ago.")
@click.option(
    "--only",
    type=click.Choice(["missing", "failed", "all"]),
    default="missing",
    help="Slots that did not run, those that failed at last, or all. Default: missing.",
)
@click.option(
    "--parallel", metavar="N", type=click.IntRange(min=1), default=1, help="How many run at once. Default: 1."
)
@click.option("--newest-first", is_flag=True, help="Begin with the newest slot.")
@click.option("--dry-run", is_flag=True, help="Only show which slots these are.")
@json_option
def command(  # noqa: PLR0913 - the options of a command
    job: str,
    since: str,
    until: str,
    only: Literal["missing", "failed", "all"],
    parallel: int,
    *,
    newest_first: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Run the slots of a job's calendar in a stretch of time, by the job's definition of today.

    It returns at once; akjobd runs the backfill, also across restarts. Scheduled runs go first; pauses and the limit
    `runs` do not count, locks, pools and max_running do. `akjob stop ID` ends it. A backfill takes a stretch of at most
    5,000 slots; for a longer one the refusal names the part to begin with. T is a time, without an offset in the
    job's time zone, or for how long ago.
    """
    now = now_us()
    paths = find_paths()
    name = job_name(paths, job)
    zone = _zone_of(paths, name, now)
    from_us = moment(since, "--from", now, zone, past=True)
    until_us = moment(until, "--until", now, zone, past=True)
    if from_us >= until_us:
        raise UsageError("--until is not after --from", hint="Give the earlier time to --from.")
    begun = ask(
        paths,
        BeginBackfill(
            job=name,
            begin=to_text(from_us),
            until=to_text(until_us),
            only=only,
            parallel=parallel,
            newest_first=newest_first,
            dry_run=dry_run,
            by=user_name(),
        ),
    )
    if as_json:
        say_json(answer(begun))
    else:
        say(_lines(begun))


def _zone_of(paths: Paths, job: str, now: int) -> tzinfo | None:
    """Return a job's time zone; None for one that the folder does not have, which akjobd refuses."""
    spec = load(paths, settings(paths), now).jobset.jobs.get(job)
    return None if spec is None else get_zone(spec.schedule.zone)


def answer(begun: BackfillBegun) -> dict[str, object]:
    """Return what ``--json`` prints."""
    if begun.id is None:
        return {"job": begun.job, "slots": list(begun.slots)}
    ends = {"first": min(begun.slots, default=None), "last": max(begun.slots, default=None)}
    return {"id": begun.id, "job": begun.job, "slots": len(begun.slots), **ends}


def _lines(begun: BackfillBegun) -> list[str]:
    if begun.id is not None:
        slots = plural(len(begun.slots), "slot")
        return [f"Backfill {begun.id} of {begun.job}: {slots}. `akjob backfills` shows how far it is."]
    shown = [f"  {stamp(from_text(slot))}" for slot in begun.slots[:_MOST_SHOWN]]
    more = len(begun.slots) - len(shown)
    return [f"{begun.job}: {plural(len(begun.slots), 'slot')}", *shown, *([f"  and {more} more"] if more else [])]
