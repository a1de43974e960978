"""Taking a commit apart, for the case that some row in it cannot be written whatever the disk does."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from msgspec.structs import replace

from akjob.ledger import RunRow, Writes

T = TypeVar("T")


def by_job(writes: Writes) -> Iterator[tuple[str, Writes]]:
    """Yield what each job has in a commit; the empty name has what belongs to no job: definitions, akjobd itself."""
    job_of = {row.id: row.job for row in (*writes.claims, *writes.changes)}
    parts: dict[str, Writes] = {"": Writes()}

    def part(job: str) -> Writes:
        return parts.setdefault(job, Writes())

    def deal(rows: Iterable[T], job: Callable[[T], str], place: Callable[[Writes], list[T]]) -> None:
        for row in rows:
            place(part(job(row))).append(row)

    deal(writes.definitions, lambda _: "", lambda one: one.definitions)
    deal(writes.loaded, lambda row: row.job, lambda one: one.loaded)
    deal(writes.jobs, lambda row: row.job, lambda one: one.jobs)
    deal(writes.claims, lambda row: row.job, lambda one: one.claims)
    deal(writes.changes, lambda row: row.job, lambda one: one.changes)
    deal(writes.waits, lambda wait: job_of.get(wait.run, ""), lambda one: one.waits)
    deal(writes.waited, lambda run: job_of.get(run, ""), lambda one: one.waited)
    deal(writes.occurrences, lambda one: one.job, lambda one: one.occurrences)
    deal(writes.decided, lambda one: one[0], lambda one: one.decided)
    deal(writes.seen, lambda one: one.job, lambda one: one.seen)
    deal(writes.new_backfills, lambda one: one.job, lambda one: one.new_backfills)
    deal(writes.backfills, lambda one: one.job, lambda one: one.backfills)
    deal(writes.permits, lambda one: one.job, lambda one: one.permits)
    deal(writes.freed, lambda run: job_of.get(run, ""), lambda one: one.freed)
    deal(writes.transitions, lambda one: one.job or "", lambda one: one.transitions)
    yield from ((job, one) for job, one in parts.items() if one)


def plain(part: Writes, reason: str) -> Writes:
    """Return the rows of runs alone, without anything that a job or a person put into them."""
    return Writes(
        claims=[_plain_row(row, reason) for row in part.claims],
        changes=[_plain_row(row, reason) for row in part.changes],
        waited=part.waited,
    )


def _plain_row(row: RunRow, reason: str) -> RunRow:
    return replace(row, reason=reason, error=None, result=None, by=None, cause=None)
