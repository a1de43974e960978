"""The child that simulates for a page: ``python -m akjob.web.simulating``, a question on stdin, an answer on stdout.

A simulation computes as long as it likes. In a process of its own, with limits, it keeps no other request waiting, and
akjob-web stays as small as it was.
"""

import os
import resource
import signal
import sys
from collections.abc import Mapping
from math import ceil
from pathlib import Path

import msgspec
from msgspec.structs import replace

from akjob.config import Config, Paths, load_config
from akjob.diff import compare, slots_of
from akjob.diff.side import Side, of_revision
from akjob.diff.slots import SlotChange
from akjob.errors import AkjobError
from akjob.instants import DAY
from akjob.ledger import open_reader
from akjob.processes import die_with_parent
from akjob.query.foresight import Outlook, outlook
from akjob.query.jobs import Snapshot, load
from akjob.query.plan import SAMPLES, check_range
from akjob.query.scenarios import Scenario, read
from akjob.query.simulation import simulate
from akjob.query.visibility import Principal, visible
from akjob.schedule import get_zone
from akjob.spec.model import JobSpec
from akjob.web.simulator import CPU_S, MEMORY, TOO_MUCH, Question, Shift, Simulated

_NICER = 5
_MOST_CHANGES = 100
_MOST_SLOTS = 8


def answer(question: Question) -> Simulated:
    """Return what a simulation comes to. What the principal may not know of is not simulated either."""
    try:
        return _answer(question)
    except AkjobError as error:
        return Simulated(error=error.message, hint=error.hint)
    except MemoryError:
        return TOO_MUCH


def _answer(question: Question) -> Simulated:
    paths = Paths(Path(question.root))
    config, _ = load_config(paths.config_file)
    snapshot = load(paths, config, question.now_us)
    wish, zone = question.wish, get_zone(config.timezone)
    now = Side(title="what is loaded", jobs=snapshot.jobset.jobs, refused={})
    new, old = (
        _seen(question.principal, now if rev is None else of_revision(paths, rev))
        for rev in (wish.rev, question.against)
    )
    names = sorted(new.jobs)
    scenario = read(wish, names, question.now_us, zone)
    check_range(scenario.from_us, scenario.until_us)
    every = sorted({*new.jobs, *old.jobs})
    durations = open_reader(paths.ledger_url).durations(every, SAMPLES)
    after = _outlook(snapshot, config, durations, scenario, new.jobs)
    answered = Simulated(after=after, refused=tuple(sorted(new.refused)), commands=(wish.command(),))
    if question.against is None:
        return answered
    days = ceil((scenario.until_us - scenario.from_us) / DAY)
    from_us = scenario.from_us - 1  # slots are those after an instant
    changes = slots_of(old, new, compare(old, new, from_us), from_us, days, durations).jobs
    found = [shift for one in changes if (shift := _shift(one, scenario.until_us))]
    revisions = [question.against, *([] if wish.rev in (None, ".") else [wish.rev])]
    return replace(
        answered,
        refused_before=tuple(sorted(old.refused)),
        before=_outlook(snapshot, config, durations, _of_those(scenario, old.jobs), old.jobs),
        shifts=tuple(sorted(found, key=lambda one: (-one.lost, -one.moved, -one.gained, one.job))[:_MOST_CHANGES]),
        commands=(*answered.commands, f"akjob diff {' '.join(revisions)} --days {days}"),
    )


def _seen(principal: Principal, side: Side) -> Side:
    """Return the jobs of a side that a principal may know of."""
    return Side(
        title=side.title,
        jobs={name: spec for name, spec in side.jobs.items() if visible(principal, name)},
        refused={name: problems for name, problems in side.refused.items() if visible(principal, name)},
    )


def _outlook(
    snapshot: Snapshot,
    config: Config,
    durations: Mapping[str, list[float]],
    scenario: Scenario,
    jobs: Mapping[str, JobSpec],
) -> Outlook:
    return outlook(simulate(snapshot, config, durations, scenario, jobs), jobs, scenario)


def _of_those(scenario: Scenario, jobs: Mapping[str, JobSpec]) -> Scenario:
    """Return a scenario without what is pretended of jobs that are not there."""
    return replace(
        scenario,
        failures=tuple(one for one in scenario.failures if one[0] in jobs),
        takes={job: took for job, took in scenario.takes.items() if job in jobs},
    )


def _shift(change: SlotChange, until_us: int) -> Shift | None:
    gained = [slot for slot in change.gained if slot < until_us]
    lost = [slot for slot in change.lost if slot < until_us]
    moved = [pair for pair in change.moved if min(pair) < until_us]
    if not (gained or lost or moved):
        return None
    return Shift(
        job=change.job,
        zone=change.zone,
        gained=len(gained),
        lost=len(lost),
        moved=len(moved),
        first_gained=tuple(gained[:_MOST_SLOTS]),
        first_lost=tuple(lost[:_MOST_SLOTS]),
        first_moved=tuple(moved[:_MOST_SLOTS]),
    )


def main() -> None:
    """Simulate one question, within limits."""
    die_with_parent(signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    os.nice(_NICER)
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(answer(question)))


if __name__ == "__main__":
    main()
