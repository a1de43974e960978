"""When to decide about which job: the next instant is asked for, and never passed over."""

from akjob.agenda.book import Book
from akjob.agenda.jobs import AgendaJob, unknown_row


def book_of(*names: str) -> Book:
    """Return a book with these jobs."""
    book = Book(host="h", new_run_id=str, last_attempt=lambda _job, _slot: 0)
    book.jobs = {name: AgendaJob(row=unknown_row(name, 0)) for name in names}
    return book


def due(book: Book, now_us: int) -> list[str]:
    """Take all jobs that are due."""
    found = []
    while (job := book.due(now_us)) is not None:
        found.append(job.row.job)
    return found


def test_loaded_jobs_are_due_in_turn() -> None:
    """All that is loaded is looked at, once, after what has been due for longer."""
    book = book_of("a", "b", "c", "old", "later")
    book.wake_at(book.jobs["old"], 5)
    book.wake_at(book.jobs["later"], 20)
    for name in ("c", "a", "b"):
        book.wake_loaded(book.jobs[name], 10)
    assert book.wake_us == 5
    assert due(book, 10) == ["old", "c", "a", "b"]
    assert book.wake_us == 20


def test_a_loaded_job_that_is_decided_before_its_turn() -> None:
    """Looked at by another instant, it is not looked at again, and those behind it do not wait for it."""
    book = book_of("a", "b")
    for name in ("a", "b"):
        book.wake_loaded(book.jobs[name], 10)
    book.wake_at(book.jobs["a"], 50)
    assert book.wake_us == 10
    assert due(book, 10) == ["b"]
    assert due(book, 50) == ["a"]


def test_loaded_while_the_clock_is_set_back() -> None:
    """What is loaded at an earlier instant does not wait for what was loaded at a later one."""
    book = book_of("a", "b")
    book.wake_loaded(book.jobs["a"], 10)
    book.wake_loaded(book.jobs["b"], 3)
    assert due(book, 3) == ["b"]
    assert due(book, 10) == ["a"]
