"""The durable last good: whatever arrives in ``jobs.d/``, the job goes on as it was, also after restarts."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from akjob.instants import from_text
from tests.support import until
from tests.system.deploy import Deploy

GOOD = 'command = "echo good-%s"\n[schedule]\nevery = "1s"\n'
BROKEN = 'command = "echo broken"\n[schedule]\nevry = "1s"\n'


@pytest.fixture
def deploy(root: Path) -> Iterator[Deploy]:
    """Yield a repository with the job ``tick``, which runs every second, and a job beside it; akjobd runs."""
    place = Deploy(root)
    place.write("jobs.d/tick.toml", GOOD % "one")
    place.write("jobs.d/beside.toml", 'command = "true"\n')
    place.repository()
    place.start()
    yield place
    place.stop()


def ticks(deploy: Deploy, since: str, word: str) -> bool:
    """Return True if a slot after an instant succeeded, and printed the word."""
    rows = deploy.sql("SELECT id FROM runs WHERE job = 'tick' AND state = 'succeeded' AND slot > ?", since)
    return any(deploy.events("run.output", run=row["id"], line=f"good-{word}") for row in rows)


def goes_on(deploy: Deploy) -> None:
    """Wait until a slot that is not known yet has run, by the first version."""
    last = str(deploy.sql("SELECT max(slot) AS slot FROM runs WHERE job = 'tick'")[0]["slot"] or "")
    until(lambda: ticks(deploy, last, "one"))


def refused(deploy: Deploy) -> dict[str, object]:
    """Return what ``status`` says of the one broken job."""
    (broken,) = until(lambda: deploy.status()["broken"])
    return dict(broken)


def test_a_broken_commit_never_stops_the_job(deploy: Deploy) -> None:
    """Pulled, restarted in between, once by kill -9: the version before runs on; repaired, the new one runs."""
    until(lambda: ticks(deploy, "", "one"))
    broken_commit = deploy.pull(tick=BROKEN)
    until(lambda: deploy.events("job.broken", job="tick"))
    first = until(lambda: one if (one := refused(deploy))["git_commit"] else None)
    assert (first["git_commit"], first["git_dirty"]) == (broken_commit, False)
    of_it = "SELECT 1 FROM runs WHERE state = 'succeeded' AND git_commit = ?"
    until(lambda: deploy.sql(of_it, broken_commit))
    deploy.pull(beside='command = "true"  # of no matter\n')
    for number in (signal.SIGTERM, signal.SIGKILL):
        goes_on(deploy)
        deploy.restart(number)
    goes_on(deploy)

    assert refused(deploy) == first
    (event,) = deploy.events("job.broken")
    assert (event["file"], event["line"], event["column"]) == ("jobs.d/tick.toml", 3, 1)
    assert event["running_last_good"] is True
    assert event["git_commit"] == broken_commit
    assert event["hint"]
    assert first["since"] <= event["timestamp"]
    assert deploy.status()["jobs"] == {"loaded": 2, "broken": 1}
    for command in (["status"], ["list"], ["show", "tick"]):
        assert f"from commit {broken_commit[:12]}" in deploy.akjob(*command).stdout
    assert len(deploy.sql("SELECT DISTINCT definition_sha256 FROM runs WHERE pid IS NOT NULL")) == 1

    deploy.pull(tick=GOOD % "two")
    until(lambda: deploy.events("job.repaired", job="tick"))
    until(lambda: ticks(deploy, "", "two"))
    assert deploy.status()["broken"] == []
    slots = [row["slot"] for row in deploy.sql("SELECT slot FROM runs WHERE job = 'tick' ORDER BY slot")]
    assert len(set(slots)) == len(slots)


def committed(deploy: Deploy) -> set[tuple[str, str]]:
    """Return the commits that runs say they are from, without a difference, each with the definition that ran."""
    found = "SELECT DISTINCT git_commit, definition_sha256 FROM runs WHERE job = 'tick' AND git_dirty = 0"
    return {(row["git_commit"], row["definition_sha256"]) for row in deploy.sql(found)}


def test_no_run_says_that_it_is_from_the_commit_that_broke_its_job(deploy: Deploy) -> None:
    """The version before, which runs on, differs from that commit, whether it ever was committed or not."""
    until(lambda: ticks(deploy, "", "one") and committed(deploy))
    (first,) = committed(deploy)
    broken = deploy.pull(tick=BROKEN)
    differs = "SELECT 1 FROM runs WHERE state = 'succeeded' AND git_commit = ? AND git_dirty = 1"
    until(lambda: deploy.sql(differs, broken))
    deploy.restart()
    goes_on(deploy)
    assert committed(deploy) == {first}

    deploy.write("jobs.d/tick.toml", GOOD % "two")
    until(lambda: ticks(deploy, "", "two"))
    deploy.write("jobs.d/tick.toml", BROKEN)
    again = deploy.commit("broken again")
    until(lambda: deploy.sql(differs, again))
    assert committed(deploy) == {first}

    deploy.write("jobs.d/tick.toml", GOOD % "three")
    fixed = deploy.commit("fixed")
    until(lambda: len(committed(deploy)) > 1)
    assert {commit for commit, _ in committed(deploy)} == {first[0], fixed}


def test_every_second_has_its_row(deploy: Deploy) -> None:
    """No slot is lost to a broken file and a kill: from the first row to the last each second has exactly one."""
    until(lambda: ticks(deploy, "", "one"))
    deploy.write("jobs.d/tick.toml", BROKEN)
    until(lambda: deploy.events("job.broken", job="tick"))
    deploy.restart()
    deploy.write("jobs.d/tick.toml", GOOD % "two")
    until(lambda: ticks(deploy, "", "two"))
    rows = deploy.sql("SELECT slot, slot_last, count FROM runs WHERE job = 'tick' ORDER BY slot")
    seconds = [second for row in rows for second in (from_text(row["slot"]), from_text(row["slot_last"]))]
    covered = sum(row["count"] for row in rows)
    assert covered == (seconds[-1] - seconds[0]) // 1_000_000 + 1


def test_what_is_shown_of_a_broken_job(deploy: Deploy) -> None:
    """``status``, ``list`` and ``show`` say what runs and what was refused; status exits with 1."""
    deploy.write("jobs.d/tick.toml", BROKEN)
    until(lambda: deploy.events("job.broken", job="tick"))
    status = deploy.akjob("status")
    assert status.returncode == 1
    assert "2 loaded, 1 broken" in status.stdout
    assert "jobs.d/tick.toml:3:1: unknown key" in status.stdout
    assert "broken, last good runs" in deploy.akjob("list").stdout
    (job,) = [row for row in deploy.json("list") if row["job"] == "tick"]
    assert job["broken"] is True
    assert job["next"] is not None
    shown = deploy.akjob("show", "tick").stdout
    assert "refused     jobs.d/tick.toml:3:1: unknown key" in shown
    since = from_text(str(refused(deploy)["since"])) // 1_000_000
    assert f"since {datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S}" in shown
    assert "in force    the last good version" in shown
    assert "echo good-one" in shown
    assert "echo broken" not in shown


def test_a_broken_file_is_told_once_per_content(deploy: Deploy) -> None:
    """The same wrong content, written again or seen after a restart, is not news; another one is."""
    deploy.write("jobs.d/tick.toml", BROKEN)
    until(lambda: len(deploy.events("job.broken", job="tick")) == 1)
    since = refused(deploy)["since"]
    deploy.write("jobs.d/tick.toml", BROKEN)
    deploy.fence()
    deploy.restart()
    deploy.fence()
    assert len(deploy.events("job.broken")) == 1
    deploy.write("jobs.d/tick.toml", BROKEN + "# more\n")
    until(lambda: len(deploy.events("job.broken")) == 2)
    assert refused(deploy)["since"] == since  # nothing good came in between


def test_a_job_that_never_was_good(deploy: Deploy) -> None:
    """It is broken, nothing of it runs, and the others go on; after a restart it is still told once only."""
    deploy.write("jobs.d/never.toml", BROKEN)
    (event,) = until(lambda: deploy.events("job.broken", job="never"))
    assert event["running_last_good"] is False
    first = until(lambda: one if (one := refused(deploy))["git_commit"] else None)
    assert first["git_dirty"] is True
    deploy.restart()
    deploy.fence()
    assert deploy.status()["jobs"] == {"loaded": 3, "broken": 1}
    until(
        lambda: refused(deploy) == first
    )  # git is asked again where akjobd ended before it had written the answer down
    assert len(deploy.events("job.broken")) == 1
    commit = deploy.commit("the mistake")
    until(lambda: (refused(deploy)["git_commit"], refused(deploy)["git_dirty"]) == (commit, False))
    assert deploy.sql("SELECT 1 FROM runs WHERE job = 'never'") == []


def test_the_commit_that_comes_after_its_files(root: Path) -> None:
    """A pull writes the files and then names the commit: akjobd looks again by itself, with nothing else to do."""
    place = Deploy(root)
    place.write("jobs.d/beside.toml", 'command = "true"\n')
    place.repository()
    place.start()
    noted = "SELECT 1 FROM jobs WHERE job = 'beside' AND refused_commit = ? AND refused_dirty = ?"
    try:
        before = place.git("rev-parse", "HEAD")
        place.write("jobs.d/beside.toml", BROKEN)
        until(lambda: place.sql(noted, before, 1))
        commit = place.commit("the files were there before")
        until(lambda: place.sql(noted, commit, 0), deadline=15)
    finally:
        place.stop()


def test_a_file_broken_while_akjobd_was_away(deploy: Deploy) -> None:
    """The stored last good definition runs from the start; a deleted file's job does not come back."""
    until(lambda: ticks(deploy, "", "one"))
    deploy.hold("akjobd")
    deploy.write("jobs.d/tick.toml", BROKEN)
    (deploy.jobs_d / "beside.toml").unlink()
    deploy.release()
    until(deploy.loaded)
    until(lambda: deploy.events("job.broken", job="tick"))
    goes_on(deploy)
    assert deploy.status()["jobs"] == {"loaded": 1, "broken": 1}
    until(lambda: deploy.events("job.removed", job="beside"))


def test_a_half_written_file(deploy: Deploy) -> None:
    """A file that is being written in place is not refused while it is young, and taken when it is whole."""
    text = GOOD % "two"
    with open(deploy.jobs_d / "tick.toml", "w") as file:
        for char in text:
            file.write(char)
            file.flush()
    until(lambda: ticks(deploy, "", "two"))
    assert deploy.events("job.broken") == []


def test_broken_defaults(deploy: Deploy) -> None:
    """A wrong ``_defaults.toml`` refuses what is below it, in its own name; the last good versions run on."""
    deploy.write("jobs.d/_defaults.toml", '[run]\ntimeout = "5 minutes"\n')
    until(lambda: len(deploy.events("job.broken")) == 2)
    assert {event["file"] for event in deploy.events("job.broken")} == {"jobs.d/_defaults.toml"}
    goes_on(deploy)
    deploy.restart()
    goes_on(deploy)
    (deploy.jobs_d / "_defaults.toml").unlink()
    until(lambda: len(deploy.events("job.repaired")) == 2)
    assert deploy.status()["broken"] == []
