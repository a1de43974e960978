"""``akjob ledger``: the ledger as a whole."""

import click

from akjob.cli.common import examples, find_paths, json_option, now_us, say_json
from akjob.config import Paths
from akjob.errors import AkjobError, UsageError, escape_control
from akjob.ledger import open_store
from akjob.ledger.sql_store import SqlStore
from akjob.program import find


@click.group(name="ledger")
def command() -> None:
    """Copy the ledger into another database, or check it."""


@command.command(
    name="copy",
    epilog=examples(
        "akjob down && akjob ledger copy --to postgresql://akjob@db.example.org/akjob",
        "akjob ledger copy --to sqlite:////var/backups/akjob.db",
    ),
)
@click.option("--to", "target", metavar="URL", required=True, help="postgresql://USER@HOST/DATABASE or sqlite:///PATH.")
def copy_(target: str) -> None:
    """Copy every row of the ledger into an empty database, in one transaction.

    akjobd must not run meanwhile. The ledger that is copied stays as it is; [cluster] in etc/akjob.toml says which one
    is used.
    """
    from akjob.ledger.copying import copy

    paths = find_paths()
    _refuse_while_running(paths)
    if target == paths.ledger_url:
        raise UsageError("--to is the ledger itself", hint="give another database or file")
    source, into = _open(paths.ledger_url), None
    try:
        into = _open(target)
        rows = copy(source, into, lambda table, count: click.echo(f"{table:<13} {count:>9,} rows", err=True))
    finally:
        source.close()
        if into is not None:
            into.close()
    click.echo(f"copied {rows:,} rows", err=True)


@command.command(name="check", epilog=examples("akjob ledger check", "akjob ledger check --json | jq -r .rule"))
@json_option
def check_(*, as_json: bool) -> None:
    """Check the ledger: the database itself, and what must hold among its rows. Exits with 1 if anything is wrong."""
    from akjob.ledger.checking import check

    store = _open(find_paths().ledger_url)
    try:
        flaws = list(check(store))
    finally:
        store.close()
    if as_json:
        say_json(*flaws)
    for flaw in () if as_json else flaws:
        rows = f": {', '.join(flaw.rows)}{', …' if flaw.count > len(flaw.rows) else ''}" if flaw.rows else ""
        click.echo(escape_control(f"{flaw.rule} ({flaw.count} times){rows}"))
    if flaws:
        raise SystemExit(1)
    if not as_json:
        click.echo("The ledger is in order.")


def _open(url: str) -> SqlStore:
    store = open_store(url)
    if not isinstance(store, SqlStore):
        raise UsageError(f"{url!r} keeps nothing", hint="give postgresql://USER@HOST/DATABASE or sqlite:///PATH")
    return store


def _refuse_while_running(paths: Paths) -> None:
    found = find(paths, "akjobd", now_us())
    if found is not None:
        raise AkjobError(
            f"akjobd is running (process {found[0]}): what it writes meanwhile would be missing in the copy",
            hint="stop it first, with `akjob down` or `supervisorctl stop akjobd`",
        )
