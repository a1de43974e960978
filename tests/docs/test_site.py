"""The site of the pages: all of them, whose links lead somewhere, and which loads nothing from elsewhere."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import sync_playwright

from tests.docs.blocks import ROOT
from tests.web.conftest import ARGUMENTS, CHROMIUM

pytestmark = pytest.mark.process
DOCS = ROOT / "docs"


class Page(HTMLParser):
    """What a page of the site loads and links to."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to."""
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.ids.add(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in {"canonical", "prev", "next"} and "href" in values:
            self.loads.append(values["href"])
        elif "src" in values:
            self.loads.append(values["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """Build the site from docs/, with no warning; return its pages."""
    out = tmp_path_factory.mktemp("site")
    config = (ROOT / "zensical.toml").read_text()
    (out / "zensical.toml").write_text(config.replace("build/site", "site"))
    shutil.copytree(DOCS, out / "docs")
    argv = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(argv, cwd=out, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = {}
    for file in sorted((out / "site").rglob("*.html")):
        page = Page()
        page.feed(file.read_text(encoding="utf-8"))
        found[file] = page
    return found


def relative(targets: list[str]) -> Iterator[str]:
    """Yield what is not another host's."""
    yield from (target for target in targets if not urlsplit(target).scheme and not target.startswith("//"))


def test_the_site_has_every_page(site: dict[Path, Page]) -> None:
    """One for each Markdown file, and its own for what is not there."""
    assert len(site) == len(list(DOCS.rglob("*.md"))) + 1


def test_the_site_loads_nothing_from_elsewhere(site: dict[Path, Page]) -> None:
    """Fonts, scripts, style sheets and pictures are its own."""
    for file, page in site.items():
        if file.name == "404.html":  # asked for at any depth, so its addresses begin at the site's top
            continue
        assert list(relative(page.loads)) == page.loads, file
        assert [one for one in page.loads if not (file.parent / unquote(urlsplit(one).path)).exists()] == [], file
    (top,) = {file.parent for file in site if file.name == "404.html"}
    for sheet in top.rglob("*.css"):
        assert re.findall(r"url\(\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")) == [], sheet


def test_the_links_of_the_site_lead_somewhere(site: dict[Path, Page]) -> None:
    """Also to the headings."""
    wrong = []
    for file, page in site.items():
        if file.name == "404.html":
            continue
        for target in relative(page.links):
            parts = urlsplit(target)
            there = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            there = there / "index.html" if there.is_dir() else there
            known = site.get(there)
            if not there.exists() or (parts.fragment and known is not None and parts.fragment not in known.ids):
                wrong.append(f"{file.name}: {target}")
    assert wrong == []


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder; yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("over", ["http", "file"])
def test_a_browser_asks_nobody_else(over: str, site: dict[Path, Page]) -> None:
    """Neither when a page is opened nor while its search is used; as files of a folder it is read without a search."""
    (top,) = {file.parent for file in site if file.name == "404.html"}
    asked: list[str] = []
    with served(top) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        base = url if over == "http" else f"file://{top}"
        page.goto(f"{base}/reference/job-file.html")
        assert page.locator("h3", has_text="run.timeout").count() == 1
        page.keyboard.press("Control+k")
        if over == "http":
            page.keyboard.type("again_after")
            page.get_by_text("schedule.again_after").last.wait_for()
        browser.close()
    assert asked
    assert [one for one in asked if not one.startswith((base, "blob:", "data:"))] == []
