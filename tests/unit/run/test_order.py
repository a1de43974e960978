"""What a shim is told is plain, complete and can be read back."""

import datetime as dt
import marshal
from pathlib import Path
from typing import Any

import pytest

from akjob.config import Config, Paths
from akjob.config.secrets import SecretFile
from akjob.instants import from_text
from akjob.run import order, python
from akjob.run.cgroup import Groups
from akjob.schedule.model import Schedule
from akjob.spec.model import Command, DillFile, DottedCallable, EnvFile, JobSpec, Resources, RunPolicy

PATHS = Paths(Path("/srv/jobs"))


def make(spec: JobSpec, **more: Any) -> dict[str, Any]:
    """Return an order after its way through the wire."""
    made = order.make(
        spec, PATHS, Config(), run="r1", slot_us=1_774_746_000_000_000, attempt=2, trigger="retry", **more
    )
    read: dict[str, Any] = marshal.loads(order.encode(made))  # noqa: S302
    return read


def spec(code: Any, **more: Any) -> JobSpec:
    """Return a job with this code."""
    return JobSpec(name="a/b", file="jobs.d/a/b.toml", sources=(), definition="", sha256="", code=code, **more)


def test_tomls_dates_and_times_survive_the_way() -> None:
    """Arguments arrive with the types that the TOML file gave them."""
    values = [
        dt.datetime(2026, 3, 29, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        dt.date(2026, 3, 29),
        dt.time(1, 2, 3),
        {"deep": [1, 2.5, True, "x"]},
    ]
    got = make(spec(DottedCallable("m:f"), args=tuple(values)))
    assert python.plain(got["args"]) == values


def test_paths_are_below_the_root_and_the_dill_file_beside_its_toml_file() -> None:
    """Relative paths of a definition mean the root; the dill file's means the job file's folder."""
    policy = RunPolicy(
        cwd="work",
        env_files=(EnvFile("etc/env"), EnvFile("/x", optional=True)),
        env={"A": "1", "B": SecretFile("secret"), "C": SecretFile("/s")},
    )
    got = make(spec(DillFile("x.dill", "00", "3.11"), run=policy))
    assert got["code"] == ("dill", "/srv/jobs/jobs.d/a/x.dill", "00", "3.11")
    assert (got["cwd"], got["env_file"]) == ("/srv/jobs/work", [("/srv/jobs/etc/env", False), ("/x", True)])
    assert got["env"] == {"A": "1", "B": ("/srv/jobs/secret",), "C": ("/s",)}


def test_every_run_knows_itself() -> None:
    """The AKJOB_ variables are there for every kind of code."""
    assert make(spec(Command(None, "true")))["names"] == {
        "AKJOB_JOB": "a/b",
        "AKJOB_RUN": "r1",
        "AKJOB_SLOT": "2026-03-29T01:00:00.000000Z",
        "AKJOB_ATTEMPT": "2",
        "AKJOB_ROOT": "/srv/jobs",
        "AKJOB_TRIGGER": "retry",
        "AKJOB_SLOT_LOCAL": "2026-03-29T01:00:00+00:00",
        "AKJOB_PREVIOUS_SLOT": "",
    }


@pytest.mark.parametrize(("user", "file"), [(None, "/srv/jobs/var/runs/r1/changed"), ("nobody", "/akjob-r1-changed")])
def test_changed_files_are_listed_where_the_run_can_read(user: str | None, file: str) -> None:
    """Nobody but akjobd's user may enter a run's folder."""
    got = make(spec(Command(None, "true"), run=RunPolicy(user=user)), files=["/in/a", "/in/b"])
    assert got["changed"] == ["/in/a", "/in/b"]
    assert got["names"]["AKJOB_CHANGED_FILE"] == got["changed_file"]
    assert got["changed_file"].endswith(file)


def test_a_run_without_changed_files_names_none() -> None:
    """No file is made for it."""
    got = make(spec(Command(None, "true")))
    assert (got["changed_file"], "AKJOB_CHANGED_FILE" in got["names"]) == ("", False)


@pytest.mark.parametrize(
    ("start", "at"),
    [
        ("2026-03-28T20:00:00", "2026-03-29T00:30:00"),  # the spring night: 02:30 falls into the gap later that night
        ("2026-03-29T00:29:59", "2026-03-29T00:30:00"),
        ("2026-03-29T00:30:00", "2026-03-29T23:30:00"),  # strictly after, and an hour earlier by the new offset
        ("2026-10-24T23:29:59", "2026-10-24T23:30:00"),  # the autumn night
        ("2026-10-24T23:30:00", "2026-10-26T00:30:00"),
    ],
)
def test_the_local_time_at_which_a_run_is_ended(start: str, at: str) -> None:
    """01:30 in Berlin, the first after the run's start, whatever its slot was."""
    job = spec(Command(None, "true"), run=RunPolicy(stop_at=5400), schedule=Schedule(zone="Europe/Berlin"))
    got = make(job, now_us=from_text(f"{start}.000000Z"))
    assert (got["stop_at_us"], got["stop_at"]) == (from_text(f"{at}.000000Z"), "01:30:00")
    later = make(job, start_us=from_text(f"{start}.000000Z"), now_us=1)
    assert later["stop_at_us"] == got["stop_at_us"]


@pytest.mark.parametrize(("given", "priority"), [(None, None), ("idle", 3 << 13), ("best-effort:7", 2 << 13 | 7)])
def test_the_class_of_disk_access(given: str | None, priority: int | None) -> None:
    """As ioprio_set(2) takes it."""
    assert make(spec(Command(None, "true"), run=RunPolicy(ionice=given)))["ionice"] == priority


def test_a_manual_runs_arguments_come_over_the_jobs_own() -> None:
    """Key by key, the one who asks wins."""
    got = make(spec(DottedCallable("m:f"), kwargs={"a": 1, "b": 2}), kwargs={"b": 3})
    assert got["kwargs"] == {"a": 1, "b": 3}


def test_memory_and_processes_are_rlimits_with_a_warning_without_a_control_group() -> None:
    """Where no control group is delegated the limit is a weaker one, and the run's log says so."""
    policy = RunPolicy(resources=Resources(memory=1 << 20, processes=5, cpu_us=1_500_000))
    alone = make(spec(Command(None, "true"), run=policy))
    assert [limit[0] for limit in alone["rlimits"]] == ["memory", "processes", "cpu"]
    assert [text.partition(" ")[0] for text in alone["warnings"]] == ["resources.memory", "resources.processes"]
    grouped = make(spec(Command(None, "true"), run=policy), groups=Groups("/g", frozenset({"memory", "pids"})))
    assert [limit[0] for limit in grouped["rlimits"]] == ["cpu"]
    assert (grouped["warnings"], grouped["cgroup"]) == ([], "/g/r1")
    assert grouped["limits"] == {"memory": 1 << 20, "processes": 5}


def test_the_soft_cpu_limit_is_below_the_hard_one() -> None:
    """SIGXCPU, which says what happened, comes before the kernel's SIGKILL."""
    policy = RunPolicy(resources=Resources(cpu_us=1_500_000))
    ((_, _, soft, hard),) = make(spec(Command(None, "true"), run=policy))["rlimits"]
    assert (soft, hard > soft) == (2, True)
