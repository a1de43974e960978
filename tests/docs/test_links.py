"""Links of the pages lead somewhere, on a forge and in the site; the site needs no network."""

import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.docs.blocks import ROOT, pages

DOCS = ROOT / "docs"
PAGES = [*pages(), ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def prose(page: Path) -> str:
    """Return a page's text without its code."""
    return re.sub(r"`[^`\n]*`", "", _FENCED.sub("", page.read_text(encoding="utf-8")))


def links(page: Path) -> list[str]:
    """Return the targets of a page's links and pictures."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page that forges and the site agree on."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    found = set(re.findall(r'<a id="([^"]+)">', text))
    for heading in _HEADING.findall(text):
        plain = re.sub(r"[`*]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)).strip().lower()
        forge = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
        site = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip())
        found |= {forge} & {site}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """A link names a page or file that is there, and a heading of it; one of docs/ stays in docs/."""
    wrong = []
    for target in links(page):
        name, _, anchor = target.partition("#")
        file = (page.parent / unquote(name)).resolve() if name else page
        there = file.exists() and ((file.is_relative_to(DOCS) and file.is_file()) or not page.is_relative_to(DOCS))
        if not there or (anchor and (file.suffix != ".md" or anchor not in anchors(file))):
            wrong.append(target)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_addresses_are_whole(page: Path) -> None:
    """Whatever leads out of the repository is https, and nothing is said to be "here"."""
    text = prose(page)
    assert re.findall(r"\]\((http://[^)]+)\)", text) == []
    assert re.findall(r"\[(here|this|link)\]\(", text, re.IGNORECASE) == []


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
