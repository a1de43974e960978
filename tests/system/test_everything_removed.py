"""Every file and folder below ``var/`` is removed in turn, under load: it is noticed, made again, and nothing stops."""

import itertools
import shutil
import socket
import time
from pathlib import Path

import pytest

from akjob.instants import from_text
from akjob.ledger import open_reader
from akjob.log.reading.read import lines
from akjob.web.program import now_us
from akjob.web.store import WebStore
from tests.support import until
from tests.system.conftest import Site

SOON_S = 45.0
TICK = 'command = "echo tick"\n[schedule]\nevery = "1s"\n[run]\nmissed = "all"\noverlap = "allow"\n'


@pytest.fixture
def busy(site: Site) -> Site:
    """Return a root with jobs of every second, the page and a channel, its programs at work."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    site.paths.config_file.write_text(
        f'[web]\nlisten = "127.0.0.1:{port}"\n[channels.ops]\ncommand = ["true"]\n[notify]\nchannels = ["ops"]\n'
    )
    for number in range(3):
        site.job(f"tick{number}", TICK)
    site.up()
    until(lambda: site.states("tick0").count("succeeded") > 1)
    until(site.paths.notify_db.exists)
    return site


def whole(site: Site) -> bool:
    """Return whether `akjob status` has nothing to complain of."""
    return site.akjob("status", check=False).returncode == 0


def held(site: Site) -> list[Path]:
    """Return what the programs hold open, by name."""
    run, log, var = site.paths.run_dir, site.paths.log_dir, site.paths.var
    locks = [run / f"{name}.lock" for name in ("akjobd", "collector", "web", "notify", "node")]
    sockets = [site.paths.control_socket, site.paths.collector_socket, site.paths.shims_socket]
    databases = [var / f"{name}{end}" for name in ("akjob.db", "web.db", "notify.db") for end in ("", "-wal", "-shm")]
    said = [log / f"{name}.out" for name in ("akjobd", "akjob-collector", "akjob-web", "akjob-notify", "akjob-node")]
    logs = [site.paths.log, log / "index", log / "supervisord.log", log / "runs.err", *said]
    supervisord = [run / "supervisord.pid", run / "supervisor.sock"]
    return [*logs, *locks, *sockets, *databases, run / "akjob-web.json", site.paths.runs, *supervisord]


def remove(path: Path) -> None:
    """Remove a file or a folder."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def test_each_file_in_turn(busy: Site) -> None:
    """It is there again within the time; every slot has its row, once; logins and messages are what they were."""
    with WebStore.open(busy.paths.web_db) as store:
        token = store.create_token("ci", "read", None, None, now_us()).token
    akjobd = busy.pid("akjobd")
    took: dict[str, float] = {}
    for path in held(busy):
        until(path.exists, SOON_S)
        before = path.stat().st_ino, path.stat().st_ctime_ns
        began = time.monotonic()
        remove(path)
        until(lambda path=path, before=before: path.exists() and identity(path) != before, SOON_S)  # type: ignore[misc]
        took[path.name] = time.monotonic() - began
        if path.name == "supervisor.sock":
            until(lambda: busy.pid("akjobd") not in {0, akjobd}, SOON_S)
        until(lambda: whole(busy), SOON_S)
    assert took.pop("akjob.jsonl") < 5.0, took
    with WebStore.open(busy.paths.web_db) as store:
        assert store.token(token, now_us()) is not None
    said = {Path(str(line["path"])).name for line in lines(busy.paths) if line.get("event") == "var.restored"}
    assert said >= {"akjob.db", "web.db", "notify.db", "collector.lock", "akjobd.lock", "supervisor.sock", "index"}, (
        said
    )
    rows = open_reader(busy.paths.ledger_url).history("tick1", 10_000)
    slots = sorted(from_text(row["slot"]) for row in rows if row["attempt"] == 1)
    assert [later - sooner for sooner, later in itertools.pairwise(slots)] == [1_000_000] * (len(slots) - 1)
    assert {row["state"] for row in rows} <= {"succeeded", "running", "queued", "lost"}
    assert sum(row["state"] == "lost" for row in rows) <= 1  # whose folder went with var/runs


def identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from the one before it."""
    found = path.stat()
    return found.st_ino, found.st_ctime_ns


@pytest.mark.parametrize("folder", ["run", "log", "."])
def test_a_whole_folder(busy: Site, folder: str) -> None:
    """All that was in it is made again; `down` works in the moment after, too."""
    rows = len(open_reader(busy.paths.ledger_url).history("tick0", 10_000))
    shutil.rmtree(busy.paths.var / folder, ignore_errors=True)
    until(lambda: busy.paths.supervisor_socket.exists() and whole(busy), SOON_S)
    until(lambda: len(open_reader(busy.paths.ledger_url).history("tick0", 10_000)) > rows + 1, SOON_S)
    assert len(busy.supervisorctl("status").splitlines()) == 5
    if folder == ".":
        busy.job("bad", 'command = "false"\n')
        until(lambda: "bad" in busy.akjob("list").stdout)
        busy.akjob("run", "bad", check=False)
        until(
            lambda: any("bad" in one["jobs"] for one in busy.json("notify", "list") if one["state"] == "sent"), SOON_S
        )
    shutil.rmtree(busy.paths.var / folder, ignore_errors=True)
    assert "akjob is down" in busy.akjob("down", "--kill").stdout
