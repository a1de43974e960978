"""Deploys into a running akjobd, as git, rsync, Capistrano and Kubernetes do them; and which commit a run ran from."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import until
from tests.system.deploy import Deploy

MANY = 300
NEWS = ("job.added", "job.changed", "job.removed", "job.broken")


def text(version: int, number: int = 0) -> str:
    """Return a job file of one version; all versions are of the same size."""
    return f'command = "true version-{version} job-{number}"\n[schedule]\nevery = "52w"\n'


@pytest.fixture
def deploy(root: Path) -> Iterator[Deploy]:
    """Yield a root that is not a repository yet, in which nothing runs yet."""
    place = Deploy(root)
    yield place
    place.stop()


def write_all(folder: Path, version: int, count: int = MANY) -> None:
    """Write jobs of one version, ten to a folder below."""
    for number in range(count):
        file = folder / f"group-{number // 10}" / f"job-{number}.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text(version, number))


def versions(deploy: Deploy) -> dict[str, int]:
    """Count the loaded jobs of each version."""
    rows = deploy.sql("SELECT definition FROM jobs WHERE removed_at IS NULL AND definition LIKE '%version-%'")
    found = [row["definition"].partition("version-")[2].split()[0] for row in rows]
    return {version: found.count(version) for version in set(found)}


# -- how files arrive ------------------------------------------------------------------------------------------------


def test_a_checkout_of_hundreds_of_files(deploy: Deploy) -> None:
    """300 files changed, 50 added and 20 removed by one checkout: live at once, in few reloads, nothing half."""
    write_all(deploy.jobs_d, 1)
    deploy.repository()
    deploy.git("checkout", "--quiet", "-b", "next")
    write_all(deploy.jobs_d, 2, MANY + 50)
    for number in range(20):
        (deploy.jobs_d / f"group-{number // 10}" / f"job-{number}.toml").unlink()
    deploy.commit("second")
    deploy.git("checkout", "--quiet", "main")
    deploy.start()
    until(lambda: deploy.events("jobs.loaded"))
    assert versions(deploy) == {"1": MANY}
    deploy.forget()
    deploy.git("checkout", "--quiet", "next")
    until(lambda: versions(deploy) == {"2": MANY + 30})
    deploy.fence()
    loads = deploy.events("jobs.loaded")
    assert len(loads) <= 1 + 6, loads  # the fence's, and one for each half second that the checkout took at most
    # git removes a file, makes it again and fills it: where it is kept from going on in between, a look can see that.
    between = sum(load["removed"] for load in loads) - 20
    assert between in range(4)
    assert sum(load["added"] for load in loads) == 50 + 1 + between
    assert sum(load["changed"] for load in loads) == MANY - 20 - between
    assert loads[-1]["loaded"] == MANY + 30 + 1
    broken = [event["job"] for event in deploy.events("job.broken")]
    assert len(broken) in range(4)
    assert broken == [event["job"] for event in deploy.events("job.repaired")]
    assert deploy.events("jobs.problem") == []


def test_the_folder_is_replaced_by_a_rename(deploy: Deploy) -> None:
    """``mv jobs.d old; mv new jobs.d``: one change, no job is removed in between, and later edits are noticed too."""
    write_all(deploy.jobs_d, 1, 20)
    write_all(deploy.root / "new", 2, 20)
    deploy.start()
    until(lambda: deploy.events("jobs.loaded"))
    deploy.forget()
    deploy.jobs_d.rename(deploy.root / "old")
    (deploy.root / "new").rename(deploy.jobs_d)
    until(lambda: versions(deploy) == {"2": 20})
    until(lambda: len(deploy.events("job.changed")) == 20)
    assert deploy.events("job.removed", "job.added") == []
    deploy.write("jobs.d/group-0/job-0.toml", text(3))
    until(lambda: versions(deploy) == {"2": 19, "3": 1}, 10.0)


def test_the_symlink_of_a_release_is_switched(deploy: Deploy) -> None:
    """Capistrano: ``jobs.d`` leads through ``current`` into a release; switching ``current`` is one change."""
    deploy.jobs_d.rmdir()
    for release in (1, 2):
        write_all(deploy.root / "releases" / str(release) / "jobs.d", release, 20)
    deploy.jobs_d.symlink_to("current/jobs.d")
    (deploy.root / "current").symlink_to("releases/1")
    deploy.start()
    until(lambda: deploy.events("jobs.loaded"))
    assert versions(deploy) == {"1": 20}
    deploy.forget()
    (deploy.root / "current.new").symlink_to("releases/2")
    (deploy.root / "current.new").rename(deploy.root / "current")
    until(lambda: versions(deploy) == {"2": 20}, 10.0)
    until(lambda: deploy.events("jobs.loaded"))
    assert [load["changed"] for load in deploy.events("jobs.loaded")] == [20]
    deploy.write("releases/1/jobs.d/group-0/job-9.toml", text(7))  # nobody's business any more
    deploy.write("releases/2/jobs.d/group-0/job-0.toml", text(3))
    until(lambda: versions(deploy) == {"2": 19, "3": 1}, 10.0)


def test_the_root_is_a_symlink_that_is_switched(root: Path) -> None:
    """All of a release is its root, ``var/`` is shared: what the commands read there is what akjobd runs."""
    for release in (1, 2):
        folder = root / f"rel{release}"
        shutil.copytree(root / "etc", folder / "etc")
        write_all(folder / "jobs.d", release, 5)
        (folder / "var").symlink_to(root / "var")
    (root / "cur").symlink_to("rel1")
    deploy = Deploy(root / "cur")
    try:
        deploy.start()
        until(lambda: versions(deploy) == {"1": 5})
        (root / "cur.new").symlink_to("rel2")
        (root / "cur.new").rename(root / "cur")
        until(lambda: versions(deploy) == {"2": 5}, 45.0)
        deploy.write("jobs.d/group-0/job-0.toml", text(3))
        until(lambda: versions(deploy) == {"2": 4, "3": 1}, 10.0)
    finally:
        deploy.stop()


def test_a_folder_that_is_a_symlink(deploy: Deploy) -> None:
    """Another team's folder, linked into ``jobs.d``: its edits are noticed at once, however new the link is."""
    write_all(deploy.root / "team", 1, 5)
    write_all(deploy.root / "late", 1, 5)
    (deploy.jobs_d / "team").symlink_to(deploy.root / "team")
    deploy.start()
    until(lambda: deploy.events("jobs.loaded"))
    deploy.write("team/group-0/job-0.toml", text(2))
    until(lambda: versions(deploy) == {"1": 4, "2": 1}, 10.0)
    (deploy.jobs_d / "late").symlink_to(deploy.root / "late")
    until(lambda: versions(deploy) == {"1": 9, "2": 1}, 10.0)
    deploy.write("late/group-0/job-0.toml", text(3))
    until(lambda: versions(deploy) == {"1": 8, "2": 1, "3": 1}, 10.0)


def test_a_config_map_is_updated(deploy: Deploy) -> None:
    """Kubernetes: every file leads through ``..data``, which is switched by a rename, and the old data removed."""
    for version in (1, 2):
        write_all(deploy.jobs_d / f"..2026_{version}", version, 5)
    (deploy.jobs_d / "..data").symlink_to("..2026_1")
    for number in range(5):
        (deploy.jobs_d / f"job-{number}.toml").symlink_to(f"..data/group-0/job-{number}.toml")
    deploy.start()
    until(lambda: deploy.events("jobs.loaded"))
    assert versions(deploy) == {"1": 5}
    deploy.forget()
    (deploy.jobs_d / "..data_tmp").symlink_to("..2026_2")
    (deploy.jobs_d / "..data_tmp").rename(deploy.jobs_d / "..data")
    shutil.rmtree(deploy.jobs_d / "..2026_1")
    until(lambda: versions(deploy) == {"2": 5}, 10.0)
    deploy.fence()
    assert deploy.events("job.removed", "job.broken") == []
    assert [load["changed"] for load in deploy.events("jobs.loaded") if load["changed"]] == [5]


def test_rsync(deploy: Deploy) -> None:
    """Hidden files renamed into place, with the size of the old ones and times of long ago: seen by the inode."""
    write_all(deploy.jobs_d, 1, 50)
    old = 1_600_000_000
    for file in deploy.jobs_d.rglob("*.toml"):
        os.utime(file, (old, old))
    deploy.start()
    until(lambda: deploy.events("jobs.loaded"))
    deploy.forget()
    for number in range(50):
        draft = deploy.jobs_d / f"group-{number // 10}" / f".job-{number}.toml.Ab12Cd"
        draft.write_text(text(2, number))
        os.utime(draft, (old, old))
        draft.rename(draft.with_name(f"job-{number}.toml"))
    until(lambda: versions(deploy) == {"2": 50}, 10.0)
    deploy.fence()
    assert deploy.events("job.removed", "job.broken") == []
    assert sum(load["changed"] for load in deploy.events("jobs.loaded")) == 50


def test_an_emptied_folder_that_is_filled_again(deploy: Deploy) -> None:
    """All files vanish and are back in time: that is logged, no job is unscheduled, nothing is added again."""
    write_all(deploy.jobs_d, 1, 20)
    deploy.start()
    until(lambda: deploy.events("jobs.loaded"))
    deploy.forget()
    for folder in list(deploy.jobs_d.iterdir()):
        folder.rename(deploy.root / f"away-{folder.name}")
    (warning,) = until(lambda: deploy.events("jobs.problem", code="emptied"))
    assert "all 20 jobs are kept" in warning["message"]
    assert deploy.status()["jobs"]["loaded"] == 20
    for folder in deploy.root.glob("away-*"):
        folder.rename(deploy.jobs_d / folder.name.removeprefix("away-"))
    deploy.fence()
    assert [event["job"] for event in deploy.events(*NEWS)] == ["fence-1"]
    assert versions(deploy) == {"1": 20}


def test_an_emptied_folder_that_stays_empty(deploy: Deploy) -> None:
    """After a second look some seconds later the jobs are unscheduled, and that is said aloud too."""
    write_all(deploy.jobs_d, 1, 20)
    deploy.start()
    until(lambda: deploy.events("jobs.loaded"))
    deploy.forget()
    shutil.rmtree(deploy.jobs_d)
    deploy.jobs_d.mkdir()
    until(lambda: deploy.events("jobs.problem", code="emptied"))
    until(lambda: versions(deploy) == {}, 30.0)
    until(lambda: len(deploy.events("job.removed")) == 20)
    messages = [event["message"] for event in deploy.events("jobs.problem", code="emptied")]
    assert "all 20 jobs are unscheduled" in messages[-1]
    assert all(event["level"] == "warning" for event in deploy.events("jobs.problem"))
    assert deploy.status()["jobs"]["loaded"] == 0


def test_one_file_of_two_is_removed_at_once(deploy: Deploy) -> None:
    """The guard is for emptied folders: a single deleted file unschedules its job without delay."""
    write_all(deploy.jobs_d, 1, 2)
    deploy.start()
    (deploy.jobs_d / "group-0" / "job-0.toml").unlink()
    until(lambda: deploy.events("job.removed", job="group-0/job-0"))
    assert deploy.events("jobs.problem") == []
    assert versions(deploy) == {"1": 1}


def test_a_job_deleted_while_it_runs(deploy: Deploy) -> None:
    """Its run finishes with the definition that it had, and ``show --at`` still prints that."""
    deploy.write(
        "jobs.d/long.toml",
        'command = "echo begun; until [ -e go ]; do sleep 0.05; done; echo done $WORD"\n'
        '[run]\nenv = { WORD = "one" }\n',
    )
    deploy.write("jobs.d/other.toml", text(1))
    deploy.start()
    run = deploy.run("long")
    until(lambda: deploy.events("run.output", line="begun"))
    (deploy.jobs_d / "long.toml").unlink()
    until(lambda: deploy.events("job.removed", job="long"))
    assert [row["run"] for row in deploy.status()["running"]] == [run]
    (deploy.root / "go").touch()
    row = deploy.wait(run)
    assert (row["state"], row["exit_code"]) == ("succeeded", 0)
    until(lambda: deploy.events("run.output", line="done one"))
    shown = deploy.akjob("show", "long", "--at", run).stdout
    assert 'WORD = "one"' in shown


# -- which commit a run ran from -------------------------------------------------------------------------------------


def origin(deploy: Deploy, job: str) -> tuple[str | None, int | None]:
    """Run a job and return its row's commit and whether its files differed from it."""
    row = deploy.wait(deploy.run(job))
    assert row["state"] == "succeeded", row
    return row["git_commit"], row["git_dirty"]


def test_runs_know_their_commit(deploy: Deploy) -> None:
    """The commit is that of the run's start: also after a commit that changes no job file, and on another branch."""
    deploy.write("jobs.d/one.toml", text(1))
    first = deploy.repository()
    deploy.start()
    assert origin(deploy, "one") == (first, 0)
    second = deploy.commit("nothing of the jobs changed")
    assert origin(deploy, "one") == (second, 0)
    deploy.git("checkout", "--quiet", "-b", "other", first)
    assert origin(deploy, "one") == (first, 0)
    deploy.git("pack-refs", "--all")
    deploy.git("reset", "--quiet", "--hard", "main")
    assert origin(deploy, "one") == (second, 0)
    (row,) = deploy.sql("SELECT count(DISTINCT definition_sha256) AS n FROM runs")
    assert row["n"] == 1


def test_dirty_is_what_the_run_is_made_of(deploy: Deploy) -> None:
    """An uncommitted job file, defaults file or dill file makes its runs dirty; other files' changes do not."""
    deploy.write("jobs.d/one.toml", text(1))
    deploy.write("jobs.d/sub/two.toml", text(1))
    deploy.write("jobs.d/sub/_defaults.toml", "[run]\nnice = 1\n")
    assert deploy.akjob("pack", "builtins:print", "-o", "jobs.d/packed.dill").returncode == 0
    record = deploy.akjob("pack", "builtins:print", "-o", "jobs.d/packed.dill").stdout
    table = next(line for line in record.splitlines() if line.startswith("dill"))
    deploy.write("jobs.d/packed.toml", f'{table}\nargs = ["hello"]\n')
    first = deploy.repository()
    deploy.start()
    assert {job: origin(deploy, job) for job in ("one", "sub/two", "packed")} == {
        "one": (first, 0),
        "sub/two": (first, 0),
        "packed": (first, 0),
    }
    deploy.write("README", "no job\n")
    deploy.write("jobs.d/one.toml", text(2))
    until(lambda: deploy.says("one", "version-2"))
    deploy.write("jobs.d/sub/_defaults.toml", "[run]\nnice = 2\n")
    until(lambda: deploy.says("sub/two", "nice = 2"))
    assert origin(deploy, "one") == (first, 1)
    assert origin(deploy, "sub/two") == (first, 1)
    assert origin(deploy, "packed") == (first, 0)
    # The same object in another file: only the bytes differ, and what the job file says of them.
    (deploy.jobs_d / "packed.dill").write_bytes((deploy.jobs_d / "packed.dill").read_bytes() + b"\n")
    until(lambda: deploy.events("job.changed", job="packed"))
    row = deploy.wait(deploy.run("packed"))
    assert (row["state"], row["git_commit"], row["git_dirty"]) == ("failed", first, 1)
    second = deploy.commit("all of it")
    assert origin(deploy, "one") == (second, 0)
    assert origin(deploy, "sub/two") == (second, 0)


def test_a_root_without_git(deploy: Deploy) -> None:
    """Neither commit nor dirt, and no complaint; a repository that is made later counts from then on."""
    deploy.write("jobs.d/one.toml", text(1))
    deploy.start()
    assert origin(deploy, "one") == (None, None)
    assert deploy.status()["revision"]["git_commit"] is None
    commit = deploy.repository()
    deploy.write("jobs.d/two.toml", text(1))
    until(lambda: deploy.status()["revision"]["git_commit"] == commit, 45.0)
    assert origin(deploy, "one") == (commit, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_owner(deploy: Deploy) -> None:
    """git refuses to look into others' repositories unless they are marked safe; akjobd's question is answered."""
    deploy.write("jobs.d/one.toml", text(1))
    first = deploy.repository()
    for folder, _, names in os.walk(deploy.root / ".git"):
        for name in [folder, *(os.path.join(folder, name) for name in names)]:
            os.chown(name, 4711, 4711)
    deploy.start()
    assert origin(deploy, "one") == (first, 0)
    assert deploy.status()["revision"]["git_commit"] == first


def test_history_and_show_tell_the_versions_apart(deploy: Deploy) -> None:
    """``akjob history JOB`` marks where the definition changed; ``akjob show JOB --at RUN`` prints what a run had."""
    deploy.write("jobs.d/one.toml", text(1))
    first = deploy.repository()
    deploy.start()
    runs = [deploy.run("one")]
    deploy.wait(runs[-1])
    runs.append(deploy.run("one"))
    deploy.wait(runs[-1])
    deploy.write("jobs.d/one.toml", text(2))
    until(lambda: deploy.says("one", "version-2"))
    runs.append(deploy.run("one"))
    deploy.wait(runs[-1])
    lines = {line.split()[-1]: line for line in deploy.akjob("history", "one").stdout.splitlines()}
    assert f"({first[:8]}+)" in lines[runs[2]]
    assert first[:8] not in lines[runs[1]]
    assert [
        f"version-{1 + (number > 1)}" in deploy.akjob("show", "one", "--at", run).stdout
        for number, run in enumerate(runs)
    ] == [True] * 3
    at = deploy.akjob("show", "one", "--at", runs[2]).stdout
    assert f"commit {first}, from which it differed" in at
