"""The examples of jobs.d/ and the code that they run."""

import json
import logging
import shutil
import sqlite3
import tomllib
from contextlib import closing
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import pytest

from akjob.config import Config
from akjob.spec import parse_job
from tasks.disk import watch
from tasks.report import runs_of_a_day

ROOT = Path(__file__).parents[2]


class Usage(NamedTuple):
    """What ``shutil.disk_usage`` returns."""

    total: int
    used: int
    free: int


def full_to(percent: float) -> Usage:
    """Return the usage of a 100 GiB file system."""
    free = round((100 - percent) * 2**30)
    return Usage(100 * 2**30, 100 * 2**30 - free, free)


@pytest.mark.parametrize("path", sorted((ROOT / "jobs.d").glob("*.toml")), ids=lambda path: path.stem)
def test_an_example_has_no_problem(path: Path) -> None:
    """What people copy is right, the hints included."""
    parsed = parse_job(path.stem, f"jobs.d/{path.name}", path.read_bytes(), defaults=(), config=Config())
    assert parsed.problems == ()
    assert parsed.spec is not None
    assert parsed.spec.description


def test_the_packed_report_is_the_one_in_tasks() -> None:
    """The dill file was made from tasks/report.py as it is, and report.toml names it by its hash."""
    packed = ROOT / "jobs.d" / "report.dill"
    record = json.loads(Path(f"{packed}.json").read_bytes())
    assert record["made_from"]["text"] == (ROOT / "tasks" / "report.py").read_text()
    table = tomllib.loads((ROOT / "jobs.d" / "report.toml").read_text())["dill"]
    assert table == {"file": packed.name, "sha256": sha256(packed.read_bytes()).hexdigest(), "python": record["python"]}


def test_the_example_of_init_has_no_problem() -> None:
    """The first job that somebody sees is valid."""
    text = (files("akjob") / "data" / "hello.toml").read_bytes()
    assert parse_job("hello", "jobs.d/hello.toml", text, defaults=(), config=Config()).problems == ()


def test_a_nearly_full_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Over the limit there is one warning with path and figures; at the limit there is none."""
    usage = {"/": full_to(90.0), "/srv": full_to(97.5)}
    monkeypatch.setattr(shutil, "disk_usage", usage.__getitem__)
    with caplog.at_level(logging.WARNING):
        assert watch(["/", "/srv"], warn_percent=90) == {"/": 90.0, "/srv": 97.5}
    (warning,) = caplog.records
    assert warning.levelname == "WARNING"
    assert vars(warning)["path"] == "/srv"
    assert vars(warning)["used_percent"] == 97.5
    assert vars(warning)["free_gib"] == 2.5


def test_every_disk_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The run's log shows the figures also when all is well."""
    watch(["/"], warn_percent=100)
    assert capsys.readouterr().out.startswith("/: ")


def test_the_report_counts_the_last_day(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stretches count by their slots, and what is older than a day is left out."""
    monkeypatch.setenv("AKJOB_ROOT", str(root))
    with closing(sqlite3.connect(root / "var" / "akjob.db")) as ledger, ledger:
        ledger.execute("CREATE TABLE runs (job TEXT, state TEXT, count INTEGER, slot TEXT)")
        for job, state, count, age in (
            ("load", "succeeded", 1, "-1 minute"),
            ("load", "succeeded", 1, "-2 minutes"),
            ("load", "missed", 40, "-3 hours"),
            ("pull", "failed", 1, "-23 hours"),
            ("pull", "failed", 1, "-25 hours"),
        ):
            ledger.execute(
                "INSERT INTO runs VALUES (?, ?, ?, strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', ?))",
                (job, state, count, age),
            )
    assert runs_of_a_day() == {"succeeded": 2, "missed": 40, "failed": 1}
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["load", "missed", "40"],
        ["load", "succeeded", "2"],
        ["pull", "failed", "1"],
    ]
