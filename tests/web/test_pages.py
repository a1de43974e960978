"""Every page and action in Chromium: with and without JavaScript, for eyes and readers, against hostile text."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page

from akjob.web.program import now_us
from akjob.web.store import WebStore
from tests.support import until
from tests.web.conftest import XSS, Site

pytestmark = pytest.mark.process

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
PAGES = ("/", "/jobs/reports/nightly", "/jobs/broken", "/jobs/greet", "/definition/greet", "/?folder=",
         "/?folder=reports", "/runs", "/timeline", "/plan", "/why?job=tick",
         "/plan?simulate=1&down=1h..2h&against=.",
         "/backfills", "/bulk?do=pause&job=tick&job=greet",
         "/broken", "/messages", "/system", "/tv", "/?state=failed", "/?q=nothing-fits")  # fmt: skip
MOST_BYTES = 100 * 1024


@pytest.fixture(scope="module", autouse=True)
def ran(site: Site) -> dict[str, str]:
    """Run each job once, so that there is something to see; return the runs."""
    page = site.page()
    for job in ("reports/nightly", "tick", "hostile"):
        page.goto(f"{site.url}/jobs/{job}")
        page.get_by_role("button", name="Run now").click()
        page.wait_for_url("**/runs/*")
    page.context.close()
    return {job: site.newest(job) for job in ("reports/nightly", "tick", "hostile")}


def violations(page: Page) -> list[str]:
    """Return what axe finds, by the rules of WCAG 2.2 AA."""
    found: dict[str, Any] = json.loads(
        page.evaluate(
            "async (source) => { const script = new Function(source); script(); "
            "const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']; "
            "return JSON.stringify(await axe.run(document, { runOnly: tags })); }",
            AXE,
        )
    )
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found["violations"]]


@pytest.fixture(scope="module")
def reader(site: Site) -> Iterator[Page]:
    """Return a page that axe may be loaded into: the policy of the page would forbid it."""
    logged_in = site.page()
    context = site.browser.new_context(bypass_csp=True, storage_state=logged_in.context.storage_state())
    logged_in.context.close()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_no_page_violates_wcag(site: Site, reader: Page, path: str) -> None:
    """WCAG 2.2 AA by axe-core, in both themes."""
    reader.goto(site.url + path)
    reader.emulate_media(color_scheme="light")
    assert violations(reader) == []
    reader.emulate_media(color_scheme="dark")
    assert violations(reader) == []


@pytest.mark.parametrize("path", PAGES)
def test_each_page_is_complete_without_javascript(site: Site, path: str) -> None:
    """One heading, the content, and small: a page is its HTML."""
    page = site.page(javascript=False)
    answer = page.goto(site.url + path)
    assert answer is not None
    assert answer.status == 200
    assert len(answer.body()) <= MOST_BYTES
    assert page.locator("h1").count() == 1
    assert page.locator("main").inner_text().strip()
    page.context.close()


def test_a_run_is_started_paused_and_resumed_without_javascript(site: Site) -> None:
    """Forms lead back to pages; who did it, and why, is noted."""
    page = site.page(javascript=False)
    page.goto(f"{site.url}/jobs/tick")
    page.get_by_role("link", name="Pause …").click()
    page.fill("#reason", "the database moves")
    page.get_by_role("button", name="Pause", exact=True).click()
    assert "Paused until it is resumed, by ada: the database moves" in page.locator("main").inner_text()
    page.get_by_role("button", name="Resume").click()
    assert "Paused" not in page.locator("main").inner_text()
    page.goto(f"{site.url}/system")
    audit = page.get_by_role("region", name="Audit").inner_text()
    assert "job.pause" in audit
    assert "the database moves" in audit
    page.context.close()


def test_what_runs_after_what_is_on_the_job_and_on_the_timeline(site: Site) -> None:
    """Upstream and downstream with links, and each such run says after which job it came."""
    site.place.define(extract='command = "true"\n', load='command = "true"\n[schedule]\nafter = "extract"\n')
    site.place.wait(site.place.run("extract"))
    site.newest("load")
    page = site.page(javascript=False)
    page.goto(f"{site.url}/jobs/extract")
    page.locator("dt:text-is('Followed by') + dd a").click()
    page.locator("dt:text-is('Runs after') + dd a", has_text="extract").wait_for()
    page.goto(f"{site.url}/timeline?q=load")
    assert page.locator(".lanes .name").inner_text() == "load after extract"
    assert "after extract" in page.locator(".timeline svg title").all_text_contents()[-1]
    page.context.close()


def test_a_backfill_is_seen_before_it_begins_and_can_be_stopped(site: Site) -> None:
    """Without JavaScript: the slots, then the button; a form that is sent twice begins one; a wrong time is said."""
    site.place.define(hourly='command = "sleep 60"\n[schedule]\nevery = "1h"\n[run]\nkill_after = "1s"\n')
    page = site.page(javascript=False)
    page.goto(f"{site.url}/backfills?job=hourly&from=yesterday&until=0s")
    assert "'yesterday' is neither a time nor a duration" in page.locator("main").inner_text()
    page.goto(f"{site.url}/backfills?job=hourly")
    page.fill("#from", "2026-03-01T00:00")
    page.fill("#until", "2026-03-01T05:00")
    page.get_by_role("button", name="Show the slots").click()
    assert page.locator("h2").first.inner_text() == "5 slots of hourly"
    assert "2026-03-01 04:00:00 UTC" in page.locator("main").inner_text()
    names = ("key", "job", "from", "until", "only", "parallel", "order")
    sent: dict[str, str | float | bool] = {
        name: page.locator(f"form[action='/do/backfill'] [name={name}]").input_value() for name in names
    }
    page.get_by_role("button", name="Begin the backfill").click()
    again = page.request.post(f"{site.url}/do/backfill", form=sent, headers={"origin": site.url})
    assert again.ok
    page.goto(f"{site.url}/backfills")
    assert page.get_by_role("region", name="Backfills").locator("tbody tr").count() == 1
    page.get_by_role("button", name="Stop").click()
    assert page.get_by_role("region", name="Backfills").locator("tbody td").nth(7).inner_text() == "stopped"
    site.place.ask("stop", target="hourly")
    page.context.close()


def test_several_jobs_are_paused_at_once_without_javascript(site: Site) -> None:
    """Ticked, shown with what runs, done for one reason; a resume of all that fit brings them back."""
    page = site.page(javascript=False)
    page.goto(site.url)
    for job in ("tick", "greet"):
        page.get_by_label(f"Tick {job}", exact=True).check()
    page.get_by_role("button", name="Pause …").click()
    assert page.locator("h1").inner_text() == "Pause 2 jobs"
    assert "drops 0 slots of 0 jobs" in page.locator("#dropped").inner_text()
    page.fill("#until", "2h")
    page.get_by_role("button", name="Count the slots").click()
    assert page.locator("#dropped").inner_text().startswith("Until 2h the pause drops 0 slots")
    page.fill("#until", "")
    page.fill("#reason", "the database moves")
    page.get_by_role("button", name="Pause", exact=True).click()
    page.goto(f"{site.url}/?state=paused")
    assert [name.inner_text() for name in page.locator("tbody th").all()] == ["greet", "tick"]
    assert "the database moves" in page.locator("tbody").inner_text()
    page.get_by_label("all 2 that match").check()
    page.get_by_role("button", name="Resume …").click()
    page.fill("#reason", "it has moved")
    page.get_by_role("button", name="Resume", exact=True).click()
    assert page.goto(f"{site.url}/?state=paused") is not None
    assert "No job fits" in page.locator("main").inner_text()
    page.context.close()


def test_a_job_runs_with_the_arguments_of_the_form(site: Site) -> None:
    """The form offers what the file gives; a value that is not TOML is answered in words."""
    page = site.page()
    page.goto(f"{site.url}/jobs/greet")
    page.locator("#with-arguments summary").click()
    page.fill("#arg-1", '"+"')
    page.locator("#with-arguments").get_by_role("button", name="Run").click()
    page.wait_for_url("**/runs/*")
    until(lambda: "hello" in page.goto(page.url).text())  # type: ignore[union-attr] # a page has an answer
    page.goto(f"{site.url}/jobs/greet")
    page.locator("#with-arguments summary").click()
    page.fill("#arg-1", "not toml")
    page.locator("#with-arguments").get_by_role("button", name="Run").click()
    assert "is not a value of TOML" in page.locator("main").inner_text()
    page.context.close()


def test_a_running_job_is_stopped_and_the_page_follows_by_itself(site: Site) -> None:
    """Live: the state changes on the screen without a reload."""
    page = site.page()
    page.goto(f"{site.url}/jobs/sleeper")
    page.get_by_role("button", name="Run now").click()
    page.wait_for_url("**/runs/*")
    page.locator("h1 .s-running").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator("h1 .s-cancelled").wait_for()
    page.context.close()


def test_a_failed_run_says_why_first(site: Site, ran: dict[str, str]) -> None:
    """The sentence, the output with its streams, the steps."""
    page = site.page()
    page.goto(f"{site.url}/runs/{ran['reports/nightly']}")
    text = page.locator("main").inner_text()
    assert "exit code 3" in text
    assert "What changed since the last success" in text
    assert page.locator(".log .stderr").inner_text().endswith("oops")
    page.context.close()


def test_colours_are_classes_and_copying_gives_plain_text(site: Site, ran: dict[str, str]) -> None:
    """No escape sequence reaches the page."""
    page = site.page()
    page.goto(f"{site.url}/runs/{ran['tick']}")
    assert page.locator(".log .f1").inner_text() == "red"
    assert "\x1b" not in page.locator(".log").inner_text()
    page.context.close()


def test_what_is_copied_from_the_log_is_what_was_printed(site: Site, ran: dict[str, str]) -> None:
    """Numbers and times of the lines are not part of a selection."""
    page = site.page()
    page.goto(f"{site.url}/runs/{ran['reports/nightly']}")
    copied = page.evaluate(
        "() => { const range = document.createRange(); range.selectNodeContents(document.querySelector('.log'));"
        " getSelection().addRange(range); return getSelection().toString(); }"
    )
    assert [line for line in copied.splitlines() if line][1:3] == ["start", "oops"]
    assert page.locator("#log-times").is_checked()
    page.locator("#log-times").uncheck()
    assert page.evaluate("getComputedStyle(document.querySelector('.log li a'), '::after').display") == "none"
    page.context.close()


def test_the_timeline_is_moved_by_keys(site: Site) -> None:
    """With the focus in it: earlier, closer, and back to now; the focus stays in it. Elsewhere the keys are others."""
    page = site.page()
    page.goto(f"{site.url}/timeline")
    page.locator("#timeline").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**/timeline?at=*")
    assert page.evaluate("document.activeElement.id") == "timeline"
    page.keyboard.press("+")
    page.wait_for_url("**/timeline?span=6+h&at=*")
    page.keyboard.press("t")
    page.wait_for_url("**/timeline?span=6+h")
    page.context.close()


def test_lines_that_come_are_counted_while_others_are_read(site: Site) -> None:
    """A log that was scrolled up stays where it is, says how many lines are new, and goes to them on a click."""
    place, page = site.place, site.page(width=1000)
    place.define(talks='command = "seq 300; while [ ! -e go ]; do sleep 0.05; done; seq 7; sleep 60"\n')
    started = run(site, "talks")
    page.goto(f"{site.url}/runs/{started}")
    page.locator(".log li", has_text="300").first.wait_for()
    page.locator("#live", has_text="live").wait_for()
    page.evaluate("document.querySelector('.log').scrollTop = 0")
    first = page.locator(".log li").first.inner_text()
    (place.paths.root / "go").touch()
    page.locator("#log-new", has_text="7 new lines").wait_for()
    assert page.locator(".log li").first.inner_text() == first
    page.locator("#log-new").click()
    until(lambda: page.locator(".log li").last.inner_text().endswith("7"))
    place.ask("stop", target="talks")
    page.context.close()


def test_all_of_the_output_is_copied_as_plain_text(site: Site, ran: dict[str, str]) -> None:
    """Also what is not on the page, without colours; without JavaScript there is no such button."""
    page = site.page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site.url}/runs/{ran['tick']}")
    page.get_by_role("button", name="Copy the output").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "red\n"
    page.context.close()
    page = site.page(javascript=False)
    page.goto(f"{site.url}/runs/{ran['tick']}")
    assert not page.get_by_role("button", name="Copy the output").is_visible()
    page.context.close()


def test_a_broken_file_is_shown_with_its_caret(site: Site) -> None:
    """Line, caret, what to write."""
    page = site.page()
    page.goto(f"{site.url}/broken")
    text = page.locator("main").inner_text()
    assert "jobs.d/broken.toml:2:1" in text
    assert "evry = 1" in text
    assert "^" in text
    page.context.close()


def test_hostile_text_stays_text(site: Site, ran: dict[str, str]) -> None:
    """Names, tags, owners and output that try to be code: no dialog, no report of the policy, all of it shown."""
    page = site.page()
    dialogs: list[str] = []
    reports: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.on("console", lambda message: reports.append(message.text))
    for path in (*PAGES, "/jobs/hostile", f"/runs/{ran['hostile']}", f"/?q={XSS[1]}", f"/runs?job={XSS[0]}"):
        page.goto(site.url + path)
        page.locator("main").wait_for()
    page.goto(f"{site.url}/runs/{ran['hostile']}")
    assert XSS[0] in page.locator(".log").inner_text()
    assert dialogs == []
    assert [report for report in reports if "Content Security" in report] == []
    page.context.close()


def test_the_keyboard_reaches_what_the_mouse_does(site: Site) -> None:
    """``/`` searches, ``g r`` goes to the runs, ``?`` lists the keys."""
    page = site.page()
    page.goto(site.url)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    page.locator("#keys").wait_for(state="hidden")
    page.evaluate("document.activeElement.blur()")  # the closed dialog may give the focus back to the search
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_url("**/runs")
    page.context.close()


def test_a_job_is_searched_from_any_page(site: Site) -> None:
    """The search of the page comes first where it has one; else that of the top bar, which works without JavaScript."""
    page = site.page()
    page.goto(site.url + "/system")
    page.locator("#live", has_text="live").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("sleeper")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=sleeper")
    assert page.locator("main tbody tr").count() == 1
    assert page.locator("input[type=search]").count() == 1
    page.context.close()
    plain = site.page(javascript=False)
    plain.goto(site.url + "/jobs/sleeper")
    plain.get_by_role("searchbox", name="Search jobs").fill("sleeper")
    plain.keyboard.press("Enter")
    plain.wait_for_url("**/?q=sleeper")
    plain.context.close()


def test_the_first_load_is_small(site: Site) -> None:
    """Four requests at the most, 20 KiB over the wire; what a run that ends meanwhile has it fetch is another."""
    page = site.page()
    requests: list[tuple[str, str]] = []
    page.on("request", lambda request: requests.append((request.resource_type, request.url)))
    page.goto(site.url, wait_until="load")
    first = [url for kind, url in requests if url.startswith("http") and kind not in {"fetch", "xhr", "eventsource"}]
    assert len(first) <= 4
    sizes = [int(page.request.get(url).headers["content-length"]) for url in first]  # as they are packed
    assert 10_000 < sum(sizes) <= 20 * 1024, sizes
    page.context.close()


def test_a_phone_shows_cards_and_does_not_scroll_sideways(site: Site) -> None:
    """At 390 px nothing is wider than the screen."""
    page = site.page(width=390)
    for path in PAGES:
        page.goto(site.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.context.close()


def run(site: Site, job: str) -> str:
    """Run a job over the API; return the run."""
    with WebStore.open(site.place.paths.web_db) as store:
        token = store.create_token(f"t-{token_hex(4)}", "operate", None, None, now_us()).token
    answer = httpx.post(f"{site.url}/api/v1/runs", json={"job": job}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def test_a_page_follows_while_things_change_all_the_time(site: Site) -> None:
    """Events that come one after the other do not put the refresh off, and the focus stays where it is."""
    page = site.page()
    page.goto(f"{site.url}/?q=tick")
    page.locator("#live", has_text="live").wait_for()
    row = page.locator("tbody tr", has_text="tick")
    row.get_by_role("link", name="tick", exact=True).focus()
    before = row.locator("td.when a").first.get_attribute("href")
    until(lambda: run(site, "tick") and row.locator("td.when a").first.get_attribute("href") != before)
    assert page.evaluate("document.activeElement.textContent") == "tick"
    page.context.close()


_NOTED = """
self.waits = []; self.begun = [];
const later = self.setTimeout, ask = self.fetch;
self.setTimeout = (call, wait, ...rest) => { waits.push(wait); return later(call, wait, ...rest); };
self.fetch = (...given) => { begun.push(performance.now()); return ask(...given); };
"""


def test_a_page_is_fetched_at_once_and_then_rests(site: Site) -> None:
    """What changes is fetched without a wait where nothing was lately; and never more than four times a second."""
    page = site.page()
    page.add_init_script(_NOTED)
    page.goto(f"{site.url}/runs")
    page.locator("#live", has_text="live").wait_for()
    until(lambda: page.evaluate("begun.length && performance.now() - begun.at(-1) > 2000"))
    page.evaluate("waits.length = 0")
    first = run(site, "tick")
    page.locator(f'a[href="/runs/{first}"]').wait_for()
    assert page.evaluate("waits[0]") == 0
    for _ in range(4):
        newest = run(site, "tick")
        page.locator(f'a[href="/runs/{newest}"]').wait_for()
    begun = page.evaluate("begun")
    assert len(begun) >= 4
    assert min(after - before for before, after in pairwise(begun)) >= 249
    page.context.close()


def test_many_tabs_share_one_stream(site: Site) -> None:
    """A browser opens six connections to a host at the most: eight tabs are live all the same."""
    first = site.page()
    tabs = [first, *(first.context.new_page() for _ in range(7))]
    for tab in tabs:
        tab.goto(f"{site.url}/runs")
    for tab in tabs:
        tab.locator("#live", has_text="live").wait_for()
    newest = run(site, "tick")
    for tab in tabs:
        tab.bring_to_front()
        tab.locator(f'a[href="/runs/{newest}"]').wait_for()
    first.context.close()


def test_the_arrows_move_in_a_strip_and_say_each_slot(site: Site) -> None:
    """One tab stop a strip; what is said is a live region; Enter opens the run, and so does a click on its bar."""
    site.place.wait(run(site, "tick"))
    page = site.page()
    page.goto(f"{site.url}/?q=tick")
    strip = page.locator("tbody a.slots")
    assert strip.count() == 1
    strip.focus()
    page.keyboard.press("ArrowLeft")
    tip = page.locator("#tip[role=status][aria-live=polite]")
    tip.get_by_text("UTC succeeded").wait_for()
    newest = tip.inner_text()
    page.keyboard.press("ArrowLeft")
    until(lambda: tip.inner_text() not in {newest, ""})
    page.keyboard.press("ArrowRight")
    until(lambda: tip.inner_text() == newest)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/runs/{site.newest('tick')}")
    page.goto(f"{site.url}/jobs/tick")
    box = page.locator("a.slots svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)
    tip.get_by_text("UTC succeeded").wait_for()
    page.mouse.click(box["x"] + 2, box["y"] + box["height"] / 2)
    page.wait_for_url("**/runs/*")
    page.context.close()


def test_the_list_follows_what_is_typed(site: Site, ran: dict[str, str]) -> None:
    """Names and words are suggested from the index, which is fetched when it is first needed; the URL is the state."""
    assert ran["reports/nightly"]  # it failed
    page = site.page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.url)
    assert f"{site.url}/names" not in asked
    search = page.get_by_role("combobox", name="Search jobs")
    search.press_sequentially("state:failed nig")
    until(lambda: page.locator("tbody th").all_inner_texts()[0].startswith("reports/nightly"))
    assert page.locator("tbody tr").count() == 1
    assert asked.count(f"{site.url}/names") == 1
    offered = page.locator("#suggested option").evaluate_all("options => options.map(one => one.value)")
    assert offered == ["state:failed reports/nightly"]
    assert page.url == f"{site.url}/?q=state%3Afailed+nig"
    assert page.evaluate("document.activeElement.id") == "q"
    page.context.close()


def test_rows_stay_where_they_are_until_another_order_is_taken(site: Site) -> None:
    """By the last run: a run changes the row in place, and its new place waits for a click."""
    site.place.define(**{"order-one": 'command = "true"\n', "order-two": 'command = "true"\n'})
    for job in ("order-one", "order-two"):
        site.place.wait(run(site, job))
    page = site.page()
    page.goto(f"{site.url}/?sort=last&q=order-")
    page.locator("#live", has_text="live").wait_for()
    names = page.locator("tbody th > a:first-child")
    before = names.all_inner_texts()
    last = before[-1]
    assert last != before[0]
    cell = page.locator("tbody tr").last.locator("td.when a").first
    old = cell.get_attribute("href")
    run(site, last)
    until(lambda: cell.get_attribute("href") != old)
    assert names.all_inner_texts() == before
    page.get_by_role("button", name="Apply the new order").click()
    until(lambda: names.all_inner_texts()[0] == last)
    assert not page.locator("#apply").is_visible()
    page.context.close()


def test_shift_takes_all_rows_between_and_keys_lead_to_the_buttons(site: Site) -> None:
    """With the mouse and with the keys; the number of ticked rows is said; p ticks the row where none is."""
    page = site.page()
    page.goto(f"{site.url}/?q=e")
    boxes = page.locator("input.tick")
    boxes.first.click()
    boxes.last.click(modifiers=["Shift"])
    count = boxes.count()
    assert count > 2
    assert page.locator("input.tick:checked").count() == count
    assert page.locator("#ticked").inner_text() == f"With the {count} ticked"
    page.goto(f"{site.url}/?q=tick")
    page.locator("tbody th a").first.focus()
    page.keyboard.press("p")
    assert page.evaluate("document.activeElement.textContent") == "Pause …"
    assert page.locator("input.tick:checked").count() == 1
    page.locator("tbody th a").first.focus()
    page.keyboard.press("r")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Run tick now"
    page.context.close()


def test_a_phone_has_the_buttons_of_a_job_at_the_bottom(site: Site) -> None:
    """Run and Pause, large enough for a finger, also where the page is long."""
    page = site.page(width=390)
    page.goto(f"{site.url}/jobs/tick")
    for name in ("Run now", "Pause …"):
        box = page.locator(".actions").get_by_text(name, exact=True).bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert 900 - 80 < box["y"] + box["height"] <= 900
    page.locator(".actions").get_by_text("Pause …").click()
    assert page.evaluate("document.activeElement.id") == "until"
    page.context.close()


def test_a_stretch_of_the_log_is_chosen_over_pages_and_copied(site: Site) -> None:
    """A click on a number, then with Shift on one of another page; the button and the browser's own copy give all."""
    site.place.define(lines='command = "seq 1000"\n')
    site.place.wait(started := run(site, "lines"))
    page = site.page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site.url}/runs/{started}?from=11")
    page.locator("#L11 > a").click()
    page.goto(f"{site.url}/runs/{started}?from=601")
    page.locator("#L611 > a").click(modifiers=["Shift"])
    assert page.url.endswith("#L11-L611")
    assert page.locator(".log li.chosen").count() == 11
    page.get_by_role("button", name="Copy lines 11 to 611").click()
    page.get_by_role("button", name="Copied").wait_for()
    expected = "".join(f"{number}\n" for number in range(10, 611))
    assert page.evaluate("navigator.clipboard.readText()") == expected
    page.evaluate("document.activeElement.blur(); navigator.clipboard.writeText('')")
    with page.expect_response(page.url.partition("#")[0]):  # the page fetches itself again
        page.keyboard.press("Space")
        page.keyboard.press("Space")
    page.locator("#live", has_text="live").wait_for()
    assert page.locator("#log-copy").inner_text() == "Copied"
    page.keyboard.press("Control+c")
    until(lambda: page.evaluate("navigator.clipboard.readText()") == expected)
    page.goto("about:blank")
    page.goto(f"{site.url}/runs/{started}?from=1#L11-L611")
    assert page.locator(".log li.chosen").count() == 190
    page.context.close()


def test_times_are_shown_in_any_zone_and_copied_to_the_microsecond(site: Site, ran: dict[str, str]) -> None:
    """By the switch and by z, with the zone beside each; the choice stays; a copied instant is exact, in UTC."""
    page = site.page()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{site.url}/jobs/tick")
    time = page.locator("tbody td.when time").last
    said, exact = time.inner_text(), time.get_attribute("datetime") or ""
    assert said.endswith(" UTC")
    page.locator("#zone").focus()
    page.locator("#zone").select_option("Asia/Tokyo")
    until(lambda: time.inner_text() != said)
    assert time.inner_text()[:13] != said[:13]
    assert time.inner_text().split()[-1] in {"GMT+9", "UTC+9", "JST"}
    page.goto(f"{site.url}/runs")
    assert page.locator("#zone").input_value() == "Asia/Tokyo"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("z")
    until(lambda: page.locator("#zone").input_value() == "server")
    page.goto(f"{site.url}/jobs/tick")
    assert time.inner_text() == said
    time.evaluate("one => getSelection().selectAllChildren(one)")
    page.keyboard.press("Control+c")
    until(lambda: page.evaluate("navigator.clipboard.readText()") == exact)
    assert len(exact) == len("2026-03-28T12:00:00.000000Z")
    assert ran
    page.context.close()
