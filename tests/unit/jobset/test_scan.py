"""What counts as a job file, and reading one without ever waiting."""

import os
import socket
from pathlib import Path

import pytest

from akjob.jobset.scan import MAX_SIZE, UnreadableFileError, is_job_path, name_problem, printable, read, scan


def files(folder: Path, *names: str) -> None:
    """Make files."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def test_what_is_a_job_file(tmp_path: Path) -> None:
    """Regular ``*.toml`` files at any depth are; hidden and private ones, and what editors leave, are not."""
    wanted = {"a.toml", "b/c.toml", "b/d/e.toml", "x.toml/y.toml", "Zz-1_2.3.toml"}
    leftovers = (
        ".a.toml",
        "_a.toml",
        ".git/a.toml",
        "_old/a.toml",
        "a.toml~",
        "a.toml.swp",
        ".a.toml.swp",
        "#a.toml#",
        ".#a.toml",
        "~$a.toml",
        "a.toml.bak",
        "a.toml.orig",
        "a.TOML",
        "README.md",
        "b~/a.toml",
        "4913",
    )
    files(tmp_path, *wanted, *leftovers)
    listing = scan(str(tmp_path))
    assert set(listing.files) == wanted
    assert {name for name in (*wanted, *leftovers) if is_job_path(name)} == wanted
    assert not any(map(is_job_path, ("/a.toml", "b//c.toml", "../a.toml", "./a.toml", ".toml", "a")))
    assert listing.problems == ()
    assert not listing.linked


def test_defaults(tmp_path: Path) -> None:
    """``_defaults.toml`` is found in each folder, but not in one that is ignored."""
    files(tmp_path, "_defaults.toml", "a/_defaults.toml", "_b/_defaults.toml", ".c/_defaults.toml")
    listing = scan(str(tmp_path))
    assert set(listing.defaults) == {"", "a"}
    assert set(listing.folders) == {"", "a"}


FAR_US = 10**17  # an instant at which every folder has been left alone for long


def test_names_that_are_known_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second look reads no folder that is as it was, and finds the same, edits included."""
    files(tmp_path, "a.toml", "b/c.toml", "b/_defaults.toml", "b/.hidden.toml")
    before = scan(str(tmp_path), now_us=FAR_US)
    (tmp_path / "b/c.toml").write_text("longer")
    monkeypatch.setattr(os, "scandir", lambda path: pytest.fail(f"read {path}"))
    after = scan(str(tmp_path), "jobs.d", before, FAR_US)
    assert after.files.keys() == before.files.keys()
    assert [path for path in after.files if after.files[path] != before.files[path]] == ["b/c.toml"]
    assert (after.defaults, after.folders, after.names) == (before.defaults, before.folders, before.names)


@pytest.mark.parametrize("what", ["add", "remove", "replace", "link", "folder", "defaults", "other folder"])
def test_whatever_happens_to_a_known_folder_is_seen(tmp_path: Path, what: str) -> None:
    """What comes, goes or takes another's place moves the folder's ctime, even when its mtime is set back."""
    files(tmp_path, "b/c.toml", "b/d.toml", "elsewhere")
    before = scan(str(tmp_path), now_us=FAR_US)
    was = (tmp_path / "b").stat()
    folder = tmp_path / "b"
    match what:
        case "add":
            files(tmp_path, "b/new.toml")
        case "remove":
            (folder / "c.toml").unlink()
        case "replace":
            files(tmp_path, "b/.draft")
            (folder / ".draft").rename(folder / "c.toml")
        case "link":
            (folder / "c.toml").unlink()
            (folder / "c.toml").symlink_to(tmp_path / "elsewhere")
        case "folder":
            files(tmp_path, "b/e/f.toml")
        case "defaults":
            files(tmp_path, "b/_defaults.toml")
        case _:
            folder.rename(tmp_path / "gone")
            files(tmp_path, "b/z.toml")
    os.utime(folder, ns=(was.st_atime_ns, was.st_mtime_ns))
    after, afresh = (scan(str(tmp_path), "jobs.d", known, FAR_US) for known in (before, None))
    assert after == afresh
    assert after != before


def test_a_folder_that_was_just_changed_is_read_again(tmp_path: Path) -> None:
    """Within the clock's grain a second change can leave the stamp as it is, so a young one counts for nothing."""
    files(tmp_path, "b/c.toml")
    changed_us = (tmp_path / "b").stat().st_ctime_ns // 1000
    assert "b" not in scan(str(tmp_path), now_us=changed_us + 1_000_000).names
    assert "b" in scan(str(tmp_path), now_us=changed_us + 3_000_000).names


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that is not there, or is a file, is missing; nothing is raised."""
    assert scan(str(tmp_path / "none")).missing
    files(tmp_path, "file")
    assert scan(str(tmp_path / "file")).missing


def test_special_files(tmp_path: Path) -> None:
    """Pipes, sockets and devices are warnings by name, links to them too."""
    os.mkfifo(tmp_path / "pipe.toml")
    os.mkfifo(tmp_path / "_defaults.toml")
    (tmp_path / "null.toml").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "sock.toml"))
    listing = scan(str(tmp_path))
    assert listing.files == {}
    assert {(problem.file, problem.code) for problem in listing.problems} == {
        ("jobs.d/pipe.toml", "not-a-file"),
        ("jobs.d/_defaults.toml", "not-a-file"),
        ("jobs.d/null.toml", "not-a-file"),
        ("jobs.d/sock.toml", "not-a-file"),
    }


def test_links_are_followed(tmp_path: Path) -> None:
    """Linked files and folders count as what they lead to."""
    files(tmp_path, "elsewhere/a.toml", "elsewhere/sub/b.toml")
    folder = tmp_path / "jobs.d"
    folder.mkdir()
    (folder / "a.toml").symlink_to(tmp_path / "elsewhere" / "a.toml")
    (folder / "sub").symlink_to(tmp_path / "elsewhere" / "sub")
    listing = scan(str(folder))
    assert set(listing.files) == {"a.toml", "sub/b.toml"}
    assert listing.linked


@pytest.mark.parametrize("target", [".", "..", "a", "/"])
def test_loops(tmp_path: Path, target: str) -> None:
    """A link to a folder that it lies in is a warning, not a walk without end."""
    files(tmp_path, "jobs.d/a/x.toml")
    (tmp_path / "jobs.d" / "a" / "loop").symlink_to(tmp_path / "jobs.d" / target if target != "/" else "/")
    listing = scan(str(tmp_path / "jobs.d"))
    assert set(listing.files) == {"a/x.toml"}
    assert [(problem.file, problem.code) for problem in listing.problems] == [("jobs.d/a/loop", "link-loop")]


def test_dangling_link(tmp_path: Path) -> None:
    """A link that leads nowhere is unreadable, which is not the same as not there."""
    (tmp_path / "a.toml").symlink_to("none")
    listing = scan(str(tmp_path))
    assert listing.files == {}
    assert set(listing.unreadable) == {"a.toml"}


def test_a_link_that_leads_to_itself_costs_nothing_else(tmp_path: Path) -> None:
    """It is unreadable; all that stands beside it is seen."""
    for name in ("a", "b.toml", "z"):
        (tmp_path / name).symlink_to(name)
    files(tmp_path, "c.toml", "d.toml", "e/f.toml")
    listing = scan(str(tmp_path))
    assert set(listing.files) == {"c.toml", "d.toml", "e/f.toml"}
    assert set(listing.unreadable) == {"a", "b.toml", "z"}


def test_names() -> None:
    """A name's parts begin with a letter or a digit and have only letters, digits, dots, dashes and underscores."""
    for good in ("a.toml", "a/b.toml", "9-x_y.z.toml", "A.toml"):
        assert name_problem(good, good) is None
    for bad in ("a b.toml", "-a.toml", "a/ü.toml", "a/.toml", "a\n.toml"):
        assert name_problem(bad, bad) is not None


def test_printable() -> None:
    """Bytes that are not UTF-8 are shown escaped; other names stay."""
    assert printable(os.fsdecode(b"caf\xe9")) == "caf\\xe9"
    assert printable("café") == "café"


def test_read(tmp_path: Path) -> None:
    """A file is read whole, with the signature that a look would find."""
    files(tmp_path, "a.toml")
    data, signature = read(str(tmp_path / "a.toml"))
    assert data == b"x"
    assert signature == scan(str(tmp_path)).files["a.toml"]


def test_read_never_waits(tmp_path: Path) -> None:
    """A pipe that took a file's place is refused at once."""
    os.mkfifo(tmp_path / "a.toml")
    with pytest.raises(UnreadableFileError) as caught:
        read(str(tmp_path / "a.toml"))
    assert caught.value.code == "not-a-file"
    with pytest.raises(UnreadableFileError):
        read(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / "none"))


def test_read_limit(tmp_path: Path) -> None:
    """A file of exactly 1 MiB is read, one byte more is refused."""
    file = tmp_path / "a.toml"
    file.write_bytes(b"x" * MAX_SIZE)
    assert len(read(str(file))[0]) == MAX_SIZE
    file.write_bytes(b"x" * (MAX_SIZE + 1))
    with pytest.raises(UnreadableFileError) as caught:
        read(str(file))
    assert caught.value.code == "too-large"
