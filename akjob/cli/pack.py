"""``akjob pack``: put code into a dill file and print the TOML that runs it."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from akjob.cli.common import examples, given_root, json_option, say_json, working_folder
from akjob.errors import AkjobError, UsageError

_STDIN = "/dev/stdin"


class _Pack(click.Command):
    """The command, with ``-:NAME`` as a target: to click it looks like an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write the dash out before click sees it."""
        return super().parse_args(ctx, [f"{_STDIN}{arg[1:]}" if arg.startswith("-:") else arg for arg in args])


@click.command(
    name="pack",
    cls=_Pack,
    epilog=examples(
        "akjob pack reports/send.py:send -o jobs.d/send.dill",
        "akjob pack analysis.ipynb:report -o jobs.d/report.dill --arg region=emea",
        "akjob pack shop.mail:Digest --by-value -o jobs.d/digest.dill",
        "akjob pack --rebuild jobs.d/send.dill",
    ),
)
@click.argument("target", metavar="TARGET")
@click.option("-o", "--output", metavar="FILE", help="Where to write it; else NAME.dill in the current folder.")
@click.option("--by-value", is_flag=True, help="Pack what comes from TARGET's module whole, not by its name.")
@click.option(
    "--arg", "arguments", metavar="K=TEXT|K:=TOML", multiple=True, help="A keyword argument for the printed TOML."
)
@click.option("--rebuild", is_flag=True, help="TARGET is a dill file: make it again from its record, by this Python.")
@json_option
def command(  # noqa: PLR0913 - a command has its options
    target: str, output: str | None, *, by_value: bool, arguments: tuple[str, ...], rebuild: bool, as_json: bool
) -> None:
    """Pack a callable, or an object with a run method, and print the lines for its job file.

    TARGET is script.py:NAME, notebook.ipynb:NAME, -:NAME for a script on standard input, or pkg.module:NAME. The script
    is executed for this, in a process of its own. Its record, FILE.json, is written next to the dill file.
    """
    from akjob.code import pack

    path = _path()
    if rebuild:
        if output is not None or by_value:
            raise UsageError("--rebuild makes the file it is given, as it was made")
        packed = pack.rebuild(Path(target), path=path)
    else:
        file = Path(output or _name(target))
        stdin = ""
        if target.startswith(f"{_STDIN}:"):
            target, stdin = f"-{target.removeprefix(_STDIN)}", sys.stdin.read()
        packed = pack.pack(target, file, path=path, by_value=by_value, stdin=stdin)
    kwargs = _keywords(arguments)
    if as_json:
        say_json({"file": str(packed.file), "changed": packed.changed, "kwargs": kwargs, **packed.record})
        return
    click.echo(packed.toml(kwargs), nl=False)
    what = "written" if packed.changed else "unchanged"
    click.echo(f"{packed.file}: {what}, {packed.record['size']} bytes: {packed.record['gives']}", err=True)


def _path() -> list[str]:
    """Return where modules are looked for: as a run does where there is a root, else in the current folder."""
    from akjob.cli.common import settings
    from akjob.code.static import search_path
    from akjob.config import Paths, find_root

    try:
        paths = Paths(find_root(given_root(), os.environ, working_folder()))
    except AkjobError:
        if given_root() is not None:
            raise
        return search_path(str(working_folder()), str(working_folder()), ())
    return search_path(str(paths.root), str(paths.root), settings(paths).pythonpath)


def _name(target: str) -> str:
    """Return the file name that goes with a target."""
    last = target.rpartition(":")[2].rpartition(".")[2]
    return f"{last}.dill"


def _keywords(arguments: tuple[str, ...]) -> dict[str, Any]:
    if not arguments:
        return {}
    from akjob.cli.run import parse_arguments

    return parse_arguments(arguments)
