"""The reference is complete, and what is committed is what the program says."""

import ast
import importlib
import pkgutil
import re
import shlex
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner

import akjob.spec
from akjob.cli import COMMANDS, cli
from akjob.cli import help as help_command
from akjob.config import TABLES, Config, Paths, load_config
from akjob.keys.key import Key
from akjob.ledger import open_store
from akjob.query.reference import KINDS, Entry, entries
from akjob.query.reference.entry import LABELS, texts
from akjob.query.reference.settings import setting_names
from akjob.run.child import NAMES
from akjob.schedule import calendars
from akjob.schedule.events import EVENTS
from akjob.spec import codes, policy
from akjob.spec.expect import COUNT, EXPECT
from akjob.spec.job import DILL, SECTIONS, TOP
from akjob.spec.notify import PING
from akjob.spec.policy import ENV_FILE, RESOURCES, RETRY, SECRET
from akjob.spec.schema import json_schema
from akjob.spec.when import DATES, HOURS, MONTHLY, WEEKLY
from akjob.web.api.table import ROUTES
from akjob.web.problems import STATUS
from tests.docs.blocks import ROOT
from tests.docs.pages import CHAPTERS, DOCS, FOLDER, made

PACKAGE = ROOT / "akjob"
# every table of the parser, and where a job file has it
TABLES_OF_KEYS = {
    "": TOP,
    **SECTIONS,
    "dill": DILL,
    "expect": EXPECT,
    "expect.count": COUNT,
    "schedule.weekly": WEEKLY,
    "schedule.monthly": MONTHLY,
    **{f"schedule.{event.key}": event.table for event in EVENTS.values() if event.table},
    "limits.hours": HOURS,
    "limits.dates": DATES,
    "run.retry": RETRY,
    "run.resources": RESOURCES,
    "run.env.NAME": SECRET,
    "run.env_file": ENV_FILE,
    "notify.ping": PING,
    "notify.ping.url": SECRET,
}
# literals of the same form that are not events: what the page's buttons do, a file
NO_EVENTS = {"run.start", "run.stop", "job.pause", "job.resume", "node.drain", "node.resume", "node.forget", "runs.err"}


def of(kind: str) -> dict[str, Entry]:
    """Return the entries of one kind by name."""
    return {entry.name: entry for entry in entries() if entry.kind == kind}


@pytest.mark.parametrize("name", list(made()))
def test_what_is_committed_is_what_is_made(name: str) -> None:
    """Mend with ``make docs``."""
    assert (DOCS / name).read_text(encoding="utf-8") == made()[name]


def test_every_page_is_listed() -> None:
    """On the front page, by its title; there is no folder besides those of the chapters."""
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")} - {"README.md"}
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    assert {page for page in pages if f"]({page})" not in text} == set()
    assert {page.partition("/")[0] for page in pages} <= {*CHAPTERS, "architecture.md"}


def test_no_entry_is_there_twice() -> None:
    """A name means one thing of each kind; every entry says something, in labels that are known."""
    found = entries()
    assert len({(one.kind, one.name) for one in found}) == len(found)
    assert {one.kind for one in found} == set(KINDS)
    assert [one.name for one in found if not one.summary.strip() or not one.facts] == []
    assert [one.name for one in found for label, text in one.facts if not label or not text] == []


# -- keys


def test_every_key_has_its_entry_and_there_is_no_other() -> None:
    """Those of the parser's own tables, and ``instances``, which is taken apart before they are asked."""
    keys = {f"{table}.{name}".strip(".") for table, members in TABLES_OF_KEYS.items() for name in members}
    assert set(of("key")) == keys | {"instances"}


def test_no_table_of_the_parser_is_forgotten() -> None:
    """Whatever module of the parser makes one."""
    found: list[dict[str, Key]] = []
    for module in pkgutil.iter_modules(akjob.spec.__path__, "akjob.spec."):
        for value in vars(importlib.import_module(module.name)).values():
            found += [value] if isinstance(value, dict) and any(isinstance(one, Key) for one in value.values()) else []
    assert found
    assert [list(one) for one in found if not any(one is known for known in TABLES_OF_KEYS.values())] == []


def test_nothing_is_written_of_a_key_that_is_not_there() -> None:
    """And every key has more than its first sentence: at least what an edit does, and an example or what it does."""
    written = texts("keys")
    assert set(written) == {"top", *SECTIONS}
    assert set(written["top"]) == {*TOP, "instances", "*"}
    for section, members in SECTIONS.items():
        assert set(written[section]) - {"*"} == set(members), section
    labels = {label for section in written.values() for one in section.values() for label in one}
    assert labels <= set(LABELS)
    for name, entry in of("key").items():
        if name.count(".") <= (name.partition(".")[0] in SECTIONS) and name not in SECTIONS and "dill" not in name:
            known = dict(entry.facts)
            assert {"an edit", "where", "type"} <= set(known), name
            assert "example" in known or name.startswith("expect."), name


def test_every_key_and_setting_has_an_example_that_has_it() -> None:
    """A key of a job file two, the small one and a whole job; one within a table at least the job."""
    for kind in ("key", "setting"):
        for name, entry in of(kind).items():
            texts_of = [text for label, text in entry.facts if label == "example"]
            words = [word for word in name.split(".") if word != "NAME"]
            assert any(re.search(rf"(?<![\w-]){words[-1]}\b", text) for text in texts_of), name
            if kind == "key":
                jobs = [text for text in texts_of if re.search(r"^(callable|command|\[dill\])", text, re.MULTILINE)]
                assert jobs, name
                within = name.count(".") > (name.partition(".")[0] in SECTIONS)
                assert len(texts_of) > 1 or within, name


def test_every_key_says_what_holds_without_it() -> None:
    """Its default, or that there is none; and what an edit does."""
    for name, entry in of("key").items():
        assert name in SECTIONS or {"default", "an edit"} <= {label for label, _ in entry.facts}, name


def test_every_code_that_an_entry_names_is_there() -> None:
    """A word with hyphens in code, in the parentheses in which codes stand."""
    named = {
        code
        for entry in entries()
        for _, text in entry.facts
        for group in re.findall(r"\((`[a-z]+-[a-z-]+`(?:, `[a-z-]+`)*)", text)
        for code in re.findall(r"`([a-z-]+)`", group)
    }
    assert len(named) > len("a few")
    assert named <= set(codes.CODES)


def test_editors_show_the_first_sentences() -> None:
    """What the JSON Schema says of a key is how its entry begins."""
    page = (FOLDER / "job-file.md").read_text(encoding="utf-8")
    seen = 0
    for name, schema in json_schema()["properties"].items():
        inner = schema.get("properties", {}) if name in SECTIONS else {}
        for key, one in {name: schema, **{f"{name}.{inner}": value for inner, value in inner.items()}}.items():
            assert f"### {key}\n\n{one['description']}" in page, key
            assert of("key")[key].summary == one["description"]
            seen += 1
    assert seen == len(TOP) + 1 + sum(map(len, SECTIONS.values()))


# -- settings


def test_every_setting_has_its_entry_and_there_is_no_other() -> None:
    """Those of the tables that etc/akjob.toml is read with."""
    assert set(texts("settings")) == set(setting_names()) == set(of("setting"))
    assert set(TABLES["calendars.NAME"]) == set(calendars.KEYS)


def test_no_table_of_the_settings_is_forgotten() -> None:
    """What ``read_table_keys`` is handed is one of those that the reference knows, or the table of a secret."""
    known = {id(one) for one in TABLES.values()}
    seen = 0
    for file in sorted((PACKAGE / "config").glob("*.py")):
        module = importlib.import_module("akjob.config" + ("" if file.stem == "__init__" else f".{file.stem}"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "read_table_keys"
            if isinstance(node, ast.Call) and called and isinstance(node.args[3], ast.Name):
                assert id(getattr(module, node.args[3].id)) in known, node.args[3].id
                seen += 1
    assert seen > len("some")


def test_the_defaults_of_the_settings_are_those_of_the_program(tmp_path: Path) -> None:
    """Written out, they change nothing."""
    lines: dict[str, list[str]] = {}
    for name, one in texts("settings").items():
        table, _, key = name.rpartition(".")
        if "default" in one and "NAME" not in name:
            lines.setdefault(table, []).append(f"{key} = {one['default']}")
    needed = {"heartbeat": 'url = "https://example.org/x"', "cluster": 'url = "postgresql://a@b/c"'}
    text = "\n".join(lines.pop(""))
    for table, own in lines.items():
        text += f"\n[{table}]\n" + "\n".join([*own, *([needed[table]] if table in needed else [])])
    (tmp_path / "akjob.toml").write_text(text)
    written, problems = load_config(tmp_path / "akjob.toml")
    assert problems == []
    bare = "\n".join(f"[{table}]\n{line}" for table, line in needed.items())
    (tmp_path / "akjob.toml").write_text(bare)
    plain, problems = load_config(tmp_path / "akjob.toml")
    assert problems == []
    fields = [name for name in Config.__struct_fields__ if name not in {"text", "file"}]
    assert {name: getattr(written, name) for name in fields} == {name: getattr(plain, name) for name in fields}


# -- variables, columns, events, answers


def test_every_variable_has_its_entry_and_there_is_no_other() -> None:
    """Those that a job file may not set, which are those that a run gets."""
    assert set(of("variable")) == set(policy.RESERVED) >= set(NAMES)
    assert set(re.findall(r"`(AKJOB_\w+)`", dict(of("key")["run.env"].facts)["with others"])) == set(policy.RESERVED)


def test_every_column_has_its_entry_and_there_is_no_other(tmp_path: Path) -> None:
    """Those of a ledger as akjobd makes it; PostgreSQL's has the same tables."""
    paths = Paths(tmp_path)
    paths.var.mkdir()
    open_store(paths.ledger_url, "here").close()
    with sqlite3.connect(paths.db) as db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {
            name: {row[1] for row in db.execute(f'PRAGMA table_info("{name}")')}
            for name in names
            if not name.startswith("sqlite_")
        }
    db.close()
    written = texts("ledger")
    assert {name: set(columns) - {"*"} for name, columns in written.items()} == found
    assert set(of("column")) == {*found, *(f"{table}.{name}" for table, columns in found.items() for name in columns)}


def test_every_event_has_its_entry_and_there_is_no_other() -> None:
    """Those whose names stand in the code of akjob."""
    sources = "daemon|jobs|job|run|ledger|node|zygote|runs|var|collector|web|notify"
    form = re.compile(rf"({sources})\.(?!(d|db|sock|cache|html|toml|conf|json|py|css|js)$)[a-z]+(_[a-z]+)*")
    written = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            value = node.value if isinstance(node, ast.Constant) else None
            for text in (value,) if isinstance(value, str) else ():
                if form.fullmatch(text):
                    written.add(text)
    keys = {*of("key"), *of("setting"), *of("column")}
    assert written - set(of("event")) - keys - NO_EVENTS == set()
    # of these the code puts the name together
    assert set(of("event")) - written - {"run.skipped", "run.missed"} == set()


def test_every_answer_has_its_entry_and_there_is_no_other() -> None:
    """The codes that akjob-web has a status for."""
    assert list(of("answer")) == list(STATUS)


# -- commands and routes


def walk(command: click.Command, path: str) -> dict[str, click.Command]:
    """Return a command and those below it by their whole names."""
    found = {path: command}
    for name, one in (command.commands if isinstance(command, click.Group) else {}).items():
        found |= walk(one, f"{path} {name}")
    return found


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_and_option_is_there(name: str) -> None:
    """Each in the section of its command."""
    page = (FOLDER / "commands.md").read_text(encoding="utf-8")
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    for path, one in walk(command, f"akjob {name}").items():
        (section,) = re.findall(rf"^##+ {re.escape(path)}\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
        for option in one.params:
            flags = option.opts if isinstance(option, click.Option) and not option.hidden else []
            assert [flag for flag in flags if flag not in section] == [], path


def examples(command: click.Command, path: str) -> list[list[str]]:
    """Return the words of each example of a command, up to a pipe, a redirection or a comment."""
    found = []
    for line in (command.epilog or "").splitlines():
        lexer = shlex.shlex(line.strip(), posix=True, punctuation_chars="|>&;")
        lexer.whitespace_split = True
        words = list(lexer) if line.strip().startswith("akjob ") else []
        ends = [index for index, word in enumerate(words) if set(word) <= set("|>&;")]
        found += [words[: ends[0] if ends else None]] if words and line.strip().startswith(path) else []
    return found


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_examples_of_a_command_have_its_options(name: str) -> None:
    """What ``--help`` and the page show can be typed."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    own = ["--root", "--help", "--version"]
    for path, one in walk(command, f"akjob {name}").items():
        below = [option for inner in walk(one, path).values() for option in inner.params]
        flags = {flag for option in below for flag in (*option.opts, *option.secondary_opts)}
        for words in examples(one, path):
            given = [word.partition("=")[0] for word in words if word.startswith("--") and word != "--"]
            assert set(given) <= {*flags, *own}, words


def test_every_route_is_there() -> None:
    """And no other."""
    page = (FOLDER / "api.md").read_text(encoding="utf-8")
    named = re.findall(r"^### (GET|POST|DELETE) (\S+)", page, re.MULTILINE)
    assert named == [(one.method, re.sub(r":\w+}", "}", one.path)) for one in ROUTES]


# -- akjob help


def printed(*args: str) -> Any:
    """Return what ``akjob help`` prints as JSON."""
    done = CliRunner().invoke(help_command.command, [*args, "--json"])
    assert done.exit_code == 0, done.output
    return [msgspec.json.decode(line) for line in done.stdout.splitlines()]


def test_help_prints_every_entry() -> None:
    """The list has all, and each name leads to its own."""
    assert len(printed()) == len(entries())
    for name in {entry.name for entry in entries()}:
        kinds = {one["kind"] for one in printed(name) if one["name"] == name}
        assert kinds == {entry.kind for entry in entries() if entry.name == name}


# What somebody asked in vain who wrote seventeen jobs by hand; the entry that answers, and the words that do.
QUESTIONS = [
    ("does env or env_file win", "run.env", "`env` wins over `env_file`"),
    ("is $VAR expanded", "run.env", "Nothing is expanded"),
    ("which PATH applies", "run.path", "else akjobd's own: under `akjob up` akjob's venv, then the PATH"),
    ("how is PATH extended", "run.path", "Put in front of PATH"),
    ("which AKJOB_* variables are there", "AKJOB_PREVIOUS_SLOT", "The job's slot before this one"),
    ("cron's dialect", "schedule.cron", "`L` is the last day and `LW` the last one from Monday to Friday"),
    ("do limits hold for retries", "limits", "they are not asked again for a retry"),
    ("do limits hold for queued runs", "limits", "for a run that was queued behind another one"),
    ("do limits hold for caught-up runs", "limits", "for one that is made up for later"),
    ("does waiting for a lock count into timeout", "run.timeout", "neither waiting for a lock"),
    ("how do missed and overlap go together", "run.missed", "with `all` a slot that comes while others are made up"),
    ("how are _defaults.toml merged", "run.env", "merged name by name; every other key is replaced whole"),
    ("what is HOME under user", "run.user", "HOME, USER, LOGNAME and SHELL are those of the user"),
    ("how does one hear of failures", "notify.channels", "Each gets a message for the events that `on` names"),
    (
        "what does again_after count from",
        "schedule.again_after",
        "a run that failed, timed out or was run by hand counts",
    ),
]


@pytest.mark.parametrize(("question", "name", "answer"), QUESTIONS)
def test_what_newcomers_ask_has_an_answer(question: str, name: str, answer: str) -> None:
    """In the entry of the key that they would look at."""
    found = [entry for entry in entries() if entry.name == name]
    said = " ".join(text for entry in found for text in (entry.summary, *(text for _, text in entry.facts)))
    assert answer in said, question


def test_examples_are_toml() -> None:
    """Those that the page has as blocks, which are validated there, and the short ones of the parser's tables."""
    for entry in entries():
        for label, text in entry.facts:
            if label == "example" and "=" in text and entry.kind in {"key", "setting"}:
                assert tomllib.loads(text), entry.name
