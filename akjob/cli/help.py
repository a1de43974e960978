"""``akjob help``: the reference in the terminal."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import click

from akjob.cli.common import colours, examples, json_option, say, say_json
from akjob.cli.text import paint
from akjob.errors import UsageError
from akjob.query.reference import KINDS, Entry, entries
from akjob.query.text import plural

_COLUMNS = 100
_BY_LAST_PART = ("key", "setting")
_LABEL = 12


@click.command(
    name="help",
    epilog=examples(
        "akjob help",
        "akjob help run.overlap",
        "akjob help unknown-key",
        "akjob help run.finished",
        "akjob help --man ~/.local/share/man/man1",
    ),
)
@click.argument("name", metavar="[KEY]", required=False)
@click.option(
    "--man",
    "folder",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the manual pages of all commands into DIR.",
)
@json_option
def command(name: str | None, *, folder: Path | None, as_json: bool) -> None:
    """Show what a key of a job file means, a setting, a problem code, an event; without KEY the list of all.

    Also the metrics, the variables of a run, the columns of the ledger and the problems of the API. KEY is run.overlap
    or overlap.
    """
    if folder is not None:
        click.echo(f"{plural(_write_manual(folder), 'page')} in {folder}")
        return
    known = entries()
    if name is None:
        say_json(*known) if as_json else say(_list(known))
        return
    found = _found(known, name)
    if as_json:
        say_json(*found)
        return
    for number, entry in enumerate(found):
        say(([""] if number else []) + _entry(entry))


def _write_manual(folder: Path) -> int:
    """Write a page for each command; return how many they are. Those of an older version are replaced."""
    from akjob.cli import cli
    from akjob.cli.manual import pages

    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for name, text in pages(cli):
        (folder / f"{name}.1").write_text(text, encoding="utf-8")
        written += 1
    return written


def _found(known: Sequence[Entry], name: str) -> list[Entry]:
    """Return the entries that a name means: itself, or the keys whose last part it is. Raises UsageError."""
    wanted = name.strip("[]")
    found = [entry for entry in known if entry.name == wanted]
    found += [entry for entry in known if entry.kind in _BY_LAST_PART and entry.name.endswith(f".{wanted}")]
    if found:
        return found
    from difflib import get_close_matches

    from akjob.cli import COMMANDS

    near = get_close_matches(wanted, [entry.name for entry in known], n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`akjob help` lists all."
    if wanted.partition(" ")[0] in COMMANDS:
        hint = f"`{wanted.partition(' ')[0]}` is a command: akjob {wanted} --help"
    raise UsageError(f"there is no key, setting, problem code, event, metric or column {name!r}", hint=hint)


def _entry(entry: Entry) -> list[str]:
    lines = [f"{paint(entry.name, 'bold', on=colours())}  ({entry.kind})"]
    lines += textwrap.wrap(entry.summary, _COLUMNS, initial_indent="  ", subsequent_indent="  ")
    for label, text in entry.facts:
        head = f"  {label:<{_LABEL}}"
        indent = " " * len(head)
        if "\n" in text:
            lines += [
                f"{head if not number else indent}{line}".rstrip() for number, line in enumerate(text.split("\n"))
            ]
        else:
            lines += textwrap.wrap(text, _COLUMNS, initial_indent=head, subsequent_indent=indent)
    return lines


def _list(known: Sequence[Entry]) -> list[str]:
    lines: list[str] = []
    for kind, title in KINDS.items():
        of_kind = [entry for entry in known if entry.kind == kind]
        width = max(len(entry.name) for entry in of_kind)
        lines += [*([""] if lines else []), paint(title, "bold", on=colours())]
        shown = ((entry.name, entry.summary if kind != "event" else entry.facts[0][1]) for entry in of_kind)
        lines += [_cut(f"  {name:<{width}}  {text}") for name, text in shown]
    return lines


def _cut(line: str) -> str:
    return line if len(line) <= _COLUMNS else f"{line[: _COLUMNS - 1]}…"
