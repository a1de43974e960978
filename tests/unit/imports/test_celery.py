"""beat schedules and CRONJOBS become job files; the source is never run."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.imports import Import
from akjob.imports.celery import read_celery
from tests.unit.imports.build import notes, only, tables


def read(text: str) -> Import:
    """Read a Python file."""
    return read_celery(text, file="celery.py")


def entry(schedule: str, more: str = "") -> dict[str, Any]:
    """Return the table of one entry with this schedule."""
    return only(read(f'beat_schedule = {{"x": {{"task": "proj.tasks.add", "schedule": {schedule}, {more}}}}}\n'))


@pytest.mark.parametrize(
    ("schedule", "expected", "weekdays"),
    [
        ("crontab()", {"cron": "* * * * *"}, None),
        ("crontab(minute=0, hour='*/3')", {"cron": "0 */3 * * *"}, None),
        ("crontab(hour=7, minute=30, day_of_week=1)", {"cron": "30 7 * * 1"}, None),
        ("crontab(0, 0, day_of_month='2-30/2')", {"cron": "0 0 2-30/2 * *"}, None),
        (
            "crontab(0, 0, day_of_month='1-7', day_of_week='mon,fri-sat')",
            {"cron": "0 0 1-7 * *"},
            ["mon", "fri", "sat"],
        ),
        ("crontab(minute=[0, 30], month_of_year=range(1, 4))", {"cron": "0,30 * * 1,2,3 *"}, None),
        ("30.0", {"every": "30s"}, None),
        ("90 * 60", {"every": "1h30m"}, None),
        ("timedelta(hours=2, minutes=5)", {"every": "2h5m"}, None),
        ("datetime.timedelta(1)", {"every": "1d"}, None),
        ("schedule(run_every=timedelta(seconds=30))", {"every": "30s"}, None),
    ],
)
def test_schedules(schedule: str, expected: dict[str, str], weekdays: list[str] | None) -> None:
    """Both day fields must match in Celery, where cron wants either: the weekdays become a limit."""
    table = entry(schedule)
    assert table["schedule"] == {"timezone": "UTC", **expected}
    assert table.get("limits", {}).get("weekdays") == weekdays
    assert "enabled" not in table


@pytest.mark.parametrize(
    "schedule", ["crontab(hour=HOURS)", "PERIOD", "solar('sunset', 1, 2)", "0.001", "get()", "'x'"]
)
def test_a_schedule_that_is_not_written_out_disables_the_job(schedule: str) -> None:
    """It is named, and nothing is run to find out."""
    assert entry(schedule)["enabled"] is False


def test_arguments_expiry_and_what_is_left_out() -> None:
    """Literals are taken; what only the program knows disables the job."""
    table = entry("30.0", '"args": (16, "x"), "kwargs": {"a": [1, 2.5]}, "options": {"expires": 15, "queue": "q"}')
    assert (table["callable"], table["args"], table["kwargs"]) == ("proj.tasks:add", [16, "x"], {"a": [1, 2.5]})
    assert table["run"]["missed_within"] == "15s"
    assert table["run"]["missed"] == "latest"
    assert entry("30.0", '"args": (settings.X,)')["enabled"] is False
    assert entry("30.0", '"kwargs": {"a": None}')["enabled"] is False
    assert only(read('beat_schedule = {"x": {"task": "add", "schedule": 30}}'))["enabled"] is False


@pytest.mark.parametrize(
    "text",
    [
        'app.conf.beat_schedule = {"x": {"task": "a.b", "schedule": 5}}',
        'CELERY_BEAT_SCHEDULE = {"x": {"task": "a.b", "schedule": 5}}',
        'app.conf.update(beat_schedule={"x": {"task": "a.b", "schedule": 5}})',
        'class C:\n    CELERYBEAT_SCHEDULE: dict = {"x": {"task": "a.b", "schedule": 5}}',
    ],
)
def test_where_a_schedule_may_stand(text: str) -> None:
    """An attribute, a setting, an argument."""
    assert only(read(text))["callable"] == "a:b"


def test_zone_and_limit_of_the_file() -> None:
    """The application's zone and time limit hold for its tasks."""
    conf = 'app.conf.timezone = "Europe/London"\napp.conf.task_time_limit = 90\n'
    text = conf + 'beat_schedule = {"x": {"task": "a.b", "schedule": 5}}'
    table = only(read(text))
    assert (table["schedule"]["timezone"], table["run"]["timeout"]) == ("Europe/London", "1m30s")


def test_cronjobs_of_django() -> None:
    """An expression, a callable, arguments; a suffix for the shell is named."""
    text = (
        'CRONJOBS = [("*/5 * * * *", "app.cron.job", [1], {"v": 0}, ">> /tmp/x"),\n'
        '  ("0 4 * * *", "django.core.management.call_command", ["clearsessions"]), LATER]\n'
    )
    made = read(text)
    found = tables(made)
    assert found["job-1"]["args"] == [1]
    assert found["job-1"]["kwargs"] == {"v": 0}
    assert found["call_command-clearsessions"]["callable"] == "django.core.management:call_command"
    assert found["job-1"]["run"]["setup"] == ["django:setup"]
    assert any(">> /tmp/x" in note for note in notes(made))
    assert any("not written out" in note for note in notes(made))
    assert made.ends == ("`python manage.py crontab remove` ends it",)


def test_tasks_that_are_added_by_running_are_named() -> None:
    """``add_periodic_task`` is what the documentation of Celery begins with."""
    text = "@app.on_after\ndef setup(sender, **kw):\n    sender.add_periodic_task(10.0, test.s('hello'))\n"
    made = read(text)
    (note,) = made.notes
    assert (made.jobs, note.line, made.ends) == ((), 3, ("stop `celery beat`",))
    assert "sender.add_periodic_task(10.0, test.s('hello'))" in note.message


def test_the_file_is_not_run() -> None:
    """Whatever it would do."""
    text = 'raise SystemExit("run")\nbeat_schedule = {"x": {"task": "a.b", "schedule": 5}}\n'
    assert only(read(text))["callable"] == "a:b"
    made = read("beat_schedule = {")
    assert made.jobs == ()
    assert "it is not Python" in notes(made)[0]
    assert read("x = 1\n").jobs == ()


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        ["{}", "crontab({})", "crontab(day_of_week={0}, day_of_month={0})", "timedelta({})", "schedule({})"]
    ),
    st.text("0123456789*/-,.'\"()[]{}abcmonrange +eE_:", max_size=12),
    st.text("0123456789'\"()[]{}xyNone,:. -", max_size=12),
)
def test_whatever_stands_in_it_what_comes_out_is_a_job(form: str, value: str, argument: str) -> None:
    """No source makes it raise, and no job comes out that akjob would refuse."""
    schedule = form.format(value)
    tables(read(f'beat_schedule = {{"x": {{"task": "a.b", "schedule": {schedule}, "args": {argument} }}}}\n'))
    tables(read(f'CRONJOBS = [({value!r}, "a.b", {argument})]\n'))
