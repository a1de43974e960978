"""`akjob list`, `show`, `history`, `logs`, `status`: what the folder, the ledger and the log tell, without akjobd."""

import base64
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from akjob.control.requests import Refused, StatusIs
from akjob.control.status import Status
from akjob.instants import SECOND
from akjob.notify.outbox import Outbox
from tests.unit.cli.root import NOW, NOW_US, Root, later, output

HOURLY = 'command = "x"\n[schedule]\nevery = "1h"\n'
MINUTE_US = 60 * SECOND


def load(root: Root, name: str, text: str = HOURLY, **values: Any) -> str:
    """Write a job and put it into the ledger; return the hash of its definition."""
    spec = root.job(name, text)
    assert spec is not None
    root.loaded(spec, **values)
    return spec.sha256


# -- what akjobd has otherwise


def test_list_and_show_say_what_akjobd_has_otherwise(root: Root) -> None:
    """A root that shares its var/ with the one that akjobd reads; what was saved just now is not said."""
    load(root, "same")
    load(root, "other")
    load(root, "gone")
    for name in ("other", "new", "fresh"):
        root.job(name, HOURLY + "on_start = true\n")
    (root.paths.jobs_d / "gone.toml").unlink()
    long_ago = NOW_US * 1000 - 3600 * 1_000_000_000
    for path in (*root.paths.jobs_d.glob("*.toml"), root.paths.jobs_d):
        os.utime(path, ns=(long_ago, NOW_US * 1000 if path.name == "fresh.toml" else long_ago))
    assert "another version" not in root.akjob("list").stderr  # akjobd is down, and loads them at its start
    reads = ["/srv/releases/current"]
    with root.akjobd(lambda _: status(root=reads[0])):
        listed, shown, same = root.akjob("list"), root.akjob("show", "other"), root.akjob("show", "same")
        reads[0] = str(root.paths.root)
        late = root.akjob("list")
    assert listed.exit_code == shown.exit_code == 0
    assert "akjobd has another version of gone, new, other than this folder has" in listed.stderr
    assert "it reads /srv/releases/current" in listed.stderr
    assert "akjobd has another version of other than this folder has" in shown.stderr
    assert same.stderr == ""
    assert "it usually takes a change over within a second" in late.stderr


# -- list


def test_list_has_the_documented_keys_and_no_others(root: Root) -> None:
    """Programs are written against these."""
    load(root, "tick", last_state="failed", last_ended_us=NOW_US - MINUTE_US)
    root.run("r1", "tick", -1, state="running", started_us=NOW_US)
    root.run("r2", "tick", -2, state="queued")
    assert root.json("list") == [
        {
            "job": "tick",
            "file": "jobs.d/tick.toml",
            "enabled": True,
            "paused": False,
            "paused_until": None,
            "pause_reason": None,
            "paused_by": None,
            "broken": False,
            "running": 1,
            "next": "2026-03-28T13:00:00.000000Z",
            "last_state": "failed",
            "last_ended": "2026-03-28T11:59:00.000000Z",
        }
    ]


def test_list_of_what_is_not_in_the_ledger_yet(root: Root) -> None:
    """A root in which akjobd never ran is read all the same; jobs come by name."""
    root.job("b", HOURLY)
    root.job("a", HOURLY)
    assert [(line["job"], line["last_state"], line["running"]) for line in root.json("list")] == [
        ("a", None, 0),
        ("b", None, 0),
    ]


@pytest.mark.parametrize(
    ("text", "values", "following"),
    [
        ("enabled = false\n" + HOURLY, {}, None),
        (HOURLY, {"paused_at_us": NOW_US - 1}, None),
        (HOURLY, {"paused_at_us": NOW_US - 1, "paused_until_us": NOW_US + 90 * MINUTE_US}, "14:00"),
        (HOURLY, {"paused_at_us": NOW_US - 1, "paused_until_us": NOW_US + 60 * MINUTE_US}, "13:00"),
        (HOURLY, {"paused_at_us": NOW_US - 9, "paused_until_us": NOW_US - 1}, "13:00"),
        (HOURLY + "[limits]\nruns = 3\n", {"runs_started": 3}, None),
    ],
)
def test_next_in_list_is_what_will_start(root: Root, text: str, values: dict[str, Any], following: str | None) -> None:
    """Nothing of a job that is disabled, done or paused; after the pause where it ends."""
    load(root, "tick", text, **values)
    found = root.json("list")[0]["next"]
    assert (None if found is None else found[11:16]) == following


def test_next_in_list_knows_what_was_accounted_for(root: Root) -> None:
    """Slots up to the mark do not start again; one whose order is out already is the next one."""
    load(root, "behind", HOURLY, watermark_us=NOW_US + 150 * MINUTE_US)
    load(root, "claimed", HOURLY, watermark_us=NOW_US + 60 * MINUTE_US)
    root.run("r1", "claimed", 60, state="queued", trigger="schedule")
    again = 'command = "x"\n[schedule]\nagain_after = "40m"\n'
    load(root, "missed", again, first_loaded_us=NOW_US - 200 * MINUTE_US, watermark_us=NOW_US - 10 * MINUTE_US)
    load(root, "ran", again, again_from_us=NOW_US - 5 * MINUTE_US, watermark_us=NOW_US - 10 * MINUTE_US)
    found = {line["job"]: line["next"][11:16] for line in root.json("list")}
    assert found == {"behind": "15:00", "claimed": "13:00", "missed": "12:30", "ran": "12:35"}


def test_list_of_a_broken_job(root: Root) -> None:
    """One that never was good is named, too; of one that was, the last good version counts."""
    load(root, "was-good", last_state="succeeded", last_ended_us=NOW_US)
    root.job("was-good", "evry = 1\n")
    root.job("never-good", "command = 1\n")
    never, was = root.json("list")
    assert (never["broken"], never["enabled"], never["next"]) == (True, None, None)
    assert (was["broken"], was["enabled"], was["next"]) == (True, True, "2026-03-28T13:00:00.000000Z")
    result = root.akjob("list")
    assert result.exit_code == 0
    assert "broken, last good runs" in result.stdout
    assert "2 jobs broken" in result.stderr
    assert "jobs.d/was-good.toml:1:1: unknown key" in result.stdout
    assert "  was-good, refused " in result.stdout
    assert "; the last good version runs" in result.stdout
    assert "; nothing of it runs" in result.stdout


def test_which_commit_was_refused(root: Root) -> None:
    """As akjobd noted it, or the one that is checked out where akjobd has not seen it; marked where it differs."""
    load(root, "noted", refused="content", refused_us=NOW_US, refused_commit="c0ffee" * 7, refused_dirty=False)
    root.job("noted", "evry = 1\n")
    root.job("new", "evry = 1\n")
    root.job("edited", "evry = 1\n")
    commit = root.commit()
    root.job("edited", "evry = 2\n")
    shown = root.akjob("list").stdout
    assert ", from commit c0ffeec0ffee; the last good version runs" in shown
    assert f", from commit {commit[:12]}; nothing of it runs" in shown
    assert f", not committed, changed after commit {commit[:12]}; nothing of it runs" in shown
    assert f"              from commit {'c0ffee' * 7}" in root.akjob("show", "noted").stdout
    assert f"              not committed, changed after commit {commit}" in root.akjob("show", "edited").stdout
    refused = root.json("show", "new")[0]["refused"]
    assert (refused["file"], refused["git_commit"], refused["git_dirty"]) == ("jobs.d/new.toml", commit, False)
    status = msgspec.json.decode(root.akjob("status", "--json").stdout)
    assert {one["job"]: (one["git_commit"], one["git_dirty"]) for one in status["broken"]} == {
        "noted": ("c0ffee" * 7, False),
        "new": (commit, False),
        "edited": (commit, True),
    }


def test_a_mistake_that_costs_many_jobs_is_shown_once(root: Root) -> None:
    """In ``list`` and ``status``, with the jobs; each is still broken."""
    root.job("_defaults", '[run]\ntimeout = "5 minutes"\n')
    os.utime(root.paths.jobs_d / "_defaults.toml", (NOW_US // SECOND, NOW_US // SECOND))
    for number in range(5):
        root.job(f"job{number}", HOURLY)
    for command in ("list", "status"):
        shown = root.akjob(command).stdout
        assert shown.count("5 minutes") == 1
        assert "5 jobs: job0, job1, job2 and 2 more; each refused " in shown
    assert len(msgspec.json.decode(root.akjob("status", "--json").stdout)["broken"]) == 5


HOSTILE = r'"a\nb.toml:1:1: error[x] y\u001b]0;evil\u0007\u009b2J"'


@pytest.mark.parametrize(
    "command",
    [["validate"], ["list"], ["status"], ["next"], ["next", "jobs.d/bad.toml"], ["show", "bad"], ["show", "good"],
     ["run", "--here", "bad"], ["history"], ["diff"]],
    ids=" ".join,
)  # fmt: skip
def test_no_file_speaks_to_the_terminal(root: Root, command: list[str]) -> None:
    """Keys, values and reasons with control characters are shown on one line, and what they are."""
    root.job("good", f"command = [{HOSTILE}]\ndescription = {HOSTILE}\ntags = [{HOSTILE}]\n")
    root.commit()
    root.job("good", f"command = [{HOSTILE}, {HOSTILE}]\ndescription = {HOSTILE}\ntags = [{HOSTILE}]\n")
    root.job("bad", f"command = {HOSTILE}\n{HOSTILE} = 1\n[schedule]\ntimezone = {HOSTILE}\n")
    root.run("r1", "good", 0, state="skipped", reason="a\nb.toml:1:1: error\x1b]0;evil\x07\x9b2J")
    result = root.akjob(*command)
    assert not isinstance(result.exception, Exception), result.exception
    shown = result.stdout + result.stderr
    assert not [sign for sign in shown if not sign.isprintable() and sign not in "\t\n"]
    assert not any(line.strip().startswith("b.toml:1:1") for line in shown.splitlines())
    assert "\\x1b]0;evil\\x07\\x9b2J" in shown or "\\u001b]0;evil\\u0007\\x9b2J" in shown


def test_json_keeps_what_a_file_says(root: Root) -> None:
    """As JSON writes it."""
    root.job("bad", f'command = "x"\n{HOSTILE} = 1\n')
    found = msgspec.json.decode(root.akjob("validate", "--json").stdout)
    said = msgspec.json.decode(root.akjob("status", "--json").stdout)["broken"][0]
    assert all("a\nb.toml:1:1: error[x] y\x1b]0;evil\x07\x9b2J" in one["message"] for one in (found, said))


def test_list_for_people(root: Root) -> None:
    """A line for each job, aligned, with how far away things are."""
    load(root, "reports/nightly", last_state="succeeded", last_ended_us=NOW_US - 5 * MINUTE_US)
    load(root, "off", "enabled = false\n" + HOURLY)
    load(root, "done", HOURLY + "[limits]\nruns = 1\n", runs_started=1)
    load(root, "paused", HOURLY, paused_at_us=NOW_US)
    assert root.akjob("list").stdout.splitlines() == [
        "JOB              STATE     NEXT                                LAST",
        "done             done",
        "off              disabled",
        "paused           paused",
        "reports/nightly  ready     2026-03-28 13:00:00 +00:00  in 1 h  succeeded  5 min ago",
    ]


def test_list_filters(root: Root) -> None:
    """By pattern, and by tags, of which all must be there."""
    root.job("reports/a", 'tags = ["x", "y"]\n' + HOURLY)
    root.job("reports/b", 'tags = ["x"]\n' + HOURLY)
    root.job("other", HOURLY)
    assert [line["job"] for line in root.json("list", "reports/*")] == ["reports/a", "reports/b"]
    assert [line["job"] for line in root.json("list", "--tag", "x", "--tag", "y")] == ["reports/a"]
    assert root.akjob("list", "z*").exit_code == 0


# -- show


def test_show_has_the_documented_keys(root: Root) -> None:
    """Those of list, and what the definition and the ledger know."""
    text = 'description = "Say it"\ntags = ["t"]\ncommand = "x"\n[schedule]\ndaily = 09:30:00\n[run]\ntimeout = "5m"\n'
    sha256 = load(root, "tick", text, runs_started=7)
    (found,) = root.json("show", "tick")
    assert set(found) == {
        "job", "file", "enabled", "paused", "paused_until", "pause_reason", "paused_by", "broken", "running", "next",
        "last_state", "last_ended",
        "description", "tags", "owner", "runbook", "schedule", "definition", "definition_sha256", "runs_started",
        "git_commit", "refused",
    }  # fmt: skip
    assert found["description"] == "Say it"
    assert found["tags"] == ["t"]
    assert "09:30" in found["schedule"]
    assert found["definition"]["run"]["timeout"] == "5m"
    assert found["definition_sha256"] == sha256
    assert found["runs_started"] == 7
    assert found["git_commit"] is None


def test_show_says_who_is_asked_about_a_job(root: Root) -> None:
    """Its owner, and where to read what to do."""
    load(root, "tick", 'owner = "team-a"\nrunbook = "https://example.org/r"\n' + HOURLY)
    (found,) = root.json("show", "tick")
    assert (found["owner"], found["runbook"]) == ("team-a", "https://example.org/r")
    out = root.akjob("show", "tick").stdout
    assert "  owner       team-a\n  runbook     https://example.org/r\n" in out


def test_show_knows_the_commit(root: Root) -> None:
    """The one that is checked out, and whether the job's file differs from it."""
    root.job("tick", HOURLY)
    commit = root.commit()
    assert root.json("show", "tick")[0]["git_commit"] == commit
    assert f"commit {commit[:8]}\n" in root.akjob("show", "tick").stdout
    root.job("tick", HOURLY + "# changed\n")
    assert f"commit {commit[:8]}, from which it differs\n" in root.akjob("show", "tick").stdout


def test_show_does_not_say_that_the_last_good_version_is_from_the_commit_that_broke_it(root: Root) -> None:
    """The files are as the commit has them, but what is in force is not what they say."""
    load(root, "tick")
    root.job("tick", "evry = 1\n")
    commit = root.commit()
    assert f"commit {commit[:8]}, from which it differs\n" in root.akjob("show", "tick").stdout


def test_show_of_a_broken_job_says_what_runs_and_what_was_refused(root: Root) -> None:
    """The place of the error, its hint, since when, and which version is in force."""
    sha256 = load(root, "tick")
    root.job("tick", 'command = "x"\n[schedule]\nevry = "1h"\n')
    result = root.akjob("show", "tick")
    assert result.exit_code == 0
    assert "refused     jobs.d/tick.toml:3:1: unknown key" in result.stdout
    assert f"in force    the last good version, {sha256[:8]}, loaded 2026-03-28 12:00:00 +00:00" in result.stdout
    root.job("new", "command = 1\n")
    assert "runs        nothing: no version of it was ever good" in root.akjob("show", "new").stdout
    assert root.json("show", "new")[0]["definition"] is None


def test_show_knows_since_when_a_file_is_refused(root: Root) -> None:
    """As akjobd has noted it; what it has not seen yet is broken since it was written."""
    load(root, "tick", refused="content", refused_us=NOW_US - 60 * MINUTE_US)
    for name in ("tick", "new"):
        root.job(name, "evry = 1\n")
        os.utime(root.paths.jobs_d / f"{name}.toml", (NOW_US // SECOND - 120, NOW_US // SECOND - 120))
    assert "since 2026-03-28 11:00:00 +00:00 (1 h ago)" in root.akjob("show", "tick").stdout
    assert "since 2026-03-28 11:58:00 +00:00 (2 min ago)" in root.akjob("show", "new").stdout


def test_show_says_a_pause(root: Root) -> None:
    """Until when, by whom and why."""
    until = NOW_US + 60 * MINUTE_US
    load(root, "tick", paused_at_us=NOW_US, paused_until_us=until, pause_reason="the database moves", paused_by="ann")
    out = root.akjob("show", "tick").stdout
    assert "paused      until 2026-03-28 13:00:00 +00:00, since 2026-03-28 12:00:00 +00:00 by ann: the database" in out


def test_list_has_what_a_pause_is(root: Root) -> None:
    """Until when, why, by whom; nothing of a pause that is over, and no end where it lasts until it is resumed."""
    until = NOW_US + 60 * MINUTE_US
    load(root, "a", HOURLY, paused_at_us=NOW_US, paused_until_us=until, pause_reason="the move", paused_by="ann")
    load(root, "b", HOURLY, paused_at_us=NOW_US)
    load(root, "c", HOURLY, paused_at_us=NOW_US - 9, paused_until_us=NOW_US - 1, pause_reason="over", paused_by="ann")
    keys = ("paused", "paused_until", "pause_reason", "paused_by")
    assert [[line[key] for key in keys] for line in root.json("list")] == [
        [True, "2026-03-28T13:00:00.000000Z", "the move", "ann"],
        [True, None, None, None],
        [False, None, None, None],
    ]


def test_show_takes_the_file_s_name_too(root: Root) -> None:
    """Shells complete file names."""
    root.job("sub/tick", HOURLY)
    assert root.json("show", "jobs.d/sub/tick.toml")[0]["job"] == "sub/tick"
    assert root.akjob("show", "nope").exit_code == 2


@pytest.mark.parametrize("command", ["show", "history", "logs", "next"])
def test_a_job_whose_name_looks_like_a_file_is_itself(root: Root, command: str) -> None:
    """The job of exactly this name goes first; only where there is none does the name mean the other one's file."""
    for n, name in enumerate(("a1", "a1.toml", "b1")):
        load(root, name)
        root.run(f"r{n}", name, n, state="succeeded")
        root.log(output(f"r{n}", 1, "x", job=name))
    meant = {"a1": "a1", "a1.toml": "a1.toml"}
    if command != "next":  # to which any other name that ends so is a FILE
        meant |= {"a1.toml.toml": "a1.toml", "b1.toml": "b1"}
    assert {wanted: root.json(command, wanted)[0]["job"] for wanted in meant} == meant


@pytest.mark.parametrize("command", ["show", "history", "logs"])
def test_the_path_of_a_job_s_file_means_the_job(
    root: Root, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    """From wherever it is written, also where a symlink leads; what is no job's file is an unknown job."""
    load(root, "sub/tick")
    root.run("r1", "sub/tick", 0, state="succeeded")
    root.log(output("r1", 1, "x", job="sub/tick"))
    (root.paths.root / "hello.toml").write_text(HOURLY)
    root.paths.etc.mkdir()
    root.paths.config_file.write_text("")
    (tmp_path / "link").symlink_to(root.paths.jobs_d)
    monkeypatch.chdir(root.paths.jobs_d / "sub")
    files = ["tick.toml", "./tick.toml", "../sub/tick.toml", "sub/tick.toml", "jobs.d/sub/tick.toml"]
    files += [str(root.paths.jobs_d / "sub" / "tick.toml"), str(tmp_path / "link" / "sub" / "tick.toml")]
    assert {root.json(command, file)[0]["job"] for file in files} == {"sub/tick"}
    others = ["./tick", "../etc/akjob", "../../etc/akjob.toml", "../../hello.toml", "sub//tick", str(root.paths.jobs_d)]
    others += [str(root.paths.jobs_d / "sub" / "tick")]
    assert {other: root.akjob(command, other).exit_code for other in others} == dict.fromkeys(others, 2)


def test_show_at_prints_the_definition_that_a_run_had(root: Root) -> None:
    """Also after the file has changed; as TOML, or resolved as JSON."""
    old = load(root, "tick")
    root.run("r-old", "tick", -5, state="succeeded", definition_sha256=old, git_commit="c" * 40, git_dirty=True)
    new = load(root, "tick", 'command = "y"\n')
    assert old != new
    out = root.akjob("show", "tick", "--at", "r-o").stdout
    assert 'command = "x"' in out
    assert out.startswith(f"# tick as run r-old had it: {old}, commit {'c' * 40}, from which it differed\n")
    (found,) = root.json("show", "tick", "--at", "r-old")
    assert found["definition"]["command"] == "x"
    assert (found["run"], found["definition_sha256"], found["git_dirty"]) == ("r-old", old, True)


def test_show_at_refuses_runs_of_others_and_unknown_ones(root: Root) -> None:
    """A run without definition, of another job, or none at all."""
    load(root, "tick")
    root.run("r1", "tick", 0, state="missed")
    assert root.akjob("show", "tick", "--at", "r1").exit_code == 1
    assert root.akjob("show", "other", "--at", "r1").exit_code == 2
    assert root.akjob("show", "tick", "--at", "zz").exit_code == 1


# -- history


def test_history_is_the_ledger_s_columns(root: Root) -> None:
    """Every column of the table, by its name, the newest row first; `scope` is the key's alone, and is `node` again."""
    load(root, "tick")
    root.run("r1", "tick", 0, state="succeeded", exit_code=0, started_us=NOW_US, ended_us=NOW_US + SECOND)
    root.run("r2", "tick", 1, state="failed", exit_code=3, git_dirty=False)
    rows = root.json("history")
    with sqlite3.connect(root.paths.db) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(runs)")]
    connection.close()
    assert list(rows[0]) == [column for column in columns if column != "scope"]
    assert [row["id"] for row in rows] == ["r2", "r1"]
    assert rows[1]["started_at"] == NOW
    assert rows[0]["git_dirty"] is False
    assert [row["id"] for row in root.json("history", "-n", "1")] == ["r2"]
    assert [row["id"] for row in root.json("history", "tick", "--state", "succeeded")] == ["r1"]


def test_history_for_people(root: Root) -> None:
    """When, what became of it, how long it took, why, and stretches with their count."""
    load(root, "tick")
    root.run("r1", "tick", -10, state="succeeded", exit_code=0, started_us=NOW_US, ended_us=NOW_US + 90 * SECOND)
    root.run("r2", "tick", -5, state="failed", exit_code=3, attempt=2, started_us=NOW_US, ended_us=NOW_US + SECOND)
    root.run("r3", "tick", -1, state="missed", reason="akjobd was down", count=4, slot_last_us=NOW_US)
    lines = root.akjob("history").stdout.splitlines()
    down = "akjobd was down; 4 slots until 2026-03-28 12:00:00 +00:00"
    assert [" ".join(line.split()) for line in lines] == [
        "SLOT JOB STATE COUNT TOOK WHY RUN",
        f"2026-03-28 11:59:00 +00:00 1 min ago tick missed 4 {down} r3",
        "2026-03-28 11:55:00 +00:00 5 min ago tick failed 1 s exit code 3 (attempt 2) r2",
        "2026-03-28 11:50:00 +00:00 10 min ago tick succeeded 1 min 30 s r1",
    ]
    assert len({line.rindex(" r") for line in lines[1:]}) == 1


def test_history_marks_where_the_definition_changed(root: Root) -> None:
    """At the first run of each version but the oldest shown, for what was before that is not known."""
    load(root, "tick")
    for n, sha in enumerate(["aaaaaaaa1", "aaaaaaaa1", "bbbbbbbb2", "bbbbbbbb2"]):
        root.run(
            f"r{n}", "tick", n, state="succeeded", started_us=NOW_US, ended_us=NOW_US, definition_sha256=sha,
            git_commit="cccccccc9", git_dirty=True,
        )  # fmt: skip
    lines = root.akjob("history", "tick").stdout.splitlines()
    assert ["bbbbbbbb (cccccccc+)" in line for line in lines[1:]] == [False, True, False, False]
    assert "aaaaaaaa" not in "".join(lines)
    assert "bbbbbbbb" in root.akjob("history", "tick", "-n", "2").stdout


def test_history_of_nothing_and_of_nobody(root: Root) -> None:
    """An empty ledger is not an error; a job that never was is."""
    root.job("tick", HOURLY)
    assert root.akjob("history").exit_code == 0
    assert not root.akjob("history", "tick").stdout
    assert root.akjob("history", "nope").exit_code == 2


def test_history_of_a_job_whose_file_is_gone(root: Root) -> None:
    """The ledger remembers it."""
    load(root, "tick")
    root.run("r1", "tick", 0, state="succeeded")
    (root.paths.jobs_d / "tick.toml").unlink()
    assert [row["id"] for row in root.json("history", "tick")] == ["r1"]


# -- logs


@pytest.fixture
def logged(root: Root) -> Root:
    """Two runs, a warning of a job, and a copy."""
    load(root, "tick")
    root.run("run-a", "tick", 0)
    root.run("run-b", "tick", 1)
    root.log(
        {"timestamp": NOW, "level": "info", "event": "daemon.started", "source": "akjobd"},
        output("run-a", 1, "one"),
        output("run-a", 2, "two", stream="stderr", at=later(1)),
        output("run-a", 2, "two", stream="stderr", at=later(1)),
        {**output("run-b", 1, "", at=later(2)), "event": "odd", "source": "job", "level": "warning", "n": 5},
        output("run-b", 2, "other", at=later(3)),
    )
    return root


def test_logs_of_a_run_a_job_and_all(logged: Root) -> None:
    """Each line once, as it is in the log."""
    assert [line["line"] for line in logged.json("logs", "run-a")] == ["one", "two"]
    assert len(logged.json("logs", "tick")) == 4
    assert len(logged.json("logs")) == 5
    assert logged.json("logs", "run-a")[0] == output("run-a", 1, "one")


def test_logs_filters(logged: Root) -> None:
    """By level, pattern, time, and the last few."""
    assert [line["event"] for line in logged.json("logs", "--level", "warning")] == ["odd"]
    assert [line["line"] for line in logged.json("logs", "--grep", "tw[o]")] == ["two"]
    assert len(logged.json("logs", "--since", later(2))) == 2
    assert [line["line"] for line in logged.json("logs", "-n", "1")] == ["other"]


def test_logs_for_people(logged: Root) -> None:
    """Time, job, level, what happened."""
    lines = logged.akjob("logs", "tick").stdout.splitlines()
    assert lines[0] == "2026-03-28 12:00:00.000 tick | one"
    assert lines[2].startswith("2026-03-28 12:00:02.000 tick warning odd")


def test_raw_output_is_byte_for_byte(root: Root) -> None:
    """Bytes that are not text, a line without end; one stream where asked."""
    root.run("run-a", "tick", 0)
    binary = {**output("run-a", 1, ""), "base64": base64.b64encode(b"\xff\x00\r").decode()}
    del binary["line"]
    root.log(binary, output("run-a", 2, "err", stream="stderr"), output("run-a", 3, "end", eol=False))
    assert root.akjob("logs", "run-a", "--raw").stdout_bytes == b"\xff\x00\r\nerr\nend"
    assert root.akjob("logs", "run-a", "--raw", "--stream", "stderr").stdout_bytes == b"err\n"
    assert root.akjob("logs", "--raw").exit_code == 2


def test_logs_takes_the_beginning_of_a_run_s_id(logged: Root) -> None:
    """Where it is of one run alone."""
    assert len(logged.json("logs", "run-b")) == 2
    several = logged.akjob("logs", "run-")
    assert several.exit_code == 1
    assert "run-a, run-b" in several.stderr


def test_logs_of_a_run_that_the_ledger_has_forgotten(root: Root) -> None:
    """The log may be kept longer than the ledger."""
    root.log(output("gone", 1, "still here"))
    assert [line["line"] for line in root.json("logs", "gone")] == ["still here"]


def test_logs_wrong_usage(logged: Root) -> None:
    """Names of nothing, patterns that are none, times that are none."""
    for arguments in (["nope"], ["--grep", "("], ["--since", "yesterday"], ["--level", "loud"]):
        assert logged.akjob("logs", *arguments).exit_code == 2


def test_follow_shows_the_past_then_what_is_added(logged: Root) -> None:
    """-n says with how much of the past it begins; then each new line, in a process that Ctrl-C ends with 130."""
    code = "from akjob.cli import main; main()"
    arguments = ["--root", str(logged.paths.root), "logs", "tick", "-f", "-n", "1", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))},
    )
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    with process:
        assert process.stdout is not None
        assert '"other"' in process.stdout.readline()
        logged.log(output("run-c", 1, "added", at=later(9)))
        assert '"added"' in process.stdout.readline()
        process.send_signal(2)
        assert process.wait() == 130
    watchdog.cancel()
    watchdog.join()


def test_a_terminal_gets_a_short_line_for_a_start_and_an_end(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets all fields."""
    load(root, "tick")
    head = {"timestamp": NOW, "level": "info", "source": "run", "job": "tick", "run": "r1"}
    started = {"slot": NOW, "attempt": 2, "trigger": "retry", "pid": 7, "shim_pid": 6}
    end = {"state": "failed", "exit_code": 3, "duration_s": 1.5, "reason": None}
    root.log(
        {**head, "seq": 1, "event": "run.started", **started},
        output("r1", 2, "hello"),
        {**head, "seq": 3, "event": "run.finished", **end},
        {**head, "seq": 4, "event": "run.finished", "source": "job", "state": "mine"},
    )
    assert "run=r1 slot=2026-03-28T12:00:00.000000Z attempt=2" in root.akjob("logs", "tick").stdout
    monkeypatch.setattr("akjob.cli.logs.on_terminal", lambda: True)
    lines = [line.split(" ", 2)[2] for line in root.akjob("logs", "tick").stdout.splitlines()]
    assert lines == [
        "tick info run r1 started, retry, attempt 2",
        "tick | hello",
        "tick info run r1 failed in 1.5 s: exit code 3",
        "tick info run.finished state=mine",
    ]
    assert "shim_pid" in root.akjob("logs", "tick", "--json").stdout


def test_logs_says_that_the_log_goes_elsewhere(root: Root) -> None:
    """With `[log] to = "stdout"` nothing new can be shown: -f does not wait for it, and what there was is shown."""
    root.paths.etc.mkdir()
    root.paths.config_file.write_text('[log]\nto = "stdout"\n')
    root.log(output("r1", 1, "before"))
    follows = root.akjob("logs", "-f")
    assert follows.exit_code == 1
    assert "the collector's standard output" in follows.stderr
    assert "supervisord.conf" in follows.stderr
    result = root.akjob("logs")
    assert result.exit_code == 0
    assert "before" in result.stdout
    assert "the collector's standard output" in result.stderr


# -- status

STATUS: dict[str, Any] = {
    "root": "/r",
    "programs": {
        "akjobd": {"pid": 1, "since": NOW, "state": "running"},
        "zygote": {"pid": 2, "since": NOW, "state": "running"},
        "akjob-collector": {"pid": 3, "since": NOW, "state": "running"},
    },
    "jobs": {"loaded": 2, "broken": 0},
    "revision": {"git_commit": "c" * 40, "git_dirty": True, "loaded_at": NOW},
    "broken": [],
    "running": [{"job": "tick", "run": "r1", "pid": 7, "shim_pid": 6, "started_at": NOW}],
}
BROKEN = {
    "job": "b",
    "file": "jobs.d/b.toml",
    "line": 3,
    "column": 1,
    "message": "unknown key",
    "hint": "did you mean every?",
    "since": NOW,
    "git_commit": "d" * 40,
    "git_dirty": False,
    "running_last_good": True,
}


def status(**fields: Any) -> StatusIs:
    """Return akjobd's answer."""
    return StatusIs(status=msgspec.convert({**STATUS, **fields}, Status))


def test_status_is_akjobd_s(root: Root) -> None:
    """One object, as akjobd gives it, and exit code 0 where all is well."""
    with root.akjobd(lambda _: status()):
        assert root.json("status") == [STATUS]
        out = root.akjob("status").stdout
    for words in (
        "cccccccccccc with uncommitted changes",
        "2 loaded",
        "akjob-collector  running",
        "tick  r1   7",
        "1 run:",
    ):
        assert words in out


def test_status_shows_messages_that_were_given_up(root: Root) -> None:
    """For a week: somebody was not told. A root without an outbox has no such line."""
    root.paths.var.mkdir(exist_ok=True)
    outbox = Outbox(root.paths.notify_db)
    now_us = time.time_ns() // 1000
    for kind in ("failed", "missed"):
        outbox.post("ops", kind, ["tick"], {}, now_us)
    outbox.failed(outbox.due(now_us)[0], "451", now_us, for_good=True)
    outbox.close()
    with root.akjobd(lambda _: status()):
        assert root.json("status") == [{**STATUS, "messages": {"pending": 1, "held": 0, "dead": 1}}]
        out = root.akjob("status").stdout
    assert "messages  1 pending, 1 given up within a week: `akjob notify list` says why" in out


@pytest.mark.parametrize("state", ["stopped", "silent"])
def test_status_of_a_program_that_does_no_work_exits_with_1(root: Root, state: str) -> None:
    """Whatever is broken must fail a check, not only a file."""
    programs = {**STATUS["programs"], "akjob-collector": {"pid": None, "since": None, "state": state}}
    with root.akjobd(lambda _: status(programs=programs)):
        result = root.akjob("status")
    assert result.exit_code == 1
    assert f"akjob-collector  {state}" in result.stdout


def test_status_of_broken_files_exits_with_1(root: Root) -> None:
    """The place is what editors jump to."""
    with root.akjobd(lambda _: status(broken=[BROKEN], jobs={"loaded": 2, "broken": 1})):
        result = root.akjob("status")
    assert result.exit_code == 1
    assert "jobs.d/b.toml:3:1: unknown key\n  b, refused " in result.stdout
    assert f", from commit {'d' * 12}; the last good version runs" in result.stdout


def test_status_without_akjobd_exits_with_3_and_shows_what_is_known(root: Root) -> None:
    """The same keys; the collector is found by its lock, the runs by the ledger."""
    load(root, "tick")
    root.job("bad", "evry = 1\n")
    root.run("r1", "tick", 0, state="running", started_us=NOW_US, pid=77)
    result = root.akjob("status", "--json")
    assert result.exit_code == 3
    assert "cannot be reached" in result.stderr
    found = msgspec.json.decode(result.stdout)
    assert set(found) == set(STATUS)
    assert set(found["programs"]) == set(STATUS["programs"])
    assert found["jobs"] == {"loaded": 1, "broken": 1}
    assert [(one["job"], one["file"], one["line"]) for one in found["broken"]] == [("bad", "jobs.d/bad.toml", 1)]
    assert set(found["broken"][0]) == set(BROKEN)
    assert found["running"] == [{"job": "tick", "run": "r1", "pid": 77, "shim_pid": None, "started_at": NOW}]


@pytest.mark.parametrize("arguments", [[], ["--json"]])
@pytest.mark.parametrize("newer", [True, False])
def test_status_without_akjobd_and_ledger_shows_what_is_known(root: Root, arguments: list[str], newer: bool) -> None:
    """A ledger of a newer akjob, or what is none, costs what only the ledger knows; the folder is shown."""
    load(root, "tick")
    root.job("bad", "evry = 1\n")
    if newer:
        with closing(sqlite3.connect(root.paths.db)) as connection:
            connection.execute("PRAGMA user_version = 1000")
    else:
        root.paths.db.write_bytes(b"no ledger" * 1000)
    result = root.akjob("status", *arguments)
    assert result.exit_code == 3
    assert str(root.paths.db) in result.stderr
    assert "cannot be reached" in result.stderr
    if arguments:
        found = msgspec.json.decode(result.stdout)
        assert set(found) == set(STATUS)
        assert found["jobs"] == {"loaded": 1, "broken": 1}
    else:
        assert "1 loaded, 1 broken" in result.stdout


def test_status_finds_a_collector_that_runs_without_akjobd(root: Root) -> None:
    """It holds a record lock, and the kernel names the holder."""
    lock = root.paths.run_dir / "collector.lock"
    lock.touch()
    code = (
        "import fcntl, sys\nf = open(sys.argv[1], 'r+')\nfcntl.lockf(f, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\nsys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = root.akjob("status", "--json").stdout
        assert f'"akjob-collector":{{"pid":{holder.pid},"since":' in found
        assert holder.stdin is not None
        holder.stdin.close()


def test_status_of_an_akjobd_that_refuses_us(root: Root) -> None:
    """Its words are passed on."""
    with root.akjobd(lambda _: Refused(message="no", hint="sorry")):
        result = root.akjob("status")
    assert result.exit_code == 1
    assert result.stderr == "akjob: no\n  sorry\n"


def test_show_since_success(root: Root) -> None:
    """What changed, as JSON with all keys and for people without what did not change."""
    sha256 = load(root, "tick")
    commit = root.commit()
    assert "the ledger has no success" in root.akjob("show", "tick", "--since-success").stdout
    done = {"state": "succeeded", "ended_us": NOW_US, "host": "b1", "git_commit": commit, "definition_sha256": sha256}
    root.run("r1", "tick", -5, started_us=NOW_US, **done)
    root.job("tick", HOURLY.replace("1h", "2h"))
    (found,) = root.json("show", "tick", "--since-success")
    assert list(found) == [
        "job", "run", "at", "definition", "commits", "uncommitted", "interpreter", "host", "files", "notes",
    ]  # fmt: skip
    assert (found["run"], found["uncommitted"]) == ("r1", ["jobs.d/tick.toml"])
    out = root.akjob("show", "tick", "--since-success").stdout.splitlines()
    assert out[0] == "tick: last success 2026-03-28 12:00:00 +00:00 (now), run r1"
    assert out[1].startswith("  host           b1, now ")
    assert '    -every = "1h"' in out
    assert '    +every = "2h"' in out
