"""``akjob backfills``: how far the backfills are."""

import click

from akjob.cli.common import examples, find_paths, json_option, say, say_json
from akjob.cli.text import table
from akjob.instants import from_text
from akjob.ledger import BackfillColumns, open_reader
from akjob.query.text import stamp

_HEAD = ("ID", "JOB", "FROM", "UNTIL", "SLOTS", "DONE", "FAILED", "RUNNING", "STATE", "BY")


@click.command(name="backfills", epilog=examples("akjob backfills --json | jq 'select(.state == \"running\")'"))
@json_option
def command(*, as_json: bool) -> None:
    """Show all backfills, newest first: how many slots they have, and how many have ended. akjobd is not asked."""
    found = open_reader(find_paths().ledger_url).backfills()
    if as_json:
        say_json(*found)
    elif found:
        say(table(_HEAD, [_row(one) for one in found], colour=False))
    else:
        click.echo("There are no backfills. `akjob backfill JOB --from T --until T` begins one.")


def _row(one: BackfillColumns) -> tuple[str, ...]:
    counts = (one["slots"], one["done"], one["failed"], one["running"])
    begin, until = stamp(from_text(one["from"])), stamp(from_text(one["until"]))
    return one["id"], one["job"], begin, until, *map(str, counts), one["state"], one["by"] or ""
