"""Who may write what will run."""

import os
import pwd
import stat
from pathlib import Path

import pytest

from akjob.config import TrustConfig
from akjob.jobset.trust import Access, Who, chain, distrust, problem_of, unknown_owners, who

OWN = 1000
ME = Who(frozenset({0, OWN}))


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "verdict"),
    [
        (0o644, 0, 0, None),
        (0o755, OWN, OWN, None),
        (0o646, OWN, OWN, ("error", "world-writable")),
        (0o1777, 0, 0, ("error", "world-writable")),
        (0o600, 4711, 0, ("error", "foreign-owner")),
        (0o664, OWN, 4711, ("warning", "group-writable")),
        (0o664, 0, 0, None),
        (0o666, OWN, 4711, ("error", "world-writable")),
    ],
)
def test_verdicts(mode: int, uid: int, gid: int, verdict: tuple[str, str] | None) -> None:
    """Others' files and what everybody may write is refused; a group is a warning unless it is the owner's own."""
    assert distrust(Access(mode, uid, gid), ME) == verdict


def test_settings() -> None:
    """``owners`` takes names and numbers, ``group_writable`` allows groups; unknown names trust nobody and are told."""
    trust = TrustConfig(owners=("4711", "root", "no-such-user"), group_writable=True)
    trusted = who(trust, own_uid=OWN)
    assert trusted.uids == {0, OWN, 4711}
    assert unknown_owners(trust) == ["no-such-user"]
    assert distrust(Access(0o664, 4711, 4711), trusted) is None
    assert distrust(Access(0o666, 4711, 4711), trusted) == ("error", "world-writable")


def test_what_fixes_it() -> None:
    """Each problem has the command, or the setting, that fixes it."""
    name = pwd.getpwuid(os.geteuid()).pw_name
    trusted = Who(frozenset({0, os.geteuid()}))
    foreign = problem_of("jobs.d/a b.toml", Access(stat.S_IFREG | 0o644, 4711, 0), trusted)
    assert foreign is not None
    assert foreign.hint.startswith(f"chown {name} 'jobs.d/a b.toml'")
    assert 'owners = ["4711"]' in foreign.hint
    group = problem_of("jobs.d", Access(stat.S_IFDIR | 0o775, 0, 4711), trusted)
    assert group is not None
    assert group.hint.startswith("chmod g-w jobs.d")
    assert "folder" in group.message


def test_read_only_file_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody can write to, whatever its mode says, is trusted: a ConfigMap is mode 0777 on a read-only mount."""
    access = Access(stat.S_IFREG | 0o777, 0, 0)
    assert problem_of(str(tmp_path), access, ME) is not None

    class ReadOnly:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda _path: ReadOnly)
    assert problem_of(str(tmp_path), access, ME) is None


def test_from_the_root_downward(tmp_path: Path) -> None:
    """Everything from the root down to the file is looked at, nothing above the root."""
    file = tmp_path / "root" / "jobs.d" / "a.toml"
    file.parent.mkdir(parents=True)
    file.write_text("x")
    file.parent.chmod(0o777)
    tmp_path.chmod(0o777)
    root = tmp_path / "root"
    assert list(chain(str(root), str(file))) == [str(root), str(file.parent), str(file)]
