"""The files of a commit, as a look at its checkout would find them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from akjob.errors import Problem
from akjob.jobset.git import commit_of
from akjob.jobset.scan import scan
from akjob.jobset.tree import Tree, UnseenPathError
from tests.unit.jobset.test_git import git, write

GOOD = b'command = "true"\n'


def commit(root: Path, message: str = "next") -> None:
    """Commit all that is there."""
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", message)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a root that lies below the top of its repository, with two jobs committed."""
    root = tmp_path / "top" / "root"
    root.mkdir(parents=True)
    git(root.parent, "init", "-q", "-b", "main")
    write(root / "jobs.d" / "a.toml")
    write(root / "jobs.d" / "sub" / "b.toml")
    commit(root)
    return root


def tree(root: Path, revision: str = "HEAD") -> Tree:
    """Return the files of a commit."""
    return Tree(str(root), commit_of(str(root), revision))


def files(root: Path, revision: str = "HEAD") -> Mapping[str, bytes | Problem]:
    """Look at the job files of a commit, all of which can be seen."""
    found = tree(root, revision).contents("jobs.d")
    assert found.unseen == {}
    return found.files


def test_files_of_a_commit(root: Path) -> None:
    """They are read from git, not from the work tree."""
    write(root / "jobs.d" / "a.toml", "changed = 1\n")
    commit(root)
    write(root / "jobs.d" / "a.toml", "changed again\n")
    write(root / "jobs.d" / "new.toml")
    assert files(root, "HEAD~1") == {"a.toml": GOOD, "sub/b.toml": GOOD}
    assert files(root)["a.toml"] == b"changed = 1\n"
    assert tree(root).read("jobs.d/a.toml") == b"changed = 1\n"
    assert tree(root).read("jobs.d/nope.toml") is tree(root).read("jobs.d") is None
    assert tree(root).contents("nowhere").files == {}


def test_copies_are_passed_over(root: Path) -> None:
    """As in the folder: a copy beside its original is not a job, and by itself it is one."""
    for name in ("a.orig", "c.bak"):
        write(root / "jobs.d" / f"{name}.toml")
    commit(root)
    assert set(files(root)) == set(scan(str(root / "jobs.d")).files) == {"a.toml", "c.bak.toml", "sub/b.toml"}


def test_links_are_followed(root: Path) -> None:
    """What the look at the folder finds is found in the commit too, wherever in the repository links lead to."""
    (root / "jobs.d").rename(root.parent / "real")
    (root / "jobs.d").symlink_to("t/prod")
    (root / "t").mkdir()
    (root / "t" / "prod").symlink_to("../../real")
    real = root.parent / "real"
    write(root / "other" / "deep" / "c.toml")
    write(root / "other" / "_defaults.toml", "")
    (real / "linked").symlink_to("../root/other")
    (real / "whole").symlink_to(root / "other")
    (real / "one.toml").symlink_to("linked/deep/../deep/c.toml")
    (real / "up").symlink_to("..")
    (real / "loop").symlink_to("loop")
    (real / "again.toml").symlink_to("again.toml")
    (real / "none.toml").symlink_to("nothing")
    (real / "none").symlink_to("nothing")
    (real / "_hidden").symlink_to("../root/other")
    (real / "README").symlink_to("/etc/hostname")
    write(real / "folder.toml" / "d.toml")
    commit(root)
    found = files(root)
    listing = scan(str(root / "jobs.d"))
    seen = {*listing.files, *(f"{below}/_defaults.toml" for below in listing.defaults)}
    assert {path for path, data in found.items() if isinstance(data, bytes)} == seen
    broken = {path: data.code for path, data in found.items() if isinstance(data, Problem)}
    assert broken == {"again.toml": "unreadable", "none.toml": "unreadable"}
    assert {"linked/deep/c.toml", "whole/deep/c.toml", "one.toml", "linked/_defaults.toml"} < found.keys()


def test_what_is_not_in_the_repository_is_said(root: Path) -> None:
    """A link that leads out of it hides the jobs behind it, and nothing else."""
    (root / "jobs.d" / "out").symlink_to(os.path.relpath(root.parent.parent, root / "jobs.d"))
    (root / "jobs.d" / "file.toml").symlink_to("/etc/hostname")
    (root / "jobs.d" / "sub" / "_defaults.toml").symlink_to("/etc/hostname")
    (root / "etc").symlink_to("/etc")
    commit(root)
    found = tree(root).contents("jobs.d")
    assert found.unseen.keys() == {"out", "file.toml", "sub/_defaults.toml"}
    problem = found.unseen["out"]
    assert (problem.file, problem.severity, problem.code) == ("jobs.d/out", "warning", "not-in-commit")
    assert found.files.keys() == {"a.toml", "sub/b.toml"}
    with pytest.raises(UnseenPathError, match="leads out of the repository"):
        tree(root).read("etc/akjob.toml")


@pytest.fixture
def submodule(root: Path, tmp_path: Path) -> Path:
    """Make ``jobs.d`` a submodule with a submodule of its own, and return it."""
    for name in ("inner", "outer"):
        git(tmp_path, "init", "-q", "-b", "main", name)
        write(tmp_path / name / f"{name}.toml")
        commit(tmp_path / name)
    local = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add")
    git(tmp_path / "outer", *local, str(tmp_path / "inner"), "in")
    commit(tmp_path / "outer")
    git(root, "rm", "-rq", "jobs.d")
    git(root, *local, str(tmp_path / "outer"), "jobs.d")
    git(root / "jobs.d", "-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init")
    commit(root)
    return root / "jobs.d"


def test_submodules_are_followed(root: Path, submodule: Path) -> None:
    """Each commit has its own commit of the submodule, and of those in it; links lead in and out."""
    write(submodule / "outer.toml", "changed = 1\n")
    (submodule / "back.toml").symlink_to("../shared.toml")
    commit(submodule)
    write(root / "shared.toml")
    commit(root)
    assert files(root, "HEAD~2") == {"a.toml": GOOD, "sub/b.toml": GOOD}
    assert files(root, "HEAD~1") == {"outer.toml": GOOD, "in/inner.toml": GOOD}
    assert files(root) == {"outer.toml": b"changed = 1\n", "in/inner.toml": GOOD, "back.toml": GOOD}


def test_submodules_that_are_not_there_are_said(root: Path, submodule: Path) -> None:
    """One that is not checked out, and one whose commit was never fetched."""
    git(submodule, "submodule", "--quiet", "deinit", "--force", "in")
    found = tree(root).contents("jobs.d")
    assert found.files.keys() == {"outer.toml"}
    assert found.unseen["in"].message.startswith("its submodule is not checked out")
    assert "git submodule update" in found.unseen["in"].hint
    git(root, "update-index", "--cacheinfo", f"160000,{'1' * 40},root/jobs.d")
    git(root, "commit", "-qm", "a commit that nobody has")
    found = tree(root).contents("jobs.d")
    assert (found.files, found.unseen[""].file) == ({}, "jobs.d")
    assert "does not have its commit 1111111111" in found.unseen[""].message
