"""What changed since the last success: the definition, commits of the job's files, uncommitted ones, the host."""

import socket
from pathlib import Path

import pytest

from akjob.config import Config
from akjob.ledger import open_reader
from akjob.query.changes import Changes, since_success
from akjob.query.jobs import load
from tests.unit.cli.root import NOW_US, Root

TEXT = 'callable = "reports:send"\n[schedule]\nevery = "1h"\n'


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Make a repository with a job, its defaults and its module."""
    (tmp_path / "var").mkdir()
    made = Root(tmp_path)
    made.job("tick", TEXT)
    made.job("_defaults", '[run]\ntimeout = "5m"\n')
    (tmp_path / "reports.py").write_text("def send(): ...\n")
    made.git("init", "-q")
    return made


def commit(root: Root, subject: str) -> str:
    """Commit everything; return the commit."""
    root.git("add", "jobs.d", "reports.py")
    root.git("commit", "-qm", subject)
    return root.git("rev-parse", "HEAD")


def changes(root: Root) -> Changes:
    """Ask."""
    job = load(root.paths, Config(), NOW_US).job("tick")
    return since_success(open_reader(root.paths.ledger_url), root.paths, Config(), job)


def succeeded(root: Root, made_from: str, host: str = "") -> None:
    """Let the job have succeeded as it is now, at a commit."""
    spec = load(root.paths, Config(), NOW_US).job("tick").spec
    assert spec is not None
    root.loaded(spec)
    root.run(
        "r1", "tick", 0, state="succeeded", started_us=NOW_US, ended_us=NOW_US, host=host or socket.gethostname(),
        git_commit=made_from, definition_sha256=spec.sha256,
    )  # fmt: skip


def test_nothing_changed(root: Root) -> None:
    """All that could have is named in ``files``."""
    succeeded(root, commit(root, "one"))
    found = changes(root)
    assert (found.run, found.definition, found.commits, found.uncommitted) == ("r1", None, (), ())
    assert (found.interpreter, found.host, found.notes) == (None, None, ())
    assert set(found.files) == {"jobs.d/tick.toml", "jobs.d/_defaults.toml", "reports.py"}


def test_each_commit_of_the_job_s_files_is_listed(root: Root) -> None:
    """Of the job file, its defaults and the module that it calls, the newest first; of nothing else."""
    succeeded(root, commit(root, "one"))
    (root.paths.root / "reports.py").write_text("def send(): print()\n")
    commit(root, "two")
    root.job("other", TEXT)
    commit(root, "other")
    root.job("_defaults", '[run]\ntimeout = "9m"\n')
    last = commit(root, "three")
    found = changes(root)
    assert [(one.subject, one.files) for one in found.commits] == [
        ("three", ("jobs.d/_defaults.toml",)),
        ("two", ("reports.py",)),
    ]
    assert found.commits[0].commit == last
    assert found.definition is not None
    assert {'-timeout = "5m"', '+timeout = "9m"'} <= set(found.definition.diff)


def test_what_is_not_committed_and_where_it_runs(root: Root) -> None:
    """Files that differ from the commit, another host, another interpreter."""
    succeeded(root, commit(root, "one"), host="elsewhere")
    root.job("tick", TEXT + '[run]\ninterpreter = "venv/bin/python"\n')
    found = changes(root)
    assert found.uncommitted == ("jobs.d/tick.toml",)
    assert found.host is not None
    assert found.interpreter is not None
    assert (found.host.before, found.host.after) == ("elsewhere", socket.gethostname())
    assert (found.interpreter.before, found.interpreter.after) == (None, "venv/bin/python")


def test_without_a_success_or_a_commit_it_says_so(root: Root) -> None:
    """What cannot be known is a note, not an empty list alone."""
    assert changes(root).notes == ("the ledger has no success of this job",)
    succeeded(root, "c0ffee" * 6 + "c0ff")
    commit(root, "one")
    (note,) = changes(root).notes
    assert note.startswith("the commits cannot be listed: ")
