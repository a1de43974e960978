"""`akjob notify`: who would be told what, what was, and what would have been."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from akjob.config import load_config
from akjob.instants import HOUR, MINUTE, SECOND, to_text
from akjob.ledger import Detail, Transition, Writes
from akjob.notify.model import Incident, Note, PolicyState
from akjob.notify.outbox import Outbox
from akjob.run.ids import first_id
from akjob.spec import parse_job
from tests.unit.cli.root import NOW_US, Root

SETTINGS = """
[channels.ops]
command = ["true"]
[channels.quiet]
command = ["true"]
quiet = { from = 09:00:00, until = 13:00:00 }
"""
_numbers = itertools.count()


@pytest.fixture
def outbox(root: Root) -> Iterator[Outbox]:
    """Return the root's outbox."""
    made = Outbox(root.paths.notify_db)
    yield made
    made.close()


def job(root: Root, name: str, notify: str = 'channels = ["ops"]') -> None:
    """Make a job and load it, as akjobd would."""
    root.paths.etc.mkdir(exist_ok=True)
    root.paths.config_file.write_text(SETTINGS)
    text = f'command = ["true"]\n[notify]\n{notify}\n'
    root.job(name, text)
    spec = parse_job(name, f"jobs.d/{name}.toml", text, config=load_config(root.paths.config_file)[0]).spec
    assert spec is not None
    root.loaded(spec)


def ended(root: Root, name: str, minute: int, state: str, **values: Any) -> None:
    """Write a run that was due and ended so many minutes after noon."""
    at_us = NOW_US + minute * MINUTE
    run = first_id(at_us + next(_numbers) * 1000)
    root.run(run, name, minute, **{"state": state, "started_us": at_us, "ended_us": at_us + SECOND, **values})


def happened(root: Root, *events: tuple[int, Any, Any, str | None]) -> None:
    """Write transitions: minute after noon, kind, state and job."""
    changes = [
        Transition(at_us=NOW_US + minute * MINUTE, kind=kind, to_state=state, job=name, detail=Detail())
        for minute, kind, state, name in events
    ]
    root.ledger(Writes(transitions=changes))


def simulated(root: Root, *arguments: str) -> list[tuple[str, str, str, list[str]]]:
    """Return what `akjob notify simulate` answers."""
    found = root.json("notify", "simulate", *arguments)
    return [(one["at"][11:19], one["channel"], one["kind"], one["jobs"]) for one in found]


def test_simulate_tells_a_failure_and_its_end(root: Root) -> None:
    """Gathered for ten seconds; what was before the time that is asked for is not told."""
    job(root, "a", 'channels = ["ops", "quiet"]')
    ended(root, "a", -3000, "failed")
    ended(root, "a", -2990, "succeeded")
    ended(root, "a", -120, "failed")
    ended(root, "a", -60, "succeeded")
    assert simulated(root, "--since", "1d") == [
        ("10:00:11", "ops", "failed", ["a"]),
        ("11:00:11", "ops", "recovered", ["a"]),
        ("13:00:00", "quiet", "several", ["a"]),
    ]


def test_simulate_tells_a_success_that_is_asked_for(root: Root) -> None:
    """Also of a job that never had any trouble."""
    job(root, "a", 'channels = ["ops"]\non = ["succeeded"]')
    job(root, "b")
    for name in ("a", "b"):
        ended(root, name, -60, "succeeded", ended_us=NOW_US - HOUR + 1000)
    assert simulated(root) == [("11:00:10", "ops", "succeeded", ["a"])]


def test_simulate_tells_a_downtime_once(root: Root) -> None:
    """And not one message for each slot, nor that the run that made up for one was late."""
    job(root, "a")
    job(root, "b")
    happened(root, (-300, "daemon", "started", None), (-180, "daemon", "stopping", None))
    happened(root, (-60, "daemon", "started", None))
    for name in ("a", "b"):
        ended(root, name, -150, "missed", started_us=None, ended_us=NOW_US - HOUR)
    ended(root, "a", -120, "succeeded", trigger="missed", started_us=NOW_US - HOUR, ended_us=NOW_US - HOUR + SECOND)
    assert simulated(root) == [("11:00:10", "ops", "down", ["a", "b"])]


def test_simulate_keeps_quiet_of_what_was_paused(root: Root) -> None:
    """Skipped slots of a paused job are nobody's news; after it is resumed they are."""
    job(root, "a", 'channels = ["ops"]\non = ["skipped"]')
    happened(root, (-300, "job", "paused", "a"), (-90, "job", "resumed", "a"))
    ended(root, "a", -120, "skipped", started_us=None)
    assert simulated(root) == []
    ended(root, "a", -60, "skipped", started_us=None)
    assert simulated(root) == [("11:00:11", "ops", "skipped", ["a"])]


def test_explain_says_who_and_why(root: Root) -> None:
    """A channel in its quiet hours is told later; a kind that is not asked for is nobody's."""
    job(root, "a", 'channels = ["ops", "quiet"]\nafter = 3')
    found = root.json("notify", "explain", "a", "--kind", "failed")
    assert [(one["at"][11:19], one["channel"]) for one in found] == [("12:00:10", "ops"), ("13:00:00", "quiet")]
    assert "from 3 failed slots in a row on" in root.akjob("notify", "explain", "a", "--kind", "failed").stdout
    assert root.json("notify", "explain", "a", "--kind", "succeeded") == []
    assert root.akjob("notify", "explain", "a", "--kind", "faild").exit_code == 2
    assert root.akjob("notify", "explain", "none", "--kind", "failed").exit_code != 0


def test_list_and_ack(root: Root, outbox: Outbox) -> None:
    """The keys that programs read; an incident is acknowledged once it is there."""
    incident = Incident(
        number=1,
        job="a",
        trouble="failure",
        kind="failed",
        opened_us=NOW_US,
        notified_us=NOW_US,
        run="r",
        slot_us=NOW_US,
    )
    with outbox.commit():
        outbox.keep_job("a", PolicyState(failures=1, incidents={"failure": incident}))
        outbox.add("ops", Note(kind="failed", at_us=NOW_US, job="a", incident=1), NOW_US)
    (one,) = root.json("notify", "list")
    assert {key: one[key] for key in ("at", "channel", "kind", "jobs", "state", "attempts", "error")} == {
        "at": to_text(NOW_US),
        "channel": "ops",
        "kind": "failed",
        "jobs": ["a"],
        "state": "pending",
        "attempts": 0,
        "error": None,
    }
    assert root.akjob("notify", "ack", "1", "--reason", "known").exit_code == 0
    assert outbox.acknowledged() == [1]
    assert root.akjob("notify", "ack", "2").exit_code == 2
