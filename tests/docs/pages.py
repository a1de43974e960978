"""What of docs/ is made from the program: the reference, and the list of all pages.

``make docs`` writes it, a test compares it.
"""

import importlib
import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import click
from starlette.routing import compile_path

from akjob.cli import COMMANDS, cli
from akjob.query.reference import Entry, entries
from akjob.query.reference.ledger import tables
from akjob.spec import codes
from akjob.spec.job import SECTIONS
from akjob.testing import plugin
from akjob.web.api.table import ROUTES as API
from akjob.web.app import ROUTES
from akjob.web.problems import STATUS
from akjob.web.routes import Route
from tests.docs.blocks import ROOT

DOCS = ROOT / "docs"
FOLDER = DOCS / "reference"
CHAPTERS = {
    "start": ("Start", "Ten minutes from the installation to a job that failed at night and sent a message."),
    "how-to": ("How to", "One question a page."),
    "reference": ("Reference", "Everything there is; `akjob help KEY` prints the same."),
    "explain": ("Explain", "Why it is as it is, what it promises, what it costs."),
}
_EXIT_CODES = (
    ("0", "fine; warnings too"),
    ("1", "problems found; of `akjob run` a run that failed without an exit code of its own"),
    ("2", "wrong usage"),
    ("3", "akjobd cannot be reached"),
    ("128 + N", "of `akjob run`: signal N ended the run"),
)


@cache
def made() -> dict[str, str]:
    """Return the text of each page by its path below docs/."""
    makers: dict[str, Callable[[], Iterable[str]]] = {
        "job-file.md": _job_file,
        "settings.md": _settings,
        "variables.md": _variables,
        "commands.md": _commands,
        "api.md": _api,
        "ledger.md": _ledger,
        "python.md": _python,
    }
    pages = {f"reference/{name}": "\n".join(make()).rstrip() + "\n" for name, make in makers.items()}
    return pages | {"reference/problems.md": codes.page(), "README.md": _contents(), "../zensical.toml": _site()}


def _pages_of(folder: str) -> list[Path]:
    return sorted((DOCS / folder).glob("*.md"), key=lambda page: (page.name != "README.md", page.name))


def _site() -> str:
    """Return the settings of the site with all pages in its navigation."""
    text = (DOCS / "../zensical.toml").read_text(encoding="utf-8")
    lines = ['    "README.md",']
    for folder, (title, _) in CHAPTERS.items():
        own = [f'"{folder}/{page.name}"' for page in _pages_of(folder)]
        own += ['"architecture.md"'] if folder == "explain" else []
        if own:  # a chapter without a page would be a link to nowhere
            lines += [f'    {{ "{title}" = [', *(f"        {one}," for one in own), "    ] },"]
    listed = "\n".join(lines)
    return re.sub(r"(?<=^nav = \[\n).*?(?=^\]\n# end of nav)", f"{listed}\n", text, flags=re.MULTILINE | re.DOTALL)


def _contents() -> str:
    """Return the front page with the list of all pages in it."""
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    head, _, rest = text.partition("<!-- pages -->\n")
    _, _, tail = rest.partition("<!-- /pages -->\n")
    lines = []
    for folder, (title, about) in CHAPTERS.items():
        lines += [f"## {title}", "", about, ""]
        lines += [f"- [{_title(page)}]({folder}/{page.name})" for page in _pages_of(folder)]
        lines += ["- [Architecture: the map of the code](architecture.md)"] if folder == "explain" else []
        lines.append("")
    listed = "\n".join(lines)
    return f"{head}<!-- pages -->\n\n{listed}\n<!-- /pages -->\n{tail}"


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def _of(kind: str) -> list[Entry]:
    return [entry for entry in entries() if entry.kind == kind]


def _cell(text: str) -> str:
    """Return a text as a cell. No two programs agree on a bar within code, so such code is written in HTML."""
    text = re.sub(r"`([^`]*\|[^`]*)`", lambda code: f"<code>{escape(code[1])}</code>", text.replace("\n", " "))
    return text.replace("|", "&#124;")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |".replace("|  |  |", "| | |")
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(map(_cell, row))} |".replace("|  |", "| |") for row in rows)
    yield ""


# -- keys and settings


def _job_file() -> Iterator[str]:
    yield from (
        "# The job file",
        "",
        "One TOML file below `jobs.d/` is one job: `jobs.d/reports/nightly.toml` is the job `reports/nightly`. Every",
        "key is here. `akjob help KEY` prints the same entries, `akjob new JOB --full` writes a file with all of them,",
        "and an editor that knows JSON Schema shows their first sentences.",
        "",
        "## Where a value comes from",
        "",
        "The nearest wins, key by key: an instance's own table, the job file, the `_defaults.toml` of its folder,",
        "those of the folders above it, `etc/akjob.toml`, the default. Values are taken whole: a `retry` in a job file",
        "replaces the one of `_defaults.toml`, its `delay` too. Only `env` is merged, name by name (and `kwargs` in",
        "instances). `_defaults.toml` may hold every key but the code to run, triggers, `limits.runs` and `instances`.",
        "`akjob show JOB` prints the outcome.",
        "",
        'Durations are strings such as `"250ms"`, `"30s"`, `"1h30m"`, `"2d"`, `"1w"`, or ISO 8601 (`"PT90M"`);',
        'sizes are `"512MiB"` or `"2GB"`; times, dates and date-times are TOML\'s own, without quotes. Paths are',
        "relative to the root, and nothing is expanded in them.",
        "",
        "An entry has a line for cron, systemd and Kubernetes where these have something like it, and none where they",
        "have not. Its first example is the key alone, its second a whole job; a key within a table is in the examples",
        "of its table.",
        "",
    )
    sections = {name: [] for name in ("", *SECTIONS)}  # type: dict[str, list[Entry]]
    for entry in _of("key"):
        section, _, rest = entry.name.partition(".")
        sections[section if section in SECTIONS and rest else ""].append(entry)
    for section, found in sections.items():
        yield from (f"## {f'[{section}]' if section else 'At the top'}", "")
        shown = [one for one in found if one.name.count(".") <= bool(section)]
        for entry in shown:
            inner = [one for one in found if one.name.startswith(f"{entry.name}.")]
            yield from _entry(entry, inner)


def _entry(entry: Entry, inner: list[Entry]) -> Iterator[str]:
    facts, details = _facts(entry)
    yield from (f"### {entry.name}", "", " ".join([entry.summary, *details]), "")
    yield from _table(facts[0], facts[1:])
    for label, text in entry.facts:
        if label == "example" and "=" in text:
            yield from ("```toml", text, "```", "")
    if inner:
        rows = []
        for one in inner:
            known = dict(one.facts)
            default = f"`{known['default']}`" if "default" in known else ""
            rows.append((f"`{one.name.removeprefix(f'{entry.name}.')}`", known["type"], default, one.summary))
        yield from _table(("key of its table", "type", "default", "meaning"), rows)


def _facts(entry: Entry) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the facts for a table, and the paragraph before it."""
    facts = [(label, f"`{text}`" if label == "default" else text) for label, text in entry.facts]
    apart = {"details", "example"}
    return [one for one in facts if one[0] not in apart], [text for label, text in facts if label == "details"]


def _settings() -> Iterator[str]:
    yield from (
        "# Settings: etc/akjob.toml",
        "",
        "All keys may be left out, and so may the file. `akjob validate` checks it, `akjob help KEY` prints these",
        'entries. A wrong value costs itself alone: its default holds. A value `{ file = "/run/secrets/x" }` is read',
        "from that file when it is needed, one newline at its end cut. A key within a table is in the examples of its",
        "table.",
        "",
    )
    shown = set()
    for entry in _of("setting"):
        facts, details = _facts(entry)
        mark = "###" if "." in entry.name else "##"
        yield from (f"{mark} {entry.name}", "", " ".join([entry.summary, *details]), "")
        yield from _table(facts[0], facts[1:])
        for label, text in entry.facts:
            if label == "example" and text not in shown:  # a key has those of its table, which stand there
                shown.add(text)
                yield from ("```toml", "# etc/akjob.toml", text, "```", "")


def _variables() -> Iterator[str]:
    yield from (
        "# What a run finds: variables, PATH, HOME",
        "",
        "A run has the environment of akjobd, without `SUPERVISOR_*`, then HOME, USER, LOGNAME and SHELL of",
        "[`user`](job-file.md#runuser) (of akjobd's own user where these are not set), then",
        "[`env_file`](job-file.md#runenv_file), then [`env`](job-file.md#runenv), then [`path`](job-file.md#runpath)",
        "in front of PATH, then the variables below. Later ones win. Nothing is expanded. Its folder is",
        "[`cwd`](job-file.md#runcwd), else the root; standard input is `/dev/null`.",
        "",
    )
    yield from _table(("variable", "meaning"), ((f"`{one.name}`", one.summary) for one in _of("variable")))


def _ledger() -> Iterator[str]:
    yield from (
        "# The ledger: tables and columns",
        "",
        "`var/akjob.db` is SQLite in WAL mode; akjobd alone writes it, and its user and root may read it.",
        "Times are UTC as text with six decimals and `Z`, so that they sort. With `[cluster]` the same tables are in",
        "PostgreSQL, beside those of the nodes; `seen_files` has what any node saw last there, `seen_by_node` what",
        "each has seen.",
        "`[ledger] keep` prunes rows; see [settings](settings.md#ledgerkeep).",
        "",
    )
    found = {entry.name: entry for entry in _of("column")}
    for table, columns in tables().items():
        yield from (f"## {table}", "", found[table].summary, "")
        rows = [
            (f"`{name}`", f"{kind}{', may be NULL' if null else ''}", found[f"{table}.{name}"].summary)
            for name, kind, null in columns
        ]
        yield from _table(("column", "type", "meaning"), rows)


# -- commands


def _commands() -> Iterator[str]:
    yield from (
        "# Commands and options",
        "",
        "`akjob COMMAND --help` prints the same. The root is `--root DIR`, else `$AKJOB_ROOT`, else the nearest folder",
        "upward with `etc/akjob.toml` or `jobs.d/`. `--json` prints one JSON object a line and nothing else on",
        "standard output; errors go to standard error.",
        "",
    )
    yield from _table(("exit code", "meaning"), _EXIT_CODES)
    context = click.Context(cli, info_name="akjob")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if command is not None:
            yield from _command(command, click.Context(command, info_name=name, parent=context))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    level = "##" if context.command_path.count(" ") == 1 else "###"
    yield from (f"{level} {context.command_path}", "", f"`{usage}`", "")
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        if paragraph.startswith("\b"):
            yield from ("```text", *paragraph.strip("\b\n").splitlines(), "```", "")
        else:
            yield from (" ".join(paragraph.split()), "")
    records = [option.get_help_record(context) for option in command.get_params(context)]
    options = [(f"`{record[0]}`", record[1]) for record in records if record is not None]
    yield from _table(("option", "meaning"), options)
    for block in (command.epilog or "").split("\b\n"):
        head, _, rest = block.strip("\n").partition("\n")
        if head.startswith("Example"):
            yield from ("```text", *inspect.cleandoc(f"\n{rest}").splitlines(), "```", "")
    for name, one in (command.commands if isinstance(command, click.Group) else {}).items():
        yield from _command(one, click.Context(one, info_name=name, parent=context))


# -- the API


def _api() -> Iterator[str]:
    yield from (
        "# The HTTP API and the routes of akjob-web",
        "",
        "JSON with the keys of the commands' `--json`. Without a credential every route answers 401, but those that",
        "need nothing. `Authorization: Bearer akj_…` has a token of `akjob token create`. Lists are",
        '`{"items": […], "next_cursor": …}`, with `limit` (1 to 1000, 100 unless given) and `cursor`;',
        "`Accept: application/x-ndjson` streams a list. `GET /api/v1/openapi.json` describes all of it for programs.",
        "",
        "## Routes of the API",
        "",
    )
    for route in API:
        yield from _route(route)
    yield from ("## Other routes", "")
    others: list[Route] = [one for one in ROUTES if one not in API]
    rows = [
        (
            f"`{one.method} {_path(one)}`",
            str(one.needs),
            inspect.getdoc(one.handler) or "What a button of the page does.",
        )
        for one in others
    ]
    yield from _table(("route", "needs", "answers"), ((a, b, c.partition("\n\n")[0]) for a, b, c in rows))
    yield from (
        "## Problems",
        "",
        "What goes wrong is `application/problem+json` (RFC 9457), with `type`, `title`, `status`, `detail`, `code`,",
        "`hint`.",
        "",
    )
    meanings = {entry.name: entry.summary for entry in _of("answer")}
    rows = [(f"`{code}`", f"{status.value} {status.phrase}", meanings[code]) for code, status in STATUS.items()]
    yield from _table(("code", "status", "meaning"), rows)


def _keys(answer: Any) -> tuple[str, ...]:
    """Return the keys of an answer; of a list, those of its items."""
    (item,) = typing.get_args(answer) or (answer,)
    names: tuple[str, ...] = item.__struct_encode_fields__
    return names if item is answer else ("items", "next_cursor", *(f"items[].{name}" for name in names))


def _path(route: Route) -> str:
    return re.sub(r":\w+}", "}", route.path)


def _route(route: Route) -> Iterator[str]:
    answers = route.answers
    assert answers is not None, route.path
    compile_path(route.path)  # what is written here is a path
    yield from (f"### {route.method} {_path(route)}", "", answers.about, "")
    facts = [("needs", route.needs), ("answers", f"{answers.status}, {answers.media_type}")]
    if answers.body is not None:
        facts.append(("body", ", ".join(f"`{name}`" for name in answers.body.__struct_encode_fields__)))
    facts += [(f"`?{one.name}=`", one.about) for one in answers.parameters]
    if answers.answer is not None:
        facts.append(("keys", ", ".join(f"`{name}`" for name in _keys(answers.answer))))
    if answers.codes:
        facts.append(("problems", ", ".join(f"`{code}`" for code in answers.codes)))
    yield from _table(facts[0], facts[1:])


# -- Python

_MODULES = {
    "akjob": "In a run's own code.",
    "akjob.testing": "In tests of job files; needs no pytest.",
    "akjob.models": "Jobs as Python objects: makes, reads and writes job files.",
}


def _python() -> Iterator[str]:
    yield from ("# Python and pytest", "")
    for name, about in _MODULES.items():
        module = importlib.import_module(name)
        yield from (f"## {name}", "", about, "")
        for public in module.__all__:
            if not public.startswith("__"):
                yield from _public(f"{name}.{public}", getattr(module, public))
    yield from (
        "## The pytest plug-in",
        "",
        "pytest finds it by itself where akjob is installed. `pytest --akjob jobs.d/` checks each job file as a test.",
        "",
    )
    fixtures = [
        (f"`{name}`", _first(one))
        for name, one in vars(plugin).items()
        if not name.startswith("_") and type(one).__name__ == "FixtureFunctionDefinition"
    ]
    yield from _table(("fixture", "is"), fixtures)


def _public(name: str, thing: Any) -> Iterator[str]:
    yield from (f"### {name}", "")
    if inspect.isclass(thing) and issubclass(thing, Exception):
        yield from (_first(thing), "")
        return
    if not inspect.isclass(thing):
        returned = _returned(thing)
        yield from (f"`{name.rpartition('.')[2]}{_signature(thing)}`", "", _whole(thing), "")
        if returned is None:
            return
        thing = returned
    yield from (_whole(thing), "")
    members = [
        (f"`{key}{_signature(one) if inspect.isfunction(one) else ''}`", _first(one))
        for key, one in vars(thing).items()
        if not key.startswith("_") and (inspect.isfunction(one) or isinstance(one, property))
    ]
    if members:
        yield from _table(("member", "is"), members)


def _returned(function: Any) -> Any:
    """Return the class of akjob that ``current_run`` gives; others are described on their own."""
    if function.__name__ != "current_run":
        return None
    return inspect.getmodule(function).CurrentRun  # type: ignore[union-attr]


def _signature(function: Any) -> str:
    try:
        signature = inspect.signature(function)
    except ValueError:
        return "()"
    kept = [
        one.replace(annotation=inspect.Parameter.empty) for name, one in signature.parameters.items() if name != "self"
    ]
    return str(signature.replace(parameters=kept, return_annotation=inspect.Signature.empty))


def _whole(thing: Any) -> str:
    text = inspect.getdoc(thing) or ""
    return _plain(re.sub(r"\n\n    .*", "", text, flags=re.DOTALL))


def _first(thing: Any) -> str:
    text = inspect.getdoc(getattr(thing, "fget", None) or getattr(thing, "_fixture_function", None) or thing) or ""
    return _plain(text.partition("\n\n")[0])


def _plain(text: str) -> str:
    """Return a docstring's text as Markdown, a line for each paragraph."""
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return re.sub(r":\w+:`~?\.?([^`]+)`", r"`\1`", text).replace("``", "`")


def main() -> None:
    """Write the pages that differ; ``--check`` only says which these are."""
    wrong = [name for name, text in made().items() if not _is(DOCS / name, text)]
    for name in wrong:
        sys.stdout.write(f"{'differs' if '--check' in sys.argv else 'wrote'} {os.path.normpath(f'docs/{name}')}\n")
        if "--check" not in sys.argv:
            (DOCS / name).write_text(made()[name], encoding="utf-8")
    if wrong and "--check" in sys.argv:
        raise SystemExit(1)


def _is(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    main()
