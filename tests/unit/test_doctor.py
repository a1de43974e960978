"""``akjob doctor``: each thing that usually goes wrong on a machine is found, with what to do."""

import os
import resource
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from akjob.akjobd.loop import SystemClock
from akjob.config import Config, Paths, load_config
from akjob.config.cluster import ClusterConfig
from akjob.config.web import Address, WebConfig
from akjob.control.status import JobCounts, LoadedRevision, ProgramState, Status
from akjob.doctor import CHECKS, Diagnosis, Subject, checks, cluster, examine, machine, programs
from akjob.doctor import root as of_root
from akjob.instants import SECOND
from akjob.ledger import open_store
from akjob.ledger.nodes import Me, Nodes
from akjob.ledger.postgres import connect
from tests import postgres
from tests.unit.cli.root import NOW_US, Root

NO_PAGE = Config(web=WebConfig(enabled=False))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a folder whose path is short enough for supervisord's socket, however deep pytest's own is."""
    with tempfile.TemporaryDirectory(prefix="akjob-") as folder:
        yield Path(folder).resolve()


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Make a root that has what ``akjob init`` writes, as far as the checks look at it, in a repository."""
    made = Root(tmp_path)
    made.paths.var.chmod(0o700)
    made.paths.etc.mkdir()
    (made.paths.etc / "supervisord.conf").touch()
    made.job("tick", 'command = "true"\n')
    made.commit()
    return made


def subject(root: Root, config: Config = NO_PAGE, *, status: Status | None = None, proc: str = "/proc") -> Subject:
    """Return what the checks are given, for a root of our own."""
    return Subject(
        paths=root.paths,
        config=config,
        problems=(),
        status=status,
        uid=os.geteuid(),
        now_us=NOW_US,
        environment=os.environ,
        proc=proc,
    )


def running(**values: object) -> Status:
    """Return the status of an akjobd that answers."""
    facts: dict[str, object] = {
        "root": "/srv/jobs",
        "programs": {"akjobd": ProgramState(pid=1, state="running")},
        "jobs": JobCounts(loaded=1, broken=0),
        "revision": LoadedRevision(),
        "broken": (),
        "running": (),
        **values,
    }
    return Status(**facts)  # type: ignore[arg-type]


def states(found: Iterator[Diagnosis]) -> list[tuple[str, str]]:
    """Return check and state of each finding."""
    return [(one.check, one.state) for one in found]


def test_a_good_root_has_nothing_wrong(root: Root) -> None:
    """No check has anything to complain of but what belongs to this machine."""
    wrong = [one for one in examine(subject(root)) if one.state == "wrong"]
    assert wrong == []


def test_each_complaint_says_what_to_do(root: Root) -> None:
    """Whatever is a warning or wrong has a hint; what is fine has none."""
    (root.paths.etc / "supervisord.conf").unlink()
    root.paths.jobs_d.chmod(0o777)
    found = list(examine(subject(root)))
    assert {one.check for one in found if one.state == "wrong"} == {"files", "rights", "jobs"}
    assert [one for one in found if (one.state == "fine") == bool(one.hint)] == []


def test_a_path_that_is_too_long(root: Root) -> None:
    """The kernel takes 107 bytes for a socket."""
    deep = Root.__new__(Root)
    deep.paths = type(root.paths)(Path("/", "x" * 90))
    assert states(of_root.path(subject(deep))) == [("path", "wrong")]
    assert states(of_root.path(subject(root))) == [("path", "fine")]


def test_settings_that_are_wrong(root: Root) -> None:
    """The problem's own words."""
    root.paths.config_file.write_text("max_runing = 3\n")
    config, problems = load_config(root.paths.config_file)
    (found,) = of_root.settings(replace(subject(root, config), problems=problems))
    assert (found.state, "max_runing" in found.message, "max_running" in found.hint) == ("wrong", True, True)


def test_what_another_user_left_in_var(root: Root) -> None:
    """A command that was once called as root leaves files that akjobd cannot write."""
    (root.paths.var / "akjob.db").touch()
    found = list(of_root.rights(replace(subject(root), uid=os.geteuid() + 1)))
    assert "var/akjob.db" in found[0].message
    assert found[0].hint.startswith("chown -R ")


def test_a_secret_that_is_missing_or_open(root: Root) -> None:
    """Of a channel: its file is looked for, and who may read it."""
    root.paths.config_file.write_text('[channels.chat]\napprise = { url = { file = "etc/chat" } }\n')
    config, problems = load_config(root.paths.config_file)
    assert problems == []
    given = subject(root, config)
    assert [one.message for one in of_root.rights(given)] == [
        f"the secret {root.paths.etc}/chat: No such file or directory"
    ]
    (root.paths.etc / "chat").write_text("x")
    (root.paths.etc / "chat").chmod(0o644)
    assert states(of_root.rights(given)) == [("rights", "warning")]
    (root.paths.etc / "chat").chmod(0o600)
    assert states(of_root.rights(given)) == [("rights", "fine")]


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"f_bavail": 50}, "wrong"),
        ({"f_favail": 1}, "wrong"),
        ({"f_flag": os.ST_RDONLY}, "wrong"),
        ({"f_bavail": 500}, "warning"),
        ({}, "fine"),
    ],
)
def test_the_disk(root: Root, monkeypatch: pytest.MonkeyPatch, values: dict[str, int], state: str) -> None:
    """Full, out of inodes, read-only, too small for the log, or fine; blocks of a MiB."""
    room = {"f_bavail": 5000, "f_frsize": 2**20, "f_flag": 0, "f_files": 1000, "f_favail": 900, **values}
    monkeypatch.setattr("os.statvfs", lambda _place: SimpleNamespace(**room))
    assert states(of_root.disk(subject(root))) == [("disk", state)]


def test_a_network_file_system(root: Root, tmp_path: Path) -> None:
    """The mount point that is nearest above ``var/`` counts."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    head = "22 1 0:1 / "
    (proc / "self" / "mountinfo").write_text(
        f"{head}/ rw - ext4 /dev/vda rw\n{head}{tmp_path} rw - nfs4 server:/x rw\n"
    )
    found = next(of_root.disk(subject(root, proc=str(proc))))
    assert (found.state, "nfs4" in found.message) == ("wrong", True)


def test_few_open_files(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """A low limit of descriptors is pointed out."""
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (256, 256))
    assert states(machine.limits(subject(root))) == [("limits", "warning")]


def test_control_groups(root: Root, tmp_path: Path) -> None:
    """What akjobd has counts; while it is down, what the machine has."""
    assert states(machine.control_groups(subject(root, status=running(control_groups=None)))) == [
        ("cgroups", "warning")
    ]
    (found,) = machine.control_groups(subject(root, status=running(control_groups=("memory", "pids"))))
    assert (found.state, "memory and pids" in found.message) == ("fine", True)
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mountinfo").write_text("22 1 0:1 / / rw - ext4 /dev/vda rw\n")
    assert states(machine.control_groups(subject(root, proc=str(tmp_path / "proc")))) == [("cgroups", "warning")]


def test_inotify_gives_no_more(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sysctl to raise is named."""

    def refuse(_folders: list[Path]) -> None:
        raise OSError(24, "inotify cannot be used")

    monkeypatch.setattr(machine, "Inotify", refuse)
    (found,) = machine.inotify(subject(root))
    assert (found.state, "fs.inotify.max_user_instances" in found.hint) == ("wrong", True)


def test_a_clock_behind_the_ledger(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of the future is in the ledger; and a clock that nobody keeps right is a warning."""
    monkeypatch.setattr(machine, "is_synchronized", lambda: False)
    assert states(machine.clock(subject(root))) == [("clock", "warning")]
    root.run("r1", "tick", 30, state="running", started_us=NOW_US + 1_800_000_000)
    assert states(machine.clock(subject(root))) == [("clock", "wrong")]


def test_programs(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """All are found, one does not run, none is found."""
    assert states(programs.programs(subject(root, status=running()))) == [("programs", "fine")]
    stopped = {"akjobd": ProgramState(pid=1, state="running"), "akjob-collector": ProgramState()}
    (found,) = programs.programs(subject(root, status=running(programs=stopped)))
    assert (found.state, found.message) == ("wrong", "akjob-collector is stopped")
    monkeypatch.setattr("shutil.which", lambda _name, **_more: None)
    assert states(programs.programs(subject(root))) == [("programs", "wrong")]


def test_extras_that_are_asked_for(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed: the page is a warning, a chat that cannot be told is wrong."""
    root.paths.config_file.write_text('[channels.chat]\napprise = { url = "ntfy://x" }\n')
    config, _ = load_config(root.paths.config_file)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert [(one.state, one.hint) for one in programs.extras(subject(root, config))] == [
        ("warning", "pip install 'akjob[web]', or enabled = false in [web]."),
        ("wrong", "pip install 'akjob[notify]'"),
    ]


def test_a_port_that_is_taken(root: Root) -> None:
    """Another program listens where the page should be."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = Config(web=WebConfig(listen=(Address(host="127.0.0.1", port=taken.getsockname()[1]),)))
        (found,) = programs.port(subject(root, config))
        assert (found.state, "another program listens there" in found.message) == ("wrong", True)


def test_git(root: Root, tmp_path: Path) -> None:
    """The commit; no repository; no git."""
    assert states(programs.git(subject(root))) == [("git", "fine")]
    assert states(programs.git(replace(subject(root), environment={"PATH": "/nowhere"}))) == [("git", "warning")]
    bare = Root.__new__(Root)
    (tmp_path / "other" / "jobs.d").mkdir(parents=True)
    bare.paths = type(root.paths)(tmp_path / "other")
    os.rename(tmp_path / ".git", tmp_path / "git")
    assert states(programs.git(subject(bare))) == [("git", "warning")]


def test_jobs_and_their_pythons(root: Root) -> None:
    """A broken file is wrong; each interpreter is asked for its version, and one that is gone is wrong."""
    root.job("other", f'callable = "x:y"\n[run]\ninterpreter = "{sys.executable}"\n')
    (_, found) = programs.jobs(subject(root))
    assert f"{sys.version_info.major}.{sys.version_info.minor} is {sys.executable}" in found.message
    root.job("gone", 'callable = "x:y"\n[run]\ninterpreter = "/nowhere/python"\n')
    root.job("bad", "command = 3\n")
    assert states(programs.jobs(subject(root)))[:2] == [("jobs", "wrong"), ("python", "wrong")]


def test_a_check_that_breaks_down_stops_no_other(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a finding; the checks behind it are made."""

    def breaks(_subject: Subject) -> Iterator[Diagnosis]:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(checks, "CHECKS", (breaks, machine.kernel))
    assert next(examine(subject(root))).message == "cannot be checked: RuntimeError: out of luck"
    assert len(list(examine(subject(root)))) == 2
    assert len(CHECKS) == 17


def test_the_command(root: Root) -> None:
    """Exit code 1 if something is wrong, else 0; an object a line with ``--json``."""
    root.paths.config_file.write_text("[web]\nenabled = false\n")
    assert root.akjob("doctor").exit_code == 0
    assert list(root.json("doctor")[0]) == ["check", "state", "message", "hint"]
    (root.paths.jobs_d / "bad.toml").write_text("command = 3\n")
    done = root.akjob("doctor")
    assert done.exit_code == 1
    assert done.stdout.splitlines()[-1].startswith("1 thing is wrong")


@postgres.needs_postgres
def test_a_node_of_a_cluster(root: Root) -> None:
    """The database, akjob-node, tags that no node has, and nodes whose logs cannot be had."""
    with postgres.running() as server:
        url = server.database()
        root.paths.config_file.write_text(f'[cluster]\nurl = "{url}"\nnode = "a"\n')
        config = Config(web=WebConfig(enabled=False), cluster=ClusterConfig(url=url, node="a"))
        (before,) = cluster.cluster(subject(root, config))
        assert (before.state, "0 nodes up" in before.message) == ("fine", True)
        open_store(url, "a").close()
        with closing(Nodes(url)) as table:
            table.renew(
                Me(node="b", tags=("db",), slots=1, lease_us=20 * SECOND, version="1", url=None), SystemClock().now_us
            )
        root.job("train", 'command = "true"\n[run]\nneeds = ["gpu"]\n')
        root.job("pinned", 'command = "true"\n[run]\nwhere = "node:x"\n')
        found = [(one.state, one.message) for one in cluster.cluster(subject(root, config, status=running()))]
        assert found == [
            ("wrong", "akjob-node does not run: this node claims slots and takes no runs"),
            ("warning", "pinned runs nowhere: the cluster has no node x"),
            ("warning", "train runs nowhere: no node has the tag gpu"),
            (
                "warning",
                "the logs of node b: it publishes no address: set listen or public_url in [web] of its etc/akjob.toml",
            ),
        ]
        with connect(url) as connection:
            connection.execute("CREATE ROLE reader LOGIN")
            connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        root.paths.config_file.write_text(f'[cluster]\nurl = "{url.replace("akjob@", "reader@")}"\nnode = "a"\n')
        other = replace(subject(root, config), paths=Paths(root.paths.root))
        messages = [one.message for one in cluster.cluster(other)]
        assert messages[0] == "reader may not create or write the ledger's tables in the database"
    (gone,) = cluster.cluster(subject(root, config))
    assert gone.state == "wrong"
    assert "does not answer" in gone.message


def test_a_root_without_a_cluster_is_not_asked_for_one(root: Root) -> None:
    """No finding at all."""
    assert list(cluster.cluster(subject(root))) == []
