"""`akjob help` and `akjob new --full`."""

import re
import tomllib

import msgspec
import pytest

from akjob.spec.job import CODE, SECTIONS, TOP
from tests.unit.cli.root import Root


def test_help_shows_an_entry(root: Root) -> None:
    """By its full name or its last part; the rest is suggested."""
    assert root.akjob("help", "run.overlap").stdout == root.akjob("help", "overlap").stdout != ""
    assert root.akjob("help", "run.missed").stdout.count("run.missed  (") == 2
    assert "overlap  (key)" in root.akjob("help", "overlap").stdout
    assert "unknown-key  (problem)" in root.akjob("help", "unknown-key").stdout
    assert "run.finished  (event)" in root.akjob("help", "run.finished").stdout
    wrong = root.akjob("help", "overlapp")
    assert (wrong.exit_code, "Did you mean run.overlap" in wrong.stderr) == (2, True)
    assert "`validate` is a command: akjob validate --help" in root.akjob("help", "validate").stderr
    assert "max_an_hour  (setting)" in root.akjob("help", "channels.NAME.max_an_hour").stdout
    assert "AKJOB_SLOT  (variable)" in root.akjob("help", "AKJOB_SLOT").stdout
    assert "runs.slot  (column)" in root.akjob("help", "runs.slot").stdout
    assert 'example     run = { overlap = "queue" }' in root.akjob("help", "run.overlap").stdout


def test_help_lists_everything(root: Root) -> None:
    """A line each, of at most a hundred columns; as JSON an object each."""
    lines = root.akjob("help").stdout.splitlines()
    assert {"KEYS OF A JOB FILE", "PROBLEM CODES", "EVENTS"} <= set(lines)
    assert max(map(len, lines)) <= 100
    assert list(root.json("help")[0]) == ["name", "kind", "summary", "facts"]


def test_new_full_has_every_key(root: Root) -> None:
    """Each as a comment with its meaning: a value that the parser takes. The file is a good job as it stands."""
    assert root.akjob("new", "big", "--full", "--command", "true").exit_code == 0
    text = (root.paths.jobs_d / "big.toml").read_text()
    assert tomllib.loads(text)["command"] == "true"
    assert [one for one in root.json("validate") if one["severity"] == "error"] == []
    keys = {key for members in (TOP, *SECTIONS.values()) for key in members} - set(CODE) - set(SECTIONS) - {"expect"}
    assert {key for key in keys if f"\n# {key} = " not in text} == set()
    assert "# [[expect]]" in text
    assert "# [instances.emea]" in text


@pytest.mark.parametrize("section", ["", *SECTIONS])
def test_each_example_of_new_full_is_valid(root: Root, section: str) -> None:
    """Uncommented alone, no value is refused; what a calendar, pool or channel is named for is another matter."""
    root.akjob("new", "big", "--full", "--command", "true")
    lines = (root.paths.jobs_d / "big.toml").read_text().splitlines()
    (root.paths.jobs_d / "big.toml").unlink()
    current, tried = "", 0
    for line in lines:
        current = line.split("]")[0][1:] if line.startswith("[") else current
        if line.startswith("# [["):
            break
        if current != section or not re.match(r"# \w+ = ", line):
            continue
        tried += 1
        code = 'callable = "builtins:print"' if line.startswith(("# args", "# kwargs")) else 'command = "true"'
        head = f"[{section}]\n" if section else ""
        root.job("one", f"{code}\n{head}{line[2:]}\n")
        found = [msgspec.json.decode(one) for one in root.akjob("validate", "--json").stdout.splitlines()]
        wrong = {one["code"] for one in found if one["severity"] == "error"}
        assert {code for code in wrong if not code.endswith("-missing")} <= _NAMED_ELSEWHERE, (line, found)
    assert tried


_NAMED_ELSEWHERE = {
    "callable-not-found", "unknown-calendar", "unknown-pool", "unknown-channel", "after-unknown",
    "when-done-needs-runs",
}  # fmt: skip
