"""What reading a job costs beyond ``tomllib``: the ratio of CPU times over typical files.

    python benchmarks/parse.py [FILES]

Prints the CPU time of ``tomllib.loads`` alone and of ``parse_job`` for the same texts, the best of several rounds each,
and their ratio: 1.0 would mean that reading a job costs nothing on top.
"""

import gc
import sys
import time
import tomllib
from collections.abc import Callable, Mapping

from akjob.config import Config
from akjob.spec import parse_defaults, parse_job

ROUNDS = 20

TYPICAL = (
    """\
description = "Mail the sales report {n}"
tags = ["reports", "mail"]

callable = "reports.sales:send"
args     = ["emea", {n}]
kwargs   = {{ dry_run = false }}

[schedule]
timezone = "Europe/Berlin"
weekly   = {{ days = ["mon", "thu"], at = 09:30:00 }}

[limits]
dates = {{ first = 2026-01-01, last = 2036-12-31 }}

[run]
timeout = "5m"
retry = {{ attempts = 3, delay = "30s" }}
""",
    """\
description = "Back up database {n}"
command = ["/usr/local/bin/backup", "--database", "customers-{n}", "--to", "/srv/backup"]

[schedule]
cron = "{minute} 3 * * *"

[run]
timeout = "2h"
overlap = "skip"
lock = "backup"
user = "postgres"
env = {{ PGHOST = "db{n}.example.org", PGPASSWORD = {{ file = "/run/secrets/pg" }} }}
""",
    """\
command = "curl -fsS https://example.org/ping/{n}"

[schedule]
every = "5m"
jitter = "30s"
""",
    """\
#:schema ../etc/job.schema.json
# Rotated keys are announced first, then taken.
description = "Rotate key {n}"
enabled = true
callable = "ops.keys.rotate"
kwargs = {{ key = "k{n}", grace = 3600, notify = ["ops@example.org", "audit@example.org"] }}

[schedule]
timezone = "America/New_York"
daily = [06:00:00, 18:00:00]

[limits]
weekdays = ["mon", "tue", "wed", "thu", "fri"]
except_dates = [2026-12-24, 2026-12-25]

[run]
timeout = "10m"
missed = "all"
missed_within = "6h"
nice = 5
resources = {{ memory = "512MiB", cpu = "5m" }}
""",
)


def cpu_seconds(works: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the least CPU time of each, measured in turns, so that a busy moment of the machine hits all alike."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(ROUNDS):
        for name, work in works.items():
            gc.collect()
            start = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - start)
    return best


def main(files: int) -> None:
    """Measure and print."""
    texts = [TYPICAL[n % len(TYPICAL)].format(n=n, minute=n % 60) for n in range(files)]
    raw = [text.encode() for text in texts]
    config = Config()
    defaults = (parse_defaults("jobs.d/_defaults.toml", '[run]\nenv = { LANG = "C.UTF-8" }\n'),)
    broken = [one for one in (parse_job("a", "a.toml", text) for text in raw[:8]) if one.spec is None]
    if broken:
        sys.exit(f"a typical file is broken: {broken[0].problems}")

    def alone() -> None:
        for text in raw:
            tomllib.loads(text.decode())

    def plain() -> None:
        for text in raw:
            parse_job("job", "jobs.d/job.toml", text, config=config)

    def below_defaults() -> None:
        for text in raw:
            parse_job("job", "jobs.d/job.toml", text, defaults=defaults, config=config)

    taken = cpu_seconds({"tomllib alone": alone, "parse_job": plain, "parse_job, defaults": below_defaults})
    base = taken["tomllib alone"]
    print(f"{files} files, {sum(map(len, raw)) / files:.0f} bytes on average; CPU time, the best of {ROUNDS}")
    for name, seconds in taken.items():
        print(f"{name:<20}  {seconds:7.3f} s  {seconds / files * 1e6:6.1f} us a file  {seconds / base:.2f} x tomllib")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
