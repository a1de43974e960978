"""``akjob schema``: the JSON Schema of the job file."""

import click
import msgspec

from akjob.cli.common import examples
from akjob.spec import json_schema


@click.command(name="schema", epilog=examples("akjob schema > etc/job.schema.json"))
def command() -> None:
    """Print the JSON Schema of the job file. Editors find it by a first line `#:schema ../etc/job.schema.json`."""
    click.echo(msgspec.json.format(msgspec.json.encode(json_schema()), indent=2).decode())
