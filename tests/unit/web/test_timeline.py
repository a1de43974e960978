"""The timeline: where runs stand, what is drawn of them, what they add up to."""

import re
from itertools import pairwise
from typing import Any

import pytest

from akjob.instants import DAY, HOUR, MINUTE, SECOND, from_text, to_text
from akjob.ledger import RunRow, TimeColumns, Writes
from akjob.ledger.memory import MemoryStore
from akjob.query.lanes import Lane, LaneRun, Link, Stretch, lane_of, links_of, load_of
from akjob.schedule import get_zone
from akjob.web.pages.lanes import across, day_marks, lane, ticks
from tests.unit.cli.root import NOW_US, Root
from tests.unit.web.serving import Served

START = from_text("2026-03-02T00:00:00Z")
STRETCH = Stretch(start_us=START, end_us=START + DAY, now_us=START + 18 * HOUR)
BERLIN = get_zone("Europe/Berlin")


def columns(**values: Any) -> TimeColumns:
    """Return a row as the ledger gives it."""
    fields: dict[str, Any] = {"id": "r", "job": "a", "slot_us": START + HOUR, "queued_us": START + HOUR, **values}
    store = MemoryStore()
    store.commit(Writes(claims=[RunRow(**{"slot_last_us": fields["slot_us"], **fields})]))
    (row,) = store.reader().times(["a"], to_text(0), to_text(START + 9 * DAY), 1)["a"]
    return row


def done(begin_us: int, took_us: int, **values: Any) -> TimeColumns:
    """Return the row of a run that is over."""
    times = {"slot_us": begin_us, "queued_us": begin_us, "started_us": begin_us, "ended_us": begin_us + took_us}
    return columns(**{"state": "succeeded", **times, **values})


def drawn(one: Lane, *, links: bool = True, stretch: Stretch = STRETCH) -> str:
    """Return a lane as SVG."""
    return lane(stretch, one, lambda run: f"<b>{run.row.id}", "/runs?job=a", links=links)


@pytest.mark.parametrize(
    ("values", "begin_us"),
    [
        ({"state": "succeeded", "started_us": START + HOUR + 7, "ended_us": START + 2 * HOUR}, START + HOUR + 7),
        ({"state": "missed"}, START + HOUR),
        ({"state": "queued", "queued_us": START + 5 * HOUR}, START + 5 * HOUR),  # a backfill: the slot is long over
        ({"state": "queued", "slot_us": START + 5 * HOUR}, START + 5 * HOUR),  # prepared ahead of its slot
    ],
)
def test_where_a_row_begins(values: dict[str, Any], begin_us: int) -> None:
    """At its start, else at its slot; what waits is drawn from when it began to wait."""
    assert lane_of("a", [columns(**values)], STRETCH, ()).runs[0].begin_us == begin_us


def test_what_runs_into_the_stretch_is_in_it() -> None:
    """A run that began before and ended within is drawn from the edge; one that ended before is not there."""
    rows = [done(START - HOUR, 2 * HOUR, id="long"), done(START - 2 * HOUR, HOUR // 2, id="over")]
    found = lane_of("a", rows, STRETCH, ())
    assert [run.row.id for run in found.runs] == ["long"]
    assert "M0 5h60v12h-60z" in drawn(found)


def test_what_is_under_way_ends_now() -> None:
    """A bar to the line of now, for a run and for what waits."""
    begun = {"started_us": START + 17 * HOUR, "slot_us": START + 17 * HOUR}
    found = lane_of("a", [columns(state="running", **begun)], STRETCH, ())
    assert found.runs[0].end_us == STRETCH.now_us
    assert found.p50_us == 0  # not known how long it takes


def test_a_lane_shows_runs_coming_slots_and_now() -> None:
    """Bars link to their runs; how long a run takes as a rule and at worst is seen at each slot to come."""
    rows = [done(START + number * HOUR, number * MINUTE, id=f"r{number}") for number in (20, 3, 2, 1)]
    found = lane_of("a<b", rows, STRETCH, (START + 20 * HOUR,))
    assert (found.p50_us, found.p95_us) == (3 * MINUTE, 20 * MINUTE)
    text = drawn(found)
    assert 'href="/runs/r1"' in text
    assert "&lt;b&gt;r1" in text
    assert "<b>" not in text
    assert "a&lt;b: 4 succeeded, 1 to come" in text
    assert 'class="now" d="M1080 0V22"' in text
    assert 'class="ghost p95" d="M1200 10h20' in text
    assert 'class="ghost p50" d="M1200 8h3' in text


def test_a_lane_without_links_has_one_path_for_each_state() -> None:
    """Bars that are too narrow to be hit lead to the list of the runs together; what another covers is left out."""
    states = ("succeeded", "failed", "skipped", "missed") * 50
    rows = [done(START + n * 5 * MINUTE, MINUTE, state=state) for n, state in enumerate(states)]
    text = drawn(lane_of("a", reversed(rows), STRETCH, ()), links=False)
    assert text.count("<path") == 5  # four states, and now
    assert text.count("<a ") == 1
    assert 'href="/runs?job=a"' in text
    assert text.count("v12h-") == 100
    crowd = [done(START + n * SECOND, SECOND) for n in reversed(range(1000))]
    assert drawn(lane_of("a", crowd, STRETCH, ()), links=False).count("v12h-") <= 17


def test_too_many_runs_are_a_band() -> None:
    """Its height says how many began in each hour; the exceptions stand on it."""
    band = [("2026-03-02T01", 3600), ("2026-03-02T02", 1800)]
    found = lane_of("a", [done(START + HOUR, MINUTE, state="failed", id="r7")], STRETCH, (), band)
    text = drawn(found)
    assert 'class="b-succeeded band" d="M60 19H120V3H60zM120 19H180V11H120z"' in text
    assert "b-failed" in text
    assert "a: 5400 runs, 1 failed, 0 to come" in text


def test_slots_to_come_are_diamonds_or_a_line_where_they_would_cover_each_other() -> None:
    """One path for all of them."""
    stretch = Stretch(start_us=START, end_us=START + DAY, now_us=START)
    some = drawn(Lane(job="a", runs=(), coming=(START + HOUR, START + 3 * HOUR)), stretch=stretch)
    assert (some.count("l5 -5l5 5l-5 5z"), some.count("<path")) == (2, 2)
    dense = drawn(Lane(job="a", runs=(), coming=tuple(START + n * MINUTE for n in range(100))), stretch=stretch)
    assert (dense.count("l5 -5l5 5l-5 5z"), "M0 11H99" in dense, dense.count("<path")) == (0, True, 2)


def test_the_scale_is_that_of_the_zone() -> None:
    """A tick each step by the zone's own clock, days by name; where clocks change is said."""
    stretch = Stretch(start_us=START - HOUR, end_us=START + 3 * HOUR, now_us=START)
    texts = re.compile(r">([^<]+)</text>")
    assert texts.findall(ticks(stretch, HOUR, get_zone("UTC"), ())) == ["23:00", "03-02", "01:00", "02:00"]
    assert texts.findall(ticks(stretch, HOUR, BERLIN, ())) == ["03-02", "01:00", "02:00", "03:00"]
    assert texts.findall(ticks(stretch, HOUR, get_zone("Asia/Kolkata"), ()))[0] == "05:00"


@pytest.mark.parametrize(("day", "hours", "said"), [("2026-03-29", 23, "23"), ("2026-10-25", 25, "25")])
def test_a_day_of_another_length_is_drawn_as_long_as_it_is(day: str, hours: int, said: str) -> None:
    """The days' lines are 23 or 25 hours apart, and the change has a line of its own at its instant."""
    start_us = from_text(f"{day}T00:00:00Z") - 12 * HOUR
    stretch = Stretch(start_us=start_us, end_us=start_us + 3 * DAY, now_us=start_us)
    marks = day_marks(stretch, BERLIN)
    begins = [mark.at_us for mark in marks if not mark.said]
    assert next((after - before) // HOUR for before, after in pairwise(begins)) == hours
    (change,) = [mark for mark in marks if mark.said]
    assert change.at_us == from_text(f"{day}T01:00:00Z")
    assert f"a day of {said} hours" in change.said
    assert 'class="clock"' in across(stretch, marks, (), 3)
    assert "±1 h" in ticks(stretch, 6 * HOUR, BERLIN, marks)


def test_arrows_lead_from_what_ended_to_what_it_made_due() -> None:
    """From lane to lane, only where both are drawn."""
    up = lane_of("up", [done(START + HOUR, HOUR, id="u1")], STRETCH, ())
    cause = '{"after":{"up":"u1","gone":"x"}}'
    down = lane_of("down", [done(START + 3 * HOUR, HOUR, id="d1", trigger="after", cause=cause)], STRETCH, ())
    link = Link(from_lane=0, ended_us=START + 2 * HOUR, to_lane=1, began_us=START + 3 * HOUR)
    assert links_of([up, down]) == [link]
    assert links_of([down]) == []
    assert 'class="arrow" d="M120 17V35H180M175 31L180 35L175 39"' in across(STRETCH, (), [link], 2)


def test_the_load_adds_up() -> None:
    """Means of each column: how many ran, what they took of processors and memory, and what is expected."""
    stretch = Stretch(start_us=START, end_us=START + 4 * HOUR, now_us=START + 2 * HOUR)
    half = done(START + HOUR // 2, HOUR, user_cpu_s=1800.0, system_cpu_s=0.0, max_rss_bytes=1000)
    short = done(START + MINUTE, 6 * MINUTE)
    lanes = [
        lane_of("a", [half, short], stretch, (START + 3 * HOUR,)),
        Lane(job="b", runs=(LaneRun(START, START + HOUR, half),), band=((START, 9),)),
    ]
    load = load_of(lanes, stretch, 4)
    assert load.running == pytest.approx((0.6, 0.5, 0, 0))
    assert load.cores == pytest.approx((0.25, 0.25, 0, 0))
    assert load.memory_bytes == pytest.approx((500, 500, 0, 0))
    assert load.expected == pytest.approx((0, 0, 0, 1.0))  # half of the runs take an hour at most


# -- the page


@pytest.fixture
def root(root: Root) -> Root:
    """Make a chain of two jobs, and a job with more runs than are drawn one by one."""
    for name, text in {"load": 'after = "extract"', "extract": 'every = "6h"', "often": 'every = "30s"'}.items():
        spec = root.job(name, f'command = "true"\n[schedule]\n{text}\n')
        assert spec is not None
        root.loaded(spec)
    root.run("e1", "extract", -60, state="succeeded")
    root.run("l1", "load", -50, state="succeeded", trigger="after", cause='{"after":{"extract":"e1"}}')
    root.ledger(Writes(claims=[often(number) for number in range(2100)]))
    return root


def often(number: int) -> RunRow:
    """Return one of many runs, half a minute apart, of which one failed long ago."""
    at_us = NOW_US - number * 30 * SECOND
    row = RunRow(id=f"o{number}", job="often", slot_us=at_us, slot_last_us=at_us, queued_us=at_us, started_us=at_us)
    row.ended_us, row.state = at_us + SECOND, "failed" if number == 2050 else "succeeded"
    return row


def test_the_page_has_lanes_arrows_band_and_load(site: Served) -> None:
    """One request; a lane of too many runs shows its exceptions all the same."""
    text = site.browser().get("/timeline").text
    assert 'class="arrow"' in text
    assert "after extract" in text
    assert "b-succeeded band" in text
    assert "often: 2100 runs, 1 failed" in text
    assert "Running at once" in text


def test_the_table_has_the_same_range(site: Served) -> None:
    """For those who do not see the drawing."""
    text = site.browser().get("/timeline", params={"view": "table", "q": "load"}).text
    assert 'href="/runs/l1"' in text
    assert "<svg" not in text


def test_the_view_moves_and_the_url_is_the_state(site: Served) -> None:
    """Earlier, later, now, closer and wider are links that keep the rest."""
    client = site.browser()
    query = {"q": "load", "zone": "Europe/Berlin", "lanes": "200", "span": "1 h"}
    text = client.get("/timeline", params=query).text
    kept = "q=load&amp;span=1+h&amp;at="
    earlier = re.findall(r'data-key="ArrowLeft" href="([^"]+)"', text)[0]
    assert kept in earlier
    assert "zone=Europe%2FBerlin&amp;lanes=200" in earlier
    assert 'data-key="t"' not in text
    text = client.get(earlier.replace("&amp;", "&")).text
    assert 'data-key="t" href="/timeline?q=load&amp;span=1+h&amp;zone=Europe%2FBerlin&amp;lanes=200"' in text
    assert "data-live" not in text.partition("<head>")[0]
    assert 'href="/timeline?q=load&amp;span=15+min' in text
    for wrong in ({"zone": "Mars"}, {"at": "noon"}, {"span": "2 d"}, {"lanes": "9"}, {"view": "x"}):
        assert client.get("/timeline", params=wrong).status_code == 422


def test_nothing_of_other_jobs_is_drawn(site: Served) -> None:
    """Neither a lane nor the reason of a run names a job that the glob hides."""
    text = site.token("read", jobs="load").get("/timeline", headers={"Accept": "text/html"}).text
    assert 'href="/runs/l1"' in text
    assert "extract" not in text
    assert "often" not in text


def test_lanes_stand_in_the_order_that_is_chosen(site: Served, root: Root) -> None:
    """By folder and name, or by the next start; links keep the order, and another order is refused."""
    for name, hour in (("a/late", 20), ("b/soon", 13), ("c", 15)):
        spec = root.job(name, f'command = "true"\n[schedule]\ndaily = {hour}:00:00\n')
        assert spec is not None
        root.loaded(spec)
    client = site.browser()

    def lanes(**query: str) -> list[str]:
        return re.findall(r'class="name small"><a href="/jobs/([^"]+)"', client.get("/timeline", params=query).text)

    assert lanes() == ["a/late", "b/soon", "c", "extract", "load", "often"]
    assert lanes(sort="next") == ["often", "b/soon", "c", "extract", "a/late", "load"]
    assert "sort=next" in re.findall(r'data-key="ArrowLeft" href="([^"]+)"', client.get("/timeline?sort=next").text)[0]
    assert client.get("/timeline?sort=took").status_code == 422
