"""A root that is served."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.root import Root
from tests.unit.web.serving import Served, served


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return an empty root."""
    return Root(tmp_path)


@pytest.fixture
def site(root: Root) -> Iterator[Served]:
    """Serve it."""
    with served(root) as here:
        yield here
