"""What the next slot costs: ``python -m benchmarks.next_slot``.

First the CPU time of 10,000 next-slot computations over a realistic mix: 10,000 jobs with different times and zones,
each asked once at a random instant of ten years, compiling included; and once more when all is compiled. Then the
worst cases: the hardest questions that we could think of, each asked of a fresh plan.
"""

import time
from datetime import date, datetime, timedelta
from random import Random

from akjob.instants import SECOND, from_text, to_text
from akjob.schedule import Memory, Plan, compile_schedule, next_slot
from akjob.schedule.limits import limit_rule
from akjob.schedule.model import Cron, Every, Hours, Limits, Moment, Monthly, NthWeekday, Schedule, Weekly

JOBS = 10_000
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Sydney", "America/Sao_Paulo", "+05:30")
NOW = from_text("2026-01-15T10:11:12Z")
YEARS = 10 * 365 * 86_400 * SECOND
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time
WEEK = tuple(range(7))


def mix(random: Random) -> list[tuple[str, Schedule]]:
    """Return the jobs: by kind, one third of them with limits."""
    return [_job(random) for _ in range(JOBS)]


def _job(random: Random) -> tuple[str, Schedule]:
    zone = random.choice(ZONES)
    time_of_day = random.randrange(86_400) // 60 * 60
    minute, hour = random.randrange(60), random.randrange(24)
    kinds = ("daily", "daily", "weekly", "weekly", "monthly", "cron", "cron", "cron", "every", "every")
    kind = random.choice(kinds)
    limits = Limits(zone=zone)
    if random.random() < 1 / 3:
        hours = Hours(6 * 3600, 20 * 3600, zone) if kind in {"every", "cron"} else None
        limits = Limits(zone=zone, hours=hours, weekdays=(0, 1, 2, 3, 4), except_dates=(date(2026, 12, 25),))
    daily = weekly = monthly = cron = every = None
    if kind == "daily":
        daily = Weekly(WEEK, (time_of_day, (time_of_day + 43_200) % 86_400), zone)
    elif kind == "weekly":
        weekly = Weekly(tuple(random.sample(WEEK, 2)), (time_of_day,), zone)
    elif kind == "monthly":
        days = random.choice(((1,), (-1,), (15, 31), (NthWeekday(1, 0),), (NthWeekday(-1, 4),)))
        monthly = Monthly(days, (time_of_day,), zone)
    elif kind == "cron":
        text = random.choice((f"{minute} {hour} * * *", f"{minute} * * * *", "*/5 * * * *", f"{minute} {hour} * * 1-5"))
        cron = Cron(text, zone)
    else:
        every = Every(random.choice((30, 60, 300, 3600, 86_400)) * SECOND, Moment(EPOCH, None, zone))
    return kind, Schedule(
        zone=zone,
        daily=daily,
        weekly=(weekly,) if weekly else (),
        monthly=(monthly,) if monthly else (),
        cron=(cron,) if cron else (),
        every=every,
        limits=limits,
    )


def worst_cases() -> dict[str, tuple[Schedule, int]]:
    """Return the hard questions, each with the instant after which the next slot is asked for."""
    berlin = "Europe/Berlin"

    def cron(text: str, **limits: object) -> Schedule:
        return Schedule(zone=berlin, cron=(Cron(text, berlin),), limits=Limits(zone=berlin, **limits))  # type: ignore[arg-type]

    def every(seconds: float, **limits: object) -> Schedule:
        grid = Every(int(seconds * SECOND), Moment(EPOCH, None, berlin))
        return Schedule(zone=berlin, every=grid, limits=Limits(zone=berlin, **limits))  # type: ignore[arg-type]

    def at(count: int, **limits: object) -> Schedule:
        first = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - a local time
        moments = tuple(
            Moment(first + timedelta(days=day % 3000, minutes=day // 3000), None, berlin) for day in range(count)
        )
        return Schedule(zone=berlin, at=moments, limits=Limits(zone=berlin, **limits))  # type: ignore[arg-type]

    ten, half = 10 * 3600, 10 * 3600 + 1800
    christmas = [date(2026, 1, 1) + timedelta(days=day) for day in range(3000)]
    cases = {
        "* * * * *, Mondays that are 29 February": cron("* * * * *", weekdays=(0,), month_days=(29,), months=(2,)),
        "* * * * *, the same after 2100 is passed over": (
            cron("* * * * *", weekdays=(0,), month_days=(29,), months=(2,)),
            from_text("2072-03-01T00:00:00Z"),
        ),
        "* * * * * *, dates from 9000 on": cron("* * * * * *", first=date(9000, 1, 1)),
        "* * * * * *, 29 February, 10:00:00 to 10:00:01": cron(
            "* * * * * *", hours=Hours(ten, ten + 1, berlin), months=(2,), month_days=(29,)
        ),
        "every 7 s, dates in 20 years": every(7, first=date(2046, 5, 5), last=date(2046, 5, 5)),
        "every 1 s, hours, 3,000 excepted days": every(
            1, hours=Hours(ten, half, berlin), except_dates=tuple(christmas)
        ),
        "every 1 h at full hours, 10:15 to 10:45: never": every(3600, hours=Hours(ten + 900, half + 900, berlin)),
        "every 86,399 s, one second of the 15th": every(86_399, hours=Hours(ten, ten + 1, berlin), month_days=(15,)),
        "every 61 min, one minute on 29 February": every(
            3660, hours=Hours(ten, ten + 60, berlin), months=(2,), month_days=(29,)
        ),
        "every 63 d on 29 February": every(63 * 86_400, months=(2,), month_days=(29,)),
        "every 189 d on 15 March": every(189 * 86_400, months=(3,), month_days=(15,)),
        "every 4 y less a second, Mondays": every(4 * 365 * 86_400 - 1, weekdays=(0,), months=(2,)),
        "every 1 s, limits that never allow": every(1, months=(2,), month_days=(31,)),
        "midnight, 10:00 to 10:30: never": cron("0 0 * * *", hours=Hours(ten, half, berlin)),
        "midnight, 10:00 to 10:30 in New York: never": cron("0 0 * * *", hours=Hours(ten, half, "America/New_York")),
        "06:15, 01:00 to 02:00 in New York, in July: never": cron(
            "15 6 * * *", hours=Hours(3600, 7000, "America/New_York"), months=(7,)
        ),
        "02:30 in March, 03:00 to 03:01 (the gap's slot)": cron(
            "30 2 * 3 *", hours=Hours(3 * 3600, 3 * 3600 + 60, berlin)
        ),
        "the gap's slot in a month that has none: never": cron(
            "30 2 * 1 *", hours=Hours(3 * 3600, 3 * 3600 + 60, berlin)
        ),
        "01:30 in July, hours that fit in winter only: never": cron(
            "30 1 * 7 *", hours=Hours(0, 1800 + 60, "UTC"), months=(7,)
        ),
        "30 February: never": cron("0 0 30 2 *"),
        "fifth Monday of February": cron("0 0 * 2 MON#5"),
        "fifth Monday of February that is the 28th: never": cron("0 0 * 2 MON#5", month_days=(28,)),
        "weekly on Sunday, Mondays only: never": Schedule(
            zone="Pacific/Auckland",
            weekly=(Weekly((6,), (3600,), "Pacific/Auckland"),),
            limits=Limits(zone="Pacific/Auckland", weekdays=(0,)),
        ),
        "weekly in Apia, another day's limit in Honolulu": Schedule(
            zone="Pacific/Apia",
            weekly=(Weekly((0,), (3600,), "Pacific/Apia"),),
            limits=Limits(zone="Pacific/Honolulu", weekdays=(5,), months=(2,), month_days=(29,)),
        ),
        "three zones, never": Schedule(
            zone=berlin,
            monthly=(Monthly((29,), (3600 * 6,), "America/New_York"),),
            limits=Limits(zone="Australia/Sydney", months=(7,), hours=Hours(0, 3600, berlin)),
        ),
        "at, 10,000 entries": at(10_000),
        "at, 10,000 entries, none allowed": at(10_000, hours=Hours(ten, half, berlin)),
        "29 February, all of the next 400 years excepted": cron(
            "0 0 29 2 *",
            except_dates=tuple(date(year, 2, 29) for year in range(2028, 2428, 4) if year % 100 or year % 400 == 0),
        ),
    }
    return {name: case if isinstance(case, tuple) else (case, NOW) for name, case in cases.items()}


def main() -> None:
    """Print the figures."""
    random = Random(1)  # noqa: S311 - repeatable, no secret
    jobs = mix(random)
    instants = [NOW + random.randrange(YEARS) for _ in jobs]
    for zone in ZONES:
        next_slot(compile_schedule(Schedule(zone=zone, daily=Weekly(WEEK, (0,), zone))), NOW)  # reads the zone's file
    begun = time.process_time()
    plans = [compile_schedule(schedule) for _, schedule in jobs]
    for plan, instant in zip(plans, instants, strict=True):
        next_slot(plan, instant)
    first = time.process_time() - begun
    begun = time.process_time()
    for plan, instant in zip(plans, instants, strict=True):
        next_slot(plan, instant)
    second = time.process_time() - begun
    print(f"{JOBS:,} jobs, next slot of each: {first:.3f} s of CPU compiling included, {second:.3f} s when compiled")
    for kind in sorted({kind for kind, _ in jobs}):
        _print_kind(kind, jobs, plans, instants)
    slowest = 0.0
    print("\nworst cases, a fresh plan each (ms of CPU):")
    for name, (schedule, after) in worst_cases().items():
        used, slot = _cold(schedule, after)
        slowest = max(slowest, used)
        print(f"  {used * 1000:7.2f}  {name}: {to_text(slot)[:19] + 'Z' if slot is not None else 'never'}")
    print(f"the slowest took {slowest * 1000:.1f} ms")


def _print_kind(kind: str, jobs: list[tuple[str, Schedule]], plans: list[Plan], instants: list[int]) -> None:
    chosen = [i for i, (name, _) in enumerate(jobs) if name == kind]
    begun = time.process_time()
    for i in chosen:
        next_slot(plans[i], instants[i])
    used = time.process_time() - begun
    print(f"  {kind:8} {len(chosen):6,} jobs, {used / len(chosen) * 1e6:5.1f} µs each")


def _cold(schedule: Schedule, after: int) -> tuple[float, int | None]:
    best, slot = 1e9, None
    for _ in range(3):
        limit_rule.cache_clear()
        begun = time.process_time()
        slot = next_slot(Plan(schedule), after, Memory(loaded_us=after))
        best = min(best, time.process_time() - begun)
    return best, slot


if __name__ == "__main__":
    main()
