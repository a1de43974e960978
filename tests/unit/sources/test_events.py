"""Event triggers: an entry of the registry is a key, a kind of occurrence, and words."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from akjob.cli.new import full_text
from akjob.instants import SECOND
from akjob.keys import values
from akjob.ledger.model import BY_ITSELF
from akjob.query.reference import entries
from akjob.schedule.event import Delayed, Event, Loaded
from akjob.schedule.events import EVENTS, After, OnBoot, OnChange, OnStart
from akjob.schedule.model import Schedule
from akjob.schedule.words import describe
from akjob.sources import KINDS, Kind
from akjob.spec import job_table, json_schema, to_toml
from akjob.spec.when import SCHEDULE, TRIGGERS
from tests.unit.world import job

NOW_US = 1_800_000_000_000_000
LOADED = Loaded(
    now_us=NOW_US, started_us=NOW_US - 5, boot_us=None, first=False, booted=False, is_new=True, watermark_us=0
)
VALUES: Mapping[str, Any] = {
    "on_start": "7s",
    "on_boot": True,
    "after": {"jobs": ["a", "b"], "on": "ended", "mode": "any"},
    "on_change": {"paths": "in/*", "settle": "5s", "ignore": ["*.tmp"], "deleted": True},
}
"""For each trigger a value that says as much as it can; to be extended with EVENTS."""


class OnFirstLoad(Delayed, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """A trigger that akjob does not have."""

    key = "on_first_load"

    def due(self, loaded: Loaded) -> Iterator[int]:
        """Yield the loading of a job without history."""
        if loaded.is_new:
            yield loaded.now_us + self.delay_us


@pytest.mark.parametrize("name", EVENTS)
def test_an_entry_of_the_registry_is_all_that_a_trigger_needs(name: str) -> None:
    """It is a key with its meaning, keys and an example, a trigger, a kind of occurrence, and a line of words."""
    event = EVENTS[name]
    spec = job("one", to_toml({"schedule": {name: VALUES[name]}}))
    (said,) = spec.schedule.events
    assert isinstance(said, event)
    assert SCHEDULE[name].doc == event.doc
    assert name in TRIGGERS
    assert [kind.event for kind in KINDS].count(event) == 1
    assert event.trigger in BY_ITSELF
    assert event.because
    assert f"# {event.doc}\n# {name} = {event.example}\n" in full_text("x", "")
    assert describe(spec.schedule, NOW_US) == [said.words()]
    assert event.read(job_table(spec)["schedule"][name], (name,), values.Reading()) == said
    assert set(event.variables({"after": {"a": "1"}})) <= {one.name for one in entries() if one.kind == "variable"}
    inner = {one.name for one in entries() if one.name.startswith(f"schedule.{name}.")}
    assert inner == {f"schedule.{name}.{key}" for key in event.table}
    assert json_schema()["properties"]["schedule"]["properties"][name]["description"] == event.doc


def test_what_a_schedule_says_of_events_is_read_back_from_a_cache() -> None:
    """Each kind as the kind that it was."""
    schedule = Schedule(
        events=(OnStart(), OnBoot(delay_us=3), After(jobs=("a",), mode="any"), OnChange(paths=("x",), deleted=True))
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(schedule), type=Schedule) == schedule
    assert len(schedule.events) == len(EVENTS)


def test_a_delay_is_in_the_words_of_an_event() -> None:
    """Where there is one."""
    assert [OnStart().words(), OnStart(delay_us=7 * SECOND).words()] == [
        "each time akjobd starts",
        "7 seconds after each start of akjobd",
    ]


def test_an_event_becomes_an_occurrence_of_its_own() -> None:
    """Its key has the name and the instant, so that it is decided once; it holds while the job has the trigger."""
    kind = Kind(OnFirstLoad)
    plain = job("a", "")
    asks = replace(plain, schedule=replace(plain.schedule, events=(OnFirstLoad(delay_us=3),)))
    (one,) = kind.on_load(asks, LOADED)
    assert (one.job, one.key, one.at_us) == ("a", f"on_first_load:{NOW_US + 3}", NOW_US + 3)
    assert list(kind.on_load(plain, LOADED)) == []
    assert list(kind.on_load(asks, replace(LOADED, is_new=False))) == []
    assert kind.survives(asks, one)
    assert not kind.survives(plain, one)


def test_an_event_with_a_trigger_that_the_ledger_does_not_know_is_no_kind() -> None:
    """A run's trigger is one of the words that are published."""

    class Unpublished(Event, frozen=True, kw_only=True):
        key = "unpublished"
        trigger = "sunset"

    with pytest.raises(msgspec.ValidationError, match="sunset"):
        Kind(Unpublished)


def test_only_jobs_with_events_are_due_by_a_loading() -> None:
    """A job without any need not be asked; other jobs' ends and changed files are none of a loading."""
    loaded = Loaded(
        now_us=NOW_US,
        started_us=NOW_US - 5,
        boot_us=NOW_US - 9,
        first=True,
        booted=True,
        is_new=False,
        watermark_us=NOW_US - 100,
    )
    texts = {
        "start": "[schedule]\non_start = true\n",
        "boot": '[schedule]\non_boot = "5m"\n',
        "after": '[schedule]\nafter = "other"\n',
        "change": '[schedule]\non_change = "inbox/*.csv"\n',
        "daily": "[schedule]\ndaily = 09:00:00\n",
    }
    specs = {name: job(name, text) for name, text in texts.items()}
    due = {name for name, spec in specs.items() for kind in KINDS for _ in kind.on_load(spec, loaded)}
    assert due == {"start", "boot"}
    assert {name for name, spec in specs.items() if not spec.schedule.events} == {"daily"}
