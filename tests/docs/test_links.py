"""Links of the pages lead somewhere, on a forge and in the site."""

import re
import unicodedata
from pathlib import Path
from urllib.parse import unquote

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
