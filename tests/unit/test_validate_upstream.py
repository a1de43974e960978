"""``after`` over the whole folder: jobs that do not exist, and circles."""

from pathlib import Path

import pytest

from akjob.config import Paths
from akjob.instants import from_text
from akjob.validate import validate

NAME = "write the name of a job: its path below jobs.d without .toml"
NOW_US = from_text("2026-11-30T00:00:00Z")


def problems(folder: Path, target: str | None = None, **after: str) -> list[str]:
    """Return what is wrong with jobs of these names and their ``after``."""
    jobs = folder / "jobs.d"
    jobs.mkdir(mode=0o755)
    for name, value in after.items():
        schedule = f"[schedule]\nafter = {value}\n" if value and not value.startswith("[inst") else value
        (jobs / f"{name}.toml").write_text(f'command = "true"\n{schedule}')
    targets = [] if target is None else [str(jobs / f"{target}.toml")]
    found = validate(Paths(folder), targets, now_us=NOW_US)
    return [f"{Path(one.file).stem}:{one.line}:{one.column} {one.code} {one.message}; {one.hint}" for one in found]


def test_a_chain_is_fine(tmp_path: Path) -> None:
    """Also with several upstreams, with an instance, and where the upstream's file is broken."""
    found = problems(
        tmp_path,
        a="",
        b='"a"',
        c='["a", "b"]',
        d='{ jobs = ["e@x"], on = "ended" }',
        e="[instances.x]\n",
        f='"g"',
        g='["a",',
    )
    assert [one.split()[1] for one in found] == ["toml-syntax"]


def test_a_job_that_does_not_exist(tmp_path: Path) -> None:
    """The nearest name is suggested; of a file with instances, these."""
    found = problems(tmp_path, extract="", b='["extarct", "extract"]', c='"e"', e="[instances.x]\n[instances.y]\n")
    assert found == [
        f'b:3:9 after-unknown there is no job "extarct" to run after; did you mean "extract"?; {NAME}',
        'c:3:9 after-unknown there is no job "e" to run after; its file gives e@x, e@y',
    ]


def test_circles(tmp_path: Path) -> None:
    """Each job in one is told, with the way round; one that merely waits for them is not."""
    found = problems(tmp_path, a='"c"', b='"a"', c='["b", "x"]', d='"a"', x="", y='"y"')
    assert [one.split("; ")[0] for one in found] == [
        "a:3:9 after-circle the jobs wait for each other in a circle: a after c after b after a",
        "b:3:9 after-circle the jobs wait for each other in a circle: b after a after c after b",
        "c:3:9 after-circle the jobs wait for each other in a circle: c after b after a after c",
        "y:3:9 after-circle the jobs wait for each other in a circle: y after y",
    ]


@pytest.mark.parametrize("target", ["b", "a"])
def test_a_single_file_is_held_to_the_folder_that_it_lies_in(tmp_path: Path, target: str) -> None:
    """Only what is wrong with that file is said."""
    found = problems(tmp_path, target, a="", b='"c"', d='"c"')
    assert [one.split()[0] for one in found] == (["b:3:9"] if target == "b" else [])


def test_a_file_outside_of_a_root_knows_no_others(tmp_path: Path) -> None:
    """What the names mean is not known there."""
    file = tmp_path / "b.toml"
    file.write_text('command = "true"\n[schedule]\nafter = "a"\n')
    assert validate(None, [file], now_us=NOW_US) == []
