"""The root that the tests of this room work in."""

from pathlib import Path

import pytest

from tests.unit.jobset.root import Root


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return an empty root with a loader."""
    tmp_path.chmod(0o755)
    return Root(tmp_path / "root")
