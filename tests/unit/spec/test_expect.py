"""Expectations: what the author of a schedule means holds, or the file is refused with a slot that shows why not."""

import pytest

from akjob.instants import from_text
from akjob.spec import load_definition, parse_defaults, parse_job, parse_jobs

NOW_US = from_text("2026-11-30T00:00:00Z")
HEAD = """\
command = "true"
[schedule]
timezone = "Europe/Berlin"
"""


def failures(schedule: str, expected: str, now_us: int | None = NOW_US) -> list[str]:
    """Return line and message of each expectation that fails, for a schedule of one line or several."""
    text = f"{HEAD}{schedule}\n[[expect]]\n{expected}\n"
    [result] = parse_jobs("a", "jobs.d/a.toml", text, check_us=now_us)
    assert (result.spec is None) == any(one.severity == "error" for one in result.problems)
    assert all(one.line > 4 for one in result.problems), result.problems
    return [f"{one.code}: {one.message}" for one in result.problems]


WEEKDAYS = 'weekly = { days = ["mon-fri"], at = 09:30:00 }'


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (WEEKDAYS, "fires = 2027-03-29T09:30:00"),
        (WEEKDAYS, "fires = 2027-03-29T07:30:00Z"),
        (WEEKDAYS, "fires = [2027-03-29T09:30:00, 2027-03-30T09:30:00+02:00]"),
        (WEEKDAYS, "not_fires = [2027-03-28T09:30:00, 2027-03-29T09:31:00]"),
        (WEEKDAYS, 'never_on = ["sat", "sun"]'),
        (WEEKDAYS, 'max_gap = "73h"\nmin_gap = "23h"'),
        ("daily = 02:30:00", "fires = 2027-03-28T03:00:00"),
        ("daily = 02:30:00", "fires = 2027-03-28T02:30:00"),
        ("daily = 02:30:00", 'max_gap = "25h"'),
        ("daily = 02:30:00", "count = { from = 2027-01-01, until = 2028-01-01, is = 365 }"),
        ("daily = 02:30:00", "count = { from = 2027-01-01T00:00:00, until = 2027-01-02T02:30:00, is = 1 }"),
        ("daily = 02:30:00", "count = { from = 2027-01-01, until = 2028-01-01, min = 365, max = 365 }"),
        ('every = "1s"', 'max_gap = "2s"'),
        ('every = "1s"', 'max_gap = "1h"'),
        ('every = "1s"', 'min_gap = "1s"'),
        ('cron = "* * * * *"', 'max_gap = "25h"'),
    ],
)
def test_what_holds(schedule: str, expected: str) -> None:
    """Nothing is said; of very many slots a part is compared, which is an info."""
    said = failures(schedule, expected)
    assert [one for one in said if not one.startswith("expectation-in-part")] == []


@pytest.mark.parametrize(
    ("schedule", "expected", "said"),
    [
        (WEEKDAYS, "fires = 2027-03-28T09:30:00", "Sun 2027-03-28T09:30:00+02:00 is not a slot; the next one is Mon"),
        (WEEKDAYS, "not_fires = 2027-03-29T09:30:00", "Mon 2027-03-29T09:30:00+02:00 is a slot"),
        (WEEKDAYS, 'never_on = ["fri"]', "Fri 2026-01-02T09:30:00+01:00 is a slot"),
        (WEEKDAYS, 'max_gap = "25h"', "3d from Fri 2026-01-02T09:30:00+01:00 to Mon 2026-01-05T09:30:00+01:00"),
        ("daily = 02:30:00", 'max_gap = "24h"', "1d1h from Sun 2026-10-25T02:30:00+02:00 to Mon 2026-10-26T02:30:00"),
        ("daily = 02:30:00", 'min_gap = "24h"', "which is shorter"),
        ("daily = [02:30:00, 03:00:00]", 'min_gap = "1h"', "30m from Thu 2026-01-01T02:30:00+01:00"),
        (
            "daily = 02:30:00",
            "count = { from = 2028-01-01, until = 2029-01-01, is = 365 }",
            "there are 366 slots, not 365",
        ),
        ("daily = 02:30:00", "count = { from = 2028-01-01, until = 2029-01-01, min = 400 }", "not at least 400"),
        ("daily = 02:30:00", "count = { from = 2028-01-01, until = 2029-01-01, max = 3 }", "not at most 3"),
        ('every = "1s"', 'min_gap = "2s"', "1s from"),
        ('every = "10m"\n[limits]\nhours = { from = 08:00:00, until = 20:00:00 }', 'max_gap = "12h"', "12h10m from"),
        ('every = "1s"\n[limits]\nmonths = [1]', 'max_gap = "100d"', "which is longer"),
        ('again_after = "1h"', "fires = 2027-01-01T00:00:00", "the next one is never"),
    ],
)
def test_what_does_not_hold(schedule: str, expected: str, said: str) -> None:
    """The message has the first slots that show it."""
    [failure] = failures(schedule, expected)
    assert failure.startswith("expectation-failed")
    assert said in failure


@pytest.mark.parametrize(
    ("expected", "code"),
    [
        ("", "missing-key"),
        ("fire = 2027-01-01T00:00:00", "unknown-key"),
        ("fires = 2027-01-01", "wrong-type"),
        ("fires = []", "empty-list"),
        ("never_on = ['sonday']", "bad-day"),
        ("max_gap = 3", "wrong-type"),
        ("count = 3", "wrong-type"),
        ("count = { from = 2027-01-01, until = 2028-01-01 }", "missing-key"),
        ("count = { until = 2028-01-01, is = 3 }", "missing-key"),
        ("count = { from = 2028-01-01, until = 2027-01-01, is = 3 }", "out-of-range"),
    ],
)
def test_what_is_wrong_in_an_expectation(expected: str, code: str) -> None:
    """It is said before anything is checked, also where nothing would be."""
    for now_us in (NOW_US, None):
        [failure] = failures(WEEKDAYS, expected, now_us)
        assert failure.startswith(code)


def test_one_bracket_is_not_enough() -> None:
    """A table in place of an array of tables is answered with how to write it."""
    result = parse_job("a", "a.toml", f"{HEAD}{WEEKDAYS}\n[expect]\nnever_on = ['sun']\n")
    assert [one.hint for one in result.problems] == ["write [[expect]], with two brackets"]


def test_an_expectation_is_no_part_of_the_job() -> None:
    """To add one changes nothing that runs, and a stored definition has none."""
    plain = parse_job("a", "a.toml", HEAD + WEEKDAYS).spec
    [result] = parse_jobs("a", "a.toml", f"{HEAD}{WEEKDAYS}\n[[expect]]\nnever_on = ['sun']\n", check_us=NOW_US)
    assert result.spec == plain
    assert plain is not None
    assert load_definition("a", "a.toml", plain.definition, plain.sources) == plain


def test_instances_and_defaults_have_expectations() -> None:
    """Those of a _defaults.toml hold for every job below; an instance has its own."""
    defaults = parse_defaults("jobs.d/_defaults.toml", "[[expect]]\nnever_on = ['sun']\n")
    [result] = parse_jobs("a", "a.toml", HEAD + "daily = 09:00:00\n", defaults=[defaults], check_us=NOW_US)
    assert [one.code for one in result.problems] == ["expectation-failed"]
    text = f"{HEAD}{WEEKDAYS}\n[instances.a]\n[[instances.a.expect]]\nnever_on = ['mon']\n[instances.b]\n"
    found = parse_jobs("a", "a.toml", text, check_us=NOW_US)
    assert [(one.name, [problem.line for problem in one.problems]) for one in found] == [("a@a", [7]), ("a@b", [])]
