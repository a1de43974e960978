"""``akjob history``: what the ledger says."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from akjob.cli.common import colours, count_option, examples, find_paths, json_option, now_us, say, say_json
from akjob.cli.text import Cell, relative, span, stamp, state_cell, table
from akjob.instants import from_text
from akjob.ledger import Reader
from akjob.query.jobs import known_job, unknown_job

_SHORT_SHA = 8
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
    """Show what became of the slots: every one that ran, was skipped or was missed; the newest first.

    A row with COUNT stands for a stretch of slots. DEFINITION shows from which version a run was made, where that
    differs from the run before: the hash, the git commit, and + when the files differed from the commit.
    `akjob show JOB --at RUN` prints it.
    """
    paths = find_paths()
    reader = Reader(paths.db)
    name = None if job is None else known_job(paths, job)
    if job is not None and name is None:
        raise unknown_job(job, sorted(reader.jobs()))
    rows = reader.history(name, count if as_json else count + 1, state)
    if as_json:
        say_json(*rows)
        return
    if not rows:
        click.echo("Nothing yet." if name is None else f"Nothing of {name} yet.", err=True)
        return
    say(_table(rows, count, now_us()))


def _table(rows: Sequence[Mapping[str, Any]], count: int, now: int) -> list[str]:
    marks = definition_marks(rows)
    heads = ("SLOT", "", "JOB", "STATE", "COUNT", "TOOK", "WHY", "DEFINITION", "RUN")
    lines: list[list[str | Cell]] = []
    for row in rows[:count]:
        slot = from_text(row["slot"])
        attempt = f" (attempt {row['attempt']})" if row["attempt"] > 1 else ""
        lines.append(
            [
                stamp(slot),
                relative(slot, now),
                row["job"],
                state_cell(row["state"]),
                str(row["count"]) if row["count"] > 1 else "",
                took(row, now),
                why(row) + attempt,
                Cell(marks.get(row["id"], ""), "cyan"),
                row["id"],
            ]
        )
    return table(heads, lines, colour=colours())


def took(row: Mapping[str, Any], now: int) -> str:
    """Say how long a run took, or has been running."""
    if row["started_at"] is None:
        return ""
    end = now if row["ended_at"] is None else from_text(row["ended_at"])
    return span(max(0, end - from_text(row["started_at"])))


def why(row: Mapping[str, Any]) -> str:
    """Say why a row is in its state: the reason, the error, the exit code or the signal."""
    text = cause(row)
    if row["count"] > 1:
        text = "; ".join(filter(None, (text, f"{row['count']} slots until {stamp(from_text(row['slot_last']))}")))
    return text if len(text) <= _LONGEST_WHY else text[: _LONGEST_WHY - 1] + "…"


def cause(end: Mapping[str, Any]) -> str:
    """Say in one line why a run ended as it did; what the reason says already is not said again."""
    said = end.get("reason") or ""
    error, code, signal = end.get("error"), end.get("exit_code"), end.get("signal")
    parts = [said] if said else []
    if error and error != said:
        parts.append(error)
    if code and f"exit code {code}" not in said:
        parts.append(f"exit code {code}")
    if signal and "signal" not in said.lower():
        parts.append(f"signal {signal}")
    return " ".join("; ".join(parts).split())


def definition_marks(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Say for each run what it was made from, where its job's run before was made from something else.

    ``rows`` are the newest first. Of the oldest run of a job among them nothing is said: what came before is not known.
    """
    marks: dict[str, str] = {}
    later: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if row["definition_sha256"] is None or row["started_at"] is None:
            continue
        newer = later.get(row["job"])
        if newer is not None and newer["definition_sha256"] != row["definition_sha256"]:
            marks[newer["id"]] = version(newer)
        later[row["job"]] = row
    return marks


def version(row: Mapping[str, Any]) -> str:
    """Say in short which version a run was made from: ``3f9a1c02 (a1b2c3d4+)``."""
    commit = row["git_commit"]
    text = str(row["definition_sha256"])[:_SHORT_SHA]
    return f"{text} ({commit[:_SHORT_SHA]}{'+' if row['git_dirty'] else ''})" if commit else text
