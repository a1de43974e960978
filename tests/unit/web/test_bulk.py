"""Several jobs at once."""

import re
from typing import Any

import pytest

from akjob.control.requests import Done, PauseJob, Refused, Request
from akjob.instants import MINUTE
from akjob.web.store import WebStore
from tests.unit.cli.root import NOW_US, Root
from tests.unit.web.serving import Served

FORM = {"do": "pause", "names": "a b", "count": "2", "reason": "x", "key": "of-the-page"}


@pytest.fixture
def root(root: Root) -> Root:
    """Make two jobs, another's, and a broken one."""
    for name in ("a", "b", "theirs/c"):
        spec = root.job(name, 'command = "true"\n')
        assert spec is not None
        root.loaded(spec)
    root.job("broken", "command = 1\n")
    return root


def test_each_job_is_asked_once_and_the_audit_has_one_row(root: Root, site: Served) -> None:
    """Sent twice, done once."""
    asked: list[Request[Any]] = []

    def answer(request: Request[Any]) -> Done:
        asked.append(request)
        return Done()

    client = site.browser()
    with root.akjobd(answer):
        found = [client.post("/do/bulk", data=FORM | {"until": "2h"}) for _ in range(2)]
    assert [(one.status_code, one.headers["location"]) for one in found] == [(303, "/")] * 2
    assert [(one.job, one.until) for one in asked if isinstance(one, PauseJob)] == [
        (name, "2026-03-28T14:00:00.000000Z") for name in ("a", "b")
    ]
    with WebStore.open(root.paths.web_db) as store:
        rows = store.audit_rows(10)
    assert [(row.action, row.target, row.reason, row.status) for row in rows] == [
        ("jobs.pause", "2 jobs: a, b", "x", 303)
    ]


def test_what_is_refused_is_named_and_the_others_are_done(root: Root, site: Served) -> None:
    """The problem says how many, and the first of them."""
    asked: list[str] = []

    def answer(request: Request[Any]) -> Done | Refused:
        assert isinstance(request, PauseJob)
        asked.append(request.job)
        return Refused(message="no", hint="x") if request.job == "a" else Done()

    with root.akjobd(answer):
        found = site.browser().post("/do/bulk", data=FORM)
    assert asked == ["a", "b"]
    assert (found.status_code, "1 job of 2 refused, the others are done: a: no" in found.text) == (409, True)


def test_only_what_may_be_known_and_was_shown_is_taken(site: Served) -> None:
    """All that fit are those of the principal; a number that is not the one of the page is refused."""
    mine = site.token("operate", jobs="*")
    assert "<h1>Pause 2 jobs</h1>" in mine.get("/bulk", params={"do": "pause", "all": "1"}).text
    assert "<h1>Pause 0 jobs</h1>" in mine.get("/bulk", params={"do": "pause", "job": "theirs/c"}).text
    assert "<h1>Pause 3 jobs</h1>" in site.browser().get("/bulk", params={"do": "pause", "all": "1"}).text
    found = site.browser().post("/do/bulk", data=FORM | {"count": "3"})
    assert (found.status_code, "it is 2 jobs now, not 3" in found.text) == (409, True)
    for wrong in ({"reason": " "}, {"do": "delete"}, {"until": "yesterday"}):
        assert site.browser().post("/do/bulk", data=FORM | wrong).status_code == 422, wrong
    assert site.browser().get("/bulk", params={"do": "pause"}).status_code == 422


def test_a_pause_says_which_slots_it_drops_and_what_runs(root: Root, site: Served) -> None:
    """Counted by the scheduler until the end of the pause, or for a day; what is paused or disabled already is not."""
    for name, text in (("hourly", 'every = "1h"'), ("daily", "daily = 06:00:00"), ("off", 'every = "1m"')):
        off = "enabled = false\n" if name == "off" else ""
        spec = root.job(name, f'command = "true"\n{off}[schedule]\n{text}\n')
        assert spec is not None
        root.loaded(spec)
    root.run("01m8running", "hourly", -5, state="running", started_us=NOW_US - 5 * MINUTE)
    client = site.browser()

    def asked(**query: str) -> str:
        text = client.get("/bulk", params={"do": "pause", "names": "hourly daily off", **query}).text
        return " ".join(re.sub(r"<[^>]+>", "", text.partition('id="dropped">')[2].partition("</p>")[0]).split())

    assert asked(until="3h").startswith("Until 3h the pause drops 3 slots of 1 job, first hourly 2026-03-28 12:00:00")
    assert asked().startswith("In the next 24 hours the pause drops 25 slots of 2 jobs")
    text = client.get("/bulk", params={"do": "pause", "job": "hourly"}).text
    assert "1 run of them is under way, and goes on" in text
    assert "/runs/01m8running" in text
