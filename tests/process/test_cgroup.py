"""Control groups: runs in groups of their own where that is delegated, and what happens when a group allows no fork."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.roots import Place
from tests.support import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make control groups")


def mounted(kind: str, option: str = "") -> Path:
    """Return where a control group tree is mounted; skip where it is not."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, found, options, *_ = line.split()
        if found == kind and (not option or option in options.split(",")):
            return Path(point)
    pytest.skip(f"no {kind} {option} is mounted here")


def make(tree: Path) -> Path:
    """Make a group for this test; skip where that is not possible."""
    group = tree / f"akjob-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no group can be made in {tree}: {error.strerror}")
    return group


def remove(group: Path) -> None:
    """Remove a group and what is below it, once nothing lives in them."""

    def gone() -> bool:
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
        return not group.exists()

    until(gone)


@pytest.fixture
def delegated() -> Iterator[Path]:
    """Yield a cgroup v2 that is ours."""
    group = make(mounted("cgroup2"))
    if not (group / "cgroup.kill").exists():
        group.rmdir()
        pytest.skip("this kernel has no cgroup.kill (Linux 5.14)")
    yield group
    remove(group)


class Grouped(Place):
    """A place whose programs are started in a control group."""

    group: Path

    def _spawn(self, program: str) -> None:
        here = Path("/proc/self/cgroup").read_text().splitlines()
        back = next(line[3:] for line in here if line.startswith("0::"))
        (self.group / "cgroup.procs").write_text("0")
        try:
            super()._spawn(program)
        finally:
            (mounted("cgroup2") / back.lstrip("/") / "cgroup.procs").write_text("0")


@pytest.fixture
def grouped(root: Path, delegated: Path) -> Iterator[Grouped]:
    """Yield a root whose akjobd was delegated a group."""
    here = Grouped(root)
    here.group = delegated
    here.start()
    yield here
    here.stop()


def groups(place: Grouped) -> list[str]:
    """Return the runs that have a group."""
    base = place.group / "akjob-runs"
    return [entry.name for entry in base.iterdir() if entry.is_dir()]


def test_a_run_has_a_group_that_ends_all_of_it(grouped: Grouped) -> None:
    """The job is in its run's group; when the run ends everything in the group is killed, and the group is removed."""
    assert grouped.status()["control_groups"] is not None
    grouped.job("job", "command = 'cat /proc/self/cgroup > groups; setsid env -i sleep 300 & echo $! > stray'\n")
    until(lambda: grouped.known("job"))
    row = grouped.wait(grouped.run("job"))
    assert row["state"] == "succeeded", grouped.said()
    assert f"/akjob-runs/{row['id']}" in (grouped.root / "groups").read_text()
    assert not Path("/proc", (grouped.root / "stray").read_text().strip()).exists()
    until(lambda: groups(grouped) == [])


def test_what_a_killed_shim_left_in_its_group_is_killed(grouped: Grouped) -> None:
    """Also a process that carries no mark of the run; the group goes with it."""
    grouped.job("job", "command = 'setsid env -i sleep 300 & echo $! > stray.new; mv stray.new stray; sleep 300'\n")
    until(lambda: grouped.known("job"))
    run = grouped.run("job")
    until((grouped.root / "stray").exists)
    (running,) = until(lambda: grouped.status()["running"])
    os.kill(running["shim_pid"], 9)
    row = grouped.wait(run)
    assert row["state"] == "lost"
    stray = Path("/proc", (grouped.root / "stray").read_text().strip())
    until(lambda: not stray.exists())
    until(lambda: groups(grouped) == [])


@pytest.fixture
def counted() -> Iterator[Path]:
    """Yield a group that counts processes, of either version."""
    tree: Path | None = None
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, options, *_ = line.split()
        if (kind == "cgroup" and "pids" in options.split(",")) or (
            kind == "cgroup2" and "pids" in Path(point, "cgroup.subtree_control").read_text().split()
        ):
            tree = Path(point)
    if tree is None:
        pytest.skip("no control group here counts processes")
    group = make(tree)
    yield group
    remove(group)


@pytest.fixture
def place(root: Path, counted: Path) -> Iterator[Place]:
    """Yield a root in which akjobd and the collector run."""
    assert counted.exists()
    here = Place(root)
    here.start()
    yield here
    (counted / "pids.max").write_text("max")
    here.stop()


def test_a_zygote_that_cannot_fork(place: Place, counted: Path) -> None:
    """The run keeps its claim and is tried again until there is room; its row tells why."""
    place.job("job", "command = 'echo $AKJOB_ATTEMPT >> effects'\n")
    until(lambda: place.known("job"))
    (counted / "cgroup.procs").write_text(str(place.pid("zygote")))
    (counted / "pids.max").write_text("1")
    run = place.run("job")
    until(lambda: place.sql("SELECT 1 FROM runs WHERE reason LIKE '%could not fork%'"))
    (row,) = place.sql("SELECT * FROM runs")
    assert (row["state"], row["id"]) == ("queued", run)
    assert "Resource temporarily unavailable" in row["reason"]
    (counted / "pids.max").write_text("max")
    row = place.wait(run)
    assert (row["state"], row["attempt"], row["reason"]) == ("succeeded", 1, None)
    assert (place.root / "effects").read_text() == "1\n"


def test_a_shim_that_cannot_fork(place: Place, counted: Path) -> None:
    """The run has failed, with the reason, and is tried again by `retry`."""
    place.job("job", "command = 'echo $AKJOB_ATTEMPT >> effects'\n[run]\nretry = { attempts = 2, delay = \"200ms\" }\n")
    until(lambda: place.known("job"))
    (counted / "cgroup.procs").write_text(str(place.pid("zygote")))
    (counted / "pids.max").write_text("2")
    row = place.wait(place.run("job"))
    (counted / "pids.max").write_text("max")
    assert row["state"] == "failed"
    assert row["reason"] == "the job's process could not be forked: Resource temporarily unavailable"
    until(lambda: place.sql("SELECT 1 FROM runs WHERE attempt = 2 AND state IN ('succeeded', 'failed')"))
    until(lambda: not place.folders())
