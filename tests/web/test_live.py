"""The page while it is live, hidden, cut off, zoomed, in few colours and without movement, in Chromium."""

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import Page

from tests.support import until
from tests.web.conftest import Site
from tests.web.test_pages import run

pytestmark = pytest.mark.process

WITHOUT_WORKER = "delete self.SharedWorker;"
"""Lets a page open its stream itself, where a test can see it: the worker's is made the same way."""

COUNTING = """
const Source = self.EventSource;
self.opened = []; self.shut = 0;
self.EventSource = class extends Source {
  constructor(url) { super(url); self.opened.push(Date.now()); }
  close() { self.shut += 1; super.close(); }
};
"""
HIDING = """
let hidden = false;
Object.defineProperty(document, "hidden", { get: () => hidden });
self.hide = (yes) => { hidden = yes; document.dispatchEvent(new Event("visibilitychange")); };
"""


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """Return a page that has logged in, whose clock and stream a test has in its hands."""
    found = site.page()
    found.add_init_script(WITHOUT_WORKER + COUNTING + HIDING)
    yield found
    found.context.close()


def live(page: Page, text: str) -> None:
    """Wait until the mark says this."""
    page.locator("#live", has_text=text).wait_for()


def passes(page: Page, milliseconds: int = 1_000) -> bool:
    """Let time pass on the page's clock."""
    page.clock.run_for(milliseconds)
    return True


def test_a_hidden_page_closes_its_stream_and_comes_back(site: Site, page: Page) -> None:
    """After a minute, not before; seen again it opens one and shows what happened meanwhile."""
    page.clock.install()
    page.goto(f"{site.url}/runs")
    live(page, "live")
    page.evaluate("hide(true)")
    page.clock.run_for(59_000)
    assert page.evaluate("shut") == 0
    page.clock.run_for(2_000)
    assert page.evaluate("shut") == 1
    newest = run(site, "tick")
    page.evaluate("hide(false)")
    until(lambda: page.evaluate("opened.length") == 2)
    page.clock.run_for(2_000)
    page.locator(f'a[href="/runs/{newest}"]').wait_for()


def test_a_page_waits_longer_after_each_failure_then_polls(site: Site, page: Page) -> None:
    """The mark counts down, with a random part, so that all tabs do not come at once; the fifth failure polls."""
    page.clock.install()
    page.goto(f"{site.url}/runs")
    live(page, "live")
    page.context.route("**/api/v1/events", lambda route: route.abort())
    page.evaluate("opened.length = 0")
    page.evaluate("dispatchEvent(new Event('pagehide')); dispatchEvent(new Event('pageshow'))")
    live(page, "reconnecting in")
    shown = page.locator("#live").inner_text()
    until(lambda: passes(page, 500) and page.locator("#live").inner_text() not in {shown, "live"})
    until(lambda: passes(page) and page.evaluate("opened.length") >= 5)
    live(page, "polling every 10 s")
    waits = page.evaluate("opened.slice(1).map((at, index) => at - opened[index])")
    assert [round(wait / 1000) >= least for wait, least in zip(waits, (2, 4, 8, 15), strict=True)] == [True] * 4
    assert any(wait % 1000 for wait in waits)
    newest = run(site, "tick")
    until(lambda: passes(page) and page.locator(f'a[href="/runs/{newest}"]').count())
    page.context.unroute("**/api/v1/events")
    until(lambda: passes(page) and page.locator("#live").inner_text() == "live")


def test_an_akjobd_that_has_died_is_said_without_an_event(site: Site, page: Page) -> None:
    """The page looks again after a minute without news, and names what it shows."""
    page.clock.install()
    page.goto(f"{site.url}/system")
    live(page, "live")
    page.clock.run_for(20_000)
    live(page, "live · ")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    until(lambda: passes(page, 10_000) and f"{site.url}/system" in asked)
    down = page.content().replace("<html ", "<html data-down ", 1)
    page.route("**/system", lambda route: route.fulfill(body=down, content_type="text/html"))
    until(lambda: passes(page, 10_000) and "akjobd does not run" in page.locator("#live").inner_text())


def test_a_double_click_runs_once(site: Site) -> None:
    """The button says that it was sent; a second click is not a second run."""
    page = site.page()
    page.goto(f"{site.url}/jobs/greet")
    before = len(site.place.sql("SELECT id FROM runs WHERE job = 'greet'"))
    page.get_by_role("button", name="Run now").dblclick()
    page.wait_for_url("**/runs/*")
    site.newest("greet")
    assert len(site.place.sql("SELECT id FROM runs WHERE job = 'greet'")) == before + 1
    page.context.close()


def test_what_went_wrong_is_said_on_the_page_itself(site: Site) -> None:
    """The sentence and what to do stand in the content, with the way back; they stay until the reader goes on."""
    page = site.page()
    page.goto(f"{site.url}/jobs/tick")
    page.get_by_role("link", name="Pause …").click()
    page.fill("#until", "yesterday")
    page.fill("#reason", "x")
    page.get_by_role("button", name="Pause", exact=True).click()
    main = page.locator("main")
    main.get_by_text("is neither a time nor a duration").wait_for()
    assert "Write 2026-03-29T02:00:00Z, or 2h30m." in main.inner_text()
    assert main.get_by_role("link").first.get_attribute("href") == "/jobs/tick"
    page.context.close()


def test_the_status_region_says_one_change_in_five_seconds(site: Site, page: Page) -> None:
    """However many events come."""
    page.goto(f"{site.url}/runs")
    live(page, "live")
    page.evaluate(
        "self.said = []; new MutationObserver(() => said.push(Date.now()))"
        ".observe(document.getElementById('announce'), { childList: true })"
    )

    def ran() -> bool:
        site.place.wait(run(site, "tick"))
        return len(page.evaluate("said")) > 1

    until(ran)
    said = page.evaluate("said")
    assert all(later - earlier >= 5000 for earlier, later in pairwise(said))


def test_the_focus_stays_over_a_refresh(site: Site) -> None:
    """On a button whose row changes, and in a box that is ticked."""
    run(site, "tick")
    site.newest("tick")
    page = site.page()
    page.goto(f"{site.url}/?q=tick")
    live(page, "live")
    row = page.locator("tbody tr", has_text="tick")
    row.locator("input.tick").check()
    row.get_by_role("button").focus()
    cell = row.locator("td.when a").first
    before = cell.get_attribute("href")
    run(site, "tick")
    until(lambda: cell.get_attribute("href") != before)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Run tick now"
    assert row.locator("input.tick").is_checked()
    page.context.close()


PATHS = ("/", "/jobs/tick", "/runs", "/timeline", "/broken", "/system", "/plan", "/messages", "/backfills", "/tv")


def test_at_400_percent_nothing_is_wider_than_the_window(site: Site) -> None:
    """1280 px at 400 % are 320 px of the page: it scrolls in one direction, tables in their own boxes."""
    page = site.page(width=320)
    for path in PATHS:
        page.goto(site.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
    page.context.close()


def test_nothing_moves_for_those_who_want_it_so(site: Site) -> None:
    """No animation and no transition on any page."""
    page = site.page()
    page.emulate_media(reduced_motion="reduce")
    for path in PATHS:
        page.goto(site.url + path)
        moving = page.evaluate(
            "[...document.querySelectorAll('*')].filter((one) => { const style = getComputedStyle(one);"
            " return style.animationName !== 'none' || parseFloat(style.transitionDuration) > 0; }).length"
        )
        assert moving == 0, path
    page.context.close()


def test_shapes_are_drawn_where_the_system_has_its_own_colours(site: Site) -> None:
    """Bars of strips in the colour of text, since their own are taken away; the focus has a ring."""
    site.place.wait(run(site, "tick"))
    page = site.page()
    page.emulate_media(forced_colors="active")
    page.goto(f"{site.url}/?q=tick")
    bar = page.locator("svg.strip path").first
    colours = bar.evaluate("(one) => [getComputedStyle(one).fill, getComputedStyle(document.body).color]")
    assert colours[0] == colours[1], json.dumps(colours)
    page.locator("a.slots").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator("a.slots").evaluate("(one) => getComputedStyle(one).outlineStyle") == "solid"
    page.context.close()
