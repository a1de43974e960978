"""The loader: what a look finds, and that a bad file costs one job."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from akjob import spec
from akjob.config import Config
from akjob.instants import SECOND
from akjob.jobset.files import JobFile
from akjob.jobset.loader import Loader
from akjob.jobset.model import JobSetChange, LastGood, RefusedVersion
from akjob.spec import parse
from akjob.spec.model import Command
from tests.unit.jobset.root import BAD, GOOD, OTHER, Root

TRUE, FALSE = Command(argv=None, shell="true"), Command(argv=None, shell="false")  # noqa: S604 - values, no calls


def test_first_look(root: Root) -> None:
    """Every job file becomes a job named by its path; without stored definitions all are new."""
    root.write("a.toml")
    root.write("reports/nightly.toml")
    change = root.load()
    assert change.added == ("a", "reports/nightly")
    assert set(change.jobset.jobs) == {"a", "reports/nightly"}
    assert change.jobset.jobs["reports/nightly"].file == "jobs.d/reports/nightly.toml"
    assert change.jobset.counts.loaded == 2


def test_nothing_changed(root: Root) -> None:
    """A look that finds nothing new reads nothing and hands out the very same job set."""
    root.write("a.toml")
    before = root.load().jobset
    change = root.load()
    assert change.jobset is before
    assert change.files_read == 0
    assert not change.is_news


def test_only_what_changed_is_read(root: Root) -> None:
    """Of many files only the one that changed is read."""
    for number in range(20):
        root.write(f"job{number}.toml")
    root.load()
    root.write("job7.toml", OTHER)
    change = root.load()
    assert [changed.job for changed in change.changed] == ["job7"]
    assert change.files_read == 1


@pytest.mark.parametrize("hints", [(), ("a.toml",)], ids=["full", "hinted"])
def test_edit(root: Root, hints: tuple[str, ...]) -> None:
    """An edit is a change that has the old and the new definition; the job set before it stays as it was."""
    root.write("a.toml")
    before = root.load().jobset
    root.write("a.toml", OTHER)
    change = root.load(*hints)
    [changed] = change.changed
    assert changed.old is before.jobs["a"]
    assert changed.new is change.jobset.jobs["a"]
    assert changed.new.code == FALSE
    assert not changed.schedule
    assert before.jobs["a"].code == TRUE


@pytest.mark.parametrize(
    ("after", "schedule"),
    [
        ('[schedule]\nevery = "2h"\n', True),
        ('[schedule]\nevery = "1h"\n[limits]\nweekdays = ["mon"]\n', True),
        ('[schedule]\nevery = "1h"\n[limits]\nruns = 3\n', True),
        ('[schedule]\nevery = "1h"\n[run]\ntimeout = "5m"\n', False),
        ('[schedule]\nevery = "1h"\njitter = "1m"\n', True),
    ],
)
def test_schedule_changed(root: Root, after: str, *, schedule: bool) -> None:
    """A change says whether triggers or limits are others: then the old definition accounts for the slots so far."""
    root.write("a.toml", GOOD + '[schedule]\nevery = "1h"\n')
    root.load()
    root.write("a.toml", GOOD + after)
    [changed] = root.load().changed
    assert changed.schedule is schedule


def test_comment_is_no_change(root: Root) -> None:
    """A comment changes the file, not the job."""
    root.write("a.toml")
    root.load()
    root.write("a.toml", GOOD + "# explained\n")
    change = root.load()
    assert change.changed == ()
    assert change.files_read == 1


@pytest.mark.parametrize("hints", [(), ("a.toml",)], ids=["full", "hinted"])
def test_removed(root: Root, hints: tuple[str, ...]) -> None:
    """A deleted file unschedules its job."""
    root.write("a.toml").touch()
    root.write("b.toml")
    root.load()
    (root.jobs / "a.toml").unlink()
    change = root.load(*hints)
    assert change.removed == ("a",)
    assert set(change.jobset.jobs) == {"b"}


@pytest.mark.parametrize("hints", [(), ("a.toml",)], ids=["full", "hinted"])
def test_broken_keeps_last_good(root: Root, hints: tuple[str, ...]) -> None:
    """A broken edit leaves the last good version scheduled, is told once per content, and says where it is."""
    root.write("a.toml")
    root.write("b.toml")
    good = root.load().jobset.jobs["a"]
    root.write("a.toml", BAD)
    change = root.load(*hints)
    [broken] = change.broken
    assert (broken.job, broken.file, broken.line, broken.column) == ("a", "jobs.d/a.toml", 2, 1)
    assert broken.running_last_good
    assert change.jobset.jobs["a"] is good
    assert change.jobset.broken == {"a": broken}
    assert not (change.changed)
    assert not (change.removed)
    assert root.load().broken == ()
    root.write("a.toml", BAD + "more = 1\n")
    [again] = root.load(after_us=SECOND).broken
    assert again.content != broken.content
    assert again.since_us == broken.since_us


def test_broken_and_judged_again(root: Root) -> None:
    """A broken file that is judged again and has the same content is not news."""
    root.write("a.toml", BAD)
    before = root.load().jobset
    (root.jobs / "a.toml").chmod(0o600)
    change = root.load(after_us=SECOND)
    assert change.files_read == 1
    assert not change.is_news
    assert change.jobset is before


def test_repaired(root: Root) -> None:
    """A repaired file is taken at once; the same text as before the break is not a change."""
    root.write("a.toml")
    root.load()
    root.write("a.toml", BAD)
    root.load()
    root.write("a.toml")
    change = root.load()
    assert change.repaired == ("a",)
    assert change.changed == ()
    assert change.jobset.broken == {}


def test_broken_new_file(root: Root) -> None:
    """A new file that is broken gives no job, and gives one once it is fixed."""
    root.write("a.toml", BAD)
    change = root.load()
    assert change.jobset.jobs == {}
    assert not change.broken[0].running_last_good
    root.write("a.toml")
    change = root.load()
    assert change.added == ("a",)
    assert change.repaired == ("a",)


def test_broken_file_removed(root: Root) -> None:
    """A broken file that is deleted is broken no more, nor repaired."""
    root.write("a.toml", BAD)
    root.write("b.toml")
    root.load()
    (root.jobs / "a.toml").unlink()
    change = root.load()
    assert change.jobset.broken == {}
    assert change.repaired == change.removed == ()
    assert change.is_news


def test_half_written(root: Root) -> None:
    """A file that is wrong and was written only just now is looked at again before it is refused."""
    root.write("a.toml")
    root.load()
    root.write("a.toml", "", age_us=1000)
    change = root.load("a.toml")
    assert change.broken == ()
    assert change.scan_again_us is not None
    assert 0 < change.scan_again_us - root.now_us <= SECOND
    root.write("a.toml", OTHER, age_us=0)
    change = root.load("a.toml")
    assert [changed.job for changed in change.changed] == ["a"]
    assert change.scan_again_us is None


@pytest.mark.parametrize("full", [True, False])
def test_half_written_for_good(root: Root, *, full: bool) -> None:
    """A file that stays wrong is refused at the second look, which needs no hint."""
    root.load()
    root.write("a.toml", "", age_us=1000)
    change = root.load()
    assert change.scan_again_us is not None
    root.now_us = change.scan_again_us
    change = root.loader.load(root.now_us, None if full else frozenset())
    assert [broken.job for broken in change.broken] == ["a"]


def test_half_written_at_the_start(root: Root) -> None:
    """The first look refuses what is wrong, however young: who starts akjobd asks at once what is broken."""
    root.write("a.toml", "", age_us=1000)
    change = root.load()
    assert [broken.job for broken in change.broken] == ["a"]
    assert change.scan_again_us is None
    root.write("a.toml", age_us=0)
    assert root.load("a.toml").repaired == ("a",)


def test_same_size_and_time(root: Root) -> None:
    """An edit of the same size in the same tick of the clock is found while the file is young, by its hash."""
    file = root.write("a.toml", 'command = "aaaa"\n', age_us=SECOND)
    status = file.stat()
    root.load()
    with file.open("r+") as stream:
        stream.write('command = "bbbb"\n')
    os.utime(file, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert [changed.job for changed in root.load().changed] == ["a"]


def test_old_file_is_not_read_again(root: Root) -> None:
    """A file that was over 2 s old when it was read is trusted by its size, time and inode."""
    root.write("a.toml", age_us=SECOND)
    root.load()
    assert root.load(after_us=2 * SECOND).files_read == 1
    assert root.load(after_us=2 * SECOND).files_read == 0


# defaults


def test_defaults_change(root: Root) -> None:
    """A change of ``_defaults.toml`` reads the files below it again, and only those."""
    root.write("a/x.toml")
    root.write("a/deep/y.toml")
    root.write("b/z.toml")
    root.load()
    root.write("a/_defaults.toml", '[run]\ntimeout = "5m"\n')
    change = root.load("a/_defaults.toml")
    assert [changed.job for changed in change.changed] == ["a/deep/y", "a/x"]
    assert change.files_read == 3
    assert change.jobset.jobs["a/x"].run.timeout_us == 300 * SECOND
    assert change.jobset.jobs["a/x"].sources == ("jobs.d/a/x.toml", "jobs.d/a/_defaults.toml")
    (root.jobs / "a" / "_defaults.toml").unlink()
    change = root.load()
    assert [changed.job for changed in change.changed] == ["a/deep/y", "a/x"]


def test_nearest_default_wins(root: Root) -> None:
    """Of several ``_defaults.toml`` the nearest wins."""
    root.write("_defaults.toml", '[run]\ntimeout = "1m"\nnice = 5\n')
    root.write("a/_defaults.toml", '[run]\ntimeout = "2m"\n')
    root.write("a/x.toml")
    job = root.load().jobset.jobs["a/x"]
    assert (job.run.timeout_us, job.run.nice) == (120 * SECOND, 5)


def test_broken_defaults(root: Root) -> None:
    """A broken ``_defaults.toml`` leaves the last good of all below, and says where it is broken."""
    root.write("a/x.toml")
    root.write("b/y.toml")
    root.load()
    root.write("a/_defaults.toml", "[run]\ntimout = 1\n")
    change = root.load()
    [broken] = change.broken
    assert (broken.job, broken.file, broken.line) == ("a/x", "jobs.d/a/_defaults.toml", 2)
    assert broken.running_last_good
    assert set(change.jobset.jobs) == {"a/x", "b/y"}
    (root.jobs / "a" / "_defaults.toml").unlink()
    assert root.load().repaired == ("a/x",)


def test_configuration(root: Root) -> None:
    """Another ``[run]`` in the configuration is another definition of every job that does not say otherwise."""
    root.write("a.toml")
    root.write("b.toml", GOOD + '[run]\ntimeout = "1m"\n')
    root.load()
    root.loader.reconfigure(Config(run_defaults={"timeout": "2m"}))
    change = root.load()
    assert [changed.job for changed in change.changed] == ["a"]


# dill files


def _dill(sha256: str = "0" * 64) -> str:
    return f'dill = {{ file = "x.dill", sha256 = "{sha256}", python = "3.11" }}\n'


@pytest.mark.parametrize("hints", [(), ("a/x.dill",)], ids=["full", "hinted"])
def test_dill_file_changed(root: Root, hints: tuple[str, ...]) -> None:
    """Another content of a job's dill file is a change of its code; the same content is not."""
    root.write("a/x.toml", _dill())
    root.write("a/x.dill", "one")
    root.load()
    root.write("a/x.dill", "one")
    assert root.load(*hints).changed == ()
    root.write("a/x.dill", "two")
    [changed] = root.load(*hints).changed
    assert (changed.job, changed.schedule) == ("a/x", False)
    assert changed.old is not None
    assert changed.old.definition == changed.new.definition


def test_dill_file_of_nobody(root: Root) -> None:
    """A dill file that no job names any more is not watched any more."""
    root.write("x.toml", _dill())
    root.write("x.dill", "one")
    root.load()
    root.write("x.toml")
    root.load()
    root.write("x.dill", "two")
    change = root.load("x.dill")
    assert not change.is_news
    assert change.files_read == 0


# after a restart


def test_restart_unchanged(root: Root) -> None:
    """After a restart a job whose definition is the stored one is neither new nor changed."""
    root.write("a.toml")
    stored = root.stored(root.load())
    root.fresh(stored)
    change = root.load()
    assert set(change.jobset.jobs) == {"a"}
    assert not (change.added)
    assert not (change.changed)


def test_restart_changed(root: Root) -> None:
    """A job that was edited while akjobd was down is changed against the stored definition."""
    root.write("a.toml", GOOD + '[schedule]\nevery = "1h"\n')
    stored = root.stored(root.load())
    root.write("a.toml", GOOD + '[schedule]\nevery = "2h"\n')
    root.fresh(stored)
    [changed] = root.load().changed
    assert changed.old is not None
    assert changed.old.definition == stored["a"].definition
    assert changed.schedule


def test_restart_broken(root: Root) -> None:
    """A file that is broken at a restart keeps the stored definition running; a repair compares with that one."""
    root.write("a.toml")
    stored = root.stored(root.load())
    root.write("a.toml", BAD)
    root.fresh(stored)
    change = root.load()
    assert change.jobset.jobs["a"].definition == stored["a"].definition
    assert change.broken[0].running_last_good
    assert change.added == ()
    root.write("a.toml", OTHER)
    change = root.load()
    assert [changed.job for changed in change.changed] == ["a"]
    assert change.repaired == ("a",)


def test_restart_told_before(root: Root) -> None:
    """What was refused before the restart is not told again, and is broken since then."""
    root.write("a.toml")
    stored = root.stored(root.load())
    root.write("a.toml", BAD)
    [broken] = root.load().broken
    refused = RefusedVersion(content=broken.content, since_us=broken.since_us)
    seed = LastGood(file="jobs.d/a.toml", definition=stored["a"].definition, loaded_us=0, refused=refused)
    root.fresh({"a": seed})
    change = root.load(after_us=60 * SECOND)
    assert change.broken == ()
    assert change.jobset.broken["a"].since_us == broken.since_us


def test_restart_removed(root: Root) -> None:
    """A job whose file was deleted while akjobd was down is removed."""
    root.write("a.toml")
    root.write("b.toml")
    stored = root.stored(root.load())
    (root.jobs / "a.toml").unlink()
    root.fresh(stored)
    change = root.load()
    assert change.removed == ("a",)
    assert set(change.jobset.jobs) == {"b"}


def test_restart_with_unreadable_definition(root: Root) -> None:
    """A stored definition that cannot be read any more costs nothing but a warning."""
    root.write("a.toml", BAD)
    root.fresh({"a": LastGood(file="jobs.d/a.toml", definition="no = 1\n", loaded_us=0)})
    change = root.load()
    assert change.jobset.jobs == {}
    assert not change.broken[0].running_last_good
    assert [problem.code for problem in change.problems] == ["lost-last-good"]


# what was parsed before a restart


def _many(root: Root) -> Path:
    for number in range(120):
        root.write(f"job{number}.toml", f'command = "true"\n[schedule]\nevery = "{number + 1}m"\ndaily = 09:30:00\n')
    root.write("args.toml", 'callable = "os.path:join"\nargs = [2026-01-01, ["a"]]\n')
    root.write("broken.toml", BAD)
    return root.paths.root / "remembered"


LATER_US = 10**17  # long after whatever was done to a file


def _started(root: Root, file: Path, config: Config | None = None, *, now_us: int = LATER_US) -> JobSetChange:
    """Start again: load everything, then remember it for the next start."""
    loader = Loader(root.paths, config or Config(), cache_file=file)
    change = loader.load(now_us)
    loader.keep()
    return change


def test_remembered(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unchanged contents parsed to is remembered over a restart, and is the very same."""
    file = _many(root)
    before = _started(root, file).jobset
    parsed: list[str] = []

    def parse(name: str, *args: Any, **options: Any) -> tuple[spec.ParseResult, ...]:
        parsed.append(name)
        return spec.parse_jobs(name, *args, **options)

    monkeypatch.setattr("akjob.jobset.judge.parse_jobs", parse)
    root.write("job7.toml", OTHER)
    after = _started(root, file).jobset
    assert sorted(parsed) == ["args", "broken", "job7"]
    assert {**after.jobs, "job7": None} == {**before.jobs, "job7": None}
    assert after.jobs["job7"].code == FALSE
    assert set(after.broken) == {"broken"}


def test_remembered_with_other_defaults(root: Root) -> None:
    """Other defaults or another configuration make nothing of what was remembered count."""
    file = _many(root)
    _started(root, file)
    root.write("_defaults.toml", '[run]\ntimeout = "5m"\n')
    jobs = _started(root, file).jobset.jobs
    assert {job.run.timeout_us for job in jobs.values()} == {300 * SECOND}
    config = Config(run_defaults={"nice": 5})
    jobs = _started(root, file, config).jobset.jobs
    assert {job.run.nice for job in jobs.values()} == {5}


@pytest.mark.parametrize("damage", ["cut", "changed", "foreign", "none"])
def test_remembered_is_damaged(root: Root, damage: str) -> None:
    """A damaged file, or one that others may write, costs time only."""
    file = _many(root)
    before = _started(root, file).jobset
    data = file.read_bytes()
    if damage == "cut":
        file.write_bytes(data[:-100])
    elif damage == "changed":
        file.write_bytes(data.replace(b"true", b"evil"))
    elif damage == "foreign":
        file.write_bytes(data.replace(b"true", b"evil"))
        file.chmod(0o666)
    else:
        file.unlink()
    after = _started(root, file).jobset
    assert after.jobs == before.jobs


def test_what_is_settled_is_not_even_read(root: Root) -> None:
    """A file that is by ``stat`` as it was when it was hashed, long after its last change, is not read at a start."""
    file = _many(root)
    assert _started(root, file).files_read == 122
    root.write("job7.toml", OTHER)
    change = _started(root, file)
    assert change.files_read == 3  # that one, the broken one, and the one whose values are not plain
    assert change.jobset.jobs["job7"].code == FALSE


def test_what_was_just_written_is_read_at_a_start(root: Root) -> None:
    """Within two seconds of a change another one could leave no trace, so the content counts."""
    file = _many(root)
    changed_us = max(path.stat().st_ctime_ns for path in root.jobs.iterdir()) // 1000
    _started(root, file, now_us=changed_us + SECOND)
    assert _started(root, file).files_read == 122
    assert _started(root, file).files_read == 2


@pytest.mark.parametrize("how", ["content", "mode", "defaults"])
def test_a_change_while_akjobd_was_down_is_seen(root: Root, how: str) -> None:
    """A change of the same size whose time was set back, of who may write, of the defaults: none is overlooked."""
    file = _many(root)
    _started(root, file)
    path = root.jobs / "job7.toml"
    was = path.stat()
    match how:
        case "content":
            with path.open("r+") as stream:
                stream.write(path.read_text().replace("true", "evil"))
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
            assert (path.stat().st_size, path.stat().st_mtime_ns) == (was.st_size, was.st_mtime_ns)
            assert _started(root, file).jobset.jobs["job7"].code == Command(argv=None, shell="evil")  # noqa: S604 - a value, no call
        case "mode":
            path.chmod(0o666)
            assert set(_started(root, file).jobset.broken) == {"broken", "job7"}
        case _:
            root.write("_defaults.toml", "[run]\nnice = 5\n")
            assert {job.run.nice for job in _started(root, file).jobset.jobs.values()} == {5}


def test_a_second_process_parses_some(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """With many files to parse, another interpreter parses some of them, and nothing comes out otherwise."""
    file = _many(root)
    root.write("a/_defaults.toml", "[run]\nnice = 5\n")
    root.write("a/b.toml")
    alone = _started(root, file).jobset
    file.unlink()
    parsed: list[str] = []

    def parse(name: str, *args: Any, **options: Any) -> tuple[spec.ParseResult, ...]:
        parsed.append(name)
        return spec.parse_jobs(name, *args, **options)

    monkeypatch.setattr("akjob.jobset.judge.parse_jobs", parse)
    monkeypatch.setattr("akjob.jobset.parallel_parse.is_worth_it", lambda files: files > 100)
    both = _started(root, file).jobset
    assert both.jobs == alone.jobs
    assert set(both.broken) == {"broken"}
    assert 40 < len(parsed) < 90
    assert {"args", "broken"} <= set(parsed)


def test_a_second_process_that_fails_costs_time_only(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not bring is parsed here."""
    file = _many(root)
    monkeypatch.setattr("akjob.jobset.parallel_parse.is_worth_it", lambda files: files > 100)
    monkeypatch.setattr("akjob.jobset.parallel_parse._PROGRAM", ("-c", "print('no'); raise SystemExit(1)"))
    assert len(_started(root, file).jobset.jobs) == 121


# an emptied folder


def test_emptied_folder(root: Root) -> None:
    """When all of several files vanish at once the jobs stay until a second look, loudly, and then go."""
    root.write("a.toml")
    root.write("b.toml")
    root.load()
    shutil.rmtree(root.jobs)
    root.jobs.mkdir(mode=0o755)
    change = root.load("a.toml", "b.toml")
    assert set(change.jobset.jobs) == {"a", "b"}
    assert change.scan_again_us == root.now_us + 5 * SECOND
    assert [problem.code for problem in change.problems] == ["emptied"]
    again = root.load(after_us=SECOND)
    assert set(again.jobset.jobs) == {"a", "b"}
    assert again.problems == ()
    last = root.load(after_us=4 * SECOND)
    assert last.removed == ("a", "b")
    assert "unscheduled" in last.problems[0].message
    assert last.scan_again_us is None


def test_emptied_and_filled_again(root: Root) -> None:
    """Files that are back at the second look have never been away."""
    root.write("a.toml")
    root.write("b.toml")
    root.load()
    root.jobs.rename(root.paths.root / "aside")
    assert set(root.load().jobset.jobs) == {"a", "b"}
    (root.paths.root / "aside").rename(root.jobs)
    change = root.load(after_us=10 * SECOND)
    assert not (change.removed)
    assert not (change.added)
    assert not (change.changed)
    assert set(change.jobset.jobs) == {"a", "b"}


def test_emptied_before_the_start(root: Root) -> None:
    """A folder that is empty at the start keeps the stored jobs until the second look, too."""
    root.write("a.toml")
    root.write("b.toml")
    stored = root.stored(root.load())
    shutil.rmtree(root.jobs)
    root.fresh(stored)
    change = root.load()
    assert set(change.jobset.jobs) == {"a", "b"}
    assert change.added == ()
    assert root.load(after_us=5 * SECOND).removed == ("a", "b")


def test_what_never_was_good_is_told_once_over_a_restart(root: Root) -> None:
    """It keeps its beginning; without its file nothing is left of it; repaired, it is a new job like any other."""
    root.write("never.toml", BAD)
    root.write("gone.toml", BAD)
    root.write("fixed.toml", BAD)
    first = root.load().jobset.broken
    seeds = {
        name: LastGood(
            file="", definition="", loaded_us=0, refused=RefusedVersion(content=one.content, since_us=one.since_us)
        )
        for name, one in first.items()
    }
    (root.jobs / "gone.toml").unlink()
    root.write("fixed.toml")
    root.fresh(seeds)
    change = root.load(after_us=60 * SECOND)
    assert (change.broken, change.removed, change.problems) == ((), (), ())
    assert change.added == ("fixed",)
    assert {name: one.since_us for name, one in change.jobset.broken.items()} == {"never": first["never"].since_us}


def test_one_file_is_no_alarm(root: Root) -> None:
    """The only file of a folder may vanish."""
    root.write("a.toml")
    root.load()
    (root.jobs / "a.toml").unlink()
    assert root.load().removed == ("a",)


def test_one_by_one_is_no_alarm(root: Root) -> None:
    """Files that are deleted one after the other are removed one after the other."""
    root.write("a.toml")
    root.write("b.toml")
    root.load()
    (root.jobs / "a.toml").unlink()
    assert root.load("a.toml").removed == ("a",)
    (root.jobs / "b.toml").unlink()
    assert root.load("b.toml").removed == ("b",)


def test_missing_folder(root: Root) -> None:
    """A root without ``jobs.d`` is told once, and works when the folder appears."""
    root.jobs.rmdir()
    change = root.load()
    assert [problem.code for problem in change.problems] == ["no-jobs-folder"]
    assert root.load().problems == ()
    root.jobs.mkdir(mode=0o755)
    root.write("a.toml")
    assert root.load().added == ("a",)


# names, links, and what is not a file


def test_bad_name(root: Root) -> None:
    """A file whose name is not a job name is broken, and says how to name it."""
    root.write("bad name.toml")
    root.write("-x/y.toml")
    change = root.load()
    assert {broken.job: broken.code for broken in change.broken} == {"bad name": "bad-name", "-x/y": "bad-name"}
    assert change.jobset.jobs == {}


def test_name_that_is_no_text(root: Root) -> None:
    """A name that is not UTF-8 is broken, under a name that can be printed, and can be removed again."""
    path = os.path.join(os.fsencode(root.jobs), b"caf\xe9.toml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(GOOD)
    os.utime(path, ns=((root.now_us - 60 * SECOND) * 1000,) * 2)
    change = root.load()
    assert [broken.job for broken in change.broken] == ["caf\\xe9"]
    os.unlink(path)
    assert root.load().jobset.broken == {}


@pytest.mark.parametrize("hints", [(), ("Report.toml",)], ids=["full", "hinted"])
def test_names_that_differ_in_case(root: Root, hints: tuple[str, ...]) -> None:
    """Names that differ only in case are both jobs, with one warning, told once."""
    root.write("report.toml")
    root.load()
    root.write("Report.toml")
    change = root.load(*hints)
    assert set(change.jobset.jobs) == {"report", "Report"}
    assert [(problem.code, problem.file) for problem in change.problems] == [("case-twin", "jobs.d/report.toml")]
    assert root.load().problems == ()


def test_twins_come_and_go(root: Root) -> None:
    """The warning follows what is there, whichever of several goes first."""
    for name in ("a.toml", "A.toml", "b.toml", "B.toml"):
        root.write(name)
    root.load()

    def twins() -> list[str]:
        return [problem.file for problem in root.loader.problems() if problem.code == "case-twin"]

    assert twins() == ["jobs.d/a.toml", "jobs.d/b.toml"]
    (root.jobs / "a.toml").unlink()
    root.load("a.toml")
    assert twins() == ["jobs.d/b.toml"]
    (root.jobs / "A.toml").unlink()
    root.write("a.toml")
    root.load("A.toml", "a.toml")
    assert twins() == ["jobs.d/b.toml"]
    root.write("A.toml")
    root.load("A.toml")
    assert twins() == ["jobs.d/a.toml", "jobs.d/b.toml"]


def test_pipe(root: Root) -> None:
    """A pipe that is called like a job is a warning and is never opened."""
    os.mkfifo(root.jobs / "pipe.toml")
    change = root.load()
    assert not (change.jobset.jobs)
    assert not (change.jobset.broken)
    assert [problem.code for problem in change.problems] == ["not-a-file"]


def test_configmap(root: Root) -> None:
    """``..data`` of a ConfigMap is followed, and its switch is one change of the job set, also by a hint."""
    for version, text in (("..1", GOOD), ("..2", OTHER)):
        for name in ("a.toml", "b.toml"):
            root.write(f"{version}/{name}", text)
    (root.jobs / "..data").symlink_to("..1")
    for name in ("a.toml", "b.toml"):
        (root.jobs / name).symlink_to(f"..data/{name}")
    assert set(root.load().jobset.jobs) == {"a", "b"}
    (root.jobs / "..tmp").symlink_to("..2")
    (root.jobs / "..tmp").rename(root.jobs / "..data")
    change = root.load("..data")
    assert [changed.job for changed in change.changed] == ["a", "b"]


def test_replaced_folder(root: Root) -> None:
    """A ``jobs.d`` that is replaced by one with the same content changes nothing."""
    root.write("a.toml")
    root.write("sub/b.toml")
    root.load()
    shutil.copytree(root.jobs, root.paths.root / "next")
    root.jobs.rename(root.paths.root / "last")
    (root.paths.root / "next").rename(root.jobs)
    change = root.load()
    assert change.files_read == 2
    assert not (change.changed)
    assert not (change.added)
    assert not (change.removed)


def test_dangling_link(root: Root) -> None:
    """A symlink that leads nowhere keeps the last good version."""
    target = root.paths.root / "target"
    target.write_text(GOOD)
    (root.jobs / "a.toml").symlink_to(target)
    root.load()
    target.unlink()
    change = root.load()
    assert [broken.code for broken in change.broken] == ["unreadable"]
    assert set(change.jobset.jobs) == {"a"}
    target.write_text(GOOD)
    assert root.load().repaired == ("a",)


def test_too_large(root: Root) -> None:
    """A file over 1 MiB is refused unread."""
    root.write("a.toml", "#" * (1024 * 1024 + 1))
    [broken] = root.load().broken
    assert broken.code == "too-large"


def test_a_file_that_is_written_anew_is_not_gone(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is read while git replaces a file may not list it: its job is neither removed nor new."""
    root.write("a.toml")
    root.write("b.toml")
    root.load()
    root.write("a.toml", OTHER)
    root.write("c.toml")
    scandir = os.scandir

    @contextmanager
    def without_a(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        with scandir(path) as entries:
            yield iter([entry for entry in entries if entry.name != "a.toml"])

    monkeypatch.setattr(os, "scandir", without_a)
    change = root.load()
    monkeypatch.undo()
    assert (change.added, change.changed, change.removed) == (("c",), (), ())
    assert change.scan_again_us is not None
    root.now_us = change.scan_again_us
    change = root.load()
    assert [changed.job for changed in change.changed] == ["a"]
    assert (change.added, change.removed) == ((), ())
    (root.jobs / "a.toml").unlink()
    assert root.load().removed == ("a",)


def test_folder_that_cannot_be_read(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in a folder that cannot be read stays scheduled."""
    root.write("a/x.toml")
    root.write("b/y.toml")
    root.load()
    scandir, open_ = os.scandir, os.open

    def refuse(path: str) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    def refuse_to_open(path: str, flags: int, mode: int = 0o777) -> int:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return open_(path, flags, mode)

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "open", refuse_to_open)
    change = root.load()
    assert change.removed == ()
    assert [(broken.job, broken.file) for broken in change.broken] == [("a/x", "jobs.d/a")]
    monkeypatch.undo()
    assert root.load().repaired == ("a/x",)


def test_parser_that_fails(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a file does to the parser, it costs that job alone."""
    root.write("a.toml")
    root.write("b.toml", "# deep\n")
    read = parse._read_job

    def fail(name: str, *args: Any, **options: Any) -> object:
        if name == "b":
            raise RecursionError("too deep")
        return read(name, *args, **options)

    monkeypatch.setattr("akjob.spec.parse._read_job", fail)
    change = root.load()
    assert set(change.jobset.jobs) == {"a"}
    [broken] = change.broken
    assert (broken.job, broken.code) == ("b", "internal-error")
    assert broken.message.endswith("which is a fault of akjob: RecursionError: too deep")
    assert "report" in broken.hint


def test_expectation_that_fails(root: Root) -> None:
    """A new version that does not do what its author means is refused: the last good one goes on."""
    root.write("a.toml", GOOD + "[schedule]\ndaily = 09:00:00\n[[expect]]\nfires = 2030-01-01T09:00:00\n")
    good = root.load().jobset.jobs["a"]
    root.write("a.toml", GOOD + "[schedule]\ndaily = 10:00:00\n[[expect]]\nfires = 2030-01-01T09:00:00\n")
    change = root.load()
    [broken] = change.broken
    assert (broken.code, broken.line) == ("expectation-failed", 5)
    assert change.jobset.jobs["a"] is good


# trust


def test_world_writable_file(root: Root) -> None:
    """A file that everybody may write to is refused with the command that fixes it; its last good version stays."""
    root.write("a.toml")
    root.write("b.toml")
    root.load()
    (root.jobs / "a.toml").chmod(0o666)
    change = root.load("a.toml")
    [broken] = change.broken
    assert (broken.code, broken.hint) == ("world-writable", "chmod o-w jobs.d/a.toml")
    assert set(change.jobset.jobs) == {"a", "b"}
    (root.jobs / "a.toml").chmod(0o644)
    assert root.load("a.toml").repaired == ("a",)


def test_world_writable_folder(root: Root) -> None:
    """A folder that everybody may write to refuses all below it, at the next full look."""
    root.write("sub/a.toml")
    root.write("b.toml")
    root.load()
    (root.jobs / "sub").chmod(0o777)
    change = root.load("sub")
    assert [(broken.job, broken.file, broken.hint) for broken in change.broken] == [
        ("sub/a", "jobs.d/sub", "chmod o-w jobs.d/sub")
    ]


def test_world_writable_root(root: Root) -> None:
    """The root folder itself is looked at, what is above it is not."""
    root.write("a.toml")
    root.paths.root.chmod(0o777)
    root.paths.root.parent.chmod(0o777)
    [broken] = root.load().broken
    assert (broken.file, broken.hint) == (".", "chmod o-w .")


def test_world_writable_dill_file(root: Root) -> None:
    """A dill file that everybody may write to refuses the job."""
    root.write("x.toml", _dill())
    root.write("x.dill", "one").chmod(0o666)
    [broken] = root.load().broken
    assert (broken.job, broken.file) == ("x", "jobs.d/x.dill")
    (root.jobs / "x.dill").chmod(0o644)
    assert root.load("x.dill").added == ("x",)


def test_world_writable_module(root: Root) -> None:
    """A folder of the module that a job imports is part of what runs; fixing it fixes the job."""
    package = root.paths.root / "pkg"
    package.mkdir(mode=0o755)
    (package / "__init__.py").write_text("")
    (package / "mod.py").write_text("def main(): ...")
    root.write("x.toml", 'callable = "pkg.mod:main"\n')
    root.write("y.toml", 'callable = "os.path:exists"\n')
    assert root.load().added == ("x", "y")
    package.chmod(0o777)
    [broken] = root.load().broken
    assert (broken.job, broken.file, broken.hint) == ("x", "pkg", "chmod o-w pkg")
    package.chmod(0o755)
    assert root.load().repaired == ("x",)
    (package / "mod.py").chmod(0o666)
    [broken] = root.load().broken
    assert broken.file == "pkg/mod.py"


def test_group_writable(root: Root) -> None:
    """A group that may write is a warning, told once, and breaks nothing."""
    file = root.write("a.toml")
    os.chown(file, -1, 65534) if os.geteuid() == 0 else None
    file.chmod(0o664)
    change = root.load()
    if os.geteuid() == 0:
        assert [problem.code for problem in change.problems] == ["group-writable"]
    assert set(change.jobset.jobs) == {"a"}


@pytest.mark.parametrize("step", ["_parsed", "_with_parts", "_may_be_half_written"])
def test_what_raises_behind_the_parser_costs_one_file(root: Root, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """It is refused as a fault of akjob's, said once, and its last good version runs on; the others are loaded."""
    root.write("a.toml")
    root.load()
    whole = getattr(Loader, step)

    def raises(loader: Loader, file: JobFile, *rest: Any) -> Any:
        if file.path == "a.toml":
            raise RecursionError("maximum recursion depth exceeded")
        return whole(loader, file, *rest)

    root.write("a.toml", BAD if step == "_may_be_half_written" else OTHER)
    root.write("b.toml")
    with monkeypatch.context() as patched:
        patched.setattr(Loader, step, raises)
        change = root.load()
        again = root.load(after_us=60 * SECOND)
    assert change.added == ("b",)
    (broken,) = change.broken
    assert (broken.job, broken.code, broken.running_last_good) == ("a", "internal-error", True)
    assert change.jobset.jobs["a"].code == TRUE
    assert again.broken == ()
    root.write("a.toml", f'description = "x"\n{OTHER}')
    assert root.load(after_us=SECOND).repaired == ("a",)
