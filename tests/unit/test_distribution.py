"""What is published: the wheel and the source archive, with their metadata."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from akjob import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both, as ``make wheel`` does, and return their folder."""
    folder = tmp_path_factory.mktemp("dist")
    argv = [sys.executable, "-m", "hatchling", "build", "-d", str(folder), "-t", "sdist", "-t", "wheel"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def wheel(built: Path) -> Iterator[zipfile.ZipFile]:
    """Open the wheel."""
    with zipfile.ZipFile(built / f"akjob-{__version__}-py3-none-any.whl") as archive:
        yield archive


def metadata(wheel: zipfile.ZipFile) -> Message:
    """Return what pip reads."""
    return Parser().parsestr(wheel.read(f"akjob-{__version__}.dist-info/METADATA").decode())


def test_the_metadata(wheel: zipfile.ZipFile) -> None:
    """Version, licence, the Pythons, every extra, and the README."""
    facts = metadata(wheel)
    assert (facts["Name"], facts["Version"], facts["License-Expression"]) == ("akjob", __version__, "MIT")
    assert facts["Requires-Python"] == ">=3.11"
    assert set(facts.get_all("Provides-Extra", [])) == {"web", "notify", "calendars", "cluster", "all"}
    assert facts["Description-Content-Type"] == "text/markdown"
    assert str(facts.get_payload()).startswith("# akjob\n")


def test_all_is_all(wheel: zipfile.ZipFile) -> None:
    """``akjob[all]`` has what the other extras have together."""
    by_extra: dict[str, set[str]] = {}
    for line in metadata(wheel).get_all("Requires-Dist", []):
        package, _, extra = line.partition("; extra == ")
        by_extra.setdefault(extra.strip("'\""), set()).add(package)
    assert by_extra["all"] == by_extra["web"] | by_extra["notify"] | by_extra["calendars"] | by_extra["cluster"]


def test_the_wheel_has_akjob_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    """The package with its data, the licence, and a program for each entry point."""
    names = wheel.namelist()
    assert {name.split("/")[0] for name in names} == {"akjob", f"akjob-{__version__}.dist-info"}
    assert f"akjob-{__version__}.dist-info/licenses/LICENSE" in names
    kept = {path.relative_to(ROOT).as_posix() for path in (ROOT / "akjob").rglob("*") if path.is_file()}
    assert {name for name in kept if "__pycache__" not in name} <= set(names)
    programs = wheel.read(f"akjob-{__version__}.dist-info/entry_points.txt").decode()
    assert set(re.findall(r"^(akjob[\w-]*) =", programs.partition("[pytest11]")[0], re.MULTILINE)) == set(
        PROJECT["scripts"]
    )


def test_the_source_archive_has_what_a_packager_needs(built: Path) -> None:
    """Sources, tests, documentation, contrib and the locks."""
    with tarfile.open(built / f"akjob-{__version__}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"LICENSE", "README.md", "CHANGELOG.md", "Makefile", "requirements.txt", "akjob/__init__.py"}
    wanted |= {"contrib/systemd/akjob.service", "contrib/sbom.cdx.json", "docs/architecture.md", "tests/conftest.py"}
    assert wanted - names == set()
    assert [name for name in names if name.startswith((".venv", ".git/", "var/run/a", "var/log/a"))] == []


def test_the_changelog_has_this_version() -> None:
    """The newest version of the changelog, with its date, is the one that is published; README names it too."""
    newest = re.search(r"^## \[([^]]+)\] - \d{4}-\d{2}-\d{2}$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__
    assert f"rev: v{__version__}" in "".join(
        page.read_text() for page in (ROOT / "README.md", *ROOT.glob("docs/how-to/*.md"))
    )
