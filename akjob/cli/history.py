"""``akjob history``: what the ledger has."""

from collections.abc import Sequence

import click

from akjob.cli.common import colours, count_option, examples, find_paths, json_option, now_us, say, say_json
from akjob.cli.text import Cell, state_cell, table
from akjob.instants import from_text
from akjob.ledger import open_reader
from akjob.query.names import known_job, unknown_job
from akjob.query.runs import Run, definition_changes, explain, history, took_us
from akjob.query.text import relative, span, stamp

_LONGEST_WHY = 60


@click.command(
    name="history",
    epilog=examples(
        "akjob history", "akjob history reports/nightly -n 5", "akjob history --state failed --json | jq -r .id"
    ),
)
@click.argument("job", metavar="[JOB]", required=False)
@count_option(20, "The newest N rows.")
@click.option("--state", metavar="STATE", help="Only rows in this state, such as failed or missed.")
@json_option
def command(job: str | None, count: int, state: str | None, *, as_json: bool) -> None:
    """Show what became of the slots: every slot that ran, was skipped or was missed; the newest first.

    Times are in the machine's time zone and have its offset. A row with COUNT stands for a stretch of slots. DEFINITION
    shows the version that a run was made from, where it differs from the run before: the hash, the git commit, and +
    when the files differed from the commit. `akjob show JOB --at RUN` prints it.
    """
    paths = find_paths()
    reader = open_reader(paths.ledger_url)
    name = None if job is None else known_job(paths, job)
    if job is not None and name is None:
        raise unknown_job(job, sorted(reader.jobs()))
    runs = history(reader, name, count if as_json else count + 1, state)
    if as_json:
        say_json(*runs)
        return
    if not runs:
        click.echo("No rows yet." if name is None else f"No rows of {name} yet.", err=True)
        return
    say(table_of(runs, now_us(), count))


def table_of(runs: Sequence[Run], now: int, count: int | None = None) -> list[str]:
    """Return rows as a table, the first ``count`` of them; what follows tells of changed definitions."""
    changes = definition_changes(runs)
    heads = ("SLOT", "", "JOB", "STATE", "COUNT", "TOOK", "WHY", "DEFINITION", "NODE", "RUN")
    return table(heads, [_row(run, changes.get(run.id, ""), now) for run in runs[:count]], colour=colours())


def _row(run: Run, change: str, now: int) -> tuple[str | Cell, ...]:
    slot_us, took = from_text(run.slot), took_us(run, now)
    attempt = f" (attempt {run.attempt})" if run.attempt > 1 else ""
    return (
        stamp(slot_us),
        relative(slot_us, now),
        run.job,
        state_cell(run.state),
        str(run.count) if run.count > 1 else "",
        "" if took is None else span(took),
        _why(run) + attempt,
        Cell(change, "cyan"),
        run.node or "",
        run.id,
    )


def _why(run: Run) -> str:
    """Return why a row is in its state, cut to what a table has room for."""
    text = explain(run)
    if run.count > 1:
        text = "; ".join(filter(None, (text, f"{run.count} slots until {stamp(from_text(run.slot_last))}")))
    return text if len(text) <= _LONGEST_WHY else text[: _LONGEST_WHY - 1] + "…"
