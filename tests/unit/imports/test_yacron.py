"""yacron's jobs become job files."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.imports import Import
from akjob.imports.yacron import read_yacron
from tests.unit.imports.build import notes, only, tables

WHOLE = """\
defaults:
  shell: /bin/bash
  environment: [{key: A, value: 1}]
  failsWhen: {producesStderr: false}
jobs:
- name: one
  command: echo "foobar"
  schedule: {minute: "*/5", dayOfWeek: mon-fri}
  environment: [{key: B, value: two}]
  env_file: etc/one.env
  concurrencyPolicy: Replace
  executionTimeout: 5.5
  killTimeout: 2
  user: www-data
  onFailure:
    report: {mail: {to: x}}
    retry: {maximumRetries: 10, initialDelay: 1, maximumDelay: 30, backoffMultiplier: 2}
- name: two
  command: [date, -u]
  schedule: "@reboot"
  utc: false
  enabled: false
"""


def read(text: str) -> Import:
    """Read as of a machine in Berlin."""
    return read_yacron(text, file="yacron.yaml", zone="Europe/Berlin")


def job(**keys: Any) -> dict[str, Any]:
    """Return the table of one job with these keys."""
    return only(read(yaml.safe_dump({"jobs": [{"name": "x", "command": "y", "schedule": "0 1 * * *", **keys}]})))


def test_all_keys() -> None:
    """Each finds its own, the defaults below it."""
    found = tables(read(WHOLE))
    assert found["one"] == {
        "command": ["/bin/bash", "-c", 'echo "foobar"'],
        "schedule": {"timezone": "UTC", "cron": "*/5 * * * mon-fri"},
        "run": {
            "timeout": "5s500ms",
            "kill_after": "2s",
            "overlap": "replace",
            "missed": "skip",
            "retry": {"attempts": 11, "delay": "1s", "factor": 2.0, "max_delay": "30s"},
            "env": {"A": "1", "B": "two"},
            "env_file": "etc/one.env",
            "user": "www-data",
        },
    }
    two = found["two"]
    assert (two["command"], two["enabled"]) == (["date", "-u"], False)
    assert two["schedule"] == {"timezone": "Europe/Berlin", "on_start": True}
    assert (two["run"]["timeout"], two["run"]["kill_after"], two["run"]["overlap"]) == ("none", "30s", "allow")
    assert [item.line for item in read(WHOLE).jobs] == [6, 18]
    assert notes(read(WHOLE)) == ["its reports are not translated: [notify] sends messages"]


@pytest.mark.parametrize(
    ("schedule", "cron", "enabled"),
    [
        ("*/5 1 * * *", "*/5 1 * * *", True),
        ("*/5 1 * * * *", "*/5 1 * * *", True),
        ("30 */5 1 * * * *", "30 */5 1 * * *", True),
        ("*/5 1 * * * 2030", "*/5 1 * * *", False),
        ({"second": 30, "hour": 2, "minute": 0}, "30 0 2 * * *", True),
    ],
)
def test_schedules(schedule: object, cron: str, enabled: bool) -> None:
    """Five fields, a year behind them, seconds before them; a year that counts disables the job."""
    table = job(schedule=schedule)
    assert (table["schedule"]["cron"], table.get("enabled", True)) == (cron, enabled)


def test_output_on_standard_error_is_no_failure_here_and_it_is_said() -> None:
    """Also what else yacron takes for a failure."""
    text = yaml.safe_dump(
        {"jobs": [{"name": "x", "command": "y", "schedule": "0 1 * * *", "failsWhen": {"always": True}}]}
    )
    said = notes(read(text))
    assert any("producesStderr" in note for note in said)
    assert any("failsWhen.always" in note for note in said)
    assert job(failsWhen={"nonzeroReturn": False})["run"]["success_codes"] == list(range(256))
    assert job(onFailure={"retry": {"maximumRetries": -1}})["run"]["retry"]["attempts"] == 1_000_000


def test_what_is_left_out_is_named() -> None:
    """Parts of the file, and keys of a job."""
    job = "{name: x, command: y, schedule: '@daily', statsd: {host: z}, failsWhen: {producesStderr: false}}"
    text = f"include: [a.yaml]\nweb: {{listen: [x]}}\njobs:\n- {job}\n"
    assert notes(read(text)) == ["include is not translated", "web is not translated", "statsd is not translated"]
    assert notes(read("jobs: [\n")) != []
    assert only(read("jobs: [{name: x}]"))["enabled"] is False


KEYS = st.sampled_from([
    "defaults", "jobs", "name", "command", "schedule", "shell", "environment", "key", "value", "user",
    "executionTimeout", "onFailure", "retry", "maximumRetries", "failsWhen", "producesStderr", "utc", "timezone",
    "enabled", "minute", "hour", "year", "second",
])  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers(-5, 10**6) | st.text(max_size=8) | st.floats()
ANYTHING = st.recursive(
    SCALARS, lambda one: st.lists(one, max_size=3) | st.dictionaries(KEYS, one, max_size=4), max_leaves=10
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(KEYS, ANYTHING, max_size=6), st.dictionaries(KEYS, ANYTHING, max_size=3))
def test_whatever_stands_in_it_what_comes_out_is_a_job(entry: dict[str, Any], defaults: dict[str, Any]) -> None:
    """No value makes it raise, and no job comes out that akjob would refuse."""
    tables(read(yaml.safe_dump({"defaults": defaults, "jobs": [entry]})))
