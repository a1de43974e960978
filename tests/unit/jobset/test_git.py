"""Provenance, with a real git: the commit, what differs from it, and when to ask again."""

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import akjob.jobset.git
from akjob.config import Paths
from akjob.errors import AkjobError
from akjob.jobset.git import Provenance, Revision, commit_of, parse_status
from tests.support import until


def git(folder: Path, *arguments: str) -> str:
    """Run git as a user would."""
    identity = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org", "-c", "safe.directory=*"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


def write(file: Path, text: str = 'command = "true"\n') -> None:
    """Write a file and its folders."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return a root in git with two jobs committed."""
    git(tmp_path, "init", "-q", "-b", "main")
    write(tmp_path / "jobs.d" / "a.toml")
    write(tmp_path / "jobs.d" / "sub" / "b.toml")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    return Paths(tmp_path)


@pytest.fixture
def provenance(paths: Paths) -> Iterator[Provenance]:
    """Return the provenance of that root, and stop it."""
    subject = Provenance(paths)
    yield subject
    subject.stop()


def fresh(provenance: Provenance) -> Revision:
    """Wait for git's answer."""
    until(lambda: provenance.current().fresh)
    return provenance.current()


def test_clean(paths: Paths, provenance: Provenance) -> None:
    """A clean work tree has a commit and nothing that differs from it."""
    provenance.refresh()
    revision = fresh(provenance)
    assert revision.commit == git(paths.root, "rev-parse", "HEAD")
    assert revision.dirty == frozenset()
    assert provenance.dirty_for(["jobs.d/a.toml"]) is False


def test_the_configuration_is_known_apart(paths: Paths, provenance: Provenance) -> None:
    """It is not a job file, so it makes no job differ; but a mistake in it is as uncommitted as it is."""
    write(paths.config_file, "")
    revision = provenance.refresh_now()
    assert (revision.dirty, revision.config) == (frozenset(), True)
    assert revision.is_dirty(["jobs.d/a.toml"]) is False
    assert revision.is_dirty(["jobs.d/a.toml", "etc/akjob.toml"]) is True
    git(paths.root, "add", "etc")
    git(paths.root, "commit", "-qm", "two")
    assert provenance.refresh_now().is_dirty(["etc/akjob.toml"]) is False


def test_the_configuration_of_another_repository_is_nobody_s(tmp_path: Path) -> None:
    """With ``jobs.d`` a repository of its own nothing is known of what lies beside it."""
    folder = tmp_path / "jobs.d"
    write(folder / "a.toml")
    write(tmp_path / "etc" / "akjob.toml", "")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    revision = Provenance(Paths(tmp_path)).refresh_now()
    assert revision.commit == git(folder, "rev-parse", "HEAD")
    assert (revision.dirty, revision.config) == (frozenset(), False)


def test_not_asked_yet(provenance: Provenance) -> None:
    """Before the first answer nothing is known, and that is said."""
    assert provenance.current() == Revision(None, frozenset(), fresh=False)


def test_what_differs(paths: Paths, provenance: Provenance) -> None:
    """Changed, staged, deleted, untracked and ignored files below ``jobs.d`` differ; others are of no concern."""
    write(paths.jobs_d / "c d.toml")
    write(paths.jobs_d / "new" / "e.toml")
    write(paths.jobs_d / "ignored" / "x.toml")
    write(paths.root / ".gitignore", "ignored/\n")
    write(paths.root / "elsewhere.py")
    write(paths.jobs_d / "a.toml", "changed = 1\n")
    (paths.jobs_d / "sub" / "b.toml").unlink()
    git(paths.root, "add", "jobs.d/a.toml")
    revision = provenance.refresh_now()
    assert revision.dirty == {
        "jobs.d/a.toml",
        "jobs.d/c d.toml",
        "jobs.d/ignored/x.toml",
        "jobs.d/new/e.toml",
        "jobs.d/sub/b.toml",
    }
    assert revision.is_dirty(["jobs.d/ignored/x.toml"])
    assert not revision.is_dirty(["jobs.d/other.toml"])


def test_commit_is_noticed(paths: Paths, provenance: Provenance) -> None:
    """A commit changes no job file, and is noticed all the same."""
    write(paths.jobs_d / "a.toml", "changed = 1\n")
    provenance.refresh()
    assert fresh(provenance).dirty == {"jobs.d/a.toml"}
    git(paths.root, "commit", "-qam", "two")
    revision = fresh(provenance)
    assert revision.commit == git(paths.root, "rev-parse", "HEAD")
    assert revision.dirty == frozenset()


def test_checkout_is_noticed(paths: Paths, provenance: Provenance) -> None:
    """Another branch is noticed, with packed refs too."""
    git(paths.root, "branch", "other")
    git(paths.root, "commit", "--allow-empty", "-qm", "two")
    git(paths.root, "pack-refs", "--all")
    provenance.refresh()
    assert fresh(provenance).commit == git(paths.root, "rev-parse", "main")
    git(paths.root, "checkout", "-q", "other")
    assert fresh(provenance).commit == git(paths.root, "rev-parse", "other")


def test_work_tree_and_submodule(paths: Paths, tmp_path: Path) -> None:
    """A linked work tree, where ``.git`` is a file, has its own commit, and its commits are noticed."""
    tree = tmp_path / "tree"
    git(paths.root, "worktree", "add", "-q", "-b", "side", str(tree))
    provenance = Provenance(Paths(tree))
    try:
        provenance.refresh()
        assert fresh(provenance).commit == git(paths.root, "rev-parse", "main")
        git(tree, "commit", "--allow-empty", "-qm", "two")
        assert fresh(provenance).commit == git(tree, "rev-parse", "HEAD")
    finally:
        provenance.stop()


def test_root_inside_a_repository(paths: Paths) -> None:
    """A root that is a folder of a larger repository names its files below the root."""
    root = paths.root / "deep" / "root"
    write(root / "jobs.d" / "x.toml")
    revision = Provenance(Paths(root)).refresh_now()
    assert revision.commit is not None
    assert revision.dirty == {"jobs.d/x.toml"}


def test_symlinked_folder(paths: Paths, tmp_path: Path) -> None:
    """A ``jobs.d`` that is a symlink is asked about where it leads."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "jobs.d").symlink_to(paths.jobs_d)
    write(paths.jobs_d / "a.toml", "changed = 1\n")
    assert Provenance(Paths(root)).refresh_now().dirty == {"jobs.d/a.toml"}


def test_no_repository(tmp_path: Path) -> None:
    """Outside a repository there is no commit, and nothing differs or is equal."""
    write(tmp_path / "jobs.d" / "a.toml")
    revision = Provenance(Paths(tmp_path)).refresh_now()
    assert revision.commit is None
    assert revision.is_dirty(["jobs.d/a.toml"]) is None


def test_no_commit_yet(tmp_path: Path) -> None:
    """A repository without a commit has none."""
    git(tmp_path, "init", "-q")
    write(tmp_path / "jobs.d" / "a.toml")
    assert Provenance(Paths(tmp_path)).refresh_now().commit is None


def test_repository_within(paths: Paths, provenance: Provenance) -> None:
    """Nothing in a repository of its own below ``jobs.d`` is of the commit."""
    inner = paths.jobs_d / "inner"
    write(inner / "x.toml")
    git(inner, "init", "-q")
    assert provenance.refresh_now().is_dirty(["jobs.d/inner/x.toml"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_repository_of_another_owner(paths: Paths, provenance: Provenance) -> None:
    """A repository of another owner answers too, although git by itself refuses it."""
    for place in (paths.root, *paths.root.rglob("*")):
        os.chown(place, 65534, 65534)
    refused = subprocess.run(["git", "status"], cwd=paths.root, capture_output=True, check=False, timeout=60)
    assert refused.returncode != 0
    assert provenance.refresh_now().commit is not None


def test_nothing_of_the_repository_is_run(paths: Paths, tmp_path: Path, provenance: Provenance) -> None:
    """Neither a file system monitor nor a hook that the repository configures is run."""
    trap = tmp_path / "trap"
    write(trap, f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(paths.root, "config", "core.fsmonitor", str(trap))
    hook = paths.root / ".git" / "hooks" / "post-index-change"
    write(hook, trap.read_text())
    hook.chmod(0o755)
    write(paths.jobs_d / "a.toml")
    assert provenance.refresh_now().commit is not None
    assert not (tmp_path / "sprung").exists()


@pytest.mark.usefixtures("paths")
def test_environment_of_a_hook(provenance: Provenance, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that git sets in a hook do not lead to another repository."""
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    assert provenance.refresh_now().commit is not None


def test_no_git(paths: Paths, provenance: Provenance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git there is no commit, and no failure."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert provenance.refresh_now().commit is None
    with pytest.raises(AkjobError, match="git cannot be run"):
        commit_of(str(paths.root), "HEAD")


def test_an_answer_to_an_earlier_question_is_not_fresh(
    paths: Paths, provenance: Provenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while git has begun to look again: what it said before is of the files as they were."""
    begun, go_on = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]
    ask, turns = akjob.jobset.git._ask, iter(range(2))

    def slowly(*arguments: Any) -> Any:
        turn = next(turns)
        begun[turn].set()
        assert go_on[turn].wait(20)
        return ask(*arguments)

    monkeypatch.setattr("akjob.jobset.git._ask", slowly)
    provenance.refresh()
    assert begun[0].wait(20)
    provenance.refresh()
    go_on[0].set()
    assert begun[1].wait(20)
    provenance.collect()
    assert not provenance._revision.fresh
    go_on[1].set()
    assert fresh(provenance).commit == git(paths.root, "rev-parse", "HEAD")


def test_stop_ends_git(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that hangs is ended by stop; nothing is left."""
    fake = tmp_path / "bin" / "git"
    write(fake, f"#!/bin/sh\ntouch {tmp_path}/started\nexec sleep 1000\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    provenance = Provenance(paths)
    provenance.refresh()
    until((tmp_path / "started").exists)
    provenance.stop()
    assert provenance._thread is None


def test_status_format() -> None:
    """Every kind of line of porcelain v2 is read, paths with spaces included."""
    text = (
        b"# branch.oid 1234\0# branch.head main\0"
        b"1 .M N... 100644 100644 100644 aa bb jobs.d/a b.toml\0"
        b"u UU N... 100644 100644 100644 100644 aa bb cc jobs.d/c.toml\0"
        b"? jobs.d/d.toml\0! jobs.d/e/\0"
    )
    assert parse_status(text) == ("1234", ["jobs.d/a b.toml", "jobs.d/c.toml", "jobs.d/d.toml", "jobs.d/e/"])


@pytest.mark.parametrize("revision", ["nope", "--output=x", ""])
def test_no_revision(paths: Paths, revision: str) -> None:
    """What is not a revision is refused as wrong usage."""
    with pytest.raises(AkjobError) as caught:
        commit_of(str(paths.root), revision)
    assert caught.value.exit_code == 2
