"""What deciding costs: 10,000 jobs taken over, an idle turn, a burst, a year; and a ledger of many rows.

python -m benchmarks.agenda            # a minute
python -m benchmarks.agenda --rows 5000000    # the questions to a ledger of five million runs
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from akjob.agenda import Agenda, End
from akjob.instants import DAY, MINUTE, SECOND, from_text
from akjob.jobset.model import JobSet, JobSetChange
from akjob.ledger import RunRow, Writes
from akjob.ledger.sqlite_reader import SqliteReader
from akjob.ledger.sqlite_store import SqliteStore
from akjob.spec import load_definition
from akjob.spec.model import JobSpec

JOBS = 10_000
BEGIN = from_text("2026-03-02T00:00:00Z")
_ids = itertools.count()


def main() -> None:
    """Measure all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of the large ledger")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        deciding(Path(folder))
        ledger(Path(folder) / "large.db", options.rows)


def new_agenda(store: SqliteStore, started_us: int) -> Agenda:
    """Return the agenda of an akjobd that starts."""
    last = store.last_attempt
    return Agenda(host="here", max_running=None, new_run_id=run_id, last_attempt=last, started_us=started_us)


def deciding(folder: Path) -> None:
    """Take 10,000 jobs over, turn idly, start 1,000 at once, end them."""
    agenda = Agenda(
        host="here", max_running=None, new_run_id=run_id, last_attempt=lambda _job, _slot: 0, started_us=BEGIN
    )
    jobs = jobset()
    store = SqliteStore.open(folder / "akjob.db")
    say("10,000 jobs: load and first turn", cpu(lambda: first_turn(agenda, jobs)))
    effects = agenda.effects()
    say("... their rows committed", cpu(lambda: store.commit(effects.writes)))
    say("a turn with nothing due", cpu(lambda: agenda.turn(BEGIN + 30 * SECOND)))
    due = BEGIN + 12 * 3600 * SECOND - 20_000
    agenda.turn(due - MINUTE)
    agenda.effects()
    say("1,000 slots of one instant decided", cpu(lambda: agenda.turn(due)))
    burst = agenda.effects()
    starts = burst.starts
    say("... claimed, one commit", cpu(lambda: store.commit(burst.writes)))

    def begun() -> None:
        for start in starts:
            agenda.started(start.run, pid=1, shim_pid=2, at_us=due + 20_000)
        agenda.turn(due + 30_000)

    def ended() -> None:
        for start in starts:
            agenda.ended(start.run, End(state="succeeded", ended_us=due + 40_000, exit_code=0), due + 40_000)
        agenda.turn(due + 50_000)

    say("... starts taken down", cpu(begun))
    say("... committed", cpu(lambda: store.commit(agenda.effects().writes)))
    say("... ends taken down", cpu(ended))
    say("... committed", cpu(lambda: store.commit(agenda.effects().writes)))
    print(f"    started {len(starts)}, rows {len(SqliteReader(folder / 'akjob.db').history(n=2000))}")
    rows, open_runs = store.jobs_state(), store.open_runs()
    again = Agenda(
        host="here", max_running=None, new_run_id=run_id, last_attempt=store.last_attempt, started_us=due + DAY
    )
    say("restart: rows read", cpu(lambda: (store.jobs_state(), store.open_runs())))
    again.restore(rows, open_runs, due + DAY)
    say("restart: load and first turn, a day missed", cpu(lambda: first_turn(again, jobs, due + DAY)))
    store.close()


def ledger(path: Path, rows: int) -> None:
    """Fill a ledger and ask it what the commands ask."""
    store = SqliteStore.open(path)
    begin = time.perf_counter()
    for first in range(0, rows, 50_000):
        store.commit(Writes(claims=[closed_row(n) for n in range(first, min(rows, first + 50_000))]))
    print(f"a ledger of {rows:,} rows: {time.perf_counter() - begin:.1f} s, {path.stat().st_size / 1e6:.0f} MB + WAL")
    reader = SqliteReader(path)
    for title, ask in (
        ("history", reader.history),
        ("history of one job", lambda: reader.history("job7")),
        ("history of what failed", lambda: reader.history(state="failed")),
        ("one run", lambda: reader.run(f"{rows // 2:020d}-")),
        ("open runs", reader.open_runs),
        ("one claim", lambda: store.commit(Writes(claims=[closed_row(rows + next(_ids))]))),
        ("a slice of pruning", lambda: store.prune(DAY, BEGIN + 365 * DAY, 500)),
    ):
        say(f"    {title}", statistics.median(wall(ask) for _ in range(9)))
    store.close()


def jobset() -> dict[str, JobSpec]:
    """Make 10,000 jobs: a tenth of them at noon, the rest all over the day; copies of 600 parsed ones."""
    specs = [spec(f"cron = '{n % 60} {n // 60} * * *'" if n >= 60 else "daily = 12:00:00") for n in range(600)]
    return {
        f"job{n}": msgspec.structs.replace(specs[n % 60 if n % 10 == 0 else 60 + n % 540], name=f"job{n}")
        for n in range(JOBS)
    }


def spec(trigger: str) -> JobSpec:
    """Parse one job."""
    return load_definition("job", "jobs.d/job.toml", f'command = ["true"]\n[schedule]\n{trigger}\n')


def first_turn(agenda: Agenda, jobs: dict[str, JobSpec], now_us: int = BEGIN) -> None:
    """Do what akjobd does first."""
    agenda.load(JobSetChange(jobset=JobSet(jobs=jobs, broken={}, loaded_us=now_us)), now_us)
    agenda.turn(now_us)


def closed_row(number: int) -> RunRow:
    """Make a row of one of 10,000 jobs; one in a thousand failed."""
    at = BEGIN + number * SECOND
    return RunRow(
        id=f"{number:020d}-{next(_ids):08d}",
        job=f"job{number % JOBS}",
        slot_us=at,
        slot_last_us=at,
        state="failed" if number % 1000 == 0 else "succeeded",
        queued_us=at,
        started_us=at,
        ended_us=at + SECOND,
        exit_code=0,
        pid=number % 30_000,
        host="here",
        definition_sha256="0" * 64,
        git_commit="0" * 40,
        git_dirty=False,
    )


def run_id(now_us: int) -> str:
    """Make an id that sorts by time."""
    return f"{now_us:020d}-{next(_ids):08d}"


def cpu(work: Callable[[], object]) -> float:
    """Return the CPU time of one call, in seconds."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def wall(work: Callable[[], object]) -> float:
    """Return how long one call takes, in seconds."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def say(title: str, seconds: float) -> None:
    """Print one line."""
    print(f"{title:<48}{seconds * 1e3:>10.2f} ms")


if __name__ == "__main__":
    main()
