"""What a shim is told is plain, complete and can be read back."""

import datetime as dt
import marshal
from pathlib import Path
from typing import Any

from akjob.config import Config, Paths
from akjob.config.secrets import SecretFile
from akjob.run import order, python
from akjob.run.cgroup import Groups
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
    }


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
