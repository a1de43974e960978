"""A root with akjobd, the collector and akjob-web, and Debian's Chromium in front of it."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from akjob.ledger import open_reader
from akjob.web.program import now_us
from akjob.web.store import WebStore
from tests.process.test_web_actions import free_port
from tests.roots import Place
from tests.support import until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip

XSS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "</textarea><svg onload=alert(1)>",
    "{{7*7}}${7*7}",
    "\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07",
)


class Site:
    """What is served, and the browser that looks at it."""

    def __init__(self, place: Place, port: int, browser: Browser) -> None:
        self.place = place
        self.url = f"http://127.0.0.1:{port}"
        self.browser = browser

    def page(self, *, javascript: bool = True, width: int = 1400, theme: str = "light") -> Page:
        """Return a page that has logged in."""
        context = self.browser.new_context(
            java_script_enabled=javascript,
            viewport={"width": width, "height": 900},
            color_scheme=theme,  # type: ignore[arg-type] # light or dark
        )
        with WebStore.open(self.place.paths.web_db) as store:
            code = store.create_code("ada", now_us())
        page = context.new_page()
        page.goto(f"{self.url}/login?code={code}")
        return page

    def newest(self, job: str) -> str:
        """Return the newest run of a job that has ended."""
        reader = open_reader(self.place.paths.ledger_url)
        return until(lambda: next((row["id"] for row in reader.history(job, 5) if row["ended_at"]), None))


def jobs(place: Place) -> None:
    """Write jobs that show every state, and names and texts that try to be code."""
    (place.paths.jobs_d / "reports").mkdir()
    place.job("reports/nightly", 'command = ["sh", "-c", "echo start; echo oops >&2; exit 3"]\ntags = ["db"]\n')
    place.job("tick", 'description = "Ticks"\ncommand = "printf \'\\\\033[31mred\\\\033[0m\\\\n\'"\n')
    place.job("sleeper", 'command = ["sleep", "60"]\n[run]\nkill_after = "1s"\n')
    place.job("greet", 'callable = "builtins:print"\nargs = ["hello"]\nkwargs = { sep = "-", flush = true }\n')
    place.job("broken", 'command = "true"\nevry = 1\n')
    hostile = "".join(f"printf '%s\\\\n' {quoted(text)}; " for text in XSS)
    place.job(
        "hostile",
        f"description = {toml(XSS[0])}\ntags = [{', '.join(toml(text) for text in XSS[:4])}]\nowner = {toml(XSS[1])}\n"
        f"command = {toml(hostile + 'exit 1')}\n",
    )


def toml(text: str) -> str:
    """Write a string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\x1b", "\\u001b").replace("\x07", "\\u0007")
    return f'"{escaped}"'


def quoted(text: str) -> str:
    """Write a word of the shell."""
    return "'" + text.replace("'", "'\\''") + "'"


@contextmanager
def served(root: Path, write_jobs: Callable[[Place], None], settings: str = "") -> Iterator[Site]:
    """Serve a root with these jobs and these settings besides, with a browser in front of it."""
    port = free_port()
    (root / "jobs.d").mkdir()
    (root / "etc").mkdir()
    (root / "etc" / "akjob.toml").write_text(f'[web]\nlisten = "127.0.0.1:{port}"\n{settings}')
    subprocess.run(["git", "init", "-q", root], check=True)
    place = Place(root)
    write_jobs(place)
    try:
        place.start()
        place.start("akjob-web")
        until(lambda: answers(port))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            yield Site(place, port, browser)
            browser.close()
    finally:
        place.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a root while the tests of a module run: an open browser keeps a loop of asyncio in this thread."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not there: apt-get install chromium")
    with served(tmp_path_factory.mktemp("page"), jobs) as here:
        yield here


def answers(port: int) -> bool:
    """Return True if the page and what it needs are there."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False
