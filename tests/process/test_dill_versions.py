"""Dill files across Python versions: the same minor version works, every other is refused before it is loaded."""

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import dill
import pytest

from tests.unit.code.bare import CODE, bare

SCRIPT = """
import json
def send(region, times=2):
    try:
        return json.dumps([[region] * times, {"u", "v"} == {"v", "u"}, [x for x in range(times)]])
    finally:
        region = None
"""
VERSIONS = ("3.11", "3.12", "3.13")


@cache
def interpreter(version: str) -> str | None:
    """Return a Python of this minor version: this one, one on the PATH, or one of pyenv's; None when there is none."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [str(path / "bin" / "python3") for path in sorted(home.glob(f"{version}.*"))]
    for candidate in [shutil.which(f"python{version}"), *found]:
        if candidate is None:
            continue
        script = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([candidate, "-I", "-c", script], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return candidate
    return None


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds nothing but dill, which is the same for every Python."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "dill").symlink_to(Path(dill.__file__).parent)
    return folder


def packed(version: str, library: Path, folder: Path) -> bytes:
    """Pack the script's function by this version."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    order: dict[str, Any] = {
        "target": "send.py:send",
        "name": "send",
        "module": "send",
        "package": "",
        "file": "send.py",
        "text": SCRIPT,
        "path": [],
        "answer": str(folder / "answer.json"),
    }
    env = {**os.environ, "PYTHONPATH": str(library), "PYTHONHASHSEED": "0"}
    command = [python, "-P", "-B", str(CODE / "dump.py")]
    subprocess.run(command, input=json.dumps(order).encode(), env=env, check=True)
    answer = json.loads((folder / "answer.json").read_text())
    assert "error" not in answer, answer
    return bytes.fromhex(answer["content"])


@pytest.mark.parametrize(("made", "run"), list(itertools.product(VERSIONS, VERSIONS)))
def test_every_pair(made: str, run: str, library: Path, tmp_path: Path) -> None:
    """What one version packed runs on that version, and is refused by the others with the way to make it again."""
    python = interpreter(run)
    if python is None:
        pytest.skip(f"there is no Python {run} on this machine")
    content = packed(made, library, tmp_path)
    (tmp_path / "send.dill").write_bytes(content)
    order: tuple[Any, ...] = (str(tmp_path / "send.dill"), hashlib.sha256(content).hexdigest(), made, ["emea"], {})
    script = f"say(reason(lambda: load.load_dill(*{order!r})()))"
    answer = bare(tmp_path, script, pythonpath=[str(library)], python=python)
    if made == run:
        assert json.loads(answer) == [["emea", "emea"], True, [0, 1]]
    else:
        assert answer.startswith(f"send.dill was packed by Python {made} and this is Python {run}, which would crash")
        assert f"akjob pack --rebuild {tmp_path}/send.dill" in answer


@pytest.mark.parametrize("version", VERSIONS)
def test_same_bytes_each_time(version: str, library: Path, tmp_path: Path) -> None:
    """On every version packing twice gives the same bytes."""
    assert packed(version, library, tmp_path) == packed(version, library, tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
def test_fresh_code_on_every_version(version: str, tmp_path: Path) -> None:
    """An edit of the same size with the same times is seen on every version: what is patched is there in each."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} on this machine")
    module = tmp_path / "edited.py"
    for value in range(3):
        module.write_text(f"VALUE = {value}\n")
        os.utime(module, (1_700_000_000, 1_700_000_000))
        assert bare(tmp_path, "import edited; say(edited.VALUE)", python=python) == value
