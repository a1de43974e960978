"""Each run's imports see the files of that moment, whatever Python's own check of the .pyc would say."""

import os
from pathlib import Path

from tests.unit.code.bare import bare


def test_edit_in_the_same_second_is_seen(tmp_path: Path) -> None:
    """Twenty edits of the same size with the same modification time: each fresh process sees the newest."""
    module = tmp_path / "edited.py"
    stamp = 1_700_000_000_000_000_000
    seen = []
    for number in range(20):
        module.write_text(f"VALUE = {number:02}0\n".replace("= 0", "= 1"))
        os.utime(module, ns=(stamp, stamp))
        seen.append(bare(tmp_path, "import edited; say(edited.VALUE)"))
    assert seen == [int(f"{number:02}0".replace("0", "1", 1) if number < 10 else f"{number}0") for number in range(20)]


def test_settled_pyc_is_used(tmp_path: Path) -> None:
    """A .pyc that was written long enough after its source is taken: what settled code costs is three stats."""
    module = tmp_path / "settled.py"
    module.write_text("VALUE = 1\n")
    script = """
import settled
cached = settled.__cached__
info = os.stat(cached)
os.utime(cached, ns=(info.st_mtime_ns + 3_000_000_000,) * 2)
say(cached)
"""
    cached = bare(tmp_path, script)
    before = Path(cached).stat().st_mtime_ns
    script = """
import _frozen_importlib_external as external
def no(*_): raise AssertionError("compiled again")
external.SourceFileLoader.source_to_code = no
import settled
say(settled.VALUE)
"""
    assert bare(tmp_path, script) == 1
    assert Path(cached).stat().st_mtime_ns == before


def test_pyc_too_close_to_its_source_is_written_anew(tmp_path: Path) -> None:
    """An import within 2 s of the edit leaves a .pyc that is not trusted; the next import replaces it."""
    module = tmp_path / "young.py"
    module.write_text("VALUE = 1\n")
    cached = Path(bare(tmp_path, "import young; say(young.__cached__)"))
    first = cached.stat()
    bare(tmp_path, "import young")
    assert cached.stat().st_ino != first.st_ino or cached.stat().st_mtime_ns != first.st_mtime_ns


def test_installed_packages_are_pythons_own_matter(tmp_path: Path) -> None:
    """Below site-packages Python's own check holds: a run that may not write there must not compile for ever."""
    packages = tmp_path / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "installed.py").write_text("VALUE = 1\n")
    bare(tmp_path, "import installed", pythonpath=["lib/site-packages"])
    script = """
import _frozen_importlib_external as external
def no(*_): raise AssertionError("compiled again")
external.SourceFileLoader.source_to_code = no
import installed
say(installed.VALUE)
"""
    assert bare(tmp_path, script, pythonpath=["lib/site-packages"]) == 1
