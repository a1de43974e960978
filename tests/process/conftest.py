"""The roots of these tests: see :mod:`tests.roots`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.roots import Place


@pytest.fixture
def quiet_place(root: Path) -> Iterator[Place]:
    """Yield a root in which nothing runs yet."""
    here = Place(root)
    yield here
    here.stop()


@pytest.fixture
def place(quiet_place: Place) -> Place:
    """Return a root in which the collector and akjobd run."""
    quiet_place.start("akjob-collector")
    quiet_place.start("akjobd")
    return quiet_place
