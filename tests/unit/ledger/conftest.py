"""One PostgreSQL server for the tests of the ledger; started when the first test asks for it."""

from collections.abc import Iterator

import pytest

from akjob.ledger.postgres import PostgresStore
from tests import postgres


@pytest.fixture(scope="session")
def server() -> Iterator[postgres.Server]:
    """Run PostgreSQL, or skip."""
    with postgres.running() as found:
        yield found


@pytest.fixture
def url(server: postgres.Server) -> str:
    """Return a new, empty database."""
    return server.database()


@pytest.fixture
def stores(url: str) -> Iterator[tuple[PostgresStore, PostgresStore]]:
    """Open it as the nodes ``a`` and ``b``."""
    opened = PostgresStore(url, "a"), PostgresStore(url, "b")
    yield opened
    for store in opened:
        store.close()
