# ruff: noqa: E501 - texts stand as they are
"""The JSON Schema says what the parser says, and the page of problems what the registry says."""

import ast
import tomllib
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from akjob.keys.key import Keys  # noqa: TC001 - no cycle, no cost
from akjob.schedule.events import EVENTS
from akjob.spec import json_schema, parse_job
from akjob.spec.codes import CODES
from akjob.spec.expect import COUNT, EXPECT
from akjob.spec.job import DILL, SECTIONS, TOP
from akjob.spec.notify import PING
from akjob.spec.policy import ENV_FILE, RESOURCES, RETRY, SECRET
from akjob.spec.when import DATES, HOURS, MONTHLY, WEEKLY
from tests.unit.spec.test_golden import FILES, problems_of
from tests.unit.spec.test_parse import EXAMPLE

ROOT = Path(__file__).parents[3]
SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


def as_json(value: Any) -> Any:
    """Return a TOML value as language servers hand it to a schema: dates and times are texts."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.isoformat() if isinstance(value, (date, time, datetime)) else value


def is_valid(text: str) -> bool:
    """Return True if the schema takes a file."""
    return bool(VALIDATOR.is_valid(as_json(tomllib.loads(text))))


def test_the_schema_is_a_schema() -> None:
    """Draft-07, which Taplo and Tombi read."""
    jsonschema.Draft7Validator.check_schema(SCHEMA)


def property_tables(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every table of keys in a schema."""
    if "properties" in schema and "additionalProperties" in schema:
        yield schema
    for value in schema.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield from property_tables(inner)


def test_the_keys_of_the_schema_are_those_of_the_parser() -> None:
    """No table of the schema has a key more or less than the parser's, and each has its words."""
    ours: list[Keys] = [
        TOP,
        *SECTIONS.values(),
        DILL,
        WEEKLY,
        MONTHLY,
        *(event.table for event in EVENTS.values() if event.table),
        HOURS,
        DATES,
        RETRY,
        RESOURCES,
        SECRET,
        ENV_FILE,
        EXPECT,
        COUNT,
        PING,
    ]
    tables = list(property_tables({**SCHEMA, "properties": {**SCHEMA["properties"]}}))
    file = next(table for table in tables if "instances" in table["properties"])
    file["properties"] = {name: value for name, value in file["properties"].items() if name != "instances"}
    assert {tuple(table["properties"]) for table in tables} == {tuple(members) for members in ours}
    for table in tables:
        assert table["additionalProperties"] is False
        for name, member in table["properties"].items():
            assert member["description"].endswith("."), name


def test_defaults_of_the_schema_are_those_of_the_model() -> None:
    """A file that writes out every default means the same as one that leaves them out."""
    lines = {key.name: key.default for key in SECTIONS["run"].values() if key.default is not None}
    bare = parse_job("a", "a.toml", 'callable = "a:b"').spec
    from akjob.spec import to_toml  # noqa: PLC0415

    top = {key.name: key.default for key in TOP.values() if key.default is not None}
    schedule = {key.name: key.default for key in SECTIONS["schedule"].values() if key.default is not None}
    limits = {key.name: key.default for key in SECTIONS["limits"].values() if key.default is not None}
    full = to_toml({**top, "callable": "a:b", "run": lines, "schedule": schedule, "limits": limits})
    spec = parse_job("a", "a.toml", full).spec
    assert bare is not None
    assert spec is not None
    assert spec.run == bare.run
    assert (spec.schedule, spec.when_done, spec.enabled, spec.tags) == (bare.schedule, "keep", True, ())


GOOD = [
    EXAMPLE,
    'command = ["date", "-u"]\n[schedule]\nat = [2026-01-01T00:00:00Z, 2026-01-01T00:00:00]\nmonthly = [{ days = [1, -1, "last Sun", "FIRST MON"], at = [01:00:00] }]\n',
    'command = "x"\n[schedule]\nevery = "PT90M"\njitter = "1h30m"\ncron = ["@daily"]\n[limits]\nmonths = [1, "FEB"]\nweekdays = ["Monday"]\n',
    'command = "x"\n[run]\ntimeout = "none"\numask = "0027"\nenv = { A = "1", B = { file = "/x" } }\nresources = { memory = "1GiB" }\n',
]


@pytest.mark.parametrize("text", GOOD)
def test_good_files_fit_the_schema(text: str) -> None:
    """What the parser takes, an editor does not mark."""
    assert parse_job("a", "a.toml", text).spec is not None
    assert list(VALIDATOR.iter_errors(as_json(tomllib.loads(text)))) == []


def test_the_examples_of_the_repository_fit_the_schema() -> None:
    """The jobs that come with akjob are marked neither by the parser nor by an editor."""
    for path in sorted((ROOT / "jobs.d").rglob("[!_.]*.toml")):
        text = path.read_text(encoding="utf-8")
        assert [str(problem) for problem in parse_job("a", str(path), text).problems] == []
        assert list(VALIDATOR.iter_errors(as_json(tomllib.loads(text)))) == [], path


# Mistakes that a schema cannot know of, or that are about more than one key.
BEYOND = {
    "args-of-command", "bad-callable", "bad-cron", "bad-day", "bad-dill", "bad-duration", "bad-value", "cron-both-days", "cron-uneven", "day-passed-over", "every-moves", "fires-in-gap-only",
    "duplicate-value", "equal-hours", "in-the-past", "kwargs-name", "never-fires", "no-effect", "out-of-range", "reserved-env",
    "reversed-dates", "sub-second", "toml-syntax", "trigger-never-fires", "unknown-zone", "unknown-calendar",
}  # fmt: skip


# Texts to a schema, which `akjob validate` knows to be no dates, times or programs.
TEXTS = {"at-as-text", "at-date-only", "daily-as-text", "dates-as-text", "command-empty-program"}


def beyond(path: Path) -> bool:
    """Return True if a golden file has nothing that a schema could mark."""
    codes = {problem.code for problem in problems_of(path)}
    return codes <= BEYOND or path.stem.startswith("defaults-") or path.stem in TEXTS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_bad_files_do_not_fit_the_schema(path: Path) -> None:
    """What the parser refuses for its keys, types, patterns or choices, an editor marks."""
    if beyond(path):
        return
    assert not is_valid(path.read_text(encoding="utf-8"))


# -- the registry of problems


def literals(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each text that is given as a code to Problem(…), Fault(…), Finding(…) or out.bad(…), and its line."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
        if name in {"bad", "_warn"}:
            given += node.args[1:2]
        if name == "Finding":
            given += node.args[2:3]
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value, node.lineno


def test_every_code_that_is_used_is_registered() -> None:
    """Nobody reports a problem that the page does not explain."""
    unknown = [
        f"{path.relative_to(ROOT)}:{line}: {code}"
        for path in sorted((ROOT / "akjob").rglob("*.py"))
        for code, line in literals(ast.parse(path.read_text(encoding="utf-8")))
        if code not in CODES
    ]
    assert unknown == []


def test_every_registered_code_is_used() -> None:
    """The page explains nothing that does not exist."""
    texts = {
        node.value
        for path in sorted((ROOT / "akjob").rglob("*.py"))
        if path.name != "codes.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    made = {f"{before}{text}" for before in ("dill-", "unknown-") for text in texts if before in texts}
    assert sorted(set(CODES) - texts - made) == []
