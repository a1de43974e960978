"""Keys of other schedulers: the message names akjob's own, before any similar name is looked for.

Names are compared without case, ``_`` and ``-``: ``concurrencyPolicy``, ``concurrency_policy``.
"""

from typing import NamedTuple


class Habit(NamedTuple):
    """What a key is called elsewhere (``of``), the key that it is here, if there is one, and what to write.

    A key that is not ``alike`` is not suggested; it is merely not missed.
    """

    names: tuple[str, ...]
    of: str
    key: str
    write: str
    alike: bool = True


# One row a habit. ``key`` is dotted; it is taken to be meant, so that its lack is not reported too.
HABITS = (
    # when
    Habit(("hourly",), "", "schedule.cron", 'write cron = "@hourly", or every = "1h", below [schedule]'),
    Habit(("yearly", "annually"), "", "schedule.cron", 'write cron = "@yearly" below [schedule]'),
    Habit(("oncalendar",), "systemd", "schedule.daily", "write daily, weekly, monthly or cron below [schedule]"),
    Habit(("onbootsec", "onbootdelay"), "systemd", "schedule.on_boot", 'write on_boot = "2m" below [schedule]'),
    Habit(("onstartupsec",), "systemd", "schedule.on_start", 'write on_start = "2m" below [schedule]'),
    Habit(("onunitactivesec", "onactivesec"), "systemd", "schedule.every", 'write every = "5m" below [schedule]'),
    Habit(("onunitinactivesec",), "systemd", "schedule.again_after", 'write again_after = "5m" below [schedule]'),
    Habit(("randomizeddelaysec", "randomdelay"), "systemd", "schedule.jitter", 'write jitter = "5m" below [schedule]'),
    Habit(("scheduleinterval", "rrule"), "", "schedule.cron", "write every, daily, weekly or cron below [schedule]"),
    Habit(
        ("minute", "minutes", "hour", "second", "seconds", "dayofweek", "dayofmonth", "monthofyear"),
        "Celery",
        "schedule.cron",
        'write cron = "30 9 * * mon-fri" below [schedule], or daily = 09:30:00',
    ),
    Habit(
        ("days",),
        "",
        "schedule.monthly",
        "write monthly = { days = [1, -1], at = 09:30:00 } or weekly below [schedule], or weekdays or month_days below "
        "[limits]",
    ),
    Habit(
        ("startdate", "starttime", "begin", "validfrom"),
        "",
        "limits.dates",
        "write dates = { first = 2026-01-31 } below [limits]",
    ),
    Habit(
        ("enddate", "endtime", "validuntil", "expires"),
        "",
        "limits.dates",
        "write dates = { last = 2026-12-31 } below [limits]",
    ),
    Habit(
        ("holidays", "excludedates", "blackout"),
        "",
        "limits.not_on",
        'write except_dates = [2026-12-24], or not_on = ["NAME"] with [calendars.NAME] in etc/akjob.toml',
    ),
    Habit(
        ("dependson", "requires", "wants", "trigger", "upstream", "runafter", "afterok", "dependencies"),
        "",
        "schedule.after",
        'write after = "JOB" below [schedule]',
    ),
    Habit(
        ("watch", "pathchanged", "pathmodified", "onfile", "filewatch"),
        "",
        "schedule.on_change",
        'write on_change = "inbox/*.csv" below [schedule]',
    ),
    # what
    Habit(
        ("job", "jobs", "task", "tasks"),
        "",
        "command",
        "a file is one job: write its keys at the top, and [instances.NAME] for several alike",
        alike=False,
    ),
    Habit(("execstart", "program", "entrypoint", "cmdline"), "", "command", 'write command = ["PROGRAM", "ARGUMENT"]'),
    Habit(("image", "container"), "Kubernetes", "command", 'write command = ["docker", "run", "--rm", "IMAGE", …]'),
    Habit(("python", "module", "pythonmodule"), "", "callable", 'write callable = "package.module:name"'),
    Habit(
        ("steps", "pipeline"),
        "",
        "command",
        'write command = "first && second", or a job each, with after = "JOB"',
    ),
    # how
    Habit(
        ("concurrencypolicy",),
        "Kubernetes",
        "run.overlap",
        'write overlap = "skip" (Forbid), "replace" or "allow" below [run]',
    ),
    Habit(
        ("maxinstances", "maxactiveruns", "singleton", "allowoverlap", "nooverlap"),
        "",
        "run.overlap",
        'write overlap = "skip", "queue", "replace" or "allow" below [run]',
    ),
    Habit(
        ("coalesce", "catchup", "persistent", "backfill"),
        "",
        "run.missed",
        'write missed = "skip", "latest" or "all" below [run]',
    ),
    Habit(
        ("misfiregracetime", "startingdeadlineseconds", "graceperiod", "maxlateness"),
        "",
        "run.missed_within",
        'write missed_within = "1h" below [run]',
    ),
    Habit(
        (
            "activedeadlineseconds",
            "executiontimeout",
            "runtimemaxsec",
            "timeoutsec",
            "timeoutseconds",
            "maxruntime",
            "softtimelimit",
        ),
        "",
        "run.timeout",
        'write timeout = "5m" below [run]',
    ),
    Habit(
        ("terminationgraceperiodseconds", "killtimeout", "timeoutstopsec", "graceful"),
        "",
        "run.kill_after",
        'write kill_after = "10s" below [run]',
    ),
    Habit(("killsignal", "signal"), "systemd", "run.stop_signal", 'write stop_signal = "TERM" below [run]'),
    Habit(
        (
            "backofflimit",
            "maxretries",
            "retries",
            "retrydelay",
            "retryon",
            "restart",
            "restartsec",
            "delay",
            "backoff",
            "attempts",
        ),
        "",
        "run.retry",
        'write retry = { attempts = 3, delay = "30s" } below [run]',
    ),
    Habit(
        (
            "memory",
            "memorymax",
            "memorylimit",
            "cpu",
            "cpulimit",
            "cpuquota",
            "limitnofile",
            "nofile",
            "openfiles",
            "maxmemory",
            "limitcpu",
        ),
        "",
        "run.resources",
        'write resources = { memory = "512MiB" } below [run]',
    ),
    Habit(
        ("environmentfile", "dotenv", "envfrom"),
        "",
        "run.env_file",
        'write env_file = "etc/NAME.env" below [run]',
    ),
    Habit(
        ("workingdirectory", "workdirectory", "chdir", "homedirectory"),
        "",
        "run.cwd",
        'write cwd = "FOLDER" below [run]',
    ),
    Habit(
        ("username", "runas", "runasuser", "uid", "runasgroup", "gid"),
        "",
        "run.user",
        'write user = "NAME" and group = "NAME" below [run]',
    ),
    Habit(("flock", "mutex", "lockfile", "exclusive"), "", "run.lock", 'write lock = "NAME" below [run]'),
    Habit(
        ("queue", "slots", "maxconcurrent", "concurrencylimit", "priorityclass"),
        "",
        "run.pool",
        'write pool = "NAME" below [run], and NAME = 3 below [pools] in etc/akjob.toml',
    ),
    Habit(
        ("virtualenv", "venv", "pythonpath"), "", "run.interpreter", 'write interpreter = "venv/bin/python" below [run]'
    ),
    Habit(
        ("node", "nodeselector", "host", "hosts", "runson", "labels"),
        "",
        "run.where",
        'write where = "node:NAME", or needs = ["TAG"], below [run]',
    ),
    # what becomes of it
    Habit(
        ("stdout", "stderr", "log", "logfile", "logs", "output", "standardoutput", "standarderror", "redirect"),
        "",
        "",
        "remove it: all output is in the log, and `akjob logs JOB` shows it",
    ),
    Habit(
        (
            "mailto",
            "email",
            "emailonfailure",
            "mail",
            "onfailure",
            "onsuccess",
            "onerror",
            "onretry",
            "alert",
            "alerts",
            "callback",
            "webhook",
            "slack",
        ),
        "",
        "notify.channels",
        'write channels = ["NAME"] below [notify], and [channels.NAME] in etc/akjob.toml',
    ),
    Habit(
        ("healthcheck", "healthchecks", "deadmansswitch", "snitch", "monitor"),
        "",
        "notify.ping",
        'write ping = "https://…" below [notify]',
    ),
    Habit(("suspend", "paused", "disabled", "jobenabled"), "", "enabled", "write enabled = false at the top"),
    Habit(("category", "categories", "namespace"), "", "tags", 'write tags = ["WORD"]'),
    Habit(("maintainer", "contact", "author", "team"), "", "owner", 'write owner = "NAME" at the top'),
    Habit(("title", "comment", "summary", "documentation"), "", "description", 'write description = "…" at the top'),
    Habit(("version", "apiversion", "kind", "metadata", "spec"), "", "", "remove it: a job file has no such head"),
)

# Other words for a key that is the same thing here.
SYNONYMS = {
    "active": "enabled",
    "arguments": "args",
    "boot": "on_boot",
    "cmd": "command",
    "concurrency": "overlap",
    "crontab": "cron",
    "directory": "cwd",
    "environment": "env",
    "exec": "command",
    "frequency": "every",
    "func": "callable",
    "function": "callable",
    "interval": "every",
    "max_runs": "runs",
    "misfire": "missed",
    "reboot": "on_boot",
    "run_every": "every",
    "script": "command",
    "shell": "command",
    "time_limit": "timeout",
    "tz": "timezone",
    "working_dir": "cwd",
    "workdir": "cwd",
    "zone": "timezone",
}


def plain(name: str) -> str:
    """Return a name without what schedulers spell differently."""
    return name.lower().replace("_", "").replace("-", "")


_BY_NAME = {plain(name): habit for habit in HABITS for name in habit.names}


def habit_of(name: str) -> Habit | None:
    """Return the habit that a key is from, or None."""
    return _BY_NAME.get(plain(name))
