"""Broken files and the system, as pages: who, since when, what it costs, what waits for whom."""

import subprocess
from pathlib import Path

import pytest

from akjob.config import Paths
from akjob.instants import DAY, MINUTE
from akjob.ledger import Transition, Writes
from akjob.web.pages.others import _days_left, restarts_of
from tests.unit.cli.root import NOW_US, Root
from tests.unit.web.serving import Served

GIT = ("git", "-c", "user.name=Grace", "-c", "user.email=grace@example.org")


def commit(root: Root, message: str) -> None:
    """Commit all job files."""
    subprocess.run([*GIT, "add", "jobs.d"], cwd=root.paths.root, check=True)
    subprocess.run([*GIT, "commit", "-q", "-m", message], cwd=root.paths.root, check=True)


def test_nothing_is_broken(site: Served, root: Root) -> None:
    """All that there is loads; when that was seen, and at which commit."""
    spec = root.job("tick", 'command = ["true"]\n')
    assert spec is not None
    root.loaded(spec)
    subprocess.run(["git", "init", "-q"], cwd=root.paths.root, check=True)
    commit(root, "Begin")
    text = site.browser().get("/broken").text
    assert "All 1 job load. Checked" in text
    assert ">now</time> at <code>" in text


def test_a_broken_file_says_who_and_what_it_costs(site: Served, root: Root) -> None:
    """The commit's author and subject, the last good version, and how often that ran since."""
    subprocess.run(["git", "init", "-q"], cwd=root.paths.root, check=True)
    spec = root.job("tick", 'command = ["true"]\n')
    assert spec is not None
    root.job("tick", 'command = ["true"]\nevry = 1\n')
    commit(root, "Run it <b>more</b> often")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root.paths.root, check=True, capture_output=True, text=True)
    root.loaded(
        spec, refused="x", refused_us=NOW_US - 30 * MINUTE, refused_commit=head.stdout.strip(), refused_dirty=False
    )
    for number, minute in enumerate((-40, -20, -10)):
        root.run(f"r{number}", "tick", minute, state="succeeded")
    text = site.browser().get("/broken").text
    assert "by Grace: Run it &lt;b&gt;more&lt;/b&gt; often" in text
    assert f"(definition <code>{spec.sha256[:8]}</code>) runs on: 2 runs since." in text


def test_what_waits_says_for_whom(site: Served, root: Root) -> None:
    """The run that has the lock, and since when; akjobd's starts are counted."""
    for name in ("tick", "keeper"):
        spec = root.job(name, 'command = ["true"]\n[schedule]\nevery = "5m"\n[run]\nlock = "db"\n')
        assert spec is not None
        root.loaded(spec)
    root.run("k1", "keeper", -6, state="running", started_us=NOW_US - 6 * MINUTE)
    root.run("w1", "tick", -5)
    root.ledger(
        Writes(transitions=[Transition(at_us=NOW_US - n * DAY, kind="daemon", to_state="started") for n in (9, 2)])
    )
    client = site.browser()
    waiting = client.get("/system").text.partition('aria-label="Waiting"')[2].partition("</table>")[0]
    assert 'href="/runs/w1"' in waiting
    assert "it waits for the lock db, which keeper has (run k1)" in waiting
    assert "2 d ago, 1 time within the week" in client.get("/system").text


def test_what_waits_for_a_hidden_job_does_not_name_it(site: Served, root: Root) -> None:
    """Neither the job nor its run."""
    for name in ("tick", "keeper"):
        spec = root.job(name, 'command = ["true"]\n[schedule]\nevery = "5m"\n[run]\nlock = "db"\n')
        assert spec is not None
        root.loaded(spec)
    root.run("k1", "keeper", -6, state="running", started_us=NOW_US - 6 * MINUTE)
    root.run("w1", "tick", -5)
    text = site.token("read", jobs="tick").get("/system", headers={"Accept": "text/html"}).text
    assert 'href="/runs/w1"' in text
    assert "keeper" not in text
    assert "k1" not in text


@pytest.mark.parametrize(
    ("kib", "free", "said"),
    [(0, 1 << 30, ""), (1024, 1 << 30, ", 1,024 days at 1.0 MiB of log a day"), (1, 1 << 40, "")],
)
def test_how_long_the_disk_lasts(tmp_path: Path, kib: int, free: int, said: str) -> None:
    """By what the log grew within the day; nothing is said of what is far away."""
    (tmp_path / "akjob.jsonl").write_bytes(b"x" * 1024 * kib)
    now_us = (tmp_path / "akjob.jsonl").stat().st_mtime_ns // 1000
    assert _days_left(tmp_path, free, now_us) == said
    assert _days_left(tmp_path, free, now_us + 2 * DAY) == ""


def test_why_shows_a_run_as_what_became_of_it(site: Served, root: Root) -> None:
    """A run that failed is drawn as failed, on the clock of its job."""
    spec = root.job("tick", 'command = ["true"]\n[schedule]\ntimezone = "Europe/Berlin"\nevery = "5m"\n')
    assert spec is not None
    root.loaded(spec)
    root.run(
        "r1", "tick", -5, state="failed", exit_code=1, started_us=NOW_US - 5 * MINUTE, ended_us=NOW_US - 4 * MINUTE
    )
    text = site.browser().get("/why", params={"job": "tick", "at": "2026-03-28T11:55:00Z"}).text
    panel = text.partition('class="panel"')[2]
    assert panel.partition("</p>")[0].count("s-failed") == 1
    assert "ran, and failed" in panel.partition("</p>")[0]
    assert "2026-03-28 12:55:00 CET" in panel


@pytest.mark.parametrize(
    ("state", "late", "colour", "glyph"),
    [
        ("succeeded", False, "%23808890", "%3C"),
        ("succeeded", True, "%23b26a00", "!%3C"),
        ("failed", True, "%23c0232c", "%C3"),
    ],
)
def test_the_icon_says_how_bad_it_is(  # noqa: PLR0913, PLR0917 - a row of the table each
    site: Served, root: Root, monkeypatch: pytest.MonkeyPatch, state: str, late: bool, colour: str, glyph: str
) -> None:
    """Plain, amber for what is late, red for what failed: each with a glyph of its own."""
    for place in ("akjob.query.sight", "akjob.web.pages.rendering", "akjob.query.live"):
        monkeypatch.setattr(f"{place}.lock_holder", lambda _file: 1)
    spec = root.job("tick", 'command = ["true"]\n[schedule]\nevery = "5m"\n')
    assert spec is not None
    root.loaded(spec, last_state=state, last_run="r0", last_ended_us=NOW_US - 9 * MINUTE)
    if late:
        root.run("r1", "tick", -4)
    icon = site.browser().get("/runs").text.partition('rel="icon" href="')[2].partition('"')[0]
    assert f"fill='{colour}'" in icon
    assert f"fill='white'%3E{glyph}" in icon


def test_restarts_are_those_of_this_supervisord(tmp_path: Path) -> None:
    """Each start but the first one; what another supervisord did does not count; without its log nothing is said."""
    paths = Paths(tmp_path)
    names = ("akjobd", "akjob-web", "zygote")
    assert restarts_of(paths, names) == {}
    paths.log_dir.mkdir(parents=True)
    spawned = "2026-03-28 11:59:00,001 INFO spawned: '{}' with pid 17\n"
    began = "2026-03-28 11:58:59,000 INFO supervisord started with pid 16\n"
    log = paths.log_dir / "supervisord.log"
    log.write_text(spawned.format("akjobd") * 9 + began + spawned.format("akjobd") + spawned.format("akjob-web") * 3)
    assert restarts_of(paths, names) == {"akjobd": 0, "akjob-web": 2}
