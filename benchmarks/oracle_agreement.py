"""Compare the engine with the oracle of the tests: ``python -m benchmarks.oracle_agreement [CASES [SEED [next]]]``.

Each case is a random schedule with limits, a zone, and a stretch of time around a change of that zone's clock. All
slots of the stretch must be the same, to the microsecond, also when they are asked for one by one, and when counted.
With ``next`` each case becomes a job file in a root with its calendars, and what ``akjob next`` prints of it is
compared instead.
Ends with exit code 1 at the first disagreement, after printing the case.
"""

import json
import struct
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import tomli_w
from click.testing import CliRunner
from msgspec import structs

from akjob.cli.next import command
from akjob.instants import from_datetime, from_text
from akjob.schedule import compile_schedule, count_between, next_slot, slots_between
from akjob.schedule.daysets import pack
from akjob.schedule.model import DaySet, Schedule
from akjob.spec import job_table, to_toml
from akjob.spec.model import Command, JobSpec
from tests.unit.schedule.cases import Case, make_case
from tests.unit.schedule.oracle import slots

AT_MOST = 50
_EPOCH = date(1970, 1, 1).toordinal()


def disagreement(case: Case, random: Random) -> str | None:
    """Return how the engine and the oracle differ on a case; None when they agree."""
    expected = slots(*case)
    start_us, end_us = from_datetime(case.start), from_datetime(case.end)
    plan = compile_schedule(case.schedule)
    found = slots_between(plan, start_us - 1, end_us - 1, len(expected) + 10)
    if found != expected:
        extra, lacking = sorted(set(found) - set(expected)), sorted(set(expected) - set(found))
        return f"the engine alone has {_texts(extra)}, the oracle alone has {_texts(lacking)}"
    counted = count_between(plan, start_us - 1, end_us - 1)
    if counted != (len(expected), expected[0] if expected else None, expected[-1] if expected else None):
        return f"counted {counted}, the oracle has {len(expected)}"
    for _ in range(5):
        after = random.randrange(start_us - 1, end_us)
        wanted = next((slot for slot in expected if slot > after), None)
        slot = next_slot(plan, after)
        if slot != wanted and (wanted is not None or (slot is not None and slot < end_us)):
            return f"after {_texts([after])} the engine has {_texts([slot] if slot else [])}, not {wanted}"
    return None


def command_disagreement(case: Case, folder: Path) -> str | None:
    """Return how what ``akjob next FILE`` prints differs from the oracle; None when they agree."""
    schedule, calendars = _as_a_file_has_it(case.schedule)
    case = case._replace(schedule=schedule)
    expected = slots(*case)[:AT_MOST]
    spec = JobSpec(
        name="job", file="job.toml", sources=(), definition="", sha256="", code=Command(("true",), None),
        schedule=case.schedule,
    )  # fmt: skip
    (folder / "etc").mkdir(exist_ok=True)
    (folder / "jobs.d").mkdir(exist_ok=True)
    (folder / "etc" / "akjob.toml").write_text(tomli_w.dumps({"calendars": calendars}))
    file = folder / "jobs.d" / "job.toml"
    file.write_text(to_toml(job_table(spec)))
    after = (case.start - timedelta(microseconds=1)).isoformat()
    done = CliRunner().invoke(command, [str(file), "--after", after, "-n", str(AT_MOST), "--json"])
    printed = json.loads(done.stdout.splitlines()[0])["next"] if done.stdout else []
    end_us = from_datetime(case.end)
    found = [slot for slot in map(from_text, printed) if slot < end_us]
    if found == expected:
        return None
    said = f"printed {len(found)}: {_texts(found)}; the oracle has {len(expected)}: {_texts(expected)}"
    return f"akjob next {said}\n{done.output[:500]}"


def _as_a_file_has_it(schedule: Schedule) -> tuple[Schedule, dict[str, Any]]:
    """Return a schedule that a file can have, and the calendars that its settings need.

    A file has one zone for its days and one calendar of workdays; each calendar has a name of its own here.
    """
    calendars: dict[str, Any] = {}

    def named(days: DaySet) -> DaySet:
        name = f"{days.name}-{len(calendars)}"
        listed = [date.fromordinal(_EPOCH + number) for (number,) in struct.iter_unpack("i", days.dates)]
        calendars[name] = {"dates": listed or [date(1900, 1, 1)]}
        return structs.replace(days, name=name, dates=pack(calendars[name]["dates"]))

    limits = structs.replace(
        schedule.limits,
        zone=schedule.zone,
        not_on=tuple(map(named, schedule.limits.not_on)),
        only_on=tuple(map(named, schedule.limits.only_on)),
    )
    holidays = next((one.holidays for one in schedule.monthly if one.holidays is not None), None)
    workdays = None if holidays is None else named(holidays)
    monthly = tuple(structs.replace(one, holidays=workdays) for one in schedule.monthly)
    return structs.replace(schedule, limits=limits, monthly=monthly, workdays=workdays), calendars


def _texts(instants: list[int]) -> list[str]:
    return [datetime.fromtimestamp(instant / 1e6, UTC).isoformat() for instant in instants[:3]]


def main() -> None:
    """Run the cases and print how many agreed."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    by_command = sys.argv[3:] == ["next"]
    with tempfile.TemporaryDirectory() as folder:
        _compare(cases, seed, folder, by_command=by_command)


def _compare(cases: int, seed: int, folder: str, *, by_command: bool) -> None:
    begun = time.process_time()
    total = empty = 0
    for number in range(1, cases + 1):
        random = Random(f"{seed}/{number}")  # noqa: S311 - repeatable, no secret
        case = make_case(random)
        wrong = command_disagreement(case, Path(folder)) if by_command else disagreement(case, random)
        if wrong:
            print(f"case {number} of seed {seed} disagrees: {wrong}\n{case}")
            sys.exit(1)
        plan = compile_schedule(case.schedule)
        count = count_between(plan, from_datetime(case.start) - 1, from_datetime(case.end) - 1)[0]
        total += count
        empty += not count
        if number % 500 == 0 and number < cases:
            print(f"{number} of {cases} cases agree", flush=True)
    used = time.process_time() - begun
    print(f"{cases} of {cases} random cases agree ({total} slots, {empty} stretches without any, {used:.0f} s of CPU)")


if __name__ == "__main__":
    main()
