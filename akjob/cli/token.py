"""``akjob token``: what programs log in with."""

from typing import cast, get_args

import click

from akjob.cli.common import examples, find_paths, json_option, now_us, say, say_json
from akjob.cli.text import Cell, table
from akjob.errors import UsageError
from akjob.instants import from_text, to_text
from akjob.query.moments import moment
from akjob.query.names import user_name
from akjob.query.text import relative, stamp
from akjob.query.visibility import Scope
from akjob.web.store import AuditRow, Token, WebStore

_LONGEST_NAME = 100
_DONE = 201


@click.group(name="token")
def command() -> None:
    """Create, list and revoke the tokens that programs use the API with: `Authorization: Bearer akj_…`."""


@command.command(
    name="create",
    epilog=examples(
        "akjob token create grafana --scope metrics",
        "akjob token create deploy --scope operate --jobs 'reports/*' --expires 90d",
    ),
)
@click.argument("name", metavar="NAME")
@click.option("--scope", type=click.Choice(get_args(Scope)), default="read", show_default=True, help="What it may do.")
@click.option("--jobs", metavar="GLOB", help="Only these jobs; * does not cross /, ** does. Default: all.")
@click.option("--expires", metavar="T", help="Until this time, or for this long: 90d. Default: it does not expire.")
@json_option
def create(name: str, scope: str, jobs: str | None, expires: str | None, *, as_json: bool) -> None:
    """Create a token and print it, once: only its hash is kept.

    read sees jobs, runs and logs; operate may also run, stop, pause, resume and backfill; admin may do everything;
    metrics reads the metrics and nothing else.
    """
    now = now_us()
    _check_name(name)
    if jobs is not None and not jobs:
        raise UsageError("--jobs is empty", hint="Write a glob, such as 'reports/*', or leave it out.")
    expires_us = None if expires is None else moment(expires, "--expires", now, None, past=False)
    if expires_us is not None and expires_us <= now:
        raise UsageError(f"--expires: {stamp(expires_us)} is over", hint="Give a time to come.")
    with WebStore.open(find_paths().web_db) as store:
        token = store.create_token(name, cast("Scope", scope), jobs, expires_us, now)
        store.audit(_note("token.create", name, now))
    if as_json:
        say_json(token)
    else:
        click.echo(token.token)


@command.command(name="list", epilog=examples("akjob token list", "akjob token list --json | jq -r .name"))
@json_option
def list_(*, as_json: bool) -> None:
    """List the tokens: scope, jobs, when they expire, when they were used last."""
    now = now_us()
    with WebStore.open(find_paths().web_db) as store:
        tokens = store.tokens()
    if as_json:
        say_json(*tokens)
    elif not tokens:
        click.echo("There are no tokens: `akjob token create NAME` makes one.", err=True)
    else:
        heads = ("NAME", "ID", "SCOPE", "JOBS", "CREATED", "EXPIRES", "LAST USED")
        say(table(heads, [_row(token, now) for token in tokens], colour=False))


@command.command(name="revoke", epilog=examples("akjob token revoke grafana"))
@click.argument("token", metavar="NAME|ID")
def revoke(token: str) -> None:
    """Revoke a token at once; what it has open ends within a second."""
    with WebStore.open(find_paths().web_db) as store:
        found = store.revoke_token(token)
        if found is None:
            message = f"there is no token {token!r}"
            raise UsageError(message, hint="`akjob token list` shows the tokens.")
        store.audit(_note("token.revoke", found.name, now_us()))
    click.echo(f"{found.name} is revoked.")


def _check_name(name: str) -> None:
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        message = f"{name[:_LONGEST_NAME]!r} cannot be the name of a token"
        hint = f"Write 1 to {_LONGEST_NAME} printable characters, such as grafana."
        raise UsageError(message, hint=hint)


def _note(action: str, name: str, now: int) -> AuditRow:
    return AuditRow(at=to_text(now), by=user_name(), credential="command", action=action, target=name, status=_DONE)


def _row(token: Token, now: int) -> tuple[str | Cell, ...]:
    expires = "never" if token.expires is None else stamp(from_text(token.expires))
    over = token.expires is not None and from_text(token.expires) <= now
    used = "never" if token.last_used is None else relative(from_text(token.last_used), now)
    created = stamp(from_text(token.created))
    jobs = "all" if token.jobs is None else token.jobs
    return token.name, token.id, token.scope, jobs, created, Cell(expires, "red" if over else None), used
