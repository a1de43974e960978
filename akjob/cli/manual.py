"""Manual pages in man(7) of every command, made from the same texts as ``--help``."""

import inspect
import re
import textwrap
from collections.abc import Iterator

import click

from akjob import __version__
from akjob.cli import COMMANDS, CommandGroup

_COLUMNS = 72
_EXIT = (
    ("0", "fine; warnings too"),
    ("1", "problems found"),
    ("2", "wrong usage"),
    ("3", "akjobd cannot be reached"),
)


def pages(program: CommandGroup) -> Iterator[tuple[str, str]]:
    """Yield the name of each page without its section, ``akjob-run``, and its text: ``akjob`` first."""
    context = click.Context(program, info_name="akjob")
    entries = [(name, line) for name, (_, line) in COMMANDS.items()]
    yield "akjob", _page(program, context, entries)
    for name in COMMANDS:
        command = program.get_command(context, name)
        if command is not None:
            yield from _pages_of(command, click.Context(command, info_name=name, parent=context))


def _pages_of(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    inner = command.commands if isinstance(command, click.Group) else {}
    entries = [(name, one.get_short_help_str(200)) for name, one in inner.items()]
    yield context.command_path.replace(" ", "-"), _page(command, context, entries)
    for name, one in inner.items():
        yield from _pages_of(one, click.Context(one, info_name=name, parent=context))


def _page(command: click.Command, context: click.Context, entries: list[tuple[str, str]]) -> str:
    path = context.command_path
    name = path.replace(" ", "-")
    text = inspect.cleandoc(command.help or "")
    summary = {key: line for key, (_, line) in COMMANDS.items()}.get(path.removeprefix("akjob "), "")
    summary = summary or command.get_short_help_str(200)
    lines = [f'.TH {name.upper()} 1 "" "akjob {__version__}" "akjob"', ".SH NAME"]
    lines.append(f"{_escaped(name)} \\- {_escaped(summary.rstrip('.'))}")
    lines += [".SH SYNOPSIS", f".B {_escaped(path)}", _escaped(" ".join(command.collect_usage_pieces(context)))]
    lines += [".SH DESCRIPTION", *_paragraphs(text)]
    if entries:
        lines.append(".SH COMMANDS")
        for key, line in entries:
            lines += [".TP", f".B {_escaped(key)}", *_wrapped(line)]
    lines.append(".SH OPTIONS")
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is not None:
            lines += [".TP", f".B {_escaped(record[0])}", *_wrapped(record[1])]
    if command.epilog:
        lines += _epilog(command.epilog)
    lines.append(".SH EXIT STATUS")
    for code, meaning in _EXIT:
        lines += [".TP", f".B {code}", meaning]
    others = ["akjob"] if path != "akjob" else []
    others += [f"{name}-{key}" for key, _ in entries]
    if others:
        lines.append(".SH SEE ALSO")
        lines += [f".BR {_escaped(one)} (1){',' if one != others[-1] else ''}" for one in others]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text)):
        if number:
            yield ".PP"
        if paragraph.startswith("\b"):
            yield from _as_it_stands(paragraph)
        else:
            yield from _wrapped(" ".join(paragraph.split()))


def _epilog(text: str) -> Iterator[str]:
    """Yield the blocks below the options, each with its first line as the heading; exit codes have a section."""
    for block in text.split("\b\n"):
        head, _, rest = block.strip("\n").partition("\n")
        if rest:
            yield f".SH {_escaped(head.rstrip(':')).upper()}" if head.startswith("Example") else ".SH NOTES"
            yield from _as_it_stands(rest if head.startswith("Example") else f"{head}\n{rest}")


def _as_it_stands(text: str) -> Iterator[str]:
    yield ".nf"
    yield from (_escaped(line) for line in text.replace("\b", "").strip("\n").splitlines())
    yield ".fi"


def _wrapped(text: str) -> Iterator[str]:
    """Yield a string in lines as short as roff's sources are written."""
    for line in textwrap.wrap(text, _COLUMNS, break_long_words=False, break_on_hyphens=False):
        yield _escaped(line)


def _escaped(text: str) -> str:
    r"""Return a string as roff has it: backslashes, hyphens that are typed, and a dot or quote that begins a line."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    text = text.replace("^", r"\(ha").replace("~", r"\(ti").replace('"', r"\(dq")
    return rf"\&{text}" if text.startswith(".") else text
