"""A root in a folder with a short name, and a clock that stands still at noon."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.root import NOW_US, Root

_CLOCKS = (
    "choosing", "history", "list", "logs", "next", "notify", "pause", "plan", "run", "show", "simulate", "status",
    "validate", "why",
)  # fmt: skip


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Root]:
    """Make a root whose path is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="akjob-"))
    for name in _CLOCKS:
        monkeypatch.setattr(f"akjob.cli.{name}.now_us", lambda: NOW_US)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("AKJOB_ROOT", raising=False)
    monkeypatch.chdir(folder)
    yield Root(folder)
    monkeypatch.undo()
    shutil.rmtree(folder)
