"""What a change of ``jobs.d`` means, between two commits or a commit and the work tree."""

import json
from pathlib import Path

import pytest

from akjob.config import Config, Paths
from akjob.diff import (
    Difference,
    Side,
    at_revision,
    compare,
    of_work_tree,
    render_json,
    render_markdown,
    render_text,
)
from akjob.diff.compare import Rename
from akjob.diff.side import read_side
from akjob.errors import AkjobError
from tests.unit.jobset.test_git import git, write

NOW_US = 1_800_000_000_000_000  # 2027-01-15T08:00:00Z
GOOD = 'command = "true"\n'


def side(**files: str) -> Side:
    """Return a side of files whose names are given without ``.toml``; ``__`` stands for a slash."""
    contents = {name.replace("__", "/") + ".toml": text.encode() for name, text in files.items()}
    return read_side("here", contents, Config(), [])


def diff(old: Side, new: Side) -> Difference:
    """Compare at a fixed instant."""
    return compare(old, new, NOW_US)


def test_added_and_removed() -> None:
    """Jobs that are new come with their next slots in their zone, those that are gone with their name."""
    found = diff(side(a=GOOD), side(b=GOOD + "[schedule]\ntimezone = 'Europe/Berlin'\ndaily = 09:30:00\n"))
    assert found.removed == ("a",)
    [added] = found.added
    assert added.job == "b"
    assert added.after[:2] == ("Fri 2027-01-15 09:30:00+01:00", "Sat 2027-01-16 09:30:00+01:00")
    assert len(added.after) == 5


def test_renamed() -> None:
    """Another name for the same definition is a rename, matched by the last part of the name first."""
    found = diff(side(a=GOOD, b=GOOD), side(x__b=GOOD, x__a=GOOD))
    assert found.renamed == (Rename("a", "x/a"), Rename("b", "x/b"))
    assert found.added == ()
    assert found.removed == ()


def test_moved_and_edited() -> None:
    """In another folder, with its defaults, a job is the same one still; what changes in it by that is told too."""
    found = diff(side(a=GOOD, b=GOOD), side(x___defaults='[run]\ntimeout = "5m"\n', x__a=GOOD, b=GOOD))
    assert found.renamed == (Rename("a", "x/a"),)
    assert [(one.job, [key.key for key in one.keys]) for one in found.changed] == [("x/a", ["run.timeout"])]
    assert (found.added, found.removed) == ((), ())
    several = diff(side(a=GOOD), side(x__a=GOOD + "description = 'x'\n", y__a=GOOD + "description = 'y'\n"))
    assert several.renamed == ()


def test_changed_keys() -> None:
    """A changed job names the resolved keys with old and new value; slots only when they can differ."""
    old = side(a=GOOD + '[run]\ntimeout = "5m"\n')
    new = side(a='command = "false"\n[run]\nnice = 5\n')
    [change] = diff(old, new).changed
    assert {(key.key, key.old, key.new) for key in change.keys} == {
        ("command", '"true"', '"false"'),
        ("run.timeout", '"5m"', None),
        ("run.nice", None, "5"),
    }
    assert change.before == change.after == ()


def test_changed_by_defaults() -> None:
    """A change of ``_defaults.toml`` is a change of every job below it."""
    files = {"_defaults": '[run]\ntimeout = "5m"\n', "a": GOOD, "sub__b": GOOD}
    found = diff(side(**files), side(**{**files, "_defaults": '[run]\ntimeout = "6m"\n'}))
    assert [change.job for change in found.changed] == ["a", "sub/b"]


def test_other_words_for_the_same() -> None:
    """The same in other words is not a change."""
    old = side(a=GOOD + '[schedule]\nweekly = { days = ["mon"], at = 09:00:00 }\n[run]\ntimeout = "60m"\n')
    new = side(a=GOOD + '# same\n[schedule]\nweekly = { days = ["Monday"], at = [09:00:00] }\n[run]\ntimeout = "1h"\n')
    assert diff(old, new).is_empty


def test_slots_before_and_after() -> None:
    """Another schedule shows the next slots of both; a disabled job has none."""
    old = side(a=GOOD + '[schedule]\ncron = "0 5 * * *"\n')
    new = side(a=GOOD + '[schedule]\ncron = "0 6 * * *"\n[limits]\nruns = 2\n')
    [change] = diff(old, new).changed
    assert change.before[0] == "Sat 2027-01-16 05:00:00+00:00"
    assert change.after == ("Sat 2027-01-16 06:00:00+00:00", "Sun 2027-01-17 06:00:00+00:00")
    disabled = side(a="enabled = false\n" + GOOD + '[schedule]\ncron = "0 5 * * *"\n')
    [change] = diff(old, disabled).changed
    assert change.after == ()


def test_refused() -> None:
    """What would be refused is named with its problems, and whether the definition before would go on."""
    found = diff(side(a=GOOD), side(a=GOOD + "evry = 1\n", b="x = 1\n"))
    assert [(one.job, one.keeps) for one in found.refused] == [("a", True), ("b", False)]
    assert found.refused[0].problems[0].line == 2
    assert found.removed == ()


def test_what_one_mistake_costs_is_told_at_once() -> None:
    """A wrong ``_defaults.toml`` is one entry with its jobs, apart by what becomes of them; JSON has one a job."""
    found = diff(side(a=GOOD, b=GOOD), side(_defaults="[run]\ntimout = 1\n", a=GOOD, b=GOOD, c=GOOD))
    text = list(render_text(found))
    assert [line for line in text if line.startswith("refused")] == [
        "refused  a, b (their last good definitions go on)",
        "refused  c",
    ]
    markdown = "\n".join(render_markdown(found))
    assert "**refused** `a`, `b` (their last good definitions go on)" in markdown
    assert "3 **refused**." in markdown
    assert len(list(render_json(found))) == 3


def test_refused_before() -> None:
    """What was refused before, for the same reasons, is not a change; it is told all the same, and is still wrong."""
    found = diff(side(a="x = 1\n", b="x = 1\n"), side(a="x = 1\n", b="y = 1\n"))
    assert [(one.job, one.before) for one in found.refused] == [("a", True), ("b", False)]
    same = diff(side(a="x = 1\n"), side(a="x = 1\n"))
    assert same.is_empty
    assert same.is_wrong
    assert list(render_text(same))[1:3] == ["no job changes", "refused  a (as before)"]
    assert "**refused** `a` (as before)" in "\n".join(render_markdown(same))
    [told] = [json.loads(line) for line in render_json(same)]
    assert (told["change"], told["job"], told["before"]) == ("refused", "a", True)
    assert not diff(side(a=GOOD), side(a=GOOD)).is_wrong


def test_refused_and_removed() -> None:
    """A file that is refused and then removed ends the job, whose last good definition had gone on."""
    found = diff(side(a="x = 1\n", b=GOOD), side(b=GOOD))
    assert (found.removed, found.is_empty, found.is_wrong) == (("a",), False, False)


def test_repaired() -> None:
    """A job that was refused and is right now is not a new one."""
    found = diff(side(a="x = 1\n"), side(a=GOOD + "[schedule]\ndaily = 09:30:00\n"))
    assert (found.added, found.is_wrong) == ((), False)
    assert [(one.job, one.after[0]) for one in found.repaired] == [("a", "Fri 2027-01-15 09:30:00+00:00")]
    assert "repaired a" in list(render_text(found))
    assert "- **repaired** `a`, next: Fri 2027-01-15" in "\n".join(render_markdown(found))
    [told] = [json.loads(line) for line in render_json(found)]
    assert (told["change"], told["job"], len(told["after"])) == ("repaired", "a", 5)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return a root with two commits and an edit that is not committed."""
    git(tmp_path, "init", "-q", "-b", "main")
    write(tmp_path / "jobs.d" / "a.toml", GOOD)
    write(tmp_path / "etc" / "akjob.toml", '[run]\ntimeout = "5m"\n')
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "one")
    write(tmp_path / "jobs.d" / "b.toml", GOOD)
    (tmp_path / "jobs.d" / "link.toml").symlink_to("b.toml")
    write(tmp_path / "jobs.d" / "_draft.toml", "no job\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "two")
    write(tmp_path / "jobs.d" / "a.toml", GOOD + "description = 'x'\n")
    return Paths(tmp_path)


def test_revisions(paths: Paths) -> None:
    """Commits are read from git, the work tree is left alone and is not looked at."""
    found = diff(at_revision(paths, "HEAD~1"), at_revision(paths, "main"))
    assert [one.job for one in found.added] == ["b", "link"]
    assert found.changed == ()
    assert "HEAD~1" in found.old


def test_work_tree(paths: Paths) -> None:
    """The work tree is compared with its files as they are."""
    found = diff(at_revision(paths, "HEAD"), of_work_tree(paths))
    assert [change.job for change in found.changed] == ["a"]
    assert found.new == "the work tree"


def test_a_file_that_cannot_be_read_is_refused(paths: Paths) -> None:
    """It is there, so its job is not gone: its last good definition goes on."""
    git(paths.root, "commit", "-qam", "three")
    write(paths.jobs_d / "a.toml", GOOD + "#" * 1024 * 1024)
    (paths.jobs_d / "link.toml").unlink()
    (paths.jobs_d / "link.toml").symlink_to("nothing")
    found = diff(at_revision(paths, "HEAD"), of_work_tree(paths))
    assert (found.removed, found.problems) == ((), ())
    assert [(one.job, one.keeps, one.problems[0].code) for one in found.refused] == [
        ("a", True, "too-large"),
        ("link", True, "unreadable"),
    ]
    git(paths.root, "commit", "-qam", "four")
    committed = diff(at_revision(paths, "HEAD~1"), at_revision(paths, "HEAD"))
    assert [(one.job, one.keeps) for one in committed.refused] == [("a", True), ("link", True)]


def test_defaults_that_cannot_be_read_refuse_the_jobs_below(paths: Paths) -> None:
    """As akjobd does: nobody knows what they say."""
    (paths.jobs_d / "_defaults.toml").symlink_to("nothing")
    found = diff(at_revision(paths, "HEAD"), of_work_tree(paths))
    assert [one.job for one in found.refused] == ["a", "b", "link"]
    assert (found.removed, found.changed) == ((), ())


def test_a_folder_that_cannot_be_looked_at_is_not_compared(paths: Paths) -> None:
    """Nothing is known of the jobs below, so nothing is said of them, and it is a problem."""
    write(paths.jobs_d / "sub" / "c.toml", GOOD)
    git(paths.root, "add", ".")
    git(paths.root, "commit", "-qm", "three")
    (paths.jobs_d / "sub" / "c.toml").unlink()
    (paths.jobs_d / "sub").rmdir()
    (paths.jobs_d / "sub").symlink_to("sub")
    found = diff(at_revision(paths, "HEAD"), of_work_tree(paths))
    assert (found.removed, found.refused) == ((), ())
    assert [(one.file, one.code) for one in found.problems] == [("jobs.d/sub", "unreadable")]
    assert found.is_wrong


def test_what_a_commit_does_not_tell_is_said_and_not_compared(paths: Paths, tmp_path: Path) -> None:
    """Jobs behind a link out of the repository are neither added nor removed nor the same."""
    git(paths.root, "commit", "-qam", "three")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    write(outside / "c.toml", GOOD)
    write(outside / "_defaults.toml", "[run]\nnice = 5\n")
    (paths.jobs_d / "lnk").symlink_to(outside)
    write(paths.jobs_d / "sub" / "d.toml", GOOD)
    (paths.jobs_d / "sub" / "_defaults.toml").symlink_to(outside / "_defaults.toml")
    git(paths.root, "add", ".")
    git(paths.root, "commit", "-qm", "four")
    write(paths.jobs_d / "b.toml", GOOD + "description = 'x'\n")
    for new in (of_work_tree(paths), at_revision(paths, "HEAD")):
        found = diff(at_revision(paths, "HEAD"), new)
        assert (found.added, found.removed, found.refused) == ((), (), ())
        assert {one.file for one in found.problems} == {"jobs.d/lnk", "jobs.d/sub/_defaults.toml"}
        assert not found.is_wrong
        assert not found.is_empty
        assert "no job changes" not in list(render_text(found))
        assert "jobs.d/lnk:1:1: warning[not-in-commit]" in "\n".join(render_markdown(found))
        assert {json.loads(line)["change"] for line in render_json(found)} <= {"problem", "changed"}
    assert [one.job for one in diff(at_revision(paths, "HEAD"), of_work_tree(paths)).changed] == ["b", "link"]


def test_a_configuration_that_a_commit_does_not_tell(paths: Paths, tmp_path: Path) -> None:
    """It is taken as it is now, for both sides, and that is said once."""
    outside = tmp_path.parent / f"{tmp_path.name}-etc"
    paths.config_file.parent.rename(outside)
    paths.config_file.parent.symlink_to(outside)
    git(paths.root, "add", "-A")
    git(paths.root, "commit", "-qm", "three")
    found = diff(at_revision(paths, "HEAD"), of_work_tree(paths))
    assert [(one.file, one.code) for one in found.problems] == [("etc/akjob.toml", "not-in-commit")]
    assert (found.changed, found.is_wrong) == ((), False)


def test_configuration_of_the_revision(paths: Paths) -> None:
    """Each side has the configuration of its own time."""
    write(paths.config_file, '[run]\ntimeout = "6m"\n')
    git(paths.root, "commit", "-qam", "three")
    found = diff(at_revision(paths, "HEAD~1"), at_revision(paths, "HEAD"))
    assert {change.job for change in found.changed} == {"a", "b", "link"}


def test_no_such_revision(paths: Paths) -> None:
    """What is not a revision is wrong usage."""
    with pytest.raises(AkjobError, match="not a revision"):
        at_revision(paths, "nope")


def everything() -> Difference:
    """Return a difference that has everything."""
    schedule = '[schedule]\ncron = "0 5 * * *"\n'
    old = side(gone="command = 'gone'\n", changed=GOOD + schedule, old__name="command = 'r'\n", bad="command = 'b'\n")
    new = side(
        fresh="command = 'fresh'\n",
        changed="command = 'a | b `c`'\n" + schedule.replace("5", "6"),
        new__name="command = 'r'\n",
        bad="command = 1\n",
    )
    return diff(old, new)


def test_text() -> None:
    """Text names every change, with slots side by side."""
    text = "\n".join(render_text(everything()))
    for part in ("added    fresh", "removed  gone", "renamed  old/name -> new/name", "refused  bad (its last good"):
        assert part in text
    assert 'schedule.cron: "0 5 * * *" -> "0 6 * * *"' in text
    assert "    Sat 2027-01-16 05:00:00+00:00   Sat 2027-01-16 06:00:00+00:00" in text


def test_text_of_nothing() -> None:
    """No change is said, too."""
    assert list(render_text(diff(side(a=GOOD), side(a=GOOD)))) == ["from here to here", "no job changes"]


def test_json() -> None:
    """JSON has one object a change."""
    objects = [json.loads(line) for line in render_json(everything())]
    assert [(item["change"], item["job"]) for item in objects] == [
        ("added", "fresh"),
        ("removed", "gone"),
        ("renamed", "new/name"),
        ("changed", "changed"),
        ("refused", "bad"),
    ]
    assert {"key": "schedule.cron", "old": '"0 5 * * *"', "new": '"0 6 * * *"'} in objects[3]["keys"]


def test_markdown() -> None:
    """Markdown keeps its tables whole whatever is in the values."""
    text = "\n".join(render_markdown(everything()))
    assert '| `command` | `"true"` | `` "a \\| b `c`" `` |' in text
    assert "**refused** `bad`" in text
    assert "1 added, 1 removed, 1 renamed, 1 changed, 1 **refused**." in text
