"""akjob-web dies under an open page, in Chromium. Alone in its file: what is started again belongs to this test."""

from pathlib import Path

import pytest

from tests.web.conftest import CHROMIUM, jobs, served
from tests.web.test_pages import run

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not there: apt-get install chromium"),
]


def test_a_page_comes_back_after_akjob_web_was_started_again(tmp_path: Path) -> None:
    """By itself, with the stream that all tabs share, and it shows what happens then."""
    with served(tmp_path, jobs) as site:
        page = site.page()
        page.goto(f"{site.url}/runs")
        mark = page.locator("#live")
        mark.get_by_text("live").wait_for()
        site.place.kill("akjob-web")
        mark.get_by_text("reconnecting in").wait_for()
        mark.get_by_text("live").wait_for()
        newest = run(site, "tick")
        page.locator(f'a[href="/runs/{newest}"]').wait_for()
        page.context.close()
