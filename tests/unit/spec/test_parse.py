# ruff: noqa: E501 - texts stand as they are
# ruff: noqa: DTZ001 - local times are what is tested
"""A job file becomes a frozen JobSpec: each key, its defaults, and where defaults come from."""

import random
from datetime import UTC, date, datetime
from typing import Any

import pytest

from akjob.config import Config
from akjob.config.secrets import SecretFile
from akjob.errors import AkjobError
from akjob.instants import from_text
from akjob.schedule.calendars import NO_CALENDARS, Calendars
from akjob.schedule.daysets import pack
from akjob.schedule.events import ENDED, After, OnBoot, OnChange, OnStart
from akjob.schedule.model import Cron, DaySet, Every, Hours, Limits, Moment, Monthly, NthWeekday, Schedule, Weekly
from akjob.spec import JobSpec, ParseResult, config_problems, load_definition, parse_defaults, parse_job
from akjob.spec.model import Command, DillFile, DottedCallable, EnvFile, Resources, Retry, RunPolicy

HOUR_US = 3_600_000_000
SHA = "0123456789abcdef" * 4


def parse(text: str, **kwargs: Any) -> ParseResult:
    """Parse a text as the file of job ``reports/nightly``."""
    return parse_job("reports/nightly", "jobs.d/reports/nightly.toml", text, **kwargs)


def spec_of(text: str, **kwargs: Any) -> JobSpec:
    """Parse a text that must be right."""
    result = parse(text, **kwargs)
    assert result.problems == ()
    assert result.spec is not None
    return result.spec


def schedule_of(text: str, **kwargs: Any) -> Schedule:
    """Return the schedule of a command with this [schedule]."""
    return spec_of('command = "date"\n[schedule]\n' + text, **kwargs).schedule


def limits_of(text: str) -> Limits:
    """Return the limits of a daily command with this [limits]."""
    return spec_of('command = "date"\n[schedule]\ndaily = 09:30:00\n[limits]\n' + text).schedule.limits


def run_of(text: str, **kwargs: Any) -> RunPolicy:
    """Return the policy of a callable with this [run]."""
    return spec_of('callable = "a.b:c"\n[run]\n' + text, **kwargs).run


def codes_of(text: str, **kwargs: Any) -> list[str]:
    """Return the codes of all problems of a text."""
    return [problem.code for problem in parse(text, **kwargs).problems]


EXAMPLE = """\
#:schema ../etc/job.schema.json
description = "Mail the EMEA sales report"

callable = "reports.sales:send"
args     = ["emea"]
kwargs   = { dry_run = false }

[schedule]
timezone = "Europe/Berlin"
weekly   = { days = ["mon", "thu"], at = 09:30:00 }

[limits]
dates = { first = 2026-01-01, last = 2026-12-31 }

[run]
timeout = "5m"
retry = { attempts = 3, delay = "30s" }
"""


def test_the_documented_example_is_read_whole() -> None:
    """The example of the manual gives exactly this job."""
    spec = spec_of(EXAMPLE)
    zone = "Europe/Berlin"
    limits = Limits(zone=zone, first=date(2026, 1, 1), last=date(2026, 12, 31))
    assert spec == JobSpec(
        name="reports/nightly",
        file="jobs.d/reports/nightly.toml",
        sources=("jobs.d/reports/nightly.toml",),
        definition=spec.definition,
        sha256=spec.sha256,
        description="Mail the EMEA sales report",
        code=DottedCallable("reports.sales:send"),
        args=("emea",),
        kwargs={"dry_run": False},
        schedule=Schedule(zone=zone, weekly=(Weekly((0, 3), (34_200,), zone),), limits=limits),
        run=RunPolicy(timeout_us=300_000_000, retry=Retry(attempts=3, delay_us=30_000_000)),
    )


def test_the_least_job_has_all_defaults() -> None:
    """A command alone is a job that runs by hand, with the documented defaults."""
    spec = spec_of('command = "date"')
    assert spec.code == Command(None, "date")
    assert spec.schedule == Schedule()
    assert (spec.enabled, spec.tags, spec.args, spec.kwargs, spec.runs, spec.when_done) == (
        True,
        (),
        (),
        {},
        None,
        "keep",
    )
    assert spec.run == RunPolicy()
    assert spec.run.timeout_us == HOUR_US
    assert spec.run.kill_after_us == 10_000_000
    assert spec.run.missed_within_us == HOUR_US
    assert spec.run.output_limit == 100 * 2**20


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('callable = "a.b:c.d"', DottedCallable("a.b:c.d")),
        ('callable = "a.b.c"', DottedCallable("a.b.c")),
        ('callable = "größe:läuft"', DottedCallable("größe:läuft")),
        ('command = ["date", "-u", ""]', Command(("date", "-u", ""), None)),
        ("command = '''\nset -e\ndate\n'''", Command(None, "set -e\ndate\n")),
        (f'dill = {{ file = "x.dill", sha256 = "{SHA.upper()}", python = "3.11" }}', DillFile("x.dill", SHA, "3.11")),
    ],
)
def test_what_to_run(text: str, code: object) -> None:
    """Each of the three ways to say what to run, in each of its forms."""
    assert spec_of(text).code == code


@pytest.mark.parametrize(
    "target", ["c", "a.b:", ":c", "a..b", "a.b:c:d", "a b.c", "a.b()", "a/b.py", "a.b:1c", ".a.b", "a.b.", ""]
)
def test_what_names_no_callable(target: str) -> None:
    """A target needs a module and a name, all of them Python names."""
    assert parse(f'callable = "{target}"').spec is None


def test_the_dill_file_is_one_of_the_sources() -> None:
    """What a job is made of: its file, its defaults from the outside in, its dill file beside it."""
    outer = parse_defaults("jobs.d/_defaults.toml", "")
    inner = parse_defaults("jobs.d/reports/_defaults.toml", "")
    text = f'dill = {{ file = "x.dill", sha256 = "{SHA}", python = "3.11" }}'
    assert spec_of(text, defaults=[outer, inner]).sources == (
        "jobs.d/reports/nightly.toml",
        "jobs.d/_defaults.toml",
        "jobs.d/reports/_defaults.toml",
        "jobs.d/reports/x.dill",
    )


# -- the table schedule

BERLIN = 'timezone = "Europe/Berlin"\n'
UTC_ = "UTC"


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ('every = "90m"', Schedule(every=Every(90 * 60_000_000, Moment(datetime(1970, 1, 1), None, UTC_)))),
        (
            'every = "1w"\nanchor = 2026-01-01T03:00:00',
            Schedule(every=Every(7 * 24 * HOUR_US, Moment(datetime(2026, 1, 1, 3), None, UTC_))),
        ),
        (
            'every = "1s"\nanchor = 2026-01-01T03:00:00+01:00',
            Schedule(every=Every(1_000_000, Moment(None, from_text("2026-01-01T02:00:00Z"), UTC_))),
        ),
        ("at = 2026-01-01T03:00:00", Schedule(at=(Moment(datetime(2026, 1, 1, 3), None, UTC_),))),
        (
            "at = [2026-01-01T03:00:00Z, 2026-01-01 03:00:00]",
            Schedule(
                at=(
                    Moment(None, from_text("2026-01-01T03:00:00Z"), UTC_),
                    Moment(datetime(2026, 1, 1, 3), None, UTC_),
                )
            ),
        ),
        ('again_after = "PT90M"', Schedule(again_after_us=90 * 60_000_000)),
        ("daily = 09:30:15", Schedule(daily=Weekly((0, 1, 2, 3, 4, 5, 6), (34_215,), UTC_))),
        ("daily = [18:00:00, 06:00:00]", Schedule(daily=Weekly((0, 1, 2, 3, 4, 5, 6), (21_600, 64_800), UTC_))),
        (
            'weekly = { days = ["SUNDAY", "Mon"], at = [00:00:00, 23:59:59] }',
            Schedule(weekly=(Weekly((0, 6), (0, 86_399), UTC_),)),
        ),
        (
            'weekly = [{ days = ["mon"], at = 01:00:00, timezone = "+05:30" }, { days = ["tue"], at = 02:00:00 }]',
            Schedule(weekly=(Weekly((0,), (3_600,), "+05:30"), Weekly((1,), (7_200,), UTC_))),
        ),
        (
            'monthly = { days = [1, -1, "first mon", "Last Sunday", "fifth FRI"], at = 01:00:00 }',
            Schedule(
                monthly=(Monthly((1, -1, NthWeekday(1, 0), NthWeekday(-1, 6), NthWeekday(5, 4)), (3_600,), UTC_),)
            ),
        ),
        ('cron = "30 9 * * mon-fri"', Schedule(cron=(Cron("30 9 * * mon-fri", UTC_),))),
        ('cron = ["@daily", "*/5 0 9 * * *"]', Schedule(cron=(Cron("0 0 * * *", UTC_), Cron("*/5 0 9 * * *", UTC_)))),
        (
            'weekly = { days = ["fri-Monday", "wed"], at = 01:00:00, every = 2, from = 2026-01-02 }',
            Schedule(weekly=(Weekly((0, 2, 4, 5, 6), (3_600,), UTC_, 2, date(2026, 1, 2)),)),
        ),
        (
            'monthly = { days = ["first workday", "Workday -2", 28], at = 01:00:00, roll = "next" }',
            Schedule(monthly=(Monthly((NthWeekday(1, 7), NthWeekday(-2, 7), 28), (3_600,), UTC_, "next"),)),
        ),
        (
            "monthly = { days = [1], at = 01:00:00, every = 3, from = 2026-02-28 }",
            Schedule(monthly=(Monthly((1,), (3_600,), UTC_, every=3, start=date(2026, 2, 28)),)),
        ),
        ('after = "extract"', Schedule(events=(After(jobs=("extract",)),))),
        ('after = ["a", "b/c"]', Schedule(events=(After(jobs=("a", "b/c")),))),
        (
            'after = { jobs = ["a", "b"], on = "ended", mode = "any" }',
            Schedule(events=(After(jobs=("a", "b"), on=ENDED, mode="any"),)),
        ),
        (
            'after = { jobs = ["a", "b"], on = ["missed", "failed"], within = "6h" }',
            Schedule(events=(After(jobs=("a", "b"), on=("failed", "missed"), within_us=6 * HOUR_US),)),
        ),
        ('on_change = "inbox/*.csv"', Schedule(events=(OnChange(paths=("inbox/*.csv",)),))),
        (
            'on_change = { paths = ["./in/**/*", "/srv/x"], settle = "5s", at_most = "1h", ignore = "*.tmp", deleted = true }',
            Schedule(
                events=(
                    OnChange(
                        paths=("in/**/*", "/srv/x"),
                        settle_us=5_000_000,
                        at_most_us=HOUR_US,
                        ignore=("*.tmp",),
                        deleted=True,
                    ),
                )
            ),
        ),
        (
            'on_start = "90s"\non_boot = "2m"',
            Schedule(events=(OnStart(delay_us=90_000_000), OnBoot(delay_us=120_000_000))),
        ),
        ("on_start = false\non_boot = false", Schedule()),
        ('on_start = true\non_boot = true\njitter = "0s"', Schedule(events=(OnStart(), OnBoot()))),
        (
            'daily = 01:00:00\njitter = "250ms"',
            Schedule(daily=Weekly((0, 1, 2, 3, 4, 5, 6), (3_600,), UTC_), jitter_us=250_000),
        ),
    ],
)
def test_each_trigger(text: str, schedule: Schedule) -> None:
    """Each key of [schedule] in each of its forms."""
    assert schedule_of(text) == schedule


def test_the_zone_holds_for_every_local_time() -> None:
    """``timezone`` reaches moments, times, expressions and limits, wherever it stands in the table."""
    text = (
        'command = "date"\n[schedule]\nat = 2026-01-01T03:00:00\ndaily = 01:00:00\ncron = "0 0 * * *"\nevery = "1h"\n'
        'timezone = "Europe/Berlin"\n[limits]\nhours = { from = 22:00:00, until = 06:00:00 }\n'
    )
    schedule = spec_of(text).schedule
    assert schedule.every is not None
    assert schedule.daily is not None
    assert schedule.limits.hours is not None
    zones = {schedule.zone, schedule.at[0].zone, schedule.daily.zone, schedule.cron[0].zone, schedule.every.anchor.zone}
    assert zones | {schedule.limits.zone, schedule.limits.hours.zone} == {"Europe/Berlin"}


def test_the_zone_of_the_configuration_is_the_default() -> None:
    """``etc/akjob.toml`` gives the zone of files that name none, and is part of what they resolve to."""
    config = Config(timezone="Asia/Tokyo")
    text = 'command = "date"\n[schedule]\ndaily = 01:00:00\n'
    assert spec_of(text, config=config).schedule.zone == "Asia/Tokyo"
    assert spec_of(text, config=config).sha256 != spec_of(text).sha256
    assert schedule_of("daily = 01:00:00\n" + BERLIN, config=config).zone == "Europe/Berlin"


@pytest.mark.parametrize("zone", ["+05:30", "-23:59", "UTC", "Etc/GMT+5", "CET"])
def test_zones_that_exist(zone: str) -> None:
    """Offsets and all IANA names are zones."""
    assert schedule_of(f'timezone = "{zone}"\ndaily = 01:00:00').zone == zone


@pytest.mark.parametrize(
    "zone", ["+5:30", "+24:00", "Europe", "europe/berlin", "", "../etc/passwd", "right/UTC", "a\\u0000b"]
)
def test_zones_that_do_not_exist(zone: str) -> None:
    """Nothing else is, least of all a path."""
    assert "unknown-zone" in codes_of(f'command = "x"\n[schedule]\ntimezone = "{zone}"\n')


# -- the table limits


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("hours = { from = 22:00:00, until = 10:00:00 }", Limits(hours=Hours(79_200, 36_000, UTC_))),
        (
            'hours = { from = 00:00:00, until = 23:59:59, timezone = "+01:00" }',
            Limits(hours=Hours(0, 86_399, "+01:00")),
        ),
        ('weekdays = ["Fri", "monday"]', Limits(weekdays=(0, 4))),
        ("month_days = [15, -1, 1]", Limits(month_days=(-1, 1, 15))),
        ('months = ["DEC", 1, "february"]', Limits(months=(1, 2, 12))),
        ("dates = { last = 2099-12-31 }", Limits(last=date(2099, 12, 31))),
        ("dates = { first = 2026-01-01, last = 2026-01-01 }", Limits(first=date(2026, 1, 1), last=date(2026, 1, 1))),
        ("except_dates = [2026-12-25, 2026-12-24]", Limits(except_dates=(date(2026, 12, 24), date(2026, 12, 25)))),
    ],
)
def test_each_limit(text: str, limits: Limits) -> None:
    """Each key of [limits] in each of its forms."""
    assert limits_of(text) == limits


def test_a_number_of_runs_and_what_follows() -> None:
    """``runs`` and ``when_done`` are the job's, not the schedule's."""
    spec = spec_of('command = "x"\n[limits]\nruns = 3\nwhen_done = "delete"\n')
    assert (spec.runs, spec.when_done, spec.schedule) == (3, "delete", Schedule())


# -- the table run


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ('timeout = "none"', RunPolicy(timeout_us=None)),
        ('timeout = "1d"\nkill_after = "0s"', RunPolicy(timeout_us=24 * HOUR_US, kill_after_us=0)),
        ('stop_signal = "INT"', RunPolicy(stop_signal=2)),
        ('stop_signal = "SIGUSR1"', RunPolicy(stop_signal=10)),
        ('overlap = "replace"\nlock = "db"', RunPolicy(overlap="replace", lock="db")),
        ('missed = "all"\nmissed_within = "1w"', RunPolicy(missed="all", missed_within_us=7 * 24 * HOUR_US)),
        (
            'retry = { attempts = 5, delay = "1s", factor = 2, max_delay = "1m" }',
            RunPolicy(retry=Retry(attempts=5, delay_us=1_000_000, factor=2.0, max_delay_us=60_000_000)),
        ),
        ("success_codes = [3, 0]", RunPolicy(success_codes=(3, 0))),
        ('user = "www-data"\ngroup = "1000"', RunPolicy(user="www-data", group="1000")),
        ("user = 1000\ngroup = 0", RunPolicy(user="1000", group="0")),
        ('umask = "077"\nnice = -5', RunPolicy(umask=0o077, nice=-5)),
        ('ionice = "best-effort:7"', RunPolicy(ionice="best-effort:7")),
        ("stop_at = 06:30:00", RunPolicy(stop_at=6 * 3600 + 1800)),
        ('pool = "db"', RunPolicy(pool="db")),
        ("retry = { attempts = 2, codes = [75, 76] }", RunPolicy(retry=Retry(attempts=2, codes=(75, 76)))),
        (
            'env_file = ["a", { file = "b" }, { file = "/c", optional = true }]',
            RunPolicy(env_files=(EnvFile("a"), EnvFile("b"), EnvFile("/c", optional=True))),
        ),
        ('path = ["bin", "/opt/x/bin"]', RunPolicy(path=("bin", "/opt/x/bin"))),
        (
            'where = "node:b2"\nneeds = ["gpu"]\non_partition = "continue"',
            RunPolicy(where="node:b2", needs=("gpu",), on_partition="continue"),
        ),
        ('cwd = "work"\nenv_file = "etc/env"', RunPolicy(cwd="work", env_files=(EnvFile("etc/env"),))),
        (
            'env = { A = "", B = { file = "/run/secrets/b" } }',
            RunPolicy(env={"A": "", "B": SecretFile("/run/secrets/b")}),
        ),
        (
            'resources = { memory = "512MiB", cpu = "5m", open_files = 64, file_size = "1GB", processes = 8 }',
            RunPolicy(
                resources=Resources(memory=2**29, cpu_us=300_000_000, open_files=64, file_size=10**9, processes=8)
            ),
        ),
        ('interpreter = "venv/bin/python"', RunPolicy(interpreter="venv/bin/python")),
        ('setup = ["django:setup"]\nlead = "5s"', RunPolicy(setup=("django:setup",), lead_us=5_000_000)),
        ('output_limit = "0B"', RunPolicy(output_limit=0)),
    ],
)
def test_each_key_of_run(text: str, policy: RunPolicy) -> None:
    """Each key of [run] in each of its forms."""
    assert run_of(text) == policy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('ionice = "realtime"', '"best-effort:0" (first) to "best-effort:7" (last)'),
        ("ionice = 3", 'write "idle"'),
        ('where = "b2"', 'write "node:b2"'),
        ('where = "evry"', 'did you mean "every"?'),
        ('where = "node:"', "node:NAME"),
        ('path = "$PATH:/opt/bin"', 'write ["/opt/bin"]; they are put in front of PATH'),
        ('path = ["/a:/b"]', "write each folder as a string of its own"),
        ('path = ["$HOME/bin"]', "nothing is expanded in it"),
        ("env_file = []", "fill it, or remove the key"),
        ("env_file = [{ optional = true }]", "needs `file`"),
        ("env_file = 3", 'write "etc/NAME.env"'),
        ("retry = { attempts = 2, codes = [256] }", "0 to 255"),
        ('stop_at = "6:30"', "write 06:30:00, without quotes"),
        ('pool = "dbb"', 'the pool "dbb", which is not there; did you mean "db"?'),
        ("user = -1", "cannot be the name or number of a user"),
        ("user = 4294967295", "cannot be the name or number of a user"),
        ("env = { AKJOB_TRIGGER = '' }", "is set by akjob itself"),
    ],
)
def test_what_is_wrong_in_run_is_explained(text: str, said: str) -> None:
    """Message or hint say what to write."""
    job = f'command = "true"\n[run]\n{text}\n'
    [problem] = parse_job("a", "jobs.d/a.toml", job, config=Config(pools={"db": 3})).problems
    assert (problem.severity, problem.line) == ("error", 3)
    assert said in problem.message + problem.hint


def test_a_pool_is_looked_up_in_the_settings_where_they_are_known() -> None:
    """A stored definition is read without them; in defaults the mistake stands at its own place."""
    job = 'command = "true"\n[run]\npool = "db"\n'
    assert parse_job("a", "jobs.d/a.toml", job).spec is not None
    assert parse_job("a", "jobs.d/a.toml", job, config=Config(pools={"db": 1})).problems == ()
    defaults = parse_defaults("jobs.d/_defaults.toml", '[run]\nnice = 1\npool = "no"\n')
    [problem] = parse_job("a", "jobs.d/a.toml", 'command = "true"\n', defaults=[defaults], config=Config()).problems
    assert (problem.file, problem.line, problem.code) == ("jobs.d/_defaults.toml", 3, "unknown-pool")


def test_every_key_of_run_is_tested_above() -> None:
    """The model has no field that no key sets."""
    from akjob.spec.policy import RUN  # noqa: PLC0415

    assert [key.field for key in RUN.values()] == list(RunPolicy.__struct_fields__)


# -- arguments


def test_arguments_are_any_toml() -> None:
    """``args`` and ``kwargs`` keep the values as tomllib gives them."""
    text = 'callable = "a:b"\nargs = [1, 1.5, true, "x", [1, []], { y = 2026-01-01 }, 2026-01-01T00:00:00Z]\n[kwargs]\nz.deep = [1]\n'
    spec = spec_of(text)
    assert spec.args == (1, 1.5, True, "x", [1, []], {"y": date(2026, 1, 1)}, datetime(2026, 1, 1, tzinfo=UTC))
    assert spec.kwargs == {"z": {"deep": [1]}}


def test_empty_args_and_tags_are_allowed() -> None:
    """They are the documented defaults, and how a file drops those of its folder."""
    defaults = [parse_defaults("jobs.d/_defaults.toml", 'tags = ["a"]\nargs = [1]\nkwargs = { x = 1 }\n')]
    spec = spec_of('callable = "a:b"\ntags = []\nargs = []\nkwargs = {}\n', defaults=defaults)
    assert (spec.tags, spec.args, spec.kwargs) == ((), (), {})


# -- defaults


def test_the_nearest_default_wins_key_by_key() -> None:
    """Of configuration, outer folder, inner folder and file, each key comes from the innermost that gives it."""
    config = Config(run_defaults={"timeout": "1m", "nice": 1, "overlap": "allow", "missed": "all"})
    outer = parse_defaults("jobs.d/_defaults.toml", '[run]\nnice = 2\noverlap = "queue"\nmissed = "skip"\n')
    inner = parse_defaults("jobs.d/reports/_defaults.toml", '[run]\noverlap = "replace"\nmissed = "latest"\n')
    policy = run_of('missed = "skip"\n', config=config, defaults=[outer, inner])
    assert (policy.timeout_us, policy.nice, policy.overlap, policy.missed) == (60_000_000, 2, "replace", "skip")


def test_values_of_defaults_are_whole_but_env() -> None:
    """A table such as ``retry`` replaces the default's; only ``env`` is merged, name by name."""
    text = '[run]\nretry = { attempts = 5, delay = "1m" }\nenv = { A = "1", B = "2" }\nresources = { memory = "1GB" }\n'
    inner = parse_defaults("jobs.d/reports/_defaults.toml", '[run]\nenv = { B = "3", C = "4" }\n')
    defaults = [parse_defaults("jobs.d/_defaults.toml", text), inner]
    own = 'retry = { attempts = 2 }\nenv = { C = "5", D = "6" }\nresources = { cpu = "1s" }\n'
    policy = run_of(own, defaults=defaults)
    assert policy.retry == Retry(attempts=2)
    assert policy.resources == Resources(cpu_us=1_000_000)
    assert policy.env == {"A": "1", "B": "3", "C": "5", "D": "6"}
    assert spec_of('command = "x"', defaults=defaults).run.env == {"A": "1", "B": "3", "C": "4"}


def test_defaults_of_every_kind_reach_the_job() -> None:
    """Everything but code, triggers and ``runs`` may be a default; local times are in the job's own zone."""
    text = (
        'description = "d"\nenabled = false\ntags = ["t"]\nargs = [1]\nkwargs = { k = 1 }\n'
        '[schedule]\njitter = "5s"\nanchor = 2026-01-01T00:00:00\ntimezone = "Asia/Tokyo"\n'
        '[limits]\nweekdays = ["mon"]\nhours = { from = 08:00:00, until = 18:00:00 }\nwhen_done = "delete"\n'
    )
    defaults = [parse_defaults("jobs.d/_defaults.toml", text)]
    spec = spec_of('callable = "a:b"\n[schedule]\nevery = "1h"\ntimezone = "Europe/Berlin"\n', defaults=defaults)
    assert (spec.description, spec.enabled, spec.tags, spec.args, spec.kwargs) == ("d", False, ("t",), (1,), {"k": 1})
    assert spec.schedule.jitter_us == 5_000_000
    assert spec.schedule.every == Every(HOUR_US, Moment(datetime(2026, 1, 1), None, "Europe/Berlin"))
    assert spec.schedule.limits.hours == Hours(28_800, 64_800, "Europe/Berlin")
    assert (spec.schedule.limits.weekdays, spec.when_done) == ((0,), "delete")


def test_arguments_by_default_are_not_for_commands() -> None:
    """A folder's default ``args`` do not break the commands in it."""
    defaults = [parse_defaults("jobs.d/_defaults.toml", "args = [1]\nkwargs = { k = 1 }\n")]
    spec = spec_of('command = "x"', defaults=defaults)
    assert (spec.args, spec.kwargs, spec.definition) == ((), {}, 'command = "x"\n')


def test_jobs_below_broken_defaults_are_refused_with_the_defaults_problem() -> None:
    """What is wrong with ``_defaults.toml`` is shown there, once for each job that it breaks."""
    defaults = parse_defaults("jobs.d/_defaults.toml", '[run]\ntimeot = "1m"\n')
    result = parse('command = "x"', defaults=[defaults])
    assert result.spec is None
    assert [str(problem) for problem in result.problems] == [
        "jobs.d/_defaults.toml:2:1: error[unknown-key] unknown key `timeot`; did you mean `timeout`?"
    ]
    assert defaults.problems == result.problems


def test_warnings_of_defaults_refuse_nobody() -> None:
    """A warning about the defaults is told of them, not of each job."""
    defaults = parse_defaults("jobs.d/_defaults.toml", '[limits]\nmonths = ["jan", 1]\n')
    assert [problem.severity for problem in defaults.problems] == ["warning"]
    assert spec_of('command = "x"', defaults=[defaults]).schedule.limits.months == (1,)


def test_a_broken_configuration_is_told_with_its_position() -> None:
    """``[run]`` and ``timezone`` of etc/akjob.toml are checked as defaults, in that file's lines."""
    text = 'timezone = "Europa/Berlin"\n[run]\nnice = 50\n'
    config = Config(timezone="Europa/Berlin", run_defaults={"nice": 50}, text=text)
    found = [(problem.file, problem.line, problem.column, problem.code) for problem in config_problems(config)]
    assert found == [("etc/akjob.toml", 1, 12, "unknown-zone"), ("etc/akjob.toml", 3, 8, "out-of-range")]
    assert parse('command = "x"', config=config).spec is None


def test_changed_defaults_are_seen() -> None:
    """Two chains of defaults never share what was merged, also when one is made after the other is gone."""
    for nice in range(40):
        defaults = [parse_defaults("jobs.d/_defaults.toml", f"[run]\nnice = {nice % 19}\n")]
        assert spec_of('command = "x"', defaults=defaults).run.nice == nice % 19


# -- the resolved definition


def test_the_definition_holds_what_the_defaults_gave() -> None:
    """It is complete: it reads back without any defaults, and a change of a default changes its hash."""
    config = Config(timezone="Asia/Tokyo", run_defaults={"nice": 1})
    defaults = [parse_defaults("jobs.d/_defaults.toml", '[run]\nenv = { A = "1" }\n[limits]\nweekdays = ["mon"]\n')]
    spec = spec_of(EXAMPLE.replace('timezone = "Europe/Berlin"\n', ""), config=config, defaults=defaults)
    again = load_definition(spec.name, spec.file, spec.definition, spec.sources)
    assert again == spec
    assert 'env = { A = "1" }' in spec.definition
    other = [parse_defaults("jobs.d/_defaults.toml", '[run]\nenv = { A = "2" }\n[limits]\nweekdays = ["mon"]\n')]
    changed = spec_of(EXAMPLE.replace('timezone = "Europe/Berlin"\n', ""), config=config, defaults=other)
    assert changed.sha256 != spec.sha256


def test_the_definition_does_not_depend_on_order_comments_or_layout() -> None:
    """Files that mean the same have the same hash, however their keys are shuffled."""
    top = ['callable = "a:b"', "args = [1]", "kwargs = { x = 1, y = { p = 1, q = 2 } }", 'description = "d"']
    run = ['timeout = "5m"', "nice = 1", 'env = { A = "1", B = "2" }']
    hashes = set()
    for seed in range(10):
        shuffled, shuffled_run = top[:], run[:]
        random.Random(seed).shuffle(shuffled)  # noqa: S311 - only an order
        random.Random(seed).shuffle(shuffled_run)  # noqa: S311
        hashes.add(spec_of("\n# x\n".join(shuffled) + "\n[run]\n" + "\n".join(shuffled_run)).sha256)
    swapped = 'run.env.B = "2"\nrun.env.A = "1"\nrun.nice = 1\nrun.timeout = "5m"\ncallable = "a:b"\nargs = [1]\ndescription = "d"\n'
    hashes.add(spec_of(swapped + "[kwargs]\ny.q = 2\ny.p = 1\nx = 1\n").sha256)
    assert len(hashes) == 1


def test_the_hash_is_that_of_the_text() -> None:
    """The recorded hash can be checked with sha256sum."""
    import hashlib  # noqa: PLC0415

    spec = spec_of(EXAMPLE)
    assert spec.sha256 == hashlib.sha256(spec.definition.encode()).hexdigest()


def test_a_kept_definition_that_cannot_be_read_says_so() -> None:
    """A text of another version is an error that names the job, not a crash."""
    with pytest.raises(AkjobError, match="reports/nightly cannot be used: unknown key `comand`"):
        load_definition("reports/nightly", "jobs.d/reports/nightly.toml", 'comand = "x"\n')


FREEZE = DaySet("freeze", pack([date(2026, 12, 24), date(2026, 12, 25)]))
HOLIDAYS = DaySet("de", b"", "DE", "BE")
CALENDARS = Config(calendars=Calendars({"freeze": FREEZE, "de": HOLIDAYS}, {"old": "etc/old.ics: gone"}, (), ()))
WITH_CALENDARS = """\
command = "x"
[schedule]
workdays = "de"
monthly = [{ days = [15], at = 12:00:00, roll = "next" }, { days = [1], at = 12:00:00 }]
[limits]
not_on = ["freeze"]
"""


def test_calendars_are_resolved_to_their_days() -> None:
    """The trigger that asks for workdays gets the calendar, and so do the limits."""
    schedule = spec_of(WITH_CALENDARS, config=CALENDARS).schedule
    assert [one.holidays for one in schedule.monthly] == [HOLIDAYS, None]
    assert (schedule.workdays, schedule.limits.not_on) == (HOLIDAYS, (FREEZE,))


def test_a_definition_needs_no_configuration() -> None:
    """It has its calendars in it: it means the same when they have been changed, and is another one then."""
    spec = spec_of(WITH_CALENDARS, config=CALENDARS)
    assert "[calendars.freeze]\ndates = [2026-12-24, 2026-12-25]\n" in spec.definition
    assert load_definition(spec.name, spec.file, spec.definition, spec.sources) == spec
    changed = Calendars({"de": HOLIDAYS, "freeze": DaySet("freeze")}, {}, (), ())
    assert spec_of(WITH_CALENDARS, config=Config(calendars=changed)).sha256 != spec.sha256


@pytest.mark.parametrize(("name", "code"), [("old", "broken-calendar"), ("freez", "unknown-calendar")])
def test_a_calendar_that_is_not_there_makes_its_jobs_unusable(name: str, code: str) -> None:
    """Also where it is named in the defaults, which know of no configuration."""
    text = f'[limits]\nonly_on = ["{name}"]\n'
    own = f'command = "x"\n[schedule]\ndaily = 12:00:00\n{text}'
    assert codes_of(own, config=CALENDARS) == [code]
    defaults = parse_defaults("jobs.d/_defaults.toml", text)
    assert defaults.problems == ()
    job = 'command = "x"\n[schedule]\ndaily = 12:00:00\n'
    assert codes_of(job, config=CALENDARS, defaults=[defaults]) == [code]
    assert parse(job, config=CALENDARS, defaults=[defaults]).spec is None
    assert codes_of(own, config=Config(calendars=NO_CALENDARS)) == ["unknown-calendar"]


# -- problems


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    """One look at a file tells everything that is wrong with it."""
    result = parse('comand = "date"\n[schedule]\nevery = "5 min"\ndaily = []\n[run]\nnice = 99\n')
    assert [(problem.line, problem.code) for problem in result.problems] == [
        (1, "unknown-key"),
        (3, "bad-duration"),
        (4, "empty-list"),
        (6, "out-of-range"),
    ]


def test_an_unknown_key_has_the_place_of_the_key() -> None:
    """An unknown key has the place of the key, in the form that editors understand."""
    result = parse_job("tick", "jobs.d/tick.toml", 'command = "date"\n[schedule]\nevry = 1\n')
    assert str(result.problems[0]).startswith("jobs.d/tick.toml:3:1: error[unknown-key] ")


@pytest.mark.parametrize("name", ["a b", "ä", "a//b", "-a", "a/.b", "/a", "a/", ""])
def test_names_that_cannot_be(name: str) -> None:
    """A name's parts begin with a letter or digit and have no spaces."""
    assert [problem.code for problem in parse_job(name, "x.toml", 'command = "x"').problems] == ["bad-name"]


@pytest.mark.parametrize("name", ["a", "0", "reports/nightly", "a.b_c-d/E9"])
def test_names_that_can_be(name: str) -> None:
    """Letters, digits, point, underscore and hyphen, in folders of any depth."""
    assert parse_job(name, "x.toml", 'command = "x"').problems == ()


def test_time_alone_breaks_nothing() -> None:
    """What lies in the past is an info, only when asked with a clock, and the job exists."""
    text = 'command = "x"\n[schedule]\nat = 2020-01-01T00:00:00\n'
    assert codes_of(text) == []
    now_us = from_text("2026-01-01T00:00:00Z")
    result = parse(text, now_us=now_us)
    assert [problem.severity for problem in result.problems] == ["info"]
    assert result.spec is not None


NEVER = [
    'monthly = { days = [30], at = 00:00:00 }\n[limits]\nmonths = ["feb"]',
    'cron = "0 0 31 2,4,6,9,11 *"',
    "daily = 12:00:00\n[limits]\nhours = { from = 13:00:00, until = 14:00:00 }",
    'weekly = { days = ["mon"], at = 12:00:00 }\n[limits]\nweekdays = ["tue"]',
    'daily = 12:00:00\n[limits]\nmonth_days = [31]\nmonths = ["apr"]',
    'weekly = { days = ["sun"], at = 12:00:00 }\n[limits]\ndates = { first = 2026-01-05, last = 2026-01-06 }',
    "daily = 12:00:00\n[limits]\ndates = { first = 2026-01-05, last = 2026-01-05 }\nexcept_dates = [2026-01-05]",
    'daily = 12:00:00\n[limits]\nmonths = ["jan"]\ndates = { first = 2026-02-05, last = 2026-03-05 }',
    'at = 2026-01-05T12:00:00\n[limits]\nweekdays = ["tue"]',
    'every = "1w"\nanchor = 2026-01-05T12:00:00\n[limits]\nweekdays = ["tue"]',
    'cron = "0 0 * * mon"\n[limits]\nweekdays = ["tue"]',
    'cron = "0 0 5 1 *"\n[limits]\nexcept_dates = [2026-01-05]\ndates = { first = 2026-01-01, last = 2026-12-31 }',
]


@pytest.mark.parametrize("text", NEVER)
def test_a_schedule_that_never_fires_is_an_error(text: str) -> None:
    """No glance overlooks a job that can never be due."""
    assert codes_of(f'command = "x"\n[schedule]\n{text}\n') == ["never-fires"]


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("munday", 'did you mean "monday"?'),
        ("sumday", 'did you mean "sunday"?'),
        ("Friday to Monday", 'write "fri-mon"'),
        ("sat..sun", 'write "sat-sun"'),
        ("weekdays", 'write "mon-fri"'),
        ("weekend", 'write "sat-sun"'),
        ("daily", 'write "mon-sun"'),
        ("x-y", '"mon", "tue", "wed"'),
    ],
)
def test_days_that_are_none(day: str, said: str) -> None:
    """The nearest day is named, with the first letter that was typed; a range is named as it is written."""
    [problem] = parse_job(
        "a", "a.toml", f'command = "x"\n[schedule]\nweekly = {{ days = ["{day}"], at = 09:30:00 }}\n'
    ).problems
    assert said in f"{problem.message}\n{problem.hint}"


@pytest.mark.parametrize(
    ("cron", "hint"),
    [
        ("0 0 ? * mon", "write * for Quartz's ?"),
        ("H H(0-7) * * *", "write a number for Jenkins' H, and jitter to spread jobs"),
        ("0 9 * * 1-5 # on workdays", "put the comment outside the quotes"),
        ("0 9 * THU", "minute hour day month weekday, as in 30 9 * * mon-fri; with seconds first if there are six"),
    ],
)
def test_cron_as_others_write_it(cron: str, hint: str) -> None:
    """What Quartz and Jenkins have and cron has not gets the word for it here."""
    [problem] = parse_job("a", "a.toml", f'command = "x"\n[schedule]\ncron = "{cron}"\n').problems
    assert (problem.code, problem.hint) == ("bad-cron", hint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('evry = "1h"\n', "unknown key `evry` at the top; did you mean `every`, which belongs below [schedule]?"),
        ('[run]\ncallabel = "x"\n', "did you mean `callable`, which belongs above the first [table]?"),
        (
            "[run]\nweekdys = 1\n",
            "unknown key `weekdys` in [run]; did you mean `weekdays`, which belongs below [limits]?",
        ),
        ("[run]\nretry = { delai = 1 }\n", "did you mean `delay`?"),
        ("[run]\nxyzzy = 1\n", "unknown key `xyzzy`"),
    ],
)
def test_a_misspelt_key_in_the_wrong_table(text: str, said: str) -> None:
    """It is recognized, too, and its table is named."""
    problems = parse_job("a", "a.toml", text).problems
    assert any(said in problem.message for problem in problems if problem.code == "unknown-key")
