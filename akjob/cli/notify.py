"""``akjob notify``: which messages are sent, were sent, and would have been sent."""

import socket
from collections.abc import Sequence

import click

from akjob.cli.common import (
    colours,
    count_option,
    examples,
    find_paths,
    json_option,
    now_us,
    say,
    say_json,
    settings,
)
from akjob.cli.text import Cell, table
from akjob.config import Config, Paths
from akjob.errors import AkjobError, UsageError
from akjob.instants import from_text
from akjob.ledger import open_reader
from akjob.query.moments import moment
from akjob.query.names import known_job, unknown_job, user_name
from akjob.query.text import relative, stamp

_EXAMPLES = examples(
    "akjob notify test ops",
    "akjob notify list",
    'akjob notify ack 12 --reason "known"',
    "akjob notify simulate --since 30d",
)


@click.group(name="notify", epilog=_EXAMPLES)
def command() -> None:
    """Test channels, list what was sent, acknowledge incidents, and try settings on the past.

    Channels are defined in [channels] of etc/akjob.toml; [notify] there, in a _defaults.toml or in a job file selects
    which messages go where.
    """


@command.command(name="test", epilog=examples("akjob notify test ops"))
@click.argument("channel")
def test(channel: str) -> None:
    """Send a test message to CHANNEL now, and show the result. Needs no akjob-notify."""
    from akjob.notify.testing import send_test

    paths = find_paths()
    config = settings(paths)
    if channel not in config.channels:
        raise UsageError(f"there is no channel {channel!r}", hint=_channels(config))
    error = send_test(paths, channel, config.channels[channel], socket.gethostname(), now_us())
    if error is not None:
        raise AkjobError(f"{channel} did not take the message: {error}", hint="correct [channels] in etc/akjob.toml")
    click.echo(f"{channel} took the message.")


def _channels(config: Config) -> str:
    if not config.channels:
        return "Add [channels] to etc/akjob.toml."
    return f"etc/akjob.toml has {', '.join(config.channels)}."


@command.command(name="list", epilog=examples("akjob notify list", "akjob notify list -n 5 --json"))
@count_option(50, "The newest N messages.")
@json_option
def list_(count: int, *, as_json: bool) -> None:
    """Show what was sent, what waits and what never arrived, the newest first."""
    from akjob.notify.outbox import Outbox

    paths = find_paths()
    if not paths.notify_db.exists():
        if not as_json:
            click.echo("No messages yet.", err=True)
        return
    outbox = Outbox(paths.notify_db)
    try:
        found = outbox.deliveries(count)
    finally:
        outbox.close()
    if as_json:
        say_json(*(one.as_json() for one in found))
        return
    if not found:
        click.echo("No messages yet.", err=True)
        return
    now = now_us()
    heads = ("AT", "", "CHANNEL", "KIND", "JOBS", "STATE", "TRIES", "INCIDENT", "ERROR")
    rows: list[tuple[str | Cell, ...]] = [
        (
            stamp(from_text(one.opened_at)),
            relative(from_text(one.opened_at), now),
            one.channel,
            one.kind,
            _some(one.jobs),
            Cell(one.state, {"sent": "green", "dead": "red"}.get(one.state, "yellow")),
            str(one.attempts),
            "" if one.incident is None else str(one.incident),
            one.error or "",
        )
        for one in found
    ]
    say(table(heads, rows, colour=colours()))


def _some(jobs: Sequence[str]) -> str:
    return ", ".join(jobs[:2]) + (f" and {len(jobs) - 2} more" if len(jobs) > 2 else "")  # noqa: PLR2004 - a line's room


@command.command(name="ack", epilog=examples('akjob notify ack 12 --reason "the disk is ordered"'))
@click.argument("incident", type=click.IntRange(min=1))
@click.option("--reason", metavar="TEXT", default="", help="Why, for those who look later.")
def ack(incident: int, reason: str) -> None:
    """Acknowledge INCIDENT: no more reminders of it. A message about its end is still sent."""
    from akjob.notify.outbox import Outbox

    outbox = Outbox(find_paths().notify_db)
    try:
        found = outbox.acknowledge(incident, user_name(), reason, now_us())
    finally:
        outbox.close()
    click.echo(f"Incident {incident} of {found.job} is acknowledged: no more reminders.")


@command.command(name="explain", epilog=examples("akjob notify explain reports/nightly --kind failed"))
@click.argument("job")
@click.option("--kind", required=True, metavar="KIND", help="failed, recovered, missed, late, long, broken, …")
@json_option
def explain_(job: str, kind: str, *, as_json: bool) -> None:
    """Show who would get a message if KIND happened to JOB now, and why."""
    from akjob.notify.explain import explain
    from akjob.notify.facts import JobFacts
    from akjob.spec.notify import KINDS

    if kind not in KINDS:
        raise UsageError(f"--kind: {kind!r} is not a kind", hint=f"one of {', '.join(KINDS)}")
    paths = find_paths()
    config, reader = settings(paths), open_reader(paths.ledger_url)
    name = known_job(paths, job)
    if name is None:
        raise unknown_job(job, sorted(reader.jobs()))
    found = explain(name, kind, JobFacts(paths, config, reader).notify(name), config, now_us())
    if as_json:
        say_json(*found.sent)
        return
    channels = ", ".join(one.channel for one in found.sent)
    click.echo(f"{name}, {kind}: sent to {channels}" if found.sent else f"{name}, {kind}: no message is sent")
    say(f"  {reason}" for reason in found.reasons)


@command.command(name="simulate", epilog=examples("akjob notify simulate --since 30d", "akjob notify simulate --json"))
@click.option("--since", default="30d", show_default=True, metavar="T", help="From this time, or for this long back.")
@json_option
def simulate(since: str, *, as_json: bool) -> None:
    """Replay the ledger against today's settings: what would have been sent, when, to whom. Nothing is sent."""
    from akjob.notify.facts import JobFacts
    from akjob.notify.replay import replay

    paths = find_paths()
    config, reader, now = settings(paths), open_reader(paths.ledger_url), now_us()
    since_us = moment(since, "--since", now, None, past=True)
    if since_us > now:
        raise UsageError(
            f"--since: {stamp(since_us)} is still to come",
            hint='Give a time past, or "30d".',
        )
    sent = replay(reader, JobFacts(paths, config, reader), config, since_us, now)
    if as_json:
        say_json(*sent)
        return
    if not sent:
        click.echo(_silent(paths, config), err=True)
        return
    heads = ("AT", "CHANNEL", "KIND", "JOBS")
    say(
        table(
            heads,
            [(stamp(from_text(one.at)), one.channel, one.kind, _some(one.jobs)) for one in sent],
            colour=colours(),
        )
    )
    click.echo(f"{len(sent)} messages since {stamp(since_us)}.", err=True)


def _silent(paths: Paths, config: Config) -> str:
    if config.channels:
        return "Nothing would have been sent."
    return f"Nothing would have been sent: {paths.config_file} has no [channels]."
