"""Work off the loop: what is given is done in order, and what is done again and again wakes nobody in vain."""

import threading
from collections.abc import Iterator

import pytest

from akjob.akjobd.worker import Worker
from tests.support import until


@pytest.fixture
def rung() -> threading.Event:
    """Return what the worker rings."""
    return threading.Event()


@pytest.fixture
def worker(rung: threading.Event) -> Iterator[Worker]:
    """Yield a worker; its thread is over when the test is."""
    before = set(threading.enumerate())
    worker = Worker("work", rung.set)
    yield worker
    worker.stop()
    for thread in set(threading.enumerate()) - before:
        thread.join()


def fail(error: Exception) -> None:
    """Refuse an error that is not expected."""
    raise error


def test_work_and_its_errors_come_back(worker: Worker, rung: threading.Event) -> None:
    """A value goes to one, an error to the other, and only in the loop's own thread."""
    found: list[object] = []
    worker.give(lambda: 7, found.append, fail)
    worker.give(lambda: 1 // 0, found.append, lambda error: found.append(type(error)))
    assert worker.waiting == 2

    def both() -> bool:
        worker.collect()
        return not worker.waiting

    until(both)
    assert rung.is_set()
    assert found == [7, ZeroDivisionError]


def test_what_is_done_again_tells_news_only(worker: Worker, rung: threading.Event) -> None:
    """The loop is rung for what was given and for the first value, not for what came to None in between."""
    rings: list[bool] = []
    found: list[int] = []

    def look() -> int | None:
        if not rings:
            rung.clear()  # rung for what was given
        rings.append(rung.is_set())
        return 7 if len(rings) == 4 else None

    worker.again(0.001, look, found.append, fail)
    worker.give(lambda: None, lambda _: None, fail)
    until(lambda: len(rings) >= 4 and rung.is_set())
    worker.collect()
    assert found == [7]
    assert rings[:4] == [False] * 4
