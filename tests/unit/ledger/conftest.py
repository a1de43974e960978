"""One PostgreSQL server for the tests of the ledger; started when the first test asks for it."""

from collections.abc import Iterator

import pytest

from tests import postgres


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """Run PostgreSQL, or skip."""
    with postgres.running() as found:
        yield found
