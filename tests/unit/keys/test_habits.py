"""Keys and dialects of other schedulers are known before any nearness is measured: a test per row."""

import pytest

from akjob.errors import Problem
from akjob.keys.habits import HABITS, SYNONYMS, Habit, habit_of, plain
from akjob.spec import parse_job
from akjob.spec.job import SECTIONS, TOP


def problems(text: str) -> tuple[Problem, ...]:
    """Return what is wrong with a job file."""
    return parse_job("a", "jobs.d/a.toml", text).problems


KEYS = {*TOP, *(f"{section}.{key}" for section, keys in SECTIONS.items() for key in keys), ""}


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.names[0])
def test_each_habit_leads_to_a_key_that_exists(habit: Habit) -> None:
    """Wherever the key is written, what to write is said, and no key is merely missed."""
    assert habit.key in KEYS
    for name in habit.names:
        assert plain(name) == name
        for table in ("", "[run]\n", "[schedule]\n"):
            if name in SYNONYMS:
                continue
            first = problems(f'command = "x"\n{table}{name} = 1\n')[0]
            assert first.code == "unknown-key", (name, table)
            known = {key for key in KEYS if key.rpartition(".")[2] == name}
            assert first.hint == habit.write or known, (name, table, first)


def test_no_name_stands_in_two_rows() -> None:
    """The answer does not depend on the order of the table."""
    names = [name for habit in HABITS for name in habit.names]
    assert len(names) == len(set(names))
    assert not {plain(name) for name in SYNONYMS} & set(names)


@pytest.mark.parametrize("name", ["concurrencyPolicy", "concurrency_policy", "Concurrency-Policy"])
def test_spelling_does_not_count(name: str) -> None:
    """Case, underscores and hyphens are each scheduler's own."""
    habit = habit_of(name)
    assert habit is not None
    assert habit.key == "run.overlap"


def test_a_slip_in_a_key_of_the_table_is_not_a_habit() -> None:
    """`hour` in [limits] is `hours`, elsewhere it is another scheduler's."""
    [slip] = parse_job("a", "a.toml", 'command = "x"\n[limits]\nhour = 1\n').problems
    assert "did you mean `hours`?" in slip.message
    [habit] = parse_job("a", "a.toml", 'command = "x"\n[schedule]\nhour = 1\n').problems
    assert "(a key of Celery)" in habit.message


def test_a_list_of_jobs_is_one_mistake() -> None:
    """What to run is not missed as well."""
    [problem] = parse_job("a", "a.toml", '[[jobs]]\ncommand = "x"\n').problems
    assert "a file is one job" in problem.hint
    assert "did you mean" not in problem.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[schedule]\ndaily = 9:30:00", "write 09:30:00"),
        ('[schedule]\ncron = "@every 5m"', 'write every = "5m" instead of cron'),
        (
            '[schedule]\ncron = "CRON_TZ=Europe/Berlin 30 2 * * *"',
            'write timezone = "Europe/Berlin" and cron = "30 2 * * *"',
        ),
        ('[schedule]\ncron = "TZ=UTC 30 2 * * *"', 'write timezone = "UTC" and cron = "30 2 * * *"'),
        ('[schedule]\ncron = "0 0 * * sat-sun"', 'write "0 0 * * sat,sun"'),
        ('[schedule]\ncron = "0 0 * * 6-0"', 'write "0 0 * * 6,0"'),
        ('[run]\ncwd = "~/work"', "write the full path, or one relative to the root"),
        ('[run]\nenv_file = "$HOME/x.env"', "write the full path, or one relative to the root"),
        ('[run]\nenv.A = { file = "~/a" }', "write the full path, or one relative to the root"),
        (
            '[run]\nenv.PATH = "/opt/bin:$PATH"',
            'write path = ["/opt/bin"] below [run]: folders that are put in front of PATH',
        ),
        ('[run]\nenv.A = "${HOME}/a"', "write the value in full"),
    ],
)
def test_dialects(text: str, hint: str) -> None:
    """The hint can be followed: it is the text that means what was meant."""
    [problem] = parse_job("a", "a.toml", f'command = "x"\n{text}\n').problems
    assert problem.hint == hint


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("./jobmod.py:main", 'write "jobmod:main", or command = ["python", "./jobmod.py"]'),
        ("my-jobs/send.py", 'write "my_jobs.send:NAME", or command = ["python", "my-jobs/send.py"]'),
    ],
)
def test_a_callable_written_as_a_path(target: str, hint: str) -> None:
    """The name that was given is kept."""
    [problem] = parse_job("a", "a.toml", f'callable = "{target}"\n').problems
    assert problem.hint == hint


@pytest.mark.parametrize("value", ["$5", "cost: $", "a$b", "100%"])
def test_a_dollar_by_itself_is_fine(value: str) -> None:
    """Not every value with a dollar was meant to be expanded."""
    assert parse_job("a", "a.toml", f'command = "x"\n[run]\nenv.A = "{value}"\n').problems == ()


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ('cron = "0 9 31 * *"', "five months have no 31st: those are passed over"),
        ('cron = "0 9 31 */2 *"', "some of its months have no 31st: those are passed over"),
        ('cron = "0 0 9 30 * *"', "February has no 30th: those are passed over"),
        ('cron = "0 9 29 2 *"', "February has no 29th in most years: those are passed over"),
        ("daily = 09:00:00\n[limits]\nmonth_days = [31]", "five months have no 31st: those are passed over"),
    ],
)
def test_a_day_that_months_lack_is_said_wherever_it_stands(schedule: str, said: str) -> None:
    """In a cron expression and among the limits as in ``monthly``."""
    (found,) = [one for one in problems(f'command = "true"\n[schedule]\n{schedule}\n') if one.severity == "info"]
    assert (found.code, found.message.rpartition('": ')[2]) == ("day-passed-over", said)


@pytest.mark.parametrize("cron", ["0 9 31 1,3,5 *", "0 9 28-31 * *", "0 9 31 * mon", "0 9 28 * *", "0 9 L * *"])
def test_a_day_that_each_month_has_is_not(cron: str) -> None:
    """Nor one of several, nor one beside a weekday."""
    found = problems(f'command = "true"\n[schedule]\ncron = "{cron}"\n')
    assert "day-passed-over" not in [one.code for one in found]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('schedule = "0 5 * * *"', 'cron = "0 5 * * *" below it'),
        ('schedule = "@hourly"', 'cron = "@hourly" below it'),
        ('schedule = "Weekly"', 'cron = "@weekly" below it'),
        ('schedule = "5m"', 'every = "5m" below it'),
        ("retries = 3", 'write retry = { attempts = 3, delay = "30s" } below [run]'),
    ],
)
def test_what_is_meant_is_written_out(text: str, hint: str) -> None:
    """The hint can be followed as it stands."""
    assert problems(f'command = "true"\n{text}\n')[0].hint.endswith(hint)
