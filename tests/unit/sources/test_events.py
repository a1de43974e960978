"""Event triggers: an entry of the registry is a key, a kind of occurrence, and words."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from akjob.cli.new import full_text
from akjob.schedule.events import EVENTS, Event, Loaded
from akjob.schedule.model import Schedule
from akjob.schedule.words import describe
from akjob.sources import KINDS, may_occur
from akjob.sources.events import AnEvent
from akjob.spec.when import SCHEDULE, TRIGGERS
from tests.unit.world import job

NOW_US = 1_800_000_000_000_000
LOADED = Loaded(
    now_us=NOW_US, started_us=NOW_US - 5, boot_us=None, first=False, booted=False, is_new=True, watermark_us=0
)


class OnFirstLoad(Event):
    """A trigger that akjob does not have."""

    name = "on_first_load"

    def due(self, delay_us: int, loaded: Loaded) -> Iterator[int]:
        """Yield the loading of a job without history."""
        if loaded.is_new:
            yield loaded.now_us + delay_us


@pytest.mark.parametrize("name", EVENTS)
def test_an_entry_of_the_registry_is_all_that_a_trigger_needs(name: str) -> None:
    """It is a key with its meaning and an example, a trigger, a kind of occurrence, and a line of words."""
    event = EVENTS[name]
    assert SCHEDULE[name].doc == event.doc
    assert name in TRIGGERS
    assert [kind.name for kind in KINDS].count(name) == 1
    assert f"# {event.doc}\n# {name} = {event.example}\n" in full_text("x", "")
    assert describe(Schedule(delays=((name, 0),)), NOW_US) == [event.words]
    assert describe(Schedule(delays=((name, 7_000_000),)), NOW_US) == [event.later.format("7 seconds")]


def test_an_event_becomes_an_occurrence_of_its_own() -> None:
    """Its key has the name and the instant, so that it is decided once; it holds while the job has the trigger."""
    kind = AnEvent(OnFirstLoad())
    plain = job("a", "")
    asks = replace(plain, schedule=replace(plain.schedule, delays=(("on_first_load", 3),)))
    (one,) = kind.on_load(asks, LOADED)
    assert (one.job, one.key, one.at_us) == ("a", f"on_first_load:{NOW_US + 3}", NOW_US + 3)
    assert list(kind.on_load(plain, LOADED)) == []
    assert list(kind.on_load(asks, replace(LOADED, is_new=False))) == []
    assert kind.survives(asks, one)
    assert not kind.survives(plain, one)


def test_only_jobs_with_events_are_asked_at_a_loading() -> None:
    """What :func:`may_occur` passes over has no occurrence of any kind; what has one, it does not pass over."""
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
    assert due == {name for name, spec in specs.items() if may_occur(spec)} == {"start", "boot"}
